"""CycleCL from settings to phases: what is mined is part of a checkpoint, and it learns."""

import numpy as np
import pytest
import torch

from tests.training.boxes import curve, weights
from tests.training.turning import phase_error, turning
from workbench.clock import Clock
from workbench.data.video import ClipShape
from workbench.sampling import SamePhase
from workbench.sampling.mining import POSITIVE
from workbench.training.embed import embed
from workbench.training.evaluate import FRAMES, Examination
from workbench.training.recipes import RECIPES
from workbench.training.run import Run
from workbench.training.train import train
from workbench.training.trainer import Trainer

SHAPE = ClipShape(length=16, stride=2, size=24)


@pytest.fixture(scope="module")
def turns():
    """Two videos of 7 s, a turn takes a second."""
    return turning(2, frames=220, period=30, shape=SHAPE, size=28, light=0.1)


def small(name="cyclecl", sampler=None, **settings):
    """The recipe in a second: pictures of 24 pixels, few of them."""
    recipe = RECIPES[name]("turning")
    data = recipe.data.model_copy(update={"clip": SHAPE})
    settings = {
        "steps": 6, "batch": 2, "clips_per_video": 4, "evaluations": 0, "device": "cpu",
        "precision": "fp32", "lr": 3e-3,
    } | settings  # fmt: skip
    return recipe.model_copy(
        update={
            "data": data,
            "encoder": recipe.encoder.model_copy(update={"dim": 16}),
            "sampler": sampler or recipe.sampler,
            "train": recipe.train.model_copy(update=settings),
        }
    )


def trainer_of(experiment, source):
    return Trainer(
        experiment.build(), experiment.sampler, source, experiment.augment, experiment.train
    )


def test_positives_mined_in_a_random_network_show_the_same_phase(turns):
    source, truth = turns
    trainer = trainer_of(small(), source)
    sampler = trainer.sampler.refresh(source, Clock(), trainer.embed)
    for video, mined in sampler._mined.items():
        anchor, place = np.nonzero(mined.table == POSITIVE)
        phase = truth[video][:: SHAPE.stride]
        off = phase[anchor] - phase[anchor + place - mined.reach]
        assert (np.abs((off + 0.5) % 1 - 0.5) < 0.1).mean() > 0.85
    assert sampler.logs()["period"] == pytest.approx(30, rel=0.15)
    assert sampler.logs()["share_anchors"] > 0.9


def test_a_run_stopped_within_an_epoch_goes_on_with_what_was_mined(turns, tmp_path):
    """Four batches make an epoch: nothing is mined again between the third and the fourth."""
    source, _ = turns
    experiment = small(sampler=SamePhase(every=1, triplets=16), steps=6)
    whole, parts = Run(tmp_path / "runs" / "whole"), Run(tmp_path / "runs" / "parts")
    list(train(experiment, whole.folder, source))
    for stop in (3, 5):
        reports = train(experiment, parts.folder, source)
        for report in reports:
            if report.clock.step == stop:
                reports.close()
        torch.manual_seed(99)
    list(train(experiment, parts.folder, source))
    assert curve(parts) == curve(whole)
    assert [line["mining_rounds"] for line in curve(whole)[1:]] == [1] * 4 + [2] * 2
    left, right = weights(parts), weights(whole)
    assert left.keys() == right.keys()
    assert {"rest.sampler.0.table", "rest.sampler.1.table", "rest.sampler.progress"} < left.keys()
    assert [k for k in left if not torch.equal(left[k], right[k])] == []


def test_it_learns_the_phase_and_not_the_light(turns):
    source, truth = turns
    trainer = trainer_of(small(steps=40, batch=4), source)

    def error():
        with trainer.judging() as represent:
            return phase_error(embed(represent, source, time_stride=1), truth, apart=15)

    before = error()
    reports = list(trainer)
    assert np.mean([r.loss for r in reports[-5:]]) < 0.5 * reports[0].loss
    assert error() < 0.6 * before
    assert reports[-1].logs["positive_distance"] < reports[-1].logs["negative_distance"] - 0.3


def test_tcn_learns_on_one_camera(turns):
    source, _ = turns
    reports = list(trainer_of(small("tcn", steps=25), source))
    assert np.mean([r.loss for r in reports[-5:]]) < 0.8 * reports[0].loss
    assert reports[-1].logs["accuracy"] > 0.8


def test_where_nothing_repeats_the_run_says_so(tmp_path):
    source, _ = turning(1, frames=60, period=400, shape=SHAPE, size=28)
    run = Run(tmp_path / "runs" / "a")
    with pytest.raises(ValueError, match=r"no video holds two repetitions.*turn0 0, has 60 frames"):
        list(train(small(), run.folder, source))
    assert "no video holds two repetitions" in run.status().error
    assert len(run.metric_lines()) == 1  # no step was taken


def test_single_frames_are_judged_where_an_encoder_embeds_those(turns):
    source, _ = turns
    seen = []

    def encoder(clips):
        seen.append(clips.shape[2])
        return clips.mean(dim=(1, 3, 4)).unsqueeze(-1) * torch.ones(4)

    exam = Examination(source, per_frame=True)
    assert np.isfinite(exam.judge(encoder)["feature_rank"])
    assert set(seen) == {FRAMES}
    rows = embed(encoder, source, time_stride=1)
    judged = exam._embed(exam.others, encoder, "cpu")
    place = {(r.video, r.frame): k for k, r in enumerate(rows.index.itertuples())}
    for z, row in zip(judged.z, judged.index.itertuples(), strict=True):
        if row.frame % 2 == 0:  # the one of the middle, not the mean of the five
            expected = rows.z[place[row.video, row.frame]]
            np.testing.assert_allclose(z, expected, rtol=1e-5, atol=1e-6)
