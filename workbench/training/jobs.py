"""Background work in a process of its own: started, watched, stopped by anyone who sees its folder.

job.json      how the process was started, who it is
status.json   how far it is; written by the process itself
log.txt       what it printed
stop          a flag that asks it to stop
.starting     locked by a process while it starts the work
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Literal

import psutil

from workbench.config import ConfigError
from workbench.training.atomic import write_json

State = Literal["none", "pending", "running", "finished", "stopped", "failed", "interrupted"]
BUSY = ("pending", "running")
CALM = {"OMP_WAIT_POLICY": "PASSIVE"}
"""Threads of a job sleep while they wait for each other. The default is to spin, which on cores
shared with a server and a browser makes training several times slower (measured: 5 times)."""

BEHIND = 10
"""Nice value of a job: without a core to spare, the page would wait for the training."""


class BusyError(ConfigError, RuntimeError):
    """Somebody else is at work in the folder; their status is not to be touched."""


@dataclass(frozen=True)
class Status:
    """How far a job is. `eta`: seconds left; `updated`: seconds since 1970."""

    state: State = "none"
    pid: int | None = None
    pid_started: float | None = None
    message: str = ""
    done: int = 0
    total: int = 0
    eta: float | None = None
    error: str | None = None
    updated: float = 0.0

    @property
    def busy(self) -> bool:
        """Whether a process is at work on it."""
        return self.state in BUSY


class Progress:
    """Writes `status.json` from within the process that does the work."""

    def __init__(self, folder: Path, every: float = 0.2) -> None:
        self.folder = Path(folder)
        self.every = every
        me = psutil.Process()
        self.status = Status("running", me.pid, me.create_time(), "starting")
        self._began: tuple[float, int] | None = None
        self._write()

    def update(self, done: int, total: int, message: str = "", eta: float | None = None) -> None:
        """Tell how far it is; `eta` in seconds is worked out where it is not given."""
        now = time.time()
        starts = self._began is None
        began, first = self._began = self._began or (now, done)
        if eta is None and done > first:
            eta = (total - done) * (now - began) / (done - first)
        self.status = replace(self.status, done=done, total=total, message=message, eta=eta)
        if starts or done >= total or now - self.status.updated >= self.every:
            self._write()

    def finished(self, message: str = "done") -> None:
        """The work is complete."""
        self._end("finished", message)

    def stopped(self, message: str = "stopped, can be resumed") -> None:
        """The work ended early because it was asked to."""
        self._end("stopped", message)

    def failed(self, text: str) -> None:
        """The work cannot go on; `text` says why and what to do."""
        self._end("failed", text.strip().splitlines()[-1] if text.strip() else "failed", text)

    @property
    def should_stop(self) -> bool:
        """Whether someone asked for a stop."""
        return (self.folder / "stop").exists()

    def _end(self, state: State, message: str, error: str | None = None) -> None:
        self.status = replace(self.status, state=state, message=message, eta=None, error=error)
        self._write()

    def _write(self) -> None:
        self.status = replace(self.status, updated=time.time())
        write_json(self.folder / "status.json", asdict(self.status))


def progress(folder: Path) -> Progress:
    """The writer of `status.json` for the process that calls; the job is running from now on."""
    return Progress(folder)


class Job:
    """A folder, and the process at work on it."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def start(self, argv: list[str], threads: int | None = None) -> None:
        """Start a command in a process group of its own, which outlives this process.

        threads: cores that its arithmetic may use at a time; by default all of them.
        """
        with alone(self.folder):
            if self.status().busy:
                raise BusyError(f"{self.folder.name} is running already. Stop it first.")
            self._start(argv, {} if threads is None else {"OMP_NUM_THREADS": str(threads)})

    def _start(self, argv: list[str], limits: dict[str, str]) -> None:
        (self.folder / "stop").unlink(missing_ok=True)
        (self.folder / "job.json").unlink(missing_ok=True)
        pending = Status("pending", message="starting", updated=time.time())
        write_json(self.folder / "status.json", asdict(pending))
        with (self.folder / "log.txt").open("ab") as log:
            child = subprocess.Popen(
                argv,
                env=CALM | os.environ | limits,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        _step_back(child.pid)
        threading.Thread(target=child.wait, daemon=True).start()  # the dead must not stay zombies
        about = {"argv": argv, "pid": child.pid, "pid_started": _born(child.pid) or time.time()}
        write_json(self.folder / "job.json", about)

    def status(self) -> Status:
        """How far it is; `interrupted` where it should be running and its process is gone."""
        status = self._written()
        job = _read(self.folder / "job.json")
        if status.busy and not self._lives(status, job):
            status = self._written()  # it may have written its last word between two looks
            if status.busy and not self._lives(status, job):
                gone = "its process is gone; can be resumed"
                return replace(status, state="interrupted", eta=None, message=gone)
        if status.state == "stopped" and job and status.pid == job["pid"] and _alive(job):
            return replace(status, state="running", message="stopping")
        return status

    def elsewhere(self) -> bool:
        """Whether another process than this one works here, or was started to."""
        status = self.status()
        if status.pid is not None:
            return status.busy and status.pid != os.getpid()
        # The job may be this process, or a launcher (as of venv on Windows) that started it.
        started = _read(self.folder / "job.json").get("pid")
        return status.busy and started not in (None, os.getpid(), os.getppid())

    def stop(self, patience: float = 5.0) -> Status:
        """Stop it: ask, wait for `patience` seconds, terminate, then kill, children included.

        Returns when no process of the job is left. Work that was not started as a job (in a
        terminal or a notebook) is only asked.
        """
        status = self.status()
        job = _read(self.folder / "job.json")
        if not (status.busy or status.state == "interrupted"):
            return status
        if status.busy:
            (self.folder / "stop").touch()
        if not job or status.pid not in (None, job["pid"]):
            _wait(lambda: not self.status().busy, patience)
            return self.status()
        if not _wait(lambda: not _alive(job), patience):
            _signal(_group(job), signal.SIGTERM)
            _wait(lambda: not _group(job), 2.0)
        while group := _group(job):
            _signal(group, getattr(signal, "SIGKILL", signal.SIGTERM))
            _wait(lambda: not _group(job), 1.0)
        (self.folder / "stop").unlink(missing_ok=True)
        written = self._written()
        if status.busy and written.busy:
            written = replace(written, state="stopped", eta=None, message="stopped, can be resumed")
            write_json(self.folder / "status.json", asdict(written))
        return self.status()

    def log(self, n: int = 200) -> list[str]:
        """The last `n` lines of what it printed."""
        return tail(self.folder / "log.txt", n)

    def _written(self) -> Status:
        return Status(**_read(self.folder / "status.json"))

    def _lives(self, status: Status, job: dict) -> bool:
        if status.pid is not None:
            return _alive(asdict(status))
        if job:
            return _alive(job)
        return time.time() - status.updated < 10  # just started, its number not yet on record


@contextmanager
def alone(folder: Path, patience: float = 10.0) -> Iterator[None]:
    """Only one process at a time gets in here; makes the folder. `BusyError` after `patience` s.

    The system lets go of the lock when its holder dies, so that none is ever left behind.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".starting").open("ab") as file:
        if not _wait(lambda: _lock(file), patience):
            raise BusyError(f"{folder.name} is being started by another process. Wait for it.")
        yield


def _lock(file: IO[bytes]) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def python(module: str, *arguments: object) -> list[str]:
    """The command that runs a module in a new process of this Python."""
    return [sys.executable, "-u", "-m", module, *map(str, arguments)]


def tail(path: Path, n: int) -> list[str]:
    """The last `n` lines of a text file, the empty list where there is none."""
    try:
        with path.open(errors="replace") as file:
            return [line.rstrip("\n") for line in deque(file, maxlen=n)]
    except FileNotFoundError:
        return []


def _read(path: Path) -> dict:
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return {}


def _step_back(pid: int) -> None:
    """Let server and browser go first; no harm where the system does not allow it."""
    try:
        below = getattr(psutil, "BELOW_NORMAL_PRIORITY_CLASS", BEHIND)  # Windows has classes
        process = psutil.Process(pid)
        process.nice(max(process.nice(), below))
        # Linux first shares the cores between sessions, and a job has one of its own, so that its
        # nice value alone would change nothing: the session has one, too (see sched(7)).
        Path(f"/proc/{pid}/autogroup").write_text(str(BEHIND))
    except (psutil.Error, OSError):
        pass


def _born(pid: int) -> float | None:
    try:
        return psutil.Process(pid).create_time()
    except psutil.Error:
        return None


def _alive(about: dict) -> bool:
    """Whether the very process lives, not another one that was given its number since."""
    pid = about.get("pid")
    if pid is None:
        return False
    try:
        process = psutil.Process(pid)
        same = abs(process.create_time() - about["pid_started"]) < 1.0
        return same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _group(job: dict) -> list[psutil.Process]:
    """The living processes of the job's group, its leader dead or not."""
    born = _born(job["pid"])
    if born is not None and abs(born - job["pid_started"]) >= 1.0:
        return []  # a stranger has the number, which no group of ours can then have
    if not hasattr(os, "getpgid"):
        leader = [psutil.Process(job["pid"])] if _alive(job) else []
        return leader + [c for p in leader for c in p.children(recursive=True)]
    return [p for p in psutil.process_iter() if _in_group(p, job["pid"])]


def _in_group(process: psutil.Process, group: int) -> bool:
    try:
        in_it = os.getpgid(process.pid) == group
        return in_it and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.Error, ProcessLookupError, PermissionError):
        return False


def _signal(processes: list[psutil.Process], number: int) -> None:
    for process in processes:
        try:
            process.send_signal(number)
        except psutil.Error:
            continue


def _wait(until: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not until():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True
