"""The folder that a demo is made in: whose it is, its tables, and who makes its recordings."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

import numpy as np


def claim(folder: Path, about: dict) -> None:
    """Marks the folder as holding a demo; refuses one that holds another.

    about: demo, size and seed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    mark = folder / "demo.json"
    found = json.loads(mark.read_text()) if mark.is_file() else about
    if found != about:
        raise ValueError(
            f"{folder} holds the {found['demo']} demo of size {found['size']} and seed "
            f"{found['seed']}; asked for was size {about['size']} and seed {about['seed']}. "
            "Choose another folder, or delete this one."
        )
    write_text(mark, json.dumps(about))


def worked(make: Callable[..., object], jobs: list[tuple], workers: int) -> Iterator[int]:
    """Calls make(*job) for each job, in `workers` processes; yields how many are done, from 0 on.

    They finish in whatever order; stop pulling to stop. make: a function of a module, for it has
    to be found by the other processes too.
    """
    yield 0
    if workers <= 1 or len(jobs) < 2:
        for done, job in enumerate(jobs, 1):
            make(*job)
            yield done
        return
    pool = ProcessPoolExecutor(min(workers, len(jobs)), mp_context=get_context("spawn"))
    try:
        called = [pool.submit(_call, make, job) for job in jobs]
        for done, made in enumerate(as_completed(called), 1):
            made.result()
            yield done
    finally:
        pool.shutdown(cancel_futures=True)


def _call(make: Callable[..., object], job: tuple) -> None:
    make(*job)


def write_table(path: Path, rows: Iterable[tuple]) -> None:
    """A .csv of rows, the first of them the names of the columns; all of it or nothing."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    write_text(path, text.getvalue())


def write_text(path: Path, text: str) -> None:
    """A text file; all of it or nothing."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.write_text(text)
    part.replace(path)


def write_truth(path: Path, truth: dict[str, np.ndarray]) -> None:
    """An .npz of arrays by name; all of it or nothing."""
    part = path.with_name(f".{path.stem}.{os.getpid()}.npz")
    np.savez_compressed(part, **truth)  # type: ignore[arg-type]
    part.replace(path)
