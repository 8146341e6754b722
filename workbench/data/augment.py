"""Augmentation of whole batches on the device: one draw of parameters per clip.

Every frame of a clip is treated alike, and each clip by its own seed, whatever batch it is in.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Self

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor

from workbench.config import Config
from workbench.data import colour, geometry
from workbench.data.draw import (
    Appearance,
    Geometry,
    descend,
    draw_appearance,
    draw_geometry,
    middle,
)
from workbench.data.video import Stream

# Mean and spread of a pixel / 255 per channel. rgb: ImageNet's. diff: zero stays zero.
# flow: u, v and a spare channel, 128 is rest, so rest becomes zero.
NORMAL = {
    "rgb": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "diff": ((0.0, 0.0, 0.0), (0.229, 0.224, 0.225)),
    "flow": ((128 / 255,) * 3, (0.229, 0.224, 0.225)),
}

Share = Annotated[float, Field(ge=0, le=1)]
Ratio = Annotated[float, Field(ge=0.1, le=10)]
Pixels = Annotated[float, Field(ge=0, le=2)]


class AugmentConfig(Config):
    """Random changes that leave the content: MoCo v2's (Chen et al. 2020), alike in all frames."""

    crop: tuple[Share, Share] = (0.2, 1.0)
    """Smallest and largest share of the picture's area that is kept."""
    aspect: tuple[Ratio, Ratio] = (0.75, 1.3333)
    """Smallest and largest width / height of the part that is kept."""
    flip: float = Field(0.5, ge=0, le=1)
    """How often the clip is mirrored left to right."""
    jitter: float = Field(0.8, ge=0, le=1)
    """How often brightness, contrast, saturation and hue change."""
    brightness: float = Field(0.4, ge=0, le=1)
    """Brightness changes by a factor of up to 1 -+ this."""
    contrast: float = Field(0.4, ge=0, le=1)
    """Contrast changes by a factor of up to 1 -+ this."""
    saturation: float = Field(0.4, ge=0, le=1)
    """Saturation changes by a factor of up to 1 -+ this."""
    hue: float = Field(0.1, ge=0, le=0.5)
    """Hue turns by up to this part of the colour circle."""
    gray: float = Field(0.2, ge=0, le=1)
    """How often colour is taken away."""
    blur: float = Field(0.5, ge=0, le=1)
    """How often the picture is blurred."""
    blur_sigma: tuple[Pixels, Pixels] = (0.1, 2.0)
    """Smallest and largest sigma of the blur, in pixels of the clip."""
    solarise: float = Field(0.0, ge=0, le=1)
    """How often what is brighter than half is inverted (BYOL, CVRL)."""
    rotate: float = Field(0.0, ge=0, le=1)
    """How often the picture is turned."""
    degrees: float = Field(10.0, ge=0, le=180)
    """Largest turn to either side, degrees."""
    erase: float = Field(0.0, ge=0, le=1)
    """How often a box is painted over."""
    erase_area: tuple[Share, Share] = (0.02, 0.33)
    """Smallest and largest share of the picture that is painted over."""
    erase_aspect: tuple[Ratio, Ratio] = (0.3, 3.3)
    """Smallest and largest width / height of the box that is painted over."""
    small: int = Field(0, ge=0, le=16)
    """Small crops of each clip beside the whole view (multi-crop), for methods that take them."""
    small_side: float = Field(0.43, gt=0, le=1)
    """Side of a small crop as a share of the clip's: SwAV's 96 of 224 pixels."""
    small_crop: tuple[Share, Share] = (0.05, 0.14)
    """Smallest and largest share of the picture's area that a small crop keeps."""

    @model_validator(mode="after")
    def _ranges(self) -> Self:
        for name in ("crop", "aspect", "blur_sigma", "erase_area", "erase_aspect", "small_crop"):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"{name} goes from {low} to {high}; give the smaller one first")
        return self

    def build(self, size: int, device: torch.device | str = "cpu") -> Augment:
        """The augmentation that makes pictures of size x size pixels on a device."""
        return Augment(self, size, torch.device(device))


class Augment:
    """Clips of uint8 pixels to normalised floats, augmented. RGB and flow share their geometry."""

    def __init__(self, config: AugmentConfig, size: int, device: torch.device) -> None:
        self.config = config
        self.size = size
        self.device = device

    def __call__(
        self, clips: Sequence[np.ndarray] | Tensor, seeds: np.ndarray, stream: Stream = "rgb"
    ) -> Tensor:
        """B clips of (T, H, W, 3) uint8, one seed each -> (B, 3, T, size, size) on the device.

        H and W may differ between arrays; a tensor is (B, T, H, W, 3). Equal seeds give equal
        parameters in any batch; for equal sizes also the same geometry in any stream.
        """
        seeds = np.asarray(seeds)
        where = draw_geometry(self.config, seeds, _sizes(clips))
        look = draw_appearance(self.config, seeds) if stream != "flow" else None
        return apply(clips, where, look, self.size, self.device, stream)

    def small_crops(
        self, clips: Sequence[np.ndarray] | Tensor, seeds: np.ndarray, stream: Stream = "rgb"
    ) -> list[Tensor]:
        """`small` further views of the clips, each (B, 3, T, s, s) with s the smaller side.

        Drawn from seeds that descend from the clips' own, so that the full views stay the same.
        """
        config = self.config.model_copy(update={"crop": self.config.small_crop})
        crop = config.build(max(1, round(self.config.small_side * self.size)), self.device)
        return [crop(clips, descend(seeds, n), stream) for n in range(self.config.small)]


