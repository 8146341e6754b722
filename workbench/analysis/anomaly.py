"""How strange each moment of a process is, and which moments are worth an alarm.

Strange is what is far from every moment of a normal reference: the distance of unit vectors to the
nearest normal row (CycleCL supplement, figure C). An alarm is an unbroken row of moments whose
score is at or above a threshold; spans are rows [start, stop).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from workbench.analysis import detection
from workbench.analysis.neighbours import Rule, apart, both, knn, self_knn
from workbench.analysis.similarity import unit

Metric = Literal["euclidean", "cosine"]
NORMAL = ("background", "normal")
"""Labels of moments that are not strange, beside None and False."""
TAIL = 20
"""Alarms from whose peaks the tail is drawn where a budget asks for rarer ones than were seen."""
BLOCK = 4096
"""Rows whose differences are held at once."""


class Rates(NamedTuple):
    """How right alarms are, moment by moment."""

    precision: float
    """Share of the alarmed moments that are abnormal; NaN: none is alarmed."""
    recall: float
    """Share of the abnormal moments that are alarmed; NaN: none is abnormal."""
    f1: float
    """Their harmonic mean; 0 where nothing abnormal is alarmed."""
    false_positive_rate: float
    """Share of the normal moments that are alarmed; NaN: none is normal."""


class Events(NamedTuple):
    """How right alarms are, event by event."""

    recall: float
    """Share of the events with an alarm in them; NaN: there are none."""
    delay: float
    """Mean over these, rows from the event's start to the first alarmed row in it; NaN: none."""
    false_alarms: int
    """Alarms that touch no event."""
    delays: np.ndarray
    """(E,) rows of each event; NaN: missed."""


class Budget(NamedTuple):
    """A threshold for so many false alarms per hour, and how well it is known."""

    threshold: float
    allowed: int
    """Alarms that the normal video has at this threshold."""
    hours: float
    """Length of the normal video that was scored."""
    resolution: float
    """Alarms per hour that one alarm of the normal video stands for: no smaller rate was seen."""
    extrapolated: bool
    """The budget is below the resolution: the threshold lies beyond what was seen."""


def anomaly_scores(
    z: np.ndarray, normal: np.ndarray, k: int = 1, metric: Metric = "euclidean"
) -> tuple[np.ndarray, np.ndarray]:
    """Distance of each row to its k-th nearest normal row, and which normal row is nearest.

    z: (N, D) rows to judge; normal: (M, D) rows of the normal process; lengths do not matter.
    Returns scores (N,) float32, sqrt(2 - 2 cos) or ("cosine") 1 - cos, larger is stranger; and
    nearest (N,) int. A row with a NaN has score NaN and nearest -1. (CycleCL supplement, fig. C.)
    """
    _check(normal, k)
    return _scored(z, normal, *knn(z, normal, k), metric)


def phase_aware_scores(
    z: np.ndarray,
    phase: np.ndarray,
    normal: np.ndarray,
    normal_phase: np.ndarray,
    width: float = 0.1,
    k: int = 1,
    metric: Metric = "euclidean",
) -> tuple[np.ndarray, np.ndarray]:
    """The same, compared only with normal rows of about the same phase [our reconstruction].

    phase: (N,), normal_phase: (M,), in [0, 1), NaN where there is none; width: how far around the
    circle a normal row may be. A row without a phase, or at whose phase there is no normal row, is
    compared with all; where there are fewer than k, the farthest of them counts.
    """
    _check(normal, k)
    scores, nearest = _scored(
        z, normal, *knn(z, normal, k, near(phase, normal_phase, width)), metric
    )
    lost = np.flatnonzero((nearest < 0) & ~np.isnan(z).any(1))
    if len(lost):
        scores[lost], nearest[lost] = anomaly_scores(z[lost], normal, k, metric)
    return scores, nearest


