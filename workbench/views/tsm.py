"""How alike the moments of a recording are: click a cell, see the two moments."""

from __future__ import annotations

from html import escape

import holoviews as hv
import numpy as np
import panel as pn
import panel_material_ui as pmui
import param
from bokeh.models import Span

from workbench.analysis.embeddings import Embeddings
from workbench.analysis.similarity import cross_tsm
from workbench.data.manifest import DataSet
from workbench.views import plots
from workbench.views.pictures import moment
from workbench.views.selection import Cursor


class SimilarityView(pn.viewable.Viewer):
    """The similarity matrix of the cursor's recording, of one camera or between two.

    The column of a click becomes the cursor, its row the moment that the cursor is compared with.
    """

    embeddings = param.ClassSelector(class_=Embeddings)
    dataset = param.ClassSelector(class_=DataSet)
    cursor = param.ClassSelector(class_=Cursor)
    rows = param.Selector(default=None, objects=[], doc="Camera that the rows show.")
    columns = param.Selector(default=None, objects=[], doc="Camera that the columns show.")
    other = param.Integer(default=0, bounds=(0, None), doc="The frame compared with the cursor's.")

    def __init__(self, embeddings: Embeddings, dataset: DataSet, cursor: Cursor) -> None:
        super().__init__(embeddings=embeddings, dataset=dataset, cursor=cursor)
        self._lines: tuple[Span, Span] | None = None
        self._matrix = np.zeros((1, 1), np.float32)
        self._frames = (np.zeros(1, int), np.zeros(1, int))  # centres of the rows, of the columns
        self.note = pmui.Alert(severity="info", visible=False, sizing_mode="stretch_width")
        self.here = pn.pane.HTML("", sizing_mode="stretch_width")
        self.there = pn.pane.HTML("", sizing_mode="stretch_width")
        self._plot = self._build()
        self._view = self._layout()
        self._open()
        cursor.param.watch(self._follow, ["recording", "frame"])
        self.param.watch(lambda *_: self._load(), ["rows", "columns"])
        self.param.watch(lambda *_: self._show_other(), "other")

    _version = param.Integer(default=0, doc="Counts the matrices shown.")

    @property
    def matrix(self) -> np.ndarray:
        """(R, C) cosines: rows of one camera, columns of the other (or the same)."""
        return self._matrix

    def _build(self) -> hv.DynamicMap:
        image = hv.DynamicMap(
            lambda **_: self._image(), streams=[hv.streams.Params(self, ["_version"])]
        )
        self._tap = hv.streams.SingleTap(source=image)
        self._tap.add_subscriber(lambda x, y: self.click(x, y))
        return image

    def _keep(self, plot: object, element: object) -> None:
        """The crosshair is part of the drawn plot: moving it draws nothing anew."""
        if self._lines is None or self._lines[0] not in plot.state.center:
            self._lines = plots.crosshair()
            for line in self._lines:
                plot.state.add_layout(line)
        self._cross()

    def _cross(self) -> None:
        column, row = self._lines
        column.location, row.location = self._within(self.cursor.frame), float(self.other)

    def _cross_soon(self) -> None:
        """Move the crosshair, also from a callback that may not hold the document's lock."""
        if self._lines is None:
            return
        if pn.state.curdoc and pn.state.curdoc.session_context:
            pn.state.execute(self._cross, schedule=True)
        else:
            self._cross()
            if self._pane._models:
                pn.io.push_notebook(self._pane)

    def _image(self) -> hv.Image:
        same = self.rows == self.columns
        title = (
            "Bright off the diagonal: it comes again"
            if same
            else "Bright diagonal: the cameras agree"
        )
        names = [f"{self.rows}", f"{self.columns}"]
        image = plots.similarity(self._matrix, *self._frames, *names, title)
        return image.opts(hooks=[plots.tidy, self._keep])

    def _within(self, frame: int) -> float:
        """A frame, or the first or last column where it lies outside of the matrix."""
        return float(np.clip(frame, self._frames[1][0], self._frames[1][-1]))

    def click(self, x: float | None, y: float | None) -> None:
        """Go to the cell at column x and row y, both in frames of the recording."""
        if x is None or y is None or not len(self._rows_of(self.rows)):
            return
        row, column = (nearest(f, v) for f, v in zip(self._frames, (y, x), strict=True))
        with pn.io.hold():
            self.other = row
            self.cursor.move(column, self.name)

    def _follow(self, *events: param.parameterized.Event) -> None:
        if any(e.name == "recording" for e in events):
            self._open()
        else:
            self._show_here()

    def _open(self) -> None:
        """Show the cursor's recording."""
        index = self.embeddings.index
        here = index["recording"].to_numpy() == self.cursor.recording
        cameras = sorted(set(index["camera"].to_numpy()[here]))
        self._body.visible = bool(cameras)
        self.note.visible = not cameras
        if not cameras:
            name = escape(self.cursor.recording)
            self.note.object = (
                f"**{name}** has no features here: it is shorter than a clip, or came later. "
                "Choose another recording, or embed the data set again."
                if name
                else "Choose a recording on the Clips page, or a dot on the Map page."
            )
            return
        kept = [c if c in cameras else cameras[0] for c in (self.rows, self.columns)]
        with param.parameterized.discard_events(self):
            for name, value in zip(("rows", "columns"), kept, strict=True):
                self.param[name].objects = cameras
                setattr(self, name, value)
        for widget, value in zip(self._pickers, kept, strict=True):
            widget.param.update(options=cameras, value=value, visible=len(cameras) > 1)
        self._load()

    def _rows_of(self, camera: str | None) -> np.ndarray:
        index = self.embeddings.index
        here = (index["recording"] == self.cursor.recording) & (index["camera"] == camera)
        found = np.flatnonzero(here.to_numpy())
        return found[np.argsort(index["frame"].to_numpy()[found], kind="stable")]

    def _load(self) -> None:
        rows, columns = self._rows_of(self.rows), self._rows_of(self.columns)
        if not len(rows) or not len(columns):
            return
        self._matrix = cross_tsm(self.embeddings.z[rows], self.embeddings.z[columns])
        frame = self.embeddings.index["frame"].to_numpy()
        self._frames = (frame[rows], frame[columns])
        with param.parameterized.discard_events(self):
            self.other = nearest(self._frames[0], self.other)
        self._version += 1
        self._show_here()
        self._show_other()

    def _show_here(self) -> None:
        if self._body.visible:
            self._cross_soon()
            name, frame = self.cursor.recording, self.cursor.frame
            self.here.object = moment(self.dataset, name, frame, plots.CURSOR, "Cursor (column)")

    def _show_other(self) -> None:
        if self._body.visible:
            self._cross_soon()
            name = self.cursor.recording
            self.there.object = moment(self.dataset, name, self.other, plots.OTHER, "Row")

    def _layout(self) -> pn.viewable.Viewable:
        self._pickers = [
            pmui.Select(label=label, options=[], size="small", width=170, margin=(4, 8))
            for label in ("Rows: camera", "Columns: camera")
        ]
        for name, widget in zip(("rows", "columns"), self._pickers, strict=True):
            widget.param.watch(lambda e, name=name: self._pick(name, e.new), "value")
        self._pane = pn.pane.HoloViews(
            self._plot, sizing_mode="stretch_width", min_width=280, linked_axes=False
        )
        frames = pn.Column(self.here, self.there, sizing_mode="stretch_width", margin=(0, 8))
        grid = {
            "display": "grid", "gap": "12px",
            "grid-template-columns": "repeat(auto-fit, minmax(min(100%, 340px), 1fr))",
        }  # fmt: skip
        self._body = pn.Column(
            pn.Row(*self._pickers),
            pn.Column(self._pane, frames, styles=grid, sizing_mode="stretch_width"),
            sizing_mode="stretch_width",
        )
        return pn.Column(self.note, self._body, sizing_mode="stretch_width")

    def _pick(self, name: str, camera: str) -> None:
        if camera in self.param[name].objects:
            setattr(self, name, camera)

    def __panel__(self) -> pn.viewable.Viewable:
        """The matrix beside the two moments."""
        return self._view


def nearest(frames: np.ndarray, frame: float) -> int:
    """The one of some frame numbers that is nearest to a frame."""
    return int(frames[np.abs(np.asarray(frames) - frame).argmin()])
