"""An empty Bokeh plot as the pages want it, and one that a class or cluster is chosen in."""

from __future__ import annotations

import colorcet
import numpy as np
from bokeh.models import ColumnDataSource, FixedTicker, HoverTool, LinearColorMapper, Range1d
from bokeh.plotting import figure

from workbench.views.curves import COLOURS
from workbench.views.plots import ANOMALY, CURSOR, GREY

RIGHT, WRONG = COLOURS[2], ANOMALY
SHADES = colorcet.b_linear_blue_95_50_c20
"""From 0, nearly white, to 1, blue."""


def blank(x: str, y: str, height: int) -> figure:
    """A plot without anything in it; x, y: labels of its axes."""
    plot = figure(
        height=height, min_width=260, sizing_mode="stretch_width", x_axis_label=x, y_axis_label=y,
        tools="xpan,xwheel_zoom,reset,save", active_drag=None, toolbar_location="above",
        min_border_right=14, title="",
    )  # fmt: skip
    plot.toolbar.logo = None
    plot.toolbar.autohide = True
    plot.outline_line_color = None
    plot.grid.visible = False
    return plot


class ClassBars:
    """A bar per class, from left to right, and a dash at what chance would give."""

    def __init__(self, y: str) -> None:
        names = ("x", "top", "chance", "label", "color", "line", "tip")
        self.bars = ColumnDataSource({name: [] for name in names})
        self.figure = blank("", y, 250)
        self.figure.x_range, self.figure.y_range = Range1d(0, 1), Range1d(0, 1.05)
        bars = self.figure.vbar(
            "x", 0.8, "top", source=self.bars, fill_color="color", line_color="line", line_width=3
        )
        self.figure.scatter(
            "x", "chance", source=self.bars, marker="dash", size=18, line_color=GREY, line_width=3
        )
        self.figure.add_tools(
            HoverTool(renderers=[bars], tooltips=[("", "@label"), ("", "@tip")], mode="vline")
        )
        self.figure.xaxis.major_label_orientation = 0.7
        self.labels: list[str] = []

    def show(
        self,
        labels: list[str],
        values: np.ndarray,
        chance: np.ndarray,
        colors: list[str],
        tips: list[str],
    ) -> None:
        """Other classes. All (C,); tips: what to say of each when hovered."""
        self.labels = labels
        self.bars.data = {
            "x": np.arange(len(labels)), "top": values, "chance": chance, "label": labels,
            "color": colors, "line": [None] * len(labels), "tip": tips,
        }  # fmt: skip
        self.figure.x_range.update(start=-0.6, end=len(labels) - 0.4)
        self.figure.xaxis.ticker = FixedTicker(ticks=list(range(len(labels))))
        self.figure.xaxis.major_label_overrides = dict(enumerate(labels))

    def mark(self, label: str | None) -> None:
        """Frame a class."""
        line = [CURSOR if name == label else None for name in self.labels]
        self.bars.data = {**self.bars.data, "line": line}

    def at(self, x: float | None) -> str | None:
        """The class at a place."""
        known = x is not None and 0 <= round(x) < len(self.labels)
        return self.labels[round(x)] if known else None


class Matrix:
    """Counts of rows against columns, both classes; each row is shaded by its shares."""

    def __init__(self, row: str, column: str) -> None:
        names = ("x", "y", "share", "count", "row", "column", "text", "ink")
        self.cells = ColumnDataSource({name: [] for name in names})
        self.chosen = ColumnDataSource({"x": [], "y": []})
        self.figure = blank(column, row, 320)
        self.figure.x_range, self.figure.y_range = Range1d(0, 1), Range1d(1, 0)
        mapper = LinearColorMapper(palette=SHADES, low=0, high=1)
        cells = self.figure.rect(
            "x", "y", 1, 1, source=self.cells, line_color=None,
            fill_color={"field": "share", "transform": mapper},
        )  # fmt: skip
        self.figure.text(
            "x", "y", "text", source=self.cells, text_align="center", text_baseline="middle",
            text_color="ink", text_font_size="11px",
        )  # fmt: skip
        self.figure.rect(
            "x", "y", 1, 1, source=self.chosen, fill_color=None, line_color=CURSOR, line_width=3
        )
        tips = [(row, "@row"), (column, "@column"), ("pairs", "@count"), ("share", "@share{0%}")]
        self.figure.add_tools(HoverTool(renderers=[cells], tooltips=tips))
        self.figure.xaxis.major_label_orientation = 0.7
        self.labels: list[str] = []

    def show(self, counts: np.ndarray, labels: list[str]) -> None:
        """Other counts. counts: (C, C)."""
        self.labels, n = labels, len(labels)
        shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
        y, x = np.nonzero(counts)
        self.cells.data = {
            "x": x, "y": y, "share": shares[y, x], "count": counts[y, x],
            "row": [labels[k] for k in y], "column": [labels[k] for k in x],
            "text": [str(c) if n <= 16 else "" for c in counts[y, x]],
            "ink": ["white" if s > 0.5 else "#1d2730" for s in shares[y, x]],
        }  # fmt: skip
        self.figure.x_range.update(start=-0.5, end=n - 0.5)
        self.figure.y_range.update(start=n - 0.5, end=-0.5)
        self.figure.height = int(np.clip(130 + 22 * n, 230, 480))
        for axis in (self.figure.xaxis, self.figure.yaxis):
            axis.ticker = FixedTicker(ticks=list(range(n)) if n <= 40 else [])
            axis.major_label_overrides = dict(enumerate(labels))

    def mark(self, cell: tuple[str, str] | None) -> None:
        """Frame a cell: its row and column."""
        there = cell is not None and set(cell) <= set(self.labels)
        self.chosen.data = {
            "x": [self.labels.index(cell[1])] if there else [],
            "y": [self.labels.index(cell[0])] if there else [],
        }

    def at(self, x: float | None, y: float | None) -> tuple[str, str] | None:
        """The row and column at a place."""
        n = len(self.labels)
        if x is None or y is None or not (0 <= round(x) < n and 0 <= round(y) < n):
            return None
        return self.labels[round(y)], self.labels[round(x)]
