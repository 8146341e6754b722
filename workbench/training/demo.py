"""The judo demo, ready to look at: videos, data set, the checkpoint that ships, its embeddings."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
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
"""Short side of the stored frames, pixels: 1.25 times the 64 that the demo trains at."""
CHECKPOINT = "judo-60s"
"""The run that ships in the package; remade by the command in its README.txt."""


@dataclass(frozen=True)
class Step:
    """How far the demo is: `done` of `total` in the stage that `message` names."""

    done: int
    total: int
    message: str


def make_judo(
    workspace: Workspace, size: Literal["small", "full"] = "small", seed: int = 0, name: str = "judo"
) -> Iterator[Step]:
    """Make the data set `name` and the run that ships, embedded on it; resumes what is there."""
    videos = workspace.root / "demo" / name
    for done, total in judo.make(videos, size, seed):
        yield Step(done, total, f"filming: {done} of {total} videos")
    segments = read_segments(videos / "segments.csv")
    entries = from_manifest(videos / "clips.csv")
    for report in index.index(entries, workspace.data / name, name, SIDE, segments):
        message = f"indexing: {report.done} of {report.total} videos"
        yield Step(report.done, report.total, message)
    yield Step(0, 2, "embedding with the checkpoint that ships")
    run = install_checkpoint(workspace, name)
    found = embed_run(run, DataSet(workspace.data / name))
    yield Step(1, 2, "drawing the PCA map")
    map_embeddings(found, "pca")
    yield Step(2, 2, "done")


def install_checkpoint(workspace: Workspace, data: str, name: str = CHECKPOINT) -> Run:
    """The run that ships in the package, copied into the workspace where it is not there yet."""
    run = Run(workspace.runs / name)
    if not run.settings:
        run.folder.parent.mkdir(parents=True, exist_ok=True)
        with as_file(files("workbench") / "checkpoints" / name) as shipped:
            with replacing(run.folder) as temporary:
                shutil.copytree(shipped, temporary)
    return run


def export(run: Run, folder: str | Path) -> Path:
    """The run without what only its own going on needs: settings, curve, encoder.

    Returns the folder, which is a run that can be embedded with, shared, and used as `init`.
    """
    from safetensors.torch import save_file

    state = {f"encoder.{k}": v.contiguous() for k, v in run.encoder().state_dict().items()}
    target = Run(folder)
    target.model_path.parent.mkdir(parents=True, exist_ok=True)
    for file in ("config.yaml", "metrics.jsonl", "status.json"):
        if (run.folder / file).is_file():
            shutil.copy(run.folder / file, target.folder / file)
    with replacing(target.model_path) as temporary:
        save_file(state, temporary)
    return target.folder
