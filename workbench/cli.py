"""The command line: `workbench COMMAND`. It composes; the work is done elsewhere."""

from __future__ import annotations

import argparse
import inspect
import sys
import time
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro
from tyro.conf import Positional, arg

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
from workbench.train_commands import resume, train
from workbench.workspace import Workspace, find_workspace

if TYPE_CHECKING:
    from workbench.data.manifest import DataSet
    from workbench.data.sources import Entry
    from workbench.training.experiment import DataConfig
    from workbench.training.protocols.base import Protocol
    from workbench.training.sight import Sight

FLOWS = {
    "dis": "OpenCV's dense inverse search, the fastest",
    "farneback": "OpenCV's polynomial expansion",
    "tvl1": "the papers' TV-L1, where opencv-contrib is installed",
    "raft": "torchvision's RAFT, where its weights can be had",
    "raft-small": "the small RAFT",
}
"""Name -> what it is, for the help; data/flow.py has what they do."""

FlowName = Annotated[
    Literal[*FLOWS],  # type: ignore[valid-type]
    arg(help_behavior_hint="; ".join(f"{name}: {what}" for name, what in FLOWS.items()) + "."),
]


def doctor(workspace: WorkspacePath = None) -> None:
    """What this machine has, what will be used of it, and how to mend what is missing."""
    from workbench.doctor import examine

    problems = 0
    for finding in examine(find_workspace(workspace)):
        problems += finding.mend is not None
        print(f"{'ok ' if finding.mend is None else '!! '} {finding.what:<16} {finding.found}")
        if finding.mend:
            print(f"    mend with: {finding.mend}")
    print(f"\n{problems} problem{'s' * (problems != 1)} found." if problems else "\nAll is well.")
    if problems:
        raise SystemExit(1)


def index(
    source: Annotated[Positional[Path], arg(metavar="FOLDER")],
    pattern: str = "{recording}_{camera}.mp4",
    name: str | None = None,
    classes: bool = False,
    ucf101: Path | None = None,
    hmdb51: Path | None = None,
    fold: int = 1,
    segments: Path | None = None,
    side: int = 128,
    workers: int | None = None,
    flow: FlowName | None = None,
    strict: bool = False,
    workspace: WorkspacePath = None,
) -> None:
    """Make a data set out of a folder of videos or a manifest. Can be stopped and repeated.

    Args:
        source: A folder of videos, or a manifest (clips.csv or clips.parquet).
        pattern: How the files are named: {recording}, {camera}, {label}, {split}, * and /.
        name: Name of the data set; default: the folder's name.
        classes: The folder holds one folder per class (perhaps below train, val and test).
        ucf101: The folder of UCF101's official split files; `source` then holds its videos.
        hmdb51: The folder of HMDB51's official split files; `source` then holds its videos.
        fold: Which official split (1, 2 or 3) of UCF101 or HMDB51.
        segments: Frame-level labels: a table with the columns recording, start, stop, label.
        side: Short side of the stored frames, pixels: 1.15 to 1.3 times the size you train at.
        workers: Processes that decode; default: one per core.
        flow: Compute optical flow as well, as `workbench flow` does.
        strict: End with an error code when any file has a problem.
        workspace: Where the data set goes.
    """
    from workbench.data.index import index as index_videos
    from workbench.data.tables import read_segments

    entries = _entries(source, pattern, classes, ucf101, hmdb51, fold)
    name = name or (source.resolve().stem if source.is_file() else source.resolve().name)
    folder = writable(find_workspace(workspace)).data / good_name(name)
    table = read_segments(segments) if segments else None
    started, problems = time.monotonic(), ()
    try:
        with Bar("indexing", "video") as bar:
            for report in index_videos(entries, folder, name, side, table, workers, strict=strict):
                problems = report.problems
                bar.show(report.done, report.total, report.current, report.eta)
    finally:
        for problem in problems:
            kind = "warning" if problem.usable else "left out"
            print(f"{kind}: {problem.path}: {problem.found}. {problem.advice}", file=sys.stderr)
    from workbench.data.manifest import DataSet

    data = DataSet(folder)
    took = time.monotonic() - started
    print(
        f"{name}: {len(data.videos)} videos of {len(data.recordings)} recordings, "
        f"{int(data.table['n_frames'].sum())} frames, in {took:.1f} s -> {folder}"
    )
    if flow:
        _add_flow(data, flow, workers)


