"""What the data and the machine do not allow, told before a run starts."""

from __future__ import annotations

import logging

import psutil

from workbench.data.video import VideoSource
from workbench.methods.base import no_negatives
from workbench.training.devices import choose_device
from workbench.training.experiment import Experiment, parent
from workbench.training.run import Run
from workbench.workspace import Workspace

log = logging.getLogger(__name__)

TIMES = 4
"""What a step holds at least, in times of what its pictures take: features, gradients."""
OFTEN = 4
"""Times that a batch may show a video before that is said."""


def check(experiment: Experiment, source: VideoSource, workspace: Workspace | None) -> None:
    """`ValueError` where training cannot work; a warning where it will hardly do what is meant.

    workspace: where the runs lie that it starts and learns from, if there are any.
    """
    usable = experiment.sampler.usable(source)
    if experiment.init:
        parent(workspace, experiment.init)
    if experiment.teacher:
        _teacher(experiment, parent(workspace, experiment.teacher))
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


def _teacher(experiment: Experiment, run: Run) -> None:
    """A teacher knows the other stream, and puts clips where ours are compared with them."""
    ours, its = experiment.data.clip, run.config.data.clip
    other = experiment.sampler.streams(ours.stream)[1]
    if its.stream != other:
        or_else = f", or set sampler.other to {its.stream}" * (its.stream != ours.stream)
        raise ValueError(
            f"teacher {run.name!r} was trained on {its.stream} and is to be shown {other} here. "
            f"Give a run on {other}{or_else}."
        )
    dims = [getattr(e.method, "dim", None) for e in (experiment, run.config)]
    if dims[0] != dims[1]:
        raise ValueError(
            f"teacher {run.name!r} ({run.config.method.name}) gives {dims[1] or 'no'} dimensions "
            f"and method {experiment.method.name} compares in {dims[0]}. Give another run, or set "
            f"method.dim as it is there."
        )
    if not run.whole:
        raise ValueError(
            f"teacher {run.name!r} was exported: it holds its encoder and no head. Give the run "
            "that it was exported from."
        )


def _memory(experiment: Experiment) -> None:
    """Pictures of a batch against the free memory; a GPU's own is told by its error instead."""
    if choose_device(experiment.train.device) != "cpu":
        return
    clip, look = experiment.data.clip, experiment.augment
    areas = [clip.size**2] + [(look.small_side * clip.size) ** 2] * look.small
    floats = 3 * clip.length * sum(areas) * experiment.views * experiment.train.batch
    need, free = 4 * floats, psutil.virtual_memory().available
    if TIMES * need > free:
        fits = max(2, int(experiment.train.batch * free / (TIMES * need)))
        raise ValueError(
            f"a batch of {experiment.train.batch} examples takes {need / 2**30:.1f} GiB for its "
            f"pictures alone ({experiment.views} views of {clip.length} frames of "
            f"{clip.size} x {clip.size}) and training several times as much; {free / 2**30:.1f} "
            f"GiB are free. Set train.batch to {fits} or less, or lower data.clip.length or "
            "data.clip.size."
        )
