"""Features of many moments, with what is known about each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

COLUMNS = ("video", "start", "frame", "recording", "camera", "label", "split")


@dataclass(frozen=True)
class Embeddings:
    """N rows of features.

    z: (N, D) float32, not normalised.
    index: N rows in the same order, numbered from 0, with the columns
        video (row number in the data set), start (frame of the *video* at which the window
        starts), frame (centre of the window, in frames of the *recording*), recording, camera,
        label (majority over the window's frames; None unknown), split.
    """

    z: np.ndarray
    index: pd.DataFrame

    def __post_init__(self) -> None:
        if len(self.z) != len(self.index):
            raise ValueError(f"{len(self.z)} features but {len(self.index)} index rows.")
        if missing := [c for c in COLUMNS if c not in self.index]:
            raise ValueError(f"the index lacks the columns {missing}.")

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self.z)

    def where(self, keep: np.ndarray | Callable[[pd.DataFrame], np.ndarray]) -> Embeddings:
        """The rows for which `keep` ((N,) bool, or a function of the index) is true."""
        mask = np.asarray(keep(self.index) if callable(keep) else keep)
        return Embeddings(self.z[mask], self.index[mask].reset_index(drop=True))

    def row(self, recording: str, frame: int, camera: str | None = None) -> int:
        """The row of a recording (seen by a camera) whose centre is nearest to a frame."""
        here = self.index["recording"].to_numpy() == recording
        if camera is not None:
            here &= self.index["camera"].to_numpy() == camera
        rows = np.flatnonzero(here)
        if not len(rows):
            raise KeyError(f"no embedding of recording {recording!r}, camera {camera!r}.")
        return int(rows[np.abs(self.index["frame"].to_numpy()[rows] - frame).argmin()])
