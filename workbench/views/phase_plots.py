"""Pictures of a cycle that stay where they are: other data are put into them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from bokeh.models import ColumnDataSource, HoverTool, Range1d
from bokeh.plotting import figure

from workbench.views.anomaly_plots import seconds
from workbench.views.curves import COLOURS
from workbench.views.plots import ANOMALY, CURSOR, GREY

DENSE = 800
"""Rows from which on dots are small."""
SHADES = 32
"""Colours from usual to strange."""


class OverTime:
    """The curve of a recording over time, and below it the phase, both coloured by score."""

    def __init__(self) -> None:
        self.rows = ColumnDataSource(
            {name: [] for name in ("frame", "curve", "phase", "number", "score", "color", "size")}
        )
        self.truth = ColumnDataSource({"frame": [], "phase": []})
        self.strange = ColumnDataSource({"left": [], "right": [], "label": []})
        x = Range1d(0, 1)
        self.curve = self._figure("main direction", 170, x)
        self.curve.xaxis.axis_label = None
        self.phase = self._figure("phase", 190, x)
        self.curve.y_range, self.phase.y_range = Range1d(-1, 1), Range1d(-0.03, 1.03)
        self.curve.line("frame", "curve", source=self.rows, color=GREY, line_width=1)
        tips = [("frame", "@frame"), ("phase", "@phase{0.00}"), ("repetition", "@number"),
                ("score", "@score{0.000}")]  # fmt: skip
        for plot, y in ((self.curve, "curve"), (self.phase, "phase")):
            dots = plot.scatter("frame", y, source=self.rows, color="color", size="size")
            plot.add_tools(HoverTool(renderers=[dots], tooltips=tips, limit=1))
        style = {"color": COLOURS[2], "line_width": 1, "line_alpha": 0.7}
        self.phase.line("frame", "phase", source=self.truth, **style)

    def _figure(self, y: str, height: int, x: Range1d) -> figure:
        plot = _figure("time", y, height)
        plot.x_range = x
        plot.vstrip(
            "left", "right", source=self.strange, fill_color=ANOMALY, fill_alpha=0.14,
            line_color=None,
        )  # fmt: skip
        return plot

    def show(
        self,
        frames: np.ndarray,
        curve: np.ndarray,
        phase: np.ndarray,
        number: np.ndarray,
        scores: np.ndarray | None,
        fps: float,
    ) -> None:
        """Another recording. All (T,); number from 0, -1 in no repetition; scores: None of none."""
        known = np.full(len(frames), np.nan) if scores is None else scores
        self.rows.data = {
            "frame": frames,
            "curve": curve,
            "phase": phase,
            "number": np.where(number < 0, "none", (number + 1).astype(str)),
            "score": known,
            "color": colored(known),
            "size": np.full(len(frames), 4 if len(frames) < DENSE else 2.5),
        }
        _range(self.curve.x_range, int(frames[0]), max(int(frames[0]) + 1, int(frames[-1])))
        _range(self.curve.y_range, *_around(curve))
        for plot in (self.curve, self.phase):
            seconds(plot, fps)
        red = ": red is far from normal" if scores is not None else ""
        self.curve.title.text = f"A wave where the process repeats{red}"
        self.phase.title.text = "Phase: a ramp for every repetition, steep where it is quick"

    def mark(self, spans: Iterable[tuple[int, int, str]]) -> None:
        """Shade what is known to be abnormal: frames [start, stop) and label of each."""
        left, right, label = zip(*spans, strict=True) if (spans := list(spans)) else ((), (), ())
        self.strange.data = {"left": left, "right": right, "label": label}

    def tell(self, frames: np.ndarray, phase: np.ndarray) -> None:
        """Draw the true phase (T,) as a line; NaN where there is none, empty for none at all."""
        x, y = ramps(frames, phase)
        self.truth.data = {"frame": x, "phase": y}
        if len(x):
            self.phase.title.text += " (green: the truth)"


class OverCycle:
    """The mean and spread of a value at every phase, and the present repetition over it."""

    def __init__(self) -> None:
        self.figure = _figure("phase", "", 220)
        self.figure.x_range, self.figure.y_range = Range1d(0, 1), Range1d(-1, 1)
        self.band = ColumnDataSource({"phase": [], "low": [], "high": [], "mean": []})
        self.present = ColumnDataSource({"phase": [], "value": []})
        self.figure.varea(
            "phase", "low", "high", source=self.band, fill_color=COLOURS[0], fill_alpha=0.22
        )
        self.figure.line("phase", "mean", source=self.band, color=COLOURS[0], line_width=2)
        self.figure.line("phase", "value", source=self.present, color=CURSOR, line_width=2)

    def show(
        self,
        centres: np.ndarray,
        mean: np.ndarray,
        spread: np.ndarray,
        values: np.ndarray,
        what: str,
    ) -> None:
        """Another band. centres, mean, spread: (B,); values: (T,) those of all; what: in words."""
        known = np.isfinite(mean)
        x = np.concatenate([centres[known] - 1, centres[known], centres[known] + 1])
        m, s = (np.tile(v[known], 3) for v in (mean, spread))  # the circle goes on at its ends
        self.band.data = {"phase": x, "low": m - s, "high": m + s, "mean": m}
        _range(self.figure.y_range, *_around(np.concatenate([m - s, m + s, values])))
        self.figure.yaxis.axis_label = what
        self.figure.title.text = f"{what.capitalize()} over the cycle: orange is this repetition"


def between(usual: str, strange: str, n: int) -> list[str]:
    """So many colours from one to another."""
    ends = [np.array([int(c[k : k + 2], 16) for k in (1, 3, 5)]) for c in (usual, strange)]
    mixed = [ends[0] + (ends[1] - ends[0]) * t for t in np.linspace(0, 1, n)]
    return ["#" + "".join(f"{round(v):02x}" for v in c) for c in mixed]


def colored(scores: np.ndarray) -> list[str]:
    """A colour per score, from grey (the median and less) to red (far above it); NaN is blue."""
    known = scores[np.isfinite(scores)]
    if not len(known):
        return [COLOURS[0]] * len(scores)
    low = float(np.median(known))
    high = max(float(known.max()), 2.5 * low, low + 1e-6)  # a calm recording stays grey
    shades = between(GREY, ANOMALY, SHADES)
    share = np.clip((scores - low) / (high - low), 0, 1)
    return [COLOURS[0] if np.isnan(s) else shades[round(s * (SHADES - 1))] for s in share]


def ramps(frames: np.ndarray, phase: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A phase over time for a line that does not run back where the phase wraps."""
    falls = np.flatnonzero(np.diff(phase) < -0.5) + 1
    return np.insert(frames.astype(float), falls, np.nan), np.insert(phase, falls, np.nan)


def _around(values: np.ndarray) -> tuple[float, float]:
    """A range with a little room around some values."""
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    room = 0.06 * (high - low) or 0.5
    return low - room, high + room


def _range(shown: Range1d, start: float, end: float) -> None:
    shown.update(start=start, end=end, reset_start=start, reset_end=end)


def _figure(x: str, y: str, height: int) -> figure:
    plot = figure(
        height=height,
        sizing_mode="stretch_width",
        x_axis_label=x,
        y_axis_label=y,
        title=" ",
        tools="xpan,xwheel_zoom,reset,save",
        active_drag=None,
        toolbar_location="above",
        min_border_left=72,  # the axes of time stand one below the other
        min_border_right=16,
    )
    plot.toolbar.logo = None
    plot.toolbar.autohide = True
    plot.outline_line_color = None
    plot.axis.axis_label_standoff = 4
    return plot
