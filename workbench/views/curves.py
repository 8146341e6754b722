"""Curves that grow: new points are streamed to the browser, the plot is never rebuilt."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import panel as pn
from bokeh.models import ColumnDataSource, HoverTool
from bokeh.plotting import figure

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")  # Okabe and Ito 2008
GREY = "#8a8a8a"
MOST = 2000  # points kept per curve; a longer one is thinned by averaging neighbours


class Series:
    """Points of one curve, at most `MOST` of them: beyond, every two neighbours become their mean.

    `add` returns the points to append to what is shown, or None where all must be shown anew.
    """

    def __init__(self) -> None:
        self.x: list[float] = []
        self.y: list[float] = []
        self.stride = 1
        self._waiting: list[tuple[float, float]] = []

    def add(self, points: Iterable[tuple[float, float]]) -> tuple[list, list] | None:
        """Take new points (finite ones) in order of x."""
        new_x, new_y, thinned = [], [], False
        for x, y in points:
            if not (math.isfinite(x) and math.isfinite(y)):
                continue
            self._waiting.append((x, y))
            if len(self._waiting) < self.stride:
                continue
            n = len(self._waiting)
            new_x.append(sum(p[0] for p in self._waiting) / n)
            new_y.append(sum(p[1] for p in self._waiting) / n)
            self._waiting = []
            if len(self.x) + len(new_x) >= MOST:
                self.x, self.y = _halved(self.x + new_x), _halved(self.y + new_y)
                new_x, new_y, thinned = [], [], True
                self.stride *= 2
        self.x += new_x
        self.y += new_y
        return None if thinned else (new_x, new_y)


def _halved(values: list[float]) -> list[float]:
    return [(a + b) / 2 for a, b in zip(values[::2], values[1::2], strict=False)]


class Smoother:
    """A running mean that forgets, point by point; its start is not biased to zero."""

    def __init__(self, keep: float = 0.95) -> None:
        self.keep, self.mean, self.weight = keep, 0.0, 0.0

    def __call__(self, value: float) -> float:
        """The mean after one more value; a value that is no number is passed over."""
        if math.isfinite(value):
            self.mean = self.keep * self.mean + (1 - self.keep) * value
            self.weight = self.keep * self.weight + 1 - self.keep
        return self.mean / self.weight if self.weight else math.nan


class CurvePlot(pn.viewable.Viewer):
    """Named curves over training steps, and level lines to compare them with.

    title says what to notice; unit is the label of the y axis. All curves are there from the start
    (a browser that is shown new glyphs in an old plot loses its legend); a `faint` one is drawn
    thin and grey. `markers` draws every point too, for values that come seldom. `floors`: every
    curve has a level line of its own, dashed in its colour, that `floor` sets.
    """

    def __init__(
        self,
        title: str,
        unit: str,
        curves: Sequence[str],
        *,
        faint: Sequence[str] = (),
        levels: Mapping[str, str] | None = None,
        markers: bool = False,
        floors: bool = False,
        x: str = "step",
    ) -> None:
        super().__init__()
        self.figure = figure(
            height=230,
            sizing_mode="stretch_width",
            title=title,
            x_axis_label=x,
            y_axis_label=unit,
            tools="pan,wheel_zoom,box_zoom,reset,save",
            active_drag=None,
            toolbar_location="above",
            min_border_right=16,
        )
        self.figure.toolbar.logo = None
        self.figure.toolbar.autohide = True
        self.sources: dict[str, ColumnDataSource] = {}
        self.series: dict[str, Series] = {}
        for name in (*faint, *curves):
            self._draw(name, name in faint, markers)
            if floors:
                style = {"line_dash": "dashed", "line_color": self._colour(name in faint)}
                self._draw_level(floor_of(name), name, style | {"line_width": 1.5})
        for name, dash in (levels or {}).items():
            style = {"line_dash": dash, "line_color": GREY, "line_width": 2}
            self._draw_level(name, name, style)
        legend = self.figure.legend[0]
        legend.update(orientation="horizontal", padding=0, margin=0, click_policy="hide")
        self.figure.add_layout(legend, "below")
        self._end = 1.0  # the last step, to which level lines reach
        self._sent = True  # nothing of it is on its way to a browser
        self._pane = pn.pane.Bokeh(self.figure, sizing_mode="stretch_width", margin=(4, 4))
        # empty until there is something to see: Bokeh finds no range for a plot without points
        self._view = pn.Column(sizing_mode="stretch_width", margin=0)

    def add(self, name: str, points: Iterable[tuple[float, float]]) -> None:
        """Append (step, value) points to a curve."""
        if not (points := list(points)):
            return
        source, series = self.sources[name], self.series[name]
        new = series.add(points)
        if new is None or not self._sent:
            source.data = {"x": list(series.x), "y": list(series.y)}
        elif new[0]:
            source.stream({"x": new[0], "y": new[1]})
        self._end = max(self._end, points[-1][0])
        self._show()

    def level(self, name: str, y: float) -> None:
        """Draw a level line from the first step to the last."""
        data = self.sources[name].data
        reaches = len(data["x"]) == 2 and self._end <= 1.02 * data["x"][1]
        if math.isfinite(y) and not (reaches and data["y"][1] == y):
            self.sources[name].data = {"x": [0, self._end], "y": [y, y]}
            self._show()

    def floor(self, name: str, y: float) -> None:
        """Draw the level line that belongs to a curve."""
        self.level(floor_of(name), y)

    def clear(self) -> None:
        """Forget all points."""
        self._end = 1.0
        self._view.clear()
        for source in self.sources.values():
            source.data = {"x": [], "y": []}
        self.series = {name: Series() for name in self.series}

    def _show(self) -> None:
        if self._view.objects:
            return
        self._view.append(self._pane)
        document = pn.state.curdoc
        if document is not None and document.session_context:
            # a browser gets a new plot as it is once this callback is over: what is streamed until
            # then would come to it twice
            self._sent = False
            document.add_next_tick_callback(self._has_it)

    def _has_it(self) -> None:
        self._sent = True

    def _draw(self, name: str, faint: bool, markers: bool) -> None:
        source = self.sources[name] = ColumnDataSource({"x": [], "y": []})
        self.series[name] = Series()
        colour = self._colour(faint)
        line = self.figure.line(
            "x",
            "y",
            source=source,
            line_color=colour,
            line_width=1 if faint else 2.5,
            alpha=0.6 if faint else 1,
            legend_label=name,
        )
        if markers:
            line = self.figure.scatter("x", "y", source=source, size=7, color=colour)
        if not faint:
            tips = [
                ("", name),
                (self.figure.xaxis.axis_label, "@x{0.[0]}"),
                (self.figure.yaxis.axis_label, "@y{0.000}"),
            ]
            mode = "mouse" if markers else "vline"
            self.figure.add_tools(HoverTool(renderers=[line], tooltips=tips, mode=mode))

    def _draw_level(self, name: str, legend: str, style: dict) -> None:
        self.sources[name] = source = ColumnDataSource({"x": [], "y": []})
        self.figure.line("x", "y", source=source, legend_label=legend, **style)

    def _colour(self, faint: bool) -> str:
        """The colour of the curve that was drawn last."""
        return GREY if faint else COLOURS[(len(self.series) - 1) % len(COLOURS)]

    def __panel__(self) -> pn.viewable.Viewable:
        """The plot."""
        return self._view


def floor_of(name: str) -> str:
    """What the level line that belongs to a curve is called among the sources."""
    return f"{name} floor"
