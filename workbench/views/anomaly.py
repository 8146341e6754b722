"""Anomalies: how far each moment is from normal ones, alarms, how right they are, and why."""

from __future__ import annotations

from html import escape

import numpy as np
import panel as pn
import panel_material_ui as pmui
import param

from workbench.analysis.anomaly import Budget
from workbench.analysis.embeddings import Embeddings
from workbench.data.manifest import DataSet
from workbench.views.anomaly_judge import (
    Alarm,
    Distances,
    Found,
    Judgement,
    Question,
    default_reference,
    judge,
    kinds_of,
    measure,
)
from workbench.views.anomaly_plots import Histogram, Timeline
from workbench.views.anomaly_table import score_table
from workbench.views.anomaly_why import Why, clock
from workbench.views.cards import Cards, Sheets
from workbench.views.playhead import Playhead
from workbench.views.plots import ANOMALY, palette
from workbench.views.selection import Cursor, Watching
from workbench.views.ticking import Task, Ticker

MOST = 200
"""Alarms that are listed."""
STEPS = 500
"""Places that the slider of the threshold has."""
HAND, BEST, NONE = "by hand", "best F1 (looks at the truth)", "none in what is normal here"
USUAL = "1 per hour"
BUDGETS = {f"{n:g} per hour": n for n in (0.1, 1.0, 6.0, 60.0)}
SMALL = {"size": "small", "margin": (4, 8)}


