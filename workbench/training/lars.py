"""LARS (You et al. 2017): each tensor's step is a given share of the tensor's length."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.optim import SGD


class LARS(SGD):
    """SGD with momentum whose gradients are first made as long as a share of their weights.

    A tensor w with gradient g, both not zero, goes with (g + wd w) a instead of g, where
    a = trust |w| / (|g| + wd |w| + eps). `clip` bounds the learning rate times a by the learning
    rate, the LARC of apex. A group of weights with `adapt` false goes as in plain SGD. The
    learning rate multiplies the momentum's sum, as in torch, LARC and lightly, not what goes in.
    """

    def __init__(
        self,
        weights: Iterable[nn.Parameter] | Iterable[dict],
        lr: float,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        trust: float = 1e-3,
        clip: bool = False,
        eps: float = 1e-8,
    ) -> None:
        super().__init__(weights, lr, momentum=momentum, weight_decay=weight_decay)
        for group in self.param_groups:
            group |= {"trust": trust, "clip": clip, "eps": eps, "adapt": True} | group

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """One step; afterwards `grad` holds what SGD went with."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        adapting = [g for g in self.param_groups if g["adapt"]]
        decays = [g["weight_decay"] for g in adapting]
        for group in adapting:
            for w in group["params"]:
                if w.grad is not None:
                    _adapt(w, w.grad, group)
            group["weight_decay"] = 0.0  # it is in the gradients already
        super().step()
        for group, decay in zip(adapting, decays, strict=True):
            group["weight_decay"] = decay
        return loss


def _adapt(w: Tensor, g: Tensor, group: dict) -> None:
    """Change a gradient in place; without a look at the numbers, which would stop a GPU."""
    decay, length, slope = group["weight_decay"], w.norm(), g.norm()
    rate = group["trust"] * length / (slope + decay * length + group["eps"])
    if group["clip"]:
        rate = (rate / group["lr"]).clamp(max=1)
    moves = (length > 0) & (slope > 0)
    g.copy_(torch.where(moves, (g + decay * w) * rate, g))
