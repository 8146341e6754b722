"""Maps: features laid out in two dimensions. All are the same again for the same input and seed."""

from __future__ import annotations

import warnings

import numpy as np

from workbench.analysis.neighbours import self_knn
from workbench.analysis.similarity import unit

TSNE_ROWS = 2000
"""Rows up to which scikit-learn's t-SNE is a matter of seconds (10,000 take about a minute)."""


def pca(z: np.ndarray, dims: int = 2) -> np.ndarray:
    """Coordinates along the directions of largest variance.

    z: (N, D), N >= 1. Returns (N, dims) float32; directions that the data lack (fewer rows or
    features than dims) are zeros.
    """
    from sklearn.decomposition import PCA

    z = _checked(z)
    found = min(dims, len(z) - 1, z.shape[1])
    coordinates = np.zeros((len(z), dims), np.float32)
    if found > 0 and np.ptp(z, axis=0).any():
        coordinates[:, :found] = PCA(found, random_state=0).fit_transform(z)
    return coordinates


def tsne(z: np.ndarray, perplexity: float = 30, seed: int = 0) -> np.ndarray:
    """t-SNE map: near rows stay near, distances between far groups mean little.

    z: (N, D), reduced to 50 dimensions by PCA first. Returns (N, 2) float32. The perplexity
    (about how many neighbours count; van der Maaten & Hinton 2008, section 2: 5 to 50) is lowered
    when there are fewer than 3 times as many rows. Fewer than 4 rows: the PCA.
    """
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    z = _checked(z)
    start = pca(z, 2)
    if len(z) < 4 or not start.any():
        return start
    if len(z) > TSNE_ROWS:
        warnings.warn(
            f"t-SNE of {len(z)} rows takes long (10,000: about a minute). UMAP is faster.",
            stacklevel=2,
        )
    features = pca(z, 50) if z.shape[1] > 50 else z
    with threadpool_limits(1):  # its threads wait for each other: 10x slower beside other work
        return TSNE(
            perplexity=min(perplexity, (len(z) - 1) / 3),
            init=1e-4 * start / start[:, 0].std(),
            random_state=seed,
        ).fit_transform(features)


def umap(z: np.ndarray, k: int = 15, min_dist: float = 0.1, seed: int = 0) -> np.ndarray:
    """UMAP map of the cosine neighbourhoods, from exact neighbours.

    z: (N, D); k: how many neighbours (the row itself is one) hold a row in place, lowered when
    there are fewer rows; min_dist: how tightly rows may be packed, in units of the map (both
    defaults are umap-learn's). Returns (N, 2) float32. Fewer than 4 rows: the PCA.
    The first call of a process compiles for several seconds: run it in a worker process.
    """
    z = _checked(z)
    start = pca(z, 2)
    if len(z) < 4 or not start.any():
        return start
    k = min(k, len(z))
    scores, ids = self_knn(z, k - 1)
    ids = np.column_stack([np.arange(len(z)), ids])
    distances = np.column_stack([np.zeros(len(z)), 1 - scores]).clip(0).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # umap-learn: no transform() from given neighbours
        from umap import UMAP

        return UMAP(
            n_neighbors=k,
            min_dist=min_dist,
            metric="cosine",
            precomputed_knn=(ids, distances),
            init=10 * start / np.abs(start).max(),
            random_state=seed,
            n_jobs=1,
        ).fit_transform(unit(z))


def _checked(z: np.ndarray) -> np.ndarray:
    z = np.asarray(z, dtype=np.float32)
    if z.ndim != 2 or not len(z):
        raise ValueError(f"a map needs (N, D) features with N >= 1; these are {z.shape}.")
    if not np.isfinite(z).all():
        raise ValueError("the features hold NaN or infinite values: did the training diverge?")
    return z
