"""The selected clip: all its cameras in step, what is known of it, and what is like it."""

from __future__ import annotations

import html

import panel as pn
import param

from workbench.views.neighbours import NeighbourList
from workbench.views.player import Player
from workbench.views.plots import palette
from workbench.views.store import Store


class Inspector(pn.viewable.Viewer):
    """The cursor's recording beside every page."""

    store = param.ClassSelector(class_=Store)

    def __init__(self, store: Store) -> None:
        super().__init__(store=store)
        self.player = Player(store.dataset, store.cursor)
        self.facts = pn.pane.HTML("", sizing_mode="stretch_width", margin=(4, 10))
        self.neighbours: NeighbourList | None = None
        self._more = pn.Column(sizing_mode="stretch_width", margin=(0, 4))
        self._rebuild()
        store.param.watch(lambda *_: self._rebuild(), "version")
        self.player.param.watch(lambda *_: self._follow_player(), "dataset")
        store.cursor.param.watch(lambda *_: self._tell(), ["recording", "frame"])

    def _rebuild(self) -> None:
        s = self.store
        self.player.dataset = s.dataset
        if self.neighbours is not None:
            self.neighbours.close()
        self.neighbours = None
        if s.dataset is not None and s.embeddings is not None:
            self.neighbours = NeighbourList(s.embeddings, s.dataset, s.selection, s.cursor, s.hover)
            title = pn.pane.HTML(
                "<h3 style='margin:4px 0 0;font-size:15px'>More like this</h3>", margin=(4, 6)
            )
            self._more[:] = [title, self.neighbours]
        else:
            self._more[:] = []
        self._tell()

    def _follow_player(self) -> None:
        """Offsets were saved: all views look at the data set anew. Not at the store's own echo."""
        if self.player.dataset is not self.store.dataset:
            self.store.refresh()

    def _tell(self) -> None:
        text = describe(self.store)
        if text != self.facts.object:
            self.facts.object = text

    def __panel__(self) -> pn.viewable.Viewable:
        """Facts, player, neighbours, one below the other."""
        player = pn.Column(self.player, sizing_mode="stretch_width", margin=(4, 10))
        return pn.Column(self.facts, player, self._more, sizing_mode="stretch_width")


def describe(store: Store) -> str:
    """HTML: the cursor's recording, its label and split, and the segment the frame lies in."""
    dataset, cursor = store.dataset, store.cursor
    if dataset is None or cursor.recording not in dataset.recordings:
        return "<p style='opacity:.7'>Choose a recording to see it here.</p>"
    first = dataset.videos[dataset.cameras(cursor.recording)[0]]
    colors = palette(dataset.table["label"].dropna())
    chips = []
    if first.label:
        chips.append(_chip(first.label, colors[first.label]))
    chips += [_chip(t) for t in (first.split, *first.tags) if t]
    now = next((s.label for s in first.segments if s.start <= cursor.frame < s.stop), None)
    if now is not None and now != first.label:
        chips.append(_chip(f"now: {now}", colors.get(now)))
    length = dataset.length(cursor.recording)
    cameras = len(dataset.cameras(cursor.recording))
    return (
        f"<h2 style='margin:4px 0 2px;font-size:18px'>{html.escape(cursor.recording)}</h2>"
        f"<div style='font-size:12px;opacity:.72;font-variant-numeric:tabular-nums'>"
        f"{cameras} camera{'s' * (cameras != 1)} · {length} frames · "
        f"{length / first.fps:.2f} s at {first.fps:.4g} fps</div>"
        f"<div style='display:flex;flex-wrap:wrap;gap:5px;margin-top:6px'>{''.join(chips)}</div>"
    )


def _chip(text: str, color: str | None = None) -> str:
    dot = f"<i style='width:8px;height:8px;border-radius:50%;background:{color}'></i>"
    return (
        "<span style='display:inline-flex;align-items:center;gap:5px;font-size:11.5px;line-height:"
        "20px;padding:0 8px;border-radius:10px;background:rgba(128,128,128,.16)'>"
        f"{dot if color else ''}{html.escape(text)}</span>"
    )
