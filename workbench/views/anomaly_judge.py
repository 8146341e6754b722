"""What the Anomalies page knows: scores of all recordings against the normal ones, and alarms."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from workbench.analysis import anomaly
from workbench.analysis.embeddings import Embeddings
from workbench.analysis.phase import phase_like
from workbench.data.manifest import DataSet
from workbench.data.video import BACKGROUND
from workbench.training.reference import CLOSE, joined_rows
from workbench.views.cycle import Cycle, rows_of

WIDTH = 0.1
"""How far around the cycle phase-aware scores look."""


@dataclass(frozen=True)
class Question:
    """What is normal, what is abnormal, and how moments are compared."""

    reference: tuple[str, ...]
    """Recordings of the normal process."""
    abnormal: frozenset[str] = frozenset()
    """Labels of anomalies; such moments of the reference are no part of it."""
    k: int = 1
    metric: anomaly.Metric = "euclidean"
    phase_aware: bool = False
    seconds: float = 0.5
    """Scores are averaged over so long."""
    camera: str | None = None
    """Whose scores count; None: those of all cameras together."""
    mean: bool = False
    """The mean over cameras, not the largest."""

    @property
    def distances(self) -> tuple:
        """What the distances depend on; the rest is quickly changed."""
        return (self.reference, self.abnormal, self.k, self.metric, self.phase_aware)


@dataclass(frozen=True)
class Track:
    """The scores of a recording as one camera sees it; T rows, in order of time."""

    rows: np.ndarray
    """(T,) row numbers of the embeddings."""
    frames: np.ndarray
    """(T,) frames of the recording, ascending."""
    scores: np.ndarray
    """(T,) distances to the k-th nearest normal row, NaN where there is none to compare with."""
    nearest: np.ndarray
    """(T,) row number of the nearest normal row, -1 where there is none."""


@dataclass(frozen=True)
class Distances:
    """How far all rows are from the normal ones."""

    tracks: dict[tuple[str, str], Track]
    """By recording and camera."""
    notes: tuple[str, ...]
    """What could not be done as asked, as Markdown without names of files."""


@dataclass(frozen=True)
class Judged:
    """The scores of a recording; T rows, evenly spaced, in order of time."""

    recording: str
    frames: np.ndarray
    """(T,) frames of the recording."""
    by_camera: dict[str, np.ndarray]
    """(T,) smoothed scores as each camera has them, NaN where it has none."""
    scores: np.ndarray
    """(T,) smoothed scores that count."""
    labels: np.ndarray
    """(T,) what each shows, None where unknown."""
    abnormal: np.ndarray
    """(T,) bool: whether that is an anomaly."""
    events: np.ndarray
    """(E, 2) rows [start, stop) of the anomalies."""
    reference: bool
    """Part of the reference: each moment is compared with other recordings of it."""
    fps: float

    @cached_property
    def step(self) -> float:
        """Frames from row to row."""
        return float(np.median(np.diff(self.frames))) if len(self.frames) > 1 else 1.0

    @property
    def row_seconds(self) -> float:
        """Seconds from row to row."""
        return self.step / self.fps

    def alarms(self, threshold: float) -> np.ndarray:
        """(K, 2) rows [start, stop) of the alarms."""
        return anomaly.alarms(self.scores, threshold, joined_rows(self.row_seconds))

    def worst(self) -> int:
        """The row with the highest score, -1 where there is no score."""
        return int(np.nanargmax(self.scores)) if np.isfinite(self.scores).any() else -1


@dataclass(frozen=True)
class Alarm:
    """Frames [start, stop) of a recording that are worth a look."""

    recording: str
    start: int
    stop: int
    peak: int
    """Frame of the highest score."""
    score: float
    kind: str | None
    """The anomaly that it meets, None: none is known there."""


@dataclass(frozen=True)
class Found:
    """What a threshold finds in the judged recordings."""

    alarms: tuple[Alarm, ...]
    """Highest peak first."""
    rates: anomaly.Rates
    events: int
    noticed: int
    delay: float
    """Seconds, mean over the noticed events; NaN: none."""
    false_alarms: int
    """Alarms that meet no event."""


@dataclass(frozen=True)
class Judgement:
    """All recordings that have scores, in the order of the data set."""

    recordings: tuple[Judged, ...]
    distances: Distances
    question: Question

    @cached_property
    def judged(self) -> tuple[Judged, ...]:
        """Those that are neither the reference nor what thresholds come from, if there are any."""
        others = [r for r in self.recordings if not r.reference]
        source = self.normal[0] if self.normal[1] else ()
        return tuple([r for r in others if r not in source] or others or self.recordings)

    @cached_property
    def normal(self) -> tuple[tuple[Judged, ...], bool]:
        """Recordings to take thresholds from, and whether they are other than the reference."""
        labelled = bool(self.question.abnormal)
        held = [r for r in self.recordings if labelled and not r.reference and not len(r.events)]
        return (tuple(held), True) if held else (tuple(self._own()), False)

    def _own(self) -> Iterable[Judged]:
        return (r for r in self.recordings if r.reference)

    @cached_property
    def scores(self) -> np.ndarray:
        """(N,) scores of all judged rows."""
        return np.concatenate([r.scores for r in self.judged] or [np.zeros(0)])

    @cached_property
    def abnormal(self) -> np.ndarray:
        """(N,) bool: which of them are abnormal."""
        return np.concatenate([r.abnormal for r in self.judged] or [np.zeros(0, bool)])

    @cached_property
    def average_precision(self) -> float:
        """Of finding the abnormal moments by their scores."""
        return anomaly.average_precision(self.scores, self.abnormal)

    @cached_property
    def auroc(self) -> float:
        """Chance that an abnormal moment scores above a normal one."""
        return anomaly.auroc(self.scores, self.abnormal)

    @cached_property
    def best(self) -> tuple[float, float]:
        """The best F1 of any threshold, and that threshold."""
        return anomaly.best_f1(self.scores, self.abnormal)

    @property
    def highest(self) -> float:
        """The highest score there is; 1 where there is none."""
        known = [r.scores[r.worst()] for r in self.recordings if r.worst() >= 0]
        return float(max(known, default=1.0)) or 1.0

    @cached_property
    def hours(self) -> float:
        """Length of what is normal (or not known to be abnormal) in the judged recordings."""
        return sum((~r.abnormal).sum() * r.row_seconds for r in self.judged) / 3600

    def of(self, recording: str) -> Judged | None:
        """A recording, None where it has no scores."""
        return next((r for r in self.recordings if r.recording == recording), None)

    @cached_property
    def has_normal(self) -> bool:
        """Whether there are scores of normal video to take a threshold from."""
        return any(np.isfinite(r.scores[~r.abnormal]).any() for r in self.normal[0])

    def budget(self, alarms_per_hour: float) -> anomaly.Budget:
        """The threshold for so many false alarms per hour; only where `has_normal`."""
        parts = [r for r in self.normal[0] if np.isfinite(r.scores).any()]
        seconds = sum(len(r.scores) * r.row_seconds for r in parts)
        per_row = seconds / sum(len(r.scores) for r in parts)
        scores = [np.where(r.abnormal, np.nan, r.scores) for r in parts]
        return anomaly.threshold_for(scores, per_row, alarms_per_hour, joined_rows(per_row))

    @cached_property
    def above_normal(self) -> float:
        """The lowest threshold at which normal video has no alarm; only where `has_normal`."""
        highest = max(
            np.nanmax(r.scores[~r.abnormal])
            for r in self.normal[0]
            if np.isfinite(r.scores[~r.abnormal]).any()
        )
        return float(np.nextafter(highest, np.inf))

    def at(self, threshold: float) -> Found:
        """What a threshold finds."""
        alarms, delays, false = [], [], 0
        for r in self.judged:
            spans = r.alarms(threshold)
            events = anomaly.event_scores(spans, r.events)
            delays.append(events.delays * r.row_seconds)
            false += events.false_alarms
            alarms += [_alarm(r, *span) for span in spans]
        delay = np.concatenate(delays or [np.zeros(0)])
        noticed = int(np.isfinite(delay).sum())
        return Found(
            tuple(sorted(alarms, key=lambda a: -a.score)),
            anomaly.f1_at(self.scores, self.abnormal, threshold),
            len(delay),
            noticed,
            float(np.nanmean(delay)) if noticed else float("nan"),
            false,
        )


def _alarm(r: Judged, start: int, stop: int) -> Alarm:
    peak = start + int(np.nanargmax(r.scores[start:stop]))
    met = [str(label) for label in r.labels[start:stop][r.abnormal[start:stop]]]
    ends = r.frames[stop] if stop < len(r.frames) else r.frames[-1] + r.step
    kind = max(met, key=met.count) if met else None
    return Alarm(
        r.recording, int(r.frames[start]), int(ends), int(r.frames[peak]),
        float(r.scores[peak]), kind,
    )  # fmt: skip


def measure(e: Embeddings, dataset: DataSet, question: Question) -> Distances:
    """How far each row is from the reference as the same camera sees it. It may take a while.

    A recording of the reference is compared with the others of it; where there are none, with its
    own moments that are neither near in time nor in the same half of a cycle.
    """
    index, notes, tracks = e.index, [], {}
    recording, frame = index["recording"].to_numpy(), index["frame"].to_numpy()
    in_reference = np.isin(recording, question.reference)
    bad = np.zeros(len(index), bool)
    for name in dict.fromkeys(recording[in_reference]):
        rows = np.flatnonzero(recording == name)
        bad[rows] = np.isin(labels_at(dataset, name, frame[rows]), list(question.abnormal))
    if (in_reference & bad).any() and not (in_reference & ~bad).any():
        notes.append("All of the reference is labelled abnormal; it is taken as normal anyway.")
        bad[:] = False
    bank = in_reference & ~bad
    for camera in sorted(set(index["camera"])):
        here = (index["camera"] == camera).to_numpy()
        normal = np.flatnonzero(bank & here)
        phase = None
        if not len(normal):
            notes.append(
                "A camera that the reference lacks is compared with the other cameras of it."
            )
            normal = np.flatnonzero(bank)
        elif question.phase_aware:
            phase = _phases(e, question, camera)
            if phase is None:
                notes.append("Nothing repeats in the reference: phases are left out.")
        own = here & in_reference
        scores, nearest = np.full(len(index), np.nan), np.full(len(index), -1)
        groups = [(np.flatnonzero(here & ~own), None), (np.flatnonzero(own & bad), None)]
        groups.append((normal if own.any() else np.zeros(0, int), _gap(e, dataset, normal)))
        for rows, gap in groups:
            if len(rows):
                scores[rows], near = _scored(e, rows, normal, phase, gap, question)
                nearest[rows] = np.where(near >= 0, normal[near], -1)
        for name in dict.fromkeys(recording[here]):
            rows = rows_of(e, name, camera)
            tracks[name, camera] = Track(rows, frame[rows], scores[rows], nearest[rows])
    return Distances(tracks, tuple(dict.fromkeys(notes)))


def _scored(
    e: Embeddings,
    rows: np.ndarray,
    normal: np.ndarray,
    phase: np.ndarray | None,
    gap: float | None,
    q: Question,
) -> tuple[np.ndarray, np.ndarray]:
    """Scores of some rows, and which of the normal ones is nearest; gap: they are the same rows."""
    z, bank = e.z[rows], e.z[normal]
    if gap is not None:
        of, frame = e.index["recording"].to_numpy()[rows], e.index["frame"].to_numpy()[rows]
        mine = None if phase is None else phase[rows]
        return anomaly.left_out_scores(bank, of, frame, gap, q.k, q.metric, mine, WIDTH)
    if phase is None:
        return anomaly.anomaly_scores(z, bank, q.k, q.metric)
    return anomaly.phase_aware_scores(z, phase[rows], bank, phase[normal], WIDTH, q.k, q.metric)


def _gap(e: Embeddings, dataset: DataSet, normal: np.ndarray) -> float:
    """Frames up to which a normal row is not compared with those of its own recording."""
    index = e.index.iloc[normal]
    if index["recording"].nunique() > 1:
        return np.inf
    first = index.iloc[0]
    video = dataset.videos[int(first["video"])]
    clip = 2 * (int(first["frame"]) + video.offset - int(first["start"]))
    cycle = Cycle.of(e, first["recording"], first["camera"])
    half = cycle.period * cycle.hop / 2
    return max(clip, half if np.isfinite(half) else CLOSE * video.fps)


def _phases(e: Embeddings, question: Question, camera: str) -> np.ndarray | None:
    """(N,) phases of all rows of a camera on the cycle of the reference; None: nothing repeats."""
    for name in question.reference:
        cycle = Cycle.of(e, name, camera)
        if cycle is not None and cycle.repeats:
            break
    else:
        return None
    here = e.index["camera"] == camera
    phases = np.full(len(e), np.nan)
    for other in dict.fromkeys(e.index["recording"][here]):
        rows = rows_of(e, other, camera)
        own = other == name
        phases[rows] = cycle.phase if own else phase_like(e.z[rows], e.z[cycle.rows], cycle.phase)
    return phases


def judge(e: Embeddings, dataset: DataSet, question: Question, distances: Distances) -> Judgement:
    """The scores that count, smoothed, with what is known about each moment."""
    cameras: dict[str, list[str]] = {}
    for name, camera in distances.tracks:
        if question.camera in (None, camera):
            cameras.setdefault(name, []).append(camera)
    found = [
        _judged(dataset, question, name, {c: distances.tracks[name, c] for c in cameras[name]})
        for name in dataset.recordings
        if name in cameras
    ]
    return Judgement(tuple(found), distances, question)


def _judged(dataset: DataSet, q: Question, name: str, tracks: dict[str, Track]) -> Judged:
    video = dataset.videos[dataset.cameras(name)[0]]
    first = min(t.frames[0] for t in tracks.values())
    last = max(t.frames[-1] for t in tracks.values())
    apart = [np.median(np.diff(t.frames)) for t in tracks.values() if len(t.frames) > 1]
    step = float(min(apart, default=1.0))
    frames = np.arange(first, last + step / 2, step).round().astype(int)
    by_camera = {
        c: _at(frames, t.frames, anomaly.smooth(t.scores, q.seconds * video.fps / step), step)
        for c, t in tracks.items()
    }
    stack = np.stack(list(by_camera.values()))
    known = np.isfinite(stack)
    if q.mean:
        n = known.sum(0)
        scores = np.where(n, np.where(known, stack, 0).sum(0) / np.maximum(n, 1), np.nan)
    else:
        scores = np.where(known.any(0), np.where(known, stack, -np.inf).max(0), np.nan)
    labels = labels_at(dataset, name, frames)
    return Judged(
        name, frames, by_camera, scores, labels, np.isin(labels, list(q.abnormal)),
        _events(dataset, name, frames, q.abnormal), name in q.reference, video.fps,
    )  # fmt: skip


def _at(frames: np.ndarray, known: np.ndarray, values: np.ndarray, step: float) -> np.ndarray:
    """Values at some frames, between those known; NaN more than a step away from them."""
    found = np.interp(frames, known, values)
    return np.where((frames > known[0] - step) & (frames < known[-1] + step), found, np.nan)


def labels_at(dataset: DataSet, recording: str, frames: np.ndarray) -> np.ndarray:
    """(T,) label of each frame: its segment's, else the recording's; None where unknown."""
    video = dataset.videos[dataset.cameras(recording)[0]]
    unnamed = BACKGROUND if len(dataset.segments) else None
    if not video.segments:
        return np.full(len(frames), unnamed if video.label is None else video.label, object)
    labels = np.full(len(frames), BACKGROUND, object)
    for s in reversed(video.segments):  # where two overlap the first one counts
        labels[(frames >= s.start) & (frames < s.stop)] = s.label
    return labels


def _events(
    dataset: DataSet, recording: str, frames: np.ndarray, abnormal: frozenset[str]
) -> np.ndarray:
    """(E, 2) rows [start, stop) of the anomalies that the rows can show."""
    video = dataset.videos[dataset.cameras(recording)[0]]
    spans = [(s.start, s.stop) for s in video.segments if s.label in abnormal]
    if not video.segments and video.label in abnormal:
        spans = [(frames[0], frames[-1] + 1)]
    rows = [np.searchsorted(frames, span) for span in spans]
    between = [  # shorter than a step, and yet among the rows
        [a, max(a + 1, b)] for a, b in rows if b > a or 0 < a < len(frames)
    ]
    return np.array(between, int).reshape(-1, 2)


def kinds_of(dataset: DataSet) -> tuple[list[str], list[str]]:
    """All labels that moments have, and those that are anomalies unless somebody says otherwise.

    Where there are neither segments nor a label `normal`, nothing is known to be abnormal.
    """
    whole = {v.label for v in dataset.videos if v.label is not None and not v.segments}
    named = {s.label for v in dataset.videos for s in v.segments}
    kinds = sorted((whole | named) - {BACKGROUND})
    known = len(dataset.segments) or set(anomaly.NORMAL) & whole
    return kinds, [k for k in kinds if k not in anomaly.NORMAL] if known else []


def default_reference(
    dataset: DataSet, recordings: Sequence[str], abnormal: Iterable[str]
) -> tuple[list[str], str]:
    """Which of some recordings to take as normal unless somebody says otherwise, and why."""
    abnormal = set(abnormal)
    about = {name: dataset.videos[dataset.cameras(name)[0]] for name in recordings}
    train = [n for n, v in about.items() if v.split == "train"]
    if not abnormal:
        if train and len(train) < len(about):
            return train, (
                "Nothing is labelled, so the recordings of split **train** are taken as normal. "
                "Choose others where that is wrong."
            )
        return list(recordings[:1]), (
            "Nothing is labelled, so the first recording is taken as normal. Choose those that "
            "show the process as it should be."
        )

    def shows(v) -> set[str]:
        return {s.label for s in v.segments} if v.segments else {v.label}

    normal = [n for n, v in about.items() if not shows(v) & abnormal]
    if chosen := [n for n in train if n in normal]:
        return chosen, "The recordings of split **train** without anomalies are taken as normal."
    if normal:
        return normal, "The recordings without anomalies are taken as normal."
    return list(recordings[:1]), (
        "Every recording has anomalies, so the rest of the first one is taken as normal. Better: "
        "record the process without any, index it again, and choose it here."
    )
