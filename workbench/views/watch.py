"""One run as it trains: curves, pace, state, log; it can be stopped and resumed.

All that is shown is in the folder of the run, so any number of pages may watch it, and a page that
is opened later shows the same.
"""

from __future__ import annotations

import math
from html import escape
from pathlib import Path
from typing import Any

import panel as pn
import panel_material_ui as pmui
import param

from workbench.training.evaluate import ADVICE, collapse
from workbench.training.jobs import Job, Status
from workbench.training.run import Run, RunError
from workbench.views.curves import CurvePlot, Smoother
from workbench.views.tail import Tail
from workbench.views.ticking import Task, Ticker
from workbench.workspace import Workspace

STATES = {  # state -> (what it is called, colour of the badge)
    "none": ("not started", "default"),
    "pending": ("starting", "info"),
    "running": ("training", "primary"),
    "stopping": ("stopping...", "warning"),
    "finished": ("finished", "success"),
    "stopped": ("stopped, resumable", "warning"),
    "failed": ("failed", "error"),
    "interrupted": ("interrupted, resumable", "warning"),
}
RESUMABLE = ("stopped", "failed", "interrupted")
HEALTH = ("collapsed", "feature_", "projected_")
LOG_LINES = 200
CURVES = {
    "display": "grid",
    "grid-template-columns": "repeat(auto-fit, minmax(330px, 1fr))",
    "gap": "4px",
}
SCORES = {"knn": "knn", "alignment": "alignment", "held_out_accuracy": "held_out"}
"""What is logged now and then -> the plot that shows it."""


