"""Random parameters of augmentations: a function of each example's seed and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from workbench.data.augment import AugmentConfig

GOLDEN = 0x9E3779B97F4A7C15  # SplitMix64's increment (Steele, Lea & Flood 2014, fig. 17)
GEOMETRY, ERASING, APPEARANCE = 1, 2, 3  # streams: pixels of any kind share the first two
CHILD = 1 << 20  # and far above the streams, the seeds that descend from a seed


def uniform(seeds: np.ndarray, n: int, stream: int) -> np.ndarray:
    """(B, n) numbers in [0, 1), row i a function of seeds[i] and `stream` alone (SplitMix64)."""
    with np.errstate(over="ignore"):
        start = _mix(np.asarray(seeds).astype(np.uint64) + np.uint64(stream) * np.uint64(GOLDEN))
        steps = np.arange(1, n + 1, dtype=np.uint64) * np.uint64(GOLDEN)
        bits = _mix(start[:, None] + steps)
    return (bits >> np.uint64(11)) * 2.0**-53


def descend(seeds: np.ndarray, n: int) -> np.ndarray:
    """(B,) int64 seeds of the n-th thing that hangs on each seed, such as a small crop."""
    with np.errstate(over="ignore"):
        child = _mix(np.asarray(seeds).astype(np.uint64) + np.uint64(CHILD + n) * np.uint64(GOLDEN))
    return child.astype(np.int64)


def _mix(z: np.ndarray) -> np.ndarray:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@dataclass(frozen=True)
class Geometry:
    """Where B clips are looked at; one row per clip, the same for all of its frames.

    box: (B, 4) top, left, height, width of the crop, pixels of the clip as stored.
    angle: (B,) degrees by which the picture turns counter-clockwise about the middle of the crop.
    flip: (B,) mirrored left to right. erase: (B, 4) a box as shares of the output, or all 0.
    """

    box: np.ndarray
    angle: np.ndarray
    flip: np.ndarray
    erase: np.ndarray


@dataclass(frozen=True)
class Appearance:
    """How B clips look; one row per clip.

    factors: (B, 4) of brightness, contrast, saturation (1 leaves it) and hue (turns, 0 leaves it);
    order: (B, 4) which of them comes first, second ...; gray: (B,) without colour;
    sigma: (B,) of the blur in pixels of the output, 0 for none; solarise: (B,) with what is bright
    inverted.
    """

    factors: np.ndarray
    order: np.ndarray
    gray: np.ndarray
    sigma: np.ndarray
    solarise: np.ndarray


def draw_geometry(config: AugmentConfig, seeds: np.ndarray, sizes: np.ndarray) -> Geometry:
    """Crops, turns, flips and erased boxes for clips of `sizes` (B, 2), height and width."""
    u = uniform(seeds, 44, GEOMETRY)
    turned = u[:, 0] < config.rotate
    erased = u[:, 2] < config.erase
    box = _boxes(u[:, 4:44].reshape(-1, 4, 10), config.crop, config.aspect, sizes)
    unit = np.full_like(sizes, 1024)  # erased boxes are drawn on a fine grid, then scaled
    erase = uniform(seeds, 40, ERASING).reshape(-1, 4, 10)
    erase = _boxes(erase, config.erase_area, config.erase_aspect, unit) / 1024
    return Geometry(
        box=box,
        angle=np.where(turned, (2 * u[:, 1] - 1) * config.degrees, 0.0),
        flip=u[:, 3] < config.flip,
        erase=np.where(erased[:, None], erase, 0.0),
    )


def draw_appearance(config: AugmentConfig, seeds: np.ndarray) -> Appearance:
    """Colour changes, blur and solarisation."""
    u = uniform(seeds, 13, APPEARANCE)
    strength = np.array([config.brightness, config.contrast, config.saturation, config.hue])
    neutral = np.array([1.0, 1.0, 1.0, 0.0])
    factors = neutral + (2 * u[:, 1:5] - 1) * strength
    low, high = config.blur_sigma
    return Appearance(
        factors=np.where(u[:, :1] < config.jitter, factors, neutral),
        order=np.argsort(u[:, 5:9], axis=1),
        gray=u[:, 9] < config.gray,
        sigma=np.where(u[:, 10] < config.blur, low + (high - low) * u[:, 11], 0.0),
        solarise=u[:, 12] < config.solarise,
    )


def _boxes(
    u: np.ndarray, area: tuple[float, float], aspect: tuple[float, float], sizes: np.ndarray
) -> np.ndarray:
    """(B, 4) integer boxes as torchvision's RandomResizedCrop draws them, out of (B, 4, 10) u.

    The first of ten attempts that fits; else the largest middle box of an allowed aspect.
    """
    height, width = sizes[:, :1].astype(float), sizes[:, 1:].astype(float)
    pixels = (area[0] + (area[1] - area[0]) * u[:, 0]) * height * width  # (B, 10)
    log = np.log(aspect)
    ratio = np.exp(log[0] + (log[1] - log[0]) * u[:, 1])  # width / height
    w, h = np.rint(np.sqrt(pixels * ratio)), np.rint(np.sqrt(pixels / ratio))
    top, left = np.floor(u[:, 2] * (height - h + 1)), np.floor(u[:, 3] * (width - w + 1))
    fits = (w >= 1) & (h >= 1) & (w <= width) & (h <= height)
    attempts = np.stack([top, left, h, w], axis=2)  # (B, 10, 4)
    first = attempts[np.arange(len(u)), fits.argmax(axis=1)]
    boxes = np.where(fits.any(axis=1)[:, None], first, middle(sizes, aspect))
    return boxes.astype(np.int64)


def middle(sizes: np.ndarray, aspect: tuple[float, float] = (1.0, 1.0)) -> np.ndarray:
    """(B, 4) the largest box in the middle whose width / height lies within `aspect`."""
    height, width = sizes[:, 0].astype(float), sizes[:, 1].astype(float)
    w = np.minimum(width, np.maximum(1, np.rint(height * aspect[1])))
    h = np.minimum(height, np.maximum(1, np.rint(width / aspect[0])))
    return np.stack([(height - h) // 2, (width - w) // 2, h, w], axis=1).astype(np.int64)
