"""What the explorer looks at: a data set, a run, and the state that its views share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import panel as pn
import param

from workbench.analysis.embeddings import Embeddings
from workbench.data.manifest import DataSet
from workbench.training.embed import has_map, load_embeddings, map_embeddings
from workbench.training.jobs import Job, python
from workbench.training.run import Run
from workbench.views.selection import Cursor, Filter, Hover, Selection
from workbench.workspace import Workspace

WORKER = "workbench.training.worker"
DEMO = "judo"
"""The data set of the demo."""


class Store(param.Parameterized):
    """The chosen data set and run. Choosing another data set clears selection and filters.

    Data sets and embeddings are opened once per process, and shared by its pages: never write
    into them.
    """

    data = param.String(default="", doc="Name of the data set; '' for none.")
    run = param.String(default="", doc="Name of the run whose features are looked at.")
    watched = param.String(default="", doc="Name of the run whose training is watched.")
    listed = param.List(default=[], doc="Names of the runs that can be looked at, as last seen.")
    version = param.Integer(default=0, doc="Counts what views must be built anew for.")

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self.workspace = workspace
        self.selection, self.cursor = Selection(), Cursor()
        self.hover, self.filter = Hover(), Filter()
        self.open(next(iter(workspace.data_names()), ""))

    def open(self, data: str, run: str = "") -> None:
        """Look at a data set that exists, and at a run (by default the best to look at)."""
        self.selection.choose((), "")
        self.filter.expr, self.hover.id = "", -1
        with param.parameterized.discard_events(self):
            self.data = data
            self.run = run or self._best_run()
        dataset = self.dataset
        self.cursor.move(0, "", dataset.recordings[0] if dataset and dataset.recordings else "")
        self.version += 1

    def look(self, run: str) -> None:
        """Look at the features of another run."""
        if run != self.run:
            self.selection.choose((), "")
            with param.parameterized.discard_events(self):
                self.run = run
            self.version += 1

    def watch(self, run: str) -> None:
        """Watch the training of a run."""
        with param.parameterized.discard_events(self):
            self.watched = run
        self.param.trigger("watched")

    def refresh(self) -> None:
        """Something new is on disk: embeddings, say, or offsets (then their rows are others)."""
        self.selection.choose((), "")
        self.hover.id = -1
        if self.run not in self.runs:
            with param.parameterized.discard_events(self):
                self.run = self._best_run()
        self.version += 1

    def list_runs(self) -> None:
        """Runs may have come or gone; where the one that is looked at has, look at another."""
        self.listed = self.runs
        if self.run not in self.listed and (self.run or self.listed):
            self.refresh()

    @property
    def dataset(self) -> DataSet | None:
        """The data set, None where there is none."""
        if not self.data:
            return None
        folder = self.workspace.data / self.data
        return _cached(folder / "dataset.json", lambda: DataSet(folder))

    @property
    def runs(self) -> list[str]:
        """Names of the runs that have a checkpoint to embed with."""
        names = self.workspace.run_names()
        return [n for n in names if Run(self.workspace.runs / n).model_path.is_file()]

    @property
    def folder(self) -> Path | None:
        """Where the features of the data set by the run lie, None where there are none yet."""
        return self._folder(self.run) if self.run in self.runs else None

    @property
    def embeddings(self) -> Embeddings | None:
        """The features, None where there are none yet."""
        folder = self.folder
        if folder is None:
            return None
        return _cached(folder / "about.json", lambda: load_embeddings(folder))

    def other_embeddings(self) -> dict[str, Callable[[], Embeddings]]:
        """What reads the features of the data set by each other run that has some, by its name."""
        there = {name: self._folder(name) for name in self.runs if name != self.run}
        return {
            name: lambda f=folder: load_embeddings(f) for name, folder in there.items() if folder
        }

    def embed_job(self, *kinds: str) -> tuple[Job, list[str]]:
        """The job that embeds the data set by the run and draws maps, and its command."""
        name = "@".join(["embed", self.run, self.data, *kinds])  # no run or data set has an @
        job = Job(self.workspace.jobs / name)
        folders = self.workspace.runs / self.run, self.workspace.data / self.data
        return job, python(WORKER, "embed", job.folder, *folders, *kinds)

    def _best_run(self) -> str:
        runs = self.runs
        embedded = [n for n in runs if self._folder(n)] if self.data else []
        newest = sorted(
            embedded or runs, key=lambda n: Run(self.workspace.runs / n).model_path.stat().st_mtime
        )
        return newest[-1] if newest else ""

    def _folder(self, name: str) -> Path | None:
        run, dataset = Run(self.workspace.runs / name), self.dataset
        if dataset is None:
            return None
        wanted = {"fingerprint": dataset.fingerprint, "checkpoint": run.checkpoint_sha}
        for folder, about in _abouts(run):
            if wanted.items() <= about.items():
                return folder
        return None


class RunMaps:
    """The maps of the embeddings in a folder, as far as they are drawn; PCA is drawn at once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get(self, kind: str) -> np.ndarray | None:
        """The (N, 2) map, None where it is yet to be drawn (by a worker: it takes a while)."""
        if kind == "pca" or has_map(self.folder, kind):
            path = self.folder / f"{kind}.npy"
            return _cached(path, lambda: map_embeddings(self.folder, kind))
        return None


def demo_job(workspace: Workspace) -> tuple[Job, list[str]]:
    """The job that makes the demo, and its command."""
    job = Job(workspace.jobs / "demo")
    return job, python(WORKER, "demo", job.folder, workspace.root)


def demo_is_due(workspace: Workspace) -> bool:
    """Whether to wait for the demo: nothing else is there, and it is not made, or not to its end.

    A demo that ended early may have its data set, and yet no run or features.
    """
    names = workspace.data_names()
    if names != [DEMO]:
        return not names
    return demo_job(workspace)[0].status().state not in ("none", "finished")


def _abouts(run: Run) -> Iterator[tuple[Path, dict]]:
    """The folders of a run's embeddings with what they say, the newest first."""
    import json

    for key in reversed(run.embeddings()):
        folder = run.embedding_folder(key)
        yield folder, json.loads((folder / "about.json").read_text())


def _cached(path: Path, read):
    """What `read` returns, kept for the process until the file changes."""
    stamp = path.stat().st_mtime_ns if path.is_file() else 0
    return pn.state.as_cached(f"workbench:{path}:{stamp}", read)
