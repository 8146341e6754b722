"""Runs that come from other runs: teachers, what `init` hands on, what is found along the way."""

import shutil

import numpy as np
import pandas as pd
import pytest
import torch

from tests.training.boxes import make_experiment
from workbench.methods.coclr import CoCLRConfig
from workbench.methods.moco import MoCoConfig
from workbench.methods.vicc import ViCCConfig
from workbench.sampling import SameVideo, TwoStreams
from workbench.training.experiment import Experiment
from workbench.training.findings import Findings
from workbench.training.run import Run
from workbench.training.train import launch, train
from workbench.workspace import Workspace


def of_stream(experiment, stream):
    clip = experiment.data.clip.model_copy(update={"stream": stream})
    data = experiment.data.model_copy(update={"clip": clip})
    return experiment.model_copy(update={"data": data})


def run_of(folder, method, stream="diff"):
    """A run with random weights, as training would leave it."""
    experiment = of_stream(make_experiment(), stream).model_copy(update={"method": method})
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(experiment.to_yaml())
    Run(folder).save(experiment.build().state_dict(), {}, {"clock": {"step": 1}})
    return Run(folder)


SMALL = {"queue": 8, "dim": 8, "hidden": 16}


def taught(method=None, **settings):
    method = method or CoCLRConfig(**SMALL, topk=2, momentum=0.9)
    settings = {"steps": 7, "batch": 4, "evaluations": 0, "optimizer": "adam"} | settings
    update = {"method": method, "sampler": TwoStreams(other="diff"), "teacher": "teacher"}
    experiment = make_experiment(**settings).model_copy(update=update)
    return Experiment.parse(experiment.model_dump())


def test_who_was_mined_for_whom_is_kept_by_epoch_also_when_stopped(source, tmp_path):
    run_of(tmp_path / "runs" / "teacher", MoCoConfig(**SMALL))
    whole, parts = Run(tmp_path / "runs" / "whole"), Run(tmp_path / "runs" / "parts")
    list(train(taught(), whole.folder, source))
    reports = train(taught(), parts.folder, source)
    for _ in range(5):
        next(reports)
    reports.close()  # in the middle of epoch 2: two batches of four an epoch
    half = parts.mined(2)
    list(train(taught(), parts.folder, source))
    assert whole.mined_epochs() == parts.mined_epochs() == [1, 2, 3]  # the queue fills in epoch 0
    assert len(half) == len(whole.mined(2)) / 2
    for epoch in (1, 2, 3):
        pd.testing.assert_frame_equal(whole.mined(epoch), parts.mined(epoch))
    found = whole.mined(1)
    assert len(found) == 2 * 4 * 2 and set(found["step"]) == {3, 4}
    assert set(found["anchor"]) | set(found["positive"]) <= {"r0", "r1", "r2", "r3"}
    assert (found["anchor"] != found["positive"]).all()  # siblings are positives anyway
    with pytest.raises(FileNotFoundError, match=r"no mined of epoch 7. Epochs that do: 1, 2, 3"):
        whole.mined(7)


def test_clusters_are_kept_when_a_sampler_has_new_ones(source, tmp_path):
    class Clustered(SameVideo):
        found: int

        def clustering(self):
            return np.arange(4), np.arange(4) // self.found

    first, second = Clustered(found=2), Clustered(found=4)
    method = MoCoConfig(**SMALL).build(make_experiment().encoder.build())
    found, run = Findings(tmp_path, source, first), Run(tmp_path)
    for step, epoch, sampler in [(1, 0, first), (3, 1, second), (5, 2, second), (7, 3, first)]:
        found.look(step, epoch, method, sampler)
    assert run.cluster_epochs() == [1, 3]  # the sampler it began with comes from a checkpoint
    assert dict(run.clusters(3).itertuples(index=False)) == {"r0": 0, "r1": 0, "r2": 1, "r3": 1}
    found.go_back(step=4, epoch=2)
    assert run.cluster_epochs() == [1]


