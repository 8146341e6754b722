"""Pictures of anomaly scores that stay where they are: other data and lines are put into them."""

from __future__ import annotations

import math

import numpy as np
from bokeh.models import ColumnDataSource, CustomJSTickFormatter, HoverTool, Range1d, Span
from bokeh.models.tickers import AdaptiveTicker
from bokeh.plotting import figure

from workbench.views.curves import COLOURS
from workbench.views.plots import ANOMALY, GREY, palette
from workbench.views.watch_report import envelope

BINS = 40
"""Bars of a histogram."""
SECONDS = """
const s = tick / fps, m = Math.floor(s / 60), rest = (s - 60 * m).toFixed(s % 1 > 1e-6 ? 1 : 0)
return m ? `${m}:${rest.padStart(rest.includes(".") ? 4 : 2, "0")}` : `${rest} s`
"""


class Timeline:
    """The score of a recording over its frames, with alarms, truth and threshold."""

    def __init__(self) -> None:
        self.figure = _figure("score", height=230)
        self.figure.x_range, self.figure.y_range = Range1d(0, 1), Range1d(-0.1, 1)
        self.score, self.alarms, self.truth = (
            ColumnDataSource(dict.fromkeys(names, ()))
            for names in (
                ("frame", "second", "score"),
                ("left", "right", "score"),
                ("left", "right", "bottom", "top", "color", "label"),
            )
        )
        self.figure.vstrip(
            "left", "right", source=self.alarms,
            fill_color=ANOMALY, fill_alpha=0.22, line_color=None,
        )  # fmt: skip
        strip = self.figure.quad(
            "left", "right", "top", "bottom", source=self.truth, color="color", line_color=None
        )
        line = self.figure.line(
            "frame", "score", source=self.score, line_width=1.5, color=COLOURS[0]
        )
        self.threshold = threshold_line("width")
        self.figure.add_layout(self.threshold)
        tips = [("frame", "@frame"), ("second", "@second{0.00}"), ("score", "@score{0.000}")]
        self.figure.add_tools(
            HoverTool(renderers=[line], tooltips=tips, mode="vline"),
            HoverTool(renderers=[strip], tooltips=[("truth", "@label")]),
        )

    def show(self, frames: np.ndarray, scores: np.ndarray, fps: float, top: float) -> None:
        """Another curve. frames: (T,); scores: (T,); top: the highest score of any recording."""
        kept = envelope(scores)
        self.score.data = {
            "frame": frames[kept], "second": frames[kept] / fps, "score": scores[kept],
        }  # fmt: skip
        self.figure.x_range.update(start=int(frames[0]), end=max(1, int(frames[-1])))
        self.figure.y_range.update(start=-0.12 * top, end=1.05 * top)
        seconds(self.figure, fps)

    def mark(self, spans: np.ndarray) -> None:
        """Shade alarms. spans: (K, 2) frames [start, stop)."""
        self.alarms.data = {"left": spans[:, 0], "right": spans[:, 1], "score": spans[:, 0]}

    def tell(self, runs: list[tuple[int, int, str]], kinds: list[str], top: float) -> None:
        """What is known to be abnormal: frames [start, stop) and label of each stretch."""
        colors = palette(kinds)
        left, right, labels = zip(*runs, strict=True) if runs else ((), (), ())
        self.truth.data = {
            "left": left, "right": right, "label": labels,
            "bottom": [-0.1 * top] * len(left), "top": [-0.03 * top] * len(left),
            "color": [colors.get(name, GREY) for name in labels],
        }  # fmt: skip


