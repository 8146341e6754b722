"""Runs of a study trained side by side, each in a process of its own.

A small network leaves most of a core's neighbours idle: on two cores, two runs at once are done
almost twice as soon, while two threads of one run gain a tenth at most.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from workbench.models.foreign import WeightsError
from workbench.training.devices import choose_device
from workbench.training.jobs import Job
from workbench.training.run import Run
from workbench.training.train import launch
from workbench.training.trainer import DivergenceError
from workbench.workspace import Workspace

if TYPE_CHECKING:
    from workbench.training.study import Stage

LOOK = 0.2
"""Seconds between looks at how the runs are doing."""
MOST = 4
"""Runs at once where there are more cores: each holds its pictures in memory."""
RESULTS = (DivergenceError, WeightsError)
"""What may go wrong with a run and still be a result; anything else ends the study."""


def side_by_side() -> int:
    """How many runs train at once unless told otherwise: one on a GPU, else as cores allow."""
    return 1 if choose_device() == "cuda" else min(MOST, os.cpu_count() or 1)


class Crew:
    """Trains what a study still has to train, `workers` runs at a time, parents first.

    stages: those that are not trained yet, in the order in which they are wanted; a parent that is
    not among them is there already. A run that somebody trains already is waited for.
    """

    def __init__(self, stages: Mapping[str, Stage], workspace: Workspace, workers: int) -> None:
        self.stages, self.workspace, self.workers = stages, workspace, workers
        self.waiting = list(stages)
        self.running: dict[str, Run] = {}
        self.trained: set[str] = set()
        self.failed: dict[str, Exception] = {}

    @property
    def done(self) -> int:
        """Steps that were trained of all stages, those of failed runs counted as done."""
        ended = sum(self.stages[name].steps for name in (*self.trained, *self.failed))
        return ended + sum(run.status().done for run in self.running.values())

    def train(self, name: str) -> Iterator[str]:
        """Tell how a stage is doing until it is trained; others are trained meanwhile.

        Raises what ended its training: `DivergenceError`, `WeightsError`, or `RuntimeError`.
        """
        while name not in self.trained:
            self._look()
            if name in self.failed:
                raise self.failed[name]
            others = len(self.running) - (name in self.running)
            if name in self.running:
                told = self.running[name].status().message
                yield told + f" ({others} more at the same time)" * bool(others)
            else:
                yield f"waits for {others} more"
            time.sleep(LOOK)

    def close(self) -> None:
        """Ask all runs to stop, so that they can be resumed, and wait until they have."""
        for run in self.running.values():
            (run.folder / "stop").touch()
        for run in self.running.values():
            Job(run.folder).stop()

    def _look(self) -> None:
        """Take note of what has ended, and start what may begin."""
        for name, run in list(self.running.items()):
            status = run.status()
            if status.busy:
                continue
            del self.running[name]
            if status.state == "finished":
                self.trained.add(name)
            else:
                self.failed[name] = self._error(name, status.state, status.error)
        for name in list(self.waiting):
            parents = {self.stages[name].experiment.init, self.stages[name].experiment.teacher}
            if len(self.running) < self.workers and not parents & {*self.waiting, *self.running}:
                self.waiting.remove(name)
                lost = next((self.failed[p] for p in parents if p in self.failed), None)
                if lost is None:
                    self._start(name)
                else:
                    self.failed[name] = lost

    def _start(self, name: str) -> None:
        run = Run(self.workspace.runs / name)
        try:
            if not run.status().busy:
                threads = max(1, (os.cpu_count() or 1) // self.workers)
                run = launch(self.stages[name].experiment, run.folder, threads)
        except RESULTS as error:
            self.failed[name] = error
        else:
            self.running[name] = run

    def _error(self, name: str, state: str, text: str | None) -> Exception:
        kind, _, words = (text or "").partition(": ")
        for result in RESULTS:
            if kind == result.__name__:
                return result(words)
        where = self.workspace.runs / name / "log.txt"
        return RuntimeError(f"run {name} is {state}{f': {text}' if text else ''}; see {where}")