def left_out_scores(
    normal: np.ndarray,
    video: np.ndarray,
    row: np.ndarray,
    gap: float,
    k: int = 1,
    metric: Metric = "euclidean",
    phase: np.ndarray | None = None,
    width: float = 0.1,
) -> tuple[np.ndarray, np.ndarray]:
    """Scores of the normal rows themselves, each without those near it in time.

    normal: (M, D); video, row: (M,) where each row comes from; gap: rows of the same video up to
    this far away are left out (half a cycle leaves the other repetitions); phase: (M,), compares
    equal phases only. NaN and -1 where no row is left. These scores are a little larger than those
    of new normal video, which is compared with all rows: thresholds from them are on the safe side.
    """
    allowed = apart(video, row, gap)
    if phase is not None:
        allowed = both(allowed, near(phase, phase, width))
    return _scored(normal, normal, *self_knn(normal, k, allowed), metric)


def expected_phase(phase: np.ndarray, period: float) -> np.ndarray:
    """The phase that the rows around each one make likely, whatever it looks like itself.

    phase: (N,) in [0, 1), NaN where there is none; period: rows per cycle. It goes on evenly: the
    mean around the circle of what the rows within a cycle to either side say [our reconstruction].
    So a step of the cycle that is done at the wrong time keeps the phase of that time.
    """
    phase = np.asarray(phase, float)
    rows, half = np.arange(len(phase)), max(1, round(period))
    turns = np.nan_to_num(np.exp(2j * np.pi * (phase - rows / period)))
    sums = np.concatenate([[0], np.cumsum(turns)])
    mean = sums[np.minimum(len(rows), rows + half + 1)] - sums[np.maximum(0, rows - half)]
    expected = (np.angle(mean) / (2 * np.pi) + rows / period) % 1
    return np.where(np.isnan(phase) | (np.abs(mean) < 1e-9), np.nan, expected)


def near(phase: np.ndarray, bank_phase: np.ndarray, width: float) -> Rule:
    """Allow rows at most `width` around the circle; a row without a phase meets all."""
    phase, bank_phase = np.asarray(phase, float), np.asarray(bank_phase, float)

    def allowed(i: np.ndarray, j: np.ndarray) -> np.ndarray:
        apart_by = np.abs(phase[i] - bank_phase[j]) % 1
        return (np.minimum(apart_by, 1 - apart_by) <= width + 1e-9) | np.isnan(phase[i])

    return allowed


def smooth(scores: np.ndarray, span: float) -> np.ndarray:
    """Centred moving average over `span` rows of one recording (rounded up to an odd number).

    At the edges and around NaN it is the mean of what is there; a NaN stays NaN.
    """
    half = _half(span)
    scores = np.asarray(scores, float)
    known = ~np.isnan(scores)
    sums = np.concatenate([[0.0], np.cumsum(np.where(known, scores, 0.0))])
    counts = np.concatenate([[0], np.cumsum(known)])
    rows = np.arange(len(scores))
    start, stop = np.maximum(0, rows - half), np.minimum(len(scores), rows + half + 1)
    with np.errstate(invalid="ignore"):
        return np.where(known, (sums[stop] - sums[start]) / (counts[stop] - counts[start]), np.nan)


def is_abnormal(labels: Sequence) -> np.ndarray:
    """(N,) bool: which labels name an anomaly; None, NaN, False and `NORMAL` do not."""
    labels = np.asarray(labels)
    if labels.dtype == bool:
        return labels
    words = pd.Series(labels, dtype=object)
    return ~(words.isna() | words.isin([*NORMAL, False])).to_numpy(bool)


def average_precision(scores: np.ndarray, abnormal: np.ndarray) -> float:
    """Average precision of finding the abnormal moments by their scores.

    scores: (N,), larger is stranger, rows with NaN are left out; abnormal: (N,) bool. NaN where
    nothing is abnormal. Chance is the share of abnormal moments.
    """
    scores, abnormal = _known(scores, abnormal)
    return detection.average_precision(abnormal, scores)


