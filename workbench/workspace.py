"""A workspace: the folder in which data sets, runs and jobs live and processes meet."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from workbench.config import closest


@dataclass(frozen=True)
class Workspace:
    """A folder with `data/NAME`, `runs/NAME` and `jobs/NAME`; nothing is made until it is used."""

    root: Path

    @property
    def data(self) -> Path:
        """The folder of data sets."""
        return self.root / "data"

    @property
    def runs(self) -> Path:
        """The folder of runs."""
        return self.root / "runs"

    @property
    def jobs(self) -> Path:
        """The folder of background jobs that are not runs (making the demo, maps, indexing)."""
        return self.root / "jobs"

    def data_names(self) -> list[str]:
        """Names of the complete data sets, sorted."""
        return sorted(p.parent.name for p in self.data.glob("*/dataset.json"))

    def run_names(self) -> list[str]:
        """Names of the runs, sorted."""
        return sorted(p.parent.name for p in self.runs.glob("*/config.yaml"))

    def data_folder(self, name: str) -> Path:
        """The folder of a data set that exists; `FileNotFoundError` names those that do."""
        if name not in (known := self.data_names()):
            hint = closest(name, known) if known else " There are none yet: workbench index FOLDER."
            raise FileNotFoundError(f"no data set {name!r} in {self.root}.{hint}")
        return self.data / name

    def run_folder(self, name: str) -> Path:
        """The folder of a run that exists; `FileNotFoundError` names those that do."""
        if name not in (known := self.run_names()):
            hint = closest(name, known) if known else " There are none yet: workbench train moco."
            raise FileNotFoundError(f"no run {name!r} in {self.root}.{hint}")
        return self.runs / name

    def free_run(self, stem: str) -> str:
        """A name that no run has: the stem, or the stem with a number."""
        return _free(self.runs, stem)

    def free_watch(self, what: str) -> Path:
        """A folder that is not there yet, for what is found in a video or stream."""
        stem = re.sub(r"[^A-Za-z0-9._-]+", "-", what).strip("-.") or "watch"
        return self.root / "watches" / _free(self.root / "watches", stem)


def _free(folder: Path, stem: str) -> str:
    taken = {p.name.lower() for p in folder.glob("*")}
    names = (stem if k == 1 else f"{stem}-{k}" for k in range(1, len(taken) + 2))
    return next(name for name in names if name.lower() not in taken)


def name_problem(name: str) -> str:
    """What keeps a name from being that of a data set or run, '' where it is good."""
    if not name:
        return "a name is needed"
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}", name):
        return "letters, digits, dots, dashes and underscores only, a letter or digit first"
    return ""


def find_workspace(path: str | Path | None = None) -> Workspace:
    """The workspace at `path`, else `WORKBENCH_WORKSPACE`, else the platform's user data folder."""
    import platformdirs

    chosen = path or os.environ.get("WORKBENCH_WORKSPACE")
    root = Path(chosen) if chosen else Path(platformdirs.user_data_dir("workbench", False))
    return Workspace(root.expanduser().absolute())
