"""Curves of several runs in the same plots, while they train and after."""

from __future__ import annotations

import math
from html import escape

import panel as pn
import panel_material_ui as pmui
import param

from workbench.views.curves import COLOURS, CurvePlot, Smoother
from workbench.views.tail import Tail
from workbench.workspace import Workspace

MOST = len(COLOURS)
"""Runs that can be told apart by colour."""
AXES = {"step": "step", "epoch": "epoch", "seconds": "seconds of training"}
PLOTS = {  # what is logged -> (title, unit)
    "loss": ("Loss: compare it within one method only", "loss"),
    "knn": ("kNN accuracy: learning lifts it above random", "accuracy"),
    "alignment": ("Camera alignment error: learning lowers it", "error, share of the recording"),
    "feature_alignment": ("Distance of positives: lower is more alike", "squared distance"),
    "feature_uniformity": ("Uniformity: lower is more even", "log potential"),
    "feature_rank": ("Effective rank: 1 is collapsed", "directions"),
    "feature_std": ("Relative deviation: 0 is collapsed, 1 healthy", "std x sqrt(D)"),
    "projected_std": ("The same of the vectors that the loss sees", "std x sqrt(D)"),
}
GRID = {
    "display": "grid",
    "grid-template-columns": "repeat(auto-fit, minmax(360px, 1fr))",
    "gap": "4px",
}


class Comparison(pn.viewable.Viewer):
    """The curves of some runs. Whoever shows it calls `tick` to follow runs that train."""

    names = param.List(default=[], item_type=str, doc="The runs; the first six are drawn.")

    def __init__(self, workspace: Workspace, names: list[str] | None = None) -> None:
        super().__init__(names=names or [])
        self.workspace = workspace
        self.plots: dict[str, CurvePlot] = {}
        self.axis = pmui.RadioButtonGroup(
            label="Over", options=list(AXES), value="step", size="small", margin=(6, 8)
        )
        self.smoothing = pmui.FloatSlider(
            label="Smoothing of the loss",
            start=0.0,
            end=0.99,
            step=0.01,
            value=0.95,
            width=220,
            margin=(0, 16),
        )
        self._note = pmui.Typography("", variant="body2", align="center", margin=(4, 8))
        self._grid = pn.Column(styles=GRID, sizing_mode="stretch_width")
        self._view = pn.Column(
            pn.FlexBox(self.axis, self.smoothing, self._note, align_items="center"),
            self._grid,
            sizing_mode="stretch_width",
            visible=False,
        )
        self.axis.param.watch(lambda _: self._build(), "value")
        self.smoothing.param.watch(lambda _: self._again(), "value_throttled")
        self.param.watch(lambda _: self._build(), "names")
        self._build()

    @property
    def shown(self) -> list[str]:
        """The runs that are drawn."""
        return self.names[:MOST]

    def _build(self) -> None:
        """New plots: a browser that is shown new curves in an old one loses its legend."""
        self.plots = {}
        for key, (title, unit) in PLOTS.items() if self.shown else ():
            seldom = key != "loss"
            x = AXES[self.axis.value]
            plot = CurvePlot(title, unit, self.shown, markers=seldom, floors=seldom, x=x)
            plot.figure.legend[0].ncols = 1 if len(self.shown) > 2 else "auto"
            self.plots[key] = plot
        self._again()  # before they are shown: a browser gets them whole
        self._grid[:] = list(self.plots.values())
        self._view.visible = bool(self.shown)

    def _again(self) -> None:
        """Read the runs from their first step."""
        keep = self.smoothing.value
        self._followed = {n: _Followed(self.workspace, n, keep) for n in self.shown}
        with pn.io.hold():
            for plot in self.plots.values():
                plot.clear()
            self.tick(0.05)

    def tick(self, seconds: float = 0.004) -> None:
        """Draw what is new, reading for about `seconds` per run."""
        for name, run in self._followed.items():
            points = run.points(self.axis.value, seconds)
            if run.tail.restarted:  # a resumed run writes its last steps again
                self._again()
                return
            self._draw(name, run, points)
        self._say()

    def _draw(self, name: str, run: _Followed, points: list[tuple[float, dict]]) -> None:
        losses = [(x, run.smooth(float(r["loss"]))) for x, r in points if "loss" in r]
        self.plots["loss"].add(name, losses)
        for key, plot in self.plots.items():
            if key == "loss":
                continue
            plot.add(name, [(x, r[key]) for x, r in points if key in r])
            random = [r[f"{key}_random"] for _, r in points if f"{key}_random" in r]
            if random:
                plot.floor(name, random[-1])

    def _say(self) -> None:
        """What cannot be seen, and what the dashes are."""
        bare = [n for n, run in self._followed.items() if run.read and not run.drawn]
        parts = ["Dashed: the random network of each run."]
        if len(self.names) > MOST:
            parts.append(f"The first {MOST} are compared.")
        if bare and self.axis.value == "epoch":
            parts.append(f"Not yet through its first epoch: {', '.join(bare)}.")
        elif bare:
            parts.append(f"Nothing is known over {self.axis.value} of {', '.join(bare)}.")
        self._note.object = escape(" ".join(parts))

    def __panel__(self) -> pn.viewable.Viewable:
        """The choices above the plots."""
        return self._view


class _Followed:
    """A run's lines of metrics as points over an axis."""

    def __init__(self, workspace: Workspace, name: str, keep: float) -> None:
        self.tail = Tail(workspace.runs / name / "metrics.jsonl")
        self.smooth = Smoother(keep)
        self.read = self.drawn = 0
        self._per_epoch = math.nan  # steps, known once the first epoch is over
        self._waiting: list[dict] = []

    def points(self, axis: str, seconds: float) -> list[tuple[float, dict]]:
        """New (x, line) pairs; those that have no place on the axis are left out."""
        lines = [r for r in self.tail.records(seconds) if "step" in r]
        self.read += len(lines)
        if axis == "epoch":
            lines = self._with_epochs(lines)
        found = [(float(r[axis]), r) for r in lines if r.get(axis) is not None]
        self.drawn += len(found)
        return found

    def _with_epochs(self, lines: list[dict]) -> list[dict]:
        """The lines with parts of epochs; they wait until the length of an epoch is known."""
        if math.isnan(self._per_epoch):
            self._waiting += lines
            first = next((r for r in self._waiting if r.get("epoch")), None)
            if first is None:
                return []
            self._per_epoch = first["step"] / first["epoch"]
            lines, self._waiting = self._waiting, []
        return [r | {"epoch": r["step"] / self._per_epoch} for r in lines]