def flow(
    data: Annotated[Positional[str], arg(metavar="DATA")],
    algorithm: FlowName = "dis",
    workers: int | None = None,
    workspace: WorkspacePath = None,
) -> None:
    """Compute the optical flow of a data set, for stream flow. Can be stopped and repeated.

    Args:
        data: Name of the data set.
        algorithm: What computes it, dis where none is given; flow by another algorithm is replaced.
        workers: Videos at a time; default: one per core.
        workspace: Where the data set lies.
    """
    from workbench.data.manifest import DataSet

    place = find_workspace(workspace)
    _add_flow(DataSet(writable(place).data_folder(data)), algorithm, workers)


def _add_flow(data: DataSet, algorithm: str, workers: int | None) -> None:
    from workbench.data.flow_store import index_flow

    if workers is not None and workers < 1:
        raise UsageError(f"--workers must be at least 1; found {workers}.")
    started, frames = time.monotonic(), 0
    with Bar(f"flow by {algorithm}", "video") as bar:
        for report in index_flow(data, algorithm, workers):
            frames = report.frames
            bar.show(report.done, report.total, report.current, report.eta)
    took = time.monotonic() - started
    print(
        f"{data.name}: optical flow by {algorithm} of {len(data.videos)} videos; {frames} frames "
        f"in {took:.1f} s, {frames / took:.0f} a second"
        if frames
        else f"{data.name}: all videos have optical flow by {algorithm} already"
    )


def _entries(
    source: Path, pattern: str, classes: bool, ucf101: Path | None, hmdb51: Path | None, fold: int
) -> list[Entry]:
    from workbench.data import sources, tables

    if source.suffix.lower() in (".csv", ".parquet"):
        return tables.from_manifest(source)
    if ucf101:
        return sources.from_ucf101(source, ucf101, fold)
    if hmdb51:
        return sources.from_hmdb51(source, hmdb51, fold)
    if classes:
        return sources.from_class_folders(source)
    return sources.from_pattern(source, pattern)


DEMOS = {
    "judo": "five classes of throw, four cameras; small: 12 recordings, full: 200",
    "bottling": "a production cell with its faults; small: 5 recordings, full: 16",
    "exercise": "six exercises in sets, two cameras, counted; small: 12 recordings, full: 60",
    "actions": "ten actions told apart by motion alone, with optical flow; small: 60, full: 200",
}
"""Name -> what it is, for the help; training/demo.py has the makers."""

WhichDemo = Annotated[
    Positional[Literal[*DEMOS]],  # type: ignore[valid-type]
    arg(help="; ".join(f"{name}: {what}" for name, what in DEMOS.items()) + "."),
]


def demo(
    which: WhichDemo,
    size: Literal["small", "full"] = "small",
    seed: int = 0,
    per_class: int | None = None,
    name: str | None = None,
    workspace: WorkspacePath = None,
) -> None:
    """Make a demo data set with known truth, and the trained run where one goes with it.

    Args:
        size: small: for a first look; full: for a study.
        seed: Start of everything random; the same seed makes the same videos.
        per_class: actions only: recordings of each action, in place of a size's 6 or 20.
        name: Name of the data set; default: as the demo, full: with -full.
        workspace: Where the data set goes.
    """
    from workbench.training.demo import DEMOS as MAKERS

    place = writable(find_workspace(workspace))
    if per_class is not None and which != "actions":
        raise UsageError(f"--per-class goes with the demo actions; {which} has its two sizes.")
    more = {} if per_class is None else {"per_class": per_class}
    usual = which if size == "small" else f"{which}-{size}"
    name = good_name(name or (usual if per_class is None else f"{which}-{per_class}"))
    started = time.monotonic()
    with Bar("making the demo", "thousandths") as bar:
        for step in MAKERS[which](place, size, seed, name, **more):
            bar.show(step.done, step.total, step.message, step.eta)
    print(f"{name}: made in {time.monotonic() - started:.1f} s -> {place.data / name}")
    print("See it with: panel serve apps/explorer.py --show")


