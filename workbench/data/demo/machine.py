"""What a bottling machine does, cycle after cycle, and what may go wrong; nothing is drawn yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

FPS = 30
CYCLE = (2.0, 3.0)
"""Shortest and longest normal cycle, seconds."""
STAGES = {"move": 0.28, "lower": 0.36, "fill": 0.62, "raise": 0.70, "cap": 0.94, "rest": 1.0}
"""Stage -> where in the cycle it ends."""
ANOMALIES = {
    "missing-bottle": "one place on the belt is empty",
    "tilted-bottle": "a bottle leans or lies; it is neither filled nor capped",
    "single-bottle": "one bottle alone, with empty places before and behind it",
    "running-empty": "the machine works on without bottles",
    "jam": "everything stands still in the middle of a cycle",
    "slow-down": "cycles that take about twice as long",
    "wrong-order": "the robot caps before the other bottle is filled, not after it",
}
CAPPED = 0.82
"""Where in its programme the robot's cap stays on the bottle."""
BEFORE, BEHIND = 1.19, -2.19
"""Places from the filling head at which a bottle enters and leaves what is seen of the belt."""


@dataclass
class Plan:
    """What happens in each cycle, and with each bottle; cycle n brings bottle n under the head."""

    lengths: list[float] = field(default_factory=list)
    """Seconds of each cycle, without jams."""
    haste: list[float] = field(default_factory=list)
    """How much faster a cycle begins than it ends, -0.15 to 0.15."""
    jams: dict[int, tuple[float, float, float]] = field(default_factory=dict)
    """Cycle -> where in it the machine stops, for how many seconds, how far a bottle is pushed
    askew (degrees)."""
    slow: set[int] = field(default_factory=set)
    swapped: set[int] = field(default_factory=set)
    """Cycles in the wrong order."""
    absent: dict[int, str] = field(default_factory=dict)
    """Bottles that are not there, and of which anomaly that is part."""
    tilts: dict[int, float] = field(default_factory=dict)
    """Bottles that lean, degrees to the right; 90 lies."""


@dataclass(frozen=True)
class Shift:
    """The machine at work: (T,) one value per frame, (T, K) one per frame and bottle."""

    phase: np.ndarray
    """Where in its cycle the machine is, [0, 1); stands still in a jam."""
    repetition: np.ndarray
    """Number of the cycle, from 0."""
    action: np.ndarray
    """The stage, one of STAGES."""
    anomaly: np.ndarray
    """One of ANOMALIES, or None."""
    belt: np.ndarray
    """How far the belt has moved, places; bottle k stands k - belt places before the head."""
    head: np.ndarray
    """How far the filling head has come down, 0 to 1."""
    flow: np.ndarray
    """Whether it pours."""
    robot: np.ndarray
    """Where in its programme the robot is, [0, 1)."""
    holds: np.ndarray
    """Whether the robot holds a cap."""
    level: np.ndarray
    """(T, K) how full each bottle is, 0 to 1."""
    capped: np.ndarray
    """(T, K)"""
    there: np.ndarray
    """(K,)"""
    tilt: np.ndarray
    """(T, K) degrees."""
    first: int
    """Number of the first bottle of those K."""

    def segments(self) -> list[tuple[int, int, str]]:
        """Start, stop, kind of each anomaly, frames [start, stop)."""
        kinds = [k or "" for k in self.anomaly.tolist()]
        edges = [i for i in range(1, len(kinds)) if kinds[i] != kinds[i - 1]]
        runs = zip([0, *edges], [*edges, len(kinds)], strict=True)
        return [(a, b, kinds[a]) for a, b in runs if kinds[a]]


