"""Tensors of all ranks, for what has to be the same on every rank or sees all of the batch."""

from __future__ import annotations

import torch
from torch import Tensor, distributed


@torch.no_grad()
def gather(x: Tensor) -> Tensor:
    """(B, ...) of every rank, concatenated in rank order, without gradient: (W B, ...).

    The tensor itself in a single process. Every rank must bring the same B.
    """
    if _alone():
        return x
    parts = [torch.empty_like(x) for _ in range(distributed.get_world_size())]
    distributed.all_gather(parts, x.contiguous())
    return torch.cat(parts)


def gather_with_gradient(x: Tensor) -> Tensor:
    """As `gather`, and the gradient of every rank's loss goes back to the rank that x came from."""
    if _alone():
        return x
    from torch.distributed.nn.functional import all_gather

    return torch.cat(all_gather(x.contiguous()))


def _alone() -> bool:
    here = distributed.is_available() and distributed.is_initialized()
    return not here or distributed.get_world_size() == 1
