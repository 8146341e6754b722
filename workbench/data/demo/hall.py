"""The hall where the throws happen: tatami, walls, light, and the four cameras."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

MAT = 3.2
"""Half a side of the whole mat, metres; the cameras stand at its corners."""
WALL = 5.6
"""Distance of the walls from the centre, metres."""

CORNERS = {"ne": (1, 1), "nw": (-1, 1), "sw": (-1, -1), "se": (1, -1)}
MATS = ((214, 190, 104), (88, 138, 98), (70, 118, 158), (150, 160, 84), (196, 160, 120))
BORDERS = ((176, 62, 52), (60, 88, 150), (64, 112, 76), (206, 172, 62), (92, 92, 100))
FLOORS = ((168, 128, 88), (140, 140, 142), (120, 92, 66), (104, 112, 120))
WALLS = ((206, 200, 186), (176, 188, 196), (188, 170, 150), (150, 160, 150), (214, 208, 204))


@dataclass(frozen=True)
class Camera:
    """A pinhole camera. turn: (3, 3), rows are right, down, ahead; focal and centre in pixels."""

    place: np.ndarray
    turn: np.ndarray
    focal: float
    centre: tuple[float, float]

    @classmethod
    def looking(cls, place: np.ndarray, target: np.ndarray, focal: float, size: tuple) -> Camera:
        """A level camera at a place, with a target in the middle of a picture (width, height)."""
        ahead = (target - place) / np.linalg.norm(target - place)
        right = np.cross(ahead, [0, 0, 1.0])
        right /= np.linalg.norm(right)
        turn = np.stack([right, np.cross(ahead, right), ahead])
        return cls(place, turn, focal, ((size[0] - 1) / 2, (size[1] - 1) / 2))

    def holding(self, points: np.ndarray, margin: float) -> Camera:
        """This camera, with a wider view where it takes that to see all points (..., 3).

        margin: pixels that stay free on every side.
        """
        off = np.abs(self.project(points)[..., :2] - self.centre)
        room = (np.array(self.centre) - margin) / off.reshape(-1, 2).max(0)
        return replace(self, focal=self.focal * min(1.0, float(room.min())))

    def project(self, points: np.ndarray) -> np.ndarray:
        """(..., 3) metres -> (..., 3): x and y in pixels, depth in metres."""
        seen = np.einsum("...j,ij->...i", points - self.place, self.turn)
        xy = seen[..., :2] / seen[..., 2:] * self.focal + np.array(self.centre)
        return np.concatenate([xy, seen[..., 2:]], -1)

    def matrix(self, shift: np.ndarray) -> np.ndarray:
        """(T, 3, 4) homogeneous projections of a camera that shakes by (T, 2) pixels."""
        k = np.zeros((len(shift), 3, 3))
        k[:, 0, 0] = k[:, 1, 1] = self.focal
        k[:, :2, 2] = np.array(self.centre) + shift
        k[:, 2, 2] = 1
        return k @ np.concatenate([self.turn, -(self.turn @ self.place)[:, None]], 1)


@dataclass(frozen=True)
class Hall:
    """Colours of the hall, (3,) of 0..255, and its light; `ray` points to the lamp, unit length."""

    tatami: np.ndarray
    border: np.ndarray
    floor: np.ndarray
    wall: np.ndarray
    panel: np.ndarray
    banners: np.ndarray
    inner: float
    ray: np.ndarray
    ambient: float
    bright: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Hall:
        """A random hall."""

        def pick(colours: tuple) -> np.ndarray:
            return np.array(colours[rng.integers(len(colours))]) + rng.integers(-12, 13, 3)

        azimuth, height = rng.uniform(0, 2 * np.pi), np.radians(rng.uniform(48, 75))
        wall = pick(WALLS)
        return cls(
            pick(MATS), pick(BORDERS), pick(FLOORS), wall,
            wall * rng.uniform(0.45, 0.8) * rng.uniform(0.9, 1.1, 3),
            rng.uniform(30, 220, (4, 3)),
            rng.uniform(1.7, 2.4),
            np.array([np.cos(azimuth) * np.cos(height), np.sin(azimuth) * np.cos(height),
                      np.sin(height)]),
            rng.uniform(0.50, 0.68),
            rng.uniform(0.88, 1.14),
        )  # fmt: skip

    def shade(self, normals: np.ndarray) -> np.ndarray:
        """Brightness of surfaces with unit normals (..., 3): sky light, and Lambert's lamp."""
        sky = 0.72 + 0.28 * normals[..., 2]
        facing = np.einsum("...i,i->...", normals, self.ray.astype(normals.dtype))
        lamp = np.maximum(0.12 + 0.88 * facing, 0)
        return self.bright * (self.ambient * sky + (1.02 - self.ambient) * lamp)

    def picture(self, camera: Camera, width: int, height: int) -> np.ndarray:
        """The empty hall, (height, width, 3) float32 of 0..255."""
        x = ((np.arange(width) - camera.centre[0]) / camera.focal).astype(np.float32)
        y = ((np.arange(height) - camera.centre[1]) / camera.focal).astype(np.float32)[:, None]
        turn, place = camera.turn.astype(np.float32), camera.place.astype(np.float32)
        wx, wy, wz = (x * turn[0, k] + y * turn[1, k] + turn[2, k] for k in range(3))  # (H, W)
        with np.errstate(divide="ignore"):
            down = np.where(wz < 0, -place[2] / wz, np.float32(1e9))
            to_x = (np.copysign(np.float32(WALL), wx) - place[0]) / wx
            to_y = (np.copysign(np.float32(WALL), wy) - place[1]) / wy
        across = np.minimum(to_x, to_y)
        paint, tone = np.empty((height, width), np.uint8), np.empty((height, width), np.float32)
        floor = down < across
        far = down[floor]
        paint[floor], tone[floor] = self._floor(
            place[0] + wx[floor] * far, place[1] + wy[floor] * far
        )
        wall = ~floor
        far, facing_x = across[wall], (to_x < to_y)[wall]
        hx, hy, hz = (p + w[wall] * far for p, w in zip(place, (wx, wy, wz), strict=True))
        number = np.where(facing_x, hx > 0, 2 + (hy > 0))
        paint[wall], tone[wall] = self._wall(number, np.where(facing_x, hy, hx), hz)
        paints = np.stack(
            [self.tatami, self.border, self.floor, self.wall, self.panel, *self.banners]
        )
        return paints.astype(np.float32)[paint] * tone[..., None]

    def _floor(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Paint and brightness (N,) of places on the floor: tatami of 1 m x 2 m, then wood."""
        far = np.maximum(np.abs(x), np.abs(y))
        column = np.floor(x)
        shifted = (y + column % 2) / 2
        row = np.floor(shifted)
        tone = 1 + 0.05 * np.sin((column * 31 + row) * np.float32(12.9898))
        near_x, near_y = x - column, shifted - row
        seam = np.minimum(np.minimum(near_x, 1 - near_x), 2 * np.minimum(near_y, 1 - near_y))
        tone[seam < 0.016] *= 0.78
        outside = far > MAT
        tone[outside] = 1 + 0.06 * np.sin(np.floor(x[outside] * 7) * np.float32(7.7))
        tone[outside & (far < MAT + 0.06)] *= 0.6  # the side of the mat
        pool = np.maximum(1.06 - 0.018 * (x * x + y * y), 0.5)  # the lamps hang over the centre
        up = np.float32(self.shade(np.array([0, 0, 1.0])))
        return (far > self.inner).astype(np.uint8) + outside, tone * pool * up

    def _wall(
        self, wall: np.ndarray, along: np.ndarray, height: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Paint and brightness (N,) of places on the walls: panels, a rail, pillars, a banner."""
        paint = np.where(height < 1.15, np.uint8(4), np.uint8(3))
        rail = (np.abs(height - 1.15) < 0.035) | (height < 0.10)
        place = (along + 0.9) / 2.8
        tone = np.where(np.abs(place - np.round(place)) < 0.035, np.float32(0.86), np.float32(1))
        tone[rail] = 0.66
        banner = (np.abs(along - 0.5) < 1.0) & (height > 1.45) & (height < 2.25)
        paint[banner], tone[banner] = 5 + wall[banner], 1
        normals = np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0]], float)  # inwards
        light = 0.35 * self.bright + 0.7 * self.shade(normals)
        return paint, tone * light.astype(np.float32)[wall]
