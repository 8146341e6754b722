"""Online detection over the held-out recordings of a data set, kept in the folder of the run."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from workbench.analysis import detection as scores
from workbench.data.manifest import DataSet
from workbench.data.video import BACKGROUND, Clip, VideoSource
from workbench.training.atomic import replacing, write_json
from workbench.training.detect import Detector
from workbench.training.loader import frame_labels

if TYPE_CHECKING:
    from workbench.training.run import Run

BATCH = 16
"""Chunks that go through the network together."""
TIMED = 3.0
"""Seconds for which the speed is measured."""

Progress = Callable[[int, int], object]


@dataclass(frozen=True)
class Detection:
    """What a run says about every chunk of some videos, and how right that is.

    chunks: one row per chunk: video (row of the data set), recording, camera, start, stop (frames
        of the *recording*; the class is known at frame stop - 1), truth (the majority label of its
        pictures; None unknown), predicted, probability (of that), straddles (it shows background
        and an action).
    probabilities: (N, C), the columns in the order of `classes`.
    about: what it was made of and with; `scores` are in it too.
    """

    classes: tuple[str, ...]
    chunks: pd.DataFrame
    probabilities: np.ndarray
    about: dict

    @property
    def scores(self) -> dict:
        """See `judge`."""
        return self.about["scores"]

    @property
    def errors(self) -> dict:
        """The kinds of errors; NaN for those about background where that is no class."""
        found = self.scores["errors"]
        if BACKGROUND in self.classes:
            return found
        kinds = ("missed", "invented", "boundary", "straddling")
        return found | dict.fromkeys(kinds, float("nan"))

    @property
    def confusion(self) -> np.ndarray:
        """(C, C) counts of the judged chunks: row the true class, column the predicted one."""
        truth, said = (_codes(self.chunks[c], self.classes) for c in ("truth", "predicted"))
        return scores.confusion(truth[truth >= 0], said[truth >= 0], len(self.classes))


def evaluate_detection(
    run: Run,
    dataset: DataSet,
    split: str | None = None,
    chunk: int | None = None,
    overlap: int | None = None,
    streaming: bool = False,
    progress: Progress = lambda done, total: None,
) -> Detection:
    """What a classifier says about a split of a data set; made only where it is not there.

    split: test where there is one, else val, else everything. chunk, overlap: see `Detector`;
    streaming: carry the state of a recurrent encoder through each video.
    """
    detector = Detector.of(run, chunk, overlap)
    split = split or default_split(dataset)
    source = dataset.source(detector.shape)
    chosen = _chosen(dataset, split)
    videos = [i for i in chosen if source.videos[i].n_frames >= detector.span]
    longest = source.videos[max(chosen, key=lambda i: source.videos[i].n_frames)]
    try:
        detector.starts(longest.n_frames)
    except ValueError as error:
        where = f"{longest.recording}, camera {longest.camera}, the longest of split {split!r}"
        raise ValueError(f"{where}: {error}") from None
    about = {
        "data": dataset.name,
        "fingerprint": dataset.fingerprint,
        "checkpoint": run.checkpoint_sha,
        "clip": detector.shape.model_dump(mode="json"),
        "overlap": detector.overlap,
        "streaming": streaming,
        "split": split,
    }
    identity = {k: v for k, v in about.items() if k != "data"}
    key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
    folder = run.folder / "detections" / key
    if (folder / "about.json").is_file():
        return load_detection(folder)

    truth = {i: frame_truth(source, i, detector.classes) for i in videos}
    if all((t < 0).all() for t in truth.values()):
        raise ValueError(_nothing_to_judge(dataset, split, detector.classes))
    work = _stream if streaming else _watch
    total = sum(len(detector.starts(source.videos[i].n_frames)) for i in videos)
    found, rows = [], []
    for i in videos:
        for k, (start, probabilities) in enumerate(work(detector, source, i)):
            rows.append(_row(detector, source, i, start, truth[i], probabilities))
            found.append(probabilities)
            if k % BATCH == 0:
                progress(len(found), total)
    chunks, probabilities = pd.DataFrame(rows), np.array(found, np.float32)
    about |= {
        "classes": list(detector.classes),
        "too_short": len(chosen) - len(videos),
        "held_out": held_out(run, dataset, split),
        "scores": judge(detector.classes, chunks, probabilities, source, truth)
        | {"speed": speed(detector, source, videos, streaming)},
    }
    progress(total, total)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with replacing(folder) as temporary:
        shutil.rmtree(folder, ignore_errors=True)  # one without about.json is a torn one
        temporary.mkdir()
        chunks.to_parquet(temporary / "chunks.parquet")
        np.save(temporary / "probabilities.npy", probabilities)
        write_json(temporary / "about.json", about)
    return load_detection(folder)


def load_detection(folder: Path) -> Detection:
    """What is kept in a folder below `detections`."""
    about = json.loads((folder / "about.json").read_text())
    chunks = pd.read_parquet(folder / "chunks.parquet")
    truth = chunks["truth"].astype(object)
    return Detection(
        tuple(about["classes"]),
        chunks.assign(truth=truth.where(truth.notna(), None)),
        np.load(folder / "probabilities.npy"),
        about,
    )


def find_detections(run: Run, dataset: DataSet) -> list[Path]:
    """The folders of what a run, as it is now, says about a data set, as it is now; newest first.

    Imports no torch.
    """
    wanted = {"fingerprint": dataset.fingerprint, "checkpoint": run.checkpoint_sha}
    found = sorted(
        (run.folder / "detections").glob("*/about.json"), key=lambda p: -p.stat().st_mtime
    )
    return [p.parent for p in found if wanted.items() <= json.loads(p.read_text()).items()]


def default_split(dataset: DataSet) -> str:
    """test, else val, else `all`: what to judge by."""
    there = set(dataset.table["split"].dropna())
    return next((name for name in ("test", "val") if name in there), "all")


def frame_truth(source: VideoSource, video: int, classes: tuple[str, ...]) -> np.ndarray:
    """(T,) class of each frame of a video, by the rule that training follows; -1 unknown."""
    names = frame_labels(source, Clip(video, 0, source.videos[video].n_frames, 1))
    return _codes(pd.Series(names, dtype=object), classes)


def judge(
    classes: tuple[str, ...],
    chunks: pd.DataFrame,
    probabilities: np.ndarray,
    source: VideoSource,
    truth: dict[int, np.ndarray],
) -> dict:
    """All scores as plain data: of the chunks, of the frames, of the actions.

    truth: video -> (T,) class of each frame. Chunks and frames of unknown class are not judged;
    nor are the frames before the first chunk is finished. A score that does not exist is NaN.
    """
    t, p = (_codes(chunks[c], classes) for c in ("truth", "predicted"))
    known = t >= 0
    counts = scores.confusion(t[known], p[known], len(classes))
    precision, recall = scores.precision_recall(counts)
    background = classes.index(BACKGROUND) if BACKGROUND in classes else -1
    frames, shown, delays = [], [], []
    for video, mine in chunks.groupby("video", sort=False):
        rows, offset = mine.index.to_numpy(), source.videos[video].offset
        starts, stops = (mine[c].to_numpy() + offset for c in ("start", "stop"))
        newest = scores.newest_finished(stops, len(truth[video]))
        frames.append(truth[video][newest >= 0])
        shown.append(probabilities[rows[newest[newest >= 0]]])
        actions = scores.actions_of(truth[video], background)
        delays.append(scores.latency(actions, starts, stops, t[rows], p[rows]).frames)
    frames, shown = np.concatenate(frames), np.concatenate(shown)
    frame_map, each = scores.mean_average_precision(frames[frames >= 0], shown[frames >= 0])
    late = scores.summarise(np.concatenate(delays))
    wrong = scores.errors(t[known], p[known], background, chunks["straddles"].to_numpy()[known])
    return {
        "chunks": int(known.sum()),
        "not_judged": int((~known).sum()),
        "accuracy": scores.accuracy(t[known], p[known]),
        "balanced_accuracy": scores.balanced_accuracy(counts),
        "frame_map": frame_map,
        "per_class": [
            {"label": c, "chunks": int(n), "precision": a, "recall": b, "average_precision": d}
            for c, n, a, b, d in zip(
                classes, counts.sum(1), precision.tolist(), recall.tolist(), each.tolist(),
                strict=True,
            )
        ],
        "latency": {
            "actions": len(late.frames),
            "undetected": late.undetected,
            "median": late.median,
            "mean": late.mean,
        },
        "errors": wrong._asdict(),
    }  # fmt: skip


def speed(
    detector: Detector, source: VideoSource, videos: list[int], streaming: bool = False
) -> float:
    """How many times faster than real time one video is watched, chunk by chunk.

    Of the decoded frames of the store: crop, resize and network, no decoding.
    """
    fps = source.videos[videos[0]].fps
    look = detector.stream if streaming else detector.watch
    next(look(source.frames(videos[0])))  # the first one warms up
    began, chunks = time.perf_counter(), 0
    for i in videos:
        for _ in look(source.frames(i)):
            chunks += 1
            if (took := time.perf_counter() - began) > TIMED:
                break
        if took > TIMED:
            break
    return chunks * detector.hop / fps / took


def _watch(detector: Detector, source: VideoSource, video: int) -> Iterator[tuple[int, np.ndarray]]:
    """Start and probabilities of each chunk; many at once, as none knows of another."""
    clips = [source.clip(video, k) for k in detector.starts(source.videos[video].n_frames)]
    for first in range(0, len(clips), BATCH):
        some = clips[first : first + BATCH]
        found = detector.classify([source.pixels(clip) for clip in some])
        yield from zip((clip.start for clip in some), found, strict=True)


def _stream(
    detector: Detector, source: VideoSource, video: int
) -> Iterator[tuple[int, np.ndarray]]:
    for chunk in detector.stream(source.frames(video)):
        yield chunk.start, chunk.probabilities


def _row(
    detector: Detector,
    source: VideoSource,
    video: int,
    start: int,
    truth: np.ndarray,
    probabilities: np.ndarray,
) -> dict:
    classes, about = detector.classes, source.videos[video]
    codes = truth[source.clip(video, start).frames]
    code, best = scores.majority(codes.tolist()), int(probabilities.argmax())
    kinds = {classes[c] == BACKGROUND for c in codes if c >= 0}
    return {
        "video": video,
        "recording": about.recording,
        "camera": about.camera,
        "start": int(start) - about.offset,
        "stop": int(start) + detector.span - about.offset,
        "truth": classes[code] if code >= 0 else None,
        "predicted": classes[best],
        "probability": float(probabilities[best]),
        "straddles": len(kinds) == 2,
    }


def _codes(names: pd.Series, classes: tuple[str, ...]) -> np.ndarray:
    """(N,) numbers of the classes, -1 for what is none of them."""
    return pd.Index(classes).get_indexer(names)


def _chosen(dataset: DataSet, split: str) -> list[int]:
    """The videos of a split; `ValueError` names the splits that there are."""
    chosen = [i for i, v in enumerate(dataset.videos) if split in ("all", v.split)]
    if not chosen:
        there = ", ".join(sorted(set(dataset.table["split"].dropna()))) or "none"
        raise ValueError(
            f"data set {dataset.name!r} has no videos in split {split!r}. Its splits: {there}; "
            "`all` takes every video."
        )
    return chosen


def held_out(run: Run, dataset: DataSet, split: str) -> bool:
    """Whether no recording of a split was trained on, by the run or by those it started from."""
    judged = {v.recording for v in dataset.videos if split in ("all", v.split)}
    while True:
        config = run.config.data
        seen = {
            v.recording
            for v in dataset.videos
            if config.name == dataset.name and (config.splits is None or v.split in config.splits)
        }
        start = run.config.init and type(run)(run.folder.parent / run.config.init)
        if seen & judged or not (start and start.settings):
            return not seen & judged
        run = start


def _nothing_to_judge(dataset: DataSet, split: str, classes: tuple[str, ...]) -> str:
    labels = {v.label for v in dataset.videos} | set(dataset.segments["label"])
    labels = sorted(str(name) for name in labels if name is not None)
    if not labels:
        return (
            f"data set {dataset.name!r} has no labels to judge by. Index it again with "
            "--segments FILE (recording, start, stop, label), or watch it with: workbench detect."
        )
    return (
        f"the videos of split {split!r} of {dataset.name!r} carry no label that the run knows. "
        f"Labels there: {', '.join(labels)}; the run tells apart: {', '.join(classes)}."
    )