def auroc(scores: np.ndarray, abnormal: np.ndarray) -> float:
    """Chance that an abnormal moment scores above a normal one, ties counting half.

    NaN where there is but one kind. Rows whose score is NaN are left out.
    """
    scores, abnormal = _known(scores, abnormal)
    many, few = np.sort(scores[~abnormal]), scores[abnormal]
    if not len(many) or not len(few):
        return float("nan")
    below, upto = (np.searchsorted(many, few, side) for side in ("left", "right"))
    return float((below + upto).mean() / 2 / len(many))


def best_f1(scores: np.ndarray, abnormal: np.ndarray) -> tuple[float, float]:
    """The largest F1 of any threshold, and the highest threshold that has it.

    It looks at the truth: an upper bound of what a threshold can reach. NaN without anomalies.
    """
    scores, abnormal = _known(scores, abnormal)
    if not abnormal.any():
        return float("nan"), float("nan")
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], np.cumsum(abnormal[order])
    last = np.flatnonzero(np.append(np.diff(ranked) != 0, True))  # the last one of each threshold
    f1 = 2 * hits[last] / (last + 1 + hits[-1])
    best = int(f1.argmax())
    return float(f1[best]), float(ranked[last[best]])


def f1_at(scores: np.ndarray, abnormal: np.ndarray, threshold: float) -> Rates:
    """Precision, recall, F1 and false-positive rate of alarming at `scores >= threshold`."""
    scores, abnormal = _known(scores, abnormal)
    alarmed = scores >= threshold
    hits, n, positives = np.sum(alarmed & abnormal), alarmed.sum(), abnormal.sum()
    return Rates(
        _share(hits, n),
        _share(hits, positives),
        _share(2 * hits, n + positives),
        _share(n - hits, len(scores) - positives),
    )


def knn_f1(
    z: np.ndarray,
    bank: np.ndarray,
    bank_labels: Sequence,
    labels: Sequence,
    k: int,
    allowed: Rule | None = None,
) -> tuple[float, float]:
    """Macro F1 of a vote of the k nearest labelled rows, and F1 of abnormal against normal.

    z: (N, D) with labels (N,); bank: (M, D) with bank_labels (M,): kinds of anomaly, None and
    `NORMAL` being one kind, or bool. A tied vote goes to the kind whose row is nearer. Macro: the
    mean over the kinds that are true or voted for [our reconstruction: the paper names no k].
    allowed: which rows of the bank may vote on which; a row on which none may is not judged.
    """
    _check(bank, k)
    kinds = [
        np.where(is_abnormal(w), np.asarray(w, dtype=object), "normal").astype(str)
        for w in (bank_labels, labels)
    ]
    codes, names = pd.factorize(np.concatenate(kinds))
    voting, truth = codes[: len(bank)], codes[len(bank) :]
    near = knn(z, bank, k, allowed)[1]  # (N, k), nearest first, -1 none
    near, truth = near[near[:, 0] >= 0], truth[near[:, 0] >= 0]
    if not len(near):
        return float("nan"), float("nan")
    votes = np.where(near < 0, -1, voting[near])
    counts = ((votes[:, :, None] == votes[:, None, :]) & (votes >= 0)[:, :, None]).sum(1)
    said = votes[np.arange(len(votes)), counts.argmax(1)]
    present = np.union1d(truth, said)
    macro = np.mean([_f1(truth == c, said == c) for c in present])
    normal = list(names).index("normal") if "normal" in names else -1
    return float(macro), _f1(truth != normal, said != normal)