def plan(rng: np.random.Generator, kinds: Sequence[str] = (), seconds: float = 0) -> Plan:
    """A plan with those anomalies, one after the other, normal cycles around each.

    seconds: how long it must last at least. The tempo wanders from cycle to cycle.
    """
    made, tempo = Plan(), rng.normal()

    def work(cycles: int, slower: float = 1.0) -> None:
        nonlocal tempo
        for _ in range(cycles):
            tempo = 0.7 * tempo + 0.71 * rng.normal()
            made.lengths.append(float(np.clip(2.5 + 0.2 * tempo, 2.04, 2.96)) * slower)
            made.haste.append(float(rng.uniform(-0.12, 0.12)))

    for kind in kinds:
        work(int(rng.integers(4, 7)))
        at = len(made.lengths)
        if kind == "jam":
            place = rng.choice([rng.uniform(0.08, 0.22), rng.uniform(0.3, 0.9)])
            askew = float(rng.uniform(6, 11)) if place < 0.25 else 0.0
            made.jams[at] = (float(place), float(rng.uniform(4, 7)), askew)
            work(1)
        elif kind == "slow-down":
            cycles = int(rng.integers(2, 5))
            made.slow |= set(range(at, at + cycles))
            work(cycles, float(rng.uniform(1.7, 2.2)))
        elif kind == "wrong-order":
            cycles = int(rng.integers(2, 4))
            made.swapped |= set(range(at, at + cycles))
            work(cycles)
        elif kind == "tilted-bottle":
            lies = rng.random() < 0.4
            made.tilts[at + 1] = 90.0 if lies else float(rng.choice([-1, 1]) * rng.uniform(11, 17))
            work(4)
        else:
            shape = {"missing-bottle": "-", "single-bottle": "--o--", "running-empty": "----"}[kind]
            made.absent |= {at + 1 + i: kind for i, c in enumerate(shape) if c == "-"}
            work(len(shape) + 3)
    work(int(rng.integers(4, 7)))
    while sum(made.lengths) < seconds + 3:
        work(1)
    return made


def run(plan: Plan, seconds: float = 0, begin: float = 0.0) -> Shift:
    """The machine at work by a plan, from `begin` (in cycle 0) on; seconds: 0 is to the end."""
    cycle, phase, stuck, askew = _clock(plan, seconds, begin)
    frames, count = len(phase), len(plan.lengths)
    swapped = np.isin(cycle, list(plan.swapped))
    head = np.where(swapped, _swap(phase, SWAPPED_HEAD), phase)
    robot = np.where(swapped, _swap(phase, SWAPPED_ROBOT), phase)

    first = -4
    bottles = np.arange(first, count + 5)
    there = ~np.isin(bottles, list(plan.absent))
    tilts = np.array([plan.tilts.get(int(k), 0.0) for k in bottles])
    belt = cycle - 1 + _smooth(phase / STAGES["move"])
    filled = np.clip((head - STAGES["lower"]) / (STAGES["fill"] - STAGES["lower"]), 0, 1)
    good = there & (np.abs(tilts) < 5)
    under = bottles == cycle[:, None]  # (T, K)
    level = good * ((bottles < cycle[:, None]) + under * filled[:, None])
    behind = bottles == cycle[:, None] - 1
    capped = good & ((bottles < cycle[:, None] - 1) | behind & (robot >= CAPPED)[:, None])

    tilt = there * (tilts + under * askew[:, None])  # in a jam the one on its way is pushed askew
    pours = (head >= STAGES["lower"]) & (head < STAGES["fill"])
    target = good[np.clip(cycle - 1 - first, 0, len(good) - 1)]  # is there one to be capped?
    last = good[np.clip(cycle - 2 - first, 0, len(good) - 1)]
    holds = np.where(target, robot < CAPPED, True) & ((robot >= TAKEN) | ~last & (robot < LET_GO))

    ends = list(STAGES.values())
    stage = np.searchsorted(ends, head, side="right").clip(0, len(ends) - 1)
    early = swapped & (phase >= STAGES["move"]) & (head <= STAGES["move"])
    stage[early] = ends.index(STAGES["cap"])
    late = swapped & (head > STAGES["raise"])
    stage[late] = ends.index(STAGES["rest"])
    return Shift(
        phase=phase,
        repetition=cycle,
        action=np.array(list(STAGES), object)[stage],
        anomaly=_anomalies(plan, frames, cycle, phase, stuck, belt),
        belt=belt,
        head=_smooth((head - STAGES["move"]) / (STAGES["lower"] - STAGES["move"]))
        * (1 - _smooth((head - STAGES["fill"]) / (STAGES["raise"] - STAGES["fill"]))),
        flow=pours & (good & under).any(1),
        robot=robot,
        holds=holds,
        level=level,
        capped=capped,
        there=there,
        tilt=tilt,
        first=first,
    )


