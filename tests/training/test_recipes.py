import pytest
import torch
from torch import nn

from workbench.config import ConfigError
from workbench.methods import METHODS
from workbench.sampling import SAMPLERS
from workbench.training.experiment import Experiment
from workbench.training.recipes import RECIPES, SIZED, STAGES
from workbench.training.stages import TAUGHT, named


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_survive_the_file(name, tmp_path):
    experiment = RECIPES[name]("judo")
    path = tmp_path / "config.yaml"
    path.write_text(experiment.to_yaml())
    assert Experiment.load(path) == experiment
    assert experiment.data.name == "judo"


def test_an_unknown_key_names_the_closest():
    with pytest.raises(ConfigError, match="Did you mean 'batch'"):
        Experiment.parse({"data": {"name": "x"}, "train": {"bach": 3}})


@pytest.mark.parametrize("n", [1, 3])
def test_views_that_the_method_cannot_take_are_refused_by_name(n):
    with pytest.raises(ConfigError, match=rf"same-video gives {n} views.*moco takes 2.*sampler\.n"):
        Experiment.parse({"data": {"name": "x"}, "sampler": {"name": "same-video", "n": n}})


def test_the_method_config_and_sampler_say_how_many_views():
    assert (METHODS["moco"]().views, METHODS["classify"]().views) == (2, 1)
    assert [SAMPLERS[name]().views for name in ("same-video", "other-camera")] == [2, 2]
    assert SAMPLERS["same-video"](n=5).views == 5


def test_both_views_of_byol_and_cvrl_look_as_in_the_papers():
    for name in ("byol", "cvrl"):
        first, second = RECIPES[name]("x").augment, RECIPES[name]("x").augment_second
        assert (first.blur, second.blur) == (1.0, 0.1)
        assert (first.solarise, second.solarise) == (0.0, 0.2)
        assert second.model_copy(update={"blur": 1.0, "solarise": 0.0}) == first


def test_learning_rates_of_large_batches():
    rates = {name: RECIPES[name]("x").train.lr for name in ("simclr", "byol", "simsiam")}
    assert rates == pytest.approx({"simclr": 4.8, "byol": 3.2, "simsiam": 0.1})


def test_a_recipe_of_cvrl_takes_the_steps_of_its_code():
    """Half the loss with twice the rate and half the decay moves weights alike."""
    train, w = RECIPES["cvrl"]("x").train, {}
    for name, factor, lr, decay in (("code", 2, 0.32, 1e-6), ("here", 1, train.lr, None)):
        weight = w[name] = nn.Parameter(torch.ones(3, dtype=torch.double))
        decay = train.weight_decay if decay is None else decay
        optimizer = torch.optim.SGD([weight], lr, momentum=0.9, weight_decay=decay)
        for step in range(3):
            optimizer.zero_grad()
            (factor * (weight - step).square().sum()).backward()
            optimizer.step()
    torch.testing.assert_close(w["code"], w["here"], rtol=1e-12, atol=0)


@pytest.mark.parametrize("paper", [False, True])
@pytest.mark.parametrize("name", STAGES)
def test_every_stage_comes_from_runs_that_were_trained_before(name, paper):
    stages = STAGES[name]("x", paper)
    trained = {}
    for run, experiment in stages:
        parents = [trained[p] for p in (experiment.init, experiment.teacher) if p]
        assert len(parents) in (0, 2)
        if parents:
            own, other = (p.data.clip.stream for p in parents)
            assert own == experiment.data.clip.stream
            assert other == experiment.sampler.streams(own)[1]
            assert {p.method.dim for p in parents} == {experiment.method.dim}
        trained[run] = Experiment.parse(experiment.model_dump())
    assert len(trained) == (6 if paper else 4)
    other = dict(named(stages, "a"))
    assert list(other) == [f"a-{run}" for run in trained]
    assert other[f"a-{stages[2][0]}"].init == f"a-{stages[0][0]}"


@pytest.mark.parametrize("name", TAUGHT)
def test_the_papers_numbers_are_another_size_of_the_same(name):
    short, paper = SIZED[name]("x", False), SIZED[name]("x", True)
    assert short == RECIPES[name]("x")
    assert (short.method.name, short.sampler) == (paper.method.name, paper.sampler)
    clip = paper.data.clip
    shape = ("s3d", 32, 128) if name in TAUGHT else PAPERS[name]
    assert (paper.encoder.name, clip.length, clip.size) == shape


PAPERS = {"slic": ("r3d_18", 16, 128), "iic": ("r3d_10", 16, 112), "iic-cpr": ("r3d_10", 16, 112)}


def test_vicc_takes_the_supplements_numbers():
    first, second = SIZED["vicc-flow-1"]("x", True), SIZED["vicc-flow-2"]("x", True)
    assert (first.train.epochs, first.train.until, first.train.batch) == (500, 0.6, 192)
    assert first.train.epochs * first.method.frozen == 100
    assert first.train.epochs * first.method.queue_from == 200
    assert (second.train.epochs, second.train.batch, second.method.frozen) == (100, 96, 0)
    assert second.train.epochs * second.method.queue_from == 25
    assert {e.method.prototypes for e in (first, second)} == {300}
    assert {e.train.lr_end / e.train.lr for e in (first, second)} == {0.001}
