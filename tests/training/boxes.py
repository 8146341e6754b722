"""A made-up world: boxes that move left or right, seen by two cameras."""

from pathlib import Path

import numpy as np

from workbench.data.augment import AugmentConfig
from workbench.data.video import ClipShape, Segment, Video
from workbench.methods.moco import MoCoConfig
from workbench.models.tiny3d import Tiny3D
from workbench.sampling import SameVideo
from workbench.training.experiment import DataConfig, Experiment, TrainConfig

SHAPE = ClipShape(length=4, stride=1, size=16)
FRAMES = 20


def pixels(recording, camera):
    """A box that moves right or left, by the parity of the recording, over a noisy wall."""
    rng = np.random.default_rng([recording, camera])
    frames = np.repeat(rng.integers(0, 80, (1, 20, 24, 3), np.uint8), FRAMES, axis=0)
    for k in range(FRAMES):
        x = k if recording % 2 else FRAMES - 1 - k
        frames[k, 4 + recording : 12 + recording, x : x + 4] = 250 - 30 * camera
    return frames


def make_videos(recordings=4, cameras=2):
    return [
        Video(
            Path(f"r{r}_{c}.mp4"),
            f"r{r}",
            str(c),
            "right" if r % 2 else "left",
            FRAMES,
            30.0,
            segments=(
                Segment(0, 3, "background"),
                Segment(3, FRAMES, "right" if r % 2 else "left"),
            ),
            split="train" if r < 3 else "test",
        )
        for r in range(recordings)
        for c in range(cameras)
    ]


def make_experiment(**train):
    """A run that takes a fraction of a second."""
    settings = {"steps": 7, "batch": 4, "lr": 0.02, "evaluations": 2, "precision": "fp32"} | train
    return Experiment(
        data=DataConfig(name="boxes", clip=SHAPE),
        encoder=Tiny3D(width=4),
        sampler=SameVideo(),
        method=MoCoConfig(queue=16, hidden=16, dim=8, momentum=0.9),
        augment=AugmentConfig(blur=0.0),
        train=TrainConfig(device="cpu", **settings),
    )


def curve(run):
    """What a run logged, without what depends on the clock on the wall."""
    clock = ("clips_per_s", "seconds")
    return [{k: v for k, v in line.items() if k not in clock} for line in run.metric_lines()]


def weights(run):
    model, rest, _ = run.load()
    return {**model, **{f"rest.{k}": v for k, v in rest.items()}}