def alarms(scores: np.ndarray, threshold: float, join: int = 0, shortest: int = 1) -> np.ndarray:
    """(K, 2) rows [start, stop) of each alarm: an unbroken row of `scores >= threshold`.

    join: gaps of up to so many rows do not break it; shortest: alarms of fewer rows are dropped
    (after joining). NaN is no alarm.
    """
    with np.errstate(invalid="ignore"):
        above = np.asarray(scores) >= threshold
    edges = np.flatnonzero(np.diff(above.astype(np.int8), prepend=0, append=0)).reshape(-1, 2)
    if not len(edges):
        return edges
    breaks = edges[1:, 0] - edges[:-1, 1] > join
    starts = edges[np.concatenate([[True], breaks]), 0]
    stops = edges[np.concatenate([breaks, [True]]), 1]
    spans = np.stack([starts, stops], axis=1)
    return spans[stops - starts >= shortest]


def event_scores(alarm_spans: np.ndarray, event_spans: np.ndarray) -> Events:
    """How many events were noticed, how late, and how many alarms were false, in one recording.

    alarm_spans: (K, 2), event_spans: (E, 2), rows [start, stop). An alarm that begins before an
    event and reaches into it notices it at once (delay 0).
    """
    found = np.reshape(np.asarray(alarm_spans, float), (-1, 2))
    events = np.reshape(np.asarray(event_spans, float), (-1, 2))
    meet = (found[None, :, 0] < events[:, None, 1]) & (found[None, :, 1] > events[:, None, 0])
    late = np.where(meet, np.maximum(found[None, :, 0] - events[:, None, 0], 0), np.inf)
    delays = late.min(axis=1, initial=np.inf)
    delays[np.isinf(delays)] = np.nan
    seen = delays[~np.isnan(delays)]
    return Events(
        float(len(seen) / len(events)) if len(events) else float("nan"),
        float(seen.mean()) if len(seen) else float("nan"),
        int((~meet.any(axis=0)).sum()),
        delays,
    )


def threshold_for(
    scores_on_normal: np.ndarray | Sequence[np.ndarray],
    seconds_per_row: float,
    alarms_per_hour: float,
    join: int = 0,
    shortest: int = 1,
) -> Budget:
    """The threshold at which normal video gives so many false alarms per hour [our reconstruction].

    scores_on_normal: (N,), smoothed as those to be judged, or one such array per recording; join
    and shortest as for `alarms`. The normal video of H hours may have A = floor(budget * H) alarms;
    the threshold is the peak of the A-th highest, so that new normal video has A of them per H
    hours on average. Where A is 0 the video is too short to see alarms that rare (one in H hours
    is its resolution): the threshold is then drawn out from the peaks of its `TAIL` highest alarms
    as if their excess were exponential, and `extrapolated` says so. Such a threshold is a guess
    that longer normal video would mend.
    """
    parts = [scores_on_normal] if np.ndim(scores_on_normal[0]) == 0 else scores_on_normal
    parts = [np.where(np.isnan(p), -np.inf, np.asarray(p, float)) for p in parts]
    seconds = seconds_per_row * sum(int(np.isfinite(p).sum()) for p in parts)
    if not seconds or alarms_per_hour <= 0:
        raise ValueError(
            "a threshold needs scores of normal video and a budget above 0 alarms per hour."
        )
    hours = seconds / 3600
    wall = np.full(1, -np.inf)
    signal = np.concatenate([np.append(_lasting(p, join, shortest), wall) for p in parts])
    levels, runs = _runs(signal)
    allowed = int(alarms_per_hour * hours * (1 + 1e-9))
    if not len(levels):  # no alarm lasts as long as it must
        threshold = float(np.nextafter(max(p.max(initial=-np.inf) for p in parts), np.inf))
    elif allowed:
        threshold = _level(levels, runs, allowed)
    else:
        threshold = _beyond(levels, runs, alarms_per_hour * hours)
    had = int(runs[levels >= threshold][-1:].sum())
    return Budget(float(threshold), had, hours, 1 / hours, not allowed)


