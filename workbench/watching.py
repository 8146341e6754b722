"""What `workbench detect`, `watch` and `evaluate` print."""

from __future__ import annotations

import csv
import math
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    import numpy as np

    from workbench.data.live import Watched
    from workbench.training.detect import Chunk, Detector
    from workbench.training.evaluate_detection import Detection
    from workbench.training.evaluate_periodic import Evaluation
    from workbench.training.protocols.base import Judgement
    from workbench.training.record import Record
    from workbench.training.vigil import Alarm, Judged, Vigil

BOLD, PLAIN = "\033[1;36m", "\033[0m"
HEAD = f"  {'time':>10} {'frame':>7}  {'class':<20} probability"


def print_detections(
    detector: Detector,
    videos: Iterator[Watched],
    streaming: bool,
    follow: bool,
    table: Path | None,
) -> None:
    """A line per chunk as soon as it is known; where the class changes, a marked one.

    table: a CSV file that gets a row per chunk as well. A bad video is told and passed over, unless
    nothing else is there.
    """
    troubles, good = [], 0
    with ExitStack() as stack:
        file = stack.enter_context(table.open("w", newline="")) if table else None
        rows = _Rows(file, detector) if file else None
        for video in videos:
            print(video.name, flush=True)
            try:
                _print_one(detector, video, streaming, follow, rows)
                good += 1
            except ValueError as error:
                troubles.append(f"{video.name}: {error}")
                print(f"warning: {troubles[-1]}", file=sys.stderr, flush=True)
    if not good:
        raise ValueError("nothing could be watched")


def _print_one(
    detector: Detector, video: Watched, streaming: bool, follow: bool, rows: _Rows | None
) -> None:
    shown = _Clock(video)
    chunks = (detector.stream if streaming else detector.watch)(shown)
    began, last = time.monotonic(), ""
    for chunk in chunks:
        if not last:
            print(HEAD)
        print(_line(chunk, shown.seconds, chunk.label != last), flush=True)
        last = chunk.label
        if rows:
            rows.write(video.name, chunk, shown.seconds)
    took = max(1e-9, time.monotonic() - began)
    if not follow and video.fps:
        seconds = shown.frames / video.fps
        print(
            f"  {shown.frames} frames, {seconds:.1f} s of video in {took:.1f} s: "
            f"{seconds / took:.1f} times real time, decoding included\n",
            flush=True,
        )


class _Clock:
    """The frames of a video, and the second of the newest since the first."""

    def __init__(self, video: Watched) -> None:
        self.video, self.frames, self.seconds = video, 0, 0.0

    def __iter__(self) -> Iterator[np.ndarray]:
        began = 0.0
        for rgb, seconds in self.video.frames:
            self.frames += 1
            began = seconds if self.frames == 1 else began
            self.seconds = seconds - began
            yield rgb


def _line(chunk: Chunk, seconds: float, new: bool) -> str:
    when = "" if math.isnan(seconds) else f"{seconds:8.2f} s"
    text = f"{when:>10} {chunk.stop - 1:>7}  {chunk.label:<20} {chunk.probability:.2f}"
    bold = new and sys.stdout.isatty() and "NO_COLOR" not in os.environ
    return f"{'>' if new else ' '} {BOLD if bold else ''}{text}{PLAIN if bold else ''}"


class _Rows:
    """Writes a CSV file whose every row can be read as soon as it is there."""

    def __init__(self, file: TextIO, detector: Detector) -> None:
        self.file, self.writer = file, csv.writer(file)
        names = [f"p {name}" for name in detector.classes]
        head = ["video", "start", "stop", "seconds", "class", "probability", *names]
        self.writer.writerow(head)

    def write(self, name: str, chunk: Chunk, seconds: float) -> None:
        each = [f"{p:.5f}" for p in chunk.probabilities]
        self.writer.writerow(
            [name, chunk.start, chunk.stop, f"{seconds:.3f}", chunk.label,
             f"{chunk.probability:.5f}", *each]
        )  # fmt: skip
        self.file.flush()


