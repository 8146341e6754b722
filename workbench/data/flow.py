"""Optical flow: how far every pixel moves from a frame to the next.

A vector (u right, v down) is in pixels of the picture, is cut at 20 pixels either way and rounded
to 256 steps, as CoCLR, CPR and ViCC keep it: q = round((f + 20) * 255 / 40). They compute TV-L1 at
the video's own size; here it is the size that frames are stored in, by any of the algorithms, whose
name is kept with it (`flow_store.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from workbench.data.video import FLOW_REST

if TYPE_CHECKING:
    import torch

Algorithm = Literal["dis", "farneback", "tvl1", "raft", "raft-small"]
Fields = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Two frames (H, W, 3) uint8 RGB -> (H, W, 2) float32 pixels from the first to the second."""

BOUND = 20.0
"""Pixels at which a component is cut (CoCLR, CPR and ViCC; mmaction2 has the same)."""


def quantise(field: np.ndarray) -> np.ndarray:
    """Pixels as uint8: round((f + 20) * 255 / 40) after cutting to -20 ... 20; no motion is 128."""
    return np.rint((np.clip(field, -BOUND, BOUND) + BOUND) * (255 / (2 * BOUND))).astype(np.uint8)


def pixels_of(stored: np.ndarray) -> np.ndarray:
    """Stored flow in pixels, float32, to within 0.08; what stands for no motion is exactly zero."""
    field = stored.astype(np.float32) * np.float32(2 * BOUND / 255) - np.float32(BOUND)
    return np.where(stored == FLOW_REST, np.float32(0), field)


def flow(frames: np.ndarray, algorithm: Algorithm = "dis") -> np.ndarray:
    """Flow between frames (T, H, W, 3) uint8: (T - 1, H, W, 2) uint8, u and v, `quantise`d.

    Row t is the motion from frame t to t + 1. Raises `RuntimeError` where the algorithm is not to
    be had on this machine, saying how to get it.
    """
    between = ALGORITHMS[algorithm]()
    fields = [quantise(between(a, b)) for a, b in pairwise(frames)]
    return np.stack(fields) if fields else np.empty((0, *frames.shape[1:3], 2), np.uint8)


def _gray(rgb: np.ndarray) -> np.ndarray:
    import cv2

    return cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2GRAY)


def _dis() -> Fields:
    """Dense inverse search (Kroeger et al. 2016); the faster presets miss motions over 10 px."""
    import cv2

    engine = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return lambda a, b: engine.calc(_gray(a), _gray(b), None)


def _farneback() -> Fields:
    """Polynomial expansion (Farneback 2003), with the numbers of mmaction2."""
    import cv2

    numbers = {"pyr_scale": 0.5, "levels": 3, "winsize": 15, "iterations": 3}
    numbers |= {"poly_n": 5, "poly_sigma": 1.2, "flags": 0}
    return lambda a, b: cv2.calcOpticalFlowFarneback(_gray(a), _gray(b), None, **numbers)


def _tvl1() -> Fields:
    """Dual TV-L1 (Zach et al. 2007) with its default numbers: that of CoCLR, CPR, ViCC and IIC."""
    import cv2

    if not hasattr(cv2, "optflow"):
        raise RuntimeError(
            f"OpenCV {cv2.__version__} here has no TV-L1, which only its contrib package has. Get "
            "it with: pip uninstall opencv-python-headless, then pip install "
            "opencv-contrib-python-headless; or choose --algorithm dis or farneback."
        )
    engine = cv2.optflow.DualTVL1OpticalFlow_create()
    return lambda a, b: engine.calc(_gray(a), _gray(b), None)


def _raft(size: Literal["large", "small"]) -> Fields:
    """RAFT (Teed & Deng 2020) by torchvision, with its default weights."""
    import torch
    from torchvision.models import optical_flow

    weights = getattr(optical_flow, f"Raft_{size.title()}_Weights").DEFAULT
    try:
        state = weights.get_state_dict(progress=False, weights_only=True)
    except OSError as error:
        name = weights.url.rpartition("/")[2]
        raise RuntimeError(
            f"the weights of RAFT are not here and cannot be fetched ({error}). Put {weights.url} "
            f"at {Path(torch.hub.get_dir()) / 'checkpoints' / name}, or choose --algorithm dis."
        ) from None
    net = getattr(optical_flow, f"raft_{size}")(weights=None)
    net.load_state_dict(state)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    net.to(device).eval().requires_grad_(False)

    def between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        first, second = (_for_raft(rgb).to(device) for rgb in (a, b))
        height, width = a.shape[:2]
        with torch.inference_mode():
            found = net(first, second)[-1][0, :, :height, :width]
        return found.permute(1, 2, 0).cpu().numpy()

    return between


def _for_raft(rgb: np.ndarray) -> torch.Tensor:
    """(1, 3, H, W) in -1 ... 1, grown at its right and lower edge to what RAFT's pyramid takes."""
    import torch
    from torch.nn.functional import pad

    x = torch.from_numpy(np.ascontiguousarray(rgb)).permute(2, 0, 1)[None] / 127.5 - 1
    more = [max(128, -(-n // 8) * 8) - n for n in rgb.shape[:2]]
    return pad(x, (0, more[1], 0, more[0]), mode="replicate")


ALGORITHMS: dict[Algorithm, Callable[[], Fields]] = {
    "dis": _dis,
    "farneback": _farneback,
    "tvl1": _tvl1,
    "raft": lambda: _raft("large"),
    "raft-small": lambda: _raft("small"),
}
"""Name -> what makes it; each thread makes its own."""