def embed(
    run: Positional[RunName],
    data: str | None = None,
    hop: int | None = None,
    maps: tuple[Literal["pca", "tsne", "umap"], ...] = ("pca",),
    workspace: WorkspacePath = None,
) -> None:
    """Features of every window of a data set by the encoder of a run.

    Args:
        data: Name of the data set; default: the one the run was trained on.
        hop: Frames between windows; default: a quarter of a clip.
        maps: Two-dimensional maps to draw as well.
        workspace: Where both lie.
    """
    from workbench.analysis.scores import cross_view_alignment
    from workbench.data.manifest import DataSet
    from workbench.training.embed import embed_run, load_embeddings, map_embeddings
    from workbench.training.run import Run

    if hop is not None and hop < 1:
        raise UsageError(f"--hop must be at least 1 frame; found {hop}.")
    place = find_workspace(workspace)
    source = Run(place.run_folder(run))
    name = data or data_of(source, place, "Choose another one with --data")
    dataset = DataSet(writable(place).data_folder(name))
    with Bar("embedding", "window") as bar:
        folder = embed_run(source, dataset, hop, progress=bar.show)
    found = load_embeddings(folder)
    print(f"{len(found)} windows of {found.z.shape[1]} dimensions -> {folder}")
    for kind in maps:
        map_embeddings(folder, kind)
        print(f"{kind} map -> {folder / kind}.npy")
    if any(len(dataset.cameras(r)) > 1 for r in dataset.recordings):
        score = cross_view_alignment(found)
        print(f"cross-view alignment error {score.error:.3f} (chance {score.chance:.3f})")


def detect(
    run: Positional[str],
    video: Positional[str],
    chunk: int | None = None,
    overlap: int | None = None,
    streaming: bool = False,
    follow: bool = False,
    patience: float | None = None,
    csv: Path | None = None,
    workspace: WorkspacePath = None,
) -> None:
    """What a video shows, chunk by chunk, as its frames come; by a run that is a classifier.

    Args:
        run: Name of the run: one of method classify.
        video: A video, a folder of videos of a camera, the number of a camera, or a stream's URL.
        chunk: Pictures in a chunk, as far apart as in training; default: as many as there.
        overlap: Pictures that two chunks share; default: 3 of 8, 2 of 4.
        streaming: Carry the state of a recurrent encoder on from chunk to chunk.
        follow: Wait for more at the end of a growing file, and for more files in a folder.
        patience: Seconds without anything new after which following ends; default: never.
        csv: A file to write the detections to as well.
        workspace: Where the run lies.
    """
    from workbench.data.live import watch
    from workbench.training.detect import Detector
    from workbench.training.run import Run
    from workbench.watching import print_detections

    place = find_workspace(workspace)
    detector = Detector.of(source := Run(place.run_folder(run)), chunk, overlap)
    side = _stored_side(place, source.config.data)
    print_detections(detector, watch(video, side, follow, patience), streaming, follow, csv)


def _stored_side(place: Workspace, data: DataConfig) -> int:
    """The short side of a data set's stored frames; as it would be where the set is gone."""
    from workbench.data.manifest import DataSet

    if data.name in place.data_names():
        return DataSet(place.data / data.name).side
    return max(128, round(1.15 * data.clip.size))


