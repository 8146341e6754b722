"""How well features of a run tell what is strange in a process, and where in its cycle it is.

The results are kept in the folder of the run, like those of detection. Everything is judged of
embeddings, each camera of a recording by itself, its rows in order of time; what is normal is split
train.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from workbench.analysis import anomaly
from workbench.analysis.embeddings import Embeddings
from workbench.analysis.neighbours import knn, other
from workbench.analysis.periodicity import main_period, repetitions
from workbench.analysis.phase import apart, phase, phase_error, phase_like
from workbench.analysis.similarity import lifted
from workbench.data.manifest import DataSet
from workbench.data.video import Video
from workbench.training.atomic import replacing, write_json
from workbench.training.embed import embed_run, load_embeddings
from workbench.training.evaluate_detection import default_split, held_out
from workbench.training.reference import CLOSE, VigilConfig, joined_rows

if TYPE_CHECKING:
    from workbench.training.run import Run

USUAL = VigilConfig()
NEIGHBOURS = (1, 5, 20)
"""Votes of the k-NN F1: CycleCL names no k [our reconstruction]."""
OFF_BY_ONE = 1.0
"""Repetitions by which a count may be wrong."""

Progress = Callable[[int, int], object]


@dataclass(frozen=True)
class Evaluation:
    """What features say about the rows of a split, and how right that is.

    rows: one per judged row, with recording, camera and frame (of the recording).
    about: what it was made of and with; `scores` are in it too.
    """

    rows: pd.DataFrame
    about: dict

    @property
    def scores(self) -> dict:
        """See `judge_anomaly` and `judge_repetition`."""
        return self.about["scores"]


@dataclass(frozen=True)
class Track:
    """The rows of a recording as one camera sees it, in order of time."""

    video: Video
    rows: np.ndarray
    """(T,) row numbers of the embeddings."""
    frames: np.ndarray
    """(T,) frames of the recording."""

    @property
    def hop(self) -> float:
        """Frames from row to row."""
        return float(np.median(np.diff(self.frames))) if len(self.frames) > 1 else 1.0

    @property
    def row_seconds(self) -> float:
        """Seconds from row to row."""
        return self.hop / self.video.fps


def evaluate_anomaly(
    run: Run,
    dataset: DataSet,
    split: str | None = None,
    hop: int | None = None,
    config: VigilConfig = USUAL,
    progress: Progress = lambda done, total: None,
) -> Evaluation:
    """How well anomalies of a split are found by a run's features; made only where it is not there.

    split: test where there is one, else val; hop: frames from row to row, by default as when a data
    set is embedded; config: how rows are compared and what is an alarm. See `judge_anomaly`.
    """
    split = split or default_split(dataset)

    def judge(e: Embeddings) -> tuple[pd.DataFrame, dict]:
        return judge_anomaly(e, dataset, split, config)

    settings = {"split": split, **config.model_dump(mode="json")}
    return _kept("anomalies", run, dataset, hop, settings, judge, progress)


def evaluate_repetition(
    run: Run,
    dataset: DataSet,
    split: str | None = None,
    hop: int | None = None,
    k: int = 1,
    progress: Progress = lambda done, total: None,
) -> Evaluation:
    """How well repetitions are counted, and phases told, by a run's features; as above.

    Only of a data set whose truth is known of every frame, as that of demos. k: see
    `judge_repetition`.
    """
    split = split or default_split(dataset)
    _need_truth(dataset)  # before anything is embedded

    def judge(e: Embeddings) -> tuple[pd.DataFrame, dict]:
        return judge_repetition(e, dataset, split, k)

    return _kept("repetitions", run, dataset, hop, {"split": split, "k": k}, judge, progress)


def judge_anomaly(
    e: Embeddings, dataset: DataSet, split: str, config: VigilConfig = USUAL
) -> tuple[pd.DataFrame, dict]:
    """Scores against the normal rows of split train, and how well they find what is labelled.

    Rows: label, abnormal, score (distance to the k-th nearest normal row of the same camera, with
    `config.phase_aware` of about the same phase), smoothed.
    Scores as plain data, NaN where there is none:
    average_precision, auroc, best_f1: of the score of every row, all rows pooled (CycleCL
        supplement, figure C); chance is the share of abnormal rows; smoothed_...: of the smoothed.
    knn_f1: k -> macro and abnormal: votes of the rows of split train and of the other judged
        recordings, with their labels [our reconstruction].
    threshold: the one given, else from a budget of false alarms on normal video of split val;
        without one on that of train, each recording against the others. By default the budget is
        the smallest that so much normal video can show, one alarm in all of it.
    precision, recall, f1: of rows at that threshold; and of its alarms events, noticed, delay
        (seconds), false alarms per hour of normal video.
    kinds: per kind of anomaly rows, recall of rows, events, noticed, delay, average_precision
        (among normal rows).
    """
    abnormal = anomaly.is_abnormal(e.index["label"])
    tracks = list(_tracks(e, dataset, lambda v: _is_judged(v, split)))
    seen = np.concatenate([t.rows for t in tracks] or [np.zeros(0, int)])
    normal = ((e.index["split"] == "train") & ~abnormal).to_numpy()
    _check_anomaly(e, dataset, split, seen, abnormal, normal)

    compare = _Comparison(e, dataset, config)
    raw = np.full(len(e), np.nan)
    for rows, bank in _against(e, seen, normal):
        raw[rows] = compare.scores(rows, bank)
    smoothed = np.full(len(e), np.nan)
    for t in tracks:
        smoothed[t.rows] = anomaly.smooth(raw[t.rows], config.smooth / t.row_seconds)
    threshold, source = config.threshold, {"threshold_given": True}
    if threshold is None:
        budget, new = _budget(compare, normal, abnormal)
        threshold = budget.threshold
        source = {
            "threshold_given": False,
            "threshold_held_out": new,
            "budget": config.alarms_per_hour or budget.resolution,
            "threshold_extrapolated": budget.extrapolated,
            "normal_hours": budget.hours,
        }

    truth, labels = abnormal[seen], e.index["label"].to_numpy()[seen]
    rates = anomaly.f1_at(smoothed[seen], truth, threshold)
    events, false = _alarmed(tracks, smoothed, threshold)
    hours = sum((~abnormal[t.rows]).sum() * t.row_seconds for t in tracks) / 3600
    scores = {
        "rows": len(seen),
        "abnormal": float(truth.mean()),
        "average_precision": anomaly.average_precision(raw[seen], truth),
        "auroc": anomaly.auroc(raw[seen], truth),
        "best_f1": anomaly.best_f1(raw[seen], truth)[0],
        "smoothed_average_precision": anomaly.average_precision(smoothed[seen], truth),
        "smoothed_auroc": anomaly.auroc(smoothed[seen], truth),
        "smoothed_best_f1": anomaly.best_f1(smoothed[seen], truth)[0],
        "knn_f1": _knn_f1(e, seen, normal, labels),
        "threshold": threshold,
        **source,
        "phased": compare.phased,
        "precision": rates.precision,
        "recall": rates.recall,
        "f1": rates.f1,
        **_events_told(events),
        "false_alarms": false,
        "false_alarms_per_hour": float(false / hours) if hours else math.nan,
        "kinds": [
            {
                "kind": kind,
                **_kind(kind, labels, truth, raw[seen], smoothed[seen], threshold, events),
            }
            for kind in sorted(set(labels[truth]))
        ],
    }
    about = e.index.loc[seen, ["recording", "camera", "frame", "label"]].reset_index(drop=True)
    return about.assign(abnormal=truth, score=raw[seen], smoothed=smoothed[seen]), scores


def judge_repetition(
    e: Embeddings, dataset: DataSet, split: str, k: int = 1
) -> tuple[pd.DataFrame, dict]:
    """Phases found in the rows of each recording by themselves, against the truth of the frames.

    Normal is what the truth calls no anomaly, or where it does not speak of any, the labels.
    Rows: phase, true_phase, normal. Scores, NaN where there is none:
    mae, relative_mae, off_by_one: of the count of repetitions of each recording, as found and as
        true, both with the fraction of unfinished ones: mean error, the same as a share of the true
        count, share of recordings whose error is 1 or less.
    phase_error: mean distance on the circle of normal rows, after the best turn of each recording;
        chance 0.25. phased: share of normal rows that have a phase at all.
    nearest_phase_error: the distance between the true phase of a normal row and that of the row of
        split train whose features are nearest, of k of them the mean around the circle; chance
        0.25. It needs no model of the cycle.
    recordings: per recording and camera count, true_count, phase_error, phased.
    """
    truth = _need_truth(dataset)
    tracks = list(_tracks(e, dataset, lambda v: _is_judged(v, split)))
    if not tracks:
        raise ValueError(_nobody(dataset, split))
    abnormal = anomaly.is_abnormal(e.index["label"])
    told = {str(name): part.set_index("frame") for name, part in truth.groupby("recording")}
    true = np.full(len(e), np.nan)
    for t in _tracks(e, dataset, lambda v: v.recording in told):
        known = told[t.video.recording].reindex(t.frames)
        true[t.rows] = known["phase"].to_numpy(float)
        if "anomaly" in known:  # a segment may be an exercise, which is nothing abnormal
            abnormal[t.rows] = known["anomaly"].notna().to_numpy()
    tracks = [t for t in tracks if np.isfinite(true[t.rows]).any()]
    if not tracks:
        raise ValueError(
            f"none of the recordings of split {split!r} of data set {dataset.name!r} has a true "
            "phase. Choose another split."
        )
    found, each = np.full(len(e), np.nan), []
    for t in tracks:
        mine = found[t.rows] = phase(e.z[t.rows])
        good = ~abnormal[t.rows] & np.isfinite(true[t.rows])
        step = round(t.hop)
        inside = told[t.video.recording].loc[t.frames[0] : t.frames[-1] + step - 1, "phase"]
        each.append(
            {
                "recording": t.video.recording,
                "camera": t.video.camera,
                "count": repetitions(mine).count,
                "true_count": repetitions(inside.to_numpy(float)).count,
                "normal_rows": int(good.sum()),
                "phased": float(np.isfinite(mine[good]).mean()) if good.any() else math.nan,
                "phase_error": phase_error(mine[good], true[t.rows][good]),
            }
        )
    seen = np.concatenate([t.rows for t in tracks])
    off = np.array([abs(r["count"] - r["true_count"]) for r in each])
    share = off / np.array([max(r["true_count"], 1.0) for r in each])
    scores = {
        "recordings": each,
        "mae": float(off.mean()),
        "relative_mae": float(share.mean()),
        "off_by_one": float((off <= OFF_BY_ONE).mean()),
        "phase_error": _weighted(each, "phase_error", "phased"),
        "phased": _weighted(each, "phased"),
        "nearest_phase_error": _nearest_phase_error(e, seen, abnormal, true, k),
    }
    about = e.index.loc[seen, ["recording", "camera", "frame"]].reset_index(drop=True)
    return about.assign(phase=found[seen], true_phase=true[seen], normal=~abnormal[seen]), scores


def load_evaluation(folder: Path) -> Evaluation:
    """What is kept in a folder below `anomalies` or `repetitions` of a run."""
    about = json.loads((folder / "about.json").read_text())
    return Evaluation(pd.read_parquet(folder / "rows.parquet"), about)


def meant(e: Embeddings, run: Run) -> Embeddings:
    """Rows of a run for analyses of unit vectors; with their lengths, where these were trained."""
    return e if _of_unit_length(run) else Embeddings(lifted(e.z), e.index)


def _of_unit_length(run: Run) -> bool:
    return getattr(run.config.encoder, "normalise", True)


def _kept(
    place: str,
    run: Run,
    dataset: DataSet,
    hop: int | None,
    settings: dict,
    judge: Callable[[Embeddings], tuple[pd.DataFrame, dict]],
    progress: Progress,
) -> Evaluation:
    """What was judged before, of the same weights, videos and settings, or else is now."""
    embedded = embed_run(run, dataset, hop, progress)
    if not _of_unit_length(run):
        settings = settings | {"lengths": True}
    key = hashlib.sha256(json.dumps([embedded.name, settings], sort_keys=True).encode())
    folder = run.folder / place / key.hexdigest()[:16]
    if not (folder / "about.json").is_file():
        rows, scores = judge(meant(load_embeddings(embedded), run))
        made = json.loads((embedded / "about.json").read_text())
        folder.parent.mkdir(parents=True, exist_ok=True)
        with replacing(folder) as temporary:
            shutil.rmtree(folder, ignore_errors=True)  # one without about.json is a torn one
            temporary.mkdir()
            rows.to_parquet(temporary / "rows.parquet")
            rest = {"held_out": held_out(run, dataset, settings["split"]), "scores": scores}
            write_json(temporary / "about.json", made | settings | rest)
    return load_evaluation(folder)


def _tracks(e: Embeddings, dataset: DataSet, keep: Callable[[Video], bool]) -> Iterator[Track]:
    """Every video that is kept and has rows, in the order of the data set."""
    index = e.index
    for video, rows in index.groupby("video", sort=True):
        about = dataset.videos[int(video)]
        if keep(about):
            order = rows["frame"].to_numpy().argsort(kind="stable")
            rows = rows.iloc[order]
            yield Track(about, rows.index.to_numpy(), rows["frame"].to_numpy())


def _is_judged(video: Video, split: str) -> bool:
    return video.split != "train" if split == "all" else video.split == split


def _nobody(dataset: DataSet, split: str) -> str:
    there = ", ".join(sorted(set(dataset.table["split"].dropna()))) or "none"
    return (
        f"data set {dataset.name!r} has nothing to judge in split {split!r}. Its splits: {there}; "
        "`all` takes every video but those of train."
    )


def _check_anomaly(
    e: Embeddings,
    dataset: DataSet,
    split: str,
    seen: np.ndarray,
    abnormal: np.ndarray,
    normal: np.ndarray,
) -> None:
    """`ValueError` where there is nothing to compare with, or nothing to find."""
    if not (e.index["split"] == "train").any():
        raise ValueError(
            f"data set {dataset.name!r} has no videos of split train, which are the normal "
            "reference. Index it again with {split} in --pattern or a column split in its manifest."
        )
    if split == "train":
        raise ValueError("split train is the normal reference; choose another one to judge.")
    if not len(seen):
        raise ValueError(_nobody(dataset, split))
    if not normal.any():
        raise ValueError(
            f"every moment of split train of {dataset.name!r} is labelled abnormal, so there is no "
            "normal reference. Label what is normal `normal`, or leave it without a segment."
        )
    if not abnormal[seen].any() or abnormal[seen].all():
        what = "abnormal" if not abnormal[seen].any() else "normal"
        raise ValueError(
            f"nothing in split {split!r} of data set {dataset.name!r} is {what}, so there is "
            "nothing to tell apart. Index it again with --segments FILE (recording, start, stop, "
            "label), which names the anomalies; frames in no segment are normal."
        )


def _against(
    e: Embeddings, rows: np.ndarray, normal: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows of each camera, and the normal rows of the same camera, or of all where it has none."""
    camera = e.index["camera"].to_numpy()
    for name in dict.fromkeys(camera[rows]):
        bank = np.flatnonzero(normal & (camera == name))
        mine = rows[camera[rows] == name]
        yield mine, bank if len(bank) else np.flatnonzero(normal)


