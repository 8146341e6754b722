"""What is drawn over a similarity matrix: a finer part, lines a cycle apart, blocks, a path."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from weakref import WeakSet

import numpy as np
from bokeh.models import ColorMapper, ColumnDataSource, Plot
from bokeh.plotting import figure

from workbench.analysis.blocks import block_names, blocks
from workbench.analysis.similarity import pooled
from workbench.views.cycle import Cycle
from workbench.views.plots import FEW

PERIOD = "#3fe0c5"
"""Lines one cycle apart; told from the matrix's colours and from the crosshair."""
PATH = "#ffffff"
CYCLES = 12
"""Cycles across what is seen up to which there is a line for each: more hide what is under them."""
POINTS = 300
"""Points of a line, at most."""
PLACES = 4000
"""Rows up to which blocks are looked for among the rows themselves."""


@dataclass(frozen=True)
class Blocks:
    """The homogeneous parts of a recording; K of them."""

    edges: np.ndarray
    """(K + 1,) frames of the recording, ascending."""
    names: list[str]
    """K letters, the same for parts that are alike."""

    @classmethod
    def of(cls, z: np.ndarray, frames: np.ndarray, normal: np.ndarray | None = None) -> Blocks:
        """Those of a recording. z: (T, D); frames: (T,). Long ones are averaged to PLACES rows.

        normal: (M, D) of other recordings; what changes in these too is usual.
        """
        rows, n = pooled(z, PLACES)
        known = normal is not None and len(normal) > 0
        usual = pooled(normal, -(-len(normal) // n))[0] if known else None
        edges = blocks(rows, normal=usual)
        names = block_names(rows, edges, normal=usual)
        ends = np.append(frames - step(frames) / 2, frames[-1] + step(frames) / 2)
        return cls(ends[np.minimum(n * edges, len(frames))], names)

    @property
    def colors(self) -> dict[str, str]:
        """A colour for each name."""
        return {name: FEW[k % len(FEW)] for k, name in enumerate(sorted(set(self.names)))}


def step(frames: np.ndarray) -> float:
    """Frames from row to row."""
    return float(np.median(np.diff(frames))) if len(frames) > 1 else 1.0


@dataclass(frozen=True)
class View:
    """What of a matrix is seen: frames of the columns and of the rows, first to last."""

    columns: tuple[float, float]
    rows: tuple[float, float]

    def shows(self, x: np.ndarray, y: np.ndarray) -> bool:
        """Whether any point of a line lies in it."""
        inside = (x >= self.columns[0]) & (x <= self.columns[1])
        return bool((inside & (y >= self.rows[0]) & (y <= self.rows[1])).any())

    @property
    def span(self) -> float:
        """Frames of its longer side."""
        return max(b - a for a, b in (self.columns, self.rows))


def lines_every(cycle: Cycle, view: View | None = None) -> int:
    """Cycles from line to line: 1, 2, 5, 10, ..., so that at most CYCLES cross what is seen."""
    span = view.span if view else len(cycle.rows) * cycle.hop
    needed = span / (cycle.period * cycle.hop * CYCLES)
    return next(n for k in range(9) for n in (10**k, 2 * 10**k, 5 * 10**k) if n >= needed)


def cycles_apart(
    cycle: Cycle, view: View | None = None
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Lines through the moments that are whole cycles apart: frames x and y of each.

    The next cycle begins a local period later; that is followed from cycle to cycle, so that the
    lines bend where the tempo changes, and end where nothing repeats. Of many in what is seen (all
    by default) every so many-th is given, see `lines_every`.
    """
    rows = len(cycle.rows)
    at = np.arange(rows, dtype=float)
    known = np.isfinite(cycle.rhythm.period)
    if not known.any():
        return [], []
    ahead = at + np.interp(at, at[known], cycle.rhythm.period[known])
    start = np.linspace(0, rows - 1, min(rows, POINTS)).round()
    xs, ys, there = [], [], start
    every = lines_every(cycle, view)
    for number in range(1, rows + 1):
        going = known[there.clip(0, rows - 1).astype(int)] & (there <= rows - 1)
        there = np.where(going, np.interp(there, at, ahead), np.inf)
        inside = there <= rows - 1
        if not inside.any():
            break
        if number % every:
            continue
        x = np.where(inside, cycle.frame(start), np.nan)
        y = np.where(inside, cycle.frame(np.where(inside, there, 0)), np.nan)
        for a, b in ((x, y), (y, x)):
            if view is None or view.shows(a, b):
                xs.append(a)
                ys.append(b)
    return xs, ys


class Overlays:
    """Glyphs in drawn matrices: other data are put into them, nothing is drawn anew."""

    def __init__(self) -> None:
        empty = {"xs": [], "ys": []}
        sides = ("left", "right", "top", "bottom", "name", "color")
        self.data = {
            "detail": {name: [] for name in ("image", "x", "y", "dw", "dh")},
            "cycles": empty,
            "blocks": {s: [] for s in sides},
            "path": {"x": [], "y": []},
        }
        self._drawn: WeakSet[Plot] = WeakSet()  # in a notebook there may be several

    def draw(self, plot: figure, colors: ColorMapper) -> None:
        """Add the glyphs to a matrix, once. colors: those of the matrix."""
        if plot in self._drawn:
            return
        sources = {name: ColumnDataSource(data, name=name) for name, data in self.data.items()}
        plot.image(source=sources["detail"], color_mapper=colors)  # over the matrix
        for width, color in ((3.5, "#000000"), (1.5, PERIOD)):
            plot.multi_line(
                "xs", "ys", source=sources["cycles"], line_color=color, line_width=width
            )
        plot.quad(
            "left", "right", "top", "bottom", source=sources["blocks"], fill_alpha=0,
            line_color="color", line_width=3,
        )  # fmt: skip
        plot.text(
            "right", "top", "name", source=sources["blocks"], text_color="color", x_offset=-6,
            y_offset=4, text_align="right", text_baseline="top", text_font_size="15px",
            text_font_style="bold", text_outline_color="#000000",
        )  # fmt: skip
        for width, color in ((5, "#000000"), (2, PATH)):
            plot.line("x", "y", source=sources["path"], line_color=color, line_width=width)
        self._drawn.add(plot)

    def detail(self, picture: np.ndarray | None, view: View | None = None) -> None:
        """A finer picture, (rows, columns) uint8, of what is seen of the matrix; None: none."""
        if picture is None or view is None:
            self._put("detail", {name: [] for name in self.data["detail"]})
            return
        (x, right), (y, bottom) = view.columns, view.rows
        sides = {"x": [x], "y": [y], "dw": [right - x], "dh": [bottom - y]}
        self._put("detail", {"image": [picture], **sides})

    def cycles(self, cycle: Cycle | None, view: View | None = None) -> None:
        """Lines whole cycles apart where they are seen; None: none."""
        xs, ys = cycles_apart(cycle, view) if cycle else ([], [])
        self._put("cycles", {"xs": xs, "ys": ys})

    def blocks(self, found: Blocks | None) -> None:
        """Squares around the blocks; None: none."""
        spans = list(pairwise(found.edges.tolist())) if found else []
        first, last = [a for a, _ in spans], [b for _, b in spans]
        names = found.names if found else []
        colors = [found.colors[n] for n in names]
        edges = {"left": first, "right": last, "top": first, "bottom": last}
        self._put("blocks", {**edges, "name": names, "color": colors})

    def path(self, x: np.ndarray, y: np.ndarray) -> None:
        """A line through the frames of a path; empty: none."""
        self._put("path", {"x": x, "y": y})

    def _put(self, name: str, data: dict) -> None:
        self.data[name] = data
        for plot in self._drawn:
            for source in plot.select({"type": ColumnDataSource, "name": name}):
                source.data = data
