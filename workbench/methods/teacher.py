"""A method that is trained already, as what another one learns from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

import torch
from torch import Tensor, nn

from workbench.methods.base import Method


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


def hand_over(ours: nn.Module, theirs: object) -> bool:
    """Copy the weights of a part into its like in another method, if shapes agree; whether so."""
    if not isinstance(theirs, nn.Module):
        return False
    state = theirs.state_dict()
    fits = {k: v.shape for k, v in ours.state_dict().items()} == {
        k: v.shape for k, v in state.items()
    }
    if fits:
        ours.load_state_dict(state)
    return fits
