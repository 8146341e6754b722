"""Exact self-kNN (k = 10, cosine) against faiss IndexFlatIP, taken in turns in one run.

Both get the same rows and all cores; both times include normalising the rows. faiss also
finds each row itself, so it is asked for 11. Recall is against faiss: of the ids, and of the
scores, where equally near rows (to 1e-6) count as the same.
"""

import argparse
import resource
import statistics
import time

import faiss
import numpy as np

from workbench.analysis.neighbours import apart, other, self_knn
from workbench.analysis.similarity import unit

K = 10


def rows(n: int, d: int) -> np.ndarray:
    """50 clusters, in order, as features of one video after another are."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(50, d))
    return (centres[np.sort(rng.integers(50, size=n))] + rng.normal(size=(n, d))).astype(np.float32)


def with_faiss(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    z = unit(z)
    index = faiss.IndexFlatIP(z.shape[1])
    index.add(z)
    scores, ids = index.search(z, K + 1)
    keep = ids != np.arange(len(z))[:, None]
    keep[keep.all(1), -1] = False  # a row that does not find itself among its equals
    return scores[keep].reshape(-1, K), ids[keep].reshape(-1, K)


def timed(function, *arguments):
    start = time.perf_counter()
    result = function(*arguments)
    return time.perf_counter() - start, result


def compare(n: int, d: int, times: int) -> None:
    z = rows(n, d)
    video, frame = np.arange(n) // 100, np.arange(n) % 100
    ours, theirs, near, far = [], [], [], []
    for _ in range(times):
        seconds, mine = timed(self_knn, z, K)
        ours.append(seconds)
        seconds, reference = timed(with_faiss, z)
        theirs.append(seconds)
        near.append(timed(self_knn, z, K, apart(video, frame, 30))[0])
        far.append(timed(self_knn, z, K, other(video // 10))[0])
    same = np.mean(
        [len(np.intersect1d(a, b)) / K for a, b in zip(mine[1], reference[1], strict=True)]
    )
    as_near = np.mean(mine[0] >= reference[0] - 1e-6)
    middle = statistics.median
    base = middle(theirs)
    print(
        f"{n:7} x {d:<4}{base:9.2f}{middle(ours):9.2f}{middle(ours) / base:8.2f}x"
        f"{min(ours) / min(theirs):8.2f}x{same:11.6f}{as_near:11.6f}"
        f"{middle(near) / base:9.2f}x{middle(far) / base:9.2f}x",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="leave out 50,000 rows")
    quick = parser.parse_args().quick
    print(
        f"{'rows':14}{'faiss s':>9}{'ours s':>9}{'median':>9}{'best':>9}{'same ids':>11}"
        f"{'as near':>11}{'+-30 out':>10}{'other rec.':>10}"
    )
    with_faiss(rows(2000, 128)), self_knn(rows(2000, 128), K)  # threads and libraries are up
    compare(10_000, 128, 7)
    compare(10_000, 512, 5)
    if not quick:
        compare(50_000, 512, 3)
        print("bar: 50,000 x 512 at most 1.00x, recall 1")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory of the process {peak:.0f} MiB")


if __name__ == "__main__":
    main()
