"""Losses as pure functions of embeddings."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def info_nce(
    q: Tensor, k: Tensor, queue: Tensor, temperature: float, mask: Tensor | None = None
) -> Tensor:
    """InfoNCE of queries against one positive each and a queue of negatives (MoCo, eq. 1).

    q, k: (B, d), normalised here; queue: (K, d) unit vectors; mask: (B, K), True where the queue
    entry counts as a negative of the query (all, if not given). Returns the mean over B.
    """
    return positive_first(info_nce_logits(q, k, queue, temperature, mask))


def info_nce_logits(
    q: Tensor, k: Tensor, queue: Tensor, temperature: float, mask: Tensor | None = None
) -> Tensor:
    """Cosine similarities over the temperature, (B, 1 + K): the positive first, then the queue.

    Arguments as in `info_nce`. Entries that are not negatives are -inf. In float32 whatever the
    precision around: bf16 would round a logit by up to 0.03 at temperature 0.07.
    """
    with torch.autocast(q.device.type, enabled=False):
        q = F.normalize(q.float(), dim=1)
        k = F.normalize(k.float(), dim=1)
        positive = (q * k).sum(dim=1, keepdim=True)  # (B, 1)
        negative = q @ queue.float().T  # (B, K)
        if mask is not None:
            negative = negative.masked_fill(~mask, -torch.inf)
        return torch.cat([positive, negative], dim=1) / temperature


def positive_first(logits: Tensor) -> Tensor:
    """Cross entropy of (B, 1 + K) logits whose first column is the right one; mean over B."""
    return F.cross_entropy(logits, logits.new_zeros(len(logits), dtype=torch.long))
