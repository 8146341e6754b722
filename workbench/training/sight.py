"""How a watcher sees: pictures of a video in, evenly spaced rows of features out, as they come.

A tick is a picture at the common rate of what is compared; a row is what is seen at a moment.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from workbench.analysis.neighbours import self_knn
from workbench.analysis.similarity import lifted, usual_length
from workbench.data.video import Clip, ClipShape, VideoSource

if TYPE_CHECKING:
    from workbench.data.live import Frames
    from workbench.training.run import Run

CELLS = 9
"""Cells along the short side of a picture as `PlainSight` sees it."""
FINE = 72
"""Pixels along the short side in which it looks for edges, or up to twice as many."""
ROWS_PER_SECOND = 10
"""Rows of `PlainSight`, at most."""
PAUSE = 1.0
"""Seconds without a picture that are filled with the last one; a longer gap is left a gap."""


class Tick(NamedTuple):
    """A picture that is seen."""

    picture: np.ndarray
    """(H, W, 3) uint8."""
    frame: int
    """Its number in the video."""
    seconds: float
    """Its time since the first picture, from the PTS."""


class Rows(NamedTuple):
    """Features of some moments, and the tick in the middle of each."""

    z: np.ndarray
    """(B, D) float32."""
    ticks: list[Tick]


class Sight(Protocol):
    """Sees rows in a video."""

    about: str
    """What it sees, in words."""
    side: int
    """Short side of the pictures it wants."""
    rate: float | None
    """Ticks per second that it needs; None: those of the reference."""
    span: int
    """Ticks that a row needs."""

    def hop(self, rate: float) -> int:
        """Ticks from row to row."""
        ...

    def rows(self, ticks: Iterable[Tick], hop: int, batch: int) -> Iterator[Rows]:
        """The rows of a video, `batch` of them at a time: the more, the faster and the later."""
        ...

    def fit(self, rows: np.ndarray, moments: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        """How rows are to be told beside the (M, D) rows of a reference: (B, D) -> (B, D').

        moments: (M,) seconds, those of different videos far apart.
        """
        ...


def ticks(frames: Frames, fps: float | None, rate: float | None = None) -> Iterator[Tick]:
    """The pictures of a video; with a rate, at so many ticks per second by their times.

    At each tick that is the newest picture: some come twice or not at all. A gap of more than
    `PAUSE` is not filled. Pictures without a time are taken as they come.
    """
    began, held, k = math.nan, None, 0
    for number, (picture, time) in enumerate(frames):
        began = time if math.isnan(began) else began
        since = time - began
        if math.isnan(since):
            yield Tick(picture, number, number / fps if fps else math.nan)
            continue
        if rate is None:
            yield Tick(picture, number, since)
            continue
        while held is not None and k / rate < since - 1e-4:
            yield held
            k += 1
            if since - held.seconds > PAUSE:
                k = max(k, math.ceil(since * rate - 1e-4))
        held = Tick(picture, number, since)
    if held is not None and k / rate >= held.seconds - 0.5 / rate:
        yield held


class PlainSight:
    """Edges in the picture: no network, nothing learned but what is usual in the reference.

    A picture is a grid of cells, 9 along its short side; of each it is seen how strong the edges
    in four directions are, beside the mean of the picture, so that brighter or darker light does
    not matter. The reference says what is usual (see `Usual`). [our reconstruction: of ten kinds of
    plain features this was best on a real video and on the bottling demo with its nuisances]

    It needs a camera that stands still. It does not see colours nor, row by row, how fast things
    move: a process that merely slows down looks normal.
    """

    about = "plain pictures (edges in a grid of cells), beside what is usual in the reference"
    side, rate, span = 144, None, 1

    def hop(self, rate: float) -> int:
        """About ten rows a second."""
        return max(1, round(rate / ROWS_PER_SECOND))

    def rows(self, ticks: Iterable[Tick], hop: int, batch: int) -> Iterator[Rows]:
        """(B, cells * 4) strength of the edges in each cell."""
        seen: list[Tick] = []
        grids: list[np.ndarray] = []
        for k, tick in enumerate(ticks):
            if k % hop:
                continue
            seen.append(tick)
            grids.append(_edges(tick.picture))
            if len(seen) == batch:
                yield Rows(np.stack(grids), seen)
                seen, grids = [], []
        if seen:
            yield Rows(np.stack(grids), seen)

    def fit(self, rows: np.ndarray, moments: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        """By what is usual in the reference."""
        return Usual(rows, moments)


class RunSight:
    """What the encoder of a run sees: windows of the run's clip shape, or single frames.

    Encoders with features of single frames (`per_frame`) give a row per picture, from windows that
    overlap by half and of which the inner half is kept, as when a data set is embedded.
    rate: frames per second of the videos it was trained on, where that is known.
    """

    def __init__(
        self, run: Run, side: int, rate: float | None = None, device: str | None = None
    ) -> None:
        from lightning_fabric import Fabric

        from workbench.training.devices import PRECISIONS, choose_device, choose_precision

        self.shape: ClipShape = run.config.data.clip
        if self.shape.stream == "flow":
            raise ValueError(
                f"run {run.name!r} was trained on optical flow, which is not computed while "
                "watching. Use a run on rgb or diff, or none."
            )
        device = device or choose_device()
        precision = PRECISIONS[choose_precision("auto", device)]
        self._fabric = Fabric(accelerator=device, devices=1, precision=precision)
        self.encoder = run.encoder().to(self._fabric.device)
        self.per_frame = getattr(self.encoder, "per_frame", False)
        self._unit = getattr(run.config.encoder, "normalise", True)
        s = self.shape
        self.about = (
            f"run {run.name} ({run.config.encoder.name}, {run.config.method.name}), "
            + ("single pictures" if self.per_frame else f"windows of {s.length} pictures")
            + (f" {s.stride} frames apart" if s.stride > 1 else "")
        )
        self.side, self.rate = side, rate
        self._window = s.span + (s.stream == "diff")  # diff looks one frame ahead
        self.span = 1 + (s.stream == "diff") if self.per_frame else self._window

    def hop(self, rate: float) -> int:
        """A quarter of a clip, as when a data set is embedded; every picture of single ones."""
        return self.shape.stride if self.per_frame else max(1, self.shape.span // 4)

    def rows(self, ticks: Iterable[Tick], hop: int, batch: int) -> Iterator[Rows]:
        """(B, D) features: the mean over each window, or those of each picture."""
        return self._single(ticks) if self.per_frame else self._windows(ticks, hop, batch)

    def fit(self, rows: np.ndarray, moments: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        """As the encoder tells them; by their lengths too, where it does not make them unit."""
        if self._unit:
            return lambda z: z
        length = usual_length(rows)
        return lambda z: lifted(z, length)

    def _windows(self, ticks: Iterable[Tick], hop: int, batch: int) -> Iterator[Rows]:
        s = self.shape
        centre = (s.length - 1) * s.stride // 2
        held: deque[Tick] = deque(maxlen=self._window)
        seen: list[Tick] = []
        windows: list[np.ndarray] = []
        for k, tick in enumerate(ticks, 1):
            held.append(tick)
            start = k - self._window
            if start < 0 or start % hop:
                continue
            seen.append(held[centre])
            windows.append(self._pictures(np.stack([t.picture for t in held])))
            if len(seen) == batch:
                yield Rows(self._see(windows).mean(axis=1), seen)
                seen, windows = [], []
        if seen:
            yield Rows(self._see(windows).mean(axis=1), seen)

    def _single(self, ticks: Iterable[Tick]) -> Iterator[Rows]:
        """Windows as `embed` lays them: half a window on, the last one at the very end."""
        length = self.shape.length
        half = max(1, length // 2)
        held: list[tuple[Tick, np.ndarray]] = []  # from picture `first` on
        first = start = kept = 0  # the next window's start, and the next row to give
        before: tuple[int, np.ndarray] | None = None  # the last window and what it saw

        def window(at: int) -> np.ndarray:
            return self._see([np.stack([p for _, p in held[at - first :][:length]])])[0]

        def give(upto: int) -> Rows:
            at, z = before
            seen = [tick for tick, _ in held[kept - first : upto - first]]
            return Rows(z[kept - at : upto - at], seen)

        for pair in self._strided(ticks):
            held.append(pair)
            if first + len(held) <= start + length:
                continue
            z = window(start)
            if before is not None:
                cut = (before[0] + start + length) // 2
                yield give(cut)
                kept = cut
            before = start, z
            start += half
            held, first = held[before[0] - first :], before[0]
        n = first + len(held)
        if n:
            last = max(0, n - length)
            z = window(last)
            if before is not None:
                cut = (before[0] + last + length) // 2
                yield give(cut)
                kept = cut
            before = last, z
            yield give(n)

    def _strided(self, ticks: Iterable[Tick]) -> Iterator[tuple[Tick, np.ndarray]]:
        """Every `stride`-th tick with its picture of the run's stream."""
        before: Tick | None = None
        for k, tick in enumerate(ticks):
            if before is not None:
                yield before, _difference(before.picture, tick.picture)
                before = None
            if k % self.shape.stride == 0:
                if self.shape.stream == "diff":
                    before = tick
                else:
                    yield tick, tick.picture

    def _pictures(self, frames: np.ndarray) -> np.ndarray:
        s = self.shape
        return VideoSource([], s, lambda _: frames).pixels(Clip(0, 0, s.length, s.stride, s.stream))

    def _see(self, windows: list[np.ndarray]) -> np.ndarray:
        """(B, T', D) float32."""
        import torch

        from workbench.data.augment import evaluate_view

        views = evaluate_view(windows, self.shape.size, self.shape.stream, self._fabric.device)
        with torch.inference_mode(), self._fabric.autocast():
            return self.encoder(views).float().cpu().numpy()


class Usual:
    """How rows differ from those of a reference, in units of how like moments differ there.

    Each row of the reference has a like moment: the nearest row that is more than `CLOSE` away in
    time, in another repetition. Along each direction in which the two of such a pair differ (the
    principal ones), a row is told by its distance from the mean over the usual difference (and
    `FLOOR`): light or a person who walks behind count less, the cycle itself keeps its size. One
    constant number more, of `CONSTANT` times the length of a usual difference, makes the distance
    of two unit vectors grow with that of their rows. [our reconstruction]
    """

    FLOOR = 0.07
    """Variation that is the noise of a camera, in units of `_edges`."""
    CONSTANT = 3.0
    CLOSE = 1.0
    """Seconds."""
    MOST = 4000
    """Rows whose like moments are looked for, and among which."""

    def __init__(self, rows: np.ndarray, moments: np.ndarray) -> None:
        self.mean = rows.mean(axis=0)
        self.directions = np.diag(1 / np.sqrt(rows.var(axis=0) + self.FLOOR**2))
        step = -(-len(rows) // self.MOST)
        some, when = rows[::step], np.asarray(moments)[::step]
        like = self_knn(self(some), 1, lambda i, j: np.abs(when[i] - when[j]) > self.CLOSE)[1][:, 0]
        if np.count_nonzero(like >= 0) > 1:
            pairs = like >= 0
            off = some[pairs] - some[like[pairs]]
            variance, directions = np.linalg.eigh(off.T @ off / (2 * len(off)))
            self.directions = directions / np.sqrt(variance.clip(0) + self.FLOOR**2)

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """(B, D + 1) out of (B, D)."""
        off = (rows - self.mean) @ self.directions
        constant = np.full((len(off), 1), self.CONSTANT * math.sqrt(off.shape[1]))
        return np.concatenate([off, constant], axis=1).astype(np.float32)


def _edges(picture: np.ndarray) -> np.ndarray:
    """(cells * 4,) strength of edges over that of the picture; a picture without any gives 0."""
    grey = picture.astype(np.float32).mean(axis=2)
    few = max(1, min(grey.shape) // FINE)
    grey = grey[: grey.shape[0] // few * few, : grey.shape[1] // few * few]
    grey = grey.reshape(grey.shape[0] // few, few, grey.shape[1] // few, few).mean(axis=(1, 3))
    grey = np.pad(grey, 1, mode="edge")
    down, right = grey[2:, 1:-1] - grey[:-2, 1:-1], grey[1:-1, 2:] - grey[1:-1, :-2]
    slant = np.sqrt(0.5)
    edges = np.abs(np.stack([right, down, slant * (right + down), slant * (right - down)], axis=2))
    scale = CELLS / min(down.shape)
    starts = [_starts(n, round(n * scale)) for n in down.shape]
    sums = np.add.reduceat(np.add.reduceat(edges, starts[0], axis=0), starts[1], axis=1)
    areas = np.outer(*(np.diff(s, append=n) for s, n in zip(starts, down.shape, strict=True)))
    grid = sums / areas[:, :, None]
    return np.sqrt(grid / (grid.mean() + 0.1)).ravel()


def _starts(n: int, cells: int) -> np.ndarray:
    """First pixel of each of so many cells of a side of n pixels (at most n)."""
    return np.unique(np.linspace(0, n, max(1, cells), endpoint=False).round().astype(int))


def _difference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.where(b > a, b - a, a - b)
