"""Small pieces that several encoders share."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workbench.models.foreign import WeightsError, fill

if TYPE_CHECKING:
    from torchvision.models import WeightsEnum

log = logging.getLogger(__name__)


def pool_space(features: Tensor) -> Tensor:
    """The mean over the picture, time kept: (B, D, T, H, W) -> (B, T, D)."""
    return features.mean(dim=(3, 4)).transpose(1, 2)


def whole_steps(clips: Tensor, stride: int) -> Tensor:
    """The clips with the last frame repeated up to a multiple of `stride`.

    Pooling over time drops an incomplete step, so that short clips would not pass.
    """
    missing = -clips.shape[2] % stride
    return F.pad(clips, (0, 0, 0, 0, 0, missing), mode="replicate") if missing else clips


def large_enough(clips: Tensor, least: int, name: str) -> None:
    """`ValueError` where pictures are smaller than the network's poolings take."""
    if min(clips.shape[-2:]) < least:
        raise ValueError(
            f"{name} got pictures of {tuple(clips.shape[-2:])} pixels and needs at least {least} "
            f"on either side; set data.clip.size to at least {least}."
        )


def he_normal(module: nn.Module) -> nn.Module:
    """The module with its 3-D convolutions drawn as He et al. 2015 do, biases zero. In place."""
    for m in module.modules():
        if isinstance(m, nn.Conv3d):
            nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")
            if m.bias is not None:
                nn.init.zeros_(m.bias)
    return module


def channels_last(module: nn.Module) -> nn.Module:
    """The module with its convolution weights laid out channels-last, in 2-D and in 3-D.

    Convolutions then keep that layout from input to output: 1.0 to 1.5 times as fast on CPUs in
    fp32, more in bf16. In place.
    """
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    for p in module.parameters():
        if p.dim() in formats:
            p.data = p.data.contiguous(memory_format=formats[p.dim()])
    return module


def load_weights(net: nn.Module, weights: str, default: WeightsEnum | None, unused: str) -> None:
    """Fill a network from `weights`: "none", "default", the name of an entry, or a local file.

    default: torchvision's own entry, of which the others are known by name (IMAGENET1K_V1); looked
    up in its cache, then downloaded; None where torchvision has none. unused: prefix of the
    classifier's keys, which are dropped. A file with torchvision's names loads exactly, another
    one by matching (foreign.py), and what matched is logged. Raises `WeightsError`.
    """
    if weights == "none":
        return
    entries = {} if default is None else {e.name: e for e in type(default)}
    if weights == "default" or weights in entries:
        state = _from_torchvision(entries.get(weights, default), net)
    else:
        state = _from_file(Path(weights), entries)
    wanted = {k: v for k, v in state.items() if not (unused and k.startswith(unused))}
    if _same(wanted, net.state_dict()):
        net.load_state_dict(wanted)
        return
    found = fill(net, wanted, f"encoder.weights={weights!r}")
    log.warning("weights of %s into %s:\n%s", weights, type(net).__name__, found.report())


def start_from(net: nn.Module, state: Mapping[str, Tensor], what: str) -> None:
    """Give a network the weights of another one: exactly, or as far as they match, which is logged.

    what: whose weights these are, for messages. Raises `WeightsError` where most do not match.
    """
    if _same(state, net.state_dict()):
        net.load_state_dict(state)
        return
    found = fill(net, state, what)
    log.warning("%s into %s:\n%s", what, type(net).__name__, found.report())


def _same(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(a[k].shape == b[k].shape for k in a)


def _from_torchvision(entry: WeightsEnum | None, net: nn.Module) -> dict[str, Tensor]:
    if entry is None:
        raise WeightsError(
            f"encoder.weights='default': torchvision has no weights for {type(net).__name__}. Give "
            "the path of a .pth, .pyth or .safetensors file, or 'none' to start from random."
        )
    name = entry.url.rsplit("/", 1)[-1]
    cached = Path(torch.hub.get_dir()) / "checkpoints" / name
    try:
        return entry.get_state_dict(progress=False, check_hash=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise WeightsError(
            f"torchvision's pretrained weights {entry} could not be loaded: {error}\n"
            f"They are the file {name}, looked for at {cached} and then at {entry.url}. Put the "
            "file there, or set encoder.weights to its path, or to 'none' to start from random."
        ) from error


def _from_file(path: Path, entries: Iterable[str]) -> dict[str, Tensor]:
    if not path.is_file():
        names = "".join(f"'{name}', " for name in ("none", "default", *entries))
        raise WeightsError(
            f"encoder.weights={str(path)!r} is no file. Give {names}or the path of a .pth, .pyth "
            "or .safetensors file."
        )
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(path)
        except SafetensorError as error:
            raise WeightsError(f"{path} is not a file of weights: {error}") from error
    try:
        found = _most_tensors(torch.load(path, map_location="cpu", weights_only=True))
    except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise WeightsError(f"{path} is not a file of weights: {error}") from error
    if not found:
        raise WeightsError(f"{path} is not a file of weights: it holds no named tensors.")
    return found


def _most_tensors(found: object) -> dict[str, Tensor]:
    """The mapping of names to tensors in a checkpoint: itself, or what it keeps in an entry."""
    if not isinstance(found, Mapping):
        return {}
    inner = [{k: v for k, v in found.items() if isinstance(k, str) and isinstance(v, Tensor)}]
    inner += [_most_tensors(v) for v in found.values()]
    return max(inner, key=len)
