import pytest

from workbench.config import ConfigError
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
