"""Arrays -> pictures. Each function returns a HoloViews element that also works without a server.

One colour per meaning, everywhere: a label keeps its colour in every plot and list, `background`
and unknown are grey, the cursor is `CURSOR`, the moment it is compared with is `OTHER`, alarms are
`ANOMALY`.
"""

from __future__ import annotations

from collections.abc import Iterable

import colorcet
import holoviews as hv
import numpy as np
import pandas as pd
from bokeh.models import HoverTool, LassoSelectTool, Span
from bokeh.palettes import Colorblind

from workbench.data.video import BACKGROUND

hv.extension("bokeh", logo=False)  # registers the backend; loads nothing in a browser

GREY = "#9aa0a6"
CURSOR = "#ff5a1f"
OTHER = "#00a5cf"
SELECTED = "#f5b700"
ANOMALY = "#d32f2f"
FEW = [Colorblind[7][k] for k in (0, 5, 3, 6, 1, 4, 2)]  # blue and vermilion first, yellow last
CALM = {BACKGROUND, "unknown", ""}
LEGEND = 16
"""Labels up to which a legend helps."""
FINE = 1000
"""Rows of a similarity matrix above which a screen cannot show more (and 4 MB are sent)."""

TAP = ["tap", "box_select", "lasso_select", "wheel_zoom", "pan", "reset", "save"]


def palette(labels: Iterable[str]) -> dict[str, str]:
    """A colour for each label, the same for the same set of labels; grey for background.

    Up to 7 colours are told apart by colour-blind eyes (Bokeh's Colorblind), more are glasbey.
    """
    known = sorted({str(x) for x in labels} - CALM)
    colors = FEW if len(known) <= len(FEW) else colorcet.b_glasbey_hv
    chosen = {name: colors[k % len(colors)] for k, name in enumerate(known)}
    return chosen | dict.fromkeys(CALM, GREY)


def scatter(points: pd.DataFrame, color: str, title: str = "", tooltips: object = None):
    """A map: one dot per row, coloured by a column.

    points: columns x, y (map units, no meaning of their own), the column `color`, and any columns
    that the tooltips name. A numeric column gets a colour bar, another one a legend.
    """
    dots = hv.Points(points, ["x", "y"], [c for c in points if c not in ("x", "y")])
    common = {
        "color": color,
        "size": 6 if len(points) < 3000 else 4,
        "line_color": None,
        "alpha": 0.85,
        "selection_alpha": 1.0,
        "nonselection_alpha": 0.35,
        "tools": TAP,
        "active_tools": ["wheel_zoom", "tap"],
        "hooks": [tidy, grey_rest],
        "xlabel": "",
        "ylabel": "",
        "xaxis": "bare",
        "yaxis": "bare",
        "padding": 0.06,
        "title": title,
        "responsive": True,
        "min_height": 420,
        "show_grid": False,
        "toolbar": "right",
    }
    if tooltips is not None:
        common |= {"hover_tooltips": tooltips, "tools": ["hover", *TAP]}
    if pd.api.types.is_numeric_dtype(points[color]):
        bar = {"title": color, "width": 10, "padding": 4}
        return dots.opts(cmap=colorcet.bmy, colorbar=True, colorbar_opts=bar, **common)
    return dots.opts(
        cmap=palette(points[color]),
        show_legend=points[color].nunique() <= LEGEND,
        legend_position="right",
        legend_opts={"border_line_alpha": 0, "background_fill_alpha": 0},
        **common,
    )


def ring(points: np.ndarray, color: str = CURSOR, size: float = 14):
    """Empty circles around moments of a map: where the cursor is. points: (N, 2)."""
    return hv.Points(np.reshape(points, (-1, 2))).opts(
        color=color, fill_alpha=0, line_color=color, line_width=3, size=size, show_legend=False
    )


def trail(points: np.ndarray, color: str = CURSOR):
    """The way a recording takes through a map, in order of time. points: (N, 2)."""
    return hv.Curve(np.reshape(points, (-1, 2))).opts(
        color=color, line_width=1.5, alpha=0.7, show_legend=False
    )


def shades(
    matrix: np.ndarray, scale: tuple[float, float] | None = None
) -> tuple[np.ndarray, tuple[float, float]]:
    """A matrix as (rows, columns) uint8, dark to bright, and what 0 and 255 stand for.

    Unless it is given, the scale runs from the 2nd to the 98th percentile, so that structure shows
    however alike all moments are. Above `FINE` rows or columns only every n-th is kept.
    """
    rows, columns = (max(1, -(-n // FINE)) for n in matrix.shape)
    matrix = matrix[::rows, ::columns]
    if scale is None:
        low, high = (float(v) for v in np.percentile(matrix, [2, 98]))
        scale = low, max(high, low + 1e-3)
    low, high = scale
    return (255 * np.clip((matrix - low) / (high - low), 0, 1)).astype(np.uint8), (low, high)


def similarity(
    matrix: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
    row_name: str,
    column_name: str,
    title: str = "",
):
    """A similarity matrix as a picture, time running right and down.

    matrix: (R, C) cosines. rows: (R,), columns: (C,) frame numbers, ascending. Bright is alike.
    """
    picture, (low, high) = shades(matrix)
    half = [_step(rows) / 2, _step(columns) / 2]
    bounds = (columns[0] - half[1], rows[0] - half[0], columns[-1] + half[1], rows[-1] + half[0])
    image = hv.Image(picture[::-1], ["column", "row"], "cosine", bounds=bounds)
    ticks = [0, 64, 128, 191, 255]
    return image.opts(
        cmap=colorcet.fire,
        clim=(0, 255),
        colorbar=True,
        colorbar_opts={
            "height": 8,
            "padding": 4,
            "ticker": _fixed(ticks),
            "major_label_overrides": {t: f"{low + (high - low) * t / 255:.2f}" for t in ticks},
        },
        colorbar_position="bottom",
        invert_yaxis=True,
        aspect=1,
        responsive=True,
        framewise=True,  # the axes are those of the matrix that is shown, also of a longer one
        fontsize={"labels": "13px", "title": "13px"},
        xlabel=f"{column_name} (frame)",
        ylabel=f"{row_name} (frame)",
        title=title,
        hooks=[tidy],
        default_tools=[],
        tools=["wheel_zoom", "pan", "reset", "save"],
        active_tools=["wheel_zoom"],
        toolbar="right",
    )


def crosshair() -> tuple[Span, Span]:
    """Two lines for a drawn similarity matrix: down at the cursor's column, across at a row."""
    return (
        Span(dimension="height", line_color=CURSOR, line_width=2),
        Span(dimension="width", line_color=OTHER, line_width=2),
    )


def tidy(plot, element) -> None:
    """A hook: a lasso tells what it holds once, when it is closed; a hover shows one dot."""
    plot.state.outline_line_color = None
    for tool in plot.state.select(LassoSelectTool):
        tool.continuous = False
    for tool in plot.state.select(HoverTool):
        tool.limit = 1  # one thumbnail, however many dots lie there


def grey_rest(plot, element) -> None:
    """A hook: dots that are not selected turn grey where they are, and keep their place."""
    rest = plot.handles["glyph_renderer"].nonselection_glyph
    rest.update(fill_color=GREY, line_color=None)


def _step(values: np.ndarray) -> float:
    return float(np.median(np.diff(values))) if len(values) > 1 else 1.0


def _fixed(ticks: list[int]):
    from bokeh.models import FixedTicker

    return FixedTicker(ticks=ticks)
