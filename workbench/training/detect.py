"""What a video shows, chunk by chunk, as its frames come."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from workbench.config import ConfigError
from workbench.data.video import Clip, ClipShape, VideoSource
from workbench.training.run import RunError

if TYPE_CHECKING:
    from torch import Tensor

    from workbench.methods import Method
    from workbench.training.run import Run


@dataclass(frozen=True)
class Chunk:
    """What frames [start, stop) show; known once frame stop - 1 has come.

    probabilities: (C,), one per class of the detector.
    """

    start: int
    stop: int
    label: str
    probability: float
    probabilities: np.ndarray = field(repr=False)


def default_overlap(length: int) -> int:
    """Pictures that two chunks share: 3 of 8 and 2 of 4 as in the thesis, for others in between."""
    return round(3 * length / 8)


def detect(
    run: Run,
    frames: Iterable[np.ndarray],
    chunk: int | None = None,
    overlap: int | None = None,
    streaming: bool = False,
) -> Iterator[Chunk]:
    """The chunks of a video by a run that is a classifier, each as soon as its last frame is there.

    frames: (H, W, 3) uint8, with the data set's short side; may be endless.
    chunk, overlap, streaming: see `Detector`.
    """
    detector = Detector.of(run, chunk, overlap)
    return detector.stream(frames) if streaming else detector.watch(frames)


class Detector:
    """A classifier that watches videos.

    A chunk has as many pictures as `shape.length` says, `shape.stride` frames apart, as the
    network was trained to see them; the next chunk shares `overlap` of them. With stride 1
    pictures are frames.

    method: has `classes` and `predict`, (B, 3, T, H, W) -> (B, C) log-probabilities, or (B, T', C)
    where every step has its own.
    """

    def __init__(
        self,
        method: Method,
        shape: ClipShape,
        overlap: int | None = None,
        device: str | None = None,
    ) -> None:
        from lightning_fabric import Fabric

        from workbench.training.devices import PRECISIONS, choose_device, choose_precision

        overlap = default_overlap(shape.length) if overlap is None else overlap
        if not 0 <= overlap < shape.length:
            raise ValueError(
                f"chunks of {shape.length} pictures cannot overlap by {overlap}. Give an overlap "
                f"of 0 to {shape.length - 1}."
            )
        if shape.stream == "flow":
            raise ValueError(
                "this run was trained on optical flow, which is not computed while watching. Use a "
                "run on rgb or diff."
            )
        device = device or choose_device()
        precision = PRECISIONS[choose_precision("auto", device)]
        self._fabric = Fabric(accelerator=device, devices=1, precision=precision)
        self.method = method.to(self._fabric.device).eval()
        self.classes = tuple(method.classes)
        self.shape = shape
        self.overlap = overlap

    @classmethod
    def of(cls, run: Run, chunk: int | None = None, overlap: int | None = None) -> Detector:
        """The detector of a run; by default a chunk is as long as the clips it was trained on."""
        shape = run.config.data.clip
        if chunk is not None:
            try:
                shape = ClipShape.parse({**shape.model_dump(), "length": chunk})
            except ConfigError as error:
                raise ValueError(f"--chunk {chunk}: {error}") from None
        return cls(classifier(run), shape, overlap)

    @property
    def span(self) -> int:
        """Frames of video that a chunk needs."""
        return self.shape.span + (self.shape.stream == "diff")  # diff looks one frame ahead

    @property
    def hop(self) -> int:
        """Frames from the start of a chunk to that of the next."""
        return (self.shape.length - self.overlap) * self.shape.stride

    def starts(self, n_frames: int) -> np.ndarray:
        """(N,) first frames of the complete chunks of a video; `ValueError` where there is none.

        An incomplete tail is dropped [our reconstruction].
        """
        self._need(n_frames)
        return np.arange(0, n_frames - self.span + 1, self.hop)

    def watch(self, frames: Iterable[np.ndarray]) -> Iterator[Chunk]:
        """Chunks as they are finished. Nothing is remembered from one to the next.

        frames: (H, W, 3) uint8. No more than one chunk of them is held.
        """
        held: deque[np.ndarray] = deque(maxlen=self.span)
        seen = 0
        for seen, frame in enumerate(frames, 1):
            held.append(frame)
            start = seen - self.span
            if start >= 0 and start % self.hop == 0:
                yield self._chunk(start, self.classify([self.pictures(np.stack(held))])[0])
        self._need(seen)

    def stream(self, frames: Iterable[np.ndarray]) -> Iterator[Chunk]:
        """The same chunks by a network that remembers everything before them.

        Every picture goes through the network once; what it has understood so far is carried on.
        For encoders with `stream(clips, state) -> (features, state)`.
        """
        encoder = self.method.encoder
        if not hasattr(encoder, "stream"):
            raise ValueError(
                f"{type(encoder).__name__} carries no state from frame to frame, so there is "
                "nothing to stream. Leave out --streaming, or train with --encoder resnet18_gru."
            )
        s = self.shape
        features: deque[Tensor] = deque(maxlen=s.length)
        state, pending, before, seen = None, [], None, 0
        for seen, frame in enumerate(frames, 1):
            k = seen - 1
            if s.stream == "diff" and before is not None:
                pending.append(np.where(frame > before, frame - before, before - frame))
                before = None
            if k % s.stride == 0:
                before = frame
                if s.stream != "diff":
                    pending.append(frame)
            start = seen - self.span
            if start >= 0 and start % self.hop == 0:
                found, state = self._advance(np.stack(pending), state)
                features.extend(found)
                pending = []
                yield self._chunk(start, self._conclude(features))
        self._need(seen)

    def pictures(self, frames: np.ndarray) -> np.ndarray:
        """(T, H, W, 3) uint8 pictures of a chunk whose (span, H, W, 3) frames these are."""
        s = self.shape
        return VideoSource([], s, lambda _: frames).pixels(Clip(0, 0, s.length, s.stride, s.stream))

    def classify(self, pictures: list[np.ndarray]) -> np.ndarray:
        """(B, C) probabilities of B chunks of (T, H, W, 3) uint8 pictures."""
        import torch

        with torch.inference_mode(), self._fabric.autocast():
            return _probabilities(self.method.predict(self._views(pictures)))

    def _advance(self, pictures: np.ndarray, state: object) -> tuple[list[Tensor], object]:
        """Features (1, D) of each new picture, and the state after them."""
        import torch

        with torch.inference_mode(), self._fabric.autocast():
            found, state = self.method.encoder.stream(self._views([pictures]), state)
        return list(found.unbind(dim=1)), state

    def _conclude(self, features: Iterable[Tensor]) -> np.ndarray:
        """(C,) probabilities out of the features of the last pictures."""
        import torch

        with torch.inference_mode(), self._fabric.autocast():
            scores = self.method.classify(torch.stack(list(features), dim=1))
            return _probabilities(scores.log_softmax(dim=-1))[0]

    def _views(self, pictures: list[np.ndarray]) -> Tensor:
        from workbench.data.augment import evaluate_view

        return evaluate_view(pictures, self.shape.size, self.shape.stream, self._fabric.device)

    def _chunk(self, start: int, probabilities: np.ndarray) -> Chunk:
        best = int(probabilities.argmax())
        chance = float(probabilities[best])
        return Chunk(start, start + self.span, self.classes[best], chance, probabilities)

    def _need(self, n_frames: int) -> None:
        if n_frames < self.span:
            s = self.shape
            apart = f", {s.stride} frames apart," if s.stride > 1 else ""
            raise ValueError(
                f"the video has {n_frames} frames; a chunk of {s.length} pictures{apart} needs "
                f"{self.span}. Give a shorter --chunk."
            )


def classifier(run: Run) -> Method:
    """The method of a run that tells classes apart; `RunError` says how to come to one."""
    config = run.config
    if not getattr(config.method, "classes", ()):
        raise RunError(
            f"run {run.name!r} is no classifier (its method is {config.method.name}). Train one on "
            f"its features: workbench train classify --data {config.data.name} --init {run.name}"
        )
    return run.method()


def _probabilities(log_probabilities: Tensor) -> np.ndarray:
    """(B, C) out of (B, C) or, where every step has its own, the mean of (B, T', C)."""
    found = log_probabilities.float().exp()
    return (found.mean(dim=1) if found.ndim == 3 else found).cpu().numpy()
