"""The actions demo: ten actions that only motion tells apart, in groups as UCF101 has them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from workbench.data.demo.acts import ACTS, Manner, act_pose
from workbench.data.demo.exercise import athlete, frame_rows
from workbench.data.demo.figure import Figure
from workbench.data.demo.folder import claim, worked, write_table, write_text, write_truth
from workbench.data.demo.hall import Camera, Hall
from workbench.data.demo.scene import Scene
from workbench.data.demo.skeleton import JOINTS, Body, Pose
from workbench.data.demo.video import write_video
from workbench.data.manifest import TRUTH, put

SIZES = {"small": 6, "full": 20}
"""Size -> recordings of each action."""
TAKES = 2
"""Recordings of an action in one group, as long as there are enough."""
FPS = 25
WIDTH, HEIGHT = 192, 144
LISTS = "ucfTrainTestlist"
"""The folder of split files, named as UCF101's."""
SPLITS = (1, 2, 3)
SWAY = 0.15
"""How far the tempo swings about its mean, smoothly, against the mean."""
AROUND = 55
"""Degrees to either side of the camera that somebody may face."""
TURN, OFF = 6.0, 0.04
"""Degrees and metres (standard deviations) that a take is turned and moved, within its group."""
REACH = (0.85, 1.08)
"""How far a movement goes, against its keys."""
ROOM = (0.6, 2.12)
"""Radius and height of what every camera holds, metres."""


@dataclass(frozen=True)
class Setting:
    """What all recordings of a group share, whatever is done: who, where, how held and filmed."""

    body: Body
    figure: Figure
    manner: Manner
    mirrored: bool
    """Whether left and right are exchanged."""
    faces: float
    """Where the body faces, radians from +x."""
    hall: Hall
    camera: Camera

    @classmethod
    @lru_cache(maxsize=64)
    def draw(cls, group: int, seed: int = 0) -> Setting:
        """The setting of a group, numbered from 1."""
        people, place, film = (np.random.default_rng([seed, 4, 0, group, k]) for k in range(3))
        body = Body(people.uniform(1.56, 1.88), people.uniform(0.97, 1.03),
                    people.uniform(0.98, 1.03), people.uniform(0.88, 1.16))  # fmt: skip
        azimuth = film.uniform(0, 2 * np.pi)
        far, high = film.uniform(3.9, 5.0), film.uniform(0.6, 2.1)
        at = np.array([far * np.cos(azimuth), far * np.sin(azimuth), high])
        target = np.array([*film.uniform(-0.1, 0.1, 2), ROOM[1] / 2])
        camera = Camera.looking(at, target, 2 * HEIGHT * far, (WIDTH, HEIGHT))
        turn = np.linspace(0, 2 * np.pi, 12, endpoint=False)
        ring = np.stack([ROOM[0] * np.cos(turn), ROOM[0] * np.sin(turn), 0 * turn], 1)
        top = ring + np.array([0, 0, ROOM[1]])
        held = camera.holding(np.concatenate([ring, top]), film.uniform(0, 12))
        faces = azimuth + np.radians(film.uniform(-AROUND, AROUND))
        figure, manner = athlete(body, people), Manner.draw(people)
        mirrored = bool(people.random() < 0.5)
        return cls(body, figure, manner, mirrored, faces, Hall.draw(place), held)


@dataclass(frozen=True)
class Recording:
    """One action: its truth, and what the camera needs to film it."""

    name: str
    label: str
    group: int
    setting: Setting
    turns: np.ndarray
    """(T,) repetitions done so far."""
    pose: Pose

    def film(self) -> Iterator[np.ndarray]:
        """(HEIGHT, WIDTH, 3) uint8 pictures."""
        scene = Scene.of(self.setting.hall, [self.setting.figure], [self.pose])
        return scene.film(self.setting.camera, np.zeros((len(self.turns), 2)), WIDTH, HEIGHT)

    def truth(self) -> dict[str, np.ndarray]:
        """What is written beside the video; README says what is what."""
        return {
            "joints": self.pose.joints.astype(np.float32),
            "joint_names": np.array(JOINTS),
            "phase": self.turns % 1,
            "repetition": self.turns.astype(int),
            "label": np.array(self.label),
            "group": np.array(self.group),
            "arms": np.array(self.setting.manner.arms),
            "feet": np.array(self.setting.manner.feet),
            "mirrored": np.array(self.setting.mirrored),
            "fps": np.array(FPS),
            "size": np.array([WIDTH, HEIGHT]),
            "projection": self.setting.camera.matrix(np.zeros((1, 2)))[0],
        }


