"""Features of every window of a data set, kept in the folder of the run that made them."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise, takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from workbench.analysis.embeddings import Embeddings
from workbench.data.manifest import DataSet
from workbench.data.video import Clip, VideoSource
from workbench.training.atomic import replacing, write_json
from workbench.training.loader import frame_labels

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from workbench.training.run import Run

MapKind = Literal["pca", "tsne", "umap"]

FRAMES = 512
"""Frames that go through the encoder at once, at most, where that is one clip or more."""


def embed(
    encoder: Callable[[Tensor], Tensor],
    source: VideoSource,
    hop: int | None = None,
    batch: int = 32,
    device: torch.device | str = "cpu",
    progress: Callable[[int, int], object] = lambda done, total: None,
    time_stride: int | None = None,
) -> Embeddings:
    """One row per window of every video, `hop` frames apart (default: a quarter of a clip).

    encoder: (B, 3, T, H, W) on `device` -> (B, T', D), in eval mode; the mean over T' is kept.
    progress is called with the windows done and their total. time_stride: the encoder's, where
    each of the T' steps is to be a row of its own instead; `hop` is then the distance of rows
    (default: that of steps), and videos shorter than a clip have rows too.
    """
    if time_stride:
        return _embed_steps(encoder, source, hop, batch, device, progress, time_stride)
    hop = hop or default_hop(source)
    clips = [c for i in range(len(source)) for c in source.windows(i, hop)]
    return Embeddings(
        encode(encoder, source, clips, batch, device, progress), describe(source, clips)
    )


def embed_middles(
    encoder: Callable[[Tensor], Tensor],
    source: VideoSource,
    batch: int = 32,
    device: torch.device | str = "cpu",
) -> Embeddings:
    """One row per video that holds a clip, of the clip in its middle. `encoder` as in `embed`."""
    rooms = [(i, source.room(i)) for i in range(len(source))]
    clips = [source.clip(i, room // 2) for i, room in rooms if room >= 0]
    return Embeddings(encode(encoder, source, clips, batch, device), describe(source, clips))


def default_hop(source: VideoSource) -> int:
    """Frames between windows where none are given: a quarter of what a clip covers."""
    return max(1, source.shape.span // 4)


def encode(
    encoder: Callable[[Tensor], Tensor],
    source: VideoSource,
    clips: list[Clip],
    batch: int = 32,
    device: torch.device | str = "cpu",
    progress: Callable[[int, int], object] = lambda done, total: None,
    middle: bool = False,
) -> np.ndarray:
    """(N, D) float32 features of clips, centre-cropped, without augmentation.

    The mean over a clip's time, or with `middle` the step in the middle of it.
    """
    if not clips:
        raise ValueError(
            f"no window to embed: a clip covers {source.shape.span} frames and every video is "
            "shorter. Train with a lower clip.length or clip.stride."
        )
    rows = []
    for z in _features(encoder, source, clips, batch, device, progress):  # (B, T', D)
        rows.append((z[:, (z.shape[1] - 1) // 2] if middle else z.mean(dim=1)).cpu().numpy())
    return np.concatenate(rows)


def _features(
    encoder: Callable[[Tensor], Tensor],
    source: VideoSource,
    clips: list[Clip],
    batch: int,
    device: torch.device | str,
    progress: Callable[[int, int], object],
) -> Iterator[Tensor]:
    """(B, T', D) float32 of clip after clip; those of one B are equally long."""
    import torch

    from workbench.data.augment import evaluate_view

    shape, done = source.shape, 0
    while done < len(clips):
        length = clips[done].length
        some = clips[done : done + max(1, min(batch, FRAMES // length))]
        chosen = list(takewhile(lambda clip, n=length: clip.length == n, some))
        with torch.inference_mode():
            pixels = [source.pixels(clip) for clip in chosen]
            views = evaluate_view(pixels, shape.size, shape.seen_as(chosen[0].stream), device)
            yield encoder(views).float()
        done += len(chosen)
        progress(done, len(clips))


def _embed_steps(
    encoder: Callable[[Tensor], Tensor],
    source: VideoSource,
    hop: int | None,
    batch: int,
    device: torch.device | str,
    progress: Callable[[int, int], object],
    time_stride: int,
) -> Embeddings:
    """A row per step of the features' time; a row's frame is the first one of its step."""
    step = source.shape.stride * time_stride
    hop = hop or step
    if hop % step and step % hop:
        raise ValueError(
            f"rows are to be {hop} frames apart and this encoder has features every {step} frames. "
            f"Choose a hop that divides {step} or is a multiple of it."
        )
    windows = [
        window
        for i in range(len(source))
        for first in range(0, step, min(hop, step))
        for window in _step_windows(source, i, first, time_stride)
    ]
    if not windows:
        raise ValueError(f"no frame to embed: none of {len(source)} videos has {time_stride}.")
    clips = [clip for clip, _ in windows]
    found = _features(encoder, source, clips, batch, device, progress)
    each = (z for many in found for z in many)  # (T', D)
    rows, places = [], []
    for (clip, kept), z in zip(windows, each, strict=True):
        rows.append(z[kept].cpu().numpy())
        places += [(clip.video, clip.start + k * step) for k in range(kept.start, kept.stop)]
    order = sorted(range(len(places)), key=places.__getitem__)
    order = [k for k in order if places[k][1] % hop == 0]
    frames = [Clip(*places[k], 1, source.shape.stride, source.shape.stream) for k in order]
    return Embeddings(np.concatenate(rows)[order], describe(source, frames))


def _step_windows(
    source: VideoSource, video: int, first: int, time_stride: int
) -> list[tuple[Clip, slice]]:
    """Clips that overlap by half, and the steps to keep of each: every step of a video once.

    They start at frame `first`. What is kept is the inner half, where a step sees to both sides
    what it would see in a longer clip; of the first and last clip also the outer part.
    """
    shape = source.shape
    last = source.room(video) + shape.span - 1  # frame of the video
    steps = ((last - first) // shape.stride + 1) // time_stride
    if steps < 1:
        return []
    length = min(max(1, shape.length // time_stride), steps)
    starts = [*range(0, steps - length, max(1, length // 2)), steps - length]
    cuts = [0, *((a + b + length) // 2 for a, b in pairwise(starts)), steps]
    return [
        (
            Clip(
                video,
                first + start * time_stride * shape.stride,
                length * time_stride,
                shape.stride,
                shape.stream,
            ),
            slice(begin - start, end - start),
        )
        for start, (begin, end) in zip(starts, pairwise(cuts), strict=True)
    ]


def describe(source: VideoSource, clips: list[Clip]) -> pd.DataFrame:
    """The index of clips, as `Embeddings` wants it."""
    rows = []
    for clip in clips:
        video = source.videos[clip.video]
        centre = clip.start + (clip.length - 1) * clip.stride // 2 - video.offset
        rows.append(
            {
                "video": clip.video,
                "start": clip.start,
                "frame": centre,
                "recording": video.recording,
                "camera": video.camera,
                "label": _label(source, clip),
                "split": video.split,
            }
        )
    return _nones(pd.DataFrame(rows))


def embed_run(
    run: Run,
    dataset: DataSet,
    hop: int | None = None,
    progress: Callable[[int, int], object] = lambda done, total: None,
) -> Path:
    """The folder with the embeddings of a data set by a run; made only where it is not there.

    The key is a hash of what the features depend on: videos, weights, clip shape, hop. An encoder
    with features of single frames (`per_frame`) has a row for each of them.
    """
    from lightning_fabric import Fabric

    from workbench.training.devices import PRECISIONS, choose_device, choose_precision

    source = dataset.source(run.config.data.clip)
    per_frame = getattr(run.config.encoder, "per_frame", False)
    hop = hop or (source.shape.stride if per_frame else default_hop(source))
    about = {
        "data": dataset.name,
        "fingerprint": dataset.fingerprint,
        "checkpoint": run.checkpoint_sha,
        "clip": source.shape.model_dump(mode="json"),
        "hop": hop,
    }
    if source.shape.stream == "flow":
        about["flow"] = dataset.flow
    else:
        del about["clip"]["flow_as_picture"]  # it changes nothing, so what was made before serves
    identity = {k: v for k, v in about.items() if k != "data"}
    key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
    folder = run.folder / "embeddings" / key
    if (folder / "about.json").is_file():
        return folder

    device = choose_device()
    fabric = Fabric(
        accelerator=device, devices=1, precision=PRECISIONS[choose_precision("auto", device)]
    )
    encoder = run.encoder().to(fabric.device)

    def represent(views: Tensor) -> Tensor:
        with fabric.autocast():
            return encoder(views)

    found = embed(
        represent,
        source,
        hop,
        device=fabric.device,
        progress=progress,
        time_stride=1 if per_frame else None,
    )
    folder.parent.mkdir(parents=True, exist_ok=True)
    with replacing(folder) as temporary:
        shutil.rmtree(folder, ignore_errors=True)  # one without about.json is a torn one
        temporary.mkdir()
        np.save(temporary / "z.npy", found.z)
        found.index.to_parquet(temporary / "index.parquet")
        write_json(temporary / "about.json", {**about, "rows": len(found), "dim": found.z.shape[1]})
    return folder


def load_embeddings(folder: Path) -> Embeddings:
    """Embeddings from their folder; the features stay on disk until they are read."""
    try:
        z = np.load(folder / "z.npy", mmap_mode="r")
        index = pd.read_parquet(folder / "index.parquet")
    except (OSError, ValueError) as error:
        raise FileNotFoundError(
            f"{folder} holds no readable embeddings ({error}). Make them with: workbench embed RUN."
        ) from None
    return Embeddings(z, _nones(index))


def map_embeddings(folder: Path, kind: MapKind = "pca") -> np.ndarray:
    """(N, 2) float32 map of the embeddings in a folder; computed once, then read from there.

    t-SNE and UMAP take seconds to minutes and compile code: call them in a worker process.
    """
    path = folder / f"{kind}.npy"
    if not path.is_file():
        from workbench.analysis.projection import pca, tsne, umap

        maps = {"pca": pca, "tsne": tsne, "umap": umap}
        found = maps[kind](np.asarray(load_embeddings(folder).z)).astype(np.float32)
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.save(file, found)
    return np.load(path)


def has_map(folder: Path, kind: MapKind) -> bool:
    """Whether a map is there already, so that reading it takes no time."""
    return (folder / f"{kind}.npy").is_file()


def _label(source: VideoSource, clip: Clip) -> str | None:
    """What most frames of a window are labelled, None where most are not."""
    return Counter(frame_labels(source, clip)).most_common(1)[0][0]


def _nones(index: pd.DataFrame) -> pd.DataFrame:
    """The index with None, as pandas and parquet do not keep it, for what is not known."""
    columns = {c: index[c].astype(object).where(index[c].notna(), None) for c in ("label", "split")}
    return index.assign(**columns)
