"""Two recordings of a process: matched moment by moment, and what changed where in the cycle."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from bokeh.models import BoxAnnotation, ColumnDataSource, Range1d
from bokeh.plotting import figure

from workbench.analysis.embeddings import Embeddings
from workbench.analysis.phase import phase_like
from workbench.analysis.similarity import pooled
from workbench.analysis.warping import Drift, Path, drift, dtw, refined
from workbench.views.curves import COLOURS
from workbench.views.cycle import Cycle, rows_of
from workbench.views.plots import ANOMALY, GREY

MOST = 2000
"""Rows of either recording that a path is looked for among; of longer ones among means of several
first, and then among all rows near that path."""
BINS = 20
CLEAR = 1.0
"""Spreads of a phase from which on its change is worth telling."""


@dataclass(frozen=True)
class Match:
    """The path between a recording (columns, a) and another (rows, b)."""

    path: Path
    """In rows of either."""
    every: tuple[int, int]
    """Rows of the columns', of the rows' recording that were averaged at first; 1: none."""
    frames: tuple[np.ndarray, np.ndarray]
    """(L,) frames of the columns', of the rows' recording, along the path."""

    @classmethod
    def of(cls, embeddings: Embeddings, a: tuple[str, str], b: tuple[str, str]) -> Match:
        """Match two recordings; a, b: (recording, camera) of the columns, of the rows."""
        sides = [rows_of(embeddings, *side) for side in (a, b)]
        thin = [pooled(embeddings.z[rows], MOST) for rows in sides]
        path, every = dtw(thin[0][0], thin[1][0]), (thin[0][1], thin[1][1])
        if max(every) > 1:
            path = refined(*(embeddings.z[rows] for rows in sides), path, every)
        frame = embeddings.index["frame"].to_numpy()
        frames = tuple(frame[rows][at] for rows, at in zip(sides, path[:2], strict=True))
        return cls(path, every, frames)

    @property
    def mean(self) -> float:
        """Mean distance of the matched moments: 0 the same, 1.41 unrelated."""
        return self.path.cost / len(self.path.rows_a)

    def along(self, columns: int, rows: int) -> np.ndarray:
        """(columns,) the frame of the rows' recording that matches each frame of the columns'.

        columns, rows: frames of either recording. Before the first and after the last window both
        go on at one pace.
        """
        x, at = np.unique(self.frames[0], return_inverse=True)
        y = np.bincount(at, self.frames[1]) / np.bincount(at)
        k = np.arange(columns)
        found = np.interp(k, x, y) + np.minimum(k - x[0], 0) + np.maximum(k - x[-1], 0)
        return np.clip(found.round().astype(np.int32), 0, max(0, rows - 1))


@dataclass(frozen=True)
class Change:
    """What changed from a recording (columns) to another (rows), and where in the cycle."""

    drift: Drift | None
    """None where one of them does not repeat."""
    cycles: tuple[Cycle, Cycle]

    @classmethod
    def of(cls, embeddings: Embeddings, a: tuple[str, str], b: tuple[str, str]) -> Change:
        """Compare two recordings; a, b: (recording, camera). It takes as long as `Cycle.of`.

        The phase of b is that of the moments of a that it is like.
        """
        one, other = (Cycle.of(embeddings, *side) for side in (a, b))
        if not (one.repeats and other.repeats):
            return cls(None, (one, other))
        z_a, z_b = embeddings.z[one.rows], embeddings.z[other.rows]
        phase = phase_like(z_b, z_a, one.phase)
        phase = np.where(np.isfinite(other.phase), phase, np.nan)
        bins = int(np.clip(round(one.period), 4, BINS))
        return cls(drift(z_a, one.phase, z_b, phase, bins), (one, other))

    def at(self, phase: float) -> np.ndarray:
        """(R,) frames of the columns' recording at a phase, one of each repetition."""
        rows = self.cycles[0].at(phase)
        return self.cycles[0].frames[rows[rows >= 0]]

    @cached_property
    def worst(self) -> np.ndarray:
        """(R,) frames of the columns' recording at the phase at which most has changed."""
        if self.drift is None or not np.isfinite(self.drift.worst):
            return np.zeros(0, int)
        return self.at(self.drift.worst)


class DriftPlot:
    """How much changed at each phase; other data are put into it."""

    def __init__(self) -> None:
        self.bars = ColumnDataSource({"phase": [], "distance": [], "color": [], "width": []})
        self.figure = figure(
            height=170, min_width=200, sizing_mode="stretch_width", toolbar_location=None,
            tools="", x_range=Range1d(0, 1), x_axis_label="phase", y_axis_label="change / spread",
        )  # fmt: skip
        self.figure.vbar("phase", "width", "distance", source=self.bars, color="color")
        self.figure.add_layout(BoxAnnotation(top=CLEAR, fill_color=GREY, fill_alpha=0.15))
        self.figure.y_range.start = 0

    def show(self, found: Drift) -> None:
        """Another drift."""
        width, far = 0.9 / len(found.centres), np.nan_to_num(found.distance)
        worst = np.isfinite(found.distance) & (found.centres == found.worst) & (far >= CLEAR)
        colors = [ANOMALY if w else COLOURS[0] for w in worst]
        self.bars.data = {
            "phase": found.centres, "distance": far, "color": colors,
            "width": np.full(len(far), width),
        }  # fmt: skip
        self.figure.y_range.end = 1.1 * max(2 * CLEAR, float(far.max(initial=0)))
        self.figure.title.text = "What changed: click a phase"
