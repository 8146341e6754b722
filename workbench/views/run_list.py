"""What is known of every run of a workspace, kept up to date by reading only what changed."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from workbench.training.jobs import Job, Status
from workbench.training.run import Run, RunError
from workbench.views.tail import Tail
from workbench.workspace import Workspace
from workbench.workspace import name_problem as workspace_name_problem

NONE = Status()


@dataclass(frozen=True)
class Summary:
    """A run in a line. Scores are None where none was taken; times are in seconds."""

    name: str
    status: Status = NONE
    method: str = ""
    sampler: str = ""
    encoder: str = ""
    data: str = ""
    origin: str = ""
    step: int = 0
    loss: float | None = None
    scores: dict[str, float] = field(default_factory=dict)
    best_knn: float | None = None
    created: float = 0.0
    seconds: float | None = None

    @property
    def took(self) -> float | None:
        """How long it trained, all stretches together.

        A run of before this was written down has only its last stretch, from the start of its
        process to its last word.
        """
        if self.seconds is not None or self.status.pid_started is None:
            return self.seconds
        return max(0.0, self.status.updated - self.status.pid_started)


class RunList:
    """The runs of a workspace; `refresh` reads what changed since, for about `seconds`."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self._known: dict[str, Summary] = {}
        self._tails: dict[str, Tail] = {}
        self._seen: dict[str, float] = {}

    def refresh(self, seconds: float = 0.01) -> list[Summary]:
        """All runs, the newest first."""
        deadline = time.perf_counter() + seconds
        names = self.workspace.run_names()
        for name in [n for n in self._known if n not in names]:
            self._forget(name)
        for name in names:
            self._refresh(name, max(0.0, deadline - time.perf_counter()))
        return sorted(self._known.values(), key=lambda s: -s.created)

    def busy(self) -> list[Summary]:
        """The runs that train now, as of the last refresh."""
        return [s for s in self._known.values() if s.status.busy]

    def _refresh(self, name: str, seconds: float) -> None:
        folder = self.workspace.runs / name
        if name not in self._known:
            self._known[name] = _described(folder)
            self._tails[name] = Tail(folder / "metrics.jsonl")
        summary, tail = self._known[name], self._tails[name]
        with contextlib.suppress(FileNotFoundError):
            changed = (folder / "status.json").stat().st_mtime
            if summary.status.busy or changed != self._seen.get(name):
                self._seen[name] = changed
                summary = replace(summary, status=Job(folder).status())
        if seconds and tail.behind:
            summary = _with_lines(summary, tail.read(min(seconds, 0.005)), tail.restarted)
        self._known[name] = summary

    def _forget(self, name: str) -> None:
        for store in (self._known, self._tails, self._seen):
            store.pop(name, None)


def _described(folder: Path) -> Summary:
    origin = ""
    try:
        settings, origin = Run(folder).settings, Run(folder).origin
        created = (folder / "config.yaml").stat().st_mtime
    except (OSError, RunError):
        settings, created = {}, 0.0

    def part(key: str) -> str:
        value = settings.get(key) if isinstance(settings, dict) else None
        return str(value.get("name", "")) if isinstance(value, dict) else ""

    names = {key: part(key) for key in ("method", "sampler", "encoder", "data")}
    return Summary(folder.name, created=created, origin=origin, **names)


def _with_lines(summary: Summary, lines: list[str], restarted: bool) -> Summary:
    """The summary after more lines of metrics; only lines with scores and the last are parsed."""
    if restarted:
        summary = replace(summary, scores={}, best_knn=None, seconds=None)
    scores, best = dict(summary.scores), summary.best_knn
    wanted = [k for k, line in enumerate(lines) if '"knn' in line or '"alignment' in line]
    for k in dict.fromkeys([*wanted, len(lines) - 1] if lines else []):
        try:
            record = json.loads(lines[k])
        except ValueError:
            continue
        if "knn" in record:
            best = record["knn"] if best is None else max(best, record["knn"])
        scores |= {n: v for n, v in record.items() if n.startswith(("knn", "alignment"))}
        last = {k: record[k] for k in ("step", "loss", "seconds") if k in record}
        summary = replace(summary, **last)
    return replace(summary, scores=scores, best_knn=best)


def free_name(workspace: Workspace, stem: str) -> str:
    """A name no run has: the stem and a number."""
    taken = {p.name.lower() for p in workspace.runs.glob("*")}
    k = 1
    while f"{stem}-{k}".lower() in taken:
        k += 1
    return f"{stem}-{k}"


def name_problem(workspace: Workspace, name: str) -> str:
    """What is wrong with a name for a new run, '' where it is good."""
    if why := workspace_name_problem(name):
        return why
    if name.lower() in {p.name.lower() for p in workspace.runs.glob("*")}:
        return f"there is a run {name} already"
    return ""


def rename(workspace: Workspace, name: str, new: str) -> None:
    """Give a run another name."""
    if why := name_problem(workspace, new):
        raise ValueError(f"{new!r} cannot be its name: {why}.")
    os.rename(_idle(workspace, name, "renamed"), workspace.runs / new)


def throw_away(workspace: Workspace, name: str) -> Path:
    """Move a run to the trash of the workspace; returns where it lies there."""
    folder = _idle(workspace, name, "deleted")
    target = workspace.root / "trash" / f"{name}@{time.strftime('%Y%m%d-%H%M%S')}"
    while target.exists():
        target = target.with_name(f"{target.name}+")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(folder, target)
    return target


def _idle(workspace: Workspace, name: str, what: str) -> Path:
    """The folder of a run that may go away: it does not train, and none needs it to train on."""
    folder = workspace.run_folder(name)
    if Job(folder).status().busy:
        raise ValueError(f"{name} is training. Stop it first.")
    for other in workspace.run_names():
        with contextlib.suppress(RunError, OSError):
            settings = Run(workspace.runs / other).settings
            needs = name in (settings.get("init"), settings.get("teacher"))
            if needs and Job(workspace.runs / other).status().state != "finished":
                raise ValueError(
                    f"{other} began from {name} and is not finished: resumed, it looks for it. "
                    f"{name} can be {what} when {other} is finished or deleted."
                )
    return folder


def bring_back(workspace: Workspace, trashed: Path) -> str:
    """Move a run out of the trash again; returns its name, with a number if its own is taken."""
    name = trashed.name.rpartition("@")[0]
    if (workspace.runs / name).exists():
        name = free_name(workspace, name)
    shutil.move(trashed, workspace.runs / name)
    return name
