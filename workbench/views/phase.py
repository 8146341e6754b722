"""Where in its cycle a process is: the phase of a recording, its repetitions, and what is odd."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

import numpy as np
import panel as pn
import panel_material_ui as pmui
import param

from workbench.analysis.anomaly import anomaly_scores, smooth
from workbench.analysis.embeddings import Embeddings
from workbench.analysis.phase import align_phase, by_phase, phase_error
from workbench.analysis.similarity import unit
from workbench.data.manifest import DataSet
from workbench.views.anomaly_judge import default_reference, kinds_of
from workbench.views.cycle import SHORTEST, Cycle, rows_of
from workbench.views.phase_plots import OverCycle, OverTime
from workbench.views.playhead import Playhead
from workbench.views.repeats import Repeats
from workbench.views.selection import Cursor, Watching
from workbench.views.ticking import Task, Ticker

COARSE = 8
"""Rows of a cycle below which its phases are told apart badly."""
FINE = 16
"""Rows that a cycle is to have where somebody is advised how densely to embed."""
SECONDS = 0.5
"""Scores are averaged over so long."""
WORDS = {"curve": "main direction", "distance": "distance to the mean"}


@dataclass(frozen=True)
class Seen:
    """What the page shows of a recording as one camera sees it; T rows, in order of time."""

    cycle: Cycle
    distance: np.ndarray
    """(T,) of each row to the mean at its phase, NaN where it has none."""
    scores: np.ndarray | None
    """(T,) smoothed distances to the nearest normal row; None where nothing is known as normal."""
    strange: tuple[tuple[int, int, str], ...]
    """Frames [start, stop) and label of what is known to be abnormal."""


def look(embeddings: Embeddings, dataset: DataSet, recording: str, camera: str) -> Seen | None:
    """What there is to see; None where there are no features. It takes as long as `Cycle.of`."""
    cycle = Cycle.of(embeddings, recording, camera)
    if cycle is None:
        return None
    video = dataset.videos[dataset.cameras(recording)[0]]
    z, distance = embeddings.z[cycle.rows], np.full(len(cycle.rows), np.nan)
    if cycle.repeats:
        u, bins = unit(z), _bins(cycle)
        mean = by_phase(u, cycle.phase, bins)[1]
        known = np.isfinite(cycle.phase)
        at = (cycle.phase[known] * bins).astype(int) % bins
        distance[known] = np.sqrt(((u[known] - mean[at]) ** 2).sum(axis=1))
    normal, abnormal = normal_recordings(embeddings, dataset)
    bank = [rows_of(embeddings, name, camera) for name in normal if name != recording]
    rows, scores = np.concatenate([np.zeros(0, int), *bank]), None
    if len(rows):
        found = anomaly_scores(z, embeddings.z[rows])[0]
        scores = smooth(found, SECONDS * video.fps / cycle.hop)
    strange = [(s.start, s.stop, s.label) for s in video.segments if s.label in abnormal]
    return Seen(cycle, distance, scores, tuple(strange) if normal else ())


def normal_recordings(embeddings: Embeddings, dataset: DataSet) -> tuple[list[str], set[str]]:
    """Recordings of the normal process, and the labels of what is not; none where nobody says."""
    abnormal = set(kinds_of(dataset)[1])
    here = set(embeddings.index["recording"])
    names = [name for name in dataset.recordings if name in here]
    if not abnormal or not names:
        return [], set()
    labels = {
        name: _labels(dataset, name) for name in default_reference(dataset, names, abnormal)[0]
    }
    return [name for name, shown in labels.items() if not shown & abnormal], abnormal


def _labels(dataset: DataSet, recording: str) -> set[str | None]:
    video = dataset.videos[dataset.cameras(recording)[0]]
    return {s.label for s in video.segments} or {video.label}


def _bins(cycle: Cycle) -> int:
    return int(np.clip(round(cycle.period), 4, 50))


class PhaseView(Watching, pn.viewable.Viewer):
    """The cursor's recording: which repetition, the same phase in all of them, phase over time.

    The playhead moves in the browser; a click in any picture moves the cursor. embed: the command
    that embeds the data set, to which a denser hop can be added.
    """

    embeddings = param.ClassSelector(class_=Embeddings)
    dataset = param.ClassSelector(class_=DataSet)
    cursor = param.ClassSelector(class_=Cursor)
    camera = param.Selector(default=None, objects=[], doc="Camera whose features are shown.")
    shown = param.Selector(default="curve", objects=list(Repeats.VALUES), doc="Over the cycle.")
    embed = param.String(default="", doc="A command.")

    def __init__(
        self, embeddings: Embeddings, dataset: DataSet, cursor: Cursor, **params: object
    ) -> None:
        super().__init__(embeddings=embeddings, dataset=dataset, cursor=cursor, **params)
        self.seen: Seen | None = None
        self._task: Task | None = None
        self.note = pmui.Alert(severity="info", visible=False, sizing_mode="stretch_width")
        self.caption = pn.pane.HTML("", sizing_mode="stretch_width", margin=(2, 8))
        self.repeats = Repeats(cursor.channel, margin=(4, 8))
        self.time, self.cycle = OverTime(), OverCycle()
        self.playheads = [Playhead(cursor.channel) for _ in range(2)]
        for playhead, plot in zip(self.playheads, (self.time.curve, self.time.phase), strict=True):
            playhead.draw(plot)
        self.repeats.draw(self.cycle.figure, self.cycle.present)
        self._view = self._layout()
        self._ticker = Ticker(self.tick, lambda: self._view, lambda: self._task is not None, 200)
        self._open()
        self._watch(cursor, self._follow, ["recording", "frame"])
        self.param.watch(lambda _: self._load(), "camera")
        self.param.watch(lambda _: self._show_cycle(), "shown")
        for lead in (self.repeats, *self.playheads):
            lead.param.watch(self._lead, "frame")

    def close(self) -> None:
        """Follow the state no more."""
        super().close()
        self._ticker.stop()

    def _lead(self, event: param.parameterized.Event) -> None:
        """A picture was clicked in the browser, or follows the cursor."""
        if event.new != self.cursor.frame:
            self.cursor.move(event.new, self.name)

    def _follow(self, *events: param.parameterized.Event) -> None:
        if any(e.name == "recording" for e in events):
            self._open()
        for follower in (self.repeats, *self.playheads):
            follower.frame = self.cursor.frame

    def _open(self) -> None:
        """Show the cursor's recording."""
        index = self.embeddings.index
        here = index["recording"].to_numpy() == self.cursor.recording
        cameras = sorted(set(index["camera"].to_numpy()[here]))
        if not cameras:
            name = escape(self.cursor.recording)
            self._empty(
                f"**{name}** has no features here: it is shorter than a clip, or came later. "
                "Choose another recording, or embed the data set again."
                if name
                else "Choose a recording on the Clips page, or a dot on the Map page."
            )
            self._picker.visible = False
            return
        kept = self.camera if self.camera in cameras else cameras[0]
        with param.parameterized.discard_events(self):
            self.param.camera.objects = cameras
            self.camera = kept
        self._picker.param.update(options=cameras, value=kept, visible=len(cameras) > 1)
        self._load()

    def _load(self) -> None:
        self._picker.value = self.camera
        asked = self.embeddings, self.dataset, self.cursor.recording, self.camera
        if Cycle.ready(self.embeddings, *asked[2:]):
            self._task = None
            self._show(lambda: look(*asked))
        else:
            self._task = Task(lambda: look(*asked))
            self._empty("Looking for what repeats. In a long recording this takes some seconds.")
            self._ticker.start()

    def tick(self) -> None:
        """Show what was looked for, once it is found."""
        task = self._task
        if task is None or not task.done:
            return
        self._task = None
        self._ticker.stop()
        self._show(lambda: _result(task))

    def _show(self, found) -> None:
        try:
            self.seen = found()
        except ValueError as error:  # features that are no numbers, say
            self._empty(escape(str(error)), "error")
            return
        seen, cycle = self.seen, self.seen.cycle
        video = next(
            v
            for v in self.dataset.cameras(self.cursor.recording)
            if self.dataset.videos[v].camera == self.camera
        )
        fps, last = self.dataset.videos[video].fps, self.dataset.length(self.cursor.recording) - 1
        frame = self.cursor.frame
        with pn.io.hold():
            curves = cycle.frames, cycle.curve, cycle.phase, cycle.number
            self.time.show(*curves, seen.scores, fps)
            self.time.mark(seen.strange)
            truth = self._truth()
            self.time.tell(cycle.frames[: len(truth)], truth)
            for playhead in self.playheads:
                playhead.param.update(last=last, frame=frame)
            self._body.visible = True
            self._repeating.visible = self._phase.visible = cycle.repeats
            self.repeats.show(self.dataset, video, cycle, seen.distance, frame)
            self._show_cycle()
            text, severity = self._advice(fps)
            self.note.param.update(object=text, severity=severity, visible=bool(text))
            self.caption.object = self._facts(truth)

    def _show_cycle(self) -> None:
        """The band over the cycle."""
        if self.seen is None or not self.seen.cycle.repeats:
            return
        cycle = self.seen.cycle
        values = {"curve": cycle.curve, "distance": self.seen.distance}[self.shown]
        band = by_phase(values, cycle.phase, _bins(cycle))
        self.cycle.show(*band, values[np.isfinite(cycle.phase)], WORDS[self.shown])
        self.repeats.value = Repeats.VALUES.index(self.shown)

    def _empty(self, text: str, severity: str = "info") -> None:
        self.seen = None
        self._body.visible = False
        self.note.param.update(object=text, severity=severity, visible=True)

    def _truth(self) -> np.ndarray:
        """(T,) the true phase of each row, turned as the found one is; (0,) where none is known."""
        truth, cycle = self.dataset.truth, self.seen.cycle
        if truth is None:
            return np.zeros(0)
        mine = truth[truth["recording"] == self.cursor.recording].set_index("frame")["phase"]
        found = mine.reindex(cycle.frames).to_numpy(float)
        if not np.isfinite(found).any():
            return np.zeros(0)
        return align_phase(found, cycle.phase) if cycle.repeats else found

    def _facts(self, truth: np.ndarray) -> str:
        """What was found, in a line."""
        seen, cycle, parts = self.seen, self.seen.cycle, []
        if cycle.repeats:
            parts.append(
                f"{cycle.repetitions.count:.1f} cycles in all · confidence "
                f"{cycle.confidence:.2f} · {cycle.period * cycle.hop:.0f} frames per cycle, a "
                f"window every {cycle.hop:g}"
            )
        if len(truth):
            error = phase_error(cycle.phase, truth)
            rows = self.dataset.truth
            mine = rows[rows["recording"] == self.cursor.recording]["repetition"]
            count = f"{mine[mine >= 0].nunique()} true repetitions"
            if np.isfinite(error):
                count += f", phase error {error:.3f} of a cycle (chance 0.25)"
            parts.append(count)
        if seen.scores is not None:
            n = len(seen.strange)
            known = f"{n} known anomal{'y' if n == 1 else 'ies'}, shaded"
            parts.append(f"red: far from normal recordings · {known if n else 'no known anomaly'}")
        return f'<div class="facts" style="font-size:13px;opacity:.8">{" · ".join(parts)}</div>'

    def _advice(self, fps: float) -> tuple[str, str]:
        """What to do where nothing was found or little can be; "" where all is well."""
        cycle = self.seen.cycle
        rows, hop = len(cycle.rows), cycle.hop
        text = ""
        if not cycle.repeats:
            name, camera = escape(self.cursor.recording), escape(str(self.camera))
            text = f"**No repetition found** in {name} as {camera} sees it. "
        if np.isfinite(cycle.alias):
            text += (
                f"Something may repeat every {cycle.alias:.1f} windows "
                f"({cycle.alias * hop / fps:.2f} s), which are too few to tell phases apart"
            )
            text += ": a repetition here may be several of them. " if cycle.repeats else ". "
            return text + self._denser(cycle.alias * hop / FINE), "warning"
        if cycle.repeats:
            if cycle.period >= COARSE or hop <= 1:
                return "", "info"
            text = f"A cycle has only {cycle.period:.0f} windows, so its phases are coarse. "
            return text + self._denser(cycle.period * hop / FINE), "info"
        if rows < 2 * SHORTEST:
            text += (
                f"It has {rows} window{'s' * (rows != 1)}, and a cycle of at least {SHORTEST} must "
                "come twice. "
            )
            return text + self._denser(hop * rows / (4 * FINE)), "warning"
        text += (
            f"Cycles of {SHORTEST * hop / fps:.1f} to {rows // 2 * hop / fps:.1f} s were looked "
            "for, each coming at least twice, and none is clear: this may happen once only, or "
            "the network does not see it. "
        )
        return text + (self._denser(hop / 4, "For quicker cycles") if hop > 1 else ""), "info"

    def _denser(self, hop: float, when: str = "To see more") -> str:
        now = self.seen.cycle.hop
        if now <= 1:
            return "Windows are one frame apart already."
        how = f"--hop {int(np.clip(hop, 1, max(1, now - 1)))}"
        command = f":\n\n    {self.embed} {how}" if self.embed else f", with {how}."
        return f"{when}, embed denser (now a window every {now:g} frames){command}"

    def _layout(self) -> pn.viewable.Viewable:
        self._picker = pmui.Select(
            label="Camera", options=[], size="small", width=170, margin=(4, 8), visible=False
        )
        self._picker.param.watch(lambda e: self._pick(e.new), "value")
        over = pmui.RadioButtonGroup(
            options={v.capitalize(): k for k, v in WORDS.items()}, value=self.shown, size="small",
            margin=(8, 8, 0, 8), sx={"& button": {"textTransform": "none", "whiteSpace": "nowrap"}},
        )  # fmt: skip
        over.param.watch(lambda e: self.param.update(shown=e.new), "value")
        wide = {"sizing_mode": "stretch_width", "margin": (2, 4)}
        curve, phase, cycle = (
            pn.pane.Bokeh(plot, **wide)
            for plot in (self.time.curve, self.time.phase, self.cycle.figure)
        )
        self._phase = pn.Column(phase, sizing_mode="stretch_width", margin=0)
        self._repeating = pn.Column(over, cycle, sizing_mode="stretch_width", margin=0)
        self._body = pn.Column(
            self.repeats, self.caption, *self.playheads, curve, self._phase, self._repeating,
            sizing_mode="stretch_width", margin=0, visible=False,
        )  # fmt: skip
        return pn.Column(self._picker, self.note, self._body, sizing_mode="stretch_width")

    def _pick(self, camera: str | None) -> None:
        if camera in self.param.camera.objects:
            self.camera = camera

    def __panel__(self) -> pn.viewable.Viewable:
        """What repeats above its course over time and over the cycle."""
        return self._view


def _result(task: Task) -> Seen:
    if task.error is not None:
        raise task.error
    return task.result
