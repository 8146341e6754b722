import shutil

import pytest

from tests.views.swing_workspace import swing_workspace
from workbench.workspace import Workspace


@pytest.fixture(scope="session")
def made_swings(tmp_path_factory):
    """The workspace of `swings`, made once for all tests; do not write into it."""
    return swing_workspace(tmp_path_factory.mktemp("swings"))


@pytest.fixture
def swings(made_swings, tmp_path):
    """A workspace with the data set `swings` and the run `steady`, embedded."""
    shutil.copytree(made_swings.root, tmp_path, dirs_exist_ok=True)
    return Workspace(tmp_path)


@pytest.fixture
def store(swings):
    from workbench.views.store import Store

    return Store(swings)
