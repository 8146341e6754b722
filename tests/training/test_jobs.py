import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from threadpoolctl import threadpool_limits

from tests.training.boxes import curve, make_experiment, weights
from workbench.training import jobs, worker
from workbench.training.jobs import BusyError, Job, alone, progress, python
from workbench.training.run import Run
from workbench.training.train import launch, train

POLITE = """
import sys, time
from workbench.training.jobs import progress
tell = progress(sys.argv[1])
for k in range(1000):
    tell.update(k, 1000, f"item {k}")
    if tell.should_stop:
        tell.stopped()
        sys.exit()
    time.sleep(0.02)
"""
STUBBORN = """
import signal, subprocess, sys, time
from workbench.training.jobs import progress
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(100)"
kid = subprocess.Popen([sys.executable, "-c", child])
progress(sys.argv[1]).update(kid.pid, 10**9, "deaf")
time.sleep(100)
"""


def wait(until, seconds=60):
    end = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


def gone(pid):
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def start(folder, code):
    job = Job(folder)
    job.start([sys.executable, "-c", code, str(folder)])
    assert job.status().busy
    wait(lambda: job.status().state == "running" and job.status().message != "starting")
    return job


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has priority classes")
def test_a_job_lets_server_and_browser_go_first(tmp_path):
    job = start(tmp_path / "polite", POLITE)
    pid = job.status().pid
    assert psutil.Process(pid).nice() == max(jobs.BEHIND, psutil.Process().nice())
    autogroup = Path(f"/proc/{pid}/autogroup")
    if autogroup.exists():
        assert autogroup.read_text().split()[-2:] == ["nice", str(jobs.BEHIND)]
    job.stop()


def test_nothing_there():
    assert Job("/nowhere").status().state == "none"
    assert Job("/nowhere").stop().state == "none"
    assert Job("/nowhere").log() == []


def test_a_job_runs_on_its_own_and_stops_when_asked(tmp_path):
    job = start(tmp_path / "j", POLITE)
    status = job.status()
    assert os.getpgid(status.pid) == status.pid != os.getpgid(0)  # survives who started it
    assert status.total == 1000
    wait(lambda: job.status().eta is not None)
    with pytest.raises(RuntimeError, match="running already"):
        job.start(["true"])
    begun = time.monotonic()
    assert job.stop().state == "stopped"
    assert time.monotonic() - begun < 4
    assert gone(status.pid)
    assert not (job.folder / "stop").exists()


def test_a_deaf_process_is_killed_with_its_children(tmp_path):
    job = start(tmp_path / "j", STUBBORN)
    pid, kid = job.status().pid, job.status().done
    assert not gone(kid)
    stopped = job.stop(patience=0.3)
    assert stopped.state == "stopped"
    assert gone(pid) and gone(kid)


def test_a_killed_process_leaves_an_orphan(tmp_path):
    job = start(tmp_path / "jobs" / "j", POLITE)
    assert job.status().state == "running"
    os.kill(job.status().pid, signal.SIGKILL)
    wait(lambda: job.status().state == "interrupted")
    assert "resumed" in job.status().message


def test_a_process_that_was_given_the_same_number_is_not_mistaken(tmp_path):
    progress(tmp_path)
    assert Job(tmp_path).status().state == "running"
    path = tmp_path / "status.json"
    status = json.loads(path.read_text())
    path.write_text(json.dumps({**status, "pid_started": status["pid_started"] - 60}))
    assert Job(tmp_path).status().state == "interrupted"
    (tmp_path / "job.json").write_text(json.dumps({**status, "pid_started": 1.0, "argv": []}))
    assert Job(tmp_path).stop().state == "interrupted"  # and this process still lives


def test_of_many_starts_at_once_one_gets_through(tmp_path):
    job = Job(tmp_path / "j")

    def begin(_):
        try:
            job.start([sys.executable, "-c", POLITE, str(job.folder)])
        except BusyError:
            return 0
        return 1

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(begin, range(6))) == 1
    wait(lambda: job.status().state == "running")
    assert job.stop().state == "stopped"


def test_a_start_waits_its_turn_and_a_dead_starter_blocks_nobody(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from workbench.training.jobs import alone\n"
        "with alone(Path(sys.argv[1])): print('in', flush=True); time.sleep(100)"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"in\n"
        with pytest.raises(BusyError, match="being started"), alone(tmp_path, patience=0.1):
            pass
        holder.kill()
    with alone(tmp_path, patience=1):
        pass


def test_a_run_that_another_process_trains_is_not_trained_here_meanwhile(workspace, source, capsys):
    run = Run(workspace / "runs" / "a")
    Job(run.folder).start([sys.executable, "-c", "import time; time.sleep(100)"])
    (run.folder / "config.yaml").write_text(make_experiment().to_yaml())
    before = run.status()
    assert before.state == "pending"
    with pytest.raises(BusyError, match="another process"):
        next(train(make_experiment(), run.folder, source))
    assert worker.main(["train", str(run.folder)]) == 1  # as `Job` starts it
    said = capsys.readouterr().err
    assert "being trained by another process" in said and "Traceback" not in said
    assert run.status() == before
    assert Job(run.folder).stop(patience=0.1).state == "stopped"


def test_failure_is_told_in_words(tmp_path):
    assert worker.main(["train", str(tmp_path)]) == 1
    assert Job(tmp_path).status().state == "failed"
    assert "config.yaml" in Job(tmp_path).status().error


def test_what_a_failed_process_said_is_in_its_log(tmp_path):
    job = Job(tmp_path / "runs" / "none")
    job.start(python("workbench.training.worker", "no such work", job.folder))
    wait(lambda: job.status().state == "failed")
    assert "no such work" in job.status().error
    assert any("Traceback" in line for line in job.log())


def test_the_log_ends_with_the_newest_line(tmp_path):
    (tmp_path / "log.txt").write_text("".join(f"{k}\n" for k in range(50)))
    assert Job(tmp_path).log(3) == ["47", "48", "49"]


def test_eta_is_what_is_left_at_the_pace_so_far(tmp_path, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(jobs.time, "time", lambda: now[0])
    tell = progress(tmp_path)
    tell.update(0, 10)
    now[0] += 4
    tell.update(2, 10)
    assert Job(tmp_path)._written().eta == pytest.approx(16)


def test_kill_9_then_resume_equals_a_run_in_peace(workspace, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # as below: sums in the same order
    experiment = make_experiment(steps=40, checkpoint_every=0, evaluations=1)
    run = launch(experiment, workspace / "runs" / "killed")
    wait(lambda: len(run.metrics()) > 7)
    os.kill(run.status().pid, signal.SIGKILL)
    wait(lambda: run.status().state == "interrupted")
    assert len(run.metrics()) < 40
    whole = Run(workspace / "runs" / "whole")
    with threadpool_limits(1):
        list(train(experiment, run.folder))
        list(train(experiment, whole.folder))
    assert curve(run) == curve(whole)
    left, right = weights(run), weights(whole)
    assert [k for k in left if k != "rest.rng.cpu" and (left[k] != right[k]).any()] == []
