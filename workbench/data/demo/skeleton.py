"""A jointed body: its bones, and where they are when the trunk and the hands and feet are placed.

Axes of the world: x, y on the mat, z up, metres. Axes of a body: x forward, y left, z up.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SIDES = ("left", "right")
JOINTS = (
    "pelvis",
    "waist",
    "neck",
    "head",
    *(f"{s}_{j}" for s in SIDES for j in ("shoulder", "elbow", "wrist", "hand")),
    *(f"{s}_{j}" for s in SIDES for j in ("hip", "knee", "ankle", "toe")),
)
"""The order of the joints in every (..., J, 3) array."""

BONES = {
    "pelvis": ("pelvis", "waist"),
    "chest": ("waist", "neck"),
    "head": ("neck", "head"),
    **{f"{s}_upper_arm": (f"{s}_shoulder", f"{s}_elbow") for s in SIDES},
    **{f"{s}_forearm": (f"{s}_elbow", f"{s}_wrist") for s in SIDES},
    **{f"{s}_hand": (f"{s}_wrist", f"{s}_hand") for s in SIDES},
    **{f"{s}_thigh": (f"{s}_hip", f"{s}_knee") for s in SIDES},
    **{f"{s}_shin": (f"{s}_knee", f"{s}_ankle") for s in SIDES},
    **{f"{s}_foot": (f"{s}_ankle", f"{s}_toe") for s in SIDES},
}
"""Bone -> the joints at its two ends. A bone's frame sits at the first."""


@dataclass(frozen=True)
class Body:
    """Sizes of one person, metres; the proportions are those of an adult 1.70 m tall."""

    height: float = 1.70
    legs: float = 1.0
    """Length of the legs against the average for the height."""
    arms: float = 1.0
    """Length of the arms against the average for the height."""
    girth: float = 1.0
    """Thickness of trunk and limbs against the average."""

    @property
    def scale(self) -> float:
        """Size against 1.70 m."""
        return self.height / 1.70

    @property
    def leg(self) -> float:
        """Hip to ankle, straight."""
        return 0.84 * self.scale * self.legs

    @property
    def ankle(self) -> float:
        """Height of the ankle of a foot that stands on the mat."""
        return 0.08 * self.scale

    @property
    def stand(self) -> float:
        """Height of the pelvis with straight legs."""
        return self.leg + self.ankle


@dataclass(frozen=True)
class Trunk:
    """The trunk over time: rotations (T, 3, 3) of pelvis, chest, head; joint -> (T, 3) places."""

    pelvis: np.ndarray
    chest: np.ndarray
    head: np.ndarray
    places: dict[str, np.ndarray]


@dataclass(frozen=True)
class Pose:
    """A body over time: joints (T, J, 3), metres; frames (T, B, 3, 3), columns are bone axes."""

    joints: np.ndarray
    frames: np.ndarray

    def mirrored(self) -> Pose:
        """The same movement seen in a mirror (y -> -y), left and right exchanged."""
        flip = np.array([1.0, -1.0, 1.0])
        joints = self.joints[:, _swapped(JOINTS)] * flip
        frames = self.frames[:, _swapped(BONES)] * flip[:, None] * flip
        return Pose(joints, frames)

    def moved(self, yaw: float, shift: np.ndarray) -> Pose:
        """Turned about the vertical through the origin (radians), then moved by (3,) metres."""
        turn = rotation("z", np.array(yaw))
        return Pose(self.joints @ turn.T + shift, turn @ self.frames)


def place_trunk(
    body: Body, pelvis: np.ndarray, turn: np.ndarray, bend: np.ndarray, nod: np.ndarray
) -> Trunk:
    """The trunk with its pelvis (T, 3) turned (T, 3, 3), never below the mat.

    bend: (T, 3) degrees of the chest against the pelvis: forward, to the left, twist to the left;
    nod: (T,) degrees of the head against the chest, forward.
    """
    chest = turn @ rotation("y", np.radians(bend[:, 0])) @ rotation("x", -np.radians(bend[:, 1]))
    chest = chest @ rotation("z", np.radians(bend[:, 2]))
    head = chest @ rotation("y", np.radians(nod))
    s = body.scale
    places = {"pelvis": pelvis, "waist": pelvis + turn @ np.array([0, 0, 0.16 * s])}
    places["neck"] = places["waist"] + chest @ np.array([0, 0, 0.35 * s])
    places["head"] = places["neck"] + head @ np.array([0.02 * s, 0, 0.16 * s])
    for name, sign in zip(SIDES, (1, -1), strict=True):
        shoulder = np.array([0, sign * 0.185 * s, 0.30 * s])
        places[f"{name}_shoulder"] = places["waist"] + chest @ shoulder
        places[f"{name}_hip"] = pelvis + turn @ np.array([0, sign * 0.095 * s, 0])
    thick = {"pelvis": 0.115, "neck": 0.08, "head": 0.115}
    low = np.min(
        [p[:, 2] - s * thick.get(j.split("_")[-1], 0.075) for j, p in places.items()], axis=0
    )
    lift = np.maximum(-low, 0)[:, None] * np.array([0, 0, 1.0])
    return Trunk(turn, chest, head, {j: p + lift for j, p in places.items()})