class Histogram:
    """How the scores of normal and of abnormal moments lie, each as shares."""

    def __init__(self) -> None:
        self.figure = _figure("share of the moments", height=230, x="score")
        self.figure.x_range, self.figure.y_range = Range1d(0, 1), Range1d(0, 1)
        self.bars = {}
        for name, color in (("normal", COLOURS[0]), ("abnormal", ANOMALY)):
            self.bars[name] = ColumnDataSource({"left": [], "right": [], "top": []})
            self.figure.quad(
                "left", "right", "top", 0, source=self.bars[name], fill_color=color,
                fill_alpha=0.4, line_color=color, line_alpha=0.6, legend_label=name,
            )  # fmt: skip
        self.threshold = threshold_line("height")
        self.figure.add_layout(self.threshold)
        self.figure.legend[0].update(padding=2, margin=2, background_fill_alpha=0.5)

    def show(self, scores: np.ndarray, abnormal: np.ndarray, top: float) -> None:
        """Other scores. scores: (N,); abnormal: (N,) bool, all False where nothing is known."""
        edges = np.linspace(0, 1.05 * top, BINS + 1)
        known, highest = np.isfinite(scores), 0.0
        for name, rows in (("normal", known & ~abnormal), ("abnormal", known & abnormal)):
            share = np.histogram(scores[rows], edges)[0] / max(1, rows.sum())
            seen = share > 0
            highest = max(highest, float(share.max()))
            self.bars[name].data = {
                "left": edges[:-1][seen], "right": edges[1:][seen], "top": share[seen],
            }  # fmt: skip
        self.figure.x_range.end = edges[-1]
        self.figure.y_range.end = 1.1 * (highest or 1.0)
        labelled = bool(abnormal.any())
        self.figure.legend[0].visible = labelled
        self.figure.title.text = (
            "The less they overlap, the better" if labelled else "Scores of all judged moments"
        )


class Beside:
    """How far a clip is from another one played beside it, frame by frame, each camera."""

    def __init__(self) -> None:
        self.figure = _figure("distance", height=200)
        self.figure.title.text = "Distance to the normal clip beside it; red: the alarm"
        self.figure.x_range, self.figure.y_range = Range1d(0, 1), Range1d(0, 1)
        self.alarm = ColumnDataSource({"left": [], "right": []})
        self.figure.vstrip(
            "left", "right", source=self.alarm, fill_color=ANOMALY, fill_alpha=0.22,
            line_color=None,
        )  # fmt: skip
        self.lines = ColumnDataSource({"xs": [], "ys": [], "color": [], "camera": [], "width": []})
        drawn = self.figure.multi_line(
            "xs", "ys", source=self.lines, line_color="color", line_width="width",
            legend_field="camera",
        )  # fmt: skip
        self.figure.add_tools(HoverTool(renderers=[drawn], tooltips=[("camera", "@camera")]))
        legend = self.figure.legend[0]
        legend.update(orientation="horizontal", padding=2, margin=2, background_fill_alpha=0.5)

    def show(
        self,
        curves: dict[str, tuple[np.ndarray, np.ndarray]],
        clip: tuple[int, int],
        alarm: tuple[int, int],
        fps: float,
        bold: str,
    ) -> None:
        """Other clips. curves: frames (T,) and distances (T,) of each camera; bold: one of them."""
        names = list(curves)
        self.lines.data = {
            "xs": [curves[n][0] for n in names],
            "ys": [curves[n][1] for n in names],
            "color": [COLOURS[k % len(COLOURS)] for k in range(len(names))],
            "camera": names,
            "width": [2.5 if n == bold else 1.2 for n in names],
        }
        self.alarm.data = {"left": [alarm[0]], "right": [alarm[1]]}
        self.figure.x_range.update(start=clip[0], end=clip[1])
        known = [d[np.isfinite(d)] for _, d in curves.values()]
        top = max((float(d.max()) for d in known if len(d)), default=1.0)
        self.figure.y_range.end = 1.08 * (top or 1.0)
        seconds(self.figure, fps)


def threshold_line(dimension: str) -> Span:
    """The threshold, across a plot of scores."""
    style = {"line_color": ANOMALY, "line_dash": "dashed", "line_width": 2}
    return Span(location=0, dimension=dimension, **style)


def seconds(plot: figure, fps: float) -> None:
    """Label an axis of frames with seconds, at round ones."""
    size = 10 ** math.floor(math.log10(fps))
    steps = sorted(m * fps / size / (10 if m * fps >= 10 * size else 1) for m in (1, 2, 5))
    plot.xaxis.ticker = AdaptiveTicker(mantissas=steps, base=10, desired_num_ticks=8)
    plot.xaxis.formatter = CustomJSTickFormatter(args={"fps": fps}, code=SECONDS)


def _figure(y: str, height: int, x: str = "time") -> figure:
    plot = figure(
        height=height,
        sizing_mode="stretch_width",
        x_axis_label=x,
        y_axis_label=y,
        tools="pan,xwheel_zoom,box_zoom,reset,save",
        active_drag=None,
        toolbar_location="above",
        min_border_right=16,
    )
    plot.toolbar.logo = None
    plot.toolbar.autohide = True
    plot.outline_line_color = None
    return plot
