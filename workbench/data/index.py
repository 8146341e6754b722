"""A data set out of a list of videos: each decoded once, side by side, and never twice."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from workbench.data.framestore import Job, Stored, leftovers
from workbench.data.manifest import COLUMNS, DataSet, Problem, write_dataset
from workbench.data.offsets import keep_offsets
from workbench.data.sources import Entry
from workbench.data.tables import SEGMENTS, check_segments
from workbench.data.workers import COMMAND, store_all
from workbench.workspace import name_problem


class IndexingError(ValueError):
    """Nothing could be indexed, or, where asked to be strict, not everything."""


@dataclass(frozen=True)
class Progress:
    """How far indexing is. `eta` is in seconds, None while unknown; `current` names a file."""

    done: int
    total: int
    frames: int = 0
    eta: float | None = None
    current: str = ""
    problems: tuple[Problem, ...] = ()

    @property
    def finished(self) -> bool:
        """True in the last report: the data set is written."""
        return self.done == self.total and not self.current


def index(
    entries: Sequence[Entry],
    folder: str | Path,
    name: str | None = None,
    side: int = 128,
    segments: pd.DataFrame | None = None,
    workers: int | None = None,
    patience: float = 20.0,
    strict: bool = False,
    command: Sequence[str] = COMMAND,
) -> Iterator[Progress]:
    """Make or renew the data set in `folder`, reporting as it goes; the last report is `finished`.

    side: short side of the stored frames, pixels; segments: recording, start, stop, label;
    workers: processes (None: one per core); patience: seconds without a sign of life after which
    a decoder is given up. Videos stored before are not decoded again, so it can be stopped, killed
    and repeated at will; offsets saved by hand are kept. Raises `IndexingError` when no video is
    usable (what is wrong with each is in the last report), when the folder holds a data set of
    other videos, and with `strict` when any file had a problem (after writing what is usable);
    `DiskFull` when there is no room.
    """
    folder = Path(folder)
    if not 16 <= side <= 1080:
        raise IndexingError(f"side is {side} pixels; expected 16 to 1080.")
    if workers is not None and workers < 1:
        raise IndexingError(f"workers is {workers}; expected 1 or more.")
    name = folder.name if name is None else name
    if why := name_problem(name):
        raise IndexingError(f"{name!r} cannot be the name of a data set: {why}.")
    if not entries:
        raise IndexingError("the list names no videos.")
    old = _data_set(folder)
    if old:
        _check_same(old, entries)
    store = folder / "videos"
    store.mkdir(parents=True, exist_ok=True)
    _remove(leftovers(store))

    chosen, problems = _without_doubles(entries)
    keys = [_key(entry, side) for entry in chosen]
    found: dict[str, Stored | None] = {
        key: Stored.load(store / key) if (store / key / "about.json").is_file() else None
        for key in dict.fromkeys(keys)
    }
    team = min(workers or _cores(), len(found))
    jobs = [
        Job(
            path=str(entry.path),
            folder=str(store),
            key=key,
            side=side,
            start=entry.start,
            end=entry.end,
            threads=max(1, _cores() // team),
        )
        for key, entry in dict(zip(keys, chosen, strict=True)).items()
        if found[key] is None
    ]
    total, frames, clock = len(found), 0, _Clock(jobs)
    done = total - len(jobs)
    yield Progress(done, total, current="starting" if jobs else "tables", problems=tuple(problems))
    for step in store_all(jobs, team, patience, command):
        if step.stored:
            found[step.job.key] = step.stored
            frames += step.stored.n_frames
        if step.bad:
            problems.append(Problem(step.job.path, *step.bad))
        done += step.over
        eta = clock.eta(step.job.key, step.share)
        yield Progress(done, total, frames, eta, Path(step.job.path).name, tuple(problems))

    before = [_key(entry, old.side) for entry in chosen] if old else keys
    offsets = keep_offsets(folder, [entry.offset for entry in chosen], keys, before)
    chosen = [replace(entry, offset=k) for entry, k in zip(chosen, offsets, strict=True)]
    table = _table(chosen, keys, found)
    if table.empty:
        yield Progress(done, total, frames, None, "tables", tuple(problems))
        n = len(entries)
        raise IndexingError(
            f"none of the {n} files is usable." if n > 1 else "the file is not usable."
        )
    problems += _doubts(chosen, keys, found) + _unequal(table)
    lengths = (table["n_frames"] - table["offset"]).groupby(table["recording"]).min().to_dict()
    given = segments if segments is not None else pd.DataFrame(columns=list(SEGMENTS))
    usable, wrong = check_segments(given, lengths)
    problems += wrong
    write_dataset(folder, name, side, table, usable, problems)
    _remove([p for p in store.iterdir() if p.name[0] != "." and p.name not in set(table["key"])])
    _remove(leftovers(store))
    yield Progress(total, total, frames, 0.0, "", tuple(problems))
    if strict and problems:
        raise IndexingError(
            f"{len(problems)} problems, and strict was asked for. The usable videos are indexed."
        )


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _data_set(folder: Path) -> DataSet | None:
    """The data set that is there, None where there is none."""
    try:
        return DataSet(folder)
    except FileNotFoundError:
        return None


def _check_same(old: DataSet, entries: Sequence[Entry]) -> None:
    """Raises where not one video is known: another folder of videos under the same name."""
    known = set(old.table["path"])
    if known and known.isdisjoint(os.path.abspath(entry.path) for entry in entries):
        homes = sorted({os.path.dirname(path) for path in known})
        others = f" and {len(homes) - 1} other folders" if len(homes) > 1 else ""
        raise IndexingError(
            f"data set {old.name!r} holds videos of {homes[0]}{others}, none of them in this list; "
            f"give another --name (or remove {old.folder} if you need it no more)."
        )


def _key(entry: Entry, side: int) -> str:
    """Names the stored frames: the same while the file and what is taken of it are the same."""
    try:
        stat = entry.path.stat()
        version = [stat.st_size, stat.st_mtime_ns]
    except OSError:
        version = []
    what = [os.path.abspath(entry.path), *version, entry.start, entry.end, side]
    return hashlib.sha256(repr(what).encode()).hexdigest()[:16]


def _without_doubles(entries: Sequence[Entry]) -> tuple[list[Entry], list[Problem]]:
    first: dict[tuple[str, str], Entry] = {}
    problems = []
    for entry in entries:
        known = first.setdefault((entry.recording, entry.camera), entry)
        if known is not entry:
            problems.append(
                Problem(
                    str(entry.path),
                    f"recording {entry.recording!r}, camera {entry.camera!r} is also {known.path}",
                    "The first one is used. Rename one of them, or give it its own camera.",
                )
            )
    return list(first.values()), problems


def _table(entries: list[Entry], keys: list[str], found: dict[str, Stored | None]) -> pd.DataFrame:
    rows = [
        {
            "key": key,
            "path": os.path.abspath(entry.path),
            "recording": entry.recording,
            "camera": entry.camera,
            "label": entry.label,
            "split": entry.split,
            "tags": ",".join(entry.tags),
            "offset": entry.offset,
            **{c: getattr(stored, c) for c in COLUMNS if hasattr(stored, c)},
        }
        for entry, key in zip(entries, keys, strict=True)
        if (stored := found[key])
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"header_frames": "Int64"})


def _doubts(
    entries: list[Entry], keys: list[str], found: dict[str, Stored | None]
) -> list[Problem]:
    return [
        Problem(str(entry.path), what, advice, usable=True)
        for entry, key in zip(entries, keys, strict=True)
        if (stored := found[key])
        for what, advice in stored.doubts
    ]


def _unequal(table: pd.DataFrame) -> list[Problem]:
    """Recordings whose cameras do not show the same frames."""
    problems = []
    for name, rows in table.groupby("recording", sort=False):
        lengths = dict(zip(rows["camera"], rows["n_frames"] - rows["offset"], strict=True))
        if (rows["offset"] >= rows["n_frames"]).any():
            found = "a camera's offset_frames is beyond its last frame"
            problems.append(
                Problem(f"recording {name}", found, "Lower offset_frames.", usable=True)
            )
        elif len(set(lengths.values())) > 1:
            found = "its cameras differ in length: " + ", ".join(
                f"{camera} {n}" for camera, n in sorted(lengths.items())
            )
            advice = (
                f"The first {min(lengths.values())} frames are shown together. "
                "Set offset_frames if the cameras did not start together."
            )
            problems.append(Problem(f"recording {name}", found + " frames", advice, usable=True))
        if rows["fps"].max() > 1.01 * rows["fps"].min():
            found = "its cameras differ in rate: " + ", ".join(
                f"{r.camera} {r.fps:.2f}" for r in rows.itertuples()
            )
            advice = "Frame k is then not one moment; bring them to one rate with: ffmpeg -r."
            problems.append(Problem(f"recording {name}", found + " fps", advice, usable=True))
    return problems


def _remove(folders: list[Path]) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


class _Clock:
    """Time left, from the bytes of the files done so far."""

    def __init__(self, jobs: list[Job]) -> None:
        self.start = time.monotonic()
        files = {job.key: job.path for job in jobs}
        self.sizes = {k: os.path.getsize(p) if os.path.isfile(p) else 0 for k, p in files.items()}
        self.total = sum(self.sizes.values())
        self.shares: dict[str, float] = {}

    def eta(self, key: str, share: float) -> float | None:
        self.shares[key] = share
        done = sum(self.sizes[k] * s for k, s in self.shares.items())
        spent = time.monotonic() - self.start
        return spent * (self.total - done) / done if done > 0 else None
