"""Tensors of all ranks, for what has to be the same on every rank."""

from __future__ import annotations

import torch
from torch import Tensor, distributed


@torch.no_grad()
def gather(x: Tensor) -> Tensor:
    """(B, ...) of every rank, concatenated in rank order, without gradient: (W B, ...).

    The tensor itself in a single process. Every rank must bring the same B.
    """
    if not (distributed.is_available() and distributed.is_initialized()):
        return x
    if distributed.get_world_size() == 1:
        return x
    parts = [torch.empty_like(x) for _ in range(distributed.get_world_size())]
    distributed.all_gather(parts, x.contiguous())
    return torch.cat(parts)
