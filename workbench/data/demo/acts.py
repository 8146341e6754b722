"""Ten actions as closed curves of keyframes, told apart by how a body moves, not by where it is.

All go round from a standing body. What an action leaves free, arms or stance, is held in ways that
other actions pass through: somebody who walks may hold the arms as for a punch, somebody who waves
may stand as for a lunge. So a single picture says little, and a second of movement says it all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from workbench.data.demo.exercises import (
    EXERCISES,
    HANDS_ON_HIPS,
    STANDING,
    Exercise,
    Limb,
    Row,
    posed,
)
from workbench.data.demo.skeleton import Body, Pose

STRIDE = 0.84
"""Metres that a step of the left and one of the right foot carry a body 1.70 m tall."""


def _later(rows: list[Row], share: float = 0.5) -> list[Row]:
    """The same curve, later by a share of a repetition."""
    return sorted(((row[0] + share) % 1, *row[1:]) for row in rows)


def _turns(end: str, what: str, rows: list[Row]) -> dict[str, Limb]:
    """Left and right by turns."""
    return {f"left_{end}": (what, rows), f"right_{end}": (what, _later(rows))}


_STEP: list[Row] = [
    (0, 0.252, 0.08, 0.02), (0.10, 0.168, 0.08, 0), (0.25, 0.042, 0.08, 0), (0.40, -0.084, 0.08, 0),
    (0.50, -0.168, 0.08, 0.01), (0.60, -0.252, 0.08, 0.06), (0.72, -0.15, 0.08, 0.15),
    (0.86, 0.13, 0.08, 0.08), (0.95, 0.24, 0.08, 0.06),
]  # fmt: skip
_RUN: list[Row] = [
    (0, 0.05, 0.08, 0), (0.12, 0.02, 0.08, 0), (0.28, -0.08, 0.08, 0.02), (0.5, -0.20, 0.08, 0.36),
    (0.66, 0.05, 0.08, 0.34), (0.86, 0.10, 0.08, 0.10),
]  # fmt: skip
_HIT: list[Row] = [
    (0, 0.17, 0.12, 0.27), (0.15, 0.52, 0.03, 0.30), (0.21, 0.52, 0.03, 0.30),
    (0.42, 0.17, 0.12, 0.27),
]  # fmt: skip
_SWING: list[Row] = [(0, -0.20, 0.22, -0.16), (0.5, 0.26, 0.20, -0.09)]

ARMS: dict[str, dict[str, Limb]] = {
    "hanging": {"wrists": ("arm", [(0, 10, 30, 0.96)])},
    "on hips": HANDS_ON_HIPS,
    "before the chest": {"wrists": ("chest", [(0, 0.24, 0.09, 0.22)])},
    "one raised": {
        "left_wrist": ("arm", [(0, 10, 30, 0.96)]),
        "right_wrist": ("chest", [(0, 0.14, 0.32, 0.62)]),
    },
    "overhead": {"wrists": ("arm", [(0, 164, 14, 0.95)])},
}
"""Ways to hold the arms where the action does not say how."""
FEET: dict[str, dict[str, Limb]] = {
    "together": {"ankles": ("mat", [(0, 0, 0.09, 0)])},
    "apart": {"ankles": ("mat", [(0, 0, 0.18, 0)])},
    "wide": {"ankles": ("mat", [(0, 0, 0.32, 0)])},
    "one ahead": {
        "left_ankle": ("mat", [(0, 0.22, 0.09, 0)]),
        "right_ankle": ("mat", [(0, -0.20, 0.09, 0.02)]),
    },
}
"""Ways to stand where the action does not say how."""
_STAND: list[Row] = [(0, 0, 0, 0.885, 1, 2, 0, 0)]

ACTS: dict[str, Exercise] = {
    "bow": Exercise(
        (1.3, 1.8),
        [(0, 0, 0, 0.89, 1, 2, 0, 0), (0.42, -0.13, 0, 0.87, 48, 28, 0, 12),
         (0.56, -0.13, 0, 0.87, 48, 28, 0, 12)],
        {}, STANDING, {},
    ),
    "clap": Exercise(
        (0.5, 0.8), _STAND,
        {"wrists": ("chest", [(0, 0.22, 0.40, 0.26), (0.5, 0.34, 0.045, 0.24)])},
        STANDING, {},
    ),
    "jump": Exercise(
        (0.9, 1.25),
        [(0, 0, 0, 0.88, 3, 2, 0, 0), (0.26, -0.05, 0, 0.68, 20, 6, 0, -8),
         (0.42, 0, 0, 0.93, 2, 0, 0, 0), (0.58, 0, 0, 1.17, 0, 0, 0, 0),
         (0.74, 0, 0, 0.93, 2, 0, 0, 0), (0.86, -0.03, 0, 0.78, 14, 4, 0, -5)],
        {"ankles": ("mat", [(0, 0, 0.12, 0), (0.40, 0, 0.12, 0), (0.46, 0, 0.12, 0.05),
                            (0.58, 0, 0.12, 0.27), (0.70, 0, 0.12, 0.05), (0.76, 0, 0.12, 0)])},
        STANDING, {},
    ),
    "jumping-jack": replace(EXERCISES["jumping-jack"], seconds=(0.9, 1.25)),
    "kick": Exercise(
        (0.9, 1.25),
        [(0, 0, 0.02, 0.885, 2, 2, 0, 0), (0.30, -0.02, 0.07, 0.89, -4, 0, 0, 0),
         (0.46, -0.03, 0.07, 0.89, -14, 4, 0, 8), (0.70, 0, 0.05, 0.885, 2, 2, 0, 0)],
        {"left_ankle": ("mat", [(0, 0, 0.09, 0)]),
         "right_ankle": ("mat", [(0, -0.20, 0.10, 0.02), (0.14, -0.22, 0.10, 0.10),
                                 (0.30, 0.22, 0.10, 0.42), (0.44, 0.72, 0.08, 0.74),
                                 (0.50, 0.72, 0.08, 0.74), (0.64, 0.22, 0.10, 0.38),
                                 (0.82, -0.19, 0.10, 0.02)])},
        STANDING, {},
    ),
    "punch": Exercise((0.6, 0.9), _STAND, _turns("wrist", "chest", _HIT), STANDING, {}),
    "run": Exercise(
        (0.6, 0.8),
        [(0, 0, 0, 0.88, 6, 3, 0, -4), (0.12, 0, 0, 0.85, 7, 3, 0, -4),
         (0.38, 0, 0, 0.95, 6, 3, 0, -4), (0.5, 0, 0, 0.88, 6, 3, 0, -4),
         (0.62, 0, 0, 0.85, 7, 3, 0, -4), (0.88, 0, 0, 0.95, 6, 3, 0, -4)],
        _turns("ankle", "mat", _RUN)
        | _turns("wrist", "chest", [(0, 0.02, 0.24, 0.02), (0.5, 0.30, 0.14, 0.16)]),
        STANDING, {},
    ),
    "squat": replace(EXERCISES["squat"], seconds=(1.2, 1.7), limbs={}),
    "walk": Exercise(
        (0.95, 1.25),
        [(0, 0, 0, 0.865, 3, 1, 0, -2), (0.28, 0, 0.02, 0.90, 3, 1, 0, -2),
         (0.5, 0, 0, 0.865, 3, 1, 0, -2), (0.78, 0, -0.02, 0.90, 3, 1, 0, -2)],
        _turns("ankle", "mat", _STEP) | _turns("wrist", "chest", _SWING),
        STANDING, {},
    ),
    "wave": Exercise(
        (0.5, 0.8), _STAND,
        {"right_wrist": ("chest", [(0, 0.14, 0.10, 0.68), (0.5, 0.14, 0.56, 0.54)])},
        STANDING, {},
    ),
}  # fmt: skip
"""Name -> action; seconds: of one repetition."""


@dataclass(frozen=True)
class Manner:
    """How somebody holds what an action leaves free; drawn alike for all of them."""

    arms: str
    """A key of ARMS, or `own`: as the action moves them, hanging where it does not."""
    feet: str
    """A key of FEET, for actions that leave the feet where they are."""

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Manner:
        """A random manner."""
        arms = ("own", "own", *ARMS)[rng.integers(len(ARMS) + 2)]
        return cls(arms, tuple(FEET)[rng.integers(len(FEET))])


def act_pose(name: str, manner: Manner, body: Body, turns: np.ndarray, reach: float = 1.0) -> Pose:
    """A body that does one of ACTS, facing +x from the origin.

    turns: (T,) repetitions done so far, whole ones and the share of the one that is on; reach: how
    far the movement goes, against the keys.
    """
    act = replace(ACTS[name], limbs=_limbs(name, manner))
    pose = posed(act, body, turns % 1, np.ones(len(turns)), reach)
    if name != "walk":
        return pose
    ahead = STRIDE * body.scale * reach * turns[:, None, None] * np.array([1.0, 0, 0])
    return Pose(pose.joints + ahead, pose.frames)


def _limbs(name: str, manner: Manner) -> dict[str, Limb]:
    """What hands and feet follow: the action, where it says so, else the manner."""
    own = ACTS[name].limbs
    if manner.arms != "own" and name in SWINGING:
        own = {limb: follows for limb, follows in own.items() if "wrist" not in limb}
    held = ARMS["hanging"] | FEET["apart"] | ARMS.get(manner.arms, {}) | FEET[manner.feet]
    held = {k: v for k, v in held.items() if f"{k.partition('_')[2]}s" not in own}
    return held | own


SWINGING = ("run", "walk")
"""Actions in which the arms swing along, and may be held still as well."""
