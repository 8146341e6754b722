"""The multi-view judo demo: five classes of throw, four cameras, and the truth beside them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from workbench.data.demo.figure import Figure, Look, dressed
from workbench.data.demo.folder import claim, worked, write_table, write_text, write_truth
from workbench.data.demo.hall import CORNERS, MAT, Camera, Hall
from workbench.data.demo.motion import perform
from workbench.data.demo.scene import SHAKE, Scene
from workbench.data.demo.skeleton import JOINTS, Body, Pose
from workbench.data.demo.throws import END, START, THROWS, varied
from workbench.data.demo.video import write_video
from workbench.data.video import BACKGROUND

SIZES = {"small": 12, "full": 200}
"""Size -> number of recordings."""
FPS = 30
WIDTH, HEIGHT = 320, 240
CAMERAS = tuple(CORNERS)
NAME = "judo-{:03d}"


@dataclass(frozen=True)
class Recording:
    """One throw: its truth, and what the cameras need to film it."""

    name: str
    label: str
    tags: tuple[str, ...]
    phase: np.ndarray
    """(T,) progress of the throw: 0 before it, 1 after it."""
    start: int
    """First frame of the throw."""
    stop: int
    """First frame after the throw."""
    poses: tuple[Pose, Pose]
    figures: tuple[Figure, Figure]
    hall: Hall
    cameras: tuple[Camera, ...]
    shakes: np.ndarray
    """(4, T, 2) pixels by which each camera is off in each frame."""

    @property
    def joints(self) -> np.ndarray:
        """(T, 2, J, 3) metres; tori, then uke."""
        return np.stack([p.joints for p in self.poses], 1)

    @property
    def projections(self) -> np.ndarray:
        """(4, T, 3, 4) from metres to homogeneous pixels, the shake of the camera included."""
        return np.stack([c.matrix(s) for c, s in zip(self.cameras, self.shakes, strict=True)])

    def scene(self) -> Scene:
        """What the cameras film."""
        return Scene.of(self.hall, list(self.figures), list(self.poses))

    def truth(self) -> dict[str, np.ndarray]:
        """What is written beside the videos; README says what is what."""
        return {
            "joints": self.joints.astype(np.float32),
            "joint_names": np.array(JOINTS),
            "phase": self.phase.astype(np.float32),
            "label": np.array(self.label),
            "start": np.array(self.start),
            "stop": np.array(self.stop),
            "tags": np.array(self.tags),
            "fps": np.array(FPS),
            "size": np.array([WIDTH, HEIGHT]),
            "cameras": np.array(CAMERAS),
            "projections": self.projections,
        }


def stage(index: int, label: str, seed: int = 0) -> Recording:
    """Recording `index`, performed and lit but not yet filmed.

    Movement, people, hall and cameras are drawn from generators of their own, so that nothing that
    is seen beside the movement depends on the class. The first and the last 15 % of the frames,
    rounded, are background [our reconstruction].
    """
    moves, people, place, film = (np.random.default_rng([seed, index, k]) for k in range(4))
    n = int(np.clip(round(moves.gamma(9, 6.8)), 48, 114))  # 1.6 to 3.8 s, most near 2 s
    start = round(0.15 * n)
    stop = n - start
    time = (np.arange(n) - start) / (stop - 1 - start)
    inside = (time >= 0) & (time <= 1)
    haste = moves.uniform(-0.3, 0.3)  # slow entry and fast fall, or the other way round
    warped = time + haste * np.sin(2 * np.pi * time) / (2 * np.pi) * inside
    ends = np.array([-start, 0, stop - 1 - start, n - 1 - start]) / (stop - 1 - start)
    times = np.interp(warped, ends, [START, 0, 1, END])
    bodies = tuple(
        Body(people.uniform(1.56, 1.88), people.uniform(0.96, 1.04), people.uniform(0.97, 1.04),
             people.uniform(0.9, 1.16))
        for _ in range(2)
    )  # fmt: skip
    poses = perform(varied(THROWS[label](), moves), bodies, times)  # type: ignore[arg-type]
    left = moves.random() < 0.5
    yaw = moves.uniform(0, 2 * np.pi)
    if left:
        poses = tuple(p.mirrored() for p in poses)
    poses = tuple(p.moved(yaw, np.zeros(3)) for p in poses)
    ground = np.concatenate([p.joints[..., :2] for p in poses], 1)
    middle = (ground.min((0, 1)) + ground.max((0, 1))) / 2
    off = np.array([*(moves.normal(0, 0.08, 2) - middle), 0])
    poses = tuple(p.moved(0, off) for p in poses)

    jackets = people.permutation([0, 1]) if people.random() < 0.6 else people.integers(0, 2, 2)
    figures = tuple(
        dressed(b, Look.draw(people, int(j)), people) for b, j in zip(bodies, jackets, strict=True)
    )
    seen = np.stack([p.joints for p in poses])
    cameras = tuple(_camera(film, c).holding(seen, 2 * SHAKE) for c in CORNERS.values())
    shakes = np.stack([_shake(film, n) for _ in cameras])
    return Recording(
        NAME.format(index), label, ("left-handed" if left else "right-handed",),
        np.clip(warped, 0, 1), start, stop, poses, figures,  # type: ignore[arg-type]
        Hall.draw(place), cameras, shakes,
    )  # fmt: skip


def _camera(rng: np.random.Generator, corner: tuple[int, int]) -> Camera:
    """A camera near a corner of the mat that looks at its centre."""
    place = np.array([*(np.array(corner) * MAT + rng.normal(0, 0.12, 2)), rng.uniform(1.5, 2.2)])
    target = np.array([*rng.normal(0, 0.04, 2), rng.uniform(0.66, 0.76)])
    far = np.linalg.norm(place - target)
    focal = rng.uniform(0.58, 0.64) * HEIGHT * far / 1.7  # an adult fills so much of the height
    return Camera.looking(place, target, focal, (WIDTH, HEIGHT))


def _shake(rng: np.random.Generator, n: int) -> np.ndarray:
    """(n, 2) pixels of a hand that holds a camera nearly still."""
    t = np.arange(n)[:, None] / FPS
    hertz, phase = rng.uniform(0.4, 2.5, (3, 1, 2)), rng.uniform(0, 2 * np.pi, (3, 1, 2))
    sway = np.sin(2 * np.pi * hertz * t + phase).sum(0) * rng.uniform(0.1, 0.8)
    return np.clip(np.round(sway * 2) / 2, -SHAKE, SHAKE)


def classes(count: int, seed: int = 0) -> list[str]:
    """The class of each recording: as many of each as there is room for, in random order."""
    names = list(THROWS)
    order = np.random.default_rng([seed, 2**20]).permutation(count)
    return [names[k % len(names)] for k in order]


def splits(labels: list[str], seed: int = 0) -> list[str]:
    """train, val or test of each recording: 70/20/10, every class in the same shares.

    All cameras of a recording are in one split [our reconstruction], or the same moment seen from
    elsewhere would be both learned and asked.

    A class of few recordings leaves one for the test, so that every class is asked for: of 12
    recordings 7 are train, 5 test and none val.
    """
    rng = np.random.default_rng([seed, 2**20 + 1])
    out = ["train"] * len(labels)
    for c in THROWS:
        left = rng.permutation([i for i, label in enumerate(labels) if label == c])
        test = max(int(0.1 * len(left) + 1e-9), int(len(left) > 1))
        val = int(0.2 * len(left) + 1e-9)
        for k, i in enumerate(left[: test + val]):
            out[i] = "test" if k < test else "val"
    return out


def make(
    folder: str | Path, size: Literal["small", "full"] = "small", seed: int = 0, workers: int = 2
) -> Iterator[tuple[int, int]]:
    """Makes the demo in `folder`; yields (videos that are there, videos in all) on the way.

    The folder then holds videos/, truth/, clips.csv, segments.csv and README.txt. What an earlier,
    broken-off run has completed is kept. The result depends on `size` and `seed` alone, not on
    `workers`, the number of processes; stop pulling to stop.
    """
    folder = Path(folder)
    labels = classes(SIZES[size], seed)
    claim(folder, {"demo": "judo", "size": size, "seed": seed})
    jobs = [(folder, index, label, seed) for index, label in enumerate(labels)]
    for done in worked(make_recording, jobs, workers):
        yield done * len(CAMERAS), len(jobs) * len(CAMERAS)
    _write_tables(folder, labels, seed)


def make_recording(folder: Path, index: int, label: str, seed: int = 0) -> Recording:
    """Films one recording into videos/ and truth/ of a folder, keeping the videos it finds."""
    recording = stage(index, label, seed)
    videos, truth = folder / "videos", folder / "truth"
    videos.mkdir(parents=True, exist_ok=True)
    truth.mkdir(exist_ok=True)
    paths = [videos / f"{recording.name}_{camera}.mp4" for camera in CAMERAS]
    if not all(path.exists() for path in paths):
        scene = recording.scene()
        for path, camera, shake in zip(paths, recording.cameras, recording.shakes, strict=True):
            if not path.exists():
                write_video(path, scene.film(camera, shake, WIDTH, HEIGHT), FPS)
    write_truth(truth / f"{recording.name}.npz", recording.truth())
    return recording


def _write_tables(folder: Path, labels: list[str], seed: int) -> None:
    """clips.csv, segments.csv and README.txt, once everything they speak of is there."""
    clips = [("recording", "camera", "path", "label", "split", "offset_frames", "tags")]
    segments: list[tuple] = [("recording", "start", "stop", "label")]
    for index, (label, split) in enumerate(zip(labels, splits(labels, seed), strict=True)):
        name = NAME.format(index)
        with np.load(folder / "truth" / f"{name}.npz") as truth:
            start, stop, n = int(truth["start"]), int(truth["stop"]), len(truth["phase"])
            tags = ",".join(truth["tags"].tolist())
        clips += [(name, c, f"videos/{name}_{c}.mp4", label, split, 0, tags) for c in CAMERAS]
        segments += [(name, *s) for s in _segments(start, stop, n, label)]
    write_table(folder / "segments.csv", segments)
    write_text(folder / "README.txt", README.format(count=len(labels), seed=seed))
    write_table(folder / "clips.csv", clips)


def _segments(start: int, stop: int, n: int, label: str) -> list[tuple[int, int, str]]:
    return [(0, start, BACKGROUND), (start, stop, label), (stop, n, BACKGROUND)]


README = """\
Judo demo: {count} recordings of a throw, each filmed by four cameras (ne, nw, sw, se: the corners
of the mat). Made by "workbench demo judo" from seed {seed}; nothing in it was ever filmed.

