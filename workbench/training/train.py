"""Train in a folder: a run that can be stopped, killed and resumed at any moment."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from workbench.config import ConfigError
from workbench.data.manifest import DataSet
from workbench.data.video import VideoSource
from workbench.training.atomic import replacing
from workbench.training.checks import check
from workbench.training.evaluate import ADVICE, Examination, collapse
from workbench.training.experiment import Experiment
from workbench.training.findings import Findings
from workbench.training.jobs import BusyError, Job, Progress, alone, python
from workbench.training.run import Run
from workbench.training.trainer import Report, Trainer
from workbench.workspace import Workspace

log = logging.getLogger(__name__)


def train(
    experiment: Experiment,
    folder: str | Path,
    source: VideoSource | None = None,
    judged: VideoSource | None = None,
) -> Iterator[Report]:
    """Train, and yield a report per step; what is in the folder already is resumed.

    To stop, stop pulling: the run can then be resumed with the same call, and goes on as if it had
    not been stopped. source: clips to train on; by default those of the data set that the
    experiment names, in the workspace the folder lies in. judged: the videos on which kNN and
    alignment are compared with the random-init encoder; by default all of the data set.
    """
    run = Run(folder)
    _idle(run)
    if source is None:
        source, judged = _sources(run, experiment, judged)
    experiment = experiment.knowing(source)
    _check(run, experiment)
    check(experiment, source, _workspace(run))
    trainer = Trainer(
        experiment.build(_workspace(run)),
        experiment.sampler,
        source,
        experiment.augment,
        experiment.train,
        experiment.augment_second,
    )
    with alone(run.folder):
        _claim(run, experiment)
        progress = Progress(run.folder)
    try:
        finished = yield from _train(run, experiment, trainer, judged or source, progress)
    except (GeneratorExit, KeyboardInterrupt):
        progress.stopped()
        raise
    except Exception as error:
        progress.failed(f"{type(error).__name__}: {error}")
        raise
    progress.finished("trained to the end") if finished else progress.stopped()


def launch(experiment: Experiment, folder: str | Path, threads: int | None = None) -> Run:
    """Train in a process of its own, which outlives this one; the run can be watched at once.

    threads: cores that it may use at a time; by default all of them.
    """
    run = Run(folder)
    _idle(run)
    source, _ = _sources(run, experiment)
    experiment = experiment.knowing(source)
    _check(run, experiment)
    check(experiment, source, _workspace(run))
    with alone(run.folder):
        _claim(run, experiment)
    command = python("workbench.training.worker", "train", run.folder.absolute())
    Job(run.folder).start(command, threads)
    return run


def _workspace(run: Run) -> Workspace:
    return Workspace(run.folder.absolute().parent.parent)


def _sources(
    run: Run, experiment: Experiment, judged: VideoSource | None = None
) -> tuple[VideoSource, VideoSource]:
    """What to train on and what to judge by, of the data set that the experiment names."""
    dataset = DataSet(_workspace(run).data_folder(experiment.data.name))
    data = experiment.data
    return data.source(dataset), judged or dataset.source(data.clip)


def _train(
    run: Run,
    experiment: Experiment,
    trainer: Trainer,
    judged: VideoSource,
    progress: Progress,
) -> Generator[Report, None, bool]:
    """Train and write it down; returns whether the end was reached, not a wish to stop."""
    config = experiment.train
    if saved := run.load():
        trainer.load(*saved)
    per_frame = getattr(experiment.encoder, "per_frame", False)
    exam = Examination(judged, experiment.data.splits, per_frame)
    due = {round(trainer.steps * (k + 1) / config.evaluations) for k in range(config.evaluations)}
    found = Findings(run.folder, trainer.source, trainer.sampler)
    found.go_back(trainer.clock.step, trainer.clock.epoch)
    keeper = _Keeper(run, trainer, found, config.checkpoint_every)
    if trainer.clock.step == 0:
        run.truncate_metrics(-1)
        run.append_metrics({"step": 0, "epoch": 0, **_random(experiment, exam, trainer)})
        keeper.save()
    run.truncate_metrics(trainer.clock.step)
    lines = run.metric_lines()
    random = {k: v for k, v in lines[0].items() if k.endswith(("_random", "_chance"))}
    trouble = next((collapse(x) for x in reversed(lines) if "collapsed" in x), "")
    started = time.monotonic() - lines[-1].get("seconds", 0.0)

    reports = iter(trainer)
    while True:
        with _uninterrupted() as asked:
            report = next(reports, None)
            if report is None:
                keeper.save()
                return True
            line = _line(report)
            epoch = report.clock.epoch - report.epoch_done
            found.look(report.clock.step, epoch, trainer.method, trainer.sampler)
            if report.epoch_done:
                found.save()
            if report.clock.step in due:
                line |= _judged(exam, trainer) | random
                before, trouble = trouble, collapse(line)
                line["collapsed"] = float(bool(trouble))
                if trouble and not before:
                    step = report.clock.step
                    log.warning("collapsed at step %d: %s. %s", step, trouble, ADVICE)
            line["seconds"] = round(time.monotonic() - started, 3)
            run.append_metrics(line)
            keeper.save_if_due()
            message = f"epoch {report.clock.epoch}, loss {report.loss:.3f}"
            message += f", collapsed: {trouble}" * bool(trouble)
            progress.update(report.clock.step, trainer.steps, message, report.eta)
        try:
            yield report
        except GeneratorExit:
            keeper.save()
            raise
        if asked:
            keeper.save()
            raise KeyboardInterrupt
        if progress.should_stop:
            keeper.save()
            return False


class _Keeper:
    """Writes checkpoints, never one that holds numbers which are none."""

    def __init__(self, run: Run, trainer: Trainer, found: Findings, every: float) -> None:
        self.run = run
        self.trainer = trainer
        self.found = found
        self.every = every
        self.last = time.monotonic()
        self.saved: int | None = None

    def save(self) -> None:
        if self.saved == self.trainer.clock.step:
            return
        self.trainer.check_finite()
        self.found.save()
        self.run.save(*self.trainer.state())
        self.last, self.saved = time.monotonic(), self.trainer.clock.step

    def save_if_due(self) -> None:
        if time.monotonic() - self.last >= self.every:
            self.save()


@contextmanager
def _uninterrupted() -> Iterator[list[int]]:
    """Ctrl-C waits for the end of the block, so that a step is whole; a second one does not.

    The list that the block gets is not empty after a Ctrl-C.
    """
    asked: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield asked  # only the main thread is interrupted
        return
    before = signal.getsignal(signal.SIGINT)

    def later(number: int, frame: object) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)

    signal.signal(signal.SIGINT, later)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)


def _claim(run: Run, experiment: Experiment) -> None:
    """Make the folder the experiment's, if it can be; only when alone in it."""
    _check(run, experiment)
    if not run.settings:
        with replacing(run.folder / "config.yaml") as temporary:
            temporary.write_text(experiment.to_yaml())


