"""Pictures of prototypes that stay where they are: other data are put into them."""

from __future__ import annotations

import colorcet
import numpy as np
import pandas as pd
from bokeh.models import ColumnDataSource, FixedTicker, HoverTool, LinearColorMapper, Range1d, Span

from workbench.views.anomaly_plots import seconds
from workbench.views.figures import SHADES, blank
from workbench.views.plots import CURSOR, GREY

NAMED = 30
"""Rows that have room for their names."""
NODES, EDGES = 24, 70
"""Prototypes and transitions of a graph that can be told apart."""


class UsagePlot:
    """A bar per prototype: how many moments are nearest to it."""

    def __init__(self) -> None:
        names = ("x", "top", "color", "prototype", "share", "label", "line")
        self.bars = ColumnDataSource({name: [] for name in names})
        self.figure = blank("", "moments", 190)
        self.figure.x_range, self.figure.y_range = Range1d(0, 1), Range1d(0, 1)
        bars = self.figure.vbar(
            "x", 0.88, "top", source=self.bars, fill_color="color", line_color="line", line_width=2
        )
        self.even = Span(dimension="width", line_color=GREY, line_dash="dashed", line_width=2)
        self.figure.add_layout(self.even)
        tips = [("", "@prototype"), ("moments", "@top"), ("share", "@share{0.0%}"),
                ("mostly", "@label")]  # fmt: skip
        self.figure.add_tools(HoverTool(renderers=[bars], tooltips=tips, mode="vline"))
        self.figure.xaxis.ticker = FixedTicker(ticks=[])

    def show(
        self, order: np.ndarray, counts: np.ndarray, colors: list[str], labels: list[str], what: str
    ) -> None:
        """Other counts. order: (P,) prototypes from left to right; the rest (P,), by prototype."""
        n = len(order)
        top = counts[order]
        self.bars.data = {
            "x": np.arange(n), "top": top, "color": [colors[p] for p in order],
            "prototype": [f"{what} {p}" for p in order], "share": top / max(1, counts.sum()),
            "label": [labels[p] for p in order], "line": [None] * n,
        }  # fmt: skip
        self.even.location = counts.sum() / n
        self.figure.x_range.update(start=-0.6, end=n - 0.4)
        self.figure.y_range.update(start=0, end=1.12 * max(1, int(counts.max())))
        shown = np.arange(n) if n <= NAMED else np.zeros(0, int)
        self.figure.xaxis.ticker = FixedTicker(ticks=shown.tolist())
        self.figure.xaxis.major_label_overrides = {int(x): f"{order[x]}" for x in shown}
        self.figure.xaxis.axis_label = f"{what}s"

    def mark(self, at: int | None) -> None:
        """Frame the bar at a place from the left."""
        line = [None] * len(self.bars.data["x"])
        if at is not None:
            line[at] = CURSOR
        self.bars.data = {**self.bars.data, "line": line}


class ScoresPlot:
    """How near a recording is to the prototypes it visits, over time, and to which most."""

    def __init__(self) -> None:
        self.figure = blank("time", "", 240)
        self.figure.x_range, self.figure.y_range = Range1d(0, 1), Range1d(0, 1)
        self.colors = LinearColorMapper(palette=colorcet.fire, low=0, high=1)
        keys = ("image", "x", "y", "dw", "dh")
        self.picture = ColumnDataSource({name: [] for name in keys})
        self.way = ColumnDataSource({"left": [], "right": [], "y": []})
        image = self.figure.image(
            "image", "x", "y", "dw", "dh", source=self.picture, color_mapper=self.colors
        )
        self.figure.segment(
            "left", "y", "right", "y", source=self.way, line_color="#38bdf8", line_width=4
        )
        self.chosen = ColumnDataSource({"x": [], "y": []})
        self.figure.scatter(
            "x",
            "y",
            source=self.chosen,
            marker="triangle_pin",
            size=11,
            color=CURSOR,
            angle=-1.5708,
        )
        self.figure.add_tools(
            HoverTool(renderers=[image], tooltips=[("frame", "$x{0}"), ("cosine", "@image{0.00}")])
        )

    def show(
        self, frames: np.ndarray, scores: np.ndarray, rows: np.ndarray, best: np.ndarray, fps: float
    ) -> None:
        """Another recording. frames: (T,); scores: (T, P); rows: (R,) prototypes from the bottom.

        best: (T,) the nearest prototype of each moment.
        """
        step = float(np.median(np.diff(frames))) if len(frames) > 1 else 1.0
        left = float(frames[0] - step / 2)
        picture = scores[:, rows].T.astype(np.float32)  # (R, T)
        self.picture.data = {
            "image": [picture], "x": [left], "y": [-0.5], "dw": [step * len(frames)],
            "dh": [len(rows)],
        }  # fmt: skip
        low, high = (float(v) for v in np.percentile(picture, [2, 100]))
        self.colors.update(low=low, high=max(high, low + 1e-3))
        place = pd.Series(np.arange(len(rows)), rows).reindex(best).to_numpy()
        known = np.isfinite(place)
        self.way.data = {
            "left": frames[known] - step / 2, "right": frames[known] + step / 2, "y": place[known],
        }  # fmt: skip
        self.figure.x_range.update(start=left, end=left + step * len(frames))
        self.figure.y_range.update(start=-0.5, end=len(rows) - 0.5)
        self.figure.height = int(np.clip(90 + 17 * len(rows), 150, 400))
        self.figure.yaxis.ticker = FixedTicker(ticks=list(range(len(rows))))
        self.figure.yaxis.major_label_overrides = {k: f"{p}" for k, p in enumerate(rows)}
        seconds(self.figure, fps)

    def mark(self, at: int | None) -> None:
        """Point at a row."""
        x = self.figure.x_range.start
        self.chosen.data = {"x": [x], "y": [at]} if at is not None else {"x": [], "y": []}


