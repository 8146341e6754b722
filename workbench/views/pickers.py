"""The left drawer: which data set, whose features, which recordings."""

from __future__ import annotations

import panel as pn
import panel_material_ui as pmui

from workbench.views.clips import Filters
from workbench.views.store import Store


class Pickers(pn.viewable.Viewer):
    """Choosers of the data set and the run, and the filters of the data set."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        self.store = store
        wide = {"size": "small", "sizing_mode": "stretch_width", "margin": (6, 4)}
        self.data = pmui.Select(label="Data set", options=[], **wide)
        self.run = pmui.Select(label="Features of run", options=[], **wide)
        self.facts = pn.pane.HTML("", sizing_mode="stretch_width", margin=(0, 6))
        self._filters = pn.Column(sizing_mode="stretch_width", margin=0)
        self._of = object()  # the data set that the filters are for
        self.data.param.watch(lambda e: self._choose_data(e.new), "value")
        self.run.param.watch(lambda e: self._choose_run(e.new), "value")
        store.param.watch(lambda *_: self._fill(), "version")
        self._fill()

    def _fill(self) -> None:
        s, names = self.store, self.store.workspace.data_names()
        self.data.param.update(options=names, value=s.data or None, disabled=not names)
        self.run.param.update(options=s.runs, value=s.run or None, disabled=not s.runs)
        dataset = s.dataset
        self.facts.object = self._say()
        if dataset is not self._of:
            self._of = dataset
            self._filters[:] = [] if dataset is None else [
                pn.pane.HTML("<b>Filter</b>", margin=(10, 6, 0, 6)), Filters(dataset, s.filter)
            ]  # fmt: skip

    def _say(self) -> str:
        s = self.store
        parts = []
        if s.dataset is not None:
            n, videos = len(s.dataset.recordings), len(s.dataset.table)
            parts.append(f"{n} recordings, {videos} videos")
            if bad := len(s.dataset.problems):
                parts.append(f"<b>{bad} file{'s' * (bad != 1)} with problems</b>")
        if s.run:
            e = s.embeddings
            parts.append(
                f"{len(e):,} windows of {e.z.shape[1]} features" if e else "not embedded yet"
            )
        return f"<div style='font-size:12px;opacity:.72'>{'<br>'.join(parts)}</div>"

    def _choose_data(self, name: str | None) -> None:
        if name and name != self.store.data:
            self.store.open(name)

    def _choose_run(self, name: str | None) -> None:
        if name and name != self.store.run:
            self.store.look(name)

    def __panel__(self) -> pn.viewable.Viewable:
        """The choosers above the filters."""
        return pn.Column(
            self.data, self.run, self.facts, self._filters,
            sizing_mode="stretch_width", margin=(4, 8),
        )  # fmt: skip
