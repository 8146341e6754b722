"""The demos, ready to look at: videos, data set, truth, and the runs that ship, embedded."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Literal

from workbench.data import index
from workbench.data.demo import actions, bottling, exercise, judo
from workbench.data.flow_store import index_flow
from workbench.data.manifest import TRUTH, DataSet, put
from workbench.data.tables import from_manifest, read_segments
from workbench.training.atomic import replacing
from workbench.training.embed import embed_run, map_embeddings
from workbench.training.run import Run
from workbench.workspace import Workspace

SIDE = 80
"""Short side of the stored frames, pixels: enough for clips of 64; the demo trains at 40."""
CHECKPOINT, CYCLE = "judo-60s", "bottling-cycle"
"""The runs that ship in the package; README says how to remake them."""


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
    tell = _Pace({"filming": 0.7, "indexing": 0.22, "embedding": 0.08})
    yield from _ready(workspace, name, lambda folder: judo.make(folder, size, seed), tell)
    yield from _embedded(workspace, name, CHECKPOINT, tell)


def _ready(
    workspace: Workspace,
    name: str,
    make: Callable[[Path], Iterator[tuple[int, int]]],
    tell: _Pace,
    side: int = SIDE,
) -> Iterator[Step]:
    """Film and index the demo `name`, and put its truth beside it; what is complete is kept.

    make: fills a folder with clips.csv, segments.csv and, where there is truth per frame,
    truth.parquet; yields (videos that are there, videos in all).
    """
    videos, folder = workspace.root / "demo" / name, workspace.data / name
    if name in workspace.data_names() and not videos.is_dir():
        return  # made elsewhere, and brought here without its videos
    for done, total in make(videos):
        yield tell.step("filming", done, total, f"{done} of {total} videos")
    if (truth := videos / TRUTH).is_file():  # first: a folder with dataset.json is complete
        folder.mkdir(parents=True, exist_ok=True)
        put(folder / TRUTH, lambda path: shutil.copyfile(truth, path))
    entries = from_manifest(videos / "clips.csv")
    segments = read_segments(videos / "segments.csv")
    for report in index.index(entries, folder, name, side, segments):
        note = f"{report.done} of {report.total}"
        yield tell.step("indexing", report.done, report.total, note)


def _embedded(workspace: Workspace, name: str, checkpoint: str, tell: _Pace) -> Iterator[Step]:
    """Put a run that ships beside the data set `name`, with its features and their map."""
    yield tell.step("embedding", 0, 3, "with the run that ships")
    run = install_checkpoint(workspace, checkpoint)
    found = embed_run(run, DataSet(workspace.data / name))
    yield tell.step("embedding", 2, 3, "drawing the PCA map")
    map_embeddings(found, "pca")
    yield tell.step("embedding", 3, 3, "done")


class _Pace:
    """Progress over all stages, and the time left from the share that is done."""

    def __init__(self, stages: dict[str, float]) -> None:
        self.stages = stages
        self.began: tuple[float, float] | None = None  # (seconds, share) at the first sign of life

    def step(self, stage: str, done: int, total: int, note: str) -> Step:
        names = list(self.stages)
        before = sum(self.stages[name] for name in names[: names.index(stage)])
        share = before + self.stages[stage] * done / max(1, total)
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


def make_bottling(
    workspace: Workspace,
    size: Literal["small", "full"] = "small",
    seed: int = 0,
    name: str = "bottling",
) -> Iterator[Step]:
    """Make the data set `name` of a bottling machine and the run that ships, embedded on it."""
    tell = _Pace({"filming": 0.75, "indexing": 0.13, "embedding": 0.12})
    yield from _ready(workspace, name, lambda folder: bottling.make(folder, size, seed), tell)
    yield from _embedded(workspace, name, CYCLE, tell)


def make_exercise(
    workspace: Workspace,
    size: Literal["small", "full"] = "small",
    seed: int = 0,
    name: str = "exercise",
) -> Iterator[Step]:
    """Make the data set `name` of six exercises, with its truth; resumes what is there."""
    tell = _Pace({"filming": 0.8, "indexing": 0.2})
    yield from _ready(workspace, name, lambda folder: exercise.make(folder, size, seed), tell)


def make_actions(
    workspace: Workspace,
    size: Literal["small", "full"] = "small",
    seed: int = 0,
    name: str = "actions",
    per_class: int | None = None,
) -> Iterator[Step]:
    """Make the data set `name` of ten actions, with truth and optical flow; resumes what is there.

    per_class: recordings of each action, where it shall be another number than the size's.
    """
    tell = _Pace({"filming": 0.65, "indexing": 0.2, "optical flow": 0.15})

    def make(folder: Path) -> Iterator[tuple[int, int]]:
        return actions.make(folder, size, seed, per_class=per_class)

    yield from _ready(workspace, name, make, tell)
    for report in index_flow(DataSet(workspace.data / name)):
        note = f"{report.done} of {report.total}"
        yield tell.step("optical flow", report.done, report.total, note)


DEMOS = {
    "judo": make_judo,
    "bottling": make_bottling,
    "exercise": make_exercise,
    "actions": make_actions,
}
"""Name -> what makes it: (workspace, size, seed, name) -> steps."""
