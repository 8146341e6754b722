"""Pictures of online detection: the confusion matrix, and what is known when.

Arrays in, HoloViews elements out, usable without a server.
"""

from __future__ import annotations

import colorcet
import holoviews as hv
import numpy as np
from bokeh.models import BoxAnnotation, Span

from workbench.analysis.detection import actions_of
from workbench.views.plots import CURSOR, palette, tidy

SHADES = colorcet.b_linear_blue_95_50_c20
"""From 0, nearly white, to 1, blue."""
TRUTH, SAID, TOP = 1.35, 0.15, 2.4
"""Where the strips of truth and prediction begin above the classes, and where the picture ends."""


def confusion(counts: np.ndarray, classes: tuple[str, ...]) -> hv.Overlay:
    """Counts of true (rows) against predicted (columns) classes; each row is shaded by its shares.

    counts: (C, C).
    """
    n = len(classes)
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    bounds = (-0.5, -0.5, n - 0.5, n - 0.5)
    image = hv.Image(shares[::-1], ["said", "true"], "share of the row", bounds=bounds)
    cells = [(x, y, int(counts[y, x])) for y in range(n) for x in range(n) if counts[y, x]]
    dark = [c for c in cells if shares[c[1], c[0]] > 0.5]
    light = [c for c in cells if shares[c[1], c[0]] <= 0.5]
    ticks = list(enumerate(classes))
    image = image.opts(cmap=SHADES, clim=(0, 1), tools=["tap"], default_tools=["save"])
    return (image * _numbers(dark, "white") * _numbers(light, "#1d2730")).opts(
        invert_yaxis=True,
        aspect=1,
        responsive=True,
        xticks=ticks,
        yticks=ticks,
        xrotation=40,
        xlabel="said",
        ylabel="true",
        title="Click a cell to see its chunks",
        default_tools=["save"],
        toolbar="right",
        hooks=[tidy, _roomy],
    )


def _roomy(plot, element) -> None:
    """A hook: the slanted label of the first column is not cut at the left."""
    plot.state.min_border_left = 90


def _numbers(cells: list[tuple[int, int, int]], color: str) -> hv.Labels:
    return hv.Labels(cells, ["said", "true"], "n").opts(
        text_color=color, text_font_size="11pt", default_tools=["save"], hooks=[_steady]
    )


def _steady(plot, element) -> None:
    """A hook: a click fades nothing."""
    plot.handles["glyph_renderer"].nonselection_glyph = None


def chances(
    newest: np.ndarray, probabilities: np.ndarray, classes: tuple[str, ...], title: str = ""
) -> hv.Image:
    """How likely each class seems, over time: what is known at each frame. `strips` go above it.

    newest: (T,) row of the newest finished chunk, -1 none yet; probabilities: (N, C).
    """
    n, length = len(classes), len(newest)
    seen = np.full((length, n), np.nan)
    seen[newest >= 0] = probabilities[newest[newest >= 0]]
    bounds = (-0.5, -0.5, length - 0.5, n - 0.5)
    return hv.Image(seen.T[::-1], ["frame", "row"], "probability", bounds=bounds).opts(
        cmap=SHADES,
        clim=(0, 1),
        clipping_colors={"NaN": (0, 0, 0, 0)},
        responsive=True,
        height=110 + 26 * (n + 2),
        xlim=(-0.5, length - 0.5),
        ylim=(-0.5, n + TOP - 0.5),
        framewise=True,
        yticks=[*enumerate(classes), (n + SAID, "said"), (n + TRUTH, "truth")],
        xlabel="frame of the recording",
        ylabel="",
        title=title,
        default_tools=["save"],
        toolbar="right",
        hooks=[tidy],
    )


def strips(
    truth: np.ndarray, newest: np.ndarray, probabilities: np.ndarray, classes: tuple[str, ...]
) -> hv.Rectangles:
    """What each frame shows, and below it what is said of it; colours as everywhere.

    truth: (T,) class of each frame, -1 unknown; newest and probabilities as for `chances`.
    """
    n, colors = len(classes), palette(classes)
    said = np.full(len(newest), -1)
    said[newest >= 0] = probabilities[newest[newest >= 0]].argmax(axis=1)
    boxes = [
        (start - 0.5, n + bottom - 0.5, stop - 0.5, n + bottom + 0.5, colors[classes[label]])
        for rows, bottom in ((said, SAID), (truth, TRUTH))
        for start, stop, label in actions_of(rows)
    ]
    return hv.Rectangles(boxes, vdims="color").opts(
        color="color", line_color=None, framewise=True, default_tools=["save"]
    )


def playhead() -> tuple[Span, BoxAnnotation]:
    """A line at the cursor, and a curtain over what is not known yet, for a drawn timeline."""
    return (
        Span(dimension="height", line_color=CURSOR, line_width=2),
        BoxAnnotation(fill_color="#8a9299", fill_alpha=0.93, line_color=None, visible=False),
    )
