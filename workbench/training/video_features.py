"""Every video in a few windows, by a run: their features, or the classes that it sees in them.

No video is left out for being short: one that is shorter than a clip is one window, its first
picture repeated before it until it is long enough (CoCLR's code).
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from workbench.analysis.probe import grouped_mean
from workbench.analysis.similarity import unit
from workbench.data.manifest import DataSet
from workbench.data.video import Clip, VideoSource
from workbench.training.atomic import replacing, write_json
from workbench.training.embed import encode

if TYPE_CHECKING:
    from torch import Tensor

    from workbench.training.run import Run

Progress = Callable[[int, int], object]
BATCH = 16
"""Windows that are classified together."""


@dataclass(frozen=True)
class Windows:
    """Features of a few windows of every video of a split."""

    z: np.ndarray
    """(N, D) float32 features of the encoder, averaged over time; memory-mapped."""
    video: np.ndarray
    """(N,) row of the data set, ascending, and within a video in order of time."""
    start: np.ndarray
    """(N,) first frame of each window, of the video."""

    @property
    def videos(self) -> np.ndarray:
        """(V,) the rows of the data set, each once."""
        return np.unique(self.video)

    @property
    def of(self) -> np.ndarray:
        """(N,) which of `videos` a window is of."""
        return np.searchsorted(self.videos, self.video)

    def per_video(self, z: np.ndarray, unit_windows: bool = True) -> np.ndarray:
        """(V, D) mean of (N, D) features of the windows of each video, in the order of `videos`.

        unit_windows: bring each window to unit length first (CoCLR, ViCC); IIC and SLIC do not.
        """
        z = unit(z) if unit_windows else np.asarray(z)
        return grouped_mean(z, self.of, len(self.videos)).astype(np.float32)


def video_windows(
    run: Run,
    dataset: DataSet,
    split: str,
    clips: int | None = None,
    progress: Progress = lambda done, total: None,
) -> Windows:
    """Features of the videos of a split by a run; made only where they are not there.

    split: a split of the data set, or `all`. clips: windows per video, evenly spread over it (IIC,
    SLIC: 10); by default windows that overlap by half, the last one complete (CoCLR, CPR, ViCC).
    """
    source = dataset.source(run.config.data.clip)
    about = {
        "fingerprint": dataset.fingerprint,
        "checkpoint": run.checkpoint_sha,
        "clip": source.shape.model_dump(mode="json"),
        "flow": dataset.flow if source.shape.stream == "flow" else None,
        "split": split,
        "clips": clips,
    }
    key = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]
    folder = run.folder / "features" / key
    if not (folder / "about.json").is_file():
        chosen = [c for i in videos_of(dataset, split) for c in spread(source, i, clips)]
        _need_windows(chosen, source)
        encoder, device = on_device(run.encoder())
        z = encode(encoder, Filled(source), chosen, BATCH, device, progress)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with replacing(folder) as temporary:
            shutil.rmtree(folder, ignore_errors=True)  # one without about.json is a torn one
            temporary.mkdir()
            np.save(temporary / "z.npy", z)
            np.save(temporary / "windows.npy", np.array([(c.video, c.start) for c in chosen]))
            write_json(temporary / "about.json", {**about, "data": dataset.name})
    video, start = np.load(folder / "windows.npy").T
    return Windows(np.load(folder / "z.npy", mmap_mode="r"), video, start)


def classify_videos(
    run: Run,
    dataset: DataSet,
    split: str,
    clips: int | None = None,
    ten: bool = False,
    jitter: bool = False,
    progress: Progress = lambda done, total: None,
) -> tuple[np.ndarray, np.ndarray]:
    """(V,) rows of the data set and (V, C) probabilities that a classifier gives the videos.

    The softmax is averaged over windows (clips: see `video_windows`), and with `ten` over ten crops
    of each. jitter: change colours at random while testing, as CoCLR's code does.
    """
    import torch

    from workbench.data.augment import evaluate_view
    from workbench.data.crops import ten_crops
    from workbench.training.detect import classifier

    method = classifier(run)
    source = dataset.source(run.config.data.clip)
    shape, filled = source.shape, Filled(source)
    chosen = [c for i in videos_of(dataset, split) for c in spread(source, i, clips)]
    _need_windows(chosen, source)
    _, device, autocast = _fabric(method)
    found = []
    for first in range(0, len(chosen), BATCH):
        some = chosen[first : first + BATCH]
        pixels = [filled.pixels(clip) for clip in some]
        stream = shape.seen_as(shape.stream)
        if ten:
            seeds = np.arange(first, first + len(some)) if jitter else None
            views = ten_crops(pixels, shape.size, stream, device, jitter_seeds=seeds)
        else:
            views = [evaluate_view(pixels, shape.size, stream, device)]
        with torch.inference_mode(), autocast():
            seen = [_probabilities(method.predict(view)) for view in views]
        found.append(np.mean(seen, axis=0))
        progress(first + len(some), len(chosen))
    videos, of = np.unique([clip.video for clip in chosen], return_inverse=True)
    return videos, grouped_mean(np.concatenate(found), of, len(videos))


def project(run: Run, z: np.ndarray) -> np.ndarray:
    """(N, d) unit vectors of the method's head for (N, D) features of the encoder."""
    import torch

    from workbench.training.run import RunError

    method = run.method() if run.whole else None
    rows = torch.from_numpy(np.array(z, np.float32))
    with torch.inference_mode():
        found = method.project_features(rows) if method is not None else None
    if found is None:
        why = "holds the encoder alone" if method is None else "has no head on its features"
        raise RunError(
            f"run {run.name!r} ({run.config.method.name}) {why}. Judge the encoder's own features: "
            "--features backbone."
        )
    return found.float().numpy()


