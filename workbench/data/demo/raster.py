"""Which triangle each pixel shows, and how bright it is there.

All triangles of a picture go through each step together, so that the cost is in the arrays and not
in Python: triangles -> the pixel rows they cross -> the pixels of those rows -> the nearest.
"""

from __future__ import annotations

import numpy as np


def rasterise(
    points: np.ndarray, light: np.ndarray, faces: np.ndarray, width: int, height: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """What a triangle mesh shows: the rows, columns, triangles and brightness of its pixels.

    points: (V, 3) float32 of x, y in pixels (pixel centres at whole numbers) and depth, metres;
    light: (V,) brightness of the vertices, interpolated between them; faces: (F, 3) vertices,
    counter-clockwise seen from outside (those turned away are not drawn). Returns four times (N,),
    each pixel once.
    """
    x, y, nearness = points[:, 0], points[:, 1], 1 / points[:, 2]  # 1/depth is linear on screen
    faces, chosen = _turned_here(x, y, points[:, 2], faces)
    fx, fy = x[faces], y[faces]  # (3, F)
    near = _plane(fx, fy, nearness[faces])
    glow = _plane(fx, fy, light[faces])

    # Rows: a triangle crosses row j when its lowest y <= j < its highest y.
    first = np.clip(np.ceil(np.minimum(np.minimum(fy[0], fy[1]), fy[2])), 0, height)
    last = np.clip(np.ceil(np.maximum(np.maximum(fy[0], fy[1]), fy[2])), 0, height)
    face, step = _expand((last - first).astype(np.int32))  # (R,)
    row = first[face] + step.astype(np.float32)
    left = np.full(len(row), -1e9, np.float32)
    right = np.full(len(row), 1e9, np.float32)
    for k in range(
        3
    ):  # edges that run down bound a row on the left, those that run up on the right
        dx, dy = fx[k - 2] - fx[k], fy[k - 2] - fy[k]
        slope = dx / np.where(dy == 0, np.float32(1), dy)
        cross = (fx[k] - fy[k] * slope)[face] + row * slope[face]
        down = dy[face]
        left = np.maximum(left, np.where(down > 0, cross, np.float32(-1e9)))
        right = np.minimum(right, np.where(down < 0, cross, np.float32(1e9)))
    start = np.clip(np.ceil(left), 0, width)
    count = np.maximum(np.clip(np.ceil(right), 0, width) - start, 0).astype(np.int32)

    # Pixels: the nearest of those on one spot is written last, and stays.
    a, b, c = (q[face] for q in near)
    at = a * start + b * row + c
    origin = (row * width + start).astype(np.int32)
    line, step = _expand(count)  # (P,)
    pixel = origin[line] + step
    depth = at[line] + a[line] * step.astype(np.float32)
    if not len(depth):
        return pixel, pixel, chosen[:0], depth
    low, high = depth.min(), depth.max()
    order = ((depth - low) * (65535 / max(high - low, 1e-9))).astype(np.uint16)
    order = np.argsort(order, kind="stable")  # radix sort
    top = np.full(width * height, -1, np.int32)
    top[pixel[order]] = order
    shown = top[top >= 0]
    line = line[shown]
    of = face[line]
    v = row[line]
    u = pixel[shown] - v * width
    bright = glow[0][of] * u + glow[1][of] * v + glow[2][of]
    return v.astype(np.int32), u.astype(np.int32), chosen[of], bright


def _turned_here(
    x: np.ndarray, y: np.ndarray, depth: np.ndarray, faces: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The triangles that face the camera and lie before it, (3, F) now, and their numbers."""
    a, b, c = faces.T
    area = (x[b] - x[a]) * (y[c] - y[a]) - (x[c] - x[a]) * (y[b] - y[a])  # y points down
    before = np.minimum(np.minimum(depth[a], depth[b]), depth[c]) > 0.1
    chosen = np.flatnonzero((area < -1e-3) & before)
    return np.stack([a[chosen], b[chosen], c[chosen]]), chosen


def _plane(x: np.ndarray, y: np.ndarray, value: np.ndarray) -> tuple[np.ndarray, ...]:
    """(a, b, c), each (F,), with a x + b y + c = value at the three corners (3, F)."""
    x1, y1, v1 = (q[1] - q[0] for q in (x, y, value))
    x2, y2, v2 = (q[2] - q[0] for q in (x, y, value))
    area = x1 * y2 - x2 * y1
    a, b = (v1 * y2 - v2 * y1) / area, (x1 * v2 - x2 * v1) / area
    return a, b, value[0] - a * x[0] - b * y[0]


def _expand(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For counts (2, 0, 3): owners (0, 0, 2, 2, 2) and places (0, 1, 0, 1, 2)."""
    owner = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    begin = (np.cumsum(counts) - counts).astype(np.int32)
    place = np.arange(len(owner), dtype=np.int32) - np.repeat(begin, counts)
    return owner, place
