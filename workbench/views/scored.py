"""Moments against prototypes: those of a run, or the centres of groups where it has none."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from workbench.analysis.clusters import kmeans
from workbench.analysis.embeddings import Embeddings
from workbench.analysis.prototypes import Usage, assign, usage
from workbench.analysis.similarity import unit
from workbench.training.run import Run, RunError

MOST = 40_000_000
"""Scores that are kept in memory (160 MB); of more windows every n-th is scored."""
FEW = 20_000
"""Windows that centres are looked for among."""


@dataclass(frozen=True)
class Scored:
    """M moments and their cosines with P prototypes."""

    rows: np.ndarray
    """(M,) rows of the embeddings, ascending."""
    scores: np.ndarray
    """(M, P) float32."""
    what: str
    """What one of the P is called: prototype or centre."""

    @cached_property
    def assigned(self) -> np.ndarray:
        """(M,) the nearest prototype of each moment."""
        return assign(self.scores)

    @cached_property
    def usage(self) -> Usage:
        """How the moments are spread."""
        return usage(self.scores)


def by_prototypes(run: Run, embeddings: Embeddings) -> Scored | None:
    """The moments against the prototypes of a run; None where its method has none. Loads torch.

    `RunError` where the checkpoint cannot tell.
    """
    import torch

    if not run.whole:
        raise RunError(f"the checkpoint of {run.name!r} holds the encoder alone")
    method = run.method()
    if method.prototypes is None:
        return None
    c = method.prototypes.detach()
    rows = _thinned(len(embeddings), len(c))
    parts = []
    with torch.inference_mode():
        for some in np.array_split(rows, max(1, len(rows) // 4096)):
            features = torch.from_numpy(np.array(embeddings.z[some], np.float32))
            if (z := method.project_features(features)) is None:
                return None
            parts.append((z @ c.T).float().numpy())
    return Scored(rows, np.concatenate(parts), "prototype")


def by_centres(embeddings: Embeddings, k: int) -> Scored:
    """The moments against the centres of k groups of the features, found by k-means."""
    rows = _thinned(len(embeddings), k)
    z = unit(np.asarray(embeddings.z[rows], np.float32))
    some = z[:: -(-len(z) // FEW)]
    k = min(k, len(some))
    labels = kmeans(some, k)
    means = np.zeros((k, z.shape[1]), np.float32)
    np.add.at(means, labels, some)
    return Scored(rows, (z @ unit(means).T).astype(np.float32), "centre")


def _thinned(n: int, prototypes: int) -> np.ndarray:
    """Every row, or of too many every n-th."""
    return np.arange(0, n, max(1, -(-n * prototypes // MOST)))
