"""The cell at work, filmed: picture after picture."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from workbench.data.demo import moving, surroundings
from workbench.data.demo.cell import DEEP, EDGE, FILLER, FROM, HEIGHT, PITCH, STAND, TO, WIDTH, Cell
from workbench.data.demo.machine import TAKEN, Shift
from workbench.data.demo.paint import Canvas, Sprite
from workbench.data.demo.surroundings import STRIDE, Passing, Surroundings

NOISE = 2.2
"""Standard deviation of a pixel's noise, of 255."""
PLATES, ROOM = 4, 32
"""Pictures of noise, and by how many pixels each is larger than what is cut from it."""
BAND = 100
"""Rows that the camera works on at a time."""
DOWN = 30
"""Pixels that the filling head comes down."""


def film(cell: Cell, shift: Shift, around: Surroundings, seed: int) -> Iterator[np.ndarray]:
    """The pictures of a shift, each (HEIGHT, WIDTH, 3) uint8."""
    still = cell.back.copy()
    cell.front.lay(still, EDGE, EDGE)
    lens, picture = _Lens(around, seed), np.empty_like(still)
    for i in range(len(shift.phase)):
        np.copyto(picture, still)
        for person in around.walkers:
            _walk(picture, cell, person, i)
        _work(picture, cell, shift, i)
        yield lens(picture, i)


def _walk(picture: np.ndarray, cell: Cell, person: Passing, i: int) -> None:
    """Somebody between the wall and the machine."""
    if not -60 <= (place := _place(person, i)) <= WIDTH + 60:
        return
    x, step = round(place), int(abs(place) / 52 * STRIDE) % STRIDE
    sprite, shade = _walker(person.look, step, person.speed > 0)
    x1, x2 = max(-EDGE, x - 70), min(WIDTH + EDGE, x + 90)
    rows, columns = slice(40 + EDGE, 230 + EDGE), slice(x1 + EDGE, x2 + EDGE)
    if x1 >= x2:
        return
    part = cell.back[rows, columns].copy()
    shade.lay(part, x - x1, -40)
    sprite.lay(part, x - x1, -40)
    cell.front.cut(x1, 40, x2, 230).lay(part, -x1, -40)
    picture[rows, columns] = part