def name_of(label: str, group: int, take: int) -> str:
    """The name of a recording, as UCF101 names them."""
    return f"v_{label}_g{group:02d}_c{take:02d}"


def stage(label: str, group: int, take: int, seed: int = 0) -> Recording:
    """A take of a group's action, performed but not yet filmed.

    Setting and movement are drawn from generators of their own: what is seen beside the movement is
    the same for all ten actions of a group.
    """
    setting = Setting.draw(group, seed)
    moves = np.random.default_rng([seed, 4, 1, group, list(ACTS).index(label), take])
    n = int(moves.integers(2 * FPS, 3 * FPS + 1))
    time = np.arange(n) / FPS
    slow, begin = moves.uniform(2, 5), moves.uniform(0, 2 * np.pi)
    tempo = 1 + SWAY * np.sin(2 * np.pi * time / slow + begin)
    turns = moves.uniform(0, 1) + np.cumsum(tempo) / FPS / moves.uniform(*ACTS[label].seconds)
    reach = moves.uniform(*REACH)
    pose = act_pose(label, setting.manner, setting.body, turns, reach)
    pose = pose.mirrored() if setting.mirrored else pose
    pose = pose.moved(setting.faces + np.radians(moves.normal(0, TURN)), np.zeros(3))
    ground = pose.joints[..., :2]
    middle = (ground.min((0, 1)) + ground.max((0, 1))) / 2
    pose = pose.moved(0, np.array([*(moves.normal(0, OFF, 2) - middle), 0]))
    return Recording(name_of(label, group, take), label, group, setting, turns, pose)


