"""How alike the moments of a recording are, or of two: click a cell, see the two moments."""

from __future__ import annotations

import time
from dataclasses import dataclass
from html import escape

import holoviews as hv
import numpy as np
import panel as pn
import panel_material_ui as pmui
import param
from bokeh.events import RangesUpdate

from workbench.analysis.embeddings import Embeddings
from workbench.analysis.similarity import pooled
from workbench.data.manifest import DataSet
from workbench.views import plots
from workbench.views.cycle import Cycle, rows_of
from workbench.views.in_step import InStep
from workbench.views.matched import Change, DriftPlot, Match
from workbench.views.moments import Moments, nearest
from workbench.views.overlays import Blocks, Overlays, View, lines_every, step
from workbench.views.selection import Cursor, Watching
from workbench.views.ticking import Task, Ticker
from workbench.views.tsm_words import (
    blocks_in_words,
    change_in_words,
    match_in_words,
    period_in_words,
)

LINES = ("column", "row")
ITSELF = "the same recording"
SETTLED = 0.2
"""Seconds without a change after which what a zoom shows is drawn."""
BESIDE = """
:host { display: grid; gap: 12px; align-items: start; grid-auto-rows: max-content;
  grid-template-columns: minmax(0, 2fr) minmax(0, 1fr); }
@container (max-width: 560px) { :host { grid-template-columns: minmax(0, 1fr); } }
"""
"""The matrix and, a third as wide in all, the two moments; below it where there is no room."""


@dataclass(frozen=True)
class Found:
    """What is drawn over a matrix; None: not asked for, or not there."""

    cycle: Cycle | None = None
    blocks: Blocks | None = None
    match: Match | None = None
    change: Change | None = None


