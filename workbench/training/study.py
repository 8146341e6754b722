"""A study: a grid of runs in a workspace that can be stopped and resumed, and the table they make.

A cell of the grid is one or more runs trained one after the other (pre-training, then a classifier
on top of it), of which the last is scored. Runs are ordinary runs, so the explorer shows them; what
is finished is never trained again.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from workbench.data.manifest import DataSet
from workbench.training.atomic import replacing
from workbench.training.crew import RESULTS, Crew
from workbench.training.experiment import Experiment
from workbench.training.run import Run
from workbench.training.train import train
from workbench.workspace import Workspace

Scores = dict[str, float]
Verdict = Literal["repeats", "does not repeat", "not told apart", "not measured"]
"""Not told apart: the seeds do not agree, or there is one only."""


@dataclass(frozen=True)
class Stage:
    """A run of a study."""

    name: str
    experiment: Experiment

    @property
    def steps(self) -> int:
        """Steps of the optimizer, which studies count their work in."""
        if self.experiment.train.steps is None:
            raise ValueError(f"stage {self.name} has no train.steps; a study plans in steps.")
        return math.ceil(self.experiment.train.until * self.experiment.train.steps)


@dataclass(frozen=True)
class Cell:
    """What one line of the table is made of, at one seed: `stages` in order, the last is scored.

    Without stages nothing is trained: it is scored as it is.
    """

    row: str
    column: str
    seed: int
    stages: tuple[Stage, ...]


@dataclass(frozen=True)
class Finding:
    """What the measured table says about a claim, in words with figures."""

    claim: str
    verdict: Verdict
    measured: str


@dataclass(frozen=True)
class Study:
    """A grid of runs on a data set, what scores a cell, and the claims it is to test.

    scores: the columns of the table, each with its heading; higher: those where more is better;
    grouped: the heading over the cells' `column`; lower: the scores where less is better. mapped:
    rows whose `features` the report draws as a map: (N, D), and N labels.
    """

    name: str
    title: str
    data: str
    split: str
    cells: tuple[Cell, ...]
    scores: dict[str, str]
    higher: tuple[str, ...]
    score: Callable[[Cell, Workspace], Scores]
    findings: Callable[[pd.DataFrame], list[Finding]]
    grouped: str = "positives"
    lower: tuple[str, ...] = ()
    mapped: tuple[str, ...] = ()
    features: Callable[[Cell, Workspace], tuple[np.ndarray, list[str]]] | None = None

    def folder(self, workspace: Workspace) -> Path:
        """Where the table and the report go."""
        return workspace.root / "studies" / self.name


@dataclass(frozen=True)
class Progress:
    """How far a study is: in steps, with the seconds left at the pace so far."""

    done: int
    total: int
    message: str
    eta: float | None


def conduct(study: Study, workspace: Workspace, workers: int = 1) -> Iterator[Progress]:
    """Train and score what is missing, and write `scores.csv`; to stop, stop pulling.

    workers: runs that are trained at a time, in processes of their own where there are several. A
    run that diverges is a result, and so are pretrained weights that cannot be had: the cell has no
    scores and says why in column `failed`.
    """
    stages = {stage.name: stage for cell in study.cells for stage in cell.stages}
    missing = {name: stage for name, stage in stages.items() if not finished(workspace, stage)}
    total = sum(stage.steps for stage in stages.values())
    first = total - sum(stage.steps for stage in missing.values())
    _check(study, workspace)
    start = time.monotonic()
    crew = (Crew if workers > 1 else _Alone)(missing, workspace, workers)
    lines = []
    try:
        for number, cell in enumerate(study.cells, 1):
            what = f"{number}/{len(study.cells)} {cell.row}, {cell.column}, seed {cell.seed}"
            failed, found = "", {}
            try:
                for stage in (s for s in cell.stages if s.name in missing):
                    for words in crew.train(stage.name):
                        done = crew.done
                        pace = (time.monotonic() - start) / max(1, done)
                        message = f"{what}: {stage.name}, {words}"
                        yield Progress(first + done, total, message, pace * (total - first - done))
                found = study.score(cell, workspace)
            except RESULTS as error:
                failed = str(error).partition("\n")[0]
            about = {"row": cell.row, "column": cell.column, "seed": cell.seed, "failed": failed}
            lines.append(about | found)
            _write(pd.DataFrame(lines), study.folder(workspace) / "scores.csv")
    finally:
        crew.close()
    yield Progress(total, total, "done", 0.0)


class _Alone:
    """Trains one stage after the other, in this process."""

    def __init__(self, stages: Mapping[str, Stage], workspace: Workspace, workers: int) -> None:
        self.stages, self.workspace = stages, workspace
        self.steps = dict.fromkeys(stages, 0)
        self.failed: dict[str, Exception] = {}

    @property
    def done(self) -> int:
        """Steps that were trained of all stages, those of failed runs counted as done."""
        return sum(self.steps.values())

    def train(self, name: str) -> Iterator[str]:
        """Train a stage, where it is not yet, and tell how it is doing."""
        if name in self.failed:
            raise self.failed[name]
        stage = self.stages[name]
        if self.steps[name] == stage.steps:
            return
        try:
            for report in train(stage.experiment, self.workspace.runs / name):
                self.steps[name] = report.clock.step
                yield f"loss {report.loss:.3f}"
        except RESULTS as error:
            self.failed[name], self.steps[name] = error, stage.steps
            raise

    def close(self) -> None:
        """Nothing goes on by itself."""


def load_scores(study: Study, workspace: Workspace) -> pd.DataFrame:
    """One row per cell that has been scored: row, column, seed, failed and the scores."""
    path = study.folder(workspace) / "scores.csv"
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there yet: workbench study {study.name}")
    found = pd.read_csv(path, dtype={"failed": "string"}).fillna({"failed": ""})
    missing = [name for name in study.scores if name not in found]  # so far no row has them
    return found.reindex(columns=[*found.columns, *missing])


def table(scores: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Mean and standard deviation over seeds: columns (score, mean | std), and `seeds`.

    One row per (row, column) in the order of the study; std (of a sample) is NaN where there is
    one seed. Seeds of which the run failed are not counted.
    """
    order = scores[["row", "column"]].drop_duplicates()
    grouped = scores.groupby(["row", "column"], sort=False)
    found = pd.concat({n: grouped[n].agg(["mean", "std"]) for n in names}, axis=1)
    found[("seeds", "")] = grouped["failed"].agg(lambda failed: (failed == "").sum())
    return found.loc[list(order.itertuples(index=False, name=None))]


