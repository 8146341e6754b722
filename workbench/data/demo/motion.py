"""From keyframes to two moving bodies that hold each other and stand on the mat."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from workbench.data.demo.skeleton import (
    SIDES,
    Body,
    Pose,
    Trunk,
    place_limbs,
    place_trunk,
    rotation,
)

Key = tuple[float, str, float, float, float]
"""Time, what the hand or foot follows, and the place beside it: x, y, z in metres.

Followed are: `mat` (the world; z above the height of a standing ankle); `hips`, `chest` (own);
`his hips`, `his chest`, `his left elbow`, `his right elbow` (the partner's; an elbow's place is
added along the axes of the world).
"""


@dataclass(frozen=True)
class Part:
    """What one of the two does, for a body 1.70 m tall.

    trunk: rows of (time, x, y, z of the pelvis in metres; then degrees: spin about the own long
    axis, tip of the long axis from upright towards `azimuth`, bend of the back, nod of the head).
    limbs: left_wrist, right_wrist, left_ankle, right_ankle -> keys.
    """

    azimuth: float
    trunk: list[tuple[float, ...]]
    limbs: dict[str, list[Key]]


def perform(
    parts: tuple[Part, Part], bodies: tuple[Body, Body], times: np.ndarray
) -> tuple[Pose, Pose]:
    """Both bodies at times (T,), in the units of the keys."""
    size = (bodies[0].scale + bodies[1].scale) / 2
    trunks = [_trunk(p, b, size, times) for p, b in zip(parts, bodies, strict=True)]
    elbows = [
        {s: t.places[f"{s}_shoulder"] - [0, 0, 0.2] for s in SIDES} for t in trunks
    ]  # a first guess; three rounds settle who holds whose sleeve
    for _ in range(3):
        poses = []
        for me, him in ((0, 1), (1, 0)):
            targets = {
                limb: _follow(keys, times, trunks[me], trunks[him], elbows[him], bodies[me], size)
                for limb, keys in parts[me].limbs.items()
            }
            poses.append(place_limbs(bodies[me], trunks[me], targets))
        elbows = [{s: p.joints[:, _ELBOW[s]] for s in SIDES} for p in poses]
    return poses[0], poses[1]


_ELBOW = {"left": 5, "right": 9}  # numbers in JOINTS


def _trunk(part: Part, body: Body, size: float, times: np.ndarray) -> Trunk:
    rows = np.array(part.trunk)
    x, y, z, spin, tip, bend, nod = spline(rows[:, 0], rows[:, 1:], times).T
    pelvis = np.stack([x * size, y * size, z * body.stand / 0.92], 1)
    azimuth = np.radians(np.full(len(times), part.azimuth))
    turn = rotation("z", azimuth) @ rotation("y", np.radians(tip)) @ rotation("z", -azimuth)
    turn = turn @ rotation("z", np.radians(spin))
    zero = np.zeros(len(times))
    return place_trunk(body, pelvis, turn, np.stack([bend, zero, zero], 1), nod)


def _follow(
    keys: list[Key],
    times: np.ndarray,
    me: Trunk,
    him: Trunk,
    elbows: dict[str, np.ndarray],
    body: Body,
    size: float,
) -> np.ndarray:
    """The (T, 3) target that passes from key to key; feet that change place on the mat step."""

    def place(key: Key) -> np.ndarray:
        _, what, x, y, z = key
        offset = np.array([x, y, z]) * size
        if what == "mat":
            standing = np.array([0, 0, body.ankle])
            return np.broadcast_to(offset + standing, (len(times), 3))
        if what == "hips":
            return me.places["pelvis"] + me.pelvis @ (np.array([x, y, z]) * body.scale)
        if what == "chest":
            return me.places["waist"] + me.chest @ (np.array([x, y, z]) * body.scale)
        if what == "his hips":
            return him.places["pelvis"] + him.pelvis @ offset
        if what == "his chest":
            return him.places["waist"] + him.chest @ offset
        _, side, _ = what.split()
        return elbows[side] + offset

    target = place(keys[0]).copy()
    for before, after in pairwise(keys):
        w = np.clip((times - before[0]) / (after[0] - before[0]), 0, 1)[:, None]
        w = w * w * (3 - 2 * w)
        target += w * (place(after) - place(before))
        if before[1] == after[1] == "mat" and before[4] == after[4] == 0:
            far = np.hypot(after[2] - before[2], after[3] - before[3])
            target[:, 2:] += 4 * w * (1 - w) * min(0.3 * far, 0.10)
    target[:, 2] = np.maximum(target[:, 2], 0.035)
    return target


def spline(knots: np.ndarray, values: np.ndarray, times: np.ndarray) -> np.ndarray:
    """(T, C) smooth curves through values (K, C) at knots (K,); still before and after.

    Cubic Hermite. The slope at a knot is the weighted harmonic mean of its neighbours', or zero at
    a turning point, so that a curve never overshoots its keys (Fritsch and Butland 1984).
    """
    gap = np.diff(knots)[:, None]
    rise = np.diff(values, axis=0) / gap
    slope = np.zeros_like(values)
    a, b = rise[:-1], rise[1:]
    near, far = gap[:-1] + 2 * gap[1:], 2 * gap[:-1] + gap[1:]
    with np.errstate(divide="ignore", invalid="ignore"):
        slope[1:-1] = np.where(a * b > 0, (near + far) / (far / a + near / b), 0)
    times = np.clip(times, knots[0], knots[-1])
    k = np.clip(np.searchsorted(knots, times, side="right") - 1, 0, len(knots) - 2)
    u = ((times - knots[k])[:, None]) / gap[k]
    return (
        (1 + 2 * u) * (1 - u) ** 2 * values[k]
        + u * (1 - u) ** 2 * gap[k] * slope[k]
        + u**2 * (3 - 2 * u) * values[k + 1]
        - u**2 * (1 - u) * gap[k] * slope[k + 1]
    )