class RunWatch(pn.viewable.Viewer):
    """What a run is doing. `run` names it ("" for none); it may be changed at any time."""

    run = param.String(default="", doc="Name of the run that is watched.")
    state = param.String(default="none", doc="Its state, as last seen; a key of STATES.")

    def __init__(self, workspace: Workspace, run: str = "", *, ticking: bool = True) -> None:
        super().__init__()
        self.workspace = workspace
        self._ticker = (
            Ticker(self.tick, lambda: self._view) if ticking else None
        )  # None: whoever mounts it ticks
        self._task: Task | None = None  # a stop or a resume under way
        self._stopping = False
        self._build()
        self.param.watch(lambda _: self._open(), "run")
        self._open()
        self.run = run

    # ---- what is shown

    def _build(self) -> None:
        self._name = pmui.Typography("", variant="h6", margin=(4, 8))
        self._badge = pmui.Chip(label="starting", size="small", align="center")
        self.stop_button = pmui.Button(
            label="Stop", icon="stop", color="error", variant="outlined", size="small"
        )
        self.resume_button = pmui.Button(
            label="Resume", icon="play_arrow", variant="outlined", size="small"
        )
        self.stop_button.on_click(lambda _: self.stop())
        self.resume_button.on_click(lambda _: self.resume())
        self._bar = pmui.LinearProgress(
            value=0, variant="determinate", sizing_mode="stretch_width", margin=(6, 8)
        )
        self._origin = pmui.Typography("", variant="body2", margin=(0, 8), visible=False)
        self._facts = pmui.Typography("", variant="body2", margin=(0, 8))
        self._verdict = pmui.Alert(
            severity="info", visible=False, sizing_mode="stretch_width", margin=(6, 8)
        )
        self._trouble = pmui.Alert(
            severity="error", visible=False, sizing_mode="stretch_width", margin=(6, 8)
        )
        levels = {"random network": "dashed", "chance": "dotted"}
        self.loss = CurvePlot(
            "Loss: a falling loss alone proves nothing", "loss", ["smoothed"], faint=["each step"]
        )
        self.knn = CurvePlot(
            "kNN accuracy: learning lifts it above random",
            "accuracy",
            ["this run"],
            levels=levels,
            markers=True,
        )
        self.alignment = CurvePlot(
            "Alignment error: learning lowers it",
            "error, share of the recording",
            ["this run"],
            levels=levels,
            markers=True,
        )
        self.held_out = CurvePlot(
            "Accuracy on recordings that it does not train on",
            "accuracy",
            ["this run"],
            levels=levels,
            markers=True,
        )
        self._log = pn.pane.HTML("", sizing_mode="stretch_width")
        self._log_card = pmui.Card(
            self._log,
            title="Log",
            collapsed=True,
            variant="outlined",
            sizing_mode="stretch_width",
            margin=(6, 8),
        )
        self._log_card.param.watch(lambda _: self._show_log(), "collapsed")
        self._body = pn.Column(
            pn.Row(
                self._name,
                self._badge,
                pn.Spacer(sizing_mode="stretch_width"),
                self.stop_button,
                self.resume_button,
                sizing_mode="stretch_width",
            ),
            self._bar,
            self._origin,
            self._facts,
            self._trouble,
            self._verdict,
            pn.Column(*self._plots, styles=CURVES, sizing_mode="stretch_width"),
            self._log_card,
            sizing_mode="stretch_width",
        )
        self._nothing = pmui.Typography(
            "No run is being watched. Start one, or choose one on the Runs page.", margin=20
        )
        self._view = pn.Column(self._nothing, self._body, sizing_mode="stretch_width")

    def _open(self) -> None:
        """Begin to watch the run that `run` names."""
        folder = self.folder
        self._metrics = Tail(folder / "metrics.jsonl")
        self._log_tail = Tail(folder / "log.txt")
        self._lines: list[str] = []
        self._stopping, self._refusal = False, ""
        self._forget()
        self._name.object = escape(self.run)
        self._origin.object = escape(_origin(folder))
        self._origin.visible = bool(self._origin.object)
        self._nothing.visible, self._body.visible = not self.run, bool(self.run)
        self.tick()

    def _forget(self) -> None:
        self.scores: dict[str, float] = {}
        self._last: dict[str, Any] = {}
        self._smooth = Smoother()
        for plot in self._plots:
            plot.clear()

    @property
    def _plots(self) -> tuple[CurvePlot, ...]:
        return self.loss, self.knn, self.alignment, self.held_out

    @property
    def folder(self) -> Path:
        """The folder of the run."""
        return self.workspace.runs / (self.run or ".none")

    # ---- looking

    def tick(self) -> None:
        """Read what is new in the folder, in a few milliseconds, and show it."""
        if not self.run:
            return
        status = Job(self.folder).status()
        records = self._metrics.records()
        with pn.io.hold():
            if self._metrics.restarted:  # a resumed run writes its last steps again
                self._forget()
            self._draw(records)
            self._show(status)
            self._read_log()
        _push(self._view)

    def _draw(self, records: list[dict]) -> None:
        if not records:
            return
        loss = [(r["step"], _number(r["loss"])) for r in records if r.get("loss") is not None]
        self.loss.add("each step", loss)
        self.loss.add("smoothed", [(x, self._smooth(y)) for x, y in loss])
        for name, attribute in SCORES.items():
            plot = getattr(self, attribute)
            plot.add("this run", [(r["step"], r[name]) for r in records if name in r])
            for key in (name, f"{name}_random", f"{name}_chance"):
                if (
                    value := next((r[key] for r in reversed(records) if key in r), None)
                ) is not None:
                    self.scores[key] = value
            for key, line in (("random", "random network"), ("chance", "chance")):
                if (value := self.scores.get(f"{name}_{key}")) is not None:
                    plot.level(line, value)
        judged = next((r for r in reversed(records) if "collapsed" in r), {})
        self.scores |= {k: v for k, v in judged.items() if k.startswith(HEALTH)}
        self._last = records[-1]

    def _show(self, status: Status) -> None:
        if self._task and self._task.done:
            error = self._task.error
            self._refusal = f"**That did not work.** {escape(str(error))}" if error else ""
            self._task, self._stopping = None, False
        asked = status.busy and (self._stopping or (self.folder / "stop").exists())
        self.state = "stopping" if asked else status.state
        word, colour = STATES[self.state]
        _put(self._badge, label=word, color=colour)
        busy = self.state in ("pending", "running")
        _put(
            self.stop_button,
            visible=status.busy,
            disabled=not busy,
            label="Stopping..." if self.state == "stopping" else "Stop",
        )
        _put(self.resume_button, visible=self.state in RESUMABLE, disabled=self._task is not None)
        _put(
            self._bar,
            value=round(100 * status.done / status.total) if status.total else 0,
            variant="indeterminate" if self.state == "pending" else "determinate",
            visible=self.state != "none",
        )
        _put(self._facts, object=self._facts_text(status))
        self._show_trouble(status)
        said = verdict(self.scores)
        _put(self._verdict, visible=said is not None)
        if said:
            _put(self._verdict, object=said[0], severity=said[1])

    def _facts_text(self, status: Status) -> str:
        parts = []
        if status.total:
            parts.append(f"step {status.done:,} of {status.total:,}")
        if "epoch" in self._last:
            parts.append(f"epoch {self._last['epoch']}")
        if math.isfinite(loss := _number(self._last.get("loss"))):
            parts.append(f"loss {loss:.3f}")
        if status.busy and "clips_per_s" in self._last:
            parts.append(f"{self._last['clips_per_s']:,.0f} clips/s")
        if status.busy and status.eta is not None:
            parts.append(f"{duration(status.eta)} left")
        return " · ".join(parts) or escape(status.message) or "waiting for the first step"

    def _show_trouble(self, status: Status) -> None:
        text = {
            "failed": f"**This run failed.** {escape(plain_error(status))}",
            "interrupted": "**Interrupted.** Its process is gone: the machine was restarted, or "
            "someone ended it. What was saved is there: *Resume* goes on from the last checkpoint.",
        }.get(self.state, "")
        severity = "warning" if self.state == "interrupted" else "error"
        text = "\n\n".join(t for t in (self._refusal, text) if t)
        _put(self._trouble, object=text, visible=bool(text), severity=severity)

    def _read_log(self) -> None:
        if new := self._log_tail.read(0.003):
            self._lines = (self._lines + new)[-LOG_LINES:]
            self._show_log()

    def _show_log(self) -> None:
        if not self._log_card.collapsed:
            text = escape("\n".join(self._lines)) or "Nothing was printed yet."
            self._log.object = (
                '<pre style="max-height:260px;overflow:auto;display:flex;'
                'flex-direction:column-reverse;font-size:12px;margin:0">'
                f"<code>{text}</code></pre>"
            )

    # ---- doing

    def stop(self) -> None:
        """Ask the run to stop; the state says stopped when its process is gone."""
        if self._task is None and self.run:
            job = Job(self.folder)
            self._stopping, self._task = True, Task(job.stop)
            self.tick()

    def resume(self) -> None:
        """Go on from the last checkpoint, in a process of its own."""
        if self._task is None and self.run:
            self._task = Task(lambda folder=self.folder: start(folder))
            self.tick()

    def __panel__(self) -> pn.viewable.Viewable:
        """The run; from here on it is looked at twice a second."""
        if self._ticker:
            self._ticker.start()
        return self._view


