"""How long the analyses of what repeats take for an hour of video, and in how much memory.

    python tests/benchmarks/periodic_hour.py [--rows 108000] [--dims 128]

An hour at 30 frames per second: a planted cycle of 75 rows whose tempo swings, noise, and a stretch
in the middle in which the process is another one. Each analysis runs in a process of its own, whose
peak memory, less that before it began, is told: the rows alone take 55 MB.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import time

import numpy as np

from workbench.analysis.blocks import block_names, blocks
from workbench.analysis.periodicity import repetitions, rhythm
from workbench.analysis.phase import phase, phase_error
from workbench.analysis.similarity import pooled
from workbench.analysis.warping import dtw, refined

PERIOD = 75.0


def hour(rows: int, dims: int) -> tuple[np.ndarray, np.ndarray]:
    """(rows, dims) float32 features and the true phase, unwrapped."""
    rng = np.random.default_rng(0)
    waves = rng.normal(size=(2, 4, dims)) / np.arange(1, 5)[:, None] / np.sqrt(dims)
    swing = 1 + 0.15 * np.sin(np.arange(rows) * 2 * np.pi / 9000)
    turned = np.cumsum(1 / (PERIOD * swing))
    angle = 2 * np.pi * turned[:, None] * np.arange(1, 5)
    z = np.cos(angle) @ waves[0] + np.sin(angle) @ waves[1]
    z += 0.3 * rng.normal(size=(rows, dims)) / np.sqrt(dims) + rng.normal(size=dims) / np.sqrt(dims)
    z[rows * 2 // 5 : rows // 2] += 0.2 * rng.normal(size=dims) / np.sqrt(dims)
    return z.astype(np.float32), turned


def find_rhythm(z: np.ndarray, turned: np.ndarray) -> str:
    """The period of every row."""
    found = rhythm(z).period
    true = 1 / np.gradient(turned)
    return f"period off by {np.nanmedian(np.abs(found / true - 1)):.2%}"


def find_phase(z: np.ndarray, turned: np.ndarray) -> str:
    """The phase of every row, and the count."""
    found = phase(z)
    return (
        f"phase error {phase_error(found, turned % 1):.4f}, "
        f"{repetitions(found).count:.1f} of {turned[-1] - turned[0]:.1f} repetitions"
    )


def find_blocks(z: np.ndarray, turned: np.ndarray) -> str:
    """The blocks of all rows."""
    found = blocks(z)
    return (
        f"{found.tolist()} {''.join(block_names(z, found))}, true {len(z) * 2 // 5}, {len(z) // 2}"
    )


def find_match(z: np.ndarray, turned: np.ndarray) -> str:
    """The path between two recordings of half an hour, among means and then among all rows."""
    a, b = z[: len(z) // 2], z[len(z) // 20 : len(z) // 2 + len(z) // 20]
    thin = [pooled(x, 2000) for x in (a, b)]
    every = thin[0][1], thin[1][1]
    coarse = dtw(thin[0][0], thin[1][0])
    path = refined(a, b, coarse, every)
    return f"{len(path.rows_a)} pairs, {path.cost / len(path.rows_a):.3f} apart on average"


FINDERS = {"rhythm": find_rhythm, "phase": find_phase, "blocks": find_blocks, "match": find_match}


def peak() -> float:
    """MiB, the most that this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(name: str, rows: int, dims: int) -> None:
    """Print what one analysis takes."""
    z, turned = hour(rows, dims)
    before, wall, busy = peak(), time.perf_counter(), time.process_time()
    said = FINDERS[name](z, turned)
    wall, busy = time.perf_counter() - wall, time.process_time() - busy
    print(
        f"{name:<8} {wall:7.1f} s, {busy:7.1f} s of processor time, {peak():6.0f} MiB at most "
        f"({peak() - before:.0f} more than its input): {said}",
        flush=True,
    )


def main() -> None:
    """Measure all of them, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=108_000)
    parser.add_argument("--dims", type=int, default=128)
    args = parser.parse_args()
    for name in FINDERS:
        process = multiprocessing.get_context("spawn").Process(
            target=measure, args=(name, args.rows, args.dims)
        )
        process.start()
        process.join()


if __name__ == "__main__":
    main()