def place_limbs(
    body: Body, trunk: Trunk, targets: dict[str, np.ndarray], toes: np.ndarray | None = None
) -> Pose:
    """The whole body, with wrists and ankles at (T, 3) targets, or as near as they reach.

    targets: keys left_wrist, right_wrist, left_ankle, right_ankle. toes: (3,) where feet that lie
    flat point; default: where the pelvis faces, which somebody on his back does not do.
    """
    places = dict(trunk.places)
    frames = {"pelvis": trunk.pelvis, "chest": trunk.chest, "head": trunk.head}
    s = body.scale
    for side, sign in zip(SIDES, (1, -1), strict=True):
        # Elbows point down, out and back, but not into the mat.
        shoulder = places[f"{side}_shoulder"]
        out = trunk.chest @ np.array([-0.45, sign * 0.55, -0.7])
        near_mat = np.clip((0.5 - shoulder[:, 2:]) / 0.3, 0, 1)
        out = out - np.array([0, 0, 1.0]) * np.minimum(out[:, 2:] - 0.2, 0) * near_mat
        upper, fore = 0.29 * s * body.arms, 0.255 * s * body.arms
        elbow, wrist, hinge = _reach(shoulder, targets[f"{side}_wrist"], upper, fore, out)
        places |= {f"{side}_elbow": elbow, f"{side}_wrist": wrist}
        frames[f"{side}_upper_arm"] = _frame(elbow - shoulder, hinge)
        frames[f"{side}_forearm"] = frames[f"{side}_hand"] = _frame(wrist - elbow, hinge)
        places[f"{side}_hand"] = wrist + frames[f"{side}_hand"][..., 2] * 0.09 * s

        # Knees point forward and a little out; feet lie flat where the shin stands on the mat.
        hip = places[f"{side}_hip"]
        ahead = trunk.pelvis @ np.array([1.0, sign * 0.25, 0.1])
        half = body.leg / 2
        knee, ankle, hinge = _reach(hip, targets[f"{side}_ankle"], half, half, ahead)
        places |= {f"{side}_knee": knee, f"{side}_ankle": ankle}
        frames[f"{side}_thigh"] = _frame(knee - hip, hinge)
        shin = frames[f"{side}_shin"] = _frame(ankle - knee, hinge)
        loose = shin[..., 0] * 0.8 + shin[..., 2] * 0.6
        flat = ahead * np.array([1, 1, 0]) + 1e-6
        if toes is not None:
            flat = np.broadcast_to(toes, ahead.shape)
        grounded = _smooth((ankle[:, 2:] - body.ankle) / (0.16 * s), flip=True)
        grounded = grounded * _smooth((-shin[:, 2, 2:] - 0.2) / 0.4)
        toe = _unit(_unit(flat) * grounded + _unit(loose) * (1 - grounded))
        length = 0.17 * s
        rise = np.maximum(toe[:, 2], (0.025 * s - ankle[:, 2]) / length)
        toe = _unit(np.concatenate([toe[:, :2], np.minimum(rise, 1)[:, None]], 1))
        level = np.cross(toe, [0, 0, 1.0]) * grounded + hinge * (1 - grounded)
        frames[f"{side}_foot"] = _frame(toe, level)
        places[f"{side}_toe"] = ankle + toe * length
    return Pose(np.stack([places[j] for j in JOINTS], 1), np.stack([frames[b] for b in BONES], 1))


def rotation(axis: str, angle: np.ndarray) -> np.ndarray:
    """(..., 3, 3) turns about a coordinate axis by angles (...), radians."""
    i = "xyz".index(axis)
    j, k = (i + 1) % 3, (i + 2) % 3
    out = np.zeros((*np.shape(angle), 3, 3))
    out[..., i, i] = 1
    out[..., j, j] = out[..., k, k] = np.cos(angle)
    out[..., k, j] = np.sin(angle)
    out[..., j, k] = -np.sin(angle)
    return out


def _reach(
    root: np.ndarray, target: np.ndarray, upper: float, lower: float, pole: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Middle and end of a two-bone limb that reaches for a target, bent towards `pole`; its hinge.

    All (T, 3). A target out of reach is approached as far as the bones allow.
    """
    way = target - root
    far = np.linalg.norm(way, axis=1, keepdims=True)
    along = way / np.maximum(far, 1e-6)
    far = np.clip(far, abs(upper - lower) + 0.25 * lower, 0.995 * (upper + lower))
    side = _unit(pole - (pole * along).sum(1, keepdims=True) * along)
    forth = (upper**2 - lower**2 + far**2) / (2 * far)
    aside = np.sqrt(np.maximum(upper**2 - forth**2, 0))
    middle = root + along * forth + side * aside
    return middle, root + along * far, np.cross(along, side)


def _frame(along: np.ndarray, hinge: np.ndarray) -> np.ndarray:
    """(T, 3, 3) bone axes: z along the bone, y the hinge, x the third."""
    z = _unit(along)
    y = _unit(hinge - (hinge * z).sum(-1, keepdims=True) * z)
    return np.stack([np.cross(y, z), y, z], -1)


def _unit(v: np.ndarray) -> np.ndarray:
    return v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-9)


def _smooth(x: np.ndarray, flip: bool = False) -> np.ndarray:
    x = np.clip(1 - x if flip else x, 0, 1)
    return x * x * (3 - 2 * x)


def _swapped(names: object) -> list[int]:
    names = list(names)  # type: ignore[call-overload]
    other = {"left": "right", "right": "left"}
    return [names.index("_".join(other.get(w, w) for w in n.split("_"))) for n in names]
