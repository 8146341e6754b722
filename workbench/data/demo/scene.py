"""Figures in the hall, seen by a camera: picture after picture."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from workbench.data.demo.figure import Figure
from workbench.data.demo.hall import Camera, Hall
from workbench.data.demo.raster import rasterise
from workbench.data.demo.skeleton import BONES, JOINTS, Pose

SHAKE = 4
"""Most that a camera shakes, pixels."""
THICK = tuple(
    {"pelvis": 0.13, "chest": 0.14, "head": 0.11, "upper_arm": 0.07, "forearm": 0.06,
     "hand": 0.05, "thigh": 0.10, "shin": 0.075, "foot": 0.05}[
        bone.removeprefix("left_").removeprefix("right_")]
    for bone in BONES
)  # fmt: skip
"""Radius of the shadow of each bone, metres."""


@dataclass(frozen=True)
class Scene:
    """What the cameras film. points: (T, V, 3) metres; light: (T, V); faces, colours: (F, 3)."""

    hall: Hall
    points: np.ndarray
    light: np.ndarray
    faces: np.ndarray
    colours: np.ndarray
    shadows: np.ndarray
    """(T, N B, 2, 3): the two ends of the shadow of each bone of N figures, on the mat, metres."""

    @classmethod
    def of(cls, hall: Hall, figures: list[Figure], poses: list[Pose]) -> Scene:
        """The scene of figures in poses."""
        points, light, faces, colours, ends = [], [], [], [], []
        base = 0
        for figure, pose in zip(figures, poses, strict=True):
            places, normals = figure.posed(pose)
            places[..., 2] = np.maximum(places[..., 2], 0.003)  # cloth lies on the mat
            points.append(places)
            close = np.clip(0.80 + places[..., 2] * 1.2, 0.80, 1)  # darker close to the mat
            light.append(hall.shade(normals) * close * figure.tone)
            faces.append(figure.faces + base)
            colours.append(figure.colours)
            base += len(figure.bones)
            bones = [[JOINTS.index(a), JOINTS.index(b)] for a, b in BONES.values()]
            bone = pose.joints[:, bones]
            ends.append(bone - bone[..., 2:] * hall.ray / hall.ray[2])
        return cls(
            hall,
            np.concatenate(points, 1),
            np.concatenate(light, 1).astype(np.float32),
            np.concatenate(faces),
            np.concatenate(colours),
            np.concatenate(ends, 1),
        )

    def film(
        self, camera: Camera, shake: np.ndarray, width: int, height: int
    ) -> Iterator[np.ndarray]:
        """(height, width, 3) uint8 pictures; `shake` is (T, 2) pixels the camera moves by.

        Figures are drawn at twice the size and averaged down, so that edges are smooth. The hall is
        drawn once, larger by the shake, at half-pixel steps, and the shake moves a window over it.
        """
        steps = np.clip(np.round(shake * 2), -2 * SHAKE, 2 * SHAKE).astype(int)  # half pixels
        empty = self._empty(camera, width, height)
        seen = camera.project(self.points).astype(np.float32)
        dark = camera.project(self.shadows)
        for t, (dx, dy) in enumerate(steps):
            x, y = 2 * SHAKE - dx, 2 * SHAKE - dy
            picture = empty[y % 2][x % 2][y // 2 : y // 2 + height, x // 2 : x // 2 + width].copy()
            moved = np.array([dx, dy]) / 2
            self._cast(picture, dark[t], moved, camera.focal)
            double = seen[t] * np.float32([2, 2, 1])
            double[:, :2] += np.float32(2 * moved + 0.5)
            self._draw(picture, double, t)
            yield picture

    def _empty(self, camera: Camera, width: int, height: int) -> list[list[np.ndarray]]:
        """The hall at the four half-pixel phases [y][x], larger by SHAKE on each side."""
        w, h = 2 * (width + 2 * SHAKE) + 2, 2 * (height + 2 * SHAKE) + 2
        centre = (2 * (camera.centre[0] + SHAKE) + 0.5, 2 * (camera.centre[1] + SHAKE) + 0.5)
        fine = self.hall.picture(Camera(camera.place, camera.turn, camera.focal * 2, centre), w, h)
        both = fine[:-1, :-1] + fine[1:, :-1] + fine[:-1, 1:] + fine[1:, 1:]
        both = np.clip(both / 4, 0, 255).astype(np.uint8)
        return [[both[y::2, x::2].copy() for x in (0, 1)] for y in (0, 1)]

    def _cast(self, picture: np.ndarray, ends: np.ndarray, moved: np.ndarray, focal: float) -> None:
        """Darkens the mat where the figures keep the light off; in place."""
        height, width = picture.shape[:2]
        mask = Image.new("L", (width, height))
        pen = ImageDraw.Draw(mask)
        ends = ends + np.array([*moved, 0])
        thicks = THICK * (len(ends) // len(THICK))
        for thick, ((x, y, depth), (x2, y2, depth2)) in zip(thicks, ends.tolist(), strict=True):
            if min(depth, depth2) < 0.5:
                continue
            wide = thick * focal / depth
            pen.ellipse((x - wide, y - 0.45 * wide, x + wide, y + 0.45 * wide), fill=255)
            steep = abs(y2 - y) / (math.hypot(x2 - x, y2 - y) + 1)
            pen.line((x, y, x2, y2), fill=255, width=max(1, round((0.9 + 1.1 * steep) * wide)))
        box = mask.getbbox()
        if box is None:
            return
        x0, y0, x1, y1 = (max(box[0] - 6, 0), max(box[1] - 6, 0), box[2] + 6, box[3] + 6)
        soft = np.asarray(mask.crop((x0, y0, min(x1, width), min(y1, height))).filter(
            ImageFilter.BoxBlur(2)), np.uint16)  # fmt: skip
        part = picture[y0:y1, x0:x1]
        strength = 255 * (1 - self.hall.ambient) * 1.05
        keep = 256 - (soft * int(strength) // 256)
        part[:] = (part * keep[..., None]) >> 8

    def _draw(self, picture: np.ndarray, points: np.ndarray, t: int) -> None:
        """Puts the figures into the picture; points are in half pixels; in place."""
        height, width = picture.shape[:2]
        x0, y0 = np.maximum(np.floor(points[:, :2].min(0) / 2).astype(int), 0)
        x1, y1 = np.minimum(np.ceil(points[:, :2].max(0) / 2).astype(int) + 1, (width, height))
        if x1 <= x0 or y1 <= y0:
            return
        w, h = int(x1 - x0), int(y1 - y0)
        local = points - np.float32([2 * x0, 2 * y0, 0])
        v, u, face, bright = rasterise(local, self.light[t], self.faces, 2 * w, 2 * h)
        whole = (v >> 1) * w + (u >> 1)
        covered = np.bincount(whole, minlength=w * h) / 4
        touched = np.flatnonzero(covered)
        colour = np.minimum(self.colours[face] * bright[:, None], 255)
        drawn = [np.bincount(whole, colour[:, k], w * h)[touched] / 4 for k in range(3)]
        part = picture[y0:y1, x0:x1]
        v, u = touched // w, touched % w
        under = part[v, u] * (1 - covered[touched])[:, None]
        part[v, u] = np.stack(drawn, 1) + under + 0.5