def test_a_finished_run_needs_its_teacher_no_more(source, tmp_path):
    run_of(tmp_path / "runs" / "teacher", MoCoConfig(**SMALL))
    run = Run(tmp_path / "runs" / "a")
    list(train(taught(steps=3), run.folder, source))
    shutil.rmtree(tmp_path / "runs" / "teacher")
    clips = torch.randn(2, 3, 4, 16, 16)
    assert run.method().project(clips).shape == (2, 8)


def wrong_stream(folder):
    run_of(folder, MoCoConfig(**SMALL), "rgb")


def wrong_dimension(folder):
    run_of(folder, MoCoConfig(**(SMALL | {"dim": 6})))


def exported(folder):
    run_of(folder.with_name("first"), MoCoConfig(**SMALL)).export(folder)


def missing(folder):
    folder.parent.mkdir()


@pytest.mark.parametrize("begin", [lambda e, f: next(train(e, f)), launch])
@pytest.mark.parametrize(
    ("teacher", "message"),
    [
        (wrong_stream, r"'teacher' was trained on rgb and is to be shown diff.*a run on diff\.$"),
        (wrong_dimension, r"'teacher' \(moco\) gives 6 dimensions and method coclr compares in 8"),
        (exported, r"'teacher' was exported.*no head"),
        (missing, r"no run 'teacher'"),
    ],
)
def test_teachers_that_cannot_teach_are_told_before_training(workspace, begin, teacher, message):
    teacher(workspace / "runs" / "teacher")
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        begin(taught(), workspace / "runs" / "a")
    assert not (workspace / "runs" / "a").exists()


@pytest.mark.parametrize("begin", [lambda e, f: next(train(e, f)), launch])
def test_a_start_that_is_not_there_is_told_before_training(workspace, begin):
    run_of(workspace / "runs" / "first", MoCoConfig(**SMALL))
    experiment = make_experiment().model_copy(update={"init": "fist"})
    with pytest.raises(FileNotFoundError, match=r"no run 'fist'.*Did you mean 'first'"):
        begin(experiment, workspace / "runs" / "a")
    assert not (workspace / "runs" / "a").exists()


def test_flow_that_is_not_there_is_told_before_training(workspace):
    run_of(workspace / "runs" / "teacher", MoCoConfig(**SMALL))
    experiment = taught().model_copy(update={"sampler": TwoStreams()})
    with pytest.raises(ValueError, match=r"'boxes' holds no optical flow.*`workbench flow boxes`"):
        next(train(experiment, workspace / "runs" / "a"))


def test_init_hands_on_head_and_prototypes_where_the_whole_run_is_there(tmp_path):
    vicc = ViCCConfig(**SMALL, prototypes=6)
    first = run_of(tmp_path / "runs" / "first", vicc, "rgb")
    first.export(tmp_path / "runs" / "copy")
    plain = make_experiment(seed=5).model_copy(update={"method": vicc})
    begun, copied = (
        plain.model_copy(update={"init": init}).build(Workspace(tmp_path))
        for init in ("first", "copy")
    )
    ended = first.method()
    for part in (lambda m: m.encoder.state_dict(), lambda m: {"": m.prototypes},
                 lambda m: m.head.state_dict()):  # fmt: skip
        assert all(torch.equal(v, part(ended)[k]) for k, v in part(begun).items())
    assert not torch.equal(copied.prototypes, ended.prototypes)
    assert all(
        torch.equal(v, ended.encoder.state_dict()[k])
        for k, v in copied.encoder.state_dict().items()
    )


def test_a_run_may_end_before_its_schedule_does(source, tmp_path):
    experiment = make_experiment(steps=8, evaluations=0)
    whole, part = (
        [r for r in train(experiment.model_copy(update={
            "train": experiment.train.model_copy(update={"until": until})
        }), tmp_path / "runs" / str(until), source)]
        for until in (1.0, 0.6)
    )  # fmt: skip
    assert len(part) == 5 and len(whole) == 8
    assert [r.logs["lr"] for r in part] == [r.logs["lr"] for r in whole[:5]]
    assert Run(tmp_path / "runs" / "0.6").status().state == "finished"