class TablePlot:
    """Prototypes (rows) and the classes (columns) of their moments, as shares of the row."""

    def __init__(self) -> None:
        names = ("x", "y", "share", "count", "label", "prototype")
        self.cells = ColumnDataSource({name: [] for name in names})
        self.chosen = ColumnDataSource({"x": [], "y": [], "w": []})
        self.figure = blank("", "", 320)
        self.figure.x_range, self.figure.y_range = Range1d(0, 1), Range1d(0, 1)
        mapper = LinearColorMapper(palette=SHADES, low=0, high=1)
        cells = self.figure.rect(
            "x", "y", 1, 1, source=self.cells, line_color=None,
            fill_color={"field": "share", "transform": mapper},
        )  # fmt: skip
        self.figure.rect(
            "x", "y", "w", 1, source=self.chosen, fill_color=None, line_color=CURSOR, line_width=2
        )
        tips = [("", "@prototype"), ("class", "@label"), ("moments", "@count"),
                ("share", "@share{0%}")]  # fmt: skip
        self.figure.add_tools(HoverTool(renderers=[cells], tooltips=tips))
        self.figure.xaxis.major_label_orientation = 0.7
        self.figure.min_border_left = 60

    def show(self, table: pd.DataFrame, rows: np.ndarray, what: str) -> None:
        """Another table: counts, a row per prototype; rows: (R,) those shown, from the top."""
        counts = table.to_numpy()[rows]
        shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
        y, x = np.nonzero(counts)
        classes, n = [str(c) for c in table.columns], len(rows)
        self.cells.data = {
            "x": x, "y": y, "share": shares[y, x], "count": counts[y, x],
            "label": [classes[k] for k in x], "prototype": [f"{what} {rows[k]}" for k in y],
        }  # fmt: skip
        self.figure.x_range.update(start=-0.5, end=len(classes) - 0.5)
        self.figure.y_range.update(start=n - 0.5, end=-0.5)
        self.figure.height = int(np.clip(150 + 15 * n, 240, 440))
        self.figure.xaxis.ticker = FixedTicker(ticks=list(range(len(classes))))
        self.figure.xaxis.major_label_overrides = dict(enumerate(classes))
        shown = range(n) if n <= NAMED else ()
        self.figure.yaxis.ticker = FixedTicker(ticks=list(shown))
        self.figure.yaxis.major_label_overrides = {k: f"{rows[k]}" for k in shown}
        self.figure.yaxis.axis_label = what

    def mark(self, at: int | None) -> None:
        """Frame a row."""
        n = self.figure.x_range.end + 0.5
        middle, none = (n - 1) / 2, {"x": [], "y": [], "w": []}
        self.chosen.data = {"x": [middle], "y": [at], "w": [n]} if at is not None else none


