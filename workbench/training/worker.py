"""What a background process runs: `python -m workbench.training.worker COMMAND FOLDER ...`."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path

from workbench.training.jobs import BusyError, progress


def main(argv: list[str]) -> int:
    """Run a command; what goes wrong ends up in `status.json`, in words, and in the log."""
    command, folder, *rest = argv
    try:
        COMMANDS[command](Path(folder), *rest)
    except KeyboardInterrupt:
        return 130
    except BusyError as error:
        print(error, file=sys.stderr)  # the status is that of the process which is at work
        return 1
    except Exception as error:
        traceback.print_exc()
        progress(Path(folder)).failed(f"{type(error).__name__}: {error}")
        return 1
    return 0


def train_run(folder: Path) -> None:
    """Train the run of a folder, whose config.yaml is there, to its end or until asked to stop."""
    from workbench.training.run import Run
    from workbench.training.train import train

    run = Run(folder)
    print(f"training {run.name} on {run.config.data.name}", flush=True)
    for report in train(run.config, folder):
        if report.epoch_done:
            print(
                f"epoch {report.clock.epoch}  step {report.clock.step}  loss {report.loss:.4f}  "
                f"{report.clips_per_s:.0f} clips/s  {report.eta:.0f} s left",
                flush=True,
            )


def embed_and_map(folder: Path, run_folder: str, data_folder: str, *kinds: str) -> None:
    """Embed a data set by a run and draw its maps; `folder` is the job's."""
    from workbench.data.manifest import DataSet
    from workbench.training.embed import embed_run, map_embeddings
    from workbench.training.run import Run

    tell = progress(folder)

    def embedding(done: int, total: int) -> None:
        tell.update(done, total, f"embedded {done} of {total} windows")
        if tell.should_stop:
            raise KeyboardInterrupt

    try:
        found = embed_run(Run(run_folder), DataSet(data_folder), progress=embedding)
        for k, kind in enumerate(kinds):
            tell.update(k, len(kinds), f"drawing the {kind} map")
            map_embeddings(found, kind)
    except KeyboardInterrupt:
        tell.stopped("stopped")
        raise
    tell.finished(str(found))


def detect(folder: Path, run_folder: str, data_folder: str, split: str) -> None:
    """Judge a classifier by a split of a data set, chunk by chunk; `folder` is the job's."""
    from workbench.data.manifest import DataSet
    from workbench.training.evaluate_detection import evaluate_detection
    from workbench.training.run import Run

    tell = progress(folder)

    def watching(done: int, total: int) -> None:
        tell.update(done, total, f"watched {done} of {total} chunks")
        if tell.should_stop:
            raise KeyboardInterrupt

    try:
        evaluate_detection(Run(run_folder), DataSet(data_folder), split, progress=watching)
    except KeyboardInterrupt:
        tell.stopped("stopped")
        raise
    tell.finished()


def make_demo(folder: Path, workspace: str) -> None:
    """Make the judo demo in a workspace; `folder` is the job's."""
    from workbench.training.demo import make_judo
    from workbench.workspace import Workspace

    tell = progress(folder)
    for step in make_judo(Workspace(Path(workspace))):
        tell.update(step.done, step.total, step.message, step.eta)
        if tell.should_stop:
            tell.stopped("stopped; starting it again goes on from here")
            return
    tell.finished("the demo is ready")


COMMANDS = {"train": train_run, "embed": embed_and_map, "detect": detect, "demo": make_demo}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
