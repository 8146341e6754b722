"""The judo demo, ready to look at: videos, data set, the checkpoint that ships, its embeddings."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import as_file, files
from typing import Literal

from workbench.data import index
from workbench.data.demo import judo
from workbench.data.manifest import DataSet
from workbench.data.tables import from_manifest, read_segments
from workbench.training.atomic import replacing
from workbench.training.embed import embed_run, map_embeddings
from workbench.training.run import Run
from workbench.workspace import Workspace

SIDE = 80
"""Short side of the stored frames, pixels: enough for clips of 64; the demo trains at 40."""
CHECKPOINT = "judo-60s"
"""The run that ships in the package; README says how to remake it."""


STAGES = {"filming": 0.7, "indexing": 0.22, "embedding": 0.08}
"""Share of the time that each stage takes, measured on two cores."""


@dataclass(frozen=True)
class Step:
    """How far the whole is, in thousandths, what is being done, and the seconds left."""

    done: int
    message: str
    eta: float | None
    total: int = 1000


def make_judo(
    workspace: Workspace,
    size: Literal["small", "full"] = "small",
    seed: int = 0,
    name: str = "judo",
) -> Iterator[Step]:
    """Make the data set `name` and the run that ships, embedded on it; resumes what is there."""
    tell = _Pace()
    videos = workspace.root / "demo" / name
    if name not in workspace.data_names() or videos.is_dir():
        for done, total in judo.make(videos, size, seed):
            yield tell.step("filming", done, total, f"{done} of {total} videos")
        entries = from_manifest(videos / "clips.csv")
        segments = read_segments(videos / "segments.csv")
        for report in index.index(entries, workspace.data / name, name, SIDE, segments):
            note = f"{report.done} of {report.total}"
            yield tell.step("indexing", report.done, report.total, note)
    yield tell.step("embedding", 0, 3, "with the run that ships")
    run = install_checkpoint(workspace)
    found = embed_run(run, DataSet(workspace.data / name))
    yield tell.step("embedding", 2, 3, "drawing the PCA map")
    map_embeddings(found, "pca")
    yield tell.step("embedding", 3, 3, "done")


class _Pace:
    """Progress over all stages, and the time left from the share that is done."""

    def __init__(self) -> None:
        self.began: tuple[float, float] | None = None  # (seconds, share) at the first sign of life

    def step(self, stage: str, done: int, total: int, note: str) -> Step:
        names = list(STAGES)
        before = sum(STAGES[name] for name in names[: names.index(stage)])
        share = before + STAGES[stage] * done / max(1, total)
        now = time.monotonic()
        start, first = self.began = self.began or (now, share)
        eta = (now - start) * (1 - share) / (share - first) if share > first else None
        return Step(round(1000 * share), f"{stage}: {note}", eta)


def install_checkpoint(workspace: Workspace, name: str = CHECKPOINT) -> Run:
    """The run that ships in the package, copied into the workspace where it is not there yet."""
    run = Run(workspace.runs / name)
    if not run.settings:
        run.folder.parent.mkdir(parents=True, exist_ok=True)
        shipped = files("workbench") / "checkpoints" / name
        with as_file(shipped) as source, replacing(run.folder) as temporary:
            shutil.copytree(source, temporary)
    return run