videos/RECORDING_CAMERA.mp4   H.264, 30 pictures per second, the cameras in step
clips.csv                     recording, camera, path, label, split, offset_frames, tags
segments.csv                  recording, start, stop, label: frames [start, stop); the first and
                              last 15 % are background
truth/RECORDING.npz           joints        (T, 2, J, 3) metres; tori (who throws), uke; z is up
                              joint_names   (J,)
                              phase         (T,) progress of the movement, 0 before, 1 after it
                              label, start, stop, tags, fps, size (width, height)
                              cameras       (4,) names
                              projections   (4, T, 3, 4) from (x, y, z, 1) to homogeneous pixels,
                                            the shake of the camera included; pixel centres are
                                            whole numbers

Classes (right- or left-handed, as the tag says):
ashi         o-soto-gari: tori reaps uke's leg from behind; uke falls on his back
te           ippon-seoi-nage: tori pulls uke over the shoulder
koshi        o-goshi: tori rolls uke over the hip
masutemi     tomoe-nage: tori falls on his back and sends uke over his head with a foot
yoko-sutemi  yoko-otoshi: tori drops on his side; uke rolls sideways over his leg

Tempo, bodies, direction, clothes, mat, walls, light and cameras do not depend on the class.
Splits are 70/20/10 by recording and class. Twelve recordings cannot be: they are 8 train (every
class), 2 val and 2 test, of four classes between them.
"""