class _Comparison:
    """How far rows are from normal ones, as the settings have it."""

    def __init__(self, e: Embeddings, dataset: DataSet, config: VigilConfig) -> None:
        self.e = e
        self.dataset = dataset
        self.config = config
        self.phase = np.full(len(e), np.nan)
        if config.phase_aware:
            for camera in dict.fromkeys(e.index["camera"]):
                self._find_phases(camera)

    @property
    def phased(self) -> float:
        """Share of the rows that have a phase to be compared at."""
        return float(np.isfinite(self.phase).mean())

    def scores(self, rows: np.ndarray, bank: np.ndarray) -> np.ndarray:
        """Of rows against other, normal ones."""
        c, z, normal = self.config, self.e.z[rows], self.e.z[bank]
        self._enough(len(bank))
        if not c.phase_aware:
            return anomaly.anomaly_scores(z, normal, c.k, c.metric)[0]
        phases = self.phase[rows], normal, self.phase[bank]
        return anomaly.phase_aware_scores(z, *phases, c.width, c.k, c.metric)[0]

    def left_out(self, bank: np.ndarray, gap: float) -> np.ndarray:
        """Of normal rows against each other, but for those near in time."""
        c, index = self.config, self.e.index
        recording, frame = index["recording"].to_numpy()[bank], index["frame"].to_numpy()[bank]
        phase = self.phase[bank] if c.phase_aware else None
        return anomaly.left_out_scores(
            self.e.z[bank], recording, frame, gap, c.k, c.metric, phase, c.width
        )[0]

    def _find_phases(self, camera: str) -> None:
        """All rows of a camera on the cycle of its longest recording of split train, if it has one.

        As where videos are watched: the phase that a row's surroundings make likely counts, so that
        a step that is done at the wrong time is compared with what belongs there.
        """
        tracks = list(_tracks(self.e, self.dataset, lambda v: v.camera == camera))
        normal = [t for t in tracks if t.video.split == "train"]
        first = max(normal, key=lambda t: len(t.rows), default=None)
        if first is None or len(first.rows) < 2:
            return
        z = self.e.z[first.rows]
        period, _ = main_period(z)
        if math.isnan(period):
            return
        self.phase[first.rows] = own = phase(z, period)
        for t in tracks:
            if t is not first:
                found = phase_like(self.e.z[t.rows], z, own)
                self.phase[t.rows] = anomaly.expected_phase(found, period)

    def _enough(self, rows: int) -> None:
        if self.config.k > rows:
            raise ValueError(
                f"k is {self.config.k} and a camera has {rows} normal rows to be compared with. "
                "Lower k."
            )


