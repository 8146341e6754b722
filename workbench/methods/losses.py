"""Losses as pure functions of embeddings."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from workbench.methods.gather import gather


def info_nce(
    q: Tensor, k: Tensor, queue: Tensor, temperature: float, mask: Tensor | None = None
) -> Tensor:
    """InfoNCE of queries against one positive each and a queue of negatives (MoCo, eq. 1).

    q, k: (B, d) and queue: (K, d), all normalised here; mask: (B, K), True where the queue entry
    counts as a negative of the query (all, if not given). Returns the mean over B.
    """
    queue = F.normalize(queue.float(), dim=1)
    return positive_first(info_nce_logits(q, k, queue, temperature, mask))


def info_nce_logits(
    q: Tensor, k: Tensor, queue: Tensor, temperature: float, mask: Tensor | None = None
) -> Tensor:
    """Cosine similarities over the temperature, (B, 1 + K): the positive first, then the queue.

    Arguments as in `info_nce`, but the queue counts as it is: VideoMoCo's has shorter vectors that
    are old. Entries that are not negatives are -inf. In float32 whatever the
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


def mil_nce(logits: Tensor, positives: Tensor) -> Tensor:
    """-log of the share that a row's positives have of its softmax, mean over B (MIL-NCE, eq. 2).

    logits: (B, N), -inf for what does not count; positives: (B, N) bool, one or more in each row.
    A row is content with any one of its positives near (Miech et al. 2020; CoCLR, eq. 2).
    """
    with torch.autocast(logits.device.type, enabled=False):
        logits = logits.float()
        of_positives = logits.masked_fill(~positives, -torch.inf).logsumexp(dim=1)
        return (logits.logsumexp(dim=1) - of_positives).mean()


def nt_xent(z1: Tensor, z2: Tensor, temperature: float, group: Tensor | None = None) -> Tensor:
    """NT-Xent of two views of N examples (SimCLR, eq. 1), the mean over all 2N anchors.

    z1, z2: (N, d), normalised here; the gradient goes through both. An anchor's positive is its
    other view, its negatives are both views of the other examples. group: (N,); examples of equal
    group are left out as each other's negatives (none, if not given).
    """
    return positive_first(nt_xent_logits(z1, z2, temperature, group))


def nt_xent_logits(
    z1: Tensor, z2: Tensor, temperature: float, group: Tensor | None = None
) -> Tensor:
    """Cosine similarities over the temperature, (2N, 1 + 2N): the positive first.

    Arguments as in `nt_xent`. Anchors are the rows of z1, then those of z2; behind the positive
    come both views of all examples, where -inf stands for those that are not negatives.
    """
    with torch.autocast(z1.device.type, enabled=False):
        z = F.normalize(torch.cat([z1, z2]).float(), dim=1)  # (2N, d)
        similarity = z @ z.T  # (2N, 2N)
        positive = similarity.diagonal(len(z1)).repeat(2)[:, None]
        example = torch.arange(len(z1), device=z.device) if group is None else group
        same = (example[:, None] == example).repeat(2, 2)  # an anchor and its positive among them
        negative = similarity.masked_fill(same, -torch.inf)
        return torch.cat([positive, negative], dim=1) / temperature


def negative_cosine(p: Tensor, z: Tensor) -> Tensor:
    """D(p, z) = -cos(p, z) of (B, d) predictions and targets, mean over B (SimSiam, eq. 1).

    Where the gradient stops is up to the method: z comes detached.
    """
    with torch.autocast(p.device.type, enabled=False):
        return -F.cosine_similarity(p.float(), z.float(), dim=1).mean()


def byol(p: Tensor, z: Tensor) -> Tensor:
    """||n(p) - n(z)||^2 = 2 - 2 cos(p, z) of (B, d) predictions and targets, mean (BYOL, eq. 2).

    Where the gradient stops is up to the method: z comes detached.
    """
    return 2 + 2 * negative_cosine(p, z)


@torch.no_grad()
def sinkhorn(scores: Tensor, epsilon: float = 0.05, iterations: int = 3) -> Tensor:
    """Codes (N, P), float32, rows of sum 1, that spread N examples evenly over P prototypes.

    scores: (N, P) cosines of examples and prototypes. Sinkhorn-Knopp on exp(scores / epsilon)
    (SwAV, eq. 3-5), here on logarithms, which leave nothing to overflow. With several processes
    the examples of all of them are spread together.
    """
    log_q = scores.float() / epsilon
    for _ in range(iterations):
        mass = gather(log_q.logsumexp(dim=0, keepdim=True)).logsumexp(dim=0)  # (P,)
        log_q = (log_q - mass).log_softmax(dim=1)
    return log_q.softmax(dim=1)


def swapped_prediction(
    scores: Sequence[Tensor],
    assign: Sequence[int] = (0, 1),
    temperature: float = 0.1,
    epsilon: float = 0.05,
    iterations: int = 3,
    queue_scores: Sequence[Tensor] | None = None,
) -> Tensor:
    """How badly the codes of some views are told from the scores of the others (SwAV, eq. 2, 6).

    scores: one (B, P) per view, cosines to the prototypes; assign: the views that get codes;
    queue_scores: for each of those a (Q, P) of earlier examples that take part in the spreading
    alone. The mean over assigned views, other views, and B.
    """
    with torch.autocast(scores[0].device.type, enabled=False):
        predictions = [(s.float() / temperature).log_softmax(dim=1) for s in scores]
        loss = predictions[0].new_zeros(())
        for n, i in enumerate(assign):
            company = [scores[i]] if queue_scores is None else [scores[i], queue_scores[n]]
            q = sinkhorn(torch.cat(company), epsilon, iterations)[: len(scores[i])]
            others = [-(q * p).sum(dim=1).mean() for v, p in enumerate(predictions) if v != i]
            loss = loss + sum(others) / len(others)
        return loss / len(assign)


def triplet(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float,
    squared: bool = False,
    normalise: bool = True,
) -> Tensor:
    """max(0, D(a, p) - D(a, n) + margin), mean over B (FaceNet, Schroff et al. 2015, eq. 3).

    All (B, d), normalised here if `normalise`; D is the Euclidean distance, or its square.
    """
    with torch.autocast(anchor.device.type, enabled=False):
        a, p, n = (x.float() for x in (anchor, positive, negative))
        if normalise:
            a, p, n = (F.normalize(x, dim=1) for x in (a, p, n))
        near, far = ((a - x).square().sum(dim=1) for x in (p, n))
        if not squared:  # kept off zero, where the root has no slope
            near, far = (d.clamp(min=1e-12).sqrt() for d in (near, far))
        return F.relu(near - far + margin).mean()
