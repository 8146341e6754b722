"""Crop, flip, turn, resize, blur and erase whole batches of clips: linear maps of pixels.

Resizing and blurring are separable, so each picture becomes A_y X A_x^T with one pair of matrices
per clip. A_y is banded and pixels of a row lie together, so it is a weighted sum of a few rows;
A_x is a dense product.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

BLUR_RADIUS = 6  # pixels: three sigma of the widest blur of MoCo v2 and SimCLR, 2


def cut(
    clips: Sequence[np.ndarray], box: np.ndarray, angle: np.ndarray
) -> tuple[Tensor, np.ndarray]:
    """What the boxes see of each (T, H, W, 3) clip: (B, T, h, w, 3), and the boxes within it.

    Clips may differ in height and width; smaller cuts are padded below and right. A turned box
    gets as much more of the picture as its corners reach, and its border repeated as padding.
    """
    top, left, height, width = box.T
    radians = np.deg2rad(angle)
    cos, sin = np.abs(np.cos(radians)), np.abs(np.sin(radians))
    reach_y, reach_x = height * cos + width * sin, width * cos + height * sin
    grow_y, grow_x = _whole((reach_y - height) / 2, angle), _whole((reach_x - width) / 2, angle)
    sizes = np.array([c.shape[1:3] for c in clips])
    y0, x0 = np.maximum(top - grow_y, 0), np.maximum(left - grow_x, 0)
    y1 = np.minimum(top + height + grow_y, sizes[:, 0])
    x1 = np.minimum(left + width + grow_x, sizes[:, 1])
    frames = len(clips[0])
    out = np.zeros((len(clips), frames, (y1 - y0).max(), (x1 - x0).max(), 3), np.uint8)
    for i, clip in enumerate(clips):
        h, w = y1[i] - y0[i], x1[i] - x0[i]
        out[i, :, :h, :w] = clip[:, y0[i] : y1[i], x0[i] : x1[i]]
        if angle[i]:
            out[i, :, h:, :w] = out[i, :, h - 1 : h, :w]
            out[i, :, :, w:] = out[i, :, :, w - 1 : w]
    return torch.from_numpy(out), np.stack([top - y0, left - x0, height, width], axis=1)


def _whole(pixels: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Rounded up, and one more for interpolation where there is a turn."""
    return np.ceil(np.maximum(pixels, 0)).astype(np.int64) + (angle != 0)


def turn(clips: Tensor, box: Tensor, degrees: Tensor) -> Tensor:
    """(B, C, T, H, W) turned counter-clockwise about the middles of boxes (B, 4); bilinear."""
    h, w = clips.shape[-2:]
    y, x = torch.meshgrid(
        torch.arange(h, device=clips.device, dtype=torch.float32),
        torch.arange(w, device=clips.device, dtype=torch.float32),
        indexing="ij",
    )
    top, left, height, width = box.float().T[:, :, None, None]
    dy, dx = y - (top + (height - 1) / 2), x - (left + (width - 1) / 2)  # (B, H, W)
    cos, sin = (
        torch.cos(degrees.deg2rad())[:, None, None],
        torch.sin(degrees.deg2rad())[:, None, None],
    )
    at_x = x + (cos - 1) * dx - sin * dy
    at_y = y + sin * dx + (cos - 1) * dy
    grid = torch.stack([(2 * at_x + 1) / w - 1, (2 * at_y + 1) / h - 1], dim=3)
    turned = F.grid_sample(
        clips.flatten(1, 2), grid.to(clips.dtype), padding_mode="border", align_corners=False
    )
    return turned.unflatten(1, clips.shape[1:3])


def resize_matrix(
    start: np.ndarray, length: np.ndarray, flip: np.ndarray, inputs: int, outputs: int
) -> Tensor:
    """(B, outputs, inputs): the part [start, start + length) of a line, resized to `outputs`.

    start, length: (B,) ints; flip: (B,) for the reverse order. Bilinear, widened where it shrinks
    (antialias), as in Pillow and torchvision.
    """
    j = band(start, length, inputs, outputs)  # (B, outputs, taps); all other weights are zero
    start, length = start[:, None, None], length[:, None, None]
    scale = length / outputs
    centre = start + (np.arange(outputs)[:, None] + 0.5) * scale  # (B, outputs, 1)
    weight = np.maximum(1 - np.abs(j + 0.5 - centre) / np.maximum(scale, 1), 0)
    weight *= (j >= start) & (j < start + length)
    weight /= weight.sum(axis=2, keepdims=True)
    matrix = np.zeros((len(start), outputs, inputs), np.float32)
    np.put_along_axis(matrix, j, weight.astype(np.float32), axis=2)
    matrix[flip] = matrix[flip, ::-1]
    return torch.from_numpy(matrix)