def watch(
    video: Positional[str],
    reference: tuple[Path, ...],
    run: str | None = None,
    normal: tuple[Path, ...] = (),
    k: int = 1,
    metric: Literal["euclidean", "cosine"] = "euclidean",
    smooth: float = 0.5,
    phase_aware: bool = False,
    alarms_per_hour: float | None = None,
    threshold: float | None = None,
    follow: bool = False,
    patience: float | None = None,
    out: Path | None = None,
    workspace: WorkspacePath = None,
) -> None:
    """What is strange in a video beside normal ones: alarms, scores and a report with pictures.

    Ctrl-C ends it and keeps what was scored. Without --run it compares plain pictures, which needs
    a camera that stands still; see by a run where it moves, or where motion is what matters.

    Args:
        video: A video, a folder of videos of a camera, the number of a camera, or a stream's URL.
        reference: Normal videos of the same process, or folders of them: a few cycles or more.
        run: Name of a run whose encoder sees; default: plain pictures, the edges in them.
        normal: Further normal videos, for the threshold alone; default: the reference itself.
        k: Which nearest normal moment counts: 1 the nearest, 3 the third nearest, ...
        metric: Distance of unit vectors, or 1 - cosine.
        smooth: Seconds over which scores are averaged.
        phase_aware: Compare only with normal moments at the same phase of the cycle.
        alarms_per_hour: False alarms per hour that the threshold aims at; default: as few as the
            normal video is long enough to tell (it is then its highest score).
        threshold: Score from which on there is an alarm; default: from --alarms-per-hour.
        follow: Wait for more at the end of a growing file, and for more files in a folder.
        patience: Seconds without anything new after which following ends; default: never.
        out: Folder for alarms.csv, scores.csv and report.html; default: one in the workspace.
        workspace: Where the run lies, and the results.
    """
    from workbench.data import live
    from workbench.training.record import Record
    from workbench.training.reference import VigilConfig, choose_threshold, read_reference
    from workbench.training.vigil import Vigil, judge_whole
    from workbench.views.watch_report import write_watch_report
    from workbench.watching import print_alarms

    config = VigilConfig.parse({
        "k": k, "metric": metric, "smooth": smooth, "phase_aware": phase_aware,
        "alarms_per_hour": alarms_per_hour, "threshold": threshold,
    })  # fmt: skip
    place = find_workspace(workspace)
    sight = _sight(place, run)
    videos = live.watch(video, sight.side, follow, patience)
    first = next(videos)  # what is not there is told before the reference is read
    with Bar("reading the reference", "frame") as bar:
        usual = read_reference(reference, sight, config, bar.show)
    for note in usual.notes:
        print(f"note: {note}")
    with Bar("judging normal video", "frame") as bar:
        others = judge_whole(Vigil(usual, sight, config), normal, bar.show)
    limit = choose_threshold(usual, config, others)
    print(f"threshold: {limit.value:.3f}, {limit.how}.")
    folder = out or writable(place).free_watch(Path(video).stem)
    vigil = Vigil(usual, sight, config, limit.value)
    with Record(folder, usual) as record, Bar("watching", "frame") as bar:
        judged = print_alarms(vigil, chain([first], videos), record, bar.show, bar.bar.write)
    report = write_watch_report(folder / "report.html", judged, usual, sight, config, limit)
    print(f"report: {report}")


def _sight(place: Workspace, run: str | None) -> Sight:
    """How to see: by a run, at the rate of what it was trained on, or plain pictures."""
    from workbench.data.manifest import DataSet
    from workbench.training.run import Run
    from workbench.training.sight import PlainSight, RunSight

    if run is None:
        return PlainSight()
    source, rate = Run(place.run_folder(run)), None
    data = source.config.data
    if data.name in place.data_names():
        rate = float(DataSet(place.data / data.name).table["fps"].median())
    return RunSight(source, _stored_side(place, data), rate)


EVALUATE_USAGE = """usage: workbench evaluate RUN [--protocol NAME] [options]

How good a run is, by a protocol; the results are kept with the run.

  --protocol NAME     {protocols}
  --data NAME         data set of the workspace; default: the one the run was trained on
  --with RUN          a run on the other stream, to judge both together: {fuse}
  --workspace FOLDER  else WORKBENCH_WORKSPACE, else the platform's user data folder

Every protocol has options of its own: `workbench evaluate RUN --protocol NAME --help`.
"""


