import ast
import inspect
import os
import signal

import numpy as np
import pandas as pd
import pytest
import torch

from tests.training.boxes import SHAPE, curve, make_experiment, weights
from workbench.config import ConfigError
from workbench.data.video import VideoSource
from workbench.methods import METHODS
from workbench.methods.moco import MoCo
from workbench.models.whitening import Whitening
from workbench.sampling import SAMPLERS, OtherCamera
from workbench.training import trainer
from workbench.training.experiment import DataConfig
from workbench.training.jobs import Job
from workbench.training.run import Run
from workbench.training.train import launch, train
from workbench.training.trainer import DivergenceError


def finish(experiment, folder, source):
    reports = list(train(experiment, folder, source))
    return Run(folder), reports


@pytest.fixture(scope="module")
def whole(source, tmp_path_factory):
    """The run of `experiment` that nothing disturbed."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    run, _ = finish(make_experiment(), tmp_path_factory.mktemp("w") / "runs" / "whole", source)
    torch.set_num_threads(threads)
    return run


def assert_same(a, b):
    assert curve(a) == curve(b)
    left, right = weights(a), weights(b)
    assert left.keys() == right.keys()
    assert [k for k in left if not torch.equal(left[k], right[k])] == []


@pytest.mark.parametrize("k", [1, 4, 5])  # an epoch has 2 steps
def test_a_stopped_run_resumes_exactly(experiment, source, whole, tmp_path, k):
    reports = train(experiment, tmp_path / "runs" / "a", source)
    for _ in range(k):
        next(reports)
    reports.close()
    run = Run(tmp_path / "runs" / "a")
    assert run.status().state == "stopped"
    assert run.load()[2]["clock"]["step"] == k
    torch.manual_seed(99)  # what happens in between does not matter
    run, rest = finish(experiment, run.folder, source)
    assert rest[0].clock.step == k + 1
    assert run.status().state == "finished"
    assert_same(run, whole)


def test_steps_after_the_last_checkpoint_are_forgotten_and_done_again(
    experiment, source, whole, tmp_path
):
    run = Run(tmp_path / "runs" / "a")
    reports = train(experiment, run.folder, source)
    for _ in range(3):
        next(reports)
    checkpoint = {p: p.read_bytes() for p in run.model_path.parent.iterdir()}  # that of step 0
    reports.close()
    for path, content in checkpoint.items():
        path.write_bytes(content)
    with (run.folder / "metrics.jsonl").open("a") as file:
        file.write('{"step": 4, "lo')  # killed in the middle of a line
    run, _ = finish(experiment, run.folder, source)
    assert_same(run, whole)


def test_a_finished_run_has_nothing_left_to_do(experiment, source, whole):
    before = weights(whole)
    assert list(train(experiment, whole.folder, source)) == []
    assert all(torch.equal(v, before[k]) for k, v in weights(whole).items())


def test_ctrl_c_finishes_the_step_and_leaves_a_resumable_run(experiment, source, whole, tmp_path):
    calls = []

    def frames(i):
        calls.append(i)
        if len(calls) == 4 * 2 * 2 + 3:  # while the third batch is read
            os.kill(os.getpid(), signal.SIGINT)
        return source.frames(i)

    experiment = make_experiment(evaluations=0)
    folder, seen = tmp_path / "runs" / "a", []
    interrupted = VideoSource(source.videos, source.shape, frames)
    with pytest.raises(KeyboardInterrupt):
        for report in train(experiment, folder, interrupted):
            seen.append(report.clock.step)
    run = Run(folder)
    assert run.status().state == "stopped"
    assert run.load()[2]["clock"]["step"] == seen[-1]
    run, _ = finish(experiment, folder, source)
    losses = [line["loss"] for line in curve(run)[1:]]
    assert losses == [line["loss"] for line in curve(whole)[1:]]


def test_the_flag_stops_it(experiment, source, tmp_path):
    folder = tmp_path / "runs" / "a"
    for report in train(experiment, folder, source):
        if report.clock.step == 2:
            (folder / "stop").touch()
    assert report.clock.step == 2
    assert Run(folder).status().state == "stopped"


def test_divergence_names_step_batch_and_remedy(source, tmp_path):
    experiment = make_experiment(lr=100, schedule="constant", steps=60, checkpoint_every=0)
    experiment = experiment.model_copy(update={"sampler": OtherCamera()})
    folder = tmp_path / "runs" / "a"
    with pytest.raises(DivergenceError) as caught:
        for _ in train(poisoned(experiment), folder, source):
            pass
    text = str(caught.value)
    assert "step 4" in text
    assert "train.lr" in text and "fp32" in text
    assert "r0" in text and "from frame" in text
    run = Run(folder)
    assert run.status().state == "failed"
    assert "train.lr" in run.status().error
    model, _, about = run.load()
    assert about["clock"]["step"] == 3
    assert all(torch.isfinite(v).all() for v in model.values())


def poisoned(experiment):
    """The experiment with a method whose loss is no number at its fourth step."""

    class Poisoned(type(experiment.method)):
        def build(self, encoder):
            method = super().build(encoder)
            forward = method.forward

            def poison(batch, clock):
                loss, logs = forward(batch, clock)
                return (loss * float("nan") if clock.step == 3 else loss), logs

            method.forward = poison
            return method

    return experiment.model_copy(update={"method": Poisoned(**experiment.method.model_dump())})


def test_other_settings_are_refused_by_name(experiment, source, whole):
    other = make_experiment(lr=0.5)
    with pytest.raises(ConfigError, match=r"train\.lr is 0\.02 there and 0\.5 here"):
        next(train(other, whole.folder, source))


def test_a_busy_folder_is_refused(experiment, source, tmp_path):
    run = Run(tmp_path / "runs" / "a")
    reports = train(experiment, run.folder, source)
    next(reports)
    status = run.folder / "status.json"
    parent = Job(run.folder)._written()
    changed = status.read_text().replace(f'"pid": {parent.pid}', f'"pid": {os.getppid()}')
    import psutil

    born = psutil.Process(os.getppid()).create_time()
    status.write_text(changed.replace(str(parent.pid_started), str(born)))
    with pytest.raises(ConfigError, match="another process"):
        next(train(experiment, run.folder, source))
    reports.close()


def test_the_trainer_knows_no_part_by_name():
    tree = ast.parse(inspect.getsource(trainer))
    names = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
    names |= {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
    assert not names & {"isinstance", "issubclass", "hasattr", "type_name"}
    parts = {c.__name__ for c in [*METHODS.values(), *SAMPLERS.values()]}
    words = {n.value for n in ast.walk(tree) if isinstance(n, ast.Constant)}
    assert not (names | words) & (parts | METHODS.keys() | SAMPLERS.keys())


def test_videos_of_unequal_size_train_and_embed(source, tmp_path):
    def frames(i):
        return source.frames(i) if i % 2 else source.frames(i)[:, :18, :20]

    mixed = VideoSource(source.videos, SHAPE, frames)
    _, reports = finish(make_experiment(steps=2), tmp_path / "runs" / "a", mixed)
    assert np.isfinite([r.loss for r in reports]).all()


def test_kNN_is_shown_against_random_init(whole):
    rows = whole.metrics()
    judged = rows.dropna(subset=["knn"])
    assert list(judged["step"]) == [4, 7]
    assert {"knn_random", "knn_chance", "alignment", "alignment_random"} <= set(rows)
    assert judged["knn_random"].nunique() == 1
    assert rows["knn_random"][0] == judged["knn_random"].iloc[0]


@pytest.mark.parametrize("begin", [lambda e, f: next(train(e, f)), launch])
@pytest.mark.parametrize("wrong", ["no such data", "one camera", "clips too long"])
def test_a_start_that_cannot_be_leaves_no_folder(workspace, begin, wrong):
    experiment = make_experiment()
    clip = SHAPE.model_copy(update={"length": 100})
    change = {
        "no such data": {"data": DataConfig(name="nothing", clip=SHAPE)},
        "one camera": {"data": DataConfig(name="boxes", clip=SHAPE), "sampler": OtherCamera()},
        "clips too long": {"data": DataConfig(name="boxes", clip=clip)},
    }[wrong]
    if wrong == "one camera":
        path = workspace / "data" / "boxes" / "videos.parquet"
        table = pd.read_parquet(path)
        table[table["camera"] == "0"].to_parquet(path)
    folder = workspace / "runs" / "a"
    with pytest.raises((ValueError, OSError), match=r"nothing|one camera|long enough"):
        begin(experiment.model_copy(update=change), folder)
    assert not folder.exists()


def test_a_method_that_cannot_be_built_leaves_no_folder(experiment, source, tmp_path):
    folder = tmp_path / "runs" / "a"
    with pytest.raises(FileNotFoundError, match="missing"):
        next(train(experiment.model_copy(update={"init": "missing"}), folder, source))
    assert not folder.exists()


def test_health_is_logged_beside_that_of_a_random_network(whole):
    rows = whole.metrics()
    judged = rows.dropna(subset=["feature_rank"])
    assert list(judged["step"]) == [4, 7]
    for part in ("feature", "projected"):
        for name in ("alignment", "uniformity", "rank", "std"):
            assert np.isfinite(judged[f"{part}_{name}"]).all()
            assert judged[f"{part}_{name}_random"].nunique() == 1
    assert list(judged["collapsed"]) == [0, 0]
    assert rows["seconds"].dropna().is_monotonic_increasing


def test_a_collapse_is_said_once_and_training_goes_on(source, tmp_path, monkeypatch, caplog):
    def pull(self, batch, clock):  # positives together and nothing apart: one vector is the best
        x, y = (self.project(view) for view in batch.views)
        return (x - y).square().mean(), {}

    monkeypatch.setattr(MoCo, "forward", pull)
    monkeypatch.setattr(Whitening, "forward", lambda self, x: x)  # it would keep features apart
    experiment = make_experiment(steps=24, lr=0.3, optimizer="adam", evaluations=3)
    run, reports = finish(experiment, tmp_path / "runs" / "a", source)
    assert len(reports) == 24
    judged = run.metrics().dropna(subset=["collapsed"])
    assert judged["collapsed"].iloc[-1] == 1
    assert judged["projected_std"].iloc[-1] < 0.1
    said = [r.getMessage() for r in caplog.records if "collapsed at step" in r.getMessage()]
    assert len(said) == 1 and "same feature" in said[0] and "train.lr" in said[0]