def takes(per_class: int) -> list[tuple[str, int, int]]:
    """(action, group, take) of every recording, from group 1 and take 1; more of them go on."""
    numbers = [(1 + k // TAKES, 1 + k % TAKES) for k in range(per_class)]
    return [(label, *number) for label in ACTS for number in numbers]


def test_groups(per_class: int, split: int = 1) -> list[int]:
    """The groups that are asked in a split, 1 to 3: three tenths, others in every split.

    Where there are fewer than three groups, a split asks groups that another one asks as well.
    """
    groups = -(-per_class // TAKES)
    if groups < 2:
        raise ValueError(
            f"{per_class} recordings of each action are fewer than the two groups that a split "
            f"needs; ask for {TAKES + 1} or more."
        )
    asked = max(1, round(0.3 * groups))
    return [((split - 1) * asked + k) % groups + 1 for k in range(asked)]


def make(
    folder: str | Path,
    size: Literal["small", "full"] = "small",
    seed: int = 0,
    workers: int = 2,
    per_class: int | None = None,
) -> Iterator[tuple[int, int]]:
    """Makes the demo in `folder`; yields (videos that are there, videos in all) on the way.

    The folder then holds videos/, truth/, split files as UCF101's, clips.csv, segments.csv,
    truth.parquet and README.txt. What an earlier, broken-off run has completed is kept. The result
    depends on `size` (or `per_class`, recordings of each action) and `seed` alone, not on
    `workers`, the number of processes; stop pulling to stop.
    """
    folder, count = Path(folder), SIZES[size] if per_class is None else per_class
    test_groups(count)
    about = size if per_class is None else f"{per_class} per class"
    claim(folder, {"demo": "actions", "size": about, "seed": seed})
    jobs = [(folder, *take, seed) for take in takes(count)]
    for done in worked(make_recording, jobs, workers):
        yield done, len(jobs)
    _write_tables(folder, count, seed)


def make_recording(folder: Path, label: str, group: int, take: int, seed: int = 0) -> None:
    """Films one recording into videos/ and truth/ of a folder, keeping what it finds."""
    name = name_of(label, group, take)
    video, truth = folder / _video(label, name), folder / "truth" / f"{name}.npz"
    if video.exists() and truth.exists():
        return
    recording = stage(label, group, take, seed)
    for path in (video, truth):
        path.parent.mkdir(parents=True, exist_ok=True)
    if not video.exists():
        write_video(video, recording.film(), FPS)
    write_truth(truth, recording.truth())


def _video(label: str, name: str) -> str:
    return f"videos/{label}/{name}.mp4"


def _write_tables(folder: Path, count: int, seed: int) -> None:
    """Tables, lists and README.txt, once all they speak of is there; clips.csv comes last."""
    clips = [("recording", "path", "label", "split", "tags")]
    segments: list[tuple] = [("recording", "start", "stop", "label")]
    asked, frames = test_groups(count), []
    for label, group, take in takes(count):
        name = name_of(label, group, take)
        with np.load(folder / "truth" / f"{name}.npz") as truth:
            phase, repetition = truth["phase"], truth["repetition"]
        split = "test" if group in asked else "train"
        clips.append((name, _video(label, name), label, split, f"g{group:02d}"))
        segments.append((name, 0, len(phase), label))
        frames.append(frame_rows(name, label, phase, repetition))
    put(folder / TRUTH, pd.concat(frames, ignore_index=True).to_parquet)
    _write_lists(folder / LISTS, count)
    write_table(folder / "segments.csv", segments)
    write_text(folder / "README.txt", README.format(count=count, seed=seed))
    write_table(folder / "clips.csv", clips)


def _write_lists(folder: Path, count: int) -> None:
    """classInd.txt, trainlist0N.txt and testlist0N.txt as UCF101 has them."""
    folder.mkdir(exist_ok=True)
    numbers = {label: k for k, label in enumerate(ACTS, 1)}
    write_text(folder / "classInd.txt", "".join(f"{k} {label}\n" for label, k in numbers.items()))
    for split in SPLITS:
        asked, train, test = test_groups(count, split), "", ""
        for label, group, take in takes(count):
            path = f"{label}/{name_of(label, group, take)}.mp4"
            if group in asked:
                test += f"{path}\n"
            else:
                train += f"{path} {numbers[label]}\n"
        write_text(folder / f"trainlist{split:02d}.txt", train)
        write_text(folder / f"testlist{split:02d}.txt", test)


README = """\
Actions demo: somebody does one of ten actions, {count} recordings of each, one camera. Made by
"workbench demo actions" from seed {seed}; nothing in it was ever filmed.

videos/ACTION/v_ACTION_gNN_cNN.mp4   H.264, 25 pictures per second, 2 to 3 s
ucfTrainTestlist/             classInd.txt, trainlist01.txt ... testlist03.txt: three splits, in the
                              format of UCF101's
clips.csv                     recording, path, label, split (of split 1), tags (the group)
segments.csv                  recording, start, stop, label: the whole recording
truth.parquet                 recording, frame, phase, repetition, action, anomaly (null here):
                              phase runs from 0 to 1 in a repetition; the first and the last
                              repetition of a recording are not whole
truth/RECORDING.npz           joints        (T, J, 3) metres; z is up
                              joint_names   (J,)
                              phase, repetition (T,) as above
                              label, group, arms, feet (how they are held), mirrored, fps,
                              size (width, height)
                              projection    (3, 4) from (x, y, z, 1) to homogeneous pixels; pixel
                                            centres are whole numbers

Actions: bow, clap, jump, jumping-jack, kick, punch, run (on the spot), squat, walk, wave. A group
is one person in one dress, in one hall, light and view, who does all ten. So what a single picture
shows beside the pose says nothing about the action; and the poses overlap, for everybody holds the
arms and feet that an action leaves free in a way of his own, through which other actions pass. In
no split is a group in both parts.
"""
