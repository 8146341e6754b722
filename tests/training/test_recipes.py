import pytest
import torch
from torch import nn

from workbench.config import ConfigError
from workbench.methods import METHODS
from workbench.sampling import SAMPLERS
from workbench.training.experiment import Experiment
from workbench.training.recipes import RECIPES


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
