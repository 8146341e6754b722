"""Which cluster went where: blocks for the clusters of some epochs, and ribbons between them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from bokeh.models import ColumnDataSource, FixedTicker, HoverTool, Range1d

from workbench.views.figures import blank
from workbench.views.plots import CURSOR, GREY

BLOCKS = 16
"""Clusters of an epoch that have a block of their own; the smaller ones share one."""
REST = -1
"""The block of all smaller clusters."""
WIDE = 0.012
"""Half the width of a block, as a share of the picture's."""
GAP = 0.35
"""Share of the height that is left between all blocks of an epoch."""
STEPS = 16


@dataclass(frozen=True)
class Flow:
    """N videos in the blocks of E epochs, and where they lie one above the other."""

    epochs: tuple[int, ...]
    recordings: np.ndarray
    """(N,) names of the recordings they are of."""
    nth: np.ndarray
    """(N,) which video of its recording each is, from 0."""
    blocks: np.ndarray
    """(N, E) the cluster of each, or REST."""
    labels: np.ndarray
    """(N,) classes; "" unknown."""
    edges: tuple[dict[int, tuple[float, float]], ...]
    """For each epoch, where a cluster begins and ends, upwards; the picture is 1 high."""

    @classmethod
    def of(cls, tables: dict[int, pd.DataFrame], classes: dict[str, str | None]) -> Flow:
        """The videos that are in the clusters of every epoch. tables: recording, cluster."""
        wide = pd.concat({e: by_video(t) for e, t in tables.items()}, axis=1, join="inner")
        blocks = wide.to_numpy().copy()
        for column in blocks.T:
            sizes = pd.Series(column).value_counts()
            column[~np.isin(column, sizes.index[:BLOCKS])] = REST
        names, nth = (wide.index.get_level_values(k).to_numpy() for k in (0, 1))
        labels = np.array([classes.get(n) or "" for n in names], object)
        edges = []
        rank = pd.factorize(labels, sort=True)[0].astype(float)
        for column in blocks.T:
            edges.append(_stacked(column, rank))
            middle = {b: sum(e) / 2 for b, e in edges[-1].items()}
            rank = np.array([middle[b] for b in column])
        return cls(tuple(tables), names, nth, blocks, labels, tuple(edges))

    @property
    def half(self) -> float:
        """Half the width of a block, where epochs are 1 apart."""
        return WIDE * max(2, len(self.epochs))

    def members(self, column: int, block: int) -> np.ndarray:
        """The rows of a block."""
        return np.flatnonzero(self.blocks[:, column] == block)

    def block_at(self, x: float, y: float) -> tuple[int, int] | None:
        """Which epoch's (place) which block is at a place of the picture."""
        column = round(x)
        if not 0 <= column < len(self.epochs) or abs(x - column) > 2 * self.half:
            return None
        for block, (low, high) in self.edges[column].items():
            if low <= y <= high:
                return column, block
        return None


def by_video(table: pd.DataFrame) -> pd.Series:
    """The cluster of each row of recording, cluster; a recording has a row for each of its videos.

    By the name of the recording, and the number of the video of it, from 0.
    """
    return table.assign(nth=table.groupby("recording").cumcount()).set_index(["recording", "nth"])[
        "cluster"
    ]


def _stacked(column: np.ndarray, rank: np.ndarray) -> dict[int, tuple[float, float]]:
    """Where blocks lie, those whose members were lowest at the bottom, the rest on top."""
    found = pd.DataFrame({"block": column, "rank": rank}).groupby("block")["rank"]
    order = sorted(found.mean().items(), key=lambda pair: (pair[0] == REST, pair[1], pair[0]))
    sizes, at, places = found.size(), 0.0, {}
    gap = GAP * len(column) / max(1, len(order) - 1) if len(order) > 1 else 0.0
    for block, _ in order:
        places[int(block)] = (at, at + int(sizes[block]))
        at += int(sizes[block]) + gap
    if len(order) > 1:
        whole = (1 + GAP) * len(column)
        return {b: (lo / whole, hi / whole) for b, (lo, hi) in places.items()}
    return {b: (0.1, 0.9) for b in places}