def _level(levels: np.ndarray, runs: np.ndarray, allowed: int) -> float:
    """The highest level with `allowed` alarms, or where more come at once, just above these."""
    reached = np.flatnonzero(runs >= allowed)
    if not len(reached):  # never so many: everything may alarm
        return float(levels[runs.argmax()])
    first = reached[0]
    return float(levels[first] if runs[first] == allowed else np.nextafter(levels[first], np.inf))


def _beyond(levels: np.ndarray, runs: np.ndarray, expected: float) -> float:
    """The level that `expected` < 1 alarms would reach, from the peaks of the highest ones."""
    top = float(levels[0])
    n = min(TAIL, int(runs.max()))
    peaks = np.array([_level(levels, runs, a) for a in range(1, n + 1)])
    scale = float((peaks[:-1] - peaks[-1]).mean()) if n > 1 else 0.0
    return max(float(np.nextafter(top, np.inf)), float(peaks[-1]) + scale * np.log(n / expected))


def _runs(signal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(L,) levels, falling, and (L,) how many unbroken rows of `signal >= level` each has.

    That is the rows at or above it, less the pairs of neighbours that both are.
    """
    levels = np.unique(signal[np.isfinite(signal)])[::-1]
    pairs = np.minimum(signal[1:], signal[:-1])
    above = [len(s) - np.searchsorted(np.sort(s), levels, "left") for s in (signal, pairs)]
    return levels, above[0] - above[1]


def _lasting(scores: np.ndarray, join: int, shortest: int) -> np.ndarray:
    """A signal whose rows above any threshold are unbroken as often as there are alarms.

    Joining gaps is a closing, dropping short alarms an erosion; both commute with a threshold.
    """
    from scipy.ndimage import maximum_filter1d, minimum_filter1d

    signal = np.pad(scores, join + 1, constant_values=-np.inf)
    if join:
        signal = maximum_filter1d(signal, join + 1, mode="constant", cval=-np.inf)
        origin = 0 if join % 2 == 0 else -1  # an even window leans the other way on the way back
        signal = minimum_filter1d(signal, join + 1, mode="constant", cval=-np.inf, origin=origin)
    if shortest > 1:
        signal = minimum_filter1d(signal, shortest, mode="constant", cval=-np.inf)
    return signal


def _scored(
    z: np.ndarray, bank: np.ndarray, cosine: np.ndarray, ids: np.ndarray, metric: Metric
) -> tuple[np.ndarray, np.ndarray]:
    """Distances to the last found neighbour, from the differences: exact where they are small."""
    found = (ids >= 0).sum(1)
    last = ids[np.arange(len(ids)), np.maximum(0, found - 1)]
    scores = np.full(len(ids), np.nan, np.float32)
    for at in range(0, len(ids), BLOCK):
        rows = at + np.flatnonzero(found[at : at + BLOCK])
        if len(rows):
            off = unit(z[rows]) - unit(bank[last[rows]])
            scores[rows] = np.sqrt(np.einsum("nd,nd->n", off, off))
    return (scores if metric == "euclidean" else scores**2 / 2), ids[:, 0]


def _check(normal: np.ndarray, k: int) -> None:
    if not 1 <= k <= len(normal):
        raise ValueError(
            f"k is {k} and the reference has {len(normal)} rows; k must be at least 1 and at most "
            "that. Lower k, or give a longer reference."
        )


def _known(scores: np.ndarray, abnormal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    scores, abnormal = np.asarray(scores, float), np.asarray(abnormal, bool)
    known = ~np.isnan(scores)
    return scores[known], abnormal[known]


def _f1(truth: np.ndarray, said: np.ndarray) -> float:
    both_say, either = np.sum(truth & said), truth.sum() + said.sum()
    return float(2 * both_say / either) if either else 0.0


def _share(part: int, whole: int) -> float:
    return float(part / whole) if whole else float("nan")


def _half(span: float) -> int:
    """Rows on either side of the middle one."""
    return max(0, int(np.ceil(span)) // 2)
