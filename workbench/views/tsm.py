"""How alike the moments of a recording are: click a cell, see the two moments."""

from __future__ import annotations

from html import escape

import holoviews as hv
import numpy as np
import panel as pn
import panel_material_ui as pmui
import param

from workbench.analysis.embeddings import Embeddings
from workbench.analysis.similarity import cross_tsm
from workbench.data.manifest import DataSet
from workbench.views import plots
from workbench.views.moments import Moments, nearest
from workbench.views.selection import Cursor, Watching

LINES = ("column", "row")


class SimilarityView(Watching, pn.viewable.Viewer):
    """The similarity matrix of the cursor's recording, of one camera or between two.

    The column of a click becomes the cursor, its row the moment that the cursor is compared with.
    Crosshair and pictures follow in the browser (see `Moments`); Python hears of it afterwards.
    """

    embeddings = param.ClassSelector(class_=Embeddings)
    dataset = param.ClassSelector(class_=DataSet)
    cursor = param.ClassSelector(class_=Cursor)
    rows = param.Selector(default=None, objects=[], doc="Camera that the rows show.")
    columns = param.Selector(default=None, objects=[], doc="Camera that the columns show.")
    other = param.Integer(default=0, bounds=(0, None), doc="The frame compared with the cursor's.")

    def __init__(self, embeddings: Embeddings, dataset: DataSet, cursor: Cursor) -> None:
        super().__init__(embeddings=embeddings, dataset=dataset, cursor=cursor)
        self._matrix = np.zeros((1, 1), np.float32)
        self._frames = (np.zeros(1, int), np.zeros(1, int))  # centres of the rows, of the columns
        self.note = pmui.Alert(severity="info", visible=False, sizing_mode="stretch_width")
        self.moments = Moments(clock=cursor.channel, margin=(0, 8))
        self._plot = self._build()
        self._view = self._layout()
        self._open()
        self._watch(cursor, self._follow, ["recording", "frame"])
        self.param.watch(lambda *_: self._load(), ["rows", "columns"])
        self.param.watch(lambda e: self.moments.param.update(row=e.new), "other")
        self.moments.param.watch(self._chosen, ["column", "row"])

    _version = param.Integer(default=0, doc="Counts the matrices shown.")

    @property
    def matrix(self) -> np.ndarray:
        """(R, C) cosines: rows of one camera, columns of the other (or the same)."""
        return self._matrix

    def _build(self) -> hv.DynamicMap:
        return hv.DynamicMap(
            lambda **_: self._image(), streams=[hv.streams.Params(self, ["_version"])]
        )

    def _keep(self, plot: object, element: object) -> None:
        """The crosshair is part of the drawn plot: moving it draws nothing anew."""
        column, row = (plot.state.select_one(f"{self.moments.channel}-{n}") for n in LINES)
        if column is None:
            column, row = plots.crosshair()
            for line, name in zip((column, row), LINES, strict=True):
                line.name = f"{self.moments.channel}-{name}"
                plot.state.add_layout(line)
            self.moments.listen(plot.state, plot.handles["source"])
        first, last = self._frames[1][[0, -1]]
        column.location = float(np.clip(self.cursor.frame, first, last))
        row.location = float(self.other)

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

    def _chosen(self, *_: object) -> None:
        """A cell was clicked in the browser."""
        self.other = self.moments.row
        if self.moments.column != self.cursor.frame:
            self.cursor.move(self.moments.column, self.name)

    def _follow(self, *events: param.parameterized.Event) -> None:
        if any(e.name == "recording" for e in events):
            self._open()
        else:
            self.moments.column = self.cursor.frame

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
        self.moments.show(
            self.dataset,
            self.cursor.recording,
            column=self.cursor.frame,
            row=self.other,
            rows=self._frames[0].tolist(),
            columns=self._frames[1].tolist(),
            pair=[str(self.rows), str(self.columns)],
            scale=list(plots.shades(self._matrix)[1]),
        )

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
        grid = {
            "display": "grid", "gap": "12px",
            "grid-template-columns": "repeat(auto-fit, minmax(min(100%, 300px), 1fr))",
        }  # fmt: skip
        self._body = pn.Column(
            pn.Row(*self._pickers),
            pn.Column(self._pane, self.moments, styles=grid, sizing_mode="stretch_width"),
            sizing_mode="stretch_width",
        )
        return pn.Column(self.note, self._body, sizing_mode="stretch_width")

    def _pick(self, name: str, camera: str) -> None:
        if camera in self.param[name].objects:
            setattr(self, name, camera)

    def __panel__(self) -> pn.viewable.Viewable:
        """The matrix beside the two moments."""
        return self._view
