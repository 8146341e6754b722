"""The bottling demo: a production cell seen from the side, its faults, and the truth beside it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from workbench.data.demo import machine
from workbench.data.demo.cell import HEIGHT, WIDTH, Cell
from workbench.data.demo.filming import film
from workbench.data.demo.folder import claim, worked, write_table, write_text
from workbench.data.demo.machine import ANOMALIES, FPS, Shift
from workbench.data.demo.surroundings import Surroundings
from workbench.data.demo.video import write_video
from workbench.data.manifest import TRUTH, TRUTH_COLUMNS, put

SIZES = {"small": (2, 1, 2, 1, 60), "full": (6, 2, 8, 4, 100)}
"""Size -> recordings to train on, to validate, to test; how often each anomaly comes; seconds of
the recordings without (those with last as long as their anomalies need)."""
CAMERA = "side"
LONG = {"single-bottle": 20, "running-empty": 17}
"""Seconds that an anomaly takes about; the others: 9."""


@dataclass(frozen=True)
class Take:
    """A recording before it is made. The machine is the same in all of one seed, the day is not."""

    index: int
    name: str
    split: str
    kinds: tuple[str, ...]
    """Its anomalies, in order."""
    seconds: float
    """How long it is; with anomalies: at least."""
    seed: int = 0

    @property
    def shift(self) -> Shift:
        """What the machine does in it."""
        rng = np.random.default_rng([self.seed, self.index, 0])
        plan = machine.plan(rng, self.kinds, self.seconds)
        begin = float(rng.uniform(0, plan.lengths[0]))
        return machine.run(plan, 0 if self.kinds else self.seconds, begin)

    @property
    def pictures(self) -> Iterator[np.ndarray]:
        """(HEIGHT, WIDTH, 3) uint8, one after the other."""
        shift = self.shift
        around = Surroundings.draw(
            np.random.default_rng([self.seed, self.index, 1]), len(shift.phase)
        )
        return film(_cell(self.seed), shift, around, self.seed * 1000 + self.index)

    @property
    def truth(self) -> pd.DataFrame:
        """One row per frame, columns TRUTH_COLUMNS."""
        shift = self.shift
        frames = np.arange(len(shift.phase))
        columns = (self.name, frames, shift.phase, shift.repetition, shift.action, shift.anomaly)
        return pd.DataFrame(dict(zip(TRUTH_COLUMNS, columns, strict=True)))


def takes(size: Literal["small", "full"] = "small", seed: int = 0) -> list[Take]:
    """All recordings of the demo."""
    train, val, test, each, seconds = SIZES[size]
    rng = np.random.default_rng([seed, 2**20])
    splits = ["train"] * train + ["val"] * val
    out = [Take(i, f"normal-{i:02d}", s, (), seconds, seed) for i, s in enumerate(splits)]
    for i, kinds in enumerate(_dealt(rng, test, each)):
        out.append(Take(len(splits) + i, f"faulty-{i:02d}", "test", kinds, 60, seed))
    return out


def _dealt(rng: np.random.Generator, hands: int, each: int) -> list[tuple[str, ...]]:
    """Every anomaly `each` times, dealt so that all recordings become about as long."""
    deck = [kind for kind in ANOMALIES for _ in range(each)]
    deck = [deck[i] for i in rng.permutation(len(deck))]
    dealt: list[list[str]] = [[] for _ in range(hands)]
    for kind in sorted(deck, key=lambda k: -LONG.get(k, 9)):
        min(dealt, key=lambda h: (kind in h, sum(LONG.get(k, 9) + 13 for k in h))).append(kind)
    return [tuple(hand[i] for i in rng.permutation(len(hand))) for hand in dealt]


@lru_cache(maxsize=1)
def _cell(seed: int) -> Cell:
    return Cell.draw(seed)


def make(
    folder: str | Path, size: Literal["small", "full"] = "small", seed: int = 0, workers: int = 2
) -> Iterator[tuple[int, int]]:
    """Makes the demo in `folder`; yields (videos that are there, videos in all) on the way.

    The folder then holds videos/, clips.csv, segments.csv, truth.parquet and README.txt. What an
    earlier, broken-off run has completed is kept. The result depends on `size` and `seed` alone,
    not on `workers`, the number of processes; stop pulling to stop.
    """
    folder = Path(folder)
    chosen = takes(size, seed)
    claim(folder, {"demo": "bottling", "size": size, "seed": seed})
    (folder / "videos").mkdir(exist_ok=True)
    missing = [take for take in chosen if not _path(folder, take).exists()]
    missing.sort(key=lambda take: -len(take.kinds))  # the long ones first
    there = len(chosen) - len(missing)
    for done in worked(film_take, [(folder, take) for take in missing], workers):
        yield there + done, len(chosen)
    _write_tables(folder, chosen)


def film_take(folder: Path, take: Take) -> None:
    """Film one recording into videos/ of a folder."""
    write_video(_path(folder, take), take.pictures, FPS)


def _path(folder: Path, take: Take) -> Path:
    return folder / "videos" / f"{take.name}.mp4"


def _write_tables(folder: Path, chosen: list[Take]) -> None:
    """All tables, clips.csv last: once everything it speaks of is there."""
    clips: list[tuple] = [("recording", "camera", "path", "split", "tags")]
    segments: list[tuple] = [("recording", "start", "stop", "label")]
    for take in chosen:
        path = f"videos/{take.name}.mp4"
        clips.append((take.name, CAMERA, path, take.split, ",".join(take.kinds)))
        segments += [(take.name, *s) for s in take.shift.segments()]
    truth = pd.concat([take.truth for take in chosen], ignore_index=True)
    put(folder / TRUTH, lambda path: truth.to_parquet(path, index=False))
    write_table(folder / "segments.csv", segments)
    kinds = "\n".join(f"{name:<15} {what}" for name, what in ANOMALIES.items())
    size = f"{WIDTH} x {HEIGHT}"
    write_text(folder / "README.txt", README.format(n=len(chosen), size=size, kinds=kinds))
    write_table(folder / "clips.csv", clips)


README = """\
Bottling demo: {n} recordings of a machine that fills and caps bottles, made by
"workbench demo bottling"; nothing in it was ever filmed.

videos/RECORDING.mp4   H.264, 30 pictures per second, {size}
clips.csv              recording, camera, path, split, tags (the anomalies it holds)
segments.csv           recording, start, stop, label: frames [start, stop) that are anomalous
truth.parquet          recording, frame, phase, repetition, action, anomaly of every frame: phase is
                       where in its cycle the machine is, [0, 1), and stands still in a jam

Recordings of train and val hold no anomaly. A normal cycle takes 2 to 3 seconds: the belt moves,
the head comes down, fills and rises, the robot caps the next bottle. Anomalies:
{kinds}
An empty place or a tilted bottle is anomalous for as long as it is in sight between the hoods.

Light that drifts and flickers, a camera that shakes, people who walk by behind the machine,
reflections and noise are in every recording and are no anomalies.
"""
