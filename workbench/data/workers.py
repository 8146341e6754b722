"""Videos stored by worker processes whose death or silence costs one video, one decoder at most.

A worker reads jobs from its standard input, one JSON line each, and answers with JSON lines. It is
a fresh interpreter (never a fork), ends when its parent does, and is killed when it says nothing
for too long; the file is then tried again, with PyAV, in a new worker.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from workbench.data.framestore import DiskFull, Job, Stored, store
from workbench.data.readers import BadVideo

COMMAND = (sys.executable, "-m", "workbench.data.workers")
START = 60.0  # seconds a worker may take to start: a cold disk, a busy machine
DISK = 50e6  # bytes per second: decord reads a whole file through before its first frame


@dataclass(frozen=True)
class Step:
    """News of a job: frames so far, or what came of it (stored, or bad: found and advice)."""

    job: Job
    frames: int = 0
    expected: int = 0
    stored: Stored | None = None
    bad: tuple[str, str] | None = None

    @property
    def over(self) -> bool:
        """True when there is no more to come of this job."""
        return bool(self.stored or self.bad)

    @property
    def share(self) -> float:
        """How much of the file is done, 0 to 1; 0 while unknown."""
        return 1.0 if self.over else min(1.0, self.frames / self.expected) if self.expected else 0.0


def store_all(
    jobs: Iterable[Job], workers: int, patience: float, command: Sequence[str] = COMMAND
) -> Iterator[Step]:
    """Do the jobs side by side, with news while they run; raises `DiskFull`.

    patience: seconds without a sign of life after which a worker is killed.
    """
    waiting, team = deque(jobs), []
    news: queue.Queue[tuple[_Worker, dict | None]] = queue.Queue()
    try:
        while waiting or any(w.job for w in team):
            idle = [w for w in team if w.job is None]
            while waiting and (idle or len(team) < workers):
                if not idle:
                    team.append(worker := _Worker(command, news))
                else:
                    worker = idle.pop()
                worker.give(waiting.popleft(), patience)
            with contextlib.suppress(queue.Empty):
                worker, said = news.get(timeout=0.2)
                if worker in team and (step := _hear(worker, said, team, waiting)):
                    yield step
            for worker in [w for w in team if w.silent]:
                job = worker.dismiss()
                team.remove(worker)
                if step := _again(job, f"did not answer for {patience:.0f} s", waiting):
                    yield step
    finally:
        for worker in team:
            worker.dismiss()


def _hear(
    worker: _Worker, said: dict | None, team: list[_Worker], waiting: deque[Job]
) -> Step | None:
    if said is None:  # it died
        team.remove(worker)
        cause = worker.last_words()
        job = worker.dismiss()
        if not worker.ready:
            raise RuntimeError(f"the processes that decode do not start: {cause}")
        return _again(job, f"crashed ({cause})", waiting) if job else None
    job = worker.job
    if job is None or "ready" in said:
        return None
    if "frames" in said:
        return Step(job, said["frames"], said["expected"])
    worker.job = None
    if "full" in said:
        raise DiskFull(said["full"])
    if "bad" in said:
        return Step(job, bad=tuple(said["bad"]))
    about = said["stored"]
    return Step(job, stored=Stored(**{**about, "doubts": tuple(map(tuple, about["doubts"]))}))


def _again(job: Job, what: str, waiting: deque[Job]) -> Step | None:
    """Queue the file for PyAV alone; give it up where PyAV was the one that failed."""
    if job.readers == ("pyav",):
        advice = "Re-encode it: ffmpeg -i IN -c:v libx264 OUT.mp4."
        return Step(job, bad=(f"the decoder {what}", advice))
    waiting.appendleft(replace(job, readers=("pyav",), note=f"{job.readers[0]} {what}"))
    return None


@dataclass(eq=False)
class _Worker:
    command: Sequence[str]
    news: queue.Queue[tuple[_Worker, dict | None]]
    job: Job | None = None
    patience: float = 0.0
    ready: bool = False
    deadline: float = math.inf  # when its silence will have lasted too long

    def __post_init__(self) -> None:
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115 - dismiss() closes it
        self.process = subprocess.Popen(
            self.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        )
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        with self.process.stdout as lines:
            for line in lines:
                said = json.loads(line)
                self.ready = True
                going_on = "frames" in said or "ready" in said
                self.deadline = time.monotonic() + self.patience if going_on else math.inf
                self.news.put((self, said))
        self.deadline = math.inf
        self.news.put((self, None))

    def give(self, job: Job, patience: float) -> None:
        self.job, self.patience = job, patience
        with contextlib.suppress(OSError):
            self.patience += Path(job.path).stat().st_size / DISK
        self.deadline = time.monotonic() + self.patience + (0 if self.ready else START)
        with contextlib.suppress(OSError):  # it died meanwhile, which the listener tells
            self.process.stdin.write(json.dumps(asdict(job)).encode() + b"\n")
            self.process.stdin.flush()

    @property
    def silent(self) -> bool:
        """True when it has a job and said nothing for too long."""
        return time.monotonic() > self.deadline

    def last_words(self) -> str:
        """The signal that ended it, or the last line it wrote."""
        code = self.process.wait()
        if code < 0:
            return signal.Signals(-code).name
        self.errors.seek(0)
        lines = self.errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1][:160] if lines else f"exit code {code}"

    def dismiss(self) -> Job | None:
        """Kill it; the job it had."""
        self.process.kill()
        self.process.wait()
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        self.errors.close()
        return self.job


def main() -> None:
    """The worker: jobs in, news out, until the standard input closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends us
    channel = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a library prints is no news
    jobs: queue.Queue[str] = queue.Queue()

    def listen() -> None:
        for line in sys.stdin:
            jobs.put(line)
        os._exit(0)  # the parent is gone; what is half-written stays under its temporary name

    threading.Thread(target=listen, daemon=True).start()

    def say(**news: object) -> None:
        channel.write(json.dumps(news) + "\n")

    say(ready=True)
    while True:
        _serve(Job(**json.loads(jobs.get())), say)


def _serve(job: Job, say: Callable[..., None]) -> None:
    spoke = 0.0

    def report(done: int, expected: int) -> None:
        nonlocal spoke
        if (now := time.monotonic()) - spoke > 0.2:
            spoke = now
            say(frames=done, expected=expected)

    try:
        say(stored=asdict(store(replace(job, readers=tuple(job.readers)), report)))
    except BadVideo as error:
        say(bad=(error.found, error.advice))
    except DiskFull as error:
        say(full=str(error))
    except Exception as error:  # whatever a broken file provokes costs that file alone
        say(bad=(f"{type(error).__name__}: {error}", "Re-encode it: ffmpeg -i IN OUT.mp4."))


if __name__ == "__main__":
    main()