class AnomalyView(Watching, pn.viewable.Viewer):
    """The scores of the cursor's recording over time, the alarms of all, and why there is one.

    Distances are measured in a thread when the reference or the way of comparing changes; another
    threshold looks at what is measured. A click in the timeline moves the cursor, a click on an
    alarm opens it beside its nearest normal clip.
    """

    embeddings = param.ClassSelector(class_=Embeddings)
    dataset = param.ClassSelector(class_=DataSet)
    cursor = param.ClassSelector(class_=Cursor)
    question = param.ClassSelector(class_=Question, doc="What is normal and how it is compared.")
    judgement = param.ClassSelector(class_=Judgement, allow_None=True, doc="None: not yet.")
    threshold = param.Number(default=0.0, doc="Score from which on there is an alarm.")
    alarm = param.ClassSelector(class_=Alarm, allow_None=True, doc="The one that is explained.")

    def __init__(self, embeddings: Embeddings, dataset: DataSet, cursor: Cursor) -> None:
        super().__init__(embeddings=embeddings, dataset=dataset, cursor=cursor)
        self.found: Found | None = None
        self._task: Task | None = None
        self._distances: tuple[tuple, Distances] | None = None
        self._usual: list[str] = []  # the reference unless somebody chooses another one
        self._default = ""  # and why
        self._own = False  # the threshold is being set by the page itself
        self.timeline, self.histogram = Timeline(), Histogram()
        self.why = Why(embeddings, dataset)
        self.playhead = Playhead(cursor.channel)
        self.playhead.draw(self.timeline.figure)
        self._view = self._layout()
        self._ticker = Ticker(self.tick, lambda: self._view, lambda: self._task is not None, 100)
        self._watch(cursor, self._follow, ["recording", "frame"])
        self.playhead.param.watch(self._lead, "frame")
        self._begin()

    # -- what is asked

    def _begin(self) -> None:
        """The usual question about this data set."""
        kinds, abnormal = kinds_of(self.dataset)
        there = set(self.embeddings.index["recording"])
        names = [n for n in self.dataset.recordings if n in there]
        self._usual, self._default = default_reference(self.dataset, names, abnormal)
        cameras = sorted(set(self.embeddings.index["camera"]))
        self.abnormal.param.update(options=kinds, value=abnormal, visible=bool(kinds))
        self.reference.param.update(options=names, value=self._usual)
        ways = {"largest of cameras": (None, False), "mean of cameras": (None, True)}
        ways |= {f"camera {c}": (c, False) for c in cameras}
        self.scores.param.update(options=ways, value=(None, False), visible=len(cameras) > 1)
        for widget in self._settings:
            widget.param.watch(lambda _: self._ask(), "value")
        self._ask()

    def _ask(self) -> None:
        camera, mean = self.scores.value
        self.question = Question(
            tuple(self.reference.value), frozenset(self.abnormal.value), self.k.value,
            self.metric.value, self.phase.value, self.seconds.value, camera, mean,
        )  # fmt: skip
        n = len(self.question.reference)
        self.reference.value_label = f"{n} recordings" if n > 2 else ""
        many = len(self.question.abnormal)
        self.abnormal.value_label = f"{many} labels" if many > 2 else ""
        if not n:
            self.judgement = None
            self._body.visible = False
            self._say(
                "Choose at least one recording of the normal process: what is far from all its "
                "moments is strange.", "warning",
            )  # fmt: skip
        elif self._task is None:
            self._start()

    def _start(self) -> None:
        e, dataset, question, known = (
            self.embeddings, self.dataset, self.question, self._distances,
        )  # fmt: skip

        def work() -> tuple[Judgement, Distances]:
            same = known is not None and known[0] == question.distances
            distances = known[1] if same else measure(e, dataset, question)
            judgement = judge(e, dataset, question, distances)
            _ = judgement.average_precision, judgement.auroc, judgement.best  # kept from here on
            return judgement, distances

        self._task = Task(work)
        self._task.question = question
        self.busy.visible = True
        self._ticker.start()

    def tick(self) -> None:
        """Look whether the scores are there."""
        if self._task is None or not self._task.done or self.closed:
            return
        task, self._task = self._task, None
        if task.error is None:
            self._distances = (task.question.distances, task.result[1])
        if not self.question.reference:
            pass
        elif task.question != self.question:
            self._start()
            return
        elif task.error is not None:
            self._body.visible = False
            self._say(f"**No scores.** {escape(str(task.error))}", "error")
        else:
            with pn.io.hold():
                self._show(task.result[0])
        self.busy.visible = False
        self._ticker.stop()

    def wait(self, seconds: float = 60.0) -> None:
        """Wait for the scores where no page asks for them."""
        while self._task is not None and self._task.wait(seconds):
            self.tick()

    # -- what is answered

    def _show(self, judgement: Judgement) -> None:
        self.judgement = judgement
        if not judgement.recordings:
            self._body.visible = False
            self._say("No recording has scores as this camera sees it. Choose another one.", "info")
            return
        self._body.visible = True
        self._say(self._words(), "info")
        self._choices()
        top = judgement.highest
        self.slider.param.update(end=1.05 * top, step=1.05 * top / STEPS)
        self.histogram.show(judgement.scores, judgement.abnormal, top)
        self.worst.items = self._recordings()
        self._open()
        self._aim(self.aim.value)

    def _words(self) -> str:
        j, n = self.judgement, len(self.question.reference)
        if list(self.question.reference) == self._usual:
            said = [self._default]
        else:
            said = [f"{n} recording{'s' * (n != 1)} taken as normal."]
        if all(r.reference for r in j.recordings):
            said.append(
                "There are no others to judge, so each is compared with the others of the "
                "reference, or, where it is alone, with its own other moments: what comes only "
                "once looks strange."
            )
        else:
            m = len(j.judged)
            said.append(f"{m} {'others are' if m > 1 else 'other is'} judged.")
        if not self.question.abnormal:
            said.append("No label names an anomaly, so how right alarms are cannot be said.")
        return " ".join([*said, *j.distances.notes])

    def _say(self, text: str, severity: str) -> None:
        self.note.param.update(object=text, severity=severity, visible=bool(text))

    def _choices(self) -> None:
        """The ways to choose a threshold that there are for this data."""
        ways = [NONE, *BUDGETS] if self.judgement.has_normal else []
        if self.judgement.abnormal.any():
            ways.append(BEST)
        kept = self.aim.value
        if kept not in ways and kept != HAND:
            kept = (ways or [HAND])[0]  # a rate, where the normal video is long enough to know it
            if NONE in ways and not self.judgement.budget(BUDGETS[USUAL]).extrapolated:
                kept = USUAL
        self._own = True
        self.aim.param.update(options=[*ways, HAND], value=kept)
        self._own = False

    def _aim(self, way: str) -> None:
        """Choose the threshold in one of these ways."""
        j, said = self.judgement, ""
        if way == BEST:
            f1, threshold = j.best
            said = f"F1 {f1:.3f}: no threshold does better on what is judged here."
        elif way == NONE:
            threshold, hours = j.above_normal, j.budget(BUDGETS[USUAL]).hours
            said = f"Just above the highest score in {60 * hours:.1f} minutes of {self._normal()}."
        elif way in BUDGETS:
            budget = j.budget(BUDGETS[way])
            threshold, said = budget.threshold, self._how(budget)
        else:
            threshold = self.threshold or 0.5 * j.highest
        self.how.object = f'<div style="font-size:12px;opacity:.75">{said}</div>'
        self._set(threshold)

    def _how(self, budget: Budget) -> str:
        text = f"From {60 * budget.hours:.1f} minutes of {self._normal()}"
        if budget.extrapolated:
            return (
                f"{text}: too short to see alarms so rare, one in it stands for "
                f"{budget.resolution:.0f} per hour. The threshold is a guess drawn out from its "
                "highest scores; longer normal video makes it better."
            )
        return f"{text}: at this threshold there are {budget.allowed} alarms in them."

    def _normal(self) -> str:
        """What thresholds come from."""
        recordings, held = self.judgement.normal
        names = ", ".join(escape(r.recording) for r in recordings[:3])
        names += f" and {len(recordings) - 3} more" if len(recordings) > 3 else ""
        if held:
            return f"normal recordings outside the reference ({names})"
        return f"the reference itself, each moment compared with others of it ({names})"

    def _set(self, threshold: float) -> None:
        """Put lines and slider at a threshold, and tell what it finds."""
        end = self.slider.end
        self._own = True
        if threshold > end:
            self.slider.param.update(end=1.02 * threshold, step=1.02 * threshold / STEPS)
        self.slider.value = float(threshold)
        self._own = False
        for line in (self.timeline.threshold, self.histogram.threshold):
            line.location = float(threshold)
        self.threshold = float(threshold)
        self._tell()
        self._list()

    def _slid(self, event: param.parameterized.Event) -> None:
        """The slider was moved: the browser has moved the lines already."""
        if self._own or self.judgement is None:
            return
        self.threshold = float(event.new)
        self._own = True
        self.aim.value = HAND
        self._own = False
        self.how.object = ""
        self._tell()

    def _tell(self) -> None:
        """How right the alarms are at this threshold, and where they are in this recording."""
        self.found = self.judgement.at(self.threshold)
        self.table.object = score_table(self.judgement, self.found)
        self._mark()

    def _mark(self) -> None:
        judged = self.judgement.of(self.cursor.recording)
        if judged is None:
            return
        spans = judged.alarms(self.threshold)
        frames = np.append(judged.frames, judged.frames[-1] + judged.step)
        self.timeline.mark(frames[spans] - judged.step / 2)
        self._push()

    def _list(self) -> None:
        """The alarms as cards, and one of them explained."""
        alarms = self.found.alarms
        self.cards.items = self._items(alarms[:MOST])
        self._tabs_named(len(alarms))
        if not alarms:
            self.alarm = None
            self._explained.visible = False
            return
        old = self.alarm
        same = [
            a for a in alarms
            if old and a.recording == old.recording and a.start < old.stop and old.start < a.stop
        ]  # fmt: skip
        self.explain(same[0] if same else alarms[0], go=False)

    def explain(self, alarm: Alarm, go: bool = True) -> None:
        """Show an alarm beside its nearest normal clip; go: play them, and move the cursor."""
        self.alarm = alarm
        alarms = self.found.alarms
        k = alarms.index(alarm)
        self.cards.selected = str(k)
        self.place.object = f"<b>Why: alarm {k + 1} of {len(alarms)}</b>"
        self.back.disabled, self.ahead.disabled = k == 0, k == len(alarms) - 1
        self._explained.visible = True
        self.why.open(self.judgement, alarm, play=go)
        if go:
            self.cursor.move(alarm.peak, self.name, alarm.recording)

    def step(self, by: int) -> None:
        """Explain the next alarm, or the one before."""
        if self.alarm is not None:
            k = self.found.alarms.index(self.alarm) + by
            if 0 <= k < len(self.found.alarms):
                self.explain(self.found.alarms[k])

    # -- lists

    def _items(self, alarms: tuple[Alarm, ...]) -> list[dict]:
        sheets, items = Sheets(self.dataset), []
        colors = palette(self.abnormal.options)
        for k, a in enumerate(alarms):
            fps = self.judgement.of(a.recording).fps
            chip = {"text": a.kind, "color": colors.get(a.kind)} if a.kind else None
            if chip is None and self.question.abnormal:
                chip = {"text": "no anomaly known"}
            about = f"{clock(a.start / fps)} · {(a.stop - a.start) / fps:.1f} s"
            items.append(self._card(sheets, str(k), a.recording, about, a.peak, a.score, chip))
        return items

    def _recordings(self) -> list[dict]:
        sheets, items = Sheets(self.dataset), []
        scored = [r for r in self.judgement.recordings if r.worst() >= 0]
        for r in sorted(scored, key=lambda r: (r.reference, -r.scores[r.worst()])):
            k = r.worst()
            frame, kinds = int(r.frames[k]), sorted(set(r.labels[r.abnormal].astype(str)))
            chip = {"text": ", ".join(kinds), "color": ANOMALY} if kinds else None
            chip = {"text": "reference"} if r.reference else chip
            about = f"strangest at {clock(frame / r.fps)}"
            name = r.recording
            items.append(self._card(sheets, name, name, about, frame, r.scores[k], chip))
        return items

    def _card(self, sheets: Sheets, key, name, about, frame, score, chip) -> dict:
        video = self.dataset.cameras(name)[0]
        sheet = sheets(video)
        shown = frame + self.dataset.videos[video].offset
        return {
            "id": key, "title": name, "caption": about, "badge": f"{score:.3f}",
            "chips": [chip] if chip else [],
            "sheet": sheet, "at": sheets.thumbnail(video, shown) if sheet else 0,
        }  # fmt: skip

    def _go(self, recording: str) -> None:
        """To the strangest moment of a recording."""
        judged = self.judgement.of(recording)
        self.cursor.move(int(judged.frames[judged.worst()]), self.name, recording)

    # -- the cursor

    def _follow(self, *events: param.parameterized.Event) -> None:
        if any(e.name == "recording" for e in events):
            self._open()
        self.playhead.frame = self.cursor.frame

    def _lead(self, event: param.parameterized.Event) -> None:
        if event.new != self.cursor.frame:
            self.cursor.move(event.new, self.name)

    def _open(self) -> None:
        """Show the cursor's recording in the timeline."""
        if self.judgement is None:
            return
        judged = self.judgement.of(self.cursor.recording)
        self._pane.visible = judged is not None
        self.lost.visible = judged is None
        name = escape(self.cursor.recording)
        if judged is None:
            self.lost.object = (
                f"**{name}** has no scores: it is shorter than a clip, or this camera did not film "
                "it. Choose another one below."
            )
            return
        plot, top = self.timeline, max(self.judgement.highest, self.threshold)
        plot.show(judged.frames, judged.scores, judged.fps, top)
        frames = np.append(judged.frames, judged.frames[-1] + judged.step) - judged.step / 2
        runs = [
            (float(frames[a]), float(frames[b]), str(judged.labels[a])) for a, b in judged.events
        ]
        plot.tell(runs, self.abnormal.options, top)
        part = ", part of the reference" if judged.reference else ""
        plot.figure.title.text = (
            f"{self.cursor.recording}{part}: red is an alarm; click to go there"
        )
        self.playhead.param.update(
            last=self.dataset.length(judged.recording) - 1, frame=self.cursor.frame
        )
        if self.found is not None:
            self._mark()

    def _push(self) -> None:
        """In a notebook cell, plots are told of changes one by one."""
        if not (pn.state.curdoc and pn.state.curdoc.session_context):
            for pane in (self._pane, self._histogram, self.why._pane):
                if pane._models:
                    pn.io.push_notebook(pane)

    # -- the page

    def _layout(self) -> pn.viewable.Viewable:
        self.reference = pmui.MultiChoice(
            label="Normal recordings", options=[], visual_size="small", width=230, margin=(4, 8)
        )
        self.abnormal = pmui.MultiChoice(
            label="Abnormal labels", options=[], visual_size="small", width=190, margin=(4, 8)
        )
        self.k = pmui.Select(label="k-th nearest", options=[1, 3, 5, 10], width=110, **SMALL)
        metrics = {"Euclidean": "euclidean", "cosine": "cosine"}
        self.metric = pmui.Select(label="Distance", options=metrics, width=120, **SMALL)
        spans = {"not": 0.0, "0.2 s": 0.2, "0.5 s": 0.5, "1 s": 1.0, "2 s": 2.0, "5 s": 5.0}
        self.seconds = pmui.Select(label="Smoothed", options=spans, value=0.5, width=110, **SMALL)
        self.scores = pmui.Select(
            label="Scores", options={"all": (None, False)}, width=190, **SMALL
        )
        self.phase = pmui.Switch(label="Equal phases only", margin=(12, 8))
        self._settings = (
            self.reference, self.abnormal, self.phase, self.scores, self.k, self.metric,
            self.seconds,
        )  # fmt: skip
        self.busy = pmui.LinearProgress(
            variant="indeterminate", sizing_mode="stretch_width", margin=(0, 8), visible=False
        )
        wide = {"sizing_mode": "stretch_width"}
        self.note = pmui.Alert(severity="info", visible=False, margin=(4, 8), **wide)
        self.lost = pmui.Alert(severity="info", visible=False, margin=(4, 8), **wide)
        self.slider = pmui.FloatSlider(
            label="Threshold", start=0.0, end=1.0, step=0.002, value=0.0, format="0.000",
            margin=(4, 16), min_width=220, **wide,
        )  # fmt: skip
        self.slider.param.watch(self._slid, "value")
        self.slider.param.watch(lambda _: self._own or self._list(), "value_throttled")
        for line in (self.timeline.threshold, self.histogram.threshold):
            self.slider.jscallback(args={"line": line}, value="line.location = cb_obj.value")
        self.aim = pmui.Select(label="False alarms on normal video", options=[], width=230, **SMALL)
        self.aim.param.watch(lambda e: self._own or self._aim(e.new), "value")
        self.how = pn.pane.HTML("", margin=(0, 16), **wide)
        self.table = pn.pane.HTML("", margin=(4, 8), **wide)
        self._pane = pn.pane.Bokeh(self.timeline.figure, margin=(0, 4), **wide)
        self._histogram = pn.pane.Bokeh(self.histogram.figure, margin=(0, 4), **wide)
        grid = {
            "display": "grid", "gap": "12px",
            "grid-template-columns": "repeat(auto-fit, minmax(min(100%, 300px), 1fr))",
        }  # fmt: skip
        self.place = pn.pane.HTML("", margin=(10, 8))
        flat = {"variant": "outlined", "size": "small", "margin": (6, 4)}
        self.back = pmui.Button(label="Stranger one", icon="navigate_before", **flat)
        self.ahead = pmui.Button(label="Next alarm", icon="navigate_next", **flat)
        self.back.on_click(lambda _: self.step(-1))
        self.ahead.on_click(lambda _: self.step(1))
        self._explained = pn.Column(
            pn.Row(self.place, self.back, self.ahead), self.why, visible=False, **wide
        )
        self.cards = Cards(
            lambda k: self.explain(self.found.alarms[int(k)]), title="alarms", card_width=150,
            empty="No alarm at this threshold.",
        )  # fmt: skip
        self.worst = Cards(self._go, title="recordings by their strangest moment", card_width=150)
        self.tabs = pmui.Tabs(("Alarms", self.cards), ("Recordings", self.worst), **wide)
        self._body = pn.Column(
            pn.FlexBox(self.aim, self.slider, flex_wrap="wrap", **wide), self.how, self.lost,
            self._pane, self.playhead,
            pn.Column(self.table, self._histogram, styles=grid, **wide),
            self._explained, self.tabs, visible=False, **wide,
        )  # fmt: skip
        return pn.Column(
            pn.FlexBox(*self._settings, flex_wrap="wrap", align_items="center", **wide),
            self.busy, self.note, self._body, **wide,
        )  # fmt: skip

    def _tabs_named(self, alarms: int) -> None:
        shown = f", the {MOST} strangest are shown" if alarms > MOST else ""
        self.tabs[:] = [(f"Alarms ({alarms}{shown})", self.cards), ("Recordings", self.worst)]

    def close(self) -> None:
        """Follow the state no more, nor wait for scores."""
        super().close()
        self._ticker.stop()

    def __panel__(self) -> pn.viewable.Viewable:
        """The settings, the timeline, how right alarms are, why there is one, and all of them."""
        if self._task is not None:
            self._ticker.start()
        return self._view
