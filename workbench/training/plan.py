"""What a run would take: steps, clips, memory and time, measured here without starting it."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from workbench.data.video import VideoSource
from workbench.methods import Method
from workbench.methods.moco import NOBODY
from workbench.sampling import Sampler
from workbench.training.checks import check
from workbench.training.experiment import Experiment
from workbench.training.loader import Loaded, Loader
from workbench.training.run import Run
from workbench.training.trainer import Trainer
from workbench.workspace import Workspace

PATIENCE = 20.0
"""Seconds that steps of whole batches may take here; above that, steps of a few examples serve."""
FREE = 4 * 2**30
"""Bytes of a whole batch above which steps of a few examples serve."""
FEW = 8
"""Recordings that the steps are taken on."""
STATES = {"sgd": 1, "lars": 1, "adam": 2, "adamw": 2}
"""Numbers that an optimizer keeps for each weight."""


@dataclass(frozen=True)
class Plan:
    """What training an experiment from its beginning to its end takes on this machine."""

    videos: int
    """Videos that are sampled from."""
    per_epoch: int
    """Examples in an epoch, a multiple of the batch."""
    batch: int
    views: int
    """Clips of an example."""
    steps: int
    weights: int
    """Numbers that learn."""
    memory: int
    """Bytes at the height of a step: weights, gradients, what the optimizer and the backward pass
    keep, pictures. An estimate: what libraries take for themselves comes on top."""
    seconds_per_step: float
    refresh: float
    """Seconds that the sampler takes to look through all videos, where it does; else 0."""
    measured: tuple[int, ...]
    """Examples of the steps that were timed: `batch`, or two smaller numbers that the batch was
    extrapolated from in a straight line."""

    @property
    def clips(self) -> int:
        """Clips that training shows."""
        return self.steps * self.batch * self.views

    @property
    def seconds(self) -> float:
        """How long its steps take; evaluations and refreshes of the sampler come on top."""
        return self.steps * self.seconds_per_step


def plan(
    experiment: Experiment,
    source: VideoSource,
    workspace: Workspace | None = None,
    before: Mapping[str, Experiment] | None = None,
) -> Plan:
    """Take a few steps on a few videos, of which nothing is kept, and reckon from them.

    before: runs that would have been trained by then, such as a teacher that is not there yet. Its
    weights are random here, which costs the same. `ValueError` where training could not start.
    """
    experiment, before = experiment.knowing(source), before or {}
    waits = {"teacher": None} if experiment.teacher in before else {}
    check(experiment.model_copy(update=waits), source, workspace)
    train, usable = experiment.train, experiment.sampler.usable(source)
    loader = Loader(source, usable, train.batch, train.seed, train.clips_per_video)
    trial = _Trial(experiment, _few(source, usable), workspace, before)
    few, more = _small_batches(experiment)
    step = trial.of(few)
    measured, share = (few,), train.batch / few
    if share > 1 and share * step.seconds < PATIENCE and share * step.kept < FREE:
        measured, step = (train.batch,), trial.of(train.batch)
    elif share > 1:
        measured, step = (few, more), _line(few, step, more, trial.of(more), train.batch)
    return Plan(
        videos=len(usable),
        per_epoch=len(loader) * train.batch,
        batch=train.batch,
        views=experiment.views,
        steps=math.ceil(train.until * (train.steps or train.epochs * len(loader))),
        weights=step.weights,
        memory=int(step.held + step.kept),
        seconds_per_step=step.seconds,
        refresh=step.refresh * len(usable),
        measured=measured,
    )


@dataclass(frozen=True)
class _Step:
    """What a step took: seconds, bytes kept for its backward pass and bytes that stay; the seconds
    per video that refreshing the sampler took."""

    seconds: float
    kept: float
    held: int
    weights: int
    refresh: float


def _line(few: int, a: _Step, more: int, b: _Step, batch: int) -> _Step:
    """The step of a batch, on the straight line through those of fewer examples."""
    share = (batch - few) / (more - few)
    seconds, kept = a.seconds + share * (b.seconds - a.seconds), a.kept + share * (b.kept - a.kept)
    return replace(a, seconds=seconds, kept=kept)


def _small_batches(experiment: Experiment) -> tuple[int, int]:
    """Two small numbers of examples that go into a batch, and into the parts of its batch norm."""
    batch, parts = experiment.train.batch, getattr(experiment.method, "bn_splits", 1)
    fitting = [n for n in range(2, batch + 1) if batch % n == 0 and n % parts == 0] or [batch]
    return fitting[0], fitting[min(1, len(fitting) - 1)]


def _few(source: VideoSource, usable: list[int]) -> VideoSource:
    """Some of the recordings that can be sampled from, whole."""
    names = list(dict.fromkeys(source.videos[i].recording for i in usable))[:FEW]
    return source.select(lambda v: v.recording in names)


@dataclass(frozen=True)
class _Trial:
    """Steps of an experiment that nothing keeps."""

    experiment: Experiment
    source: VideoSource
    workspace: Workspace | None
    before: Mapping[str, Experiment]

    def of(self, batch: int) -> _Step:
        """A step of so many examples; the first brings what is needed once, and is not timed."""
        e = self.experiment
        train = e.train.model_copy(update={"batch": batch})
        method = self._method()
        looks = (e.augment, train, e.augment_second)
        trainer = Trainer(method, e.sampler, self.source, *looks)
        method.train()
        start = time.perf_counter()
        trainer.sampler = trainer.sampler.refresh(self.source, trainer.clock, trainer.embed)
        refresh = (time.perf_counter() - start) / len(self.source)
        loaded = next(trainer.loader.batches(trainer.sampler, 0))
        kept = _kept(trainer, loaded)
        seconds = []
        for _ in range(2):
            start = time.perf_counter()
            for clip in (clip for example in loaded.examples for clip in example.views):
                self.source.pixels(clip)
            trainer.step(loaded)
            seconds.append(time.perf_counter() - start)
        stays = sum(t.nbytes for t in (*method.parameters(), *method.buffers()))
        learns = sum(p.nbytes for p in trainer.weights) * (1 + STATES[train.optimizer])
        weights = sum(p.numel() for p in trainer.weights)
        refreshes = type(e.sampler).refresh is not Sampler.refresh
        return _Step(min(seconds), kept, stays + learns, weights, refresh if refreshes else 0.0)

    def _method(self) -> Method:
        """The method with random weights; queues of which nothing is learned until they are full
        count as full."""
        e = self.experiment
        torch.manual_seed(e.train.seed)
        encoder, taught = e.encoder.build(), {}
        if e.teacher:
            teacher = self.before.get(e.teacher)
            teacher = teacher or Run(self.workspace.run_folder(e.teacher)).config
            taught = {"teacher": teacher.method.build(teacher.encoder.build())}
        method = e.method.build(encoder, **taught)
        queued = dict(method.named_buffers()).get("queue_group")
        if queued is not None:
            queued.copy_(NOBODY - 1 - torch.arange(len(queued)))  # groups that no example has
        return method


def _kept(trainer: Trainer, loaded: Loaded) -> float:
    """Bytes of a step's pictures and of what waits for its backward pass."""
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    for view in trainer.batch(loaded).views:
        note(view)
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        trainer.step(loaded)
    weights = {p.untyped_storage().data_ptr() for p in trainer.method.parameters()}
    return float(sum(size for place, size in kept.items() if place not in weights))
