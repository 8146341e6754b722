"""The commands that train: `train`, whose options are the settings of what is trained, `resume`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import tyro
from tyro.conf import Positional

from workbench.config import ConfigError
from workbench.terminal import (
    Bar,
    RunName,
    UsageError,
    WorkspacePath,
    data_of,
    good_name,
    one_of,
    plain_settings,
    wrapped,
    writable,
)
from workbench.workspace import Workspace, find_workspace

if TYPE_CHECKING:
    from workbench.training.experiment import Experiment

TRAIN_USAGE = """usage: workbench train METHOD --data NAME [options] [settings]

Train a run: METHOD is a recipe or a method. Or the runs of a paper of several, one after the other;
what is finished is not trained again.

  --data NAME         data set of the workspace
  --sampler NAME      which clips belong together: {samplers}
  --encoder NAME      the network: {encoders}
  --init RUN          a run whose encoder is the start; its network and clips are taken over
  --paper             the paper's numbers, where a recipe is short otherwise: {sized}
  --dry-run           say what it takes (steps, clips, memory, time, by some steps taken here) and
                      start nothing
  --name NAME         name of the run; default: made of method, sampler and data. Of a paper of
                      several runs: what their names begin with
  --workspace FOLDER  else WORKBENCH_WORKSPACE, else the platform's user data folder