def evaluate(arguments: Positional[tuple[str, ...]]) -> None:
    """How good a run is: `workbench evaluate RUN --protocol NAME`; it has a help of its own."""
    from workbench.training.protocols import PROTOCOLS

    usage = EVALUATE_USAGE.format(
        protocols=wrapped(", ".join(PROTOCOLS), 22),
        fuse=wrapped(", ".join(n for n, p in PROTOCOLS.items() if p.fuses), 22),
    )
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False, usage=usage)
    first.add_argument("run", nargs="?")
    for option in ("data", "with", "workspace"):
        first.add_argument(f"--{option}")
    first.add_argument("--protocol")
    chosen, rest = first.parse_known_args(arguments)
    wants_help = {"-h", "--help"} & set(rest)
    if chosen.run is None or (wants_help and chosen.protocol is None):
        print(usage)
        raise SystemExit(0 if wants_help else 2)
    name = chosen.protocol or "detection"
    protocol = _protocol(one_of("protocol", name, PROTOCOLS), rest, PROTOCOLS)
    place, partner = find_workspace(chosen.workspace), vars(chosen)["with"]
    _judge(protocol, place, chosen.run, chosen.data, partner)


def _judge(
    protocol: Protocol, place: Workspace, run: str, data: str | None, partner: str | None
) -> None:
    from workbench.data.manifest import DataSet
    from workbench.training.run import Run
    from workbench.watching import print_anomaly, print_judgement, print_repetition, print_scores

    if partner and not protocol.fuses:
        raise UsageError(f"--protocol {protocol.name} judges one run: leave out --with.")
    source = Run(place.run_folder(run))
    other = Run(place.run_folder(partner)) if partner else None
    dataset = DataSet(place.data_folder(data or source.config.data.name))
    with Bar(protocol.name, "step") as bar:
        found = protocol.evaluate(source, dataset, other, bar.show)
    show = {"anomaly": print_anomaly, "repetition": print_repetition, "detection": print_scores}
    if protocol.name in show:
        show[protocol.name](found)
        return
    from workbench.views.judgement import write_judgement

    print_judgement(found)
    print(f"\nnumbers: {found.folder}\nfigure: {write_judgement(found)}")


def _protocol(which: type[Protocol], arguments: list[str], protocols: dict) -> Protocol:
    """A protocol with the settings of the command line."""
    options = {word.partition("=")[0] for word in arguments if word.startswith("--")}
    for option in sorted(options):
        field = option.removeprefix("--").removeprefix("no-").replace("-", "_")
        known = [n for n, p in protocols.items() if field in p.model_fields]
        if known and which.name not in known:
            raise UsageError(
                f"{option} is of --protocol {', '.join(known)}, not of {which.name}. Its options: "
                f"{', '.join('--' + f.replace('_', '-') for f in which.model_fields)}."
            )
    command = f"workbench evaluate RUN --protocol {which.name}"
    data = tyro.cli(
        which,
        prog=command,
        description=inspect.cleandoc(which.__doc__),
        args=arguments,
        use_underscores=False,
        registry=plain_settings(),
    )
    try:
        return which.parse(data)
    except ConfigError as error:
        raise UsageError(f"{error}\nAll settings: {command} --help") from None