def print_alarms(
    vigil: Vigil,
    videos: Iterator[Watched],
    record: Record | None = None,
    progress: Callable[[int, int, str], object] = lambda done, total, note: None,
    say: Callable[[str], object] = print,
) -> list[Judged]:
    """Alarms as they begin and as they end; the videos that were judged, the last perhaps in part.

    record: gets all rows and alarms; progress: hears of frames done, their total and the alarms.
    Ctrl-C ends the watch and keeps what there is; a bad video is told and passed over, unless
    nothing else is there.
    """
    found: list[Judged] = []
    with _stoppable() as stopped:
        for video in videos:
            say(video.name)
            judged = vigil.start(video)
            frames = _until(video.frames, stopped)
            began = time.monotonic()
            try:
                for news in vigil.judge(replace(video, frames=frames), judged):
                    for tick in news.began:
                        say(f"> {_when(tick.seconds)} frame {tick.frame:>7}  an alarm begins")
                    for alarm in news.ended:
                        say(_told(alarm))
                    progress(
                        judged.done, judged.total or judged.done, f"{len(judged.alarms)} alarms"
                    )
                    if record:
                        record.add(judged)
            except ValueError as error:
                judged.notes.append(str(error))
                named = str(error).startswith(video.name)
                print("warning:", error if named else f"{video.name}: {error}", file=sys.stderr)
            if stopped():
                judged.notes.append(f"stopped by hand after {judged.done} frames.")
            if judged.frame:
                found.append(judged)
                if record:
                    record.add(judged)
                say(_summary(judged, time.monotonic() - began))
            if stopped():
                break
    if not found:
        raise ValueError("nothing could be watched")
    return found


def _told(alarm: Alarm) -> str:
    return (
        f"  {_when(alarm.start_seconds)} to {_when(alarm.stop_seconds).strip()}, frames "
        f"{alarm.start} to {alarm.stop - 1}: score {alarm.peak:.3f} at frame {alarm.peak_frame}; "
        f"nearest normal: {alarm.normal_video} frame {alarm.normal_frame}"
    )


def _summary(judged: Judged, took: float) -> str:
    seconds = judged.seconds[-1] + judged.row_seconds
    cycles = (
        "no repetition found"
        if judged.repetitions is None
        else f"{judged.repetitions:.1f} repetitions of {judged.period:.2f} s"
    )
    notes = "".join(f"\n  note: {note}" for note in judged.notes)
    return (
        f"  {judged.done} frames, {seconds:.1f} s of video in {took:.1f} s ("
        f"{seconds / max(took, 1e-9):.1f} times real time): {len(judged.alarms)} "
        f"alarm{'s' * (len(judged.alarms) != 1)}, {cycles}{notes}"
    )


def _when(seconds: float) -> str:
    return f"{'' if math.isnan(seconds) else f'{seconds:.2f} s':>10}"