def _work(picture: np.ndarray, cell: Cell, shift: Shift, i: int) -> None:
    """The machine and its bottles; these are seen between the hoods only."""
    belt = shift.belt[i]
    open_part = picture[:, FROM + EDGE : TO + EDGE]
    moved = round(belt * PITCH * 4) % (4 * PITCH)
    first = PITCH - moved // 4 - 1
    open_part[209 + EDGE : 235 + EDGE] = cell.belts[moved % 4, :, first : first + TO - FROM]

    half = round(2 * DOWN * shift.head[i])
    shade, head = moving.head(cell, half)
    robot_shade, robot = moving.robot(
        cell, int(shift.robot[i] * moving.STEPS), bool(shift.holds[i])
    )
    shade.lay(picture, EDGE, EDGE)
    moving.hose(half).lay(picture, EDGE, EDGE)
    slid = (shift.robot[i] - 0.5) / 0.12
    if shift.robot[i] < TAKEN or slid > 0:  # the next cap is taken, and slides in later
        far = 0 if shift.robot[i] < TAKEN else round(30 * (1 - min(1, slid)))
        moving.waiting_cap(cell, far).lay(picture, EDGE, EDGE)
    robot_shade.lay(picture, EDGE, EDGE)
    head.lay(picture, EDGE, EDGE)

    full, bottles = 0.0, []
    for j in np.flatnonzero(shift.there):
        x = FILLER - (j + shift.first - belt) * PITCH
        if FROM - 60 < x < TO + 60:
            key = round(40 * shift.level[i, j]), bool(shift.capped[i, j]), round(shift.tilt[i, j])
            at = round(4 * x)
            bottles.append((*moving.bottle(cell, *key, at % 4), at // 4 - FROM))
            full = shift.level[i, j] if abs(x - FILLER) < 1 else full
    for shade, _, x in bottles:
        shade.lay(open_part, x, EDGE)
    if shift.flow[i]:
        stream = moving.stream(cell, round(STAND - 3 - DEEP * full))
        stream.lay(picture, EDGE, EDGE)
    for _, bottle, x in bottles:
        bottle.lay(open_part, x, EDGE)
    robot.lay(picture, EDGE, EDGE)
    cell.rail.lay(picture, EDGE, EDGE)


@lru_cache(maxsize=512)
def _walker(look: int, step: int, right: bool) -> tuple[Sprite, Sprite]:
    return surroundings.walker(look, step, right)


class _Lens:
    """What the camera makes of pictures with an edge: shaken, lit, behind a guard, noisy."""

    def __init__(self, around: Surroundings, seed: int) -> None:
        self.around, self.rng = around, np.random.default_rng([seed, 7])
        x = np.linspace(-1, 1, WIDTH)[None, :, None]
        y = np.linspace(-1, 1, HEIGHT)[:, None, None]
        self.x = x.astype(np.float32)
        self.dim = (1.02 - 0.07 * (x * x + y * y)).astype(np.float32)  # towards the corners
        c = Canvas(-200, 0, WIDTH + 200, HEIGHT, 1)
        c.polygon([(60, 20), (150, 20), (240, 300), (130, 300)], (1, 1, 1), blur=12)
        c.polygon([(180, 20), (250, 20), (360, 300), (270, 300)], (1, 1, 1), 0.7, blur=12)
        self.patch = c.opacity
        self.map = np.empty((HEIGHT, WIDTH, 3), np.float32)
        self.band, self.other = np.empty((2, BAND + 1, WIDTH + 1, 3), np.float32)

    def __call__(self, picture: np.ndarray, i: int) -> np.ndarray:
        """(HEIGHT, WIDTH, 3) uint8."""
        around = self.around
        if i % 6 == 0:  # slow changes of the light, five times a second
            strength, at = around.sun[i]
            first = int(np.clip(200 - at, 0, 400))
            fall = self.dim * (1 + around.slope[i] * self.x)
            fall = fall + strength * self.patch[:, first : first + WIDTH]
            np.multiply(fall, around.tint[i], out=self.map, casting="same_kind")
        off = np.round(around.shake[i] * 8) / 8 + EDGE
        (x, y), share = np.floor(off).astype(int), (off % 1).astype(np.float32)
        light = np.float32(around.light[i])
        plate, u, v = self.rng.integers(0, (PLATES, ROOM, ROOM))
        noise = _noise()[plate, v : v + HEIGHT, u : u + WIDTH]
        gleams = [g for g in around.gleams if -60 < _place(g, i) < WIDTH + 60]
        out = np.empty((HEIGHT, WIDTH, 3), np.uint8)
        for top in range(0, HEIGHT, BAND):  # band by band: what is worked on stays in the cache
            rows = slice(top, top + BAND)
            np.copyto(self.band, picture[y + top : y + top + BAND + 1, x : x + WIDTH + 1])
            seen = self._between(share)
            seen *= self.map[rows]
            seen *= light
            for gleam in gleams:
                at = round(_place(gleam, i))
                first, last = max(0, at - 60), min(WIDTH, at + 60)
                sheen = _sheen(gleam.look)[rows, first - at + 60 : last - at + 60]
                seen[:, first:last] += sheen
            seen += noise[rows]
            np.clip(seen, 0, 255, out=seen)
            out[rows] = seen
        return out

    def _between(self, share: np.ndarray) -> np.ndarray:
        """The band, moved by (2,) shares of a pixel; one row and one column less."""
        seen, other = self.band, self.other
        for part, step, s in (
            (seen[:, :-1], seen[:, 1:], share[0]),
            (seen[:-1], seen[1:], share[1]),
        ):
            if s:
                change = np.subtract(step, part, out=other[: len(part), : part.shape[1]])
                change *= s
                part += change
        return seen[:-1, :-1]


def _place(passing: Passing, i: int) -> float:
    """Where somebody or something that passes is, x in pixels."""
    way = passing.speed * (i - passing.start)
    if way == 0 or (way > 0) != (passing.speed > 0):
        return -1e9  # not yet
    return way - 60 if passing.speed > 0 else WIDTH + 60 + way


@lru_cache(maxsize=4)
def _sheen(look: int) -> np.ndarray:
    """(HEIGHT, 120, 1) brightness that it adds."""
    c = Canvas(-60, 0, 60, HEIGHT, 1)
    wide = 10 + 8 * look
    c.polygon([(0, -40), (wide, -40), (wide - 40, 340), (-40, 340)], (1, 1, 1), blur=5 + 2 * look)
    return (c.opacity * (46 - 12 * look)).astype(np.float32)


@lru_cache(maxsize=1)
def _noise() -> np.ndarray:
    """(PLATES, HEIGHT + ROOM, WIDTH + ROOM, 3) noise to cut from."""
    rng, size = np.random.default_rng(5), (PLATES, HEIGHT + ROOM, WIDTH + ROOM)
    grey = rng.normal(0, 0.8 * NOISE, (*size, 1)).astype(np.float32)
    return grey + rng.normal(0, 0.6 * NOISE, (*size, 3)).astype(np.float32)