def start(folder: Path, experiment: Any = None) -> Run:
    """Train in a process of its own: an experiment in a new folder, or the run that is there."""
    from workbench.training.train import launch  # torch comes with it

    return launch(Run(folder).config if experiment is None else experiment, folder)


def verdict(scores: dict[str, float]) -> tuple[str, str] | None:
    """What the scores say about learning, in a sentence, and how loud to say it.

    A classifier is judged by what it says of held-out windows: the features under it may be frozen,
    and then what kNN finds in them was learned by the run that it starts from.
    """
    if scores.get("collapsed") and (why := collapse(scores)):
        return f"**Collapsed**: {why}. {ADVICE}", "error"
    better, worse, parts = [], [], []
    if "knn" in scores and "knn_random" in scores:
        gain = scores["knn"] - max(scores["knn_random"], scores.get("knn_chance", 0.0))
        (better if gain > 0.02 else worse if gain < -0.02 else []).append("kNN accuracy")
        parts.append(
            f"kNN accuracy {scores['knn']:.2f} (random network {scores['knn_random']:.2f}, "
            f"chance {scores.get('knn_chance', math.nan):.2f})"
        )
    if "alignment" in scores and "alignment_random" in scores:
        ratio = scores["alignment"] / max(scores["alignment_random"], 1e-9)
        (better if ratio < 0.95 else worse if ratio > 1.05 else []).append("alignment error")
        parts.append(
            f"alignment error {scores['alignment']:.3f} (random network "
            f"{scores['alignment_random']:.3f}, "
            f"chance {scores.get('alignment_chance', math.nan):.3f})"
        )
    if "held_out_accuracy" in scores:
        value, chance = scores["held_out_accuracy"], scores["held_out_accuracy_chance"]
        facts = "; ".join([f"held-out accuracy {value:.2f}", *parts])
        if value > chance + 0.02:
            return (
                f"**It learns**: better than the commonest label alone ({chance:.2f}). {facts}.",
                ("success"),
            )
        return f"**No better than the commonest label alone** ({chance:.2f}) so far. {facts}.", (
            "warning"
        )
    if not parts:
        return None
    facts = "; ".join(parts)
    if better and not worse:
        return f"**It learns**: better than a random network. {facts}.", "success"
    if better:
        mixed = f"better {better[0]}, worse {worse[0]} than a random network"
        return f"**Mixed**: {mixed}. {facts}.", "info"
    if worse:
        return f"**Worse than a random network** so far. {facts}.", "warning"
    return f"**No better than a random network** so far. {facts}.", "warning"


def plain_error(status: Status) -> str:
    """What went wrong without Python's names for it; the log has the rest."""
    text = (status.error or status.message or "It left no message; see the log.").strip()
    head, _, rest = text.partition(": ")
    text = rest if rest and head.isidentifier() else text
    return text[:1].upper() + text[1:]


def duration(seconds: float) -> str:
    """Seconds as 0:07, 12:30 or 3:02:11."""
    whole = max(0, round(seconds))
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def _put(component: Any, **values: Any) -> None:
    """Set what differs; asking first costs a tenth of an `update` that changes nothing."""
    if new := {k: v for k, v in values.items() if getattr(component, k) != v}:
        component.param.update(**new)


def _push(view: pn.viewable.Viewable) -> None:
    """In a notebook, send what was streamed to the plots; a server does so by itself."""
    document = pn.state.curdoc  # `pn.state.served` looks through all source files: 5 ms
    if not (document and document.session_context) and view._models:
        pn.io.push_notebook(view)


def _origin(folder: Path) -> str:
    """Which runs a run comes from; nothing where its settings cannot be read."""
    try:
        return Run(folder).origin
    except (OSError, RunError):
        return ""
