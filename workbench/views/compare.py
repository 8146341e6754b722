"""Curves of several runs in the same plots, while they train and after."""

from __future__ import annotations

import math
from html import escape

import panel as pn
import panel_material_ui as pmui
import param
from bokeh.models import ColumnDataSource, HoverTool, Range1d
from bokeh.plotting import figure

from workbench.views.curves import COLOURS, Series, Smoother
from workbench.views.tail import Tail
from workbench.workspace import Workspace

MOST = len(COLOURS)
"""Runs that can be told apart by colour."""
AXES = {"step": "step", "epoch": "epoch", "seconds": "seconds of training"}
PLOTS = {  # what is logged -> (title, unit)
    "loss": ("Loss: compare it within one method only", "loss"),
    "knn": ("kNN accuracy: learning lifts it above random", "accuracy"),
    "alignment": ("Camera alignment error: learning lowers it", "error, share of the recording"),
    "held_out_accuracy": ("Accuracy on recordings not trained on", "accuracy"),
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


class Overlay(pn.viewable.Viewer):
    """One plot with a curve per run. It is made once; other runs are other data.

    (A Bokeh figure with six curves of its own takes 0.1 s to make, this takes new data in 1 ms.)
    """

    def __init__(self, title: str, unit: str, markers: bool) -> None:
        super().__init__()
        self.figure = figure(
            height=230,
            sizing_mode="stretch_width",
            title=title,
            y_axis_label=unit,
            tools="pan,wheel_zoom,box_zoom,reset,save",
            active_drag=None,
            toolbar_location="above",
            min_border_right=16,
            # Bokeh's own, which follow the data, do not come back to shorter curves
            x_range=Range1d(0, 1),
            y_range=Range1d(0, 1),
        )
        self.figure.toolbar.logo = None
        self.figure.toolbar.autohide = True
        self.floors, self.lines, self.dots = (ColumnDataSource() for _ in range(3))
        curves = {"xs": "xs", "ys": "ys", "line_color": "color"}
        self.figure.multi_line(**curves, source=self.floors, line_dash="dashed", line_width=1.5)
        hovered = self.figure.multi_line(**curves, source=self.lines, line_width=2.5)
        tips = [("", "@name"), ("", "$snap_x{0.[0]}: $snap_y{0.000}")]
        if markers:
            hovered = self.figure.scatter("x", "y", color="color", source=self.dots, size=7)
            tips = [("", "@name"), ("", "@x{0.[0]}: @y{0.000}")]
        self.figure.add_tools(HoverTool(renderers=[hovered], tooltips=tips))
        self._pane = pn.pane.Bokeh(self.figure, sizing_mode="stretch_width", margin=(4, 4))
        self.curves: dict[str, Series] = {}
        self.levels: dict[str, float] = {}
        self.begin([], "")

    def begin(self, names: list[str], x: str) -> None:
        """No points yet, of these runs, over this axis."""
        self.curves, self.levels = {name: Series() for name in names}, {}
        self.figure.xaxis.axis_label = x
        self._fitted = self._ranges()  # from here on it fits, until the user moves it

    def add(self, name: str, points: list[tuple[float, float]], level: float | None) -> bool:
        """Take new points of a run and its level; whether there is something to draw."""
        self.curves[name].add(points)
        if level is not None:
            self.levels[name] = level
        return bool(points) or level is not None

    def draw(self) -> None:
        """Show what was added."""
        colour = dict(zip(self.curves, COLOURS, strict=False))
        there = {n: s for n, s in self.curves.items() if s.x}
        end = max((s.x[-1] for s in there.values()), default=1.0)
        self.lines.data = {
            "xs": [list(s.x) for s in there.values()],
            "ys": [list(s.y) for s in there.values()],
            "color": [colour[n] for n in there],
            "name": list(there),
        }
        self.dots.data = {
            "x": [x for s in there.values() for x in s.x],
            "y": [y for s in there.values() for y in s.y],
            "color": [colour[n] for n, s in there.items() for _ in s.x],
            "name": [n for n, s in there.items() for _ in s.x],
        }
        self.floors.data = {
            "xs": [[0.0, end] for _ in self.levels],
            "ys": [[y, y] for y in self.levels.values()],
            "color": [colour[n] for n in self.levels],
        }
        if there and self._ranges() == self._fitted:
            ys = [y for s in there.values() for y in s.y] + list(self.levels.values())
            self.figure.x_range.update(**_padded(0.0, end))
            self.figure.y_range.update(**_padded(min(ys), max(ys)))
            self._fitted = self._ranges()

    def _ranges(self) -> list[float]:
        ranges = (self.figure.x_range, self.figure.y_range)
        return [edge for r in ranges for edge in (r.start, r.end)]

    @property
    def empty(self) -> bool:
        """Whether no run has a point; Bokeh finds no range for such a plot, so it is not shown."""
        return not any(series.x for series in self.curves.values())

    def __panel__(self) -> pn.viewable.Viewable:
        """The plot."""
        return self._pane


class Comparison(pn.viewable.Viewer):
    """The curves of some runs. Whoever shows it calls `tick` to follow runs that train."""

    names = param.List(default=[], item_type=str, doc="The runs; the first six are drawn.")

    def __init__(self, workspace: Workspace, names: list[str] | None = None) -> None:
        super().__init__(names=names or [])
        self.workspace = workspace
        self.plots: dict[str, Overlay] = {}
        self._followed: dict[str, _Followed] = {}
        self._mounted: list[Overlay] = []
        self.axis = pmui.RadioButtonGroup(
            options=list(AXES), value="step", size="small", margin=(6, 8)
        )
        self.smoothing = pmui.FloatSlider(
            label="Smoothing of the loss",
            start=0.0,
            end=0.99,
            step=0.01,
            value=0.95,
            width=200,
            margin=(0, 16),
        )
        self._legend = pn.pane.HTML("", sizing_mode="stretch_width", margin=(2, 12))
        self._note = pmui.Typography("", variant="body2", align="center", margin=(4, 8))
        self._grid = pn.Column(sizing_mode="stretch_width")
        self._view = pn.Column(
            pn.FlexBox(self.axis, self.smoothing, self._note, align_items="center"),
            self._legend,
            self._grid,
            sizing_mode="stretch_width",
            visible=False,
        )
        self.axis.param.watch(lambda _: self._again(), "value")
        self.smoothing.param.watch(lambda _: self._again(), "value_throttled")
        self.param.watch(lambda _: self._again(), "names")
        self._again()

    @property
    def shown(self) -> list[str]:
        """The runs that are drawn."""
        return self.names[:MOST]

    def _again(self) -> None:
        """Read the runs from their first step."""
        if self.shown and not self.plots:
            self.plots = {k: Overlay(*words, k != "loss") for k, words in PLOTS.items()}
        keep = self.smoothing.value
        self._followed = {n: _Followed(self.workspace, n, keep) for n in self.shown}
        with pn.io.hold():
            for plot in self.plots.values():
                plot.begin(self.shown, AXES[self.axis.value])
            self._legend.object = _legend(self.shown)
            self.tick(0.05)
            for plot in self.plots.values():
                plot.draw()
            self._view.visible = bool(self.shown)

    def tick(self, seconds: float = 0.004) -> None:
        """Draw what is new, reading for about `seconds` per run."""
        changed = set()
        for name, run in self._followed.items():
            points = run.points(self.axis.value, seconds)
            if run.tail.restarted:  # a resumed run writes its last steps again
                self._again()
                return
            for key, plot in self.plots.items():
                found = [(x, float(r[key])) for x, r in points if r.get(key) is not None]
                if key == "loss":
                    found = [(x, run.smooth(y)) for x, y in found]
                random = [r[f"{key}_random"] for _, r in points if f"{key}_random" in r]
                if plot.add(name, found, random[-1] if random else None):
                    changed.add(key)
        for key in changed:
            self.plots[key].draw()
        self._mount()
        self._say()

    def _mount(self) -> None:
        """Show the plots that hold something."""
        wanted = [plot for plot in self.plots.values() if not plot.empty]
        if wanted != self._mounted:
            self._mounted = wanted
            self._grid[:] = [pn.Column(*wanted, styles=GRID, sizing_mode="stretch_width")]

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


def _padded(low: float, high: float) -> dict[str, float]:
    """The range that shows all from low to high, with some air."""
    air = 0.05 * (high - low) or 0.5
    return {"start": low - air, "end": high + air}


def _legend(names: list[str]) -> str:
    """Names of runs beside their colours, as HTML."""
    dot = '<span style="display:inline-block;width:14px;height:4px;margin:0 6px 3px 0;background:'
    return "".join(
        f'<span style="margin-right:18px;white-space:nowrap">{dot}{colour}"></span>'
        f"{escape(name)}</span>"
        for name, colour in zip(names, COLOURS, strict=False)
    )
