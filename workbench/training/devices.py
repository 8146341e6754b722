"""Which device and which precision to train with."""

from __future__ import annotations

from typing import Literal

import torch

DeviceName = Literal["auto", "cpu", "cuda", "mps"]
PrecisionName = Literal["auto", "fp32", "bf16"]
PRECISIONS = {"fp32": "32-true", "bf16": "bf16-mixed"}
"""Fabric's names for ours."""


def choose_device(asked: DeviceName = "auto") -> str:
    """The device asked for (auto: cuda or cpu); `ValueError` where it is not there."""
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if asked == "auto":  # mps only where asked for: nothing was tried there
        return "cuda" if there["cuda"] else "cpu"
    if not there.get(asked, True):
        raise ValueError(f"train.device is {asked}, which torch cannot use here. Use auto or cpu.")
    return asked


def choose_precision(asked: PrecisionName = "auto", device: str = "cpu") -> str:
    """fp32 or bf16: bf16 only where it is fast (emulated bf16 is hundreds of times slower)."""
    if asked != "auto":
        return asked
    return "bf16" if _fast_bf16(device) else "fp32"


def _fast_bf16(device: str) -> bool:
    if device == "cuda":
        return torch.cuda.get_device_capability() >= (8, 0)
    if device == "cpu":
        checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
        return any(getattr(torch.cpu, name, lambda: False)() for name in checks)
    return False
