"""Shapes to sprites: drawn fine, averaged down, laid over pictures in whole numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

Colour = Sequence[float] | np.ndarray
"""(3,) of 0..255, or an array that broadcasts to (h, w, 3): a gradient."""

At = Callable[[Sequence], list[tuple[float, float]]]
Draw = Callable[[ImageDraw.ImageDraw, At], object]


@dataclass(frozen=True)
class Sprite:
    """A picture to lay over others, its corner at (x, y) in whole pixels."""

    x: int
    y: int
    ink: np.ndarray
    """(h, w, 3) uint16: 256 times colour times opacity."""
    left: np.ndarray
    """(h, w, 3) uint16: 256 times what is seen through it."""

    def lay(self, picture: np.ndarray, dx: int = 0, dy: int = 0) -> None:
        """Lay it over a picture (H, W, 3) uint16 of 0..255, moved by whole pixels, cut at edges."""
        h, w = self.left.shape[:2]
        x, y = self.x + dx, self.y + dy
        top, bottom = max(0, -y), min(h, picture.shape[0] - y)
        first, last = max(0, -x), min(w, picture.shape[1] - x)
        if top >= bottom or first >= last:
            return
        part = picture[y + top : y + bottom, x + first : x + last]
        mixed = part * self.left[top:bottom, first:last]
        mixed += self.ink[top:bottom, first:last]
        mixed >>= 8
        part[:] = mixed

    def cut(self, x: int, y: int, x2: int, y2: int) -> Sprite:
        """The part of it between two corners."""
        rows, columns = slice(y - self.y, y2 - self.y), slice(x - self.x, x2 - self.x)
        return Sprite(x, y, self.ink[rows, columns], self.left[rows, columns])


class Canvas:
    """Something drawn in pixels that need not be whole, on a grid `fine` times as fine."""

    def __init__(self, x: int, y: int, x2: int, y2: int, fine: int = 4) -> None:
        self.x, self.y, self.fine = x, y, fine
        self.size = ((x2 - x) * fine, (y2 - y) * fine)  # width, height
        self.colour = np.zeros((self.size[1], self.size[0], 3), np.float32)  # times opacity
        self.opacity = np.zeros((self.size[1], self.size[0], 1), np.float32)

    def paint(self, draw: Draw, colour: Colour, opacity: float = 1.0, blur: float = 0.0) -> None:
        """Paint what `draw(pen, at)` fills with 255; `at` turns points into the pen's."""
        image = Image.new("L", self.size)

        def at(points: Sequence) -> list[tuple[float, float]]:
            return [((x - self.x) * self.fine, (y - self.y) * self.fine) for x, y in points]

        draw(ImageDraw.Draw(image), at)
        if blur:
            image = image.filter(ImageFilter.GaussianBlur(blur * self.fine))
        if (edges := image.getbbox()) is None:
            return
        rows, columns = slice(edges[1], edges[3]), slice(edges[0], edges[2])
        a = np.asarray(image.crop(edges), np.float32)[..., None] * np.float32(opacity / 255)
        c = np.asarray(colour, np.float32)
        if c.ndim == 3:
            c = c[rows if len(c) > 1 else slice(None), columns if c.shape[1] > 1 else slice(None)]
        self.colour[rows, columns] += a * (c - self.colour[rows, columns])
        self.opacity[rows, columns] += a * (1 - self.opacity[rows, columns])

    def polygon(self, points: Sequence, colour: Colour, opacity=1.0, blur=0.0) -> None:
        """A filled polygon; points are (x, y), blur is in pixels."""
        self.paint(lambda pen, at: pen.polygon(at(points), fill=255), colour, opacity, blur)

    def box(self, x, y, x2, y2, colour: Colour, opacity=1.0, round=0.0, blur=0.0) -> None:
        """A rectangle, its corners rounded by so many pixels."""

        def draw(pen: ImageDraw.ImageDraw, at: At) -> None:
            (a, b), (c, d) = at([(x, y), (x2, y2)])
            c, d = max(a, c - 1), max(b, d - 1)
            pen.rounded_rectangle((a, b, c, d), round * self.fine, fill=255)

        self.paint(draw, colour, opacity, blur)

    def disc(self, x, y, rx, ry, colour: Colour, opacity=1.0, blur=0.0) -> None:
        """An ellipse of radii rx and ry around (x, y)."""
        self.paint(lambda pen, at: _ellipse(pen, at, x, y, rx, ry), colour, opacity, blur)

    def bar(self, a, b, wide: float, wide2: float, colour: Colour, opacity=1.0) -> None:
        """A limb from point a to point b, round at its ends, so wide at a and so wide at b."""
        (ax, ay), (bx, by) = a, b
        far = max(1e-6, float(np.hypot(bx - ax, by - ay)))
        nx, ny = (ay - by) / far / 2, (bx - ax) / far / 2

        def draw(pen: ImageDraw.ImageDraw, at: At) -> None:
            sides = [(ax, ay, wide), (bx, by, wide2), (bx, by, -wide2), (ax, ay, -wide)]
            pen.polygon(at([(x + nx * w, y + ny * w) for x, y, w in sides]), fill=255)
            for x, y, w in sides[:2]:
                _ellipse(pen, at, x, y, w / 2, w / 2)

        self.paint(draw, colour, opacity)

    def across(self, *stops: tuple[float, Colour]) -> np.ndarray:
        """(1, w, 3): colours that change from left to right; stops: (x, colour)."""
        x = self.x + (np.arange(self.size[0]) + 0.5) / self.fine
        return _gradient(x, stops)[None]

    def down(self, *stops: tuple[float, Colour]) -> np.ndarray:
        """(h, 1, 3): colours that change from top to bottom; stops: (y, colour)."""
        y = self.y + (np.arange(self.size[1]) + 0.5) / self.fine
        return _gradient(y, stops)[:, None]

    def barrel(self, x: float, x2: float, colour: Colour) -> np.ndarray:
        """(1, w, 3): a round thing between x and x2, lit from the upper left."""
        c = np.asarray(colour, float)
        lit = [(0, 0.62), (0.12, 0.85), (0.3, 1.18), (0.45, 1.02), (0.8, 0.72), (1, 0.5)]
        return self.across(*((x + p * (x2 - x), np.minimum(c * k, 255)) for p, k in lit))

    def sprite(self) -> Sprite:
        """It, averaged down to whole pixels."""
        colour, opacity = _averaged(self.colour, self.fine), _averaged(self.opacity, self.fine)
        left = np.round(256 * (1 - opacity)).astype(np.uint16).repeat(3, -1)
        ink = np.minimum(np.round(colour * 256), 255 * (256 - left.astype(float)))
        return _trimmed(self.x, self.y, ink.astype(np.uint16), left)

    def shadow(self, dx: int, dy: int, blur: float, dark: float) -> Sprite:
        """The soft shadow it casts on what is behind it, moved by whole pixels."""
        opacity = Image.fromarray(np.uint8(255 * _averaged(self.opacity, self.fine)[..., 0]))
        pad = round(3 * blur)
        wide = Image.new("L", (opacity.width + 2 * pad, opacity.height + 2 * pad))
        wide.paste(opacity, (pad, pad))
        soft = np.asarray(wide.filter(ImageFilter.GaussianBlur(blur)), np.float32) / 255 * dark
        left = np.round(256 * (1 - soft)).astype(np.uint16)[..., None].repeat(3, -1)
        return _trimmed(self.x + dx - pad, self.y + dy - pad, np.zeros_like(left), left)


def _trimmed(x: int, y: int, ink: np.ndarray, left: np.ndarray) -> Sprite:
    """A sprite without the empty edges: many are kept, and all are laid often."""
    seen = left[..., 0] < 256
    if not seen.any():
        return Sprite(x, y, ink[:0], left[:0])
    rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    part = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    return Sprite(x + int(columns[0]), y + int(rows[0]), ink[part].copy(), left[part].copy())


def _ellipse(pen: ImageDraw.ImageDraw, at: At, x, y, rx, ry) -> None:
    (a, b), (c, d) = at([(x - rx, y - ry), (x + rx, y + ry)])
    pen.ellipse((a, b, c, d), fill=255)


def _averaged(a: np.ndarray, k: int) -> np.ndarray:
    h, w, c = a.shape
    rows = a.reshape(h // k, k, w * c).sum(1).reshape(h // k, w, c)
    return sum(rows[:, j::k] for j in range(k)) / np.float32(k * k)


def _gradient(x: np.ndarray, stops: Sequence[tuple[float, Colour]]) -> np.ndarray:
    places = [s[0] for s in stops]
    colours = np.array([s[1] for s in stops], float)
    return np.stack([np.interp(x, places, colours[:, k]) for k in range(3)], -1).astype(np.float32)