def _idle(run: Run) -> None:
    """`BusyError` where another process trains in the folder."""
    if Job(run.folder).elsewhere():
        raise BusyError(f"{run.folder} is being trained by another process. Stop it first.")


def _check(run: Run, experiment: Experiment) -> None:
    """`BusyError` where the folder is at work, `ConfigError` where its run has other settings."""
    _idle(run)
    if not run.settings:
        return
    there, wanted = (e.model_dump(mode="json") for e in (Run(run.folder).config, experiment))
    if differences := list(_differences(there, wanted)):
        more = f"; and {len(differences) - 3} more" if len(differences) > 3 else ""
        raise ConfigError(
            f"{run.folder} holds a run of other settings: {'; '.join(differences[:3])}{more}. "
            "Use another name, or the same settings to resume it."
        )


def _differences(there: object, here: object, path: str = "") -> Iterator[str]:
    if isinstance(there, dict) and isinstance(here, dict):
        for key in there | here:
            yield from _differences(there.get(key), here.get(key), f"{path}.{key}".lstrip("."))
    elif there != here:
        yield f"{path} is {there} there and {here} here"


def _random(experiment: Experiment, exam: Examination, trainer: Trainer) -> dict[str, float]:
    """The scores of the random-init encoder and an untrained head, under names of their own."""
    if not experiment.train.evaluations:
        return {}
    with torch.random.fork_rng():
        encoder = experiment.random_encoder().to(trainer.fabric.device)
    with trainer.judging():
        method = trainer.method
        device = trainer.fabric.device
        scores = exam.judge(encoder, device, method.project_features, method.tell_features)
    return {k if k.endswith("chance") else f"{k}_random": v for k, v in scores.items()}


def _judged(exam: Examination, trainer: Trainer) -> dict[str, float]:
    with trainer.judging() as represent:
        method = trainer.method
        device = trainer.fabric.device
        return exam.judge(represent, device, method.project_features, method.tell_features)


def _line(report: Report) -> dict[str, float]:
    return {
        "step": report.clock.step,
        "epoch": report.clock.epoch,
        "loss": report.loss,
        **report.logs,
        "clips_per_s": round(report.clips_per_s, 2),
    }