Papers of several runs: {papers}.
Recipes: {recipes}. Methods: {methods}.
Every setting of the run is an option too; `workbench train METHOD --data NAME --help` lists them.
Ctrl-C leaves a run that `workbench resume NAME` goes on with.
"""


def train(arguments: Positional[tuple[str, ...]]) -> None:
    """Train a run: `workbench train METHOD --data NAME`; it has a help of its own."""
    from workbench.methods import METHODS
    from workbench.models import ENCODERS
    from workbench.sampling import SAMPLERS
    from workbench.training.recipes import RECIPES, SIZED, STAGES
    from workbench.training.stages import named

    usage = TRAIN_USAGE.format(
        samplers=", ".join(SAMPLERS),
        encoders=", ".join(ENCODERS),
        sized=wrapped(", ".join(STAGES | SIZED), 22),
        papers=", ".join(STAGES),
        recipes=", ".join(RECIPES),
        methods=", ".join(METHODS),
    )
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False, usage=usage)
    first.add_argument("method", nargs="?")
    for option in ("data", "sampler", "encoder", "init", "name", "workspace"):
        first.add_argument(f"--{option}")
    for option in ("paper", "dry-run"):
        first.add_argument(f"--{option}", action="store_true")
    chosen, rest = first.parse_known_args(arguments)
    wants_help = {"-h", "--help"} & set(rest)
    if chosen.method is None or (wants_help and chosen.data is None):
        print(usage)
        raise SystemExit(0 if wants_help else 2)
    place = find_workspace(chosen.workspace)
    if chosen.data is None:
        known = ", ".join(place.data_names()) or "none yet: workbench index FOLDER"
        raise UsageError(f"--data is missing. Data sets of {place.root}: {known}.")
    if not wants_help:
        place.data_folder(chosen.data)

    if chosen.paper and chosen.method not in SIZED | STAGES:
        raise UsageError(
            f"{chosen.method} comes in one size. --paper is for {', '.join(STAGES | SIZED)}."
        )
    parts = {
        part: one_of(part, name, table)()
        for part, name, table in [
            ("sampler", chosen.sampler, SAMPLERS),
            ("encoder", chosen.encoder, ENCODERS),
        ]
        if name
    }

    def chosen_settings(experiment: Experiment) -> Experiment:
        if chosen.data in place.data_names():
            experiment = _within(experiment, place)
        if chosen.init:
            experiment = _following(experiment, place, chosen.init)
        return _with_settings(experiment.model_copy(update=parts), rest, usage)

    if chosen.method in STAGES:
        if chosen.init or chosen.sampler:
            raise UsageError(
                f"{chosen.method} is several runs, each with an init and sampler of its own: leave "
                "out --init and --sampler, or train one of its recipes."
            )
        stages = STAGES[chosen.method](chosen.data, chosen.paper)
        stages = named(stages, good_name(chosen.name)) if chosen.name else stages
        stages = [(name, chosen_settings(experiment)) for name, experiment in stages]
        if chosen.dry_run:
            return _show_plans(stages, place)
        _train_stages(chosen.method, stages, writable(place))
        return
    experiment = _start(chosen.method, chosen.data, chosen.paper, RECIPES, SIZED, METHODS)
    experiment = chosen_settings(experiment)
    if chosen.method in RECIPES:
        print(f"recipe {chosen.method}: {_told(experiment)}; every setting is an option")
    name = chosen.name or place.free_run(_name(chosen.method, experiment, chosen.paper, SIZED))
    wanted, there = {experiment.init, experiment.teacher}, set(place.run_names())
    for paper, loop in STAGES.items():
        stages = dict(loop(chosen.data, chosen.paper))
        missing = {p: e for p, e in stages.items() if p in wanted - there}
        if missing and chosen.dry_run:
            before = {p: _as_large(e, experiment) for p, e in missing.items()}
            return _show_plans([(name, experiment)], place, before)
        if missing and _name(chosen.method, experiment, chosen.paper, SIZED) in stages:
            sized = " --paper" * chosen.paper
            raise UsageError(
                f"{chosen.method} goes on from {' and '.join(missing)}, which "
                f"{'are' if len(missing) > 1 else 'is'} not there yet. All stages in turn: "
                f"workbench train {paper} --data {chosen.data}{sized}"
            )
    if chosen.dry_run:
        return _show_plans([(name, experiment)], place)
    _train(experiment, writable(place).runs / good_name(name))


def _show_plans(
    stages: list[tuple[str, Experiment]],
    place: Workspace,
    before: Mapping[str, Experiment] | None = None,
) -> None:
    """What runs would take, one after the other. before: runs that are yet to be trained before."""
    from workbench.data.manifest import DataSet
    from workbench.training.plan import plan, told

    experiments = {**(before or {}), **dict(stages)}
    data = stages[0][1].data
    dataset, plans, known = DataSet(place.data_folder(data.name)), {}, {}
    with Bar("planning", "run") as bar:
        for number, (name, experiment) in enumerate(stages):
            bar.show(number, len(stages), name)
            source = experiment.data.source(dataset)
            plans[name] = plan(experiment, source, place, experiments, known)
        bar.show(len(stages), len(stages))
    print(told(plans, experiments))


def _as_large(parent: Experiment, experiment: Experiment) -> Experiment:
    """A run with the network, clips and dimensions of one that goes on from it."""
    clip = experiment.data.clip.model_copy(update={"stream": parent.data.clip.stream})
    return parent.model_copy(
        update={
            "encoder": experiment.encoder,
            "data": experiment.data.model_copy(update={"clip": clip}),
            "method": parent.method.model_copy(update={"dim": experiment.method.dim}),
        }
    )


def _name(method: str, experiment: Experiment, paper: bool, sized: dict) -> str:
    """The name of a run where none is given: for a stage the one that the next stage looks for."""
    if method in sized:
        return f"{method}-{experiment.data.name}" + "-paper" * paper
    return f"{method}-{experiment.sampler.name}-{experiment.data.name}"


def _train_stages(paper: str, stages: list[tuple[str, Experiment]], place: Workspace) -> None:
    """Train the runs one after the other, but those that are finished already."""
    from workbench.data.manifest import DataSet
    from workbench.training.run import Run, origin
    from workbench.training.study import Stage, finished

    dataset = DataSet(place.data_folder(stages[0][1].data.name))
    for name, experiment in stages:  # what cannot work is told before hours are spent
        experiment.sampler.usable(experiment.data.source(dataset))
        good_name(name)
    for number, (name, experiment) in enumerate(stages, 1):
        if finished(place, Stage(name, experiment)):
            print(f"{paper} {number}/{len(stages)}: {name} is trained already")
            continue
        print(f"{paper} {number}/{len(stages)}: {name}, {_told(experiment)}")
        print(f"  {origin(experiment.init, experiment.teacher) or 'from random weights'}")
        again = "the same command" if len(stages) > number else ""
        _train(experiment, Run(place.runs / name).folder, again)


def _start(
    method: str, data: str, paper: bool, recipes: dict, sized: dict, methods: dict
) -> Experiment:
    """The experiment of a recipe, or of a method with its defaults."""
    from workbench.sampling import SameVideo
    from workbench.training.experiment import DataConfig, Experiment

    if method in sized:
        return sized[method](data, paper)
    if method in recipes:
        return recipes[method](data)
    chosen = one_of("method", method, methods, [*recipes, *methods])()
    return Experiment(data=DataConfig(name=data), method=chosen, sampler=SameVideo(n=chosen.views))


def _told(experiment: Experiment) -> str:
    """What a run costs, in a line."""
    clip, train = experiment.data.clip, experiment.train
    length = f"{train.steps} steps" if train.steps else f"{train.epochs} epochs"
    return (
        f"{experiment.encoder.name} on {clip.length} frames of {clip.size} x {clip.size}, {length} "
        f"in batches of {train.batch} examples"
    )


def _within(experiment: Experiment, place: Workspace) -> Experiment:
    """The experiment on all videos where a recipe asks for splits and the data set has none."""
    from workbench.data.manifest import DataSet

    dataset = DataSet(place.data_folder(experiment.data.name))
    if experiment.data.splits is None or dataset.table["split"].notna().any():
        return experiment
    print(f"data set {dataset.name!r} has no splits: all of its videos are trained on")
    data = experiment.data.model_copy(update={"splits": None})
    return experiment.model_copy(update={"data": data})


def _following(experiment: Experiment, place: Workspace, init: str) -> Experiment:
    """The experiment with encoder and clips of the run it starts from."""
    from workbench.training.run import Run

    start = Run(place.run_folder(init)).config
    data = experiment.data.model_copy(update={"clip": start.data.clip})
    return experiment.model_copy(update={"init": init, "encoder": start.encoder, "data": data})


def resume(run: Positional[RunName], workspace: WorkspacePath = None) -> None:
    """Go on with a run that was stopped or interrupted, as if it had not been.

    Args:
        workspace: Where the run lies.
    """
    from workbench.training.run import Run

    place = find_workspace(workspace)
    found = Run(place.run_folder(run))
    if found.status().state == "finished":
        print(f"{run} is trained to the end already. To train on, start a run with --init {run}.")
        return
    data_of(found, place, "Index its videos again with --name {name}")
    _train(found.config, writable(place).runs / run)


def _with_settings(experiment: Experiment, arguments: list[str], usage: str) -> Experiment:
    """The experiment with the settings that the command line changes."""
    from workbench.training.experiment import Experiment

    command = f"workbench train METHOD --data {experiment.data.name}"
    data = tyro.cli(
        Experiment,
        prog=command,
        description=usage.partition("\n\n")[2],
        default=experiment,
        args=arguments,
        config=(tyro.conf.AvoidSubcommands, tyro.conf.FlagConversionOff),
        use_underscores=True,
        registry=plain_settings(),
    )
    try:
        return Experiment.parse(data)
    except ConfigError as error:
        raise UsageError(f"{error}\nAll settings: {command} --help") from None


def _train(experiment: Experiment, folder: Path, again: str = "") -> None:
    """Train a run. again: what goes on with it, if that is not to resume it alone."""
    from workbench.training.devices import choose_device, choose_precision
    from workbench.training.train import train as run_training

    config = experiment.train
    device = choose_device(config.device)
    print(f"run {folder.name}: {device}, {choose_precision(config.precision, device)}")
    try:
        with Bar("training", "step") as bar:
            for report in run_training(experiment, folder):
                note = f"loss {report.loss:.4f}, {report.clips_per_s:.0f} clips/s"
                total = round(config.until * report.clock.step / report.clock.progress)
                bar.show(report.clock.step, total, note, report.eta)
    except KeyboardInterrupt:
        again = again or f"workbench resume {folder.name}"
        print(f"\nstopped. Go on with: {again}", file=sys.stderr)
        raise SystemExit(130) from None
    after = "evaluate" if experiment.method.name == "classify" else "embed"
    print(f"trained -> {folder}\nNext: workbench {after} {folder.name}")
