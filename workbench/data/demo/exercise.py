"""The exercise demo: one figure, six periodic exercises, two cameras, every repetition counted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import repeat
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from workbench.data.demo.exercises import EXERCISES, exercise_pose
from workbench.data.demo.figure import Figure, Look, dressed
from workbench.data.demo.folder import claim, worked, write_table, write_text, write_truth
from workbench.data.demo.hall import Camera, Hall
from workbench.data.demo.scene import Scene
from workbench.data.demo.skeleton import BONES, JOINTS, Body, Pose
from workbench.data.demo.video import write_video
from workbench.data.manifest import TRUTH, put

SIZES = {"small": 12, "full": 60}
"""Size -> number of recordings."""
FPS = 25
WIDTH, HEIGHT = 224, 168
CAMERAS = {"front": 28, "side": -60}
"""Camera -> degrees from where the figure faces, to the left."""
NAME = "exercise-{:03d}"
SWAY = 0.3
"""How far the tempo swings about its mean, smoothly, against the mean."""
JITTER = 0.05
"""Standard deviation of the tempo from one repetition to the next, against the mean."""
TURN = 0.6
"""Seconds from the pose of a pause to the exercise, and back."""
SHIRTS = ((196, 60, 52), (44, 92, 170), (52, 132, 84), (224, 176, 60), (118, 74, 150),
          (226, 226, 222), (222, 118, 48), (64, 150, 160))  # fmt: skip
TROUSERS = ((40, 42, 50), (70, 72, 80), (30, 44, 84), (98, 98, 96), (76, 46, 46))


@dataclass(frozen=True)
class Timeline:
    """What is done in every frame."""

    phase: np.ndarray
    """(T,) in [0, 1), NaN outside of sets."""
    repetition: np.ndarray
    """(T,) number of the repetition from 0, -1 outside of sets."""
    effort: np.ndarray
    """(T,) 1 in a set, 0 in a pause, between them on the way from one to the other."""

    @property
    def count(self) -> int:
        """Repetitions in all, every one of them whole."""
        return int(self.repetition.max()) + 1

    @property
    def sets(self) -> list[tuple[int, int]]:
        """Frames [start, stop) of each set."""
        busy = np.concatenate([[0], np.isfinite(self.phase), [0]])
        return list(
            zip(*(np.flatnonzero(np.diff(busy) == k).tolist() for k in (1, -1)), strict=True)
        )

    @classmethod
    def draw(cls, rng: np.random.Generator, seconds: float, length: float) -> Timeline:
        """Two or three sets within about `length` seconds, repetitions of about `seconds`."""
        count = int(rng.integers(2, 4))
        rests = [rng.uniform(0.6, 1.2), *rng.uniform(1.2, 2.6, count - 1), rng.uniform(0.6, 1.2)]
        per_set = (length - sum(rests) - 2 * TURN * count) / count
        slow, begin = rng.uniform(11, 18), rng.uniform(0, 2 * np.pi)
        swing = rng.uniform(0.6, 1) * SWAY
        turn = np.arange(1, round(TURN * FPS)) / round(TURN * FPS)
        phase: list[float] = []
        repetition: list[int] = []
        effort = [0.0] * round(rests[0] * FPS)
        number = 0
        for rest in rests[1:]:
            effort += turn.tolist()
            phase += [np.nan] * (len(effort) - len(phase))
            repetition += [-1] * (len(effort) - len(repetition))
            first, at, pace = len(phase), 0.0, 1 + np.clip(rng.normal(0, JITTER), -0.12, 0.12)
            while True:
                phase.append(at)
                repetition.append(number)
                tempo = 1 + swing * np.sin(2 * np.pi * len(phase) / FPS / slow + begin)
                at += tempo * pace / seconds / FPS
                if at >= 1:
                    at, number = at - 1, number + 1
                    pace = 1 + np.clip(rng.normal(0, JITTER), -0.12, 0.12)
                    if len(phase) - first >= per_set * FPS - 0.5 * seconds * FPS:
                        break
            effort += [1.0] * (len(phase) - first)
            effort += turn[::-1].tolist() + [0.0] * round(rest * FPS)
        phase += [np.nan] * (len(effort) - len(phase))
        repetition += [-1] * (len(effort) - len(repetition))
        return cls(np.array(phase), np.array(repetition), np.array(effort))


@dataclass(frozen=True)
class Recording:
    """One exercise: its truth, and what the cameras need to film it."""

    name: str
    label: str
    tags: tuple[str, ...]
    timeline: Timeline
    pose: Pose
    figure: Figure
    hall: Hall
    cameras: tuple[Camera, ...]

    @property
    def projections(self) -> np.ndarray:
        """(2, 3, 4) from metres to homogeneous pixels; the cameras stand still."""
        return np.concatenate([c.matrix(np.zeros((1, 2))) for c in self.cameras])

    @cached_property
    def scene(self) -> Scene:
        """What the cameras film, in the frames that show something new."""
        new = self._new
        pose = Pose(self.pose.joints[new], self.pose.frames[new])
        return Scene.of(self.hall, [self.figure], [pose])

    @cached_property
    def _new(self) -> np.ndarray:
        """(N,) the frames in which the figure is not where it was."""
        joints = self.pose.joints
        return np.flatnonzero([True, *(joints[1:] != joints[:-1]).any((1, 2))])

    def film(self, camera: int) -> Iterator[np.ndarray]:
        """(HEIGHT, WIDTH, 3) uint8 pictures; one that shows nothing new is drawn once."""
        times = np.diff([*self._new, len(self.pose.joints)])
        still = np.zeros((len(times), 2))
        pictures = self.scene.film(self.cameras[camera], still, WIDTH, HEIGHT)
        for picture, n in zip(pictures, times, strict=True):
            yield from repeat(picture, n)

    def truth(self) -> dict[str, np.ndarray]:
        """What is written beside the videos; README says what is what."""
        return {
            "joints": self.pose.joints.astype(np.float32),
            "joint_names": np.array(JOINTS),
            "phase": self.timeline.phase,
            "repetition": self.timeline.repetition,
            "effort": self.timeline.effort.astype(np.float32),
            "sets": np.array(self.timeline.sets),
            "count": np.array(self.timeline.count),
            "label": np.array(self.label),
            "tags": np.array(self.tags),
            "fps": np.array(FPS),
            "size": np.array([WIDTH, HEIGHT]),
            "cameras": np.array(list(CAMERAS)),
            "projections": self.projections,
        }


def stage(index: int, label: str, seed: int = 0) -> Recording:
    """Recording `index`, performed and lit but not yet filmed.

    Movement, person, hall and cameras are drawn from generators of their own, so that nothing that
    is seen beside the movement depends on the exercise.
    """
    moves, people, place, film = (np.random.default_rng([seed, 3, index, k]) for k in range(4))
    shortest, longest = EXERCISES[label].seconds
    timeline = Timeline.draw(moves, moves.uniform(shortest, longest), moves.uniform(20, 22))
    body = Body(people.uniform(1.56, 1.88), people.uniform(0.97, 1.03), people.uniform(0.98, 1.03),
                people.uniform(0.88, 1.1))  # fmt: skip
    pose = exercise_pose(
        label, body, np.nan_to_num(timeline.phase), timeline.effort, moves.uniform(0.9, 1.03)
    )
    mirrored = moves.random() < 0.5
    pose = pose.mirrored() if mirrored else pose
    pose = pose.moved(np.radians(moves.uniform(-14, 14)), np.zeros(3))
    ground = pose.joints[..., :2]
    middle = (ground.min((0, 1)) + ground.max((0, 1))) / 2
    pose = pose.moved(0, np.array([*(moves.normal(0, 0.1, 2) - middle), 0]))
    cameras = tuple(_camera(film, azimuth, pose.joints) for azimuth in CAMERAS.values())
    tags = ("mirrored",) if mirrored else ()
    return Recording(
        NAME.format(index), label, tags, timeline, pose, athlete(body, people), Hall.draw(place),
        cameras,
    )  # fmt: skip


def athlete(body: Body, rng: np.random.Generator) -> Figure:
    """The figure of a body in a shirt and trousers of other colours; both drawn from `rng`."""
    shirt, trousers = (
        np.array(c[rng.integers(len(c))]) + rng.integers(-10, 11, 3) for c in (SHIRTS, TROUSERS)
    )
    cloth, sash = (tuple(int(k * c) for c in np.clip(shirt, 0, 255)) for k in (1, 0.7))
    figure = dressed(body, replace(Look.draw(rng, 0), jacket=cloth, belt=sash), rng)
    names = list(BONES)
    legs = [names.index(b) for b in names if b.endswith(("thigh", "shin"))]
    carriers = figure.bones[np.arange(len(figure.bones)), figure.weights.argmax(1)]
    low = np.isin(carriers, legs)[figure.faces].all(1) & (figure.colours == cloth).all(1)
    colours = np.where(low[:, None], trousers.astype(np.float32), figure.colours)
    return replace(figure, colours=colours)


def _camera(rng: np.random.Generator, azimuth: float, joints: np.ndarray) -> Camera:
    """A camera on a tripod that holds the whole exercise, in (T, J, 3) metres."""
    angle = np.radians(azimuth + rng.uniform(-9, 9))
    far, high = rng.uniform(4.1, 4.7), rng.uniform(1.0, 1.7)
    place = np.array([far * np.cos(angle), far * np.sin(angle), high])
    target = (joints.min((0, 1)) + joints.max((0, 1))) / 2
    near = Camera.looking(place, target, HEIGHT * far / rng.uniform(1.8, 2.0), (WIDTH, HEIGHT))
    head = joints[:, JOINTS.index("head")]
    around = [head + 0.15 * way for way in (*np.eye(3), *-np.eye(3))]
    return near.holding(np.concatenate([*joints.swapaxes(0, 1), *around]), rng.uniform(9, 16))


def classes(count: int, seed: int = 0) -> list[str]:
    """The exercise of each recording: as many of each as there is room for, in random order."""
    names = list(EXERCISES)
    order = np.random.default_rng([seed, 3, 2**20]).permutation(count)
    return [names[k % len(names)] for k in order]


def splits(labels: list[str], seed: int = 0) -> list[str]:
    """train or test of each recording: of each exercise three tenths, at least one, are test.

    Both cameras of a recording are in one split, or the same moment seen from elsewhere would be
    both learned and asked.
    """
    rng = np.random.default_rng([seed, 3, 2**20 + 1])
    out = ["train"] * len(labels)
    for name in EXERCISES:
        rows = rng.permutation([i for i, label in enumerate(labels) if label == name])
        for i in rows[: max(1, round(0.3 * len(rows)))].tolist() if len(rows) > 1 else []:
            out[i] = "test"
    return out


def make(
    folder: str | Path, size: Literal["small", "full"] = "small", seed: int = 0, workers: int = 2
) -> Iterator[tuple[int, int]]:
    """Makes the demo in `folder`; yields (videos that are there, videos in all) on the way.

    The folder then holds videos/, truth/, clips.csv, segments.csv, truth.parquet and README.txt.
    What an earlier, broken-off run has completed is kept. The result depends on `size` and `seed`
    alone, not on `workers`, the number of processes; stop pulling to stop.
    """
    folder = Path(folder)
    labels = classes(SIZES[size], seed)
    claim(folder, {"demo": "exercise", "size": size, "seed": seed})
    jobs = [(folder, index, label, seed) for index, label in enumerate(labels)]
    for done in worked(make_recording, jobs, workers):
        yield done * len(CAMERAS), len(jobs) * len(CAMERAS)
    _write_tables(folder, labels, seed)


def make_recording(folder: Path, index: int, label: str, seed: int = 0) -> None:
    """Films one recording into videos/ and truth/ of a folder, keeping what it finds."""
    name = NAME.format(index)
    truth = folder / "truth" / f"{name}.npz"
    paths = [folder / "videos" / f"{name}_{camera}.mp4" for camera in CAMERAS]
    if all(path.exists() for path in (truth, *paths)):
        return
    recording = stage(index, label, seed)
    for path in (truth, *paths):
        path.parent.mkdir(parents=True, exist_ok=True)
    for k, path in enumerate(paths):
        if not path.exists():
            write_video(path, recording.film(k), FPS)
    write_truth(truth, recording.truth())


def _write_tables(folder: Path, labels: list[str], seed: int) -> None:
    """The tables and README.txt, once everything they speak of is there; clips.csv comes last."""
    clips = [("recording", "camera", "path", "label", "split", "offset_frames", "tags")]
    segments: list[tuple] = [("recording", "start", "stop", "label")]
    frames = []
    for index, (label, split) in enumerate(zip(labels, splits(labels, seed), strict=True)):
        name = NAME.format(index)
        with np.load(folder / "truth" / f"{name}.npz") as truth:
            phase, repetition, sets = truth["phase"], truth["repetition"], truth["sets"].tolist()
            tags = ",".join(truth["tags"].tolist())
        clips += [(name, c, f"videos/{name}_{c}.mp4", label, split, 0, tags) for c in CAMERAS]
        segments += [(name, start, stop, label) for start, stop in sets]
        frames.append(frame_rows(name, label, phase, repetition))
    put(folder / TRUTH, pd.concat(frames, ignore_index=True).to_parquet)
    write_table(folder / "segments.csv", segments)
    write_text(folder / "README.txt", README.format(count=len(labels), seed=seed))
    write_table(folder / "clips.csv", clips)


def frame_rows(name: str, label: str, phase: np.ndarray, repetition: np.ndarray) -> pd.DataFrame:
    """The rows of truth.parquet of one recording."""
    return pd.DataFrame(
        {
            "recording": name,
            "frame": np.arange(len(phase)),
            "phase": phase,
            "repetition": repetition,
            "action": pd.Series(np.where(repetition >= 0, label, None), dtype="string"),
            "anomaly": pd.Series([None] * len(phase), dtype="string"),
        }
    )


README = """\
Exercise demo: {count} recordings of somebody who does one exercise in two or three sets, each
filmed by two cameras on tripods (front, side). Made by "workbench demo exercise" from seed {seed};
nothing in it was ever filmed.

