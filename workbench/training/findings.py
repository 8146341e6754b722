"""What a run finds on its way, epoch by epoch: who was mined for whom, and clusters.

mined/EPOCH.parquet      step, anchor, positive (names of recordings); a row for each positive found
clusters/EPOCH.parquet   recording, cluster; only epochs that began with a new clustering

Epochs count from 0. The files go with the checkpoint: what came after it is found again.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from workbench.training.atomic import replacing

if TYPE_CHECKING:
    from workbench.data.manifest import DataSet
    from workbench.data.video import VideoSource
    from workbench.methods import Method
    from workbench.sampling import Sampler
    from workbench.training.run import Run

MINED, CLUSTERS = "mined", "clusters"


def read(folder: Path, kind: str, epoch: int) -> pd.DataFrame:
    """The table of an epoch; `FileNotFoundError` names the epochs there are."""
    path = folder / kind / f"{epoch}.parquet"
    if not path.is_file():
        known = ", ".join(map(str, epochs(folder, kind))) or "none"
        raise FileNotFoundError(
            f"run {folder.name!r} holds no {kind} of epoch {epoch}. Epochs that do: {known}."
        )
    return pd.read_parquet(path)


def epochs(folder: Path, kind: str) -> list[int]:
    """The epochs of which there is a table, in order."""
    return sorted(int(p.stem) for p in (folder / kind).glob("*.parquet"))


def training_labels(run: Run, dataset: DataSet) -> pd.Series:
    """The class of each recording that a run trains on, by its name; None where it has none.

    What is found is judged by these: other recordings cannot be found. Imports no torch.
    """
    classes = classes_of(dataset, (run.settings.get("data") or {}).get("splits"))
    return pd.Series(classes, dtype=object)


def classes_of(dataset: DataSet, splits: Collection[str] | None = None) -> dict[str, str | None]:
    """The class of each recording: its label, or the one label of its segments; None unknown.

    splits: only of these; by default of all.
    """
    found: dict[str, str | None] = {}
    for video in dataset.videos:
        if splits is not None and video.split not in splits:
            continue
        if found.get(video.recording) is None:
            shown = {s.label for s in video.segments}
            found[video.recording] = video.label or (shown.pop() if len(shown) == 1 else None)
    return found


class Findings:
    """Keeps what is found in memory until `save`, which is to be called with every checkpoint."""

    def __init__(self, folder: Path, source: VideoSource, sampler: Sampler) -> None:
        self.folder = folder
        self.names = np.array(list(dict.fromkeys(v.recording for v in source.videos)), object)
        self.sampler = sampler
        self.mined: dict[int, list[pd.DataFrame]] = {}

    def look(self, step: int, epoch: int, method: Method, sampler: Sampler) -> None:
        """Note what the step of an epoch found, and what the sampler is if it is a new one."""
        if (pairs := method.mined()) is not None:
            anchor, positive = (self.names[groups] for groups in pairs)
            rows = pd.DataFrame({"step": step, "anchor": anchor, "positive": positive})
            self.mined.setdefault(epoch, []).append(rows)
        if sampler is self.sampler:
            return
        self.sampler = sampler
        if (found := sampler.clustering()) is not None:
            recording, cluster = found
            rows = pd.DataFrame({"recording": self.names[recording], "cluster": cluster})
            self._write(CLUSTERS, epoch, rows)

    def save(self) -> None:
        """Write what was mined since the last time."""
        for epoch, parts in self.mined.items():
            path = self.folder / MINED / f"{epoch}.parquet"
            before = [pd.read_parquet(path)] if path.is_file() else []
            self._write(MINED, epoch, pd.concat([*before, *parts], ignore_index=True))
        self.mined = {}

    def go_back(self, step: int, epoch: int) -> None:
        """Forget what came after a step that a resumed run starts from, in this or later epochs."""
        for kind in (MINED, CLUSTERS):
            for later in epochs(self.folder, kind):
                path = self.folder / kind / f"{later}.parquet"
                if later > epoch or not step:
                    path.unlink()
                elif kind == MINED:
                    rows = pd.read_parquet(path)
                    if (rows["step"] > step).any():
                        self._write(kind, later, rows[rows["step"] <= step])

    def _write(self, kind: str, epoch: int, rows: pd.DataFrame) -> None:
        path = self.folder / kind / f"{epoch}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            rows.to_parquet(temporary, index=False)