class FlowPlot:
    """The picture of a `Flow`; ribbons have the colour of the class of their recordings."""

    def __init__(self) -> None:
        self.figure = blank("epoch", "", 380)
        self.figure.x_range, self.figure.y_range = Range1d(0, 1), Range1d(-0.03, 1.03)
        self.figure.yaxis.visible = False
        self.ribbons = ColumnDataSource({name: [] for name in ("xs", "ys", "color", "tip")})
        names = ("left", "right", "bottom", "top", "color", "line", "tip", "key")
        self.blocks = ColumnDataSource({name: [] for name in names})
        ribbons = self.figure.patches(
            "xs", "ys", source=self.ribbons, fill_color="color", fill_alpha=0.45, line_color=None,
            hover_fill_alpha=0.75, hover_fill_color="color", hover_line_color=None,
        )  # fmt: skip
        blocks = self.figure.quad(
            "left", "right", "top", "bottom", source=self.blocks, fill_color="color",
            line_color="line", line_width=3,
        )  # fmt: skip
        self.figure.add_tools(
            HoverTool(renderers=[blocks], tooltips=[("", "@tip")]),
            HoverTool(renderers=[ribbons], tooltips=[("", "@tip")]),
        )

    def show(self, flow: Flow, colors: dict[str, str]) -> None:
        """Another flow. colors: of each class, and of "" where none is known."""
        self._show_blocks(flow, colors)
        ribbons = {name: [] for name in self.ribbons.data}
        for c in range(len(flow.epochs) - 1):
            for xs, ys, color, tip in _ribbons(flow, c, colors):
                ribbons["xs"].append(xs)
                ribbons["ys"].append(ys)
                ribbons["color"].append(color)
                ribbons["tip"].append(tip)
        self.ribbons.data = ribbons
        n = len(flow.epochs)
        self.figure.x_range.update(start=-0.15, end=n - 0.85)
        self.figure.xaxis.ticker = FixedTicker(ticks=list(range(n)))
        self.figure.xaxis.major_label_overrides = {k: str(e) for k, e in enumerate(flow.epochs)}

    def _show_blocks(self, flow: Flow, colors: dict[str, str]) -> None:
        blocks = {name: [] for name in self.blocks.data}
        for c, edges in enumerate(flow.edges):
            for block, (low, high) in edges.items():
                mine = flow.labels[flow.blocks[:, c] == block]
                label, share = _commonest(mine)
                name = "smaller clusters" if block == REST else f"cluster {block}"
                mostly = f", {share:.0%} {label}" if label else ""
                blocks["left"].append(c - flow.half)
                blocks["right"].append(c + flow.half)
                blocks["bottom"].append(low)
                blocks["top"].append(high)
                blocks["color"].append(GREY if block == REST else colors.get(label, GREY))
                blocks["line"].append(None)
                blocks["tip"].append(f"epoch {flow.epochs[c]}, {name}: {count(len(mine))}{mostly}")
                blocks["key"].append(f"{c} {block}")
        self.blocks.data = blocks

    def mark(self, column: int, block: int) -> None:
        """Frame a block."""
        key = f"{column} {block}"
        line = [CURSOR if k == key else None for k in self.blocks.data["key"]]
        self.blocks.data = {**self.blocks.data, "line": line}


def _ribbons(flow: Flow, c: int, colors: dict[str, str]):
    """The ribbons from one epoch's blocks to the next one's, as closed lines."""
    parts = pd.DataFrame({
        "a": flow.blocks[:, c], "b": flow.blocks[:, c + 1], "label": flow.labels,
    }).groupby(["a", "b", "label"]).size().rename("n").reset_index()  # fmt: skip
    sides = []
    for side, far, edges in (
        ("a", "b", (flow.edges[c], flow.edges[c + 1])),
        ("b", "a", (flow.edges[c + 1], flow.edges[c])),
    ):
        height = parts["n"] * parts[side].map(
            {b: (hi - lo) / max(1, (flow.blocks[:, c + (side == "b")] == b).sum())
             for b, (lo, hi) in edges[0].items()}
        )  # fmt: skip
        order = parts.assign(
            far=parts[far].map({b: lo for b, (lo, _) in edges[1].items()}), h=height
        ).sort_values([side, "far", "label"], kind="stable")
        above = order.groupby(side)["h"].cumsum() - order["h"]
        low = order[side].map({b: lo for b, (lo, _) in edges[0].items()}) + above
        sides.append((low.sort_index(), (low + order["h"]).sort_index()))
    t = np.linspace(0, 1, STEPS)
    bend = t * t * (3 - 2 * t)
    x = c + flow.half + (1 - 2 * flow.half) * t
    (low_a, high_a), (low_b, high_b) = sides
    for k, part in enumerate(parts.itertuples()):
        low = low_a[k] + (low_b[k] - low_a[k]) * bend
        high = high_a[k] + (high_b[k] - high_a[k]) * bend
        names = ["smaller ones" if v == REST else f"cluster {v}" for v in (part.a, part.b)]
        what = f" of {part.label}" if part.label else ""
        yield (
            [*x, *x[::-1]], [*low, *high[::-1]], colors.get(part.label, GREY),
            f"{count(part.n)}{what}: {names[0]} to {names[1]}",
        )  # fmt: skip


def count(n: int) -> str:
    """So many videos, in words."""
    return f"{n} video{'s' * (n != 1)}"


def _commonest(labels: np.ndarray) -> tuple[str, float]:
    """The class that most are of, and their share; "" where most are of none."""
    if not len(labels):
        return "", 0.0
    counts = pd.Series(labels).value_counts()
    return str(counts.index[0]), float(counts.iloc[0] / len(labels))