def _budget(
    compare: _Comparison, normal: np.ndarray, abnormal: np.ndarray
) -> tuple[anomaly.Budget, bool]:
    """The threshold for a budget of false alarms, and whether it is of held-out normal video."""
    e, dataset, config = compare.e, compare.dataset, compare.config
    raw = np.full(len(e), np.nan)
    tracks = list(_tracks(e, dataset, lambda v: v.split == "val"))
    good = [t for t in tracks if not abnormal[t.rows].all()]
    if new := bool(good):
        rows = np.concatenate([t.rows for t in good])
        for mine, bank in _against(e, rows, normal):
            raw[mine] = compare.scores(mine, bank)
    else:
        good = list(_tracks(e, dataset, lambda v: v.split == "train"))
        for mine, bank in _against(e, np.flatnonzero(normal), normal):
            several = e.index["recording"].iloc[bank].nunique() > 1
            raw[mine] = compare.left_out(bank, math.inf if several else CLOSE * good[0].video.fps)
    parts = [anomaly.smooth(raw[t.rows], config.smooth / t.row_seconds) for t in good]
    parts = [np.where(abnormal[t.rows], np.nan, p) for t, p in zip(good, parts, strict=True)]
    seconds, seen = good[0].row_seconds, sum(int(np.isfinite(p).sum()) for p in parts)
    if not seen:
        raise ValueError(
            "the normal video is too short to choose a threshold by: no moment of it has another "
            f"to be compared with at k = {config.k}. Lower k, or give a threshold."
        )
    per_hour = config.alarms_per_hour or 3600 / (seconds * seen)
    return anomaly.threshold_for(parts, seconds, per_hour, joined_rows(seconds)), new


