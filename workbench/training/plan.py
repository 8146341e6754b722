"""What a run would take: steps, clips, memory and time, measured here without starting it."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

import psutil
import torch
from torch import Tensor

from workbench.data.video import VideoSource
from workbench.methods import Method
from workbench.methods.moco import NOBODY
from workbench.sampling import Sampler
from workbench.training.checks import check
from workbench.training.devices import choose_device
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
LONG = 2.0
"""Seconds of a step above which one is timed, below the quicker of two."""
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
    known: dict[str, Step] | None = None,
) -> Plan:
    """Take a few steps on a few videos, of which nothing is kept, and reckon from them.

    before: runs that would have been trained by then, such as a teacher that is not there yet. Its
    weights are random here, which costs the same. known: steps measured before, which are used
    where this run's are as large, and added to. `ValueError` where training could not start.
    """
    experiment, before = experiment.knowing(source), before or {}
    waits = {k: None for k in ("init", "teacher") if getattr(experiment, k) in before}
    check(experiment.model_copy(update=waits), source, workspace)
    train, usable = experiment.train, experiment.sampler.usable(source)
    loader = Loader(source, usable, train.batch, train.seed, train.clips_per_video)
    known, size = {} if known is None else known, _size(experiment)
    if size not in known:
        trial = _Trial(experiment, _few(source, usable), workspace, before)
        known[size] = _measured(trial, train.batch)
    step = known[size]
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
        measured=step.examples,
    )


def told(plans: Mapping[str, Plan], experiments: Mapping[str, Experiment]) -> str:
    """The plans of runs, by name and in order, as a table and what it is made of."""
    head = ["run", "from", "network", "a clip", "epoch", "batch", "steps", "clips", "memory",
            "s/step", "in all"]  # fmt: skip
    lines = [head, ["---"] * 4 + ["---:"] * 7]
    for name, p in plans.items():
        e = experiments[name]
        clip = e.data.clip
        parents = [*[e.init] * bool(e.init), *[f"{e.teacher} (teacher)"] * bool(e.teacher)]
        lines.append([
            name, " + ".join(parents) or "random", f"{e.encoder.name}, {p.weights / 1e6:.2f} M",
            f"{clip.length} x {clip.size} x {clip.size} {clip.stream}", f"{p.per_epoch:,}",
            str(p.batch), f"{p.steps:,}", f"{p.clips:,}", f"{p.memory / 2**30:.2f} GiB",
            f"{p.seconds_per_step:.3g}", _duration(p.seconds),
        ])  # fmt: skip
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    seconds = sum(p.seconds for p in plans.values())
    notes = [
        f"{len(plans)} run{'s' * (len(plans) != 1)}, {sum(p.steps for p in plans.values()):,} "
        f"steps: {_duration(seconds)} here, evaluations not counted. Nothing was started.",
        *_remarks(plans),
    ]
    return "\n".join([table, "", *notes])


def _remarks(plans: Mapping[str, Plan]) -> list[str]:
    notes = []
    for p in plans.values():
        if p.measured != (p.batch,):
            few = " and ".join(map(str, p.measured))
            notes.append(f"Steps of {few} examples were taken; those of {p.batch} are reckoned.")
        if p.refresh:
            notes.append(f"Each look of the sampler through all videos: {_duration(p.refresh)}.")
    memory, free = max(p.memory for p in plans.values()), psutil.virtual_memory().available
    if choose_device("auto") == "cpu" and memory > free:
        notes.append(
            f"That does not fit: {memory / 2**30:.1f} GiB are needed and {free / 2**30:.1f} GiB "
            "are free. Lower train.batch, or train on another machine."
        )
    return list(dict.fromkeys(notes))


def _duration(seconds: float) -> str:
    for unit, size in (("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:,.1f} {unit}"
    return f"{seconds:.0f} s"


@dataclass(frozen=True)
class Step:
    """What a step of some numbers of examples took, or would take by two smaller numbers."""

    examples: tuple[int, ...]
    seconds: float
    kept: float
    """Bytes of the pictures and of what waits for the backward pass."""
    held: int
    """Bytes that stay: weights, gradients, buffers, what the optimizer keeps."""
    weights: int
    refresh: float
    """Seconds per video that refreshing the sampler took."""


def _size(experiment: Experiment) -> str:
    """What a step's time and memory depend on, so that stages alike are measured once."""
    e, clip = experiment, experiment.data.clip
    parts = (e.encoder, e.method.name, e.train.optimizer, e.train.batch, e.views, bool(e.teacher),
             clip.length, clip.size, e.sampler.name)  # fmt: skip
    return repr(parts)


def _measured(trial: _Trial, batch: int) -> Step:
    """The step of a batch, by itself where it is soon done, else on the straight line through two
    of fewer examples."""
    few, more = _small_batches(trial.experiment)
    a = trial.of(few)
    if few == batch:
        return a
    share = batch / few
    if more in (few, batch) or (share * a.seconds < PATIENCE and share * a.kept < FREE):
        return trial.of(batch)
    b, ahead = trial.of(more), (batch - few) / (more - few)
    seconds, kept = a.seconds + ahead * (b.seconds - a.seconds), a.kept + ahead * (b.kept - a.kept)
    return replace(a, examples=(few, more), seconds=seconds, kept=kept)


def _small_batches(experiment: Experiment) -> tuple[int, int]:
    """Two small numbers of examples that go into a batch, and into the parts of its batch norm."""
    batch, parts = experiment.train.batch, getattr(experiment.method, "bn_splits", 1)
    fitting = [n for n in range(2, batch + 1) if batch % n == 0 and n % parts == 0] or [batch]
    few = fitting[0]
    return few, next((n for n in fitting if n >= 2 * few), few)


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

    def of(self, batch: int) -> Step:
        """A step of so many examples; the first brings what is needed once and is not timed."""
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
        while not seconds or (len(seconds) < 2 and seconds[0] < LONG):
            start = time.perf_counter()
            for clip in (clip for example in loaded.examples for clip in example.views):
                self.source.pixels(clip)
            trainer.step(loaded)
            seconds.append(time.perf_counter() - start)
        stays = sum(t.nbytes for t in (*method.parameters(), *method.buffers()))
        learns = sum(p.nbytes for p in trainer.weights) * (1 + STATES[train.optimizer])
        weights = sum(p.numel() for p in trainer.weights)
        refreshes = type(e.sampler).refresh is not Sampler.refresh
        refresh = refresh if refreshes else 0.0
        return Step((batch,), min(seconds), kept, stays + learns, weights, refresh)

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
    batch = trainer.batch(loaded)
    kept = {}  # the storages themselves: while they are held, no address is given away twice

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage
        return tensor

    for view in batch.views:
        note(view)
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        loss, _ = trainer.step_module(lambda: (batch, trainer.clock))
    if loss.requires_grad:
        trainer.fabric.backward(loss)
    trainer.optimizer.zero_grad()
    weights = {p.untyped_storage().data_ptr() for p in trainer.method.parameters()}
    return float(sum(s.nbytes() for place, s in kept.items() if place not in weights))
