"""What the data and the machine do not allow, told before a run starts."""

from __future__ import annotations

import logging

import psutil

from workbench.data.video import VideoSource
from workbench.methods.base import no_negatives
from workbench.training.devices import choose_device
from workbench.training.experiment import Experiment

log = logging.getLogger(__name__)

TIMES = 4
"""What a step holds at least, in times of what its pictures take: features, gradients."""
OFTEN = 4
"""Times that a batch may show a video before that is said."""


def check(experiment: Experiment, source: VideoSource) -> None:
    """`ValueError` where training cannot work; a warning where it will hardly do what is meant."""
    usable = experiment.sampler.usable(source)
    recordings = {source.recording_index(i) for i in usable}
    if len(recordings) == 1 and getattr(experiment.method, "mask_same_group", False):
        raise no_negatives("the training videos are of one recording")
    _memory(experiment)
    batch = experiment.train.batch
    if batch > OFTEN * len(usable):
        log.warning(
            "a batch of %d shows each of the %d videos about %d times. Examples of a video are "
            "hardly ever each other's negatives, so a train.batch of %d or less may do as well.",
            batch, len(usable), batch // len(usable), OFTEN * len(usable),
        )  # fmt: skip


def _memory(experiment: Experiment) -> None:
    """Pictures of a batch against the free memory; a GPU's own is told by its error instead."""
    if choose_device(experiment.train.device) != "cpu":
        return
    clip, look = experiment.data.clip, experiment.augment
    areas = [clip.size**2] + [(look.small_side * clip.size) ** 2] * look.small
    floats = 3 * clip.length * sum(areas) * experiment.method.views * experiment.train.batch
    need, free = 4 * floats, psutil.virtual_memory().available
    if TIMES * need > free:
        fits = max(2, int(experiment.train.batch * free / (TIMES * need)))
        raise ValueError(
            f"a batch of {experiment.train.batch} examples takes {need / 2**30:.1f} GiB for its "
            f"pictures alone ({experiment.method.views} views of {clip.length} frames of "
            f"{clip.size} x {clip.size}) and training several times as much; {free / 2**30:.1f} "
            f"GiB are free. Set train.batch to {fits} or less, or lower data.clip.length or "
            "data.clip.size."
        )