@dataclass(frozen=True)
class _Event:
    kind: str
    delay: float
    """Seconds from its start to the first alarmed row in it; NaN: not noticed."""


def _alarmed(
    tracks: list[Track], smoothed: np.ndarray, threshold: float
) -> tuple[list[_Event], int]:
    """Every anomaly in turn, and how many alarms met none."""
    events, false = [], 0
    for t in tracks:
        spans = anomaly.alarms(smoothed[t.rows], threshold, joined_rows(t.row_seconds))
        named = _named(t)
        rows = np.array([[a, b] for a, b, _ in named], int).reshape(-1, 2)
        found = anomaly.event_scores(spans, rows)
        false += found.false_alarms
        events += [
            _Event(kind, float(delay) * t.row_seconds)
            for (_, _, kind), delay in zip(named, found.delays, strict=True)
        ]
    return events, false


def _named(t: Track) -> list[tuple[int, int, str]]:
    """First row, row after the last, and kind of each anomaly that the rows can show."""
    video, frames = t.video, t.frames
    spans = [(s.start, s.stop, s.label) for s in video.segments]
    if not spans and video.label is not None:
        spans = [(frames[0], frames[-1] + 1, video.label)]
    abnormal = anomaly.is_abnormal([label for *_, label in spans])
    found = []
    for (start, stop, label), bad in zip(spans, abnormal, strict=True):
        first, last = np.searchsorted(frames, (start, stop))
        if bad and first < len(frames) and last > 0:
            found.append((int(first), int(max(last, first + 1)), str(label)))
    return found