def evaluate_view(
    clips: Sequence[np.ndarray] | Tensor,
    size: int,
    stream: Stream = "rgb",
    device: torch.device | str = "cpu",
) -> Tensor:
    """The middle square, resized and normalised, nothing random: (B, 3, T, size, size)."""
    nothing = np.zeros(len(clips))
    where = Geometry(middle(_sizes(clips)), nothing, nothing > 0, np.zeros((len(clips), 4)))
    return apply(clips, where, None, size, torch.device(device), stream)


def apply(
    clips: Sequence[np.ndarray] | Tensor,
    where: Geometry,
    look: Appearance | None,
    size: int,
    device: torch.device,
    stream: Stream,
) -> Tensor:
    """The clips with given parameters, (B, 3, T, size, size) normalised floats."""
    if isinstance(clips, Tensor):
        pixels, box = clips, where.box
    else:
        pixels, box = geometry.cut(clips, where.box, where.angle)
    x = pixels.to(device, non_blocking=True).float().contiguous()  # (B, T, h, w, 3)
    turned = np.flatnonzero(where.angle)
    if len(turned):
        degrees = torch.from_numpy(where.angle[turned]).float().to(device)
        middles = torch.from_numpy(box[turned]).to(device)
        upright = x[turned].permute(0, 4, 1, 2, 3)  # (B, 3, T, h, w)
        x[turned] = geometry.turn(upright, middles, degrees).permute(0, 2, 3, 4, 1)
    top, left, height, width = box.T
    never = np.zeros_like(where.flip)
    rows = geometry.resize_matrix(top, height, never, x.shape[2], size).to(device)
    columns = geometry.resize_matrix(left, width, where.flip, x.shape[3], size).to(device)
    reach = 0
    if look is not None and look.sigma.any():
        blur = geometry.blur_matrix(torch.from_numpy(look.sigma).float().to(device), size)
        rows, columns, reach = blur @ rows, blur @ columns, geometry.BLUR_RADIUS
    taps = torch.from_numpy(geometry.band(top, height, x.shape[2], size, reach)).to(device)
    x = geometry.resample(x, rows, taps, columns)  # (B, 3, T, S, S), 0 ... 255

    x = _recolour(x, where, look, stream)
    if where.erase.any():
        x = geometry.erase(x, torch.from_numpy(where.erase).to(device))
    return x


def _recolour(x: Tensor, where: Geometry, look: Appearance | None, stream: Stream) -> Tensor:
    """Colour changes and normalisation, or the turned vectors of flow, in one map of channels."""
    mean, spread = (torch.tensor(v, device=x.device) for v in NORMAL[stream])
    if stream == "flow":
        flip, angle = torch.from_numpy(where.flip), torch.from_numpy(where.angle).float()
        turn = colour.flow_matrix(flip, angle).to(x.device) / (255 * spread[:, None])
        return colour.mix(x, turn, -turn @ (255 * mean))
    if look is None:
        matrix = torch.diag(1 / (255 * spread)).expand(len(x), 3, 3)
        return colour.mix(x, matrix, (-mean / spread).expand(len(x), 3))
    parts = (look.factors.astype(np.float32), look.order, look.gray)
    factors, order, gray = (torch.from_numpy(p).to(x.device) for p in parts)
    matrix, offset = colour.jitter(factors, order, gray, x.flatten(2).mean(dim=2))
    x = colour.mix(x, matrix / (255 * spread[:, None]), (offset / 255 - mean) / spread)
    for c, (m, s) in enumerate(zip(*NORMAL[stream], strict=True)):
        x[:, c].clamp_((0 - m) / s, (1 - m) / s)  # no darker than black, no brighter than white
    inverted = np.flatnonzero(look.solarise)
    if len(inverted):
        black, white = -mean / spread, (1 - mean) / spread
        x[inverted] = colour.solarise(x[inverted], black, white)
    return x


def _sizes(clips: Sequence[np.ndarray] | Tensor) -> np.ndarray:
    """(B, 2) height and width of each clip."""
    if isinstance(clips, Tensor):
        return np.tile(clips.shape[2:4], (len(clips), 1))
    return np.array([c.shape[1:3] for c in clips])