def study(
    which: Positional[Literal["judo", "judo-backbones", "bottling", "actions"]],
    quick: bool = False,
    seeds: int | None = None,
    data: str | None = None,
    workers: int | None = None,
    workspace: WorkspacePath = None,
) -> None:
    """Train and compare what a paper compares, on a demo: a table, its findings and a report.

    Can be stopped and repeated: a run that is finished is not trained again.

    Args:
        which: judo: pre-training for online detection of throws; judo-backbones: its part on large
            networks. bottling: CycleCL, features of the phase of a machine, for anomalies. actions:
            ViCC, CoCLR, CPR and SLIC, what another stream and mined positives help to tell actions.
        quick: The small network alone, short runs, one seed: minutes in place of hours.
        seeds: How often everything is repeated; default: 3, quick: 1.
        data: Name of the data set; default: judo-full, actions-full, bottling-full or, of its quick
            form, bottling, which are made where they are missing.
        workers: Runs that are trained at the same time; default: as many as there are cores, 4 at
            most, and one on a GPU.
        workspace: Where data set, runs, table and report lie.
    """
    from workbench.training.crew import side_by_side
    from workbench.training.demo import DEMOS
    from workbench.training.studies import DATA, STUDIES
    from workbench.training.study import conduct, load_scores, told
    from workbench.views.report import write_report

    if workers is not None and workers < 1:
        raise UsageError(f"--workers must be at least 1; found {workers}.")
    place = writable(find_workspace(workspace))
    demo, size, seed = DATA[which](quick)
    if data is None and demo not in place.data_names():
        with Bar("making the demo", "thousandths") as bar:
            for step in DEMOS[which.partition("-")[0]](place, size, seed, demo):
                bar.show(step.done, step.total, step.message, step.eta)
    plan = STUDIES[which](data or demo, quick, seeds)
    place.data_folder(plan.data)
    try:
        with Bar("studying", "step") as bar:
            for step in conduct(plan, place, workers or side_by_side()):
                bar.show(step.done, step.total, step.message, step.eta)
    finally:  # a study that is stopped shows what it has
        if (plan.folder(place) / "scores.csv").is_file():
            print(told(plan, load_scores(plan, place)))
            print(f"report: {write_report(plan, place)}")


def export(
    run: Positional[RunName],
    folder: Annotated[Positional[Path], arg(metavar="FOLDER")],
    workspace: WorkspacePath = None,
) -> None:
    """Copy what others need of a run: settings, curve and encoder, without the training state.

    Args:
        folder: Where the copy goes; it must be empty, or not there.
        workspace: Where the run lies.
    """
    from workbench.training.run import Run

    source = Run(find_workspace(workspace).run_folder(run))
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        what = "holds files" if folder.is_dir() else "is a file"
        raise UsageError(f"{folder} {what}; name an empty folder, or one that is not there.")
    print(source.export(folder).folder)


def runs(workspace: WorkspacePath = None) -> None:
    """The runs of the workspace: state, data, method, and how far each got."""
    from workbench.training.run import Run, RunError

    place = find_workspace(workspace)
    if place.root.is_file():
        raise UsageError(f"the workspace {place.root} is a file; name a folder.")
    for name in place.run_names():
        run = Run(place.runs / name)
        status = run.status()
        try:
            config = run.config
            parts = [config.method, config.sampler, config.encoder, config.data]
            what = " ".join(part.name for part in parts)
            what += f", {run.origin}" * bool(run.origin)
        except (RunError, ConfigError) as error:
            what = f"cannot be read: {str(error).splitlines()[0]}"
        print(f"{name:<28} {status.state:<12} {what}  {status.message}")
    if not place.run_names():
        print(f"no runs in {place.root}. Start one with: workbench train moco --data NAME")


COMMANDS = {
    "doctor": doctor,
    "index": index,
    "flow": flow,
    "demo": demo,
    "train": train,
    "resume": resume,
    "embed": embed,
    "detect": detect,
    "watch": watch,
    "evaluate": evaluate,
    "study": study,
    "export": export,
    "runs": runs,
}
OPEN = {"train": train, "evaluate": evaluate}
"""Commands whose options depend on what is trained, or judged."""


def main() -> None:
    """Run a command; what a user can mend is said in a line, without a traceback."""
    arguments = sys.argv[1:]
    try:
        if arguments[:1] and arguments[0] in OPEN:
            OPEN[arguments[0]](tuple(arguments[1:]))
        else:
            tyro.extras.subcommand_cli_from_dict(
                COMMANDS,
                prog="workbench",
                description="Self-supervised video representations: index, train, embed, look.",
                args=arguments,
                use_underscores=False,
            )
    except UsageError as error:
        print(f"workbench: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except (OSError, ValueError, RuntimeError) as error:
        print(f"workbench: {_said(error)}", file=sys.stderr)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def _said(error: Exception) -> str:
    """An error in words; one of the system without its number."""
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror.lower()}"
    return str(error)


if __name__ == "__main__":
    main()