def _events_told(events: list[_Event]) -> dict:
    delays = np.array([event.delay for event in events])
    noticed = np.isfinite(delays)
    return {
        "events": len(delays),
        "noticed": int(noticed.sum()),
        "event_recall": float(noticed.mean()) if len(delays) else math.nan,
        "delay": float(delays[noticed].mean()) if noticed.any() else math.nan,
    }


def _kind(
    kind: str,
    labels: np.ndarray,
    abnormal: np.ndarray,
    raw: np.ndarray,
    smoothed: np.ndarray,
    threshold: float,
    events: list[_Event],
) -> dict:
    """How well one kind of anomaly is found among normal rows."""
    mine = labels == kind
    compared = mine | ~abnormal
    return {
        "rows": int(mine.sum()),
        "recall": anomaly.f1_at(smoothed[mine], mine[mine], threshold).recall,
        "average_precision": anomaly.average_precision(raw[compared], mine[compared]),
        **_events_told([event for event in events if event.kind == kind]),
    }


def _knn_f1(e: Embeddings, seen: np.ndarray, normal: np.ndarray, labels: np.ndarray) -> dict:
    """k -> macro F1 and F1 of abnormal, NaN where no other recording has labelled anomalies."""
    recording = e.index["recording"].to_numpy()
    bank = np.concatenate([np.flatnonzero(normal), seen])
    names = np.concatenate([np.full(normal.sum(), "normal", object), labels])
    with_anomalies = set(recording[seen][anomaly.is_abnormal(labels)])
    if len(with_anomalies) < 2:
        return {str(k): {"macro": math.nan, "abnormal": math.nan} for k in NEIGHBOURS}
    rule = other(recording[seen], recording[bank])
    found = {}
    for k in NEIGHBOURS:
        if k <= len(bank):
            macro, both = anomaly.knn_f1(e.z[seen], e.z[bank], names, labels, k, rule)
            found[str(k)] = {"macro": macro, "abnormal": both}
    return found


