"""What is drawn over a similarity matrix: lines one cycle apart, blocks, a matching path."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from weakref import WeakSet

import numpy as np
from bokeh.models import ColumnDataSource, Plot
from bokeh.plotting import figure

from workbench.analysis.blocks import block_names, blocks
from workbench.analysis.similarity import pooled
from workbench.views.cycle import Cycle
from workbench.views.plots import FEW

PERIOD = "#3fe0c5"
"""Lines one cycle apart; told from the matrix's colours and from the crosshair."""
PATH = "#ffffff"
CYCLES = 40
"""Multiples of the period that are drawn: more are a grey mass."""
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
    def of(cls, z: np.ndarray, frames: np.ndarray) -> Blocks:
        """Those of a recording. z: (T, D); frames: (T,). Long ones are averaged to PLACES rows."""
        rows, n = pooled(z, PLACES)
        edges = blocks(rows)
        names = block_names(rows, edges)
        ends = np.append(frames - step(frames) / 2, frames[-1] + step(frames) / 2)
        return cls(ends[np.minimum(n * edges, len(frames))], names)

    @property
    def colors(self) -> dict[str, str]:
        """A colour for each name."""
        return {name: FEW[k % len(FEW)] for k, name in enumerate(sorted(set(self.names)))}


def step(frames: np.ndarray) -> float:
    """Frames from row to row."""
    return float(np.median(np.diff(frames))) if len(frames) > 1 else 1.0


def cycles_apart(cycle: Cycle) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Lines through the moments that are one, two, ... cycles apart: frames x and y of each.

    The next cycle begins a local period later; that is followed from cycle to cycle, so that the
    lines bend where the tempo changes, and end where nothing repeats.
    """
    rows = len(cycle.rows)
    at = np.arange(rows, dtype=float)
    known = np.isfinite(cycle.rhythm.period)
    if not known.any():
        return [], []
    ahead = at + np.interp(at, at[known], cycle.rhythm.period[known])
    start = np.linspace(0, rows - 1, min(rows, POINTS)).round()
    xs, ys, there = [], [], start
    for _ in range(CYCLES):
        going = known[there.clip(0, rows - 1).astype(int)] & (there <= rows - 1)
        there = np.where(going, np.interp(there, at, ahead), np.inf)
        inside = there <= rows - 1
        if not inside.any():
            break
        x = np.where(inside, cycle.frame(start), np.nan)
        y = np.where(inside, cycle.frame(np.where(inside, there, 0)), np.nan)
        xs += [x, y]
        ys += [y, x]
    return xs, ys


class Overlays:
    """Glyphs in drawn matrices: other data are put into them, nothing is drawn anew."""

    def __init__(self) -> None:
        empty = {"xs": [], "ys": []}
        sides = ("left", "right", "top", "bottom", "name", "color")
        self.data = {"cycles": empty, "blocks": {s: [] for s in sides}, "path": {"x": [], "y": []}}
        self._drawn: WeakSet[Plot] = WeakSet()  # in a notebook there may be several

    def draw(self, plot: figure) -> None:
        """Add the glyphs to a matrix, once."""
        if plot in self._drawn:
            return
        sources = {name: ColumnDataSource(data, name=name) for name, data in self.data.items()}
        plot.multi_line(
            "xs", "ys", source=sources["cycles"], line_color=PERIOD, line_width=1, line_alpha=0.75
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

    def cycles(self, cycle: Cycle | None) -> None:
        """Lines one cycle apart; None: none."""
        xs, ys = cycles_apart(cycle) if cycle else ([], [])
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
