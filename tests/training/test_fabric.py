import sys
from importlib import import_module, metadata

from lightning_fabric.utilities import imports
from lightning_utilities.core.imports import RequirementCache

from workbench.training.fabric import version_alone


def test_a_package_tells_its_version_and_is_loaded_later(monkeypatch):
    monkeypatch.delitem(sys.modules, "tqdm", raising=False)
    with version_alone("tqdm"):
        stand_in = import_module("tqdm")
        assert stand_in.__version__ == metadata.version("tqdm")
    assert "tqdm" not in sys.modules and not hasattr(stand_in, "tqdm")


def test_what_is_loaded_or_not_there_stays_as_it_is():
    loaded = import_module("yaml")
    for package in ("yaml", "pyyaml", "no-such-package"):
        before = set(sys.modules)
        with version_alone(package):
            assert sys.modules["yaml"] is loaded
        assert set(sys.modules) == before


def test_fabric_knows_which_torchmetrics_is_there():
    there = bool(RequirementCache("torchmetrics>=1.0.0"))
    assert there == imports._TORCHMETRICS_GREATER_EQUAL_1_0_0
