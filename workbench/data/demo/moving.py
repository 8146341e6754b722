"""What moves in the bottling cell: bottles, filling head and robot, each picture drawn once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

import numpy as np

from workbench.data.demo.cell import (
    BROAD,
    CAPPER,
    DARK,
    DEEP,
    FILLER,
    SHELF,
    SHOULDER,
    STAND,
    STEEL,
    TALL,
    TOP,
    Cell,
)
from workbench.data.demo.machine import LET_GO, TAKEN
from workbench.data.demo.paint import Canvas, Sprite

STEPS = 240
"""Positions of the robot that are drawn."""
UPPER, FORE, WRIST = 54, 52, 18
"""Lengths of the robot, pixels."""


@lru_cache(maxsize=1024)
def bottle(cell: Cell, level: int, capped: bool, tilt: int, quarter: int) -> tuple[Sprite, ...]:
    """Shadow and bottle around x = 0: level in 1/40, tilt in degrees, quarters of a pixel more."""
    lies = abs(tilt) > 60
    wide = 66 if lies else 42
    c = Canvas(-wide, TOP - 12, wide, STAND + 12, 4)
    _flask(c, quarter / 4, level, capped, cell, tilt)
    shade = Canvas(-wide, STAND - 10, wide + 12, STAND + 12, 2)
    shade.disc(quarter / 4 + 7, STAND + 1, 46 if lies else 23, 5, (8, 8, 10), 0.55, blur=2)
    return shade.sprite(), c.sprite()


def _flask(c: Canvas, x: float, level: int, capped: bool, cell: Cell, turn: float) -> None:
    """A bottle that stands at (x, STAND), or is turned, degrees to the right; level in 1/40."""
    lies, a = abs(turn) > 60, np.radians(turn)
    edge = 0.0 if lies else BROAD / 2 * np.sign(turn)  # it leans about the edge of its foot
    foot = (x - TALL / 2, STAND - BROAD / 2 + 1) if lies else (x + edge, STAND)

    def at(points: Sequence) -> list[tuple[float, float]]:
        """Points of a bottle whose foot is at (0, 0), where they are now."""
        px, py = np.asarray(points, float).T
        px = px - edge
        turned = px * np.cos(a) - py * np.sin(a), px * np.sin(a) + py * np.cos(a)
        return [(foot[0] + u, foot[1] + v) for u, v in zip(*turned, strict=True)]

    def outline(inset: float, top: float = -TALL) -> list[tuple[float, float]]:
        """Body, shoulder and neck, up to a height."""
        w, n = BROAD / 2 - inset, 7 - inset * 0.7
        half = [(w - 2, -inset), (w, -3 - inset), (w, -62), (w - 1, -67), (n + 3, -78), (n, -84)]
        half = [(px, max(py, top)) for px, py in [*half, (n, -TALL + 2)]]
        return at([(-px, py) for px, py in half] + half[::-1])

    def strip(half: float, y: float, y2: float, left: float | None = None) -> list:
        """A rectangle over the whole width, or from `left` on."""
        left = -half if left is None else left
        return at([(left, y), (half, y), (half, y2), (left, y2)])

    glass, drink = np.array((176, 204, 206)), np.array(cell.drink)
    middle = at([(0, -TALL / 2)])[0]
    bright = np.minimum(glass * 1.25, 255)
    if lies:
        y = middle[1]
        lit = c.down((y - 19, glass * 0.7), (y - 10, bright), (y + 19, glass * 0.5))
    else:
        u = middle[0]
        lit = c.across((u - 19, glass * 0.62), (u - 12, bright), (u - 4, glass),
                       (u + 10, glass * 0.86), (u + 19, glass * 0.5))  # fmt: skip
    c.polygon(outline(0), lit, 0.5)
    if level:
        surface = -3 - DEEP * level / 40
        wet = c.across((middle[0] - 19, drink * 0.62), (middle[0] - 10, drink * 1.12),
                       (middle[0] + 6, drink), (middle[0] + 19, drink * 0.55))  # fmt: skip
        c.polygon(outline(2, surface), np.minimum(wet, 255), 0.92)
        half = BROAD / 2 - 2 if surface > -64 else 7
        c.polygon(strip(half, surface, surface + 2), np.minimum(drink * 1.3 + 20, 255), 0.9)
    c.polygon(strip(18, -24, -50), (238, 236, 228), 0.92)  # the label
    c.polygon(strip(18, -30, -36), cell.paint, 0.9)
    c.polygon(strip(18, -24, -50, 12), (20, 20, 24), 0.25)
    c.polygon(strip(-11, -5, -62, -14), (255, 255, 255), 0.5)  # gloss
    c.polygon(strip(16, -6, -62, 14), (255, 255, 255), 0.2)
    c.polygon(strip(8, -88, -91), glass * 0.7, 0.8)
    if capped:
        cell.draw_cap(c, x, TOP)


@lru_cache(maxsize=64)
def head(cell: Cell, half: int) -> tuple[Sprite, ...]:
    """Shadow and filling head, so many half pixels down."""
    x, y = FILLER, half / 2
    c = Canvas(x - 34, 46, x + 34, 150, 3)
    paint = np.array(cell.paint)
    c.box(x - 22, 54 + y, x + 22, 86 + y, c.barrel(x - 22, x + 22, paint * 1.15), round=4)
    c.box(x - 22, 56 + y, x + 22, 58.5 + y, np.minimum(paint * 1.7, 255), 0.7)
    c.box(x - 16, 64 + y, x + 6, 76 + y, (232, 232, 228), round=2)
    c.box(x - 13, 67 + y, x + 1, 69 + y, paint)
    c.box(x - 13, 71 + y, x - 3, 73 + y, DARK)
    c.disc(x + 13, 70 + y, 3.5, 3.5, DARK)
    c.disc(x + 12.4, 69.4 + y, 2.2, 2.2, (96, 206, 110))
    c.box(x - 12, 86 + y, x + 12, 92 + y, c.barrel(x - 12, x + 12, STEEL))
    c.box(x - 6, 92 + y, x + 6, 99 + y, c.barrel(x - 6, x + 6, STEEL * 0.85))
    c.box(x - 3, 99 + y, x + 3, 113 + y, c.barrel(x - 3, x + 3, STEEL * 1.1))
    return c.shadow(9, 5, 4, 0.3), c.sprite()


@lru_cache(maxsize=64)
def hose(half: int) -> Sprite:
    """The hose from the tank to the head, so many half pixels down."""
    c = Canvas(FILLER - 50, 10, FILLER + 10, 110, 3)
    end = np.array((FILLER - 18.0, 58 + half / 2))
    start = np.array((FILLER - 35.0, 21))
    bend = np.array((FILLER - 42.0, 52 + half / 4))
    t = np.linspace(0, 1, 14)[:, None]
    path = (1 - t) ** 2 * start + 2 * t * (1 - t) * bend + t**2 * end
    for a, b in pairwise(path):
        c.bar(a, b, 5, 5, (46, 48, 54))
    for a, b in pairwise(path - 1):
        c.bar(a, b, 1.4, 1.4, (122, 126, 134))
    return c.sprite()


@lru_cache(maxsize=64)
def stream(cell: Cell, surface: int) -> Sprite:
    """What pours from the head, down to a height."""
    c = Canvas(FILLER - 4, TOP + 8, FILLER + 4, STAND, 3)
    c.box(FILLER - 1.5, TOP + 14, FILLER + 1.5, surface, cell.drink, 0.95)
    return c.sprite()


@lru_cache(maxsize=64)
def waiting_cap(cell: Cell, half: int) -> Sprite:
    """The next cap on the shelf, so many half pixels to the right of where it is taken."""
    c = Canvas(SHELF[0] - 10, SHELF[1] - 2, SHELF[0] + 30, SHELF[1] + 14, 4)
    cell.draw_cap(c, SHELF[0] + half / 2, SHELF[1])
    return c.sprite()


@lru_cache(maxsize=2 * STEPS)
def robot(cell: Cell, step: int, holds: bool) -> tuple[Sprite, ...]:
    """Shadow and robot at one of STEPS positions, with or without a cap."""
    tip = tool(step / STEPS)
    wrist = tip - np.array((0, WRIST))
    elbow = _elbow(np.array(SHOULDER), wrist)
    c = Canvas(206, -2, 376, 152, 3)
    paint = np.array(cell.robot)
    down = c.down((24, np.minimum(paint * 1.2, 255)), (140, paint * 0.78))
    if holds:
        cell.draw_cap(c, *tip)
    grip = 7 if holds else 10
    finger = [(4, -8), (grip + 2, -3), (grip + 2, 6), (grip, 6), (grip, -1), (2, -5)]
    for side in (-1, 1):
        c.polygon([(tip[0] + side * x, tip[1] + y) for x, y in finger], DARK)
    x, x2 = tip[0] - 6, tip[0] + 6
    c.box(x, wrist[1], x2, tip[1] - 5, c.barrel(x, x2, STEEL), round=1)
    c.bar(elbow, wrist, 15, 11, down)
    c.bar(SHOULDER, elbow, 20, 16, down)
    glint = np.minimum(paint * 1.35, 255)
    c.bar((SHOULDER[0] - 3, SHOULDER[1] + 4), (elbow[0] - 2, elbow[1] + 2), 3, 2, glint, 0.6)
    for at, r in ((SHOULDER, 10), (elbow, 8), (wrist, 6)):
        c.disc(*at, r, r, DARK)
        c.disc(at[0] - 0.7, at[1] - 0.7, r - 2, r - 2, STEEL * 0.9)
        c.disc(*at, r / 3, r / 3, DARK)
    return c.shadow(12, 8, 5, 0.3), c.sprite()


def tool(place: float) -> np.ndarray:
    """(x, y) of the top of the cap that the robot holds or would hold, at a place of its
    programme."""
    up, high, seat = TOP - 22, SHELF[1] - 16, float(TOP)
    keys = [
        (-0.06, CAPPER, up), (0.20, SHELF[0], high), (LET_GO, SHELF[0], SHELF[1]),
        (TAKEN, SHELF[0], SHELF[1]), (0.37, SHELF[0], high), (0.62, CAPPER, up), (0.70, CAPPER, up),
        (0.77, CAPPER, seat), (0.88, CAPPER, seat), (0.94, CAPPER, up), (1.20, SHELF[0], high),
    ]  # fmt: skip
    times = [k[0] for k in keys]
    k = max(0, int(np.searchsorted(times, place, side="right")) - 1)
    (t, x, y), (t2, x2, y2) = keys[k], keys[k + 1]
    s = (place - t) / (t2 - t)
    s = s * s * (3 - 2 * s)
    swing = -7 * np.sin(np.pi * s) * (x != x2)
    return np.array((x + s * (x2 - x), y + s * (y2 - y) + swing))


def _elbow(shoulder: np.ndarray, wrist: np.ndarray) -> np.ndarray:
    """Where the elbow is, the arm bent to the right."""
    way = wrist - shoulder
    far = min(float(np.hypot(*way)), UPPER + FORE - 1e-3)
    along = (UPPER**2 - FORE**2 + far**2) / (2 * far)
    out = np.sqrt(max(0.0, UPPER**2 - along**2))
    unit = way / np.hypot(*way)
    return shoulder + unit * along + np.array((unit[1], -unit[0])) * out
