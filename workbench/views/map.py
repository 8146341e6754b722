"""The embedding map: every window of every video as a dot; near dots look alike to the encoder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape
from typing import Protocol

import holoviews as hv
import numpy as np
import pandas as pd
import panel as pn
import panel_material_ui as pmui
import param

from workbench.analysis.embeddings import Embeddings
from workbench.data.manifest import DataSet
from workbench.views import plots
from workbench.views.cards import Sheets
from workbench.views.clips import shown
from workbench.views.selection import Cursor, Filter, Hover, Selection, Watching

MOST = 20_000
"""Dots above which a browser is slow to answer a tap; then a stratified sample is drawn."""
COLORS = ("label", "recording", "camera", "split", "frame")
KINDS = {"PCA": "pca", "t-SNE": "tsne", "UMAP": "umap"}
HIDDEN = "(hidden by the filters)"


class Maps(Protocol):
    """Where maps come from: a dict of (N, 2) arrays will do."""

    def get(self, kind: str) -> np.ndarray | None:
        """The (N, 2) map of a kind (pca, tsne, umap), None where it is not there yet."""


class EmbeddingMap(Watching, pn.viewable.Viewer):
    """A 2-D map of embeddings. Tap or lasso to select; the ring is the cursor, the line its way.

    coords: kind -> (N, 2). want: called with a kind that is not there; returns what shows how far
    it is (a view), which calls back when it is done.
    """

    embeddings = param.ClassSelector(class_=Embeddings)
    dataset = param.ClassSelector(class_=DataSet)
    selection = param.ClassSelector(class_=Selection)
    cursor = param.ClassSelector(class_=Cursor)
    hover = param.ClassSelector(class_=Hover)
    filter = param.ClassSelector(class_=Filter)
    kind = param.Selector(default="pca", objects=list(KINDS.values()), doc="Which map is drawn.")
    color = param.Selector(default="label", objects=list(COLORS), doc="What the colours mean.")

    def __init__(
        self,
        embeddings: Embeddings,
        coords: Mapping[str, np.ndarray] | Maps,
        dataset: DataSet,
        selection: Selection,
        cursor: Cursor,
        hover: Hover | None = None,
        filter: Filter | None = None,
        want: Callable[[str, Callable[[], None]], pn.viewable.Viewable] | None = None,
        **params: object,
    ) -> None:
        super().__init__(
            embeddings=embeddings, dataset=dataset, selection=selection, cursor=cursor,
            hover=hover or Hover(), filter=filter or Filter(), **params,
        )  # fmt: skip
        self.coords, self.want = coords, want
        self.rows = sample(embeddings.index, MOST)  # (P,) rows of the embeddings that are drawn
        self._streams: list[hv.streams.Params] = []  # of the plot that is shown
        self._source = None  # the Bokeh data of the dots, once they are drawn
        self._sheets = Sheets(dataset)
        self.note = pn.pane.HTML(
            "", sizing_mode="stretch_width", margin=(2, 8), styles={"font-size": "13px"}
        )
        self._waiting = pn.Column(sizing_mode="stretch_width")
        self._marked: list[int] = []  # dots that were marked from here: hearing of them is an echo
        self._view = self._layout()
        self._watch(self.selection, self._show_selection, "ids")
        self.param.watch(lambda *_: self._on_kind(), "kind")
        self.param.watch(lambda *_: self._recolor(), "color")
        self._on_kind()

    # ---- what is drawn

    def close(self) -> None:
        """Follow the state no more, the plot included."""
        super().close()
        self._let_go()

    def _let_go(self) -> None:
        for stream in self._streams:
            stream.unwatch()
        self._streams.clear()

    def _on(self, state: param.Parameterized, *names: str) -> hv.streams.Params:
        """A stream of a plot; it ends with the plot."""
        self._streams.append(hv.streams.Params(state, list(names)))
        return self._streams[-1]

    def _build(self) -> hv.DynamicMap:
        self._let_go()
        shown = [self._on(self, "_redrawn"), self._on(self.filter, "expr")]
        dots = hv.DynamicMap(self._dots, streams=shown)
        self._tapped = hv.streams.Selection1D(source=dots)
        self._tapped.add_subscriber(self._on_gesture)
        here = [self._on(self.cursor, "recording", "frame"), self._on(self, "_redrawn")]
        path = hv.DynamicMap(self._path, streams=here)
        mark = hv.DynamicMap(self._mark, streams=here)
        over = [self._on(self.hover, "id"), self._on(self, "_redrawn")]
        halo = hv.DynamicMap(self._halo, streams=over)
        return (path * dots * mark * halo).opts(
            hv.opts.Overlay(xaxis=None, yaxis=None, legend_position="right")
        )

    _redrawn = param.Integer(default=0, doc="Counts the changes of the map's coordinates.")

    @property
    def xy(self) -> np.ndarray:
        """(N, 2) coordinates of every row on the map that is drawn."""
        found = self.coords.get(self.kind)
        return np.asarray(found) if found is not None else np.zeros((len(self.embeddings), 2))

    def points(self) -> pd.DataFrame:
        """The dots: x, y, what they are coloured by, and what a hover shows."""
        index = self.embeddings.index.iloc[self.rows]
        xy = self.xy[self.rows]
        table = pd.DataFrame({"x": xy[:, 0], "y": xy[:, 1]})
        for name in ("recording", "camera", "label", "split"):
            table[name] = (
                index[name].astype(object).where(index[name].notna(), "unknown").to_numpy()
            )
        table["frame"] = index["frame"].to_numpy()
        if self.filter.expr:
            kept = set(shown(self.dataset, self.filter).index)
            out = ~index["video"].isin(kept).to_numpy()
            if self.color == "frame":
                table["frame"] = table["frame"].astype(float).mask(out)
            else:
                table[self.color] = table[self.color].mask(out, HIDDEN)
        thumbs = self._thumbnails(index)
        return table if thumbs is None else table.assign(**thumbs)

    def _thumbnails(self, index: pd.DataFrame) -> dict | None:
        """Columns that a hover needs to cut a thumbnail out of its sheet: URL, size, position."""
        out: dict[str, list] = {"src": [], "tw": [], "th": [], "tx": [], "ty": []}
        sheets = {int(v): self._sheets(int(v)) for v in index["video"].unique()}
        if any(s is None or not isinstance(s["src"], str) for s in sheets.values()):
            return None
        frames = {v: np.asarray(self.dataset.sprite(v).frames) for v in sheets}
        centre = index["frame"].to_numpy() + self.dataset.table["offset"].to_numpy()[index["video"]]
        for video, frame in zip(index["video"], centre, strict=True):
            sheet = sheets[int(video)]
            k = int(np.abs(frames[int(video)] - frame).argmin())
            out["src"].append(sheet["src"])
            out["tw"].append(sheet["w"])
            out["th"].append(sheet["h"])
            out["tx"].append(-sheet["w"] * (k % sheet["columns"]))
            out["ty"].append(-sheet["h"] * (k // sheet["columns"]))
        return out

    def _recolor(self) -> None:
        """A plot keeps its kind of colours (classes or numbers), so another one takes its place."""
        self._pane.object = self._build()

    def _dots(self, **_: object) -> hv.Points:
        points = self.points()
        dots = plots.scatter(points, self.color, self._title(), tooltip("src" in points))
        return dots.opts(hooks=[plots.tidy, plots.grey_rest, self._keep])

    def _keep(self, plot: object, element: object) -> None:
        self._source, self._listeners = plot.handles["source"], plot.callbacks
        self._mark_dots()

    def _mark_dots(self) -> None:
        """Show the selection on the dots; a plot that was put away cannot take it."""
        if self._source is not None and all(c.plot is not None for c in self._listeners):
            self._marked = self._drawn(self.selection.ids)
            self._source.selected.indices = self._marked

    def _mark_dots_soon(self) -> None:
        """The same from a callback that may not hold the document's lock."""
        if pn.state.curdoc and pn.state.curdoc.session_context:
            pn.state.execute(self._mark_dots, schedule=True)
        else:
            self._mark_dots()

    def _path(self, recording: str, **_: object) -> hv.Curve:
        return plots.trail(self.xy[self._way(recording)])

    def _mark(self, recording: str, frame: int, **_: object) -> hv.Points:
        way = self._way(recording)
        frames = self.embeddings.index["frame"].to_numpy()[way]
        near = way[[np.abs(frames - frame).argmin()]] if len(way) else way
        return plots.ring(self.xy[near])

    def _halo(self, id: int, **_: object) -> hv.Points:
        rows = [id] if 0 <= id < len(self.embeddings) else []
        return plots.ring(self.xy[rows], plots.OTHER, 18)

    def _way(self, recording: str) -> np.ndarray:
        """The rows of a recording as its first camera sees it (or the selected one), in time."""
        index = self.embeddings.index
        rows = np.flatnonzero(index["recording"].to_numpy() == recording)
        if not len(rows):
            return rows
        cameras = index["camera"].to_numpy()[rows]
        chosen = [i for i in self.selection.ids if i in set(rows.tolist())]
        camera = index["camera"].iloc[chosen[0]] if len(chosen) == 1 else sorted(set(cameras))[0]
        rows = rows[cameras == camera]
        return rows[np.argsort(index["frame"].to_numpy()[rows], kind="stable")]

    def _title(self) -> str:
        meaning = {
            "label": "Do windows of one label lie together?",
            "recording": "Clumps by recording: the encoder sees the scene, not what is done",
            "camera": "Clumps by camera: the encoder sees the viewpoint",
            "split": "Do the splits cover the same ground?",
            "frame": "Smooth colour along the way: time is in the features",
        }
        return meaning[self.color]

    # ---- what is done

    def _on_gesture(self, index: list[int]) -> None:
        if list(index) == self._marked:
            return
        self._marked = list(index)
        ids = self._meant(tuple(int(self.rows[k]) for k in index if k < len(self.rows)))
        self.selection.choose(ids, self.name)
        if len(ids) < len(index):
            self._mark_dots_soon()
        if len(ids) == 1:
            row = self.embeddings.index.iloc[ids[0]]
            self.cursor.move(int(row["frame"]), self.name, str(row["recording"]))
        self._say()

    def _meant(self, ids: tuple[int, ...]) -> tuple[int, ...]:
        """The dots of a gesture; of dots on top of each other, as a tap finds them, the uppermost.

        On top of each other: within 1.5 % of the map, about the size of two dots.
        """
        if len(ids) > 1:
            spread = np.ptp(self.xy[list(ids)], axis=0) <= 0.015 * np.ptp(self.xy, axis=0)
            return ids[-1:] if spread.all() else ids
        return ids

    def _show_selection(self, *_: object) -> None:
        if self.selection.source != self.name:
            self._mark_dots_soon()
            if not pn.state.served and self._pane._models:
                pn.io.push_notebook(self._pane)
        self._say()

    def _drawn(self, ids: tuple[int, ...]) -> list[int]:
        """Which dots show these rows; rows that were not sampled have none."""
        where = {int(r): k for k, r in enumerate(self.rows)} if ids else {}
        return [where[i] for i in ids if i in where]

    def _on_kind(self) -> None:
        if self.closed:  # a map that was asked for came late
            return
        if self.coords.get(self.kind) is not None:
            self._waiting.clear()
            self._redrawn += 1
        elif self.want is not None:
            self._waiting[:] = [self.want(self.kind, self._on_kind)]
        else:
            missing = f"The {self.kind} map is not there. Pass it in coords."
            self._waiting[:] = [pmui.Alert(missing, severity="info")]
        self._pane.visible = not len(self._waiting)
        self._say()

    def _say(self) -> None:
        parts = []
        if len(self.rows) < len(self.embeddings):
            parts.append(
                f"<b>A sample:</b> {len(self.rows):,} of {len(self.embeddings):,} windows are "
                "drawn, the same share of every video; selecting counts the drawn ones."
            )
        if n := len(self.selection.ids):
            labels = self.embeddings.index["label"].iloc[list(self.selection.ids)]
            mix = labels.fillna("unknown").value_counts().head(4)
            said = ", ".join(f"{count} {escape(str(name))}" for name, count in mix.items())
            parts.append(f"<b>{n:,} selected:</b> {said}. Tap empty ground to let go.")
        else:
            parts.append("Tap a dot for its moment; lasso or box (toolbar) for many.")
        self.note.object = " ".join(parts)

    def _layout(self) -> pn.viewable.Viewable:
        kinds = pmui.RadioButtonGroup(
            options=KINDS, value=self.kind, size="small", margin=(6, 8), align="center",
            sx={"& button": {"whiteSpace": "nowrap", "textTransform": "none", "px": 2}},
        )  # fmt: skip
        kinds.link(self, value="kind", bidirectional=True)
        colors = pmui.Select.from_param(
            self.param.color, label="Colour", size="small", width=150, margin=(4, 8)
        )
        self._pane = pn.pane.HoloViews(
            self._build(), sizing_mode="stretch_both", min_height=440, linked_axes=False
        )
        bar = pn.Row(kinds, colors, sizing_mode="stretch_width")
        return pn.Column(bar, self.note, self._waiting, self._pane, sizing_mode="stretch_both")

    def __panel__(self) -> pn.viewable.Viewable:
        """The map with its controls."""
        return self._view


def sample(index: pd.DataFrame, most: int, seed: int = 0) -> np.ndarray:
    """Rows to draw, ascending: all, or about `most` with the same share of every video."""
    if len(index) <= most:
        return np.arange(len(index))
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(index))
    video = index["video"].to_numpy()[order]
    rank = pd.Series(video).groupby(video).cumcount().to_numpy()
    size = pd.Series(video).groupby(video).transform("size").to_numpy()
    return np.sort(order[np.argsort((rank + 0.5) / size, kind="stable")[:most]])


def tooltip(pictures: bool) -> str:
    """What a hovered dot shows; the picture is cut out of the sheet by the browser."""
    picture = (
        '<div style="width:@{tw}px;height:@{th}px;border-radius:4px;margin-bottom:4px;'
        "background-image:url('@{src}');background-position:@{tx}px @{ty}px\"></div>"
    )
    return (
        '<div style="font-size:12px;line-height:1.35;padding:2px">'
        + (picture if pictures else "")
        + "<b>@{recording}</b> · @{camera}<br>frame @{frame} · @{label}</div>"
    )
