"""What tests of several floors share."""

import functools
import os
import shutil
from importlib import metadata

import pytest

# Two threads of a pool that is asked for at once by several processes only wait for each other.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
if "PYTEST_XDIST_WORKER" in os.environ:  # `-n`: the cores are shared by tests, not by threads
    os.environ.setdefault("OMP_NUM_THREADS", "1")

from workbench.workspace import Workspace  # below: what it loads reads these

# Each trainer asks what is installed: reading that takes as long as a step of training.
metadata.entry_points = functools.cache(metadata.entry_points)


@pytest.fixture(scope="session")
def made_judo(tmp_path_factory):
    """The judo demo, made once for all tests; do not write into it."""
    from workbench.training.demo import make_judo

    workspace = Workspace(tmp_path_factory.mktemp("judo"))
    for _ in make_judo(workspace):
        pass
    return workspace


@pytest.fixture
def judo_workspace(made_judo, tmp_path):
    """A copy of the judo demo's workspace that a test may write into."""
    root = tmp_path / "workspace"
    for part in ("data", "runs"):
        shutil.copytree(made_judo.root / part, root / part)
    return Workspace(root)
