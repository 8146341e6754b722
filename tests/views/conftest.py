import pytest

from tests.views.swing_workspace import swing_workspace


@pytest.fixture
def swings(tmp_path):
    """A workspace with the data set `swings` and the run `steady`, embedded."""
    return swing_workspace(tmp_path)


@pytest.fixture
def store(swings):
    from workbench.views.store import Store

    return Store(swings)
