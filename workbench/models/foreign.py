"""Weights that were saved under other names: which tensor of a file is which of a network."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

LEAST = 0.5
"""Share of a network's parameter tensors that must be found, or the weights are of another one."""
SHOWN = 6
"""Names that a report gives per kind."""
RES_BLOCKS = {
    r"blocks\.([1-4])\.res_blocks\.(\d+)\.": r"stage\1.\2.",
    r"branch1_(conv|norm)\.": r"skip.\1.",
    r"branch2\.": "",
}
"""pytorchvideo's names of residual stages, as patterns, and ours."""


class WeightsError(ValueError):
    """Pretrained weights that cannot be used; the message names the file and the option."""


@dataclass(frozen=True)
class Match:
    """What of foreign weights went where."""

    taken: dict[str, str]
    """The network's name -> the foreign one."""
    by_shape: tuple[str, ...]
    """Those of `taken` that no name, only order and shape speak for."""
    misfits: tuple[tuple[str, tuple[int, ...], str, tuple[int, ...]], ...]
    """Names that agree and shapes that do not: (the network's name, shape, foreign name, shape)."""
    left: tuple[str, ...]
    """Parameters and statistics of the network that stay as they were."""
    unused: tuple[str, ...]
    """Foreign names that nothing was done with, such as a classifier's."""
    share: float
    """Share of the network's parameter tensors that were found."""

    def report(self) -> str:
        """The match in lines of text."""
        lines = [f"{len(self.taken)} tensors taken, {self.share:.0%} of the parameter tensors"]
        if self.by_shape:
            lines.append(f"by order and shape alone, please check: {_few(self.by_shape)}")
        for name, shape, other, found in self.misfits[:SHOWN]:
            lines.append(f"does not fit: {name} {shape} and the file's {other} {found}")
        if len(self.misfits) > SHOWN:
            lines.append(f"does not fit: {len(self.misfits) - SHOWN} more")
        if self.left:
            lines.append(f"left as they were (random): {_few(self.left)}")
        if self.unused:
            lines.append(f"not used: {_few(self.unused)}")
        return "\n".join(f"  {line}" for line in lines)


def fill(net: nn.Module, state: Mapping[str, Tensor], what: str) -> Match:
    """Load what of `state` fits the network. In place.

    what: where the weights are from, for the message. Raises `WeightsError` where less than half
    of the network's parameter tensors are found; then nothing is loaded.
    """
    found = match(net, state)
    if found.share < LEAST:
        raise WeightsError(
            f"{what} does not fit {type(net).__name__}: {found.share:.0%} of its parameter tensors "
            f"are found, {LEAST:.0%} are needed.\n{found.report()}\n"
            "Give weights of the same network, or none to start from random."
        )
    net.load_state_dict({n: state[f] for n, f in found.taken.items()}, strict=False)
    return found


def match(net: nn.Module, state: Mapping[str, Tensor]) -> Match:
    """Which foreign tensor is which of the network's.

    First by name, whatever prefix (`module.encoder_q.0.`, `backbone.`) either side puts before it:
    the pair of prefixes under which most names agree is taken, if half of them do. A network may
    say in `foreign_names` (pattern -> ours) how others call its parts. Then by the longest ending
    of the name that one tensor of each side has. Only where no prefix was found: by shape, if both
    sides have equally many tensors left of a kind and shape, in order.
    """
    ours = {k: tuple(v.shape) for k, v in net.state_dict().items()}
    theirs = {k: tuple(v.shape) for k, v in state.items()}
    names = dict(zip(_renamed(theirs, getattr(net, "foreign_names", {})), theirs, strict=True))
    shapes = {name: theirs[foreign] for name, foreign in names.items()}

    taken, misfits = _by_prefix(ours, shapes)
    rest = [k for k in ours if k not in taken and k not in misfits]
    used = {*taken.values(), *misfits.values()}
    named = bool(used)
    taken |= _by_ending(ours, shapes, rest, [k for k in shapes if k not in used])
    by_shape = {} if named else _by_shape(ours, shapes, taken)
    taken |= by_shape

    used = {*taken.values(), *misfits.values()}
    parameters = [k for k, _ in net.named_parameters()]
    return Match(
        taken={k: names[taken[k]] for k in ours if k in taken},
        by_shape=tuple(by_shape),
        misfits=tuple((k, ours[k], names[f], shapes[f]) for k, f in misfits.items()),
        left=tuple(k for k in ours if k not in taken and not k.endswith("num_batches_tracked")),
        unused=tuple(names[k] for k in shapes if k not in used),
        share=sum(k in taken for k in parameters) / max(1, len(parameters)),
    )


