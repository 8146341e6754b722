"""Optimizers, and learning rates as functions of the progress of a run."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from workbench.methods.base import WeightGroup
from workbench.training.lars import LARS

if TYPE_CHECKING:
    from workbench.training.experiment import TrainConfig


Weights = Iterable[nn.Parameter] | Iterable[dict]
"""Parameters, or groups of them as torch's optimizers take them."""


def sgd(weights: Weights, train: TrainConfig) -> Optimizer:
    """Stochastic gradient descent with momentum."""
    return SGD(weights, train.lr, momentum=train.momentum, weight_decay=train.weight_decay)


def adam(weights: Weights, train: TrainConfig) -> Optimizer:
    """Adam; weight decay is part of the gradient."""
    return Adam(weights, train.lr, weight_decay=train.weight_decay)


def adamw(weights: Weights, train: TrainConfig) -> Optimizer:
    """Adam with decoupled weight decay."""
    return AdamW(weights, train.lr, weight_decay=train.weight_decay)


def lars(weights: Weights, train: TrainConfig) -> Optimizer:
    """SGD whose steps are a share of the weights' length, for large batches."""
    return LARS(
        weights, train.lr, train.momentum, train.weight_decay, train.trust, train.trust_clip
    )


OPTIMIZERS = {"sgd": sgd, "adam": adam, "adamw": adamw, "lars": lars}


def build_optimizer(groups: Sequence[WeightGroup], train: TrainConfig) -> Optimizer:
    """The optimizer of groups of weights, which become its `param_groups`, in order."""
    plain = {"weight_decay": 0.0, "adapt": False}
    options = [{"params": g.weights, **(plain if g.plain else {})} for g in groups]
    return OPTIMIZERS[train.optimizer](options, train)


def spare_vectors(groups: Sequence[WeightGroup]) -> list[WeightGroup]:
    """The groups, but with their vectors, which are biases and scales of norms, as plain ones."""
    parts = []
    for group in groups:
        tensors, vectors = ([p for p in group.weights if (p.ndim < 2) == v] for v in (False, True))
        parts += [replace(group, weights=tensors), replace(group, weights=vectors, plain=True)]
    return [part for part in parts if part.weights]


def constant(progress: float, train: TrainConfig) -> float:
    """1 throughout."""
    return 1.0


def cosine(progress: float, train: TrainConfig) -> float:
    """Half a cosine from 1 to `lr_end` (Loshchilov & Hutter 2017, without restarts)."""
    end = train.lr_end / train.lr
    return end + (1 - end) * 0.5 * (1 + math.cos(math.pi * progress))


def steps(progress: float, train: TrainConfig) -> float:
    """1, multiplied by `drop_factor` at each of `drops`."""
    return train.drop_factor ** sum(progress >= at for at in train.drops)


SCHEDULES: dict[str, Callable[[float, TrainConfig], float]] = {
    "constant": constant,
    "cosine": cosine,
    "steps": steps,
}


def learning_rate(progress: float, train: TrainConfig) -> float:
    """The learning rate at a progress in [0, 1]: linear warm-up, then the schedule.

    The schedule is not shifted by the warm-up, so a drop at 0.6 is at 0.6 of the run.
    """
    warm = min(1.0, progress / train.warmup) if train.warmup else 1.0
    return train.lr * warm * SCHEDULES[train.schedule](progress, train)