def told(study: Study, scores: pd.DataFrame) -> str:
    """The table and the findings in Markdown, which a terminal shows well enough."""
    found = table(scores, list(study.scores))
    lines = [
        ["", study.grouped, *study.scores.values(), "seeds"],
        ["---", "---", *["---:" for _ in study.scores], "---:"],
    ]
    for (row, column), values in found.iterrows():
        pairs = [(values[(name, "mean")], values[(name, "std")]) for name in study.scores]
        texts = [mean_and_deviation(mean, std) for mean, std in pairs]
        lines.append([row, column, *texts, str(int(values[("seeds", "")]))])
    text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    failed = [f"- {r.row}, {r.column}, seed {r.seed}: {r.failed}" for r in _failed(scores)]
    claims = [f"- {f.claim} **{f.verdict}**: {f.measured}" for f in study.findings(scores)]
    return "\n".join([text, "", *failed, *claims])


def mean_and_deviation(mean: float, std: float) -> str:
    """Mean and deviation over seeds in words, - where there is none."""
    if mean != mean:
        return "-"
    return f"{mean:.3f}" if std != std else f"{mean:.3f} ± {std:.3f}"


def agreed(differences: pd.Series) -> int:
    """The sign of differences that are paired by seed where two seeds or more all agree, else 0."""
    signs = set(np.sign(differences.dropna()))
    return int(signs.pop()) if len(signs) == 1 and differences.count() > 1 else 0


def _failed(scores: pd.DataFrame) -> list:
    return list(scores[scores["failed"] != ""].itertuples())


def _check(study: Study, workspace: Workspace) -> None:
    """`ValueError` before anything is trained, where the data set does not allow the study."""
    dataset = DataSet(workspace.data_folder(study.data))
    for experiment in (stage.experiment for cell in study.cells for stage in cell.stages):
        experiment.sampler.usable(experiment.data.source(dataset))
    if study.split not in ("all", *dataset.table["split"].dropna()):
        raise ValueError(
            f"study {study.name} judges by the split {study.split!r}, which data set "
            f"{study.data!r} does not have. Index it with a column split, or choose another."
        )


def finished(workspace: Workspace, stage: Stage) -> bool:
    """Whether the run is there, with these settings and trained to its end."""
    run = Run(workspace.runs / stage.name)
    if run.status().state != "finished":
        return False
    known = run.config.method
    facts = getattr(known, "classes", ()), getattr(known, "recordings", 0)
    wanted = stage.experiment.method.knowing(*facts)
    return stage.experiment.model_copy(update={"method": wanted}) == run.config


def _write(lines: pd.DataFrame, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        lines.to_csv(temporary, index=False)