class GraphPlot:
    """What follows what: prototypes on a circle, and an arrow where one comes after another."""

    def __init__(self) -> None:
        names = ("x", "y", "size", "color", "line", "text", "moments", "label")
        self.nodes = ColumnDataSource({name: [] for name in names})
        self.edges = ColumnDataSource(
            {name: [] for name in ("xs", "ys", "width", "alpha", "tip", "color")}
        )
        self.heads = ColumnDataSource({name: [] for name in ("x", "y", "angle", "size", "color")})
        self.figure = blank("", "", 340)
        self.figure.update(
            x_range=Range1d(-1.3, 1.3), y_range=Range1d(-1.3, 1.3), match_aspect=True
        )
        self.figure.axis.visible = False
        self.figure.grid.visible = False
        lines = self.figure.multi_line(
            "xs", "ys", source=self.edges, line_width="width", line_alpha="alpha",
            line_color="color",
        )  # fmt: skip
        self.figure.scatter(
            "x", "y", source=self.heads, marker="triangle", angle="angle", size="size",
            color="color", alpha=0.8,
        )  # fmt: skip
        dots = self.figure.scatter(
            "x", "y", source=self.nodes, size="size", fill_color="color", line_color="line",
            line_width=3,
        )  # fmt: skip
        self.figure.text(
            "x", "y", "text", source=self.nodes, text_align="center", text_baseline="middle",
            text_color="white", text_font_size="11px", text_font_style="bold",
        )  # fmt: skip
        self.figure.add_tools(
            HoverTool(renderers=[lines], tooltips=[("", "@tip")], line_policy="interp"),
            HoverTool(
                renderers=[dots], tooltips=[("", "@text"), ("moments", "@moments"), ("", "@label")]
            ),
        )
        self.shown = np.zeros(0, int)
        self._edges = pd.DataFrame({"source": [], "target": []})

    def show(
        self,
        shown: np.ndarray,
        edges: pd.DataFrame,
        counts: np.ndarray,
        colors: list[str],
        labels: list[str],
    ) -> None:
        """Another graph. shown: (R,) prototypes around the circle; edges: of `prototypes.graph`."""
        self.shown = shown
        angle = np.pi / 2 - 2 * np.pi * np.arange(len(shown)) / max(1, len(shown))
        self._at = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        largest = max(1, int(counts.max()))
        self.nodes.data = {
            "x": self._at[:, 0], "y": self._at[:, 1], "color": [colors[p] for p in shown],
            "size": 16 + 18 * np.sqrt(counts[shown] / largest), "line": [None] * len(shown),
            "text": [str(p) for p in shown], "moments": counts[shown],
            "label": [labels[p] for p in shown],
        }  # fmt: skip
        kept = edges[edges["source"].isin(shown) & edges["target"].isin(shown)]
        self._edges = kept.head(EDGES)
        self.mark(None)

    def mark(self, prototype: int | None) -> None:
        """Frame a prototype, and draw in its colour what follows it."""
        place = {int(p): k for k, p in enumerate(self.shown)}
        line = [CURSOR if p == prototype else None for p in self.shown]
        self.nodes.data = {**self.nodes.data, "line": line}
        most = max(1, self._edges["count"].max() if len(self._edges) else 1)
        lines = {name: [] for name in self.edges.data}
        heads = {name: [] for name in self.heads.data}
        for e in self._edges.itertuples():
            xs, ys, turn = _bow(self._at[place[e.source]], self._at[place[e.target]])
            mine = e.source == prototype
            color = CURSOR if mine else GREY
            lines["xs"].append(xs)
            lines["ys"].append(ys)
            lines["width"].append(1 + 5 * np.sqrt(e.count / most))
            lines["alpha"].append(0.9 if mine else 0.25 + 0.4 * e.share)
            lines["tip"].append(
                f"{e.source} to {e.target}: {e.count} times, {e.share:.0%} of what follows it"
            )
            lines["color"].append(color)
            heads["x"].append(xs[-6])
            heads["y"].append(ys[-6])
            heads["angle"].append(turn)
            heads["size"].append(7 + 5 * np.sqrt(e.count / most))
            heads["color"].append(color)
        self.edges.data, self.heads.data = lines, heads

    def near(self, x: float, y: float) -> int | None:
        """The prototype at a place of the picture."""
        if not len(self.shown):
            return None
        far = np.hypot(*(self._at - (x, y)).T)
        return int(self.shown[far.argmin()]) if far.min() < 0.2 else None


def _bow(a: np.ndarray, b: np.ndarray) -> tuple[list, list, float]:
    """A bow from a to b, past the middle on its right; and where an arrow on it points, radians."""
    t = np.linspace(0, 1, 25)[:, None]
    side = np.array([b[1] - a[1], a[0] - b[0]])
    bend = (a + b) / 2 * 0.75 + 0.12 * side
    points = (1 - t) ** 2 * a + 2 * t * (1 - t) * bend + t**2 * b
    ahead = points[-5] - points[-7]
    return points[:, 0].tolist(), points[:, 1].tolist(), float(np.arctan2(*ahead[::-1]) - np.pi / 2)