videos/RECORDING_CAMERA.mp4   H.264, 25 pictures per second, the cameras in step
clips.csv                     recording, camera, path, label, split, offset_frames, tags
segments.csv                  recording, start, stop, label: frames [start, stop) of each set; the
                              pauses between them are background
truth.parquet                 recording, frame, phase, repetition, action, anomaly (null here):
                              phase runs from 0 to 1 in a repetition and is NaN in a pause;
                              repetition counts from 0, -1 in a pause; all are whole
truth/RECORDING.npz           joints        (T, J, 3) metres; z is up
                              joint_names   (J,)
                              phase, repetition (T,) as above
                              effort        (T,) 1 in a set, 0 in a pause, between on the way
                              sets          (S, 2) frames [start, stop)
                              count         repetitions in all
                              label, tags, fps, size (width, height)
                              cameras       (2,) names
                              projections   (2, 3, 4) from (x, y, z, 1) to homogeneous pixels;
                                            pixel centres are whole numbers

Exercises: squat, jumping-jack, lunge (one leg), push-up, sit-up, side-bend (left and right are one
repetition). The tempo of each recording swings smoothly by up to 30 %, and every repetition has a
pace of its own beside that. The person, the clothes, the hall and the light do not depend on the
exercise; the distance of the cameras' view does, for a whole body has to fit in.
Of each exercise three tenths of the recordings, at least one, are test, the others train.
"""