def band(
    start: np.ndarray, length: np.ndarray, inputs: int, outputs: int, reach: int = 0
) -> np.ndarray:
    """(B, outputs, taps): which inputs each output of a resized and blurred line can depend on.

    reach: radius of the blur, outputs.
    """
    scale = (length / outputs)[:, None]  # (B, 1)
    support = np.maximum(scale, 1) + reach * scale
    centre = start[:, None] + (np.arange(outputs) + 0.5) * scale  # (B, outputs)
    taps = min(inputs, 2 * int(np.ceil(support.max())) + 1)
    first = np.clip(np.floor(centre - support).astype(np.int64), 0, inputs - taps)
    return first[:, :, None] + np.arange(taps)


def blur_matrix(sigma: Tensor, size: int) -> Tensor:
    """(B, size, size): a Gaussian of (B,) sigma pixels, mirrored at the ends; 0 is no blur."""
    radius = min(BLUR_RADIUS, size - 1)
    k = torch.arange(-radius, radius + 1, device=sigma.device)
    kernel = torch.exp(-0.5 * (k / sigma.clamp(min=1e-3)[:, None]) ** 2)
    kernel = kernel / kernel.sum(dim=1, keepdim=True)  # (B, 2 r + 1)
    i = torch.arange(size, device=sigma.device)[:, None]
    at = (i + k).abs()  # (size, 2 r + 1), mirrored at the start
    at = torch.where(at > size - 1, 2 * (size - 1) - at, at)  # and at the end
    out = torch.zeros(len(sigma), size, size, device=sigma.device)
    return out.scatter_add_(2, at.expand(len(sigma), -1, -1), kernel[:, None].expand(-1, size, -1))


def resample(clips: Tensor, rows: Tensor, taps: Tensor, columns: Tensor) -> Tensor:
    """rows @ picture @ columns^T for every picture: (B, T, h, w, 3) -> (B, 3, T, S, S), float32.

    rows: (B, S, h), zero outside of taps (B, S, n), indices of rows; columns: (B, S, w).
    """
    b, t, h, w, c = clips.shape
    weights = rows.gather(2, taps)[:, None].expand(-1, t, -1, -1)
    picture = torch.arange(b * t, device=clips.device).view(b, t, 1, 1)
    index = (h * picture + taps[:, None]).flatten(0, 2)  # (B T S, n)
    low = F.embedding_bag(
        index,
        clips.view(b * t * h, w * c),
        mode="sum",
        per_sample_weights=weights.reshape_as(index),
    )
    low = low.view(b, t, -1, w, c).permute(0, 4, 1, 2, 3)  # (B, 3, T, S, w)
    dtype = product_dtype(clips.device)
    low = low.to(dtype, memory_format=torch.contiguous_format).view(b, -1, w)
    return (low @ columns.mT.to(dtype)).float().view(b, c, t, rows.shape[1], -1)


def erase(clips: Tensor, box: Tensor) -> Tensor:
    """Zeros in boxes of (B, C, T, S, S), in place; box: (B, 4) as shares of the side."""
    side = (torch.arange(clips.shape[-1], device=clips.device) + 0.5) / clips.shape[-1]
    top, left, height, width = box.T[:, :, None]
    rows = (side >= top) & (side < top + height)  # (B, S)
    columns = (side >= left) & (side < left + width)
    return clips.masked_fill_((rows[:, :, None] & columns[:, None])[:, None, None], 0)


def product_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 on CPUs that multiply it in hardware, where it is 3 times as fast; else float32.

    Pixels (0 ... 255) are exact in bfloat16; resized ones are rounded by half a gray level.
    """
    fast = device.type == "cpu" and (
        torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    )
    return torch.bfloat16 if fast else torch.float32