Shapes = Mapping[str, tuple[int, ...]]


def _renamed(keys: Iterable[str], patterns: Mapping[str, str]) -> list[str]:
    """The names with every pattern replaced where it stands behind a dot or in front."""
    found = list(keys)
    for pattern, ours in patterns.items():
        found = [re.sub(rf"(?:(?<=\.)|^){pattern}", ours, key) for key in found]
    return found


def _by_prefix(ours: Shapes, theirs: Shapes) -> tuple[dict[str, str], dict[str, str]]:
    """Our name -> theirs under the best pair of prefixes: those that fit, those that do not."""
    endings = defaultdict(list)
    for name in theirs:
        for prefix, rest in _splits(name):
            endings[rest].append((prefix, name))
    votes: Counter[tuple[str, str]] = Counter()
    fitting: Counter[tuple[str, str]] = Counter()
    for name, shape in ours.items():
        for mine, rest in _splits(name):
            for prefix, other in endings[rest]:
                votes[mine, prefix] += 1
                fitting[mine, prefix] += theirs[other] == shape
    if max(votes.values(), default=0) < max(2, LEAST * min(len(ours), len(theirs))):
        return {}, {}
    # of equals the first in the file: the query encoder stands before the key encoder
    mine, prefix = max(votes, key=lambda pair: (votes[pair], fitting[pair], -len(pair[0])))
    pairs = {k: prefix + k[len(mine) :] for k in ours if k.startswith(mine)}
    pairs = {k: f for k, f in pairs.items() if f in theirs}
    fits = {k: f for k, f in pairs.items() if ours[k] == theirs[f]}
    return fits, {k: f for k, f in pairs.items() if k not in fits}


def _by_ending(ours: Shapes, theirs: Shapes, mine: list[str], others: list[str]) -> dict[str, str]:
    """Our name -> theirs where the longest common ending belongs to one tensor of each side.

    An ending counts from two parts on, one of them before the last a word and no number.
    """
    found: dict[str, str] = {}
    for parts in range(max((k.count(".") for k in mine), default=0) + 1, 1, -1):
        sides = [_endings(keys, parts) for keys in (mine, others)]
        for ending in sides[0].keys() & sides[1].keys():
            (a, *more), (b, *further) = sides[0][ending], sides[1][ending]
            word = not all(part.isdigit() for part in ending.split(".")[:-1])
            if not more and not further and word and ours[a] == theirs[b]:
                found[a] = b
        mine = [k for k in mine if k not in found]
        others = [k for k in others if k not in found.values()]
    return found


def _by_shape(ours: Shapes, theirs: Shapes, taken: Mapping[str, str]) -> dict[str, str]:
    """Our name -> theirs, in order, for each kind (weight, bias, ...) and shape as often there.

    taken: what is matched already, and left out.
    """
    groups: list[dict[tuple, list[str]]] = [defaultdict(list), defaultdict(list)]
    for group, side, gone in zip(groups, (ours, theirs), (taken, taken.values()), strict=True):
        for name, shape in side.items():
            if name not in gone:
                group[name.rpartition(".")[2], shape].append(name)
    first, second = groups
    return {
        a: b
        for kind, mine in first.items()
        if len(mine) == len(second.get(kind, ()))
        for a, b in zip(mine, second[kind], strict=True)
    }


def _splits(name: str) -> list[tuple[str, str]]:
    """Every way to cut a dotted name in a prefix with its dot, or none, and a rest."""
    parts = name.split(".")
    return [
        (".".join(parts[:k]) + "." if k else "", ".".join(parts[k:])) for k in range(len(parts))
    ]


def _endings(keys: Iterable[str], parts: int) -> dict[str, list[str]]:
    found = defaultdict(list)
    for key in keys:
        pieces = key.split(".")
        if len(pieces) >= parts:
            found[".".join(pieces[-parts:])].append(key)
    return found


def _few(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