TAKEN, LET_GO = 0.30, 0.27
"""Where in its programme the robot takes a cap, and lets go of one that it could not place."""
SWAPPED_ROBOT = ((0, 0.28, 0.60, 1), (0, 0.28, 0.94, 1))
SWAPPED_HEAD = ((0, 0.28, 0.60, 0.94, 1), (0, 0.28, 0.28, 0.70, 1))
"""Clock -> place in the programme, in a cycle of the wrong order."""


def _clock(plan: Plan, seconds: float, begin: float) -> tuple[np.ndarray, ...]:
    """Cycle, phase, whether it is stuck, and how far the stuck bottle leans, in each frame."""
    pauses = np.array([plan.jams.get(n, (0, 0, 0))[1] for n in range(len(plan.lengths))])
    starts = np.concatenate([[0], np.cumsum(np.array(plan.lengths) + pauses)])
    frames = int((seconds or starts[-1] - begin) * FPS)
    time = begin + np.arange(frames) / FPS
    cycle = np.searchsorted(starts, time, side="right") - 1
    since, length = time - starts[cycle], np.array(plan.lengths)[cycle]
    stuck, askew = np.zeros(frames, bool), np.zeros(frames)
    for n, (place, pause, lean) in plan.jams.items():
        inside = cycle == n
        stop = _when(place, plan.haste[n]) * plan.lengths[n]
        held = since[inside] - stop
        stuck[inside] = (held >= 0) & (held < pause)
        askew[inside] = lean * np.clip(np.minimum(held, pause - held) / 0.25, 0, 1)
        since[inside] = np.where(held < 0, since[inside], np.maximum(stop, since[inside] - pause))
    share, haste = since / length, np.array(plan.haste)[cycle]
    phase = share + haste * np.sin(2 * np.pi * share) / (2 * np.pi)
    return cycle, np.clip(phase, 0, np.nextafter(1, 0)), stuck, askew


def _when(place: float, haste: float) -> float:
    """The share of its time after which a cycle is at a place."""
    share = np.linspace(0, 1, 2001)
    return float(np.interp(place, share + haste * np.sin(2 * np.pi * share) / (2 * np.pi), share))


def _swap(phase: np.ndarray, knots: tuple) -> np.ndarray:
    return np.interp(phase, *knots)


def _smooth(x: np.ndarray) -> np.ndarray:
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)


def _anomalies(plan, frames, cycle, phase, stuck, belt) -> np.ndarray:
    """The kind in each frame, None where all is well: where it can be seen."""
    out = np.full(frames, None, object)
    for k, kind in plan.absent.items():
        out[_seen(k, belt)] = kind
    single = [k for k, kind in plan.absent.items() if kind == "single-bottle"]
    for k in single:  # the bottle between the empty places is part of it
        if k + 1 not in plan.absent and k + 2 in plan.absent:
            out[_seen(k + 1, belt)] = "single-bottle"
    for k in plan.tilts:
        out[_seen(k, belt)] = "tilted-bottle"
    out[np.isin(cycle, list(plan.slow))] = "slow-down"
    for n in plan.swapped:
        begun = phase >= STAGES["move"] if n - 1 not in plan.swapped else True
        out[(cycle == n) & begun] = "wrong-order"
    out[stuck] = "jam"
    return out


def _seen(bottle: int, belt: np.ndarray) -> np.ndarray:
    """In which frames the place of a bottle is in sight."""
    return (bottle - belt < BEFORE) & (bottle - belt > BEHIND)