def _nearest_phase_error(
    e: Embeddings, seen: np.ndarray, abnormal: np.ndarray, true: np.ndarray, k: int
) -> float:
    """In cycles; NaN where no row of split train has a true phase."""
    normal = ((e.index["split"] == "train") & ~abnormal).to_numpy() & np.isfinite(true)
    asked = seen[~abnormal[seen] & np.isfinite(true[seen])]
    if not normal.any() or not len(asked):
        return math.nan
    takes, off = e.index["recording"].to_numpy(), []
    for rows, bank in _against(e, asked, normal):
        if k > len(bank):
            raise ValueError(f"k is {k} and split train has {len(bank)} rows of a camera. Lower k.")
        near = knn(e.z[rows], e.z[bank], k, other(takes[rows], takes[bank]))[1]  # (Q, k)
        turns = np.exp(2j * np.pi * true[bank[near]]) * (near >= 0)
        mean = np.angle(turns.sum(axis=1)) / (2 * np.pi)
        off.append(apart(true[rows], mean)[near[:, 0] >= 0])
    off = np.concatenate(off)
    return float(off.mean()) if len(off) else math.nan


def _weighted(each: list[dict], name: str, also: str | None = None) -> float:
    """Mean over the normal rows (with `also`: over that share of them) of all recordings."""
    values = np.array([r[name] for r in each])
    weights = np.array([r["normal_rows"] * (r[also] if also else 1) for r in each], float)
    known = np.isfinite(values) & (np.nan_to_num(weights) > 0)
    return float(np.average(values[known], weights=weights[known])) if known.any() else math.nan


def _need_truth(dataset: DataSet) -> pd.DataFrame:
    if dataset.truth is None:
        raise ValueError(
            f"data set {dataset.name!r} has no truth of every frame (truth.parquet: recording, "
            "frame, phase), without which a count cannot be judged. The demos bottling and "
            "exercise have it."
        )
    return dataset.truth
