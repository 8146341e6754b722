"""What a plan says is what training then does."""

from dataclasses import replace

import pytest

from tests.training.boxes import make_experiment
from workbench.methods.vicc import ViCCConfig
from workbench.sampling.two_streams import TwoStreams
from workbench.training.plan import Plan, plan, told
from workbench.training.trainer import Trainer


def test_counts_are_those_of_the_trainer(source):
    experiment = make_experiment(steps=None, epochs=3)
    found = plan(experiment, source)
    sampler, train = experiment.sampler, experiment.train
    trainer = Trainer(experiment.build(), sampler, source, experiment.augment, train)
    assert found.steps == trainer.steps and found.videos == len(source)
    assert found.per_epoch == len(trainer.loader) * train.batch
    assert found.clips == found.steps * train.batch * 2
    assert found.weights == sum(p.numel() for p in trainer.weights)
    assert found.measured == (train.batch,) and found.refresh == 0
    assert 0 < found.seconds_per_step < 30
    assert found.seconds == found.steps * found.seconds_per_step


def test_memory_holds_what_can_be_counted_and_grows_with_the_batch(source):
    small, large = (plan(make_experiment(batch=b), source) for b in (4, 8))
    weights, pictures = 4 * small.weights, 4 * 3 * 4 * 16 * 16 * 2
    assert small.memory > 3 * weights + 4 * pictures  # weights, gradients, momentum
    assert large.memory - small.memory > 4 * pictures


def test_large_batches_are_reckoned_from_a_few_examples(source, monkeypatch):
    exact = plan(make_experiment(batch=8), source)
    monkeypatch.setattr("workbench.training.plan.PATIENCE", 0.0)
    found = plan(make_experiment(batch=8), source)
    assert found.measured == (2, 4)
    assert found.memory == exact.memory


def test_a_teacher_that_is_yet_to_be_trained_is_stood_in_for(source):
    method = ViCCConfig(prototypes=8, hidden=8, dim=8, queue=0)
    first = make_experiment().model_copy(update={"method": method})
    second = first.model_copy(
        update={"sampler": TwoStreams(other="diff"), "teacher": "diff-1", "init": "rgb-1"}
    )
    found = plan(second, source, before={"diff-1": first, "rgb-1": first})
    assert found.views == 4 and found.seconds_per_step > 0


def test_what_training_would_refuse_is_told(source):
    with pytest.raises(ValueError, match="recording"):
        plan(make_experiment(), source.select(lambda v: v.recording == "r0"))


def test_what_it_takes_in_words():
    stage = Plan(10, 8, 4, 2, 3000, 2_000_000, 3 * 2**30, 2.0, 90.0, (2, 4))
    first = make_experiment()
    second = first.model_copy(update={"init": "one"})
    words = told({"one": stage, "two": stage}, {"one": first, "two": second})
    rows = [line.split(" | ") for line in words.splitlines()]
    assert rows[2][1] == "random" and rows[3][1] == "one"
    assert rows[2][-4:] == ["24,000", "3.00 GiB", "2", "100.0 min |"]
    assert "2 runs, 6,000 steps: 3.3 h" in words and "Nothing was started" in words
    assert words.count("Steps of 2 and 4 examples") == 1 and "90 s" in words
    assert "does not fit" in told({"a": replace(stage, memory=2**50)}, {"a": first})
