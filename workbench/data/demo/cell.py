"""The production cell that the bottling demo films from the side: what stands and what moves."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from workbench.data.demo.paint import Canvas, Sprite

WIDTH, HEIGHT = 400, 300
EDGE = 8
"""Pixels drawn beyond each edge of the picture, for the camera to shake in."""
PITCH = 84
"""Pixels from one bottle to the next."""
FILLER, CAPPER = 158, 158 + PITCH
"""Where the filling head and the robot work, x in pixels."""
FROM, TO = 58, 342
"""Between the hoods: where the belt can be seen, x in pixels."""
STAND = 224
"""Where bottles stand, y in pixels."""
TALL, BROAD = 98, 38
TOP = STAND - TALL
DEEP = 79
"""Pixels from the bottom of a full bottle to the top of what is in it."""
SHELF = (322, 100)
"""Where the robot takes caps from: the top of the cap."""
SHOULDER = (283, 34)
"""Where the robot hangs."""

WALLS = ((186, 192, 188), (178, 186, 196), (196, 190, 178), (182, 192, 180))
PAINTS = ((52, 98, 158), (46, 122, 104), (168, 92, 44), (108, 84, 140))
ROBOTS = ((232, 128, 34), (226, 186, 40), (214, 214, 206), (198, 62, 50))
DRINKS = ((238, 142, 38), (190, 44, 62), (86, 152, 66), (226, 190, 60))
CAPS = ((44, 92, 176), (216, 218, 220), (190, 46, 46), (40, 128, 88))
DARK, STEEL = np.array((52, 56, 62)), np.array((158, 164, 170))


@dataclass(frozen=True)
class Cell:
    """The colours of a cell, each (3,) of 0..255; draws its parts, each once."""

    wall: tuple[float, ...]
    paint: tuple[float, ...]
    robot: tuple[float, ...]
    drink: tuple[float, ...]
    cap: tuple[float, ...]

    @classmethod
    def draw(cls, seed: int) -> Cell:
        """The cell of a seed."""
        rng = np.random.default_rng([seed, 2**21])
        shades = (s[rng.integers(len(s))] for s in (WALLS, PAINTS, ROBOTS, DRINKS, CAPS))
        return cls(*(tuple(np.clip(np.add(c, rng.integers(-8, 9, 3)), 0, 255)) for c in shades))

    @cached_property
    def back(self) -> np.ndarray:
        """(H, W, 3) uint16 of 0..255, with the edge: all that a person may walk before."""
        c = _whole(3)
        wall = np.array(self.wall)
        c.box(-EDGE, -EDGE, 408, 205, c.down((-8, wall * 0.86), (80, wall), (205, wall * 0.9)))
        for x in range(-40, 420, 76):  # panels
            c.box(x, -8, x + 1.2, 200, wall * 0.74)
            c.box(x + 1.2, -8, x + 2.2, 200, np.minimum(wall * 1.08, 255))
        c.box(-8, 150, 408, 196, wall * 0.72, 0.55)
        c.box(-8, 148, 408, 150.5, wall * 0.6)
        self._window(c)
        for y, wide, shade in ((10, 9, 0.8), (24, 5, 0.66)):  # pipes
            pipe = [
                (y, wall * shade * 0.8),
                (y + wide * 0.3, np.minimum(wall * 1.2, 255)),
                (y + wide, wall * shade * 0.6),
            ]
            c.box(-8, y + 4, 408, y + wide + 5, (20, 20, 24), 0.18, blur=2)
            c.box(-8, y, 408, y + wide, c.down(*pipe))
            for x in (30, 130, 230, 372):
                c.box(x, y - 1, x + 4, y + wide + 1, wall * 0.5)
        self._cabinet(c)
        floor = np.array((132, 130, 126))
        c.box(-8, 196, 408, 308, c.down((196, floor * 0.78), (240, floor), (308, floor * 1.16)))
        c.box(-8, 192, 408, 197, wall * 0.42)
        for k in range(-3, 12):  # hazard line
            x = k * 44
            c.polygon([(x, 284), (x + 22, 284), (x + 12, 293), (x - 10, 293)], (206, 172, 48), 0.75)
            c.polygon([(x + 22, 284), (x + 44, 284), (x + 34, 293), (x + 12, 293)], DARK, 0.6)
        c.box(-8, 240, 408, 300, (10, 10, 14), 0.42, blur=14)  # the conveyor's shadow
        return _opaque(c)

    def _window(self, c: Canvas) -> None:
        wall = np.array(self.wall)
        c.box(18, 40, 116, 138, wall * 0.55)
        c.box(
            21,
            43,
            113,
            135,
            c.down(
                (43, (206, 224, 240)),
                (100, (226, 232, 232)),
                (112, (150, 168, 150)),
                (135, (112, 132, 108)),
            ),
        )
        c.disc(46, 113, 20, 12, (96, 122, 92), 0.8, blur=2)
        c.disc(92, 114, 16, 9, (104, 126, 98), 0.8, blur=2)
        c.box(65, 40, 69, 138, wall * 0.62)
        c.box(18, 86, 116, 89, wall * 0.62)
        c.box(14, 136, 120, 141, np.minimum(wall * 1.1, 255))
        c.polygon([(24, 132), (58, 46), (64, 46), (30, 132)], (255, 255, 255), 0.18)

    def _cabinet(self, c: Canvas) -> None:
        x, y = 352, 62
        c.box(x + 4, y + 6, x + 62, 204, (20, 20, 24), 0.25, blur=4)
        c.box(x, y, x + 56, 200, c.across((x, STEEL * 1.05), (x + 56, STEEL * 0.78)), round=2)
        c.box(x + 5, y + 8, x + 51, y + 40, DARK, round=2)
        c.box(x + 8, y + 11, x + 48, y + 37, (60, 92, 104))
        for k, h in enumerate((8, 15, 11, 19, 14)):
            c.box(x + 11 + 7 * k, y + 35 - h, x + 15 + 7 * k, y + 35, (128, 196, 190), 0.8)

    @cached_property
    def front(self) -> Sprite:
        """All that stands before a walker and behind the bottles."""
        c = _whole(3)
        paint = np.array(self.paint)
        c.box(-8, 46, 408, 62, (10, 10, 14), 0.22, blur=5)  # shadow of the beam
        c.box(
            -8,
            22,
            408,
            42,
            c.down(
                (22, paint * 0.8),
                (26, np.minimum(paint * 1.5, 255)),
                (32, paint),
                (42, paint * 0.55),
            ),
        )
        for x in range(4, 408, 28):
            c.disc(x, 32, 1.6, 1.6, paint * 0.45)
        for x in (64, 330):  # posts of the frame
            c.box(x + 5, 42, x + 12, 210, (10, 10, 14), 0.25, blur=3)
            c.box(x, 42, x + 8, 214, c.barrel(x, x + 8, paint))
        self._filler_column(c)
        self._shelf(c)
        c.box(SHOULDER[0] - 17, 38, SHOULDER[0] + 17, 46, DARK, round=2)
        self._conveyor(c)
        self._hoods(c)
        return c.sprite()

    def _filler_column(self, c: Canvas) -> None:
        x = FILLER
        c.box(x - 5, 60, x + 17, 214, (10, 10, 14), 0.22, blur=4)
        c.box(x - 9, 40, x + 9, 214, c.barrel(x - 9, x + 9, STEEL))
        c.box(x - 3, 52, x + 3, 206, STEEL * 0.55)
        for y in range(58, 204, 9):
            c.box(x - 3, y, x + 3, y + 1, STEEL * 0.9)
        c.box(x - 56, -8, x - 14, 20, c.barrel(x - 56, x - 14, STEEL * 1.1), round=4)  # tank
        c.box(x - 44, -8, x - 38, 14, DARK * 0.8)
        c.box(x - 43, -2, x - 39, 13, self.drink)
        c.disc(x - 35, 21, 5, 2.5, DARK)

    def _shelf(self, c: Canvas) -> None:
        x, y = SHELF
        c.box(x - 3, y + 12, x + 5, 214, c.barrel(x - 3, x + 5, STEEL * 0.9))
        c.box(x - 12, y + 11, x + 32, y + 15, c.down((y + 11, STEEL * 1.2), (y + 15, DARK)))
        c.box(x - 12, y + 5, x - 9.5, y + 12, DARK)
        for k in range(1, 4):
            self.draw_cap(c, x + 15 * k + 2, y)

    def _conveyor(self, c: Canvas) -> None:
        c.box(-8, 204, 408, 210, c.down((204, STEEL * 1.15), (210, STEEL * 0.6)))  # far rail
        c.box(-8, 210, 408, 236, DARK)
        side = [(235, STEEL * 0.7), (237, STEEL * 1.35), (243, STEEL * 1.0), (258, STEEL * 0.62)]
        c.box(-8, 235, 408, 258, c.down(*side))
        c.box(-8, 245, 408, 248, STEEL * 0.5)
        for x in range(8, 408, 42):
            c.disc(x, 252, 2, 2, STEEL * 0.4)
            c.disc(x - 0.5, 251.5, 1.1, 1.1, STEEL * 1.2)
        c.box(-8, 258, 408, 260, DARK * 0.7)
        for x in (36, 196, 356):
            c.box(x, 258, x + 13, 296, c.barrel(x, x + 13, STEEL * 0.8))
            c.box(x - 4, 294, x + 17, 299, DARK, round=1)
        c.box(206, 261, 250, 279, c.down((261, np.array(self.paint) * 1.2), (279, DARK)), round=3)

    def _hoods(self, c: Canvas) -> None:
        """What hides bottles that come and go."""
        paint = np.array(self.paint)
        for x, x2, lip in ((-EDGE, FROM, FROM - 6), (TO, WIDTH + EDGE, TO)):
            front = c.down((98, np.minimum(paint * 1.35, 255)), (120, paint), (236, paint * 0.62))
            c.box(x, 98, x2, 236, front, round=5)
            c.box(x, 98, x2, 103, np.minimum(paint * 1.6, 255), 0.8, round=3)
            c.box(lip, 98, lip + 6, 236, c.across((lip, paint * 0.5), (lip + 6, paint * 0.85)))
            c.box(x + 12, 118, x2 - 12, 150, paint * 0.55, round=2)
            for y in range(122, 148, 6):
                c.box(x + 15, y, x2 - 15, y + 2, paint * 0.3)
            for y in range(176, 224, 12):  # hazard marks
                mark = [(x + 14, y + 8), (x2 - 14, y), (x2 - 14, y + 6), (x + 14, y + 14)]
                c.polygon(mark, (224, 188, 56), 0.85)

    @cached_property
    def rail(self) -> Sprite:
        """The rail before the bottles."""
        c = Canvas(FROM, 214, TO, 232, 3)
        c.box(FROM, 222, TO, 225.5, c.down((222, STEEL * 1.4), (225.5, STEEL * 0.6)))
        c.box(FROM, 226, TO, 229, (10, 10, 14), 0.25)
        for x in range(FROM + 26, TO, PITCH):
            c.box(x, 222, x + 4, 232, STEEL * 0.7)
        return c.sprite()

    @cached_property
    def belts(self) -> np.ndarray:
        """(4, 26, W, 3) uint16: the belt between the hoods and one pitch more, by quarters of a
        pixel further to the right."""
        out = []
        for quarter in range(4):
            c = Canvas(0, 209, TO - FROM + PITCH, 235, 4)
            belt = np.array((74, 80, 84))
            c.box(0, 209, c.size[0], 235, c.down((209, belt * 0.72), (235, belt * 1.18)))
            for x in np.arange(-PITCH, TO - FROM + 2 * PITCH, PITCH / 6) + quarter / 4:
                c.polygon([(x + 3, 209), (x + 5, 209), (x + 1.5, 235), (x - 1.5, 235)], belt * 0.45)
                c.polygon([(x + 5, 209), (x + 6, 209), (x + 2.7, 235), (x + 1.5, 235)], belt * 1.5)
            out.append(_opaque(c))
        return np.stack(out)

    def draw_cap(self, c: Canvas, x: float, y: float) -> None:
        """A cap, the middle of its top at (x, y)."""
        c.box(x - 6.5, y, x + 6.5, y + 10, c.barrel(x - 6.5, x + 6.5, self.cap), round=2)
        for k in (-4, -1.5, 1, 3.5):
            c.box(x + k, y + 3, x + k + 0.8, y + 10, np.array(self.cap) * 0.6, 0.6)


def _whole(fine: int) -> Canvas:
    return Canvas(-EDGE, -EDGE, WIDTH + EDGE, HEIGHT + EDGE, fine)


def _opaque(c: Canvas) -> np.ndarray:
    return c.sprite().ink >> 8
