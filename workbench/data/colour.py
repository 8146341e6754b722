"""Colour changes as one affine map of (r, g, b) per clip: brightness to gray in a 3 x 3 matrix."""

from __future__ import annotations

import torch
from torch import Tensor

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as in Pillow and torchvision
YIQ = ((0.299, 0.587, 0.114), (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112))


def jitter(factors: Tensor, order: Tensor, gray: Tensor, mean: Tensor) -> tuple[Tensor, Tensor]:
    """The maps x -> M x + o of clips whose mean colours are (B, 3): M (B, 3, 3), o (B, 3).

    factors, order, gray: as in `Appearance`. Operations are torchvision's, without the clamping in
    between: brightness f x; contrast f x + (1 - f) times the clip's mean gray; saturation
    f x + (1 - f) gray(x); hue a turn in the YIQ plane, which keeps the gray of every pixel.
    """
    luma = torch.tensor(LUMA, device=mean.device)
    eye = torch.eye(3, device=mean.device)
    to_gray = luma.expand(3, 3)
    bright, contrast, saturate = factors[:, :3, None, None].unbind(1)  # each (B, 1, 1)
    steps = torch.stack(
        [
            bright * eye,
            contrast * eye,
            saturate * eye + (1 - saturate) * to_gray,
            hue_matrix(factors[:, 3]),
        ],
        dim=1,
    )  # (B, 4, 3, 3)
    clip = torch.arange(len(mean), device=mean.device)
    matrix, offset = eye.expand(len(mean), 3, 3), torch.zeros_like(mean)
    for which in order.T:  # (B,)
        gray_now = ((matrix @ mean[:, :, None])[:, :, 0] + offset) @ luma  # (B,)
        pull = torch.where(which == 1, (1 - factors[:, 1]) * gray_now, 0)
        step = steps[clip, which]
        matrix = step @ matrix
        offset = (step @ offset[:, :, None])[:, :, 0] + pull[:, None]
    last = torch.where(gray[:, None, None], to_gray, eye)
    return last @ matrix, (last @ offset[:, :, None])[:, :, 0]


def hue_matrix(turns: Tensor) -> Tensor:
    """(B, 3, 3): hue turned by (B,) parts of a full circle, brightness kept."""
    yiq = torch.tensor(YIQ, device=turns.device)
    cos, sin = torch.cos(2 * torch.pi * turns), torch.sin(2 * torch.pi * turns)
    zero, one = torch.zeros_like(turns), torch.ones_like(turns)
    rows = [one, zero, zero, zero, cos, sin, zero, -sin, cos]
    return torch.linalg.inv(yiq) @ torch.stack(rows, dim=1).unflatten(1, (3, 3)) @ yiq


def flow_matrix(flip: Tensor, degrees: Tensor) -> Tensor:
    """(B, 3, 3): what flips and turns of the picture do to vectors (u right, v down, unused)."""
    cos, sin = torch.cos(degrees.deg2rad()), torch.sin(degrees.deg2rad())
    sign = torch.where(flip, -1.0, 1.0)
    zero, one = torch.zeros_like(cos), torch.ones_like(cos)
    rows = [sign * cos, sign * sin, zero, -sin, cos, zero, zero, zero, one]
    return torch.stack(rows, dim=1).unflatten(1, (3, 3))


def mix(clips: Tensor, matrix: Tensor, offset: Tensor) -> Tensor:
    """M x + o of every pixel: (B, 3, T, S, S) with (B, 3, 3) and (B, 3)."""
    return torch.baddbmm(offset[:, :, None], matrix, clips.flatten(2)).view_as(clips)


def solarise(clips: Tensor, black: Tensor, white: Tensor) -> Tensor:
    """(B, 3, T, S, S) with the values of the brighter half of (3,) black ... white inverted."""
    whole = (black + white)[:, None, None, None]
    return torch.where(clips >= whole / 2, whole - clips, clips)
