"""Online detection: what a classifier says about every chunk, when, and how right that is."""

from __future__ import annotations

from html import escape

import holoviews as hv
import numpy as np
import panel as pn
import panel_material_ui as pmui
import param
from bokeh.models import BoxAnnotation, Span

from workbench.analysis.detection import newest_finished
from workbench.analysis.embeddings import Embeddings
from workbench.data.manifest import DataSet
from workbench.data.video import ClipShape
from workbench.training.evaluate_detection import Detection, frame_truth
from workbench.views import detection_plots, plots
from workbench.views.cards import Cards, Sheets
from workbench.views.score_table import score_table
from workbench.views.selection import Cursor, Selection, Watching

MOST = 200
"""Chunks of a cell that are listed."""


class DetectionView(Watching, pn.viewable.Viewer):
    """Scores, the confusion matrix with the chunks of a cell, and the timeline of the cursor.

    A click on a cell lists its chunks and plays the first; a click in the timeline moves the
    cursor. With `live` the timeline shows only what is known at the cursor, as it was found out.
    """

    found = param.ClassSelector(class_=Detection)
    dataset = param.ClassSelector(class_=DataSet)
    cursor = param.ClassSelector(class_=Cursor)
    selection = param.ClassSelector(class_=Selection, allow_None=True)
    embeddings = param.ClassSelector(class_=Embeddings, allow_None=True)
    camera = param.Selector(default=None, objects=[], doc="Camera that the timeline shows.")
    cell = param.Tuple(default=(-1, -1), doc="True and predicted class whose chunks are listed.")
    live = param.Boolean(default=False, doc="Hide what is not known yet at the cursor.")
    _version = param.Integer(default=0, doc="Counts the timelines shown.")

    def __init__(
        self,
        found: Detection,
        dataset: DataSet,
        cursor: Cursor,
        selection: Selection | None = None,
        embeddings: Embeddings | None = None,
    ) -> None:
        super().__init__(
            found=found, dataset=dataset, cursor=cursor, selection=selection, embeddings=embeddings
        )
        self._source = dataset.source(ClipShape.parse(found.about["clip"]))
        self._marks: tuple[Span, BoxAnnotation] | None = None
        self._rows = np.zeros(0, int)  # of the chunks of the video on show
        self._newest = np.full(1, -1)
        self._truth = np.full(1, -1)
        self.now = pn.pane.HTML("", sizing_mode="stretch_width", margin=(2, 8))
        self.note = pmui.Alert(severity="info", visible=False, sizing_mode="stretch_width")
        self.listed = pn.pane.HTML("", sizing_mode="stretch_width", margin=(2, 8))
        self.cards = Cards(
            lambda row: self.play(int(row)),
            title="chunks of the cell",
            empty="Click a cell of the matrix: its chunks come here.",
            card_width=150,
        )
        self._matrix, self._timeline = self._build_matrix(), self._build_timeline()
        self._view = self._layout()
        if cursor.recording not in set(found.chunks["recording"]):
            cursor.move(0, self.name, found.chunks["recording"].iloc[0])
        self._open()
        self._watch(cursor, self._follow, ["recording", "frame"])
        self.param.watch(lambda _: self._load(), "camera")
        self.param.watch(lambda _: self._move_marks_soon(), "live")
        self.param.watch(lambda _: self._list(), "cell")

    def _build_matrix(self) -> hv.Overlay:
        drawn = detection_plots.confusion(self.found.confusion, self.found.classes)
        self._cell_tap = hv.streams.SingleTap(source=drawn.values()[0])
        self._cell_tap.add_subscriber(lambda x, y: self.choose(x, y))
        return drawn

    def _build_timeline(self) -> hv.DynamicMap:
        streams = [hv.streams.Params(self, ["_version"])]
        image = hv.DynamicMap(lambda **_: self._chances(), streams=streams)
        self._tap = hv.streams.SingleTap(source=image)
        self._tap.add_subscriber(lambda x, y: self.click(x))
        return image * hv.DynamicMap(lambda **_: self._strips(), streams=streams)

    def _chances(self) -> hv.Image:
        title = f"{self.cursor.recording}, camera {self.camera}: said when a chunk is finished"
        image = detection_plots.chances(self._newest, *self._said(), title)
        return image.opts(hooks=[plots.tidy, self._keep])

    def _strips(self) -> hv.Rectangles:
        return detection_plots.strips(self._truth, self._newest, *self._said())

    def _said(self) -> tuple[np.ndarray, tuple[str, ...]]:
        """(N, C) probabilities of the chunks on show, and what the columns are."""
        return self.found.probabilities[self._rows], self.found.classes

    def _keep(self, plot: object, element: object) -> None:
        """The playhead is part of the drawn plot: moving it draws nothing anew."""
        if self._marks is None or self._marks[0] not in plot.state.center:
            self._marks = detection_plots.playhead()
            for mark in reversed(self._marks):
                plot.state.add_layout(mark)
        self._move_marks()

    def _move_marks(self) -> None:
        line, curtain = self._marks
        frame = min(self.cursor.frame, len(self._truth) - 1)
        line.location = frame
        curtain.update(left=frame + 0.5, right=len(self._truth) + 0.5, visible=self.live)

    def _move_marks_soon(self) -> None:
        """Move the playhead, also from a callback that may not hold the document's lock."""
        if self._marks is None:
            return
        if pn.state.curdoc and pn.state.curdoc.session_context:
            pn.state.execute(self._move_marks, schedule=True)
        else:
            self._move_marks()
            if self._pane._models:
                pn.io.push_notebook(self._pane)

    def choose(self, x: float | None, y: float | None) -> None:
        """List the chunks of the cell at column x and row y, and play the first."""
        n = len(self.found.classes)
        if x is None or y is None or not (-0.5 <= x < n - 0.5 and -0.5 <= y < n - 0.5):
            return
        self.cell = (round(y), round(x))
        rows = self.rows_of(*self.cell)
        if len(rows):
            self._select(rows)
            self.play(int(rows[0]))

    def rows_of(self, truth: int, said: int) -> np.ndarray:
        """The chunks of a cell, those that the run is surest of first."""
        chunks, classes = self.found.chunks, self.found.classes
        mine = (chunks["truth"] == classes[truth]) & (chunks["predicted"] == classes[said])
        rows = np.flatnonzero(mine)
        return rows[np.argsort(-chunks["probability"].to_numpy()[rows], kind="stable")]

    def play(self, row: int) -> None:
        """Go to a chunk and play it over and over."""
        chunk = self.found.chunks.iloc[row]
        self.cards.selected = str(row)
        first = max(0, int(chunk["start"]))
        self.cursor.play(first, int(chunk["stop"]) - 1, self.name, chunk["recording"])
        if chunk["camera"] in self.param.camera.objects:
            self.camera = chunk["camera"]

    def click(self, x: float | None) -> None:
        """Move the cursor to a frame of the timeline."""
        if x is not None and self._rows.size:
            frame = int(np.clip(round(x), 0, len(self._truth) - 1))
            self.cursor.move(frame, self.name)

    def _select(self, rows: np.ndarray) -> None:
        """Select the windows that lie in some chunks, so that the map shows them."""
        if self.selection is None or self.embeddings is None:
            return
        index = self.embeddings.index
        video, frame = index["video"].to_numpy(), index["frame"].to_numpy()
        inside = np.zeros(len(index), bool)
        for c in self.found.chunks.iloc[rows[:MOST]].itertuples():
            inside |= (video == c.video) & (frame >= c.start) & (frame < c.stop)
        self.selection.choose(np.flatnonzero(inside).tolist(), self.name)

    def _list(self) -> None:
        rows = self.rows_of(*self.cell)
        truth, said = (escape(self.found.classes[k]) for k in self.cell)
        what = f"<b>{truth}</b> " + ("right" if truth == said else f"taken for <b>{said}</b>")
        more = f", the {MOST} surest are shown" if len(rows) > MOST else ""
        self.listed.object = f"{len(rows)} chunk{'s' * (len(rows) != 1)} of {what}{more}"
        sheets, items = Sheets(self.dataset), []
        for row in rows[:MOST]:
            c = self.found.chunks.iloc[row]
            sheet, video = sheets(int(c["video"])), int(c["video"])
            middle = (c["start"] + c["stop"]) // 2 + self.dataset.videos[video].offset
            items.append(
                {
                    "id": str(row),
                    "title": c["recording"],
                    "caption": f"{c['camera']} · frames {c['start']}-{c['stop'] - 1}",
                    "badge": f"{c['probability']:.2f}",
                    "sheet": sheet,
                    "at": sheets.thumbnail(video, middle) if sheet else 0,
                }
            )
        self.cards.items = items

    def _follow(self, *events: param.parameterized.Event) -> None:
        if any(e.name == "recording" for e in events):
            self._open()
        else:
            self._move_marks_soon()
            self._tell()

    def _open(self) -> None:
        """Show the cursor's recording."""
        chunks = self.found.chunks
        here = chunks["recording"] == self.cursor.recording
        cameras = sorted(set(chunks["camera"][here]))
        self._shown.visible = bool(cameras)
        self.note.visible = not cameras
        if not cameras:
            split = escape(self.found.about["split"])
            name = escape(self.cursor.recording)
            self.note.object = f"**{name}** is not among the videos that were judged ({split})."
            return
        kept = self.camera if self.camera in cameras else cameras[0]
        with param.parameterized.discard_events(self):
            self.param.camera.objects = cameras
            self.camera = kept
        self._picker.param.update(options=cameras, value=kept, visible=len(cameras) > 1)
        self._load()

    def _load(self) -> None:
        chunks = self.found.chunks
        mine = (chunks["recording"] == self.cursor.recording) & (chunks["camera"] == self.camera)
        self._rows = np.flatnonzero(mine)
        if not len(self._rows):
            return
        video = int(chunks["video"].iloc[self._rows[0]])
        offset = self.dataset.videos[video].offset
        truth = frame_truth(self._source, video, self.found.classes)
        stops = chunks["stop"].to_numpy()[self._rows] + offset
        newest = newest_finished(stops, len(truth))
        # from frames of the video to those of the recording, which begins with frame 0
        self._truth, self._newest = _shifted(truth, offset), _shifted(newest, offset)
        self._picker.value = self.camera
        self._version += 1
        self._tell()

    def _tell(self) -> None:
        """What is known at the cursor."""
        frame = min(self.cursor.frame, len(self._truth) - 1)
        chunk, code = int(self._newest[frame]), int(self._truth[frame])
        colors = plots.palette(self.found.classes)
        truth = self.found.classes[code] if code >= 0 else ""
        if chunk < 0:
            text = "<b>nothing yet</b>: the first chunk is not finished"
        else:
            c = self.found.chunks.iloc[self._rows[chunk]]
            mark = "" if not truth else " &#10003;" if c["predicted"] == truth else " &#10007;"
            text = (
                f"{_dot(colors[c['predicted']])}<b>{escape(c['predicted'])}</b>{mark} "
                f"{c['probability']:.2f} · from frames {c['start']}-{c['stop'] - 1}"
            )
        shown = f"{_dot(colors.get(truth, plots.GREY))}{escape(truth) or 'unknown'}"
        self.now.object = (
            '<div class="detected" style="font-size:13px;font-variant-numeric:tabular-nums">'
            f"Frame {frame} · said: {text} · truth: {shown}</div>"
        )

    def _layout(self) -> pn.viewable.Viewable:
        self._picker = pmui.Select(
            label="Camera", options=[], size="small", width=150, margin=(4, 8)
        )
        self._picker.param.watch(lambda e: self._pick(e.new), "value")
        live = pmui.Switch.from_param(
            self.param.live, label="Live replay: show only what is known at the cursor",
            margin=(10, 8),
        )  # fmt: skip
        wide = {"sizing_mode": "stretch_width", "linked_axes": False}
        self._pane = pn.pane.HoloViews(self._timeline, min_width=280, **wide)
        matrix = pn.pane.HoloViews(self._matrix, min_width=280, max_width=560, **wide)
        self._shown = pn.Column(
            pn.Row(self._picker, live), self.now, self._pane, sizing_mode="stretch_width"
        )
        grid = {
            "display": "grid", "gap": "12px",
            "grid-template-columns": "repeat(auto-fit, minmax(min(100%, 340px), 1fr))",
        }  # fmt: skip
        table = pn.pane.HTML(score_table(self.found), sizing_mode="stretch_width", margin=(4, 8))
        cell = pn.Column(self.listed, self.cards, sizing_mode="stretch_width")
        return pn.Column(
            self.note,
            self._shown,
            pn.Column(matrix, table, styles=grid, sizing_mode="stretch_width"),
            cell,
            sizing_mode="stretch_width",
        )

    def _pick(self, camera: str | None) -> None:
        if camera in self.param.camera.objects:
            self.camera = camera

    def __panel__(self) -> pn.viewable.Viewable:
        """The timeline above the matrix and the scores, then the chunks of a cell."""
        return self._view


def _shifted(values: np.ndarray, offset: int) -> np.ndarray:
    """(T,) values per frame of a video -> per frame of its recording; -1 before it is filmed."""
    if offset >= 0:
        return values[offset:] if offset < len(values) else values[-1:]
    return np.concatenate([np.full(-offset, -1, values.dtype), values])


def _dot(color: str) -> str:
    return (
        '<i style="display:inline-block;width:10px;height:10px;border-radius:50%;margin-right:4px;'
        f'background:{color}"></i>'
    )
