"""A person in a judogi: a triangle mesh that the bones of a skeleton carry."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from workbench.data.demo.skeleton import BONES, JOINTS, SIDES, Body, Pose, place_limbs, place_trunk

SKINS = ((244, 206, 178), (228, 182, 146), (198, 146, 108), (150, 102, 72), (104, 70, 50))
HAIRS = ((28, 24, 24), (58, 40, 28), (104, 70, 40), (150, 104, 44), (124, 122, 122))
BELTS = ((240, 240, 236), (236, 200, 60), (222, 120, 40), (50, 130, 70), (40, 70, 160),
         (104, 62, 38), (28, 28, 30))  # fmt: skip
EYE = (40, 32, 30)
JACKETS = ((238, 238, 232), (44, 78, 168))


@dataclass(frozen=True)
class Look:
    """Colours (red, green, blue) of one person, and whether the hair is tied behind."""

    skin: tuple[int, int, int]
    hair: tuple[int, int, int]
    jacket: tuple[int, int, int]
    belt: tuple[int, int, int]
    bun: bool

    @classmethod
    def draw(cls, rng: np.random.Generator, jacket: int) -> Look:
        """A random look in the white (0) or blue (1) judogi."""

        def pick(colours: tuple) -> tuple[int, int, int]:
            r, g, b = np.array(colours[rng.integers(len(colours))]) + rng.integers(-8, 9, 3)
            return int(r), int(g), int(b)

        return cls(
            pick(SKINS), pick(HAIRS), pick(JACKETS[jacket : jacket + 1]), pick(BELTS),
            bool(rng.random() < 0.35),
        )  # fmt: skip


@dataclass(frozen=True)
class Figure:
    """The mesh at rest, and how it hangs on the bones.

    bones, weights: (V, 2) the two bones that carry each vertex, and how much; local, normal:
    (V, 2, 3) place and normal in the frame of either; tone: (V,) folds of the cloth, about 1;
    faces: (F, 3) vertices; colours: (F, 3), 0..255.
    """

    bones: np.ndarray
    weights: np.ndarray
    local: np.ndarray
    normal: np.ndarray
    tone: np.ndarray
    faces: np.ndarray
    colours: np.ndarray

    def posed(self, pose: Pose) -> tuple[np.ndarray, np.ndarray]:
        """The vertices (T, V, 3), metres, and their unit normals (T, V, 3), in every frame."""
        origins = pose.joints[:, [JOINTS.index(start) for start, _ in BONES.values()]]
        places = np.zeros((len(origins), len(self.bones), 3), np.float32)
        normals = np.zeros_like(places)
        for k in (0, 1):
            frame = pose.frames.astype(np.float32)[:, self.bones[:, k]]  # (T, V, 3, 3)
            weight = self.weights[:, k : k + 1].astype(np.float32)
            carried = np.einsum("tvij,vj->tvi", frame, self.local[:, k].astype(np.float32))
            places += weight * (carried + origins[:, self.bones[:, k]])
            normals += weight * np.einsum("tvij,vj->tvi", frame, self.normal[:, k])
        return places, normals / np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-6)


def dressed(body: Body, look: Look, rng: np.random.Generator) -> Figure:
    """The figure of a body with a look; `rng` crumples the cloth."""
    rest = _rest(body)
    at = dict(zip(JOINTS, rest.joints[0], strict=True))
    frames = dict(zip(BONES, rest.frames[0], strict=True))
    sew = _Sewing()
    _trunk(sew, at, body, look)
    for side in SIDES:
        _arm(sew, at, frames, body, look, side)
        _leg(sew, at, frames, body, look, side)
    _head(sew, at, body, look)
    return sew.finished(rest, rng)


def _rest(body: Body) -> Pose:
    """Standing, arms hanging, one frame."""
    s = body.scale
    zero = np.zeros((1, 3))
    up = np.eye(3)[None]
    pelvis = np.array([[0, 0, body.stand - 0.01]])
    trunk = place_trunk(body, pelvis, up, zero, np.zeros(1))
    targets = {}
    for side, sign in zip(SIDES, (1, -1), strict=True):
        shoulder, hip = trunk.places[f"{side}_shoulder"], trunk.places[f"{side}_hip"]
        targets[f"{side}_wrist"] = shoulder + np.array([0.03, 0.16 * sign, -0.50]) * s
        targets[f"{side}_ankle"] = hip - [0, 0, body.leg * 0.99]
    return place_limbs(body, trunk, targets)


class _Sewing:
    """Collects tubes and turns them into one figure."""

    def __init__(self) -> None:
        self.places: list[np.ndarray] = []
        self.carriers: list[tuple] = []
        self.crumple: list[float] = []
        self.faces: list[tuple[int, int, int]] = []
        self.colours: list[tuple] = []

    def tube(
        self,
        rings: list[tuple],
        colour: object,
        sides: int = 10,
        crumple: float = 0.0,
    ) -> None:
        """A closed tube through elliptic rings.

        rings: (centre, half axis u, half axis v, carrier) each; carrier is a bone or a function
        from a place to two bones and the weight of the first. colour: (3,) or a function from the
        middle of a face to one, or None for a hole.
        """
        centre, u, v = (np.array([r[k] for r in rings]) for k in (0, 1, 2))
        if np.dot(np.cross(u.mean(0), v.mean(0)), centre[-1] - centre[0]) < 0:
            v = -v
        angle = np.arange(sides) * 2 * np.pi / sides
        ring = u[:, None] * np.cos(angle)[:, None] + v[:, None] * np.sin(angle)[:, None]
        places = (centre[:, None] + ring).reshape(-1, 3)
        places = np.concatenate([places, centre[:1], centre[-1:]])
        base, n = sum(map(len, self.places)), len(rings)
        owner = [rings[i][3] for i in range(n) for _ in range(sides)] + [rings[0][3], rings[-1][3]]
        self.places.append(places)
        for place, carrier in zip(places, owner, strict=True):
            self.carriers.append(carrier(place) if callable(carrier) else (carrier, carrier, 1.0))
        self.crumple += [crumple] * len(places)
        faces = []
        for k in range(sides):
            j = (k + 1) % sides
            faces += [(n * sides, j, k), (n * sides + 1, (n - 1) * sides + k, (n - 1) * sides + j)]
            for i in range(n - 1):
                a, b, c, d = i * sides + k, i * sides + j, (i + 1) * sides + j, (i + 1) * sides + k
                faces += [(a, b, c), (a, c, d)]
        for face in faces:
            chosen = colour(places[list(face)].mean(0)) if callable(colour) else colour
            if chosen is not None:
                self.faces.append(tuple(base + k for k in face))
                self.colours.append(tuple(chosen))

    def finished(self, rest: Pose, rng: np.random.Generator) -> Figure:
        """The figure, each vertex told in the frames of its two bones."""
        places, faces = np.concatenate(self.places), np.array(self.faces)
        names = list(BONES)
        bones = np.array([[names.index(a), names.index(b)] for a, b, _ in self.carriers])
        weight = np.array([w for _, _, w in self.carriers])
        corner = places[faces]
        facing = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
        normal = np.zeros_like(places)
        for k in range(3):
            np.add.at(normal, faces[:, k], facing)
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
        frames = rest.frames[0][bones]  # (V, 2, 3, 3)
        starts = np.array([JOINTS.index(start) for start, _ in BONES.values()])
        origin = rest.joints[0][starts[bones]]
        tone = 1 + np.array(self.crumple) * rng.uniform(-1, 1, len(places))
        return Figure(
            bones,
            np.stack([weight, 1 - weight], 1),
            np.einsum("vkij,vki->vkj", frames, places[:, None] - origin),
            np.einsum("vkij,vi->vkj", frames, normal).astype(np.float32),
            tone.astype(np.float32),
            faces,
            np.array(self.colours, np.float32),
        )


def _trunk(sew: _Sewing, at: dict, body: Body, look: Look) -> None:
    s, g = body.scale, body.scale * body.girth
    pelvis = at["pelvis"]
    x, y, z = np.eye(3)

    def ring(height: float, wide: float, deep: float, carrier: object, ahead: float = 0.0) -> tuple:
        centre = pelvis + z * height * s + x * ahead * g
        return (centre, x * deep * g, y * wide * g, carrier)

    def between(place: np.ndarray) -> tuple:
        return ("pelvis", "chest", 0.5)

    def with_thigh(share: float) -> object:
        def carrier(place: np.ndarray) -> tuple:
            across = (place - pelvis)[1] / (0.15 * g)
            side = "left" if across > 0 else "right"
            return (f"{side}_thigh", "pelvis", share * min(1.0, abs(across) * 1.5))

        return carrier

    def chest_colour(place: np.ndarray) -> tuple:
        ahead, across, height = (place - pelvis) / s
        opening = 0.50 * (height - 0.33)
        return look.skin if ahead > 0.03 and abs(across) < opening else look.jacket

    cloth = look.jacket
    sew.tube(
        [ring(-0.13, 0.06, 0.07, "pelvis"), ring(-0.06, 0.15, 0.115, "pelvis"),
         ring(0.04, 0.165, 0.12, "pelvis")],
        cloth, 10, 0.03,
    )  # fmt: skip
    sew.tube(
        [ring(0.11, 0.155, 0.115, between), ring(0.17, 0.16, 0.118, between),
         ring(0.25, 0.172, 0.124, "chest"), ring(0.34, 0.186, 0.130, "chest"),
         ring(0.42, 0.192, 0.122, "chest"), ring(0.47, 0.178, 0.105, "chest"),
         ring(0.505, 0.125, 0.085, "chest"), ring(0.525, 0.075, 0.07, "chest")],
        chest_colour, 14, 0.05,
    )  # fmt: skip
    sew.tube(  # the skirt of the jacket
        [ring(0.15, 0.160, 0.120, "pelvis"), ring(0.05, 0.182, 0.138, "pelvis"),
         ring(-0.06, 0.198, 0.155, with_thigh(0.35)), ring(-0.17, 0.205, 0.165, with_thigh(0.6))],
        cloth, 12, 0.06,
    )  # fmt: skip
    sew.tube(
        [ring(0.115, 0.174, 0.134, between), ring(0.165, 0.174, 0.134, between)],
        look.belt, 12,
    )  # fmt: skip
    for sign in (1, -1):  # the hanging ends of the belt
        top = pelvis + np.array([0.135 * g, 0.015 * sign * g, 0.14 * s])
        end = pelvis + np.array([0.175 * g, 0.055 * sign * g, -0.09 * s])
        rings = [(p, x * 0.012 * g, y * 0.02 * g, "pelvis") for p in (top, end)]
        sew.tube(rings, look.belt, 4)
    band = tuple(int(c * 0.80) for c in look.jacket)
    for sign in (1, -1):  # lapels, from the neck to the belt, left over right
        rings = []
        for height, across, deep in (
            (0.525, 0.075, 0.02), (0.48, 0.085, 0.092), (0.40, 0.055, 0.124),
            (0.32, 0.02, 0.133), (0.25, -0.015, 0.128), (0.17, -0.045, 0.118),
        ):  # fmt: skip
            point = pelvis + np.array([(deep + 0.004 * sign) * g, sign * across * g, height * s])
            rings.append((point, x * 0.010 * g, (y * 0.022 + z * 0.008 * sign) * g, "chest"))
        sew.tube(rings, band, 4)


def _along(
    at: dict,
    frames: dict,
    start: str,
    bone: str,
    end: str,
    share: float,
    radius: float,
    carrier: object,
) -> tuple:
    """A round ring at a share of the way along a bone."""
    centre = at[start] * (1 - share) + at[end] * share
    return (centre, frames[bone][:, 0] * radius, frames[bone][:, 1] * radius, carrier)


def _arm(sew: _Sewing, at: dict, frames: dict, body: Body, look: Look, side: str) -> None:
    g = body.scale * body.girth
    upper, fore = f"{side}_upper_arm", f"{side}_forearm"
    joints = [f"{side}_{j}" for j in ("shoulder", "elbow", "wrist", "hand")]

    def bend(place: np.ndarray) -> tuple:
        return (upper, fore, 0.5)

    def on_upper(share: float, radius: float, carrier: object = upper) -> tuple:
        return _along(at, frames, joints[0], upper, joints[1], share, radius * g, carrier)

    def on_fore(share: float, radius: float, carrier: object = fore) -> tuple:
        return _along(at, frames, joints[1], fore, joints[2], share, radius * g, carrier)

    sleeve = [
        on_upper(-0.22, 0.035), on_upper(-0.12, 0.068), on_upper(0.1, 0.080), on_upper(0.5, 0.074),
        on_upper(0.88, 0.066), on_upper(1.0, 0.064, bend), on_fore(0.15, 0.064),
        on_fore(0.74, 0.070),
    ]  # fmt: skip
    sew.tube(sleeve, look.jacket, 8, 0.06)
    hand = f"{side}_hand"
    thin = [
        on_fore(0.6, 0.036), on_fore(0.98, 0.027),
        *(_along(at, frames, joints[2], hand, joints[3], k, r * g, hand)
          for k, r in ((0.5, 0.042), (1.2, 0.038), (1.5, 0.018))),
    ]  # fmt: skip
    sew.tube(thin, look.skin, 5)


def _leg(sew: _Sewing, at: dict, frames: dict, body: Body, look: Look, side: str) -> None:
    s, g = body.scale, body.scale * body.girth
    thigh, shin, foot = f"{side}_thigh", f"{side}_shin", f"{side}_foot"
    hip, knee, ankle = (f"{side}_{j}" for j in ("hip", "knee", "ankle"))

    def bend(place: np.ndarray) -> tuple:
        return (thigh, shin, 0.5)

    def on_thigh(share: float, radius: float, carrier: object = thigh) -> tuple:
        return _along(at, frames, hip, thigh, knee, share, radius * g, carrier)

    def on_shin(share: float, radius: float, carrier: object = shin) -> tuple:
        return _along(at, frames, knee, shin, ankle, share, radius * g, carrier)

    trousers = [
        on_thigh(-0.12, 0.06), on_thigh(0.0, 0.095), on_thigh(0.2, 0.104), on_thigh(0.55, 0.094),
        on_thigh(0.9, 0.080), on_thigh(1.0, 0.077, bend), on_shin(0.12, 0.076),
        on_shin(0.80, 0.078),
    ]  # fmt: skip
    sew.tube(trousers, look.jacket, 8, 0.05)
    sew.tube([on_shin(0.75, 0.045), on_shin(0.92, 0.037), on_shin(1.04, 0.036)], look.skin, 6)
    ahead, aside, up = frames[foot][:, 2], frames[foot][:, 1], frames[foot][:, 0]
    rings = []
    for far, drop, wide, thick in (
        (-0.06, 0.040, 0.028, 0.03), (0.0, 0.025, 0.037, 0.05), (0.07, 0.045, 0.042, 0.034),
        (0.13, 0.055, 0.047, 0.024), (0.175, 0.062, 0.034, 0.016),
    ):  # fmt: skip
        centre = at[ankle] + (ahead * far - up * np.sign(up[2]) * drop) * s
        rings.append((centre, aside * wide * g, up * thick * g, foot))
    sew.tube(rings, look.skin, 6)


def _head(sew: _Sewing, at: dict, body: Body, look: Look) -> None:
    s = body.scale
    x, y, z = np.eye(3)
    centre = at["head"]

    def ball(middle: np.ndarray, radii: tuple, colour: object, rings: int, sides: int) -> None:
        ahead, wide, deep = np.array(radii) * s
        polar = np.linspace(-np.pi / 2 + 0.25, np.pi / 2 - 0.25, rings)
        sew.tube(
            [(middle + z * deep * np.sin(p), x * ahead * np.cos(p), y * wide * np.cos(p), "head")
             for p in polar],
            colour, sides,
        )  # fmt: skip

    def hair(place: np.ndarray) -> tuple | None:
        ahead, _, height = (place - centre) / s
        face = (
            (ahead > 0.025 and height < 0.065)
            or height < -0.075
            or (ahead > -0.035 and height < -0.01)
        )
        return None if face else look.hair

    neck = at["neck"]
    low, high = neck - z * 0.05 * s, neck + z * 0.10 * s
    sew.tube(
        [(low, x * 0.055 * s, y * 0.055 * s, "chest"), (high, x * 0.05 * s, y * 0.05 * s, "head")],
        look.skin, 6,
    )  # fmt: skip

    def at_head(ahead: float, aside: float, up: float) -> np.ndarray:
        return centre + np.array([ahead, aside, up]) * s

    ball(centre, (0.098, 0.080, 0.125), look.skin, 7, 10)
    ball(at_head(-0.006, 0, 0.008), (0.110, 0.091, 0.130), hair, 8, 12)
    ball(at_head(0.100, 0, -0.012), (0.016, 0.014, 0.022), look.skin, 3, 4)
    for sign in (1, -1):
        ball(at_head(0.088, 0.032 * sign, 0.018), (0.010, 0.013, 0.011), EYE, 3, 4)
        ball(at_head(0, 0.082 * sign, -0.005), (0.018, 0.012, 0.028), look.skin, 3, 4)
    if look.bun:
        ball(at_head(-0.115, 0, 0.035), (0.05, 0.05, 0.05), look.hair, 4, 7)
