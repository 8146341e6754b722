"""Six exercises as closed curves of keyframes, for somebody 1.70 m tall who faces +x.

A repetition runs through the phase from 0 to 1, and ends as it began. Keys are joined by smooth
curves that go round, so that equal phases are equal poses. Before and after a set there is a rest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from workbench.data.demo.motion import spline
from workbench.data.demo.skeleton import (
    SIDES,
    Body,
    Pose,
    Trunk,
    place_limbs,
    place_trunk,
    rotation,
)

Row = tuple[float, ...]
Limb = tuple[str, list[Row]]
"""What a hand or foot follows, and rows of its phase and place.

`mat`: x, y in metres, z above the height of a standing ankle; `hips`, `chest`: x, y, z in metres
from pelvis and waist, along their axes; `arm`: degrees by which the arm is raised from hanging
(90 level, 180 overhead), degrees from sideways to forwards, share of its length. On the right, y
counts the other way round.
"""


@dataclass(frozen=True)
class Exercise:
    """One exercise.

    trunk: rows of phase; x, y, z of the pelvis, metres; degrees: tip of the trunk forwards, bend
    of the back forwards and to the left, nod of the head. limbs: wrists, ankles, or one side of
    either, left_ankle. rest, rest_limbs: the pose of a pause; limbs that are not named there are
    as at phase 0.
    """

    seconds: tuple[float, float]
    """Shortest and longest usual repetition, before its tempo changes."""
    trunk: list[Row]
    limbs: dict[str, Limb]
    rest: Row
    rest_limbs: dict[str, Limb]


STANDING = (0, 0, 0.905, 1, 2, 0, 5)
HANDS_ON_HIPS: dict[str, Limb] = {"wrists": ("hips", [(0, 0.03, 0.22, 0.13)])}

EXERCISES = {
    "squat": Exercise(
        (1.5, 2.1),
        [(0, 0, 0, 0.90, 2, 2, 0, 0), (0.44, -0.14, 0, 0.49, 30, 10, 0, -15),
         (0.54, -0.14, 0, 0.49, 30, 10, 0, -15)],
        {"ankles": ("mat", [(0, 0, 0.18, 0)]),
         "wrists": ("arm", [(0, 10, 50, 0.96), (0.42, 98, 82, 0.97), (0.56, 98, 82, 0.97)])},
        STANDING, HANDS_ON_HIPS,
    ),
    "jumping-jack": Exercise(
        (1.0, 1.4),
        [(0, 0, 0, 0.89, 2, 2, 0, 0), (0.22, 0, 0, 0.96, 1, 0, 0, -3),
         (0.46, 0, 0, 0.84, 2, 0, 0, -5), (0.56, 0, 0, 0.84, 2, 0, 0, -5),
         (0.78, 0, 0, 0.96, 1, 0, 0, -3)],
        {"ankles": ("mat", [(0, 0, 0.09, 0), (0.10, 0, 0.10, 0), (0.24, 0, 0.24, 0.08),
                            (0.40, 0, 0.38, 0), (0.62, 0, 0.38, 0), (0.76, 0, 0.24, 0.08),
                            (0.90, 0, 0.10, 0)]),
         "wrists": ("arm", [(0, 10, 15, 0.97), (0.46, 166, 12, 0.96), (0.54, 166, 12, 0.96)])},
        STANDING, HANDS_ON_HIPS,
    ),
    "lunge": Exercise(
        (1.7, 2.3),
        [(0, 0, 0, 0.905, 2, 2, 0, 0), (0.22, 0.17, 0, 0.86, 4, 2, 0, 0),
         (0.46, 0.32, 0, 0.52, 3, 3, 0, 0), (0.56, 0.32, 0, 0.52, 3, 3, 0, 0),
         (0.80, 0.16, 0, 0.86, 2, 2, 0, 0)],
        {"left_ankle": ("mat", [(0, 0, 0.12, 0), (0.06, 0, 0.12, 0), (0.16, 0.34, 0.12, 0.14),
                                (0.28, 0.68, 0.12, 0), (0.74, 0.68, 0.12, 0),
                                (0.84, 0.34, 0.12, 0.14), (0.94, 0, 0.12, 0)]),
         "right_ankle": ("mat", [(0, 0, 0.12, 0), (0.16, 0, 0.12, 0), (0.32, -0.03, 0.12, 0.15),
                                 (0.46, -0.04, 0.12, 0.15), (0.70, -0.03, 0.12, 0.15),
                                 (0.86, 0, 0.12, 0)]),
         "wrists": ("chest", [(0, 0.27, 0.05, 0.16)])},
        STANDING, HANDS_ON_HIPS,
    ),
    "push-up": Exercise(
        (1.3, 1.9),
        [(0, -0.02, 0, 0.45, 70, 0, 0, -25), (0.45, 0.03, 0, 0.235, 84, 0, 0, -30),
         (0.53, 0.03, 0, 0.235, 84, 0, 0, -30)],
        {"ankles": ("mat", [(0, -0.79, 0.10, 0.07)]),
         "wrists": ("mat", [(0, 0.45, 0.27, 0.04)])},
        (-0.36, 0, 0.50, 82, 0, 0, -10), {},
    ),
    "sit-up": Exercise(
        (1.7, 2.3),
        [(0, 0, 0, 0.12, -88, 0, 0, 8), (0.2, 0, 0, 0.12, -78, 22, 0, 20),
         (0.46, 0.02, 0, 0.13, -24, 30, 0, 15), (0.54, 0.02, 0, 0.13, -24, 30, 0, 15),
         (0.82, 0, 0, 0.12, -78, 22, 0, 20)],
        {"ankles": ("mat", [(0, 0.42, 0.13, 0)]),
         "wrists": ("chest", [(0, 0.09, 0.15, 0.46)])},
        (0, 0, 0.12, -89, 0, 0, 5),
        {"ankles": ("mat", [(0, 0.76, 0.12, 0)]), "wrists": ("mat", [(0, 0.02, 0.32, -0.03)])},
    ),
    "side-bend": Exercise(
        (1.6, 2.3),
        [(0, 0, 0, 0.88, 1, 0, 0, 0), (0.25, 0, -0.10, 0.865, 1, 0, 42, 0),
         (0.75, 0, 0.10, 0.865, 1, 0, -42, 0)],
        {"ankles": ("mat", [(0, 0, 0.27, 0)]),
         "wrists": ("arm", [(0, 193, 8, 0.97)])},
        STANDING, {"wrists": ("arm", [(0, 12, 30, 0.96)])},
    ),
}  # fmt: skip
"""Name -> exercise."""


def exercise_pose(
    name: str, body: Body, phase: np.ndarray, effort: np.ndarray, reach: float = 1.0
) -> Pose:
    """A body that does one of EXERCISES, facing +x from the origin; see `posed`."""
    return posed(EXERCISES[name], body, phase, effort, reach)


def posed(
    what: Exercise, body: Body, phase: np.ndarray, effort: np.ndarray, reach: float = 1.0
) -> Pose:
    """A body that does an exercise, facing +x from the origin.

    phase: (T,) in [0, 1); effort: (T,) from 0, the pose of a pause, to 1, the exercise; reach: how
    far the movement goes from where it begins, against the keys.
    """
    w = (effort * effort * (3 - 2 * effort))[:, None]
    rest = np.array(what.rest, float)
    moved = rest + w * (_cycle(what.trunk, phase, reach) - rest)
    x, y, z, tip, bend, aside, nod = moved.T
    pelvis = np.stack([x * body.scale, y * body.scale, z * body.stand / 0.92], 1)
    turn = rotation("y", np.radians(tip))
    trunk = place_trunk(body, pelvis, turn, np.stack([bend, aside, 0 * bend], 1), nod)
    targets = {}
    for side in SIDES:
        for end in ("wrist", "ankle"):
            busy = what.limbs.get(f"{side}_{end}") or what.limbs[f"{end}s"]
            calm = what.rest_limbs.get(f"{end}s") or (busy[0], busy[1][:1])
            a, b = _cycle(calm[1], phase), _cycle(busy[1], phase, reach)
            if calm[0] == busy[0]:  # an arm swings up, rather than through the body
                target = _target(busy[0], a + w * (b - a), trunk, body, side)
            else:
                a = _target(calm[0], a, trunk, body, side)
                target = a + w * (_target(busy[0], b, trunk, body, side) - a)
            targets[f"{side}_{end}"] = target
    return place_limbs(body, trunk, targets, toes=np.array([1.0, 0, 0]))


def _cycle(rows: list[Row], phase: np.ndarray, reach: float = 1.0) -> np.ndarray:
    """(T, C) values of a closed curve through rows of (phase, C values)."""
    table = np.array(rows, float)
    knots, values = table[:, 0], table[0, 1:] + reach * (table[:, 1:] - table[0, 1:])
    knots = np.concatenate([knots - 1, knots, knots + 1])
    return spline(knots, np.tile(values, (3, 1)), phase)


def _target(what: str, place: np.ndarray, trunk: Trunk, body: Body, side: str) -> np.ndarray:
    """The (T, 3) place in the world of what a limb follows; place: (T, 3), see `Limb`."""
    sign = np.array([1, 1 if side == "left" else -1, 1])
    if what == "mat":
        return place * sign * body.scale + np.array([0, 0, body.ankle])
    if what == "hips":
        return trunk.places["pelvis"] + _turned(trunk.pelvis, place * sign * body.scale)
    if what == "chest":
        return trunk.places["waist"] + _turned(trunk.chest, place * sign * body.scale)
    up, ahead = np.radians(place[:, 0]), np.radians(place[:, 1])
    way = np.stack([np.sin(up) * np.sin(ahead), np.sin(up) * np.cos(ahead), -np.cos(up)], 1)
    length = 0.545 * body.scale * body.arms  # shoulder to wrist, as the bones are
    return trunk.places[f"{side}_shoulder"] + _turned(
        trunk.chest, way * sign * place[:, 2:] * length
    )


def _turned(frame: np.ndarray, place: np.ndarray) -> np.ndarray:
    return np.einsum("tij,tj->ti", frame, place)
