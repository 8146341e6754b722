"""Batches of two views for the tests of methods that take pairs."""

import torch
from torch import nn

from workbench.clock import Clock
from workbench.data.batch import Batch
from workbench.models import ENCODERS


def build(config):
    """The method on a small encoder, the same weights each time."""
    torch.manual_seed(0)
    return config.build(ENCODERS["tiny3d"](width=4).build())


def batch(n=4, seed=0, group=None, noise=None):
    """Unrelated views, or with `noise` a second view that is the first one and that much noise."""
    g = torch.Generator().manual_seed(seed)
    first, second = (torch.randn(n, 3, 4, 16, 16, generator=g) for _ in range(2))
    if noise is not None:
        second = first + noise * second
    group = torch.arange(n) if group is None else torch.as_tensor(group)
    return Batch((first, second), group, torch.full((n, 4), -1))


def descend(method, steps, lr=3e-3, batches=lambda step: batch(n=8, noise=0.1)):
    """Losses and logs of so many steps of Adam on a batch of eight."""
    optimizer = torch.optim.Adam([p for p in method.parameters() if p.requires_grad], lr=lr)
    losses, logs = [], []
    for step in range(steps):
        optimizer.zero_grad()
        clock = Clock(step=step, progress=step / steps)
        loss, log = method(batches(step), clock)
        loss.backward()
        optimizer.step()
        method.after_step(clock)
        losses.append(loss.item())
        logs.append(log)
    return losses, logs


def kinds(head):
    return [type(m) for m in head]


LINEAR, NORM, RELU = nn.Linear, nn.BatchNorm1d, nn.ReLU