def videos_of(dataset: DataSet, split: str) -> list[int]:
    """The videos of a split, or of `all`; `ValueError` names the splits that there are."""
    chosen = [i for i, v in enumerate(dataset.videos) if split in ("all", v.split)]
    if not chosen:
        there = ", ".join(sorted(set(dataset.table["split"].dropna())))
        raise ValueError(
            f"data set {dataset.name!r} has no videos in split {split!r}. "
            + (f"Its splits: {there}." if there else "It has no splits: index it again with "
               "{split} in --pattern, a column split in its manifest, or official split files.")
        )  # fmt: skip
    return chosen


def spread(source: VideoSource, video: int, clips: int | None = None) -> list[Clip]:
    """The windows in which a video is judged, in order of time; [] where it has no picture.

    clips: so many, evenly spread from its first to its last window; by default half a clip apart
    (CoCLR: 32 * stride // 2 - 1 frames). A video that is too short is one window, from its start.
    """
    shape, room = source.shape, source.room(video)
    if _pictures(source, video, 0) < 1:
        return []
    if room < 0:
        starts = [0]
    elif clips:
        starts = np.linspace(0, room, clips).astype(int).tolist()
    else:
        starts = range(0, room + 1, max(1, shape.length * shape.stride // 2 - 1))
    return [Clip(video, k, shape.length, shape.stride, shape.stream) for k in starts]


class Filled:
    """A source whose clips may be longer than their video."""

    def __init__(self, source: VideoSource) -> None:
        self.source = source
        self.shape = source.shape

    def pixels(self, clip: Clip) -> np.ndarray:
        """(T, H, W, 3) uint8: what there is of the clip, its first picture repeated before it."""
        there = min(clip.length, _pictures(self.source, clip.video, clip.start))
        pixels = self.source.pixels(replace(clip, length=there))
        if there == clip.length:
            return pixels
        first = np.repeat(pixels[:1], clip.length - there, axis=0)
        return np.concatenate([first, pixels])


def on_device(encoder: Callable[[Tensor], Tensor]) -> tuple[Callable[[Tensor], Tensor], object]:
    """The encoder on the best device at its best precision, and the device."""
    module, device, autocast = _fabric(encoder)

    def represent(views: Tensor) -> Tensor:
        with autocast():
            return module(views)

    return represent, device


def _fabric(module):
    from lightning_fabric import Fabric

    from workbench.training.devices import PRECISIONS, choose_device, choose_precision

    device = choose_device()
    precision = PRECISIONS[choose_precision("auto", device)]
    fabric = Fabric(accelerator=device, devices=1, precision=precision)
    return module.to(fabric.device).eval(), fabric.device, fabric.autocast


def _pictures(source: VideoSource, video: int, start: int) -> int:
    """Pictures of the shape's stream that a video has from a frame on."""
    shape = source.shape
    n = source.videos[video].n_frames - (shape.stream != "rgb") - start
    return max(0, -(-n // shape.stride))


def _need_windows(clips: list[Clip], source: VideoSource) -> None:
    if not clips:
        raise ValueError(
            f"none of the videos has a picture of stream {source.shape.stream} to look at."
        )


def _probabilities(log_probabilities: Tensor) -> np.ndarray:
    """(B, C) out of (B, C) or, where every step has its own, the mean of (B, T', C)."""
    found = log_probabilities.float().exp()
    return (found.mean(dim=1) if found.ndim == 3 else found).cpu().numpy()


def windows_in_time(windows: Windows, values: np.ndarray) -> Iterator[np.ndarray]:
    """Values (N, ...) of the windows, video by video, in order of time."""
    for k in range(len(windows.videos)):
        yield values[windows.of == k]
