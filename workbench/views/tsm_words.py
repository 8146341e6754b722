"""What was found in a similarity matrix, in a sentence or two each (HTML)."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import pairwise

import numpy as np

from workbench.views.cycle import Cycle
from workbench.views.matched import CLEAR, Change, Match
from workbench.views.overlays import PERIOD, Blocks


def period_in_words(cycle: Cycle, fps: float, every: int = 1) -> str:
    """How long a cycle is and how sure that is, or that nothing repeats.

    every: cycles from line to line.
    """
    known = np.isfinite(cycle.rhythm.period)
    if not known.any():
        return (
            "<b>Nothing repeats</b> clearly here: no cycle comes twice that is at least "
            f"{4 * cycle.hop / fps:.2g} s long."
        )
    seconds = cycle.rhythm.period[known] * cycle.hop / fps
    low, high = np.percentile(seconds, [5, 95])
    ranges = f" (from {low:.2f} to {high:.2f} s)" if high > 1.05 * low else ""
    share = "" if known.mean() > 0.95 else f", in {known.mean():.0%} of the recording"
    apart = "one cycle" if every == 1 else f"{every} cycles"
    return (
        f"{_swatch(PERIOD)}<b>Period {np.median(seconds):.2f} s</b>{ranges}, confidence "
        f"{cycle.confidence:.2f}{share}; lines are {apart} apart."
    )


def blocks_in_words(blocks: Blocks, fps: float) -> str:
    """Which parts there are, and which are alike."""
    if len(blocks.names) < 2:
        return "<b>One block</b>: on average it is the same from beginning to end."
    parts = ", ".join(
        f'<span style="white-space:nowrap">{_swatch(blocks.colors[name])}{name} '
        f"{max(a, 0) / fps:.1f} to {b / fps:.1f} s</span>"
        for name, (a, b) in zip(blocks.names, pairwise(blocks.edges), strict=True)
    )
    alike = len(set(blocks.names)) < len(blocks.names)
    return f"<b>{len(blocks.names)} blocks</b>: {parts}{'; one letter: alike' if alike else ''}."


def match_in_words(match: Match) -> str:
    """How well two recordings match."""
    said = (
        f"<b>Path</b>: {match.mean:.2f} between matched moments on average (0 the same, 1.41 "
        f"unrelated), {match.path.cost:.1f} in all."
    )
    if max(match.every) > 1:
        every = " and ".join(str(n) for n in match.every)
        said += (
            f" They are long: looked for among means of {every} moments (columns and rows), then "
            "among all moments near that path."
        )
    return said


def change_in_words(change: Change, names: tuple[str, str], fps: Sequence[float]) -> str:
    """What drifted from one recording to another. names, fps: of the columns', of the rows'."""
    if change.drift is None:
        return "They are not compared by phase: nothing repeats in one of them."
    a, b = map(escape, names)
    found, hops = change.drift, [c.hop for c in change.cycles]
    seconds = [p * hop / f for p, hop, f in zip(found.period, hops, fps, strict=True)]
    longer = seconds[1] / seconds[0] - 1
    tempo = (
        f"A cycle takes {seconds[1]:.2f} s in {b}, {seconds[0]:.2f} s in {a} ({longer:+.1%})."
        if np.isfinite(longer)
        else ""
    )
    far = found.distance[np.isfinite(found.distance)]
    if not len(far):
        return f"<b>Drift</b>: {tempo} They share no phase that could be compared."
    if far.max() < CLEAR:
        return (
            f"<b>Drift</b>: {tempo} No phase has changed by as much as it varies (at most "
            f"{far.max():.1f} of its spread)."
        )
    first = f", as at {change.worst[0] / fps[0]:.2f} s" if len(change.worst) else ""
    return (
        f"<b>Drift</b>: {tempo} Most has changed at phase {found.worst:.2f}{first}: "
        f"{far.max():.1f} times its spread."
    )


def _swatch(color: str) -> str:
    return (
        f'<i style="display:inline-block;width:14px;height:4px;border-radius:2px;'
        f'vertical-align:middle;margin-right:5px;background:{color}"></i>'
    )
