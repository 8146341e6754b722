"""A method that is trained already, as what another one learns from."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Self

import torch
from torch import Tensor, nn

from workbench.methods.base import Method

log = logging.getLogger(__name__)


class Teacher(nn.Module):
    """A method that never changes: no gradient, no batch statistics, whatever is around it.

    It goes to the device of the module that it is a part of and is in none of its checkpoints: a
    finished run loads without its teacher.
    """

    def __init__(self, method: Method) -> None:
        super().__init__()
        # past nn.Module, which would count its weights as ours
        self.__dict__["method"] = method.requires_grad_(False).eval()

    @torch.no_grad()
    def project(self, clips: Tensor) -> Tensor:
        """(B, 3, T, H, W) of the teacher's stream -> (B, d) unit vectors."""
        return self.method.project(clips)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """What `to` and the like do: the teacher comes along."""
        self.method._apply(fn, recurse)
        return super()._apply(fn, recurse)


def hand_over(part: nn.Module, other: Method, name: str) -> None:
    """Copy into a part of a method the weights of the part of that name of another one, if alike.

    What is not there, or of other shapes, is left as it is, which is logged.
    """
    theirs = dict(other.named_children()).get(name)
    state = {} if theirs is None else theirs.state_dict()
    if {k: v.shape for k, v in state.items()} != {k: v.shape for k, v in part.state_dict().items()}:
        found = "has none" if theirs is None else "has one of other shapes"
        log.warning("init: the %s starts anew, for the run %s", name, found)
        return
    part.load_state_dict(state)
