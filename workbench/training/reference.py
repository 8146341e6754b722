"""What is normal: the rows of one or several videos, and from which score on to raise an alarm."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pydantic import Field

from workbench.analysis import anomaly
from workbench.analysis.periodicity import main_period
from workbench.config import Config
from workbench.data.live import Watched, watch
from workbench.data.readers import BadVideo
from workbench.training.sight import Sight, Tick, ticks

MOST = 20_000
"""Rows of a reference that are compared with; of a longer one every second, third, ... row."""
JOIN = 1.0
"""Seconds: alarms closer than this are one."""
CLOSE = 1.0
"""Seconds: moments of a reference this near are the same moment, where it does not repeat."""
FOLDS = 4
"""Groups of stretches of a reference that are judged by the others."""
FURTHEST = 100
"""How much rarer than one alarm in the normal video the alarms may be that a threshold aims at."""
FAR = 1e7
"""Seconds between the moments of two videos."""
SAME_RATE = 0.02
"""Rates that differ by less than this share are the same."""
COMPACT = 32
"""Directions in which cycles are looked for, half of them principal components."""
BATCH = 64
"""Rows of a file that are seen at a time."""


class VigilConfig(Config):
    """How rows are compared, and what is an alarm."""

    k: int = Field(1, ge=1)
    """Which nearest normal moment counts: 1 the nearest, 3 the third nearest, ..."""
    metric: anomaly.Metric = "euclidean"
    """Distance of unit vectors, or 1 - cosine."""
    smooth: float = Field(0.5, ge=0)
    """Seconds over which scores are averaged."""
    phase_aware: bool = False
    """Compare only with normal moments at the same phase of the cycle."""
    width: float = Field(0.1, gt=0, le=0.5)
    """How far the phase of a normal moment may be off, in cycles."""
    alarms_per_hour: float | None = Field(None, gt=0)
    """False alarms per hour that the threshold aims at; default: as few as can be told."""
    threshold: float | None = None
    """Score from which on there is an alarm; default: from the budget of false alarms."""


class Threshold(NamedTuple):
    """From which score on there is an alarm, and how that was chosen, in words."""

    value: float
    how: str
    budget: anomaly.Budget | None = None


@dataclass(frozen=True)
class Reference:
    """What is normal."""

    z: np.ndarray
    """(M, D) float32 rows."""
    video: np.ndarray
    """(M,) which of `names` each is of."""
    frame: np.ndarray
    """(M,) its frame there."""
    seconds: np.ndarray
    """(M,) its second there."""
    names: tuple[str, ...]
    paths: tuple[Path, ...]
    rate: float
    """Ticks per second, of all that is compared."""
    hop: int
    """Ticks from row to row of a video to be judged."""
    every: int
    """How many of such rows there are to one of the reference."""
    span: int
    """Ticks that a row is seen in."""
    shape: tuple[int, int]
    """Height and width of its pictures, as they are looked at."""
    dim: int
    """Numbers in a row as a sight gives it."""
    raw: np.ndarray
    """(M, dim) the rows as a sight gives them."""
    fit: Callable[[np.ndarray, np.ndarray], Callable[[np.ndarray], np.ndarray]]
    """Such rows of a reference, and their moments -> what tells rows beside them."""
    express: Callable[[np.ndarray], np.ndarray]
    """Rows as a sight gives them -> rows to compare."""
    mean: np.ndarray
    components: np.ndarray
    period: float
    """Rows of a video to be judged per cycle; NaN: nothing repeats."""
    confidence: float
    phase: np.ndarray | None
    """(M,) in [0, 1), where it repeats and phases are asked for."""
    notes: tuple[str, ...]

    @property
    def row_seconds(self) -> float:
        """Seconds from row to row of a video to be judged."""
        return self.hop / self.rate

    @property
    def length(self) -> float:
        """Seconds of all its videos."""
        return len(self.z) * self.every * self.row_seconds

    def compact(self, z: np.ndarray) -> np.ndarray:
        """(N, C) of (N, D) rows: what cycles are looked for in."""
        return (z - self.mean) @ self.components.T


def read_reference(
    places: Iterable[str | Path],
    sight: Sight,
    config: VigilConfig,
    progress: Callable[[int, int], object] = lambda done, total: None,
) -> Reference:
    """The reference out of videos, or folders of videos, of the normal process."""
    opened = _opened(places, sight.side)
    videos = [video for _, video in opened]
    rate = sight.rate or videos[0].fps or 30.0
    hop = sight.hop(rate)
    expected = sum((v.n_frames or 0) * rate / (v.fps or rate) for v in videos) / hop
    every = max(1, math.ceil(expected / MOST))
    total, done = sum(v.n_frames or 0 for v in videos), 0
    parts, seen, number, notes = [], [], [], []
    for k, video in enumerate(videos):
        taken, note = at_rate(video, rate)
        notes += [f"reference {video.name}: {note}"] if note else []
        passing = counted(taken, lambda n, before=done: progress(before + n, total))
        rows = 0
        for found in sight.rows(passing, hop, BATCH):
            parts.append(found.z[-rows % every :: every])
            shape = found.ticks[0].picture.shape[:2]
            kept = found.ticks[-rows % every :: every]
            seen += [tick._replace(picture=None) for tick in kept]
            number += [k] * len(parts[-1])
            rows += len(found.z)
        done += video.n_frames or 0
        if not rows:
            notes.append(too_short(f"reference {video.name}", video, sight, rate))
    if not parts:
        raise ValueError(notes[-1])
    raw, number = np.concatenate(parts), np.array(number)
    if config.k > len(raw):
        raise ValueError(
            f"k is {config.k} and the reference has {len(raw)} rows. Lower k, or give a longer "
            "reference."
        )
    moments = np.array([tick.seconds for tick in seen]) + FAR * number
    express = sight.fit(raw, moments)
    z = express(raw)
    mean, components = _principal(z)
    compact, longest = (z - mean) @ components.T, int(np.bincount(number).argmax())
    period, confidence = whole_period(compact[number == longest])
    phase = None
    if config.phase_aware and not math.isnan(period):
        phase = _reference_phase(compact, number, longest, period)
    found = Reference(
        z=z,
        video=number,
        frame=np.array([tick.frame for tick in seen]),
        seconds=np.array([tick.seconds for tick in seen]),
        names=_names([path for path, _ in opened]),
        paths=tuple(path for path, _ in opened),
        rate=rate,
        hop=hop,
        every=every,
        span=sight.span,
        shape=shape,
        dim=raw.shape[1],
        raw=raw,
        fit=sight.fit,
        express=express,
        mean=mean,
        components=components,
        period=period * every,
        confidence=confidence,
        phase=phase,
        notes=tuple(notes),
    )
    return (
        found
        if not math.isnan(period)
        else replace(found, notes=(*notes, _aperiodic(found, config)))
    )


def _opened(places: Iterable[str | Path], side: int) -> list[tuple[Path, Watched]]:
    """Every video of the places with its path; nothing is decoded yet."""
    found = []
    for place in map(Path, places):
        for video in watch(str(place), side):
            if video.n_frames is None and not place.is_dir():
                raise BadVideo(f"{place} is no file", "A reference is a file or a folder of them.")
            found.append((place / video.name if place.is_dir() else place, video))
    if not found:
        raise ValueError("a reference needs at least one video of the normal process.")
    return found


def _names(paths: list[Path]) -> tuple[str, ...]:
    """What the videos are called: by their files, or in full where two are called the same."""
    names = tuple(path.name for path in paths)
    return names if len(set(names)) == len(names) else tuple(map(str, paths))


def _aperiodic(reference: Reference, config: VigilConfig) -> str:
    return (
        f"no repetition was found in the {reference.length:.1f} s of the reference: it is shorter "
        "than two cycles, or nothing repeats. Scores say how far each moment is from the nearest "
        f"normal one all the same{'; phases are left out' * config.phase_aware}."
    )


def choose_threshold(
    reference: Reference, config: VigilConfig, normal: Mapping[str, np.ndarray] = {}
) -> Threshold:
    """The threshold that the settings ask for, and how it came about.

    normal: averaged scores (N,) of held-out videos of the normal process, by name. Without them
    the reference judges itself: each moment by what is not near it in time, that is by other
    repetitions.
    """
    if config.threshold is not None:
        return Threshold(config.threshold, "given")
    step = reference.row_seconds * (1 if normal else reference.every)
    scores = list(normal.values()) if normal else _own_scores(reference, config)
    rows = sum(int(np.isfinite(s).sum()) for s in scores)
    if not rows:
        return Threshold(
            math.inf,
            f"none: the {reference.length:.1f} s of the reference are too short to judge "
            "themselves. There are scores but no alarms; give --normal VIDEO or --threshold",
        )
    resolution = 3600 / (rows * step)
    repeats = bool(normal) or not math.isnan(reference.period)
    asked = config.alarms_per_hour or resolution
    budget = max(asked, resolution / (FURTHEST if repeats else 1))
    found = anomaly.threshold_for(scores, step, budget, joined_rows(step))
    if normal:
        source = f"held-out normal video ({', '.join(normal)})"
    elif repeats:
        source = "the reference itself, each stretch judged by other repetitions"
    else:
        source = f"the reference itself, each stretch judged by what is over {CLOSE:g} s away"
    how = (
        f"for about {budget:.3g} false alarm{'s' * (budget != 1)} per hour, from "
        f"{60 * found.hours:.1f} min of {source}"
    )
    if not repeats:
        how += ". Nothing repeats there, so that what came once looks strange in it"
    if budget > asked:
        how += (
            f". It is too short to aim at {asked:g} per hour; give longer normal video, as --normal"
        )
    elif config.alarms_per_hour is None:
        how += (
            ": its highest score. It is too short to tell rarer ones; give longer normal video, as "
            "--normal, or a lower --alarms-per-hour for a guess beyond what was seen"
        )
    elif found.extrapolated:
        how += (
            f". One alarm in it stands for {found.resolution:.3g} per hour, so the threshold is "
            "drawn out from its highest scores and a guess; longer normal video makes it better"
        )
    else:
        how += (
            f", which has {found.allowed} at this threshold; one alarm in it stands for "
            f"{found.resolution:.3g} per hour"
        )
    return Threshold(float(found.threshold), how, found)


def half_span(config: VigilConfig, row_seconds: float) -> int:
    """Rows on either side of the middle one that are averaged."""
    return math.ceil(config.smooth / row_seconds - 1e-6) // 2


def joined_rows(row_seconds: float) -> int:
    """Rows of a gap that does not end an alarm."""
    return max(0, math.ceil(JOIN / row_seconds - 1e-6) - 1)


def at_rate(video: Watched, rate: float) -> tuple[Iterator[Tick], str]:
    """The pictures of a video at a rate, and what is to be said about that ("": nothing)."""
    if video.fps is not None and abs(video.fps / rate - 1) < SAME_RATE:
        return ticks(video.frames, video.fps), ""
    note = ""
    if video.fps is not None:
        less = video.fps < rate
        note = (
            f"it has {video.fps:.2f} frames per second and is compared at {rate:.2f}: pictures are "
            f"taken by their times, so some {'come twice' if less else 'are left out'}."
        )
        if less:
            note += " Videos of one rate are compared more finely."
    return ticks(video.frames, video.fps, rate), note


def _own_scores(reference: Reference, config: VigilConfig) -> list[np.ndarray]:
    """The averaged scores of each video of a reference, judged by the rest of it.

    Stretches of it are left out in turn, `FOLDS` groups of them, with what is near them in time:
    what is usual is learned, and compared with, without them, as for a new video.
    """
    step = reference.row_seconds * reference.every
    same = CLOSE if math.isnan(reference.period) else reference.period * reference.row_seconds / 2
    gap = max(1, math.ceil(max(same, (reference.span - 1) / reference.rate) / step))
    video, phase = reference.video, reference.phase
    row = np.concatenate([np.arange(n) for n in np.bincount(video)])
    fold = row // (2 * gap) % FOLDS
    scores = np.full(len(row), np.nan)
    for f in range(FOLDS):
        judged = fold == f
        near = judged.copy()
        for lag in range(1, gap + 1):
            together = video[lag:] == video[:-lag]
            near[lag:] |= judged[:-lag] & together
            near[:-lag] |= judged[lag:] & together
        bank = ~near
        if not judged.any() or bank.sum() < max(2, config.k):
            continue
        moments = reference.seconds[bank] + FAR * video[bank]
        express = reference.fit(reference.raw[bank], moments)
        z, normal = express(reference.raw[judged]), express(reference.raw[bank])
        if phase is None:
            scores[judged] = anomaly.anomaly_scores(z, normal, config.k, config.metric)[0]
        else:
            phases = phase[judged], normal, phase[bank]
            more = config.width, config.k, config.metric
            scores[judged] = anomaly.phase_aware_scores(z, *phases, *more)[0]
    span = 2 * half_span(config, step) + 1
    return [anomaly.smooth(scores[video == v], span) for v in np.unique(video)]


def _reference_phase(
    compact: np.ndarray, video: np.ndarray, first: int, period: float
) -> np.ndarray:
    """(M,) phases of all videos, 0 where it is 0 in the first."""
    from workbench.analysis.phase import phase, phase_like

    phases = np.full(len(compact), np.nan)
    phases[video == first] = own = phase(compact[video == first], period)
    for other in set(np.unique(video)) - {first}:
        phases[video == other] = phase_like(compact[video == other], compact[video == first], own)
    return phases


def whole_period(rows: np.ndarray, usual: float = math.nan) -> tuple[float, float]:
    """Rows per cycle (NaN: nothing repeats), and how sure that is, also of a single row.

    usual: the cycle of the reference, where it has one; none beyond twice that is looked for.
    """
    if len(rows) < 2 or rows.shape[1] < 2:
        return math.nan, 0.0
    return main_period(rows, longest=None if math.isnan(usual) else max(4, math.ceil(2 * usual)))


def _principal(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(D,) mean of the rows and (C, D) directions: principal ones of a sample, and random ones.

    The random ones see what does not move in the reference, because it is short, say.
    """
    mean = z.mean(axis=0)
    some = z[:: max(1, len(z) // 2000)] - mean
    half = COMPACT // 2
    principal = np.linalg.svd(some, full_matrices=False)[2][:half]
    random = np.random.default_rng(0).normal(size=(half, z.shape[1]))
    random /= np.linalg.norm(random, axis=1, keepdims=True)
    return mean, np.concatenate([principal, random]).astype(np.float32)


def counted(taken: Iterable[Tick], tell: Callable[[int], object]) -> Iterator[Tick]:
    """The same ticks; `tell` hears how many frames have gone by."""
    for tick in taken:
        yield tick
        tell(tick.frame + 1)


def too_short(what: str, video: Watched, sight: Sight, rate: float) -> str:
    """What is said of a video with too few frames."""
    n = video.n_frames
    return (
        f"{what} has {'no frames' if n is None else f'{n} frames'}; what is compared needs "
        f"{sight.span} ({sight.span / rate:.2f} s at {rate:.2f} per second). Give a longer one, or "
        "leave out --run: plain pictures need one frame."
    )


def normal_pictures(
    reference: Reference, wanted: Iterable[tuple[int, int]], side: int
) -> dict[tuple[int, int], np.ndarray]:
    """(H, W, 3) uint8 pictures of a reference by (number of its video, frame).

    Its videos are read once more; what cannot be read any more is left out.
    """
    found: dict[tuple[int, int], np.ndarray] = {}
    missing = set(wanted)
    for number in sorted({number for number, _ in missing}):
        last = max(frame for video, frame in missing if video == number)
        try:
            (video,) = watch(str(reference.paths[number]), side)
            for frame, (picture, _) in enumerate(video.frames):
                if (number, frame) in missing:
                    found[number, frame] = np.array(picture)
                if frame == last:
                    break
        except BadVideo:
            continue
    return found