class SimilarityView(Watching, pn.viewable.Viewer):
    """The similarity matrix of the cursor's recording, of one camera, of two, or with another's.

    The column of a click becomes the cursor, its row the moment that the cursor is compared with.
    A drag lets both go on in step. Crosshair and pictures follow in the browser (see `Moments`);
    Python hears of it afterwards. Repetition, blocks and, between two recordings, the match are
    looked for in a thread and drawn over the matrix when they are found.
    """

    embeddings = param.ClassSelector(class_=Embeddings)
    dataset = param.ClassSelector(class_=DataSet)
    cursor = param.ClassSelector(class_=Cursor)
    against = param.Selector(default="", objects=[""], doc="Recording of the rows; '': the same.")
    rows = param.Selector(default=None, objects=[], doc="Camera that the rows show.")
    columns = param.Selector(default=None, objects=[], doc="Camera that the columns show.")
    other = param.Integer(default=0, bounds=(0, None), doc="The frame compared with the cursor's.")
    periods = param.Boolean(default=True, doc="Whether lines one cycle apart are drawn.")
    parts = param.Boolean(default=True, doc="Whether squares around the blocks are drawn.")
    matched = param.Boolean(default=True, doc="Whether another recording is matched and followed.")

    _version = param.Integer(default=0, doc="Counts the matrices shown.")

    def __init__(self, embeddings: Embeddings, dataset: DataSet, cursor: Cursor) -> None:
        super().__init__(embeddings=embeddings, dataset=dataset, cursor=cursor)
        self._matrix = np.zeros((1, 1), np.float32)
        self._frames = (np.zeros(1), np.zeros(1))  # centres of the cells: of the rows, the columns
        self.found, self._looked = Found(), {}
        self._task: tuple[tuple, Task] | None = None
        self._view_of: View | None = None  # what a zoom shows; None: all
        self._zoom: tuple[float, View] | None = None  # one that has come, and when
        self.note = pmui.Alert(severity="info", visible=False, sizing_mode="stretch_width")
        self.moments = Moments(clock=cursor.channel, margin=(0, 8))
        self.in_step = InStep(self.moments)
        self.overlays, self.drift = Overlays(), DriftPlot()
        self.drift.figure.on_event("tap", lambda e: self._go_to_phase(e.x))
        self._plot = self._build()
        self._view = self._layout()
        self._ticker = Ticker(self.tick, lambda: self._view, self._busy, 100)
        self._open()
        self._watch(cursor, self._follow, ["recording", "frame"])
        self.param.watch(lambda *_: self._load(), ["rows", "columns"])
        self.param.watch(lambda *_: self._open(), "against")
        self.param.watch(lambda *_: self._look(), ["periods", "parts", "matched"])
        self.param.watch(lambda e: self.moments.param.update(row=e.new), "other")
        self.moments.param.watch(self._chosen, ["column", "row"])

    def close(self) -> None:
        """Follow the state no more."""
        super().close()
        self._ticker.stop()

    @property
    def matrix(self) -> np.ndarray:
        """(R, C) cosines: rows of one camera, columns of the other (or the same).

        Of more than `plots.FINE` rows or columns, means over several of them.
        """
        return self._matrix

    @property
    def sides(self) -> tuple[tuple[str, str], tuple[str, str]]:
        """(recording, camera) of the columns, of the rows."""
        recording = self.cursor.recording
        return (recording, self.columns), (self.against or recording, self.rows)

    # ---- the matrix

    def _build(self) -> hv.DynamicMap:
        return hv.DynamicMap(
            lambda **_: self._image(), streams=[hv.streams.Params(self, ["_version"])]
        )

    def _keep(self, plot: object, element: object) -> None:
        """Crosshair and overlays are part of the drawn plot: to move them draws nothing anew."""
        column, row = (plot.state.select_one(f"{self.moments.channel}-{n}") for n in LINES)
        if column is None:
            plot.state.toolbar.active_drag = None  # a drag plays both moments; Pan is a choice
            self.overlays.draw(plot.state, plot.handles["glyph"].color_mapper)
            plot.state.on_event("rangesupdate", self._zoomed)
            column, row = plots.crosshair()
            for line, name in zip((column, row), LINES, strict=True):
                line.name = f"{self.moments.channel}-{name}"
                plot.state.add_layout(line)
            self.moments.listen(plot.state, plot.handles["source"])
        first, last = self._frames[1][[0, -1]]
        column.location = float(np.clip(self.cursor.frame, first, last))
        row.location = float(self.other)

    def _image(self) -> hv.Image:
        if self.against:
            title = "Bright: alike moments of the two"
        elif self.rows == self.columns:
            title = "Bright off the diagonal: it comes again"
        else:
            title = "Bright diagonal: the cameras agree"
        (recording, columns), (other, rows) = self.sides
        names = [f"{other} {rows}", f"{recording} {columns}"] if self.against else [rows, columns]
        image = plots.similarity(self._matrix, *self._frames, *map(str, names), title)
        return image.opts(hooks=[plots.tidy, self._keep])

    def _busy(self) -> bool:
        return self._task is not None or self._zoom is not None

    def _zoomed(self, event: RangesUpdate) -> None:
        """Another part is seen; once that has not changed for a while, it is drawn finely."""
        columns, rows = sorted((event.x0, event.x1)), sorted((event.y0, event.y1))
        self._zoom = time.monotonic(), View(tuple(columns), tuple(rows))
        self._ticker.start()

    def look_closer(self, view: View) -> None:
        """Draw what is seen as finely as a screen can show it, where the whole is of means."""
        frames = self.embeddings.index["frame"].to_numpy()
        parts, ends, whole = [], [], True
        for side, (first, last) in zip(self.sides, (view.columns, view.rows), strict=True):
            rows = rows_of(self.embeddings, *side)
            half = step(frames[rows]) / 2
            seen = rows[(frames[rows] + half > first) & (frames[rows] - half < last)]
            if not len(seen):
                return
            parts.append(pooled(self.embeddings.z[seen], plots.FINE)[0])
            ends.append((frames[seen[0]] - half, frames[seen[-1]] + half))
            whole = whole and len(seen) == len(rows)
        self._view_of = None if whole else View(*ends)
        picture = None
        if self._coarse() and not whole:
            columns, rows = parts
            picture, _ = plots.shades(np.clip(rows @ columns.T, -1, 1), tuple(self.moments.scale))
        self.overlays.detail(picture, self._view_of)
        self._show()

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
        recording = self.cursor.recording
        all_cameras = {
            name: sorted(set(cameras)) for name, cameras in index.groupby("recording")["camera"]
        }
        self._body.visible = recording in all_cameras
        self.note.visible = not self._body.visible
        if not self._body.visible:
            name = escape(recording)
            self.note.object = (
                f"**{name}** has no features here: it is shorter than a clip, or came later. "
                "Choose another recording, or embed the data set again."
                if name
                else "Choose a recording on the Clips page, or a dot on the Map page."
            )
            return
        others = [n for n in self.dataset.recordings if n in all_cameras and n != recording]
        against = self.against if self.against in others else ""
        cameras = [all_cameras[against or recording], all_cameras[recording]]
        asked = (self.rows, self.columns)
        kept = [
            c if c in known else (asked[1] if asked[1] in known else known[0])
            for c, known in zip(asked, cameras, strict=True)
        ]
        with param.parameterized.discard_events(self):
            self.param.against.objects = ["", *others]
            self.against = against
            for name, value, known in zip(("rows", "columns"), kept, cameras, strict=True):
                self.param[name].objects = known
                setattr(self, name, value)
        options = {ITSELF: "", **{n: n for n in others}}
        self._other.param.update(options=options, value=against, visible=bool(others))
        for widget, value, known in zip(self._pickers, kept, cameras, strict=True):
            widget.param.update(options=known, value=value, visible=len(known) > 1)
        self._load()

    def _load(self) -> None:
        columns, rows = (rows_of(self.embeddings, *side) for side in self.sides)
        if not len(rows) or not len(columns):
            return
        tables = [pooled(self.embeddings.z[r], plots.FINE) for r in (rows, columns)]
        self._matrix = np.clip(tables[0][0] @ tables[1][0].T, -1, 1)
        frame = self.embeddings.index["frame"].to_numpy()
        frames = (frame[rows], frame[columns])
        self._frames = tuple(_centres(f, n) for f, (_, n) in zip(frames, tables, strict=True))
        with param.parameterized.discard_events(self):
            self.other = nearest(frames[0], self.other)
        self._view_of, self._zoom = None, None
        self.overlays.detail(None)
        self._version += 1
        (recording, _), (other, _) = self.sides
        path = np.zeros(0, np.int32)
        self.moments.show(
            self.dataset,
            recording,
            other,
            column=self.cursor.frame,
            row=self.other,
            rows=frames[0].tolist(),
            columns=frames[1].tolist(),
            pair=[str(self.rows), str(self.columns)],
            scale=list(plots.shades(self._matrix)[1]),
            path=path,
        )
        self.in_step.show(self.dataset, recording, other, path)
        self._look()

    # ---- what is drawn over it

    def _asked(self) -> list[tuple]:
        """What is to be looked for, as (kind, (recording, camera), ...)."""
        columns, rows = self.sides
        if self.against:
            return [(kind, columns, rows) for kind in ("match", "change") if self.matched]
        kinds = {"cycle": self.periods, "blocks": self.parts}
        return [(kind, columns) for kind, asked in kinds.items() if asked]

    def _look(self) -> None:
        """Look for what is to be drawn, in a thread; show what is known already."""
        for toggle, name in self._toggles:
            shown = bool(self.against) == (name == "matched")
            toggle.param.update(value=getattr(self, name), visible=shown)
        self._show()
        if self._task is None:
            missing = next((a for a in self._asked() if a not in self._looked), None)
            if missing:
                self._task = missing, Task(lambda: self._find(*missing))
                self._ticker.start()

    def _find(self, kind: str, *sides: tuple[str, str]) -> Cycle | Blocks | Match | Change | None:
        if kind == "cycle":
            return Cycle.of(self.embeddings, *sides[0])
        if kind != "blocks":
            return {"match": Match, "change": Change}[kind].of(self.embeddings, *sides)
        (recording, camera), index = sides[0], self.embeddings.index
        rows = rows_of(self.embeddings, recording, camera)
        train = (index["split"] == "train") & (index["recording"] != recording)
        normal = (train & (index["camera"] == camera)).to_numpy()
        z = self.embeddings.z
        return Blocks.of(z[rows], index["frame"].to_numpy()[rows], z[normal])

    def tick(self) -> None:
        """Draw what was looked for, once it is found; then look for what is left."""
        if self._zoom and time.monotonic() - self._zoom[0] > SETTLED:
            view, self._zoom = self._zoom[1], None
            self.look_closer(view)
        if self._task is None:
            if self._zoom is None:
                self._ticker.stop()
            return
        if not self._task[1].done:
            return
        asked, task = self._task
        self._task = None
        self._looked[asked] = task.result if task.error is None else task.error
        self._look()
        if not self._busy():
            self._ticker.stop()

    def _show(self) -> None:
        """Draw what is known of what is asked for."""
        found = {a[0]: self._looked[a] for a in self._asked() if a in self._looked}
        wrong = [str(v) for v in found.values() if isinstance(v, Exception)]
        self.found = Found(**{k: v for k, v in found.items() if not isinstance(v, Exception)})
        cycle, parts, match = self.found.cycle, self.found.blocks, self.found.match
        change = self.found.change
        self.overlays.cycles(cycle, self._view_of)
        self.overlays.blocks(parts if parts and len(parts.names) > 1 else None)
        (recording, _), (other, _) = self.sides
        lengths = [self.dataset.length(name) for name in (recording, other)]
        path = match.along(*lengths) if match else np.zeros(0, np.int32)
        self.overlays.path(*(match.frames if match else (path, path)))
        if not np.array_equal(path, self.moments.path):
            self.moments.param.update(path=path, running=False)
            self.in_step.show(self.dataset, recording, other, path)
        drifted = bool(change and change.drift)
        if drifted:
            self.drift.show(change.drift)
        self._drift.visible = drifted
        fps = [self.dataset.videos[self.dataset.cameras(n)[0]].fps for n in (recording, other)]
        said = [
            self._period(cycle, fps[0]) if cycle else "",
            blocks_in_words(parts, fps[0]) if parts else "",
            match_in_words(match) if match else "",
            change_in_words(change, (recording, other), fps) if change else "",
            *map(escape, wrong),
            "Looking …" if len(found) < len(self._asked()) else "",
            self._coarse(),
        ]
        lines = "".join(f"<div>{words}</div>" for words in said if words)
        self.caption.object = f'<div class="facts" style="font-size:13px;opacity:.85">{lines}</div>'

    def _period(self, cycle: Cycle, fps: float) -> str:
        every = lines_every(cycle, self._view_of) if cycle.period == cycle.period else 1
        return period_in_words(cycle, fps, every)

    def _coarse(self) -> str:
        cells, rows = self._matrix.shape, (len(self.moments.rows), len(self.moments.columns))
        if cells == rows:
            return ""
        return (
            f"{rows[0]:,} by {rows[1]:,} moments, shown as {cells[0]:,} by {cells[1]:,} means. "
            "Zoom in (wheel) to see what is quicker than a cell."
        )

    def _go_to_phase(self, phase: float) -> None:
        """A phase of the drift was clicked: the next moment there, and its match."""
        change, path = self.found.change, self.moments.path
        if change is None or change.drift is None or not len(path) or not 0 <= phase < 1:
            return
        frames = change.at(phase)
        if len(frames):
            frame = int(next((f for f in frames if f > self.cursor.frame), frames[0]))
            self.other = int(path[min(frame, len(path) - 1)])
            self.cursor.move(frame, "")

    def _layout(self) -> pn.viewable.Viewable:
        small = {"size": "small", "margin": (4, 8)}
        self._other = pmui.Select(label="Rows: recording", options=[], width=190, **small)
        self._other.param.watch(lambda e: self._pick("against", e.new), "value")
        self._pickers = [
            pmui.Select(label=label, options=[], width=150, **small)
            for label in ("Rows: camera", "Columns: camera")
        ]
        for name, widget in zip(("rows", "columns"), self._pickers, strict=True):
            widget.param.watch(lambda e, name=name: self._pick(name, e.new), "value")
        labels = {"periods": "Period lines", "parts": "Blocks", "matched": "Match the two"}
        self._toggles = [
            (pmui.Switch(label=label, value=True, size="small", margin=(10, 8)), name)
            for name, label in labels.items()
        ]
        for toggle, name in self._toggles:
            toggle.param.watch(lambda e, name=name: setattr(self, name, e.new), "value")
        self._pane = pn.pane.HoloViews(
            self._plot, sizing_mode="stretch_width", min_width=280, linked_axes=False
        )
        self.caption = pn.pane.HTML("", sizing_mode="stretch_width", margin=(2, 8))
        self._drift = pn.Column(
            pn.pane.Bokeh(self.drift.figure, sizing_mode="stretch_width", margin=(0, 4)),
            sizing_mode="stretch_width", margin=0, visible=False,
        )  # fmt: skip
        # left to themselves, rows of a grid and flex boxes squeeze a picture that can shrink
        wide = {"sizing_mode": "stretch_width", "margin": 0, "styles": {"display": "block"}}
        self._body = pn.Column(
            pn.FlexBox(self._other, *self._pickers, *(t for t, _ in self._toggles)),
            pn.Column(
                pn.Column(self._pane, self.caption, self._drift, **wide),
                pn.Column(self.moments, self.in_step, **wide),
                stylesheets=[BESIDE], sizing_mode="stretch_width",
            ),
            sizing_mode="stretch_width", styles={"container-type": "inline-size"},
        )  # fmt: skip
        return pn.Column(self.note, self._body, sizing_mode="stretch_width")

    def _pick(self, name: str, value: str) -> None:
        if value in self.param[name].objects:
            setattr(self, name, value)

    def __panel__(self) -> pn.viewable.Viewable:
        """The matrix beside the two moments."""
        return self._view


def _centres(frames: np.ndarray, n: int) -> np.ndarray:
    """Where the cells of n rows each lie: (ceil(T / n),) frames."""
    if n == 1:
        return frames
    cells = -(-len(frames) // n)
    return frames[0] + step(frames) * ((n - 1) / 2 + n * np.arange(cells))
