import pytest

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