@contextmanager
def _stoppable() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C was pressed; pressed twice, it interrupts as ever."""
    asked = []

    def ask(number: int, frame: object) -> None:
        asked.append(number)
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield lambda: bool(asked)
    finally:
        signal.signal(signal.SIGINT, before)


def _until(frames: Iterator, stopped: Callable[[], bool]) -> Iterator:
    for frame in frames:
        if stopped():
            return
        yield frame


def print_scores(found: Detection) -> None:
    """The scores of online detection, then those of each class, then the confusion matrix."""
    about, scores = found.about, found.scores
    clip, late, wrong = about["clip"], scores["latency"], found.errors
    state = "carrying its state" if about["streaming"] else "each by itself"
    apart = f" {clip['stride']} frames apart" if clip["stride"] > 1 else ""
    print(
        f"{about['data']}, split {about['split']}: {scores['chunks']} chunks of {clip['length']} "
        f"pictures{apart}, overlap {about['overlap']}, {state}\n"
    )
    detected = late["actions"] - late["undetected"]
    rows = [
        ("accuracy", f"{scores['accuracy']:.3f}", "share of right chunks"),
        ("balanced accuracy", f"{scores['balanced_accuracy']:.3f}", "mean recall of the classes"),
        ("frame mAP", f"{scores['frame_map']:.3f}", "mean over classes of average precision"),
        ("latency", _frames(late["median"]), "median, start of an action to first right chunk"),
        ("", _frames(late["mean"]), f"mean over the {detected} of {late['actions']} detected"),
        ("errors", str(wrong["total"]),
         f"{_count(wrong['missed'])} missed, {_count(wrong['invented'])} invented, "
         f"{wrong['swapped']} swapped for another action"),
        ("", _share(wrong["boundary"]), "of the errors confuse background and action"),
        ("", _share(wrong["straddling"]), "of the errors in chunks that hold both"),
        ("speed", f"{scores['speed']:.1f} x", "real time, one camera, frames decoded"),
    ]  # fmt: skip
    for name, value, what in rows:
        print(f"{name:<18} {value:>12}  {what}")
    print(f"\n{'class':<20} {'chunks':>7} {'precision':>10} {'recall':>8} {'AP':>8}")
    for c in scores["per_class"]:
        numbers = [_number(c[k]) for k in ("precision", "recall", "average_precision")]
        print(f"{c['label']:<20} {c['chunks']:>7} {numbers[0]:>10} {numbers[1]:>8} {numbers[2]:>8}")
    wide = max(7, *(len(c) for c in found.classes)) + 1
    print(f"\ntrue \\ said{'':<9} " + "".join(f"{c:>{wide}}" for c in found.classes))
    for name, row in zip(found.classes, found.confusion, strict=True):
        print(f"{name:<20} " + "".join(f"{n:>{wide}}" for n in row))
    if n := scores["not_judged"]:
        print(f"\n{n} chunks show no class that the run knows and are not judged.")
    if n := about["too_short"]:
        print(f"\n{n} videos are shorter than a chunk and are left out.")
    _say_if_trained_on(about)


def print_anomaly(found: Evaluation) -> None:
    """How well anomalies are found, then each kind of them."""
    about, s = found.about, found.scores
    print(
        f"{about['data']}, split {about['split']}: {s['rows']} rows {about['hop']} frames apart, "
        f"{s['abnormal']:.1%} of them abnormal\n"
        f"compared by {about['metric']} distance to normal row number {about['k']}"
        + (
            f", at the same phase ({_share(s['phased'])} of the rows have one)"
            if about["phase_aware"]
            else ""
        )
        + "\n"
    )
    rows = [
        ("AP", s["average_precision"], f"of the score of every row; chance {s['abnormal']:.3f}"),
        ("AUROC", s["auroc"], "chance 0.5"),
        ("best F1", s["best_f1"], "of any threshold, by the truth"),
        ("AP, smoothed", s["smoothed_average_precision"],
         f"scores averaged over {about['smooth']:g} s"),
        *(
            (f"{k}-NN F1", v["abnormal"], f"of abnormal rows; of all kinds {_number(v['macro'])}")
            for k, v in s["knn_f1"].items()
        ),
        ("threshold", s["threshold"], _threshold(s)),
        ("F1", s["f1"],
         f"at it: precision {_number(s['precision'])}, recall {_number(s['recall'])}"),
        ("events", s["event_recall"], f"{s['noticed']} of {s['events']} noticed"),
        ("delay", s["delay"], "seconds, mean over those"),
        ("false alarms", s["false_alarms_per_hour"],
         f"per hour of normal video; {s['false_alarms']} in all"),
    ]  # fmt: skip
    for name, value, what in rows:
        print(f"{name:<14} {_number(value):>8}  {what}")
    print(f"\n{'kind':<20} {'rows':>6} {'recall':>7} {'AP':>7} {'events':>7} {'delay, s':>9}")
    for k in s["kinds"]:
        recall, ap, delay = (_number(k[n]) for n in ("recall", "average_precision", "delay"))
        events = f"{k['noticed']}/{k['events']}"
        print(f"{k['kind']:<20} {k['rows']:>6} {recall:>7} {ap:>7} {events:>7} {delay:>9}")
    _say_if_trained_on(about)


def print_judgement(found: Judgement) -> None:
    """The scores of a protocol beside their chance level, and what is to be said about them."""
    about, table = found.about, found.scores
    who = about["run"] + (f" with {about['with']}" if about["with"] else "")
    where = about["data"] + (f", split {about['split']}" if about["split"] else "")
    print(f"{found.protocol} of {who} on {where}")
    for note in about["notes"]:
        print(note)
    columns = list(table.columns[1:])
    width = max(len(name) for name in ["score", *map(str, table["score"])])
    wide = [max(8, len(c)) for c in columns]
    heads = (f"{c:>{w}}" for c, w in zip(columns, wide, strict=True))
    print(f"\n{'score':<{width}}  {'  '.join(heads)}")
    for row in table.itertuples(index=False):
        values = (f"{_score(float(v)):>{w}}" for v, w in zip(row[1:], wide, strict=True))
        print(f"{row[0]:<{width}}  {'  '.join(values)}")
    _say_if_trained_on(about)


def _score(value: float) -> str:
    return f"{value:.0f}" if value > 1 and value == round(value) else _number(value)


def _threshold(s: dict) -> str:
    if s["threshold_given"]:
        return "given"
    source = "split val" if s["threshold_held_out"] else "split train, recordings left out in turn"
    return (
        f"{s['budget']:.3g} false alarms per hour, by {s['normal_hours'] * 60:.1f} min of {source}"
        + ", beyond what so little video shows" * s["threshold_extrapolated"]
    )


def print_repetition(found: Evaluation) -> None:
    """How well repetitions are counted and phases told, then each recording."""
    about, s = found.about, found.scores
    print(f"{about['data']}, split {about['split']}, rows {about['hop']} frames apart\n")
    nearest = f"{about['k']} nearest rows" if about["k"] > 1 else "nearest row"
    rows = [
        ("count, MAE", s["mae"], f"repetitions; {_share(s['relative_mae'])} of the true count"),
        ("within 1", s["off_by_one"], "share of the recordings whose count is off by 1 at most"),
        ("phase error", s["phase_error"],
         f"cycles, after the best turn; chance 0.25; {_share(s['phased'])} of the normal rows "
         "have a phase"),
        ("nearest", s["nearest_phase_error"],
         f"cycles from the true phase of the {nearest} of split train; chance 0.25"),
    ]  # fmt: skip
    for name, value, what in rows:
        print(f"{name:<14} {_number(value):>8}  {what}")
    print(f"\n{'recording':<20} {'camera':<10} {'count':>8} {'true':>8} {'phase error':>12}")
    for r in s["recordings"]:
        print(
            f"{r['recording']:<20} {r['camera']:<10} {r['count']:>8.2f} {r['true_count']:>8.2f} "
            f"{_number(r['phase_error']):>12}"
        )
    _say_if_trained_on(about)


def _say_if_trained_on(about: dict) -> None:
    if not about["held_out"]:
        print("\nNot held out: the run was trained on recordings of this split.")


def _frames(number: float) -> str:
    return "-" if math.isnan(number) else f"{number:.1f} frames"


def _count(number: float) -> str:
    return "-" if math.isnan(number) else str(number)


def _share(number: float) -> str:
    return "-" if math.isnan(number) else f"{number:.0%}"


def _number(number: float) -> str:
    return "-" if math.isnan(number) else f"{number:.3f}"
