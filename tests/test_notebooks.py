"""Every notebook runs from top to bottom, offline, and is committed without outputs."""

from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from nbclient import NotebookClient

from workbench.workspace import Workspace

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebook_runs(path, judo_workspace, monkeypatch):
    monkeypatch.setenv("WORKBENCH_WORKSPACE", str(judo_workspace.root))
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=240, kernel_name="python3").execute()
    cells = [c for c in notebook.cells if c.cell_type == "code"]
    errors = [o for c in cells for o in c.outputs if o.output_type == "error"]
    assert not errors
    shown = [o for c in cells for o in c.outputs if "text/html" in o.get("data", {})]
    assert len(shown) >= 6  # the views rendered, not only the printed lines
    html = "".join(o["data"]["text/html"] for o in shown)
    assert "https://cdn" not in html


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebook_is_committed_without_outputs(path):
    notebook = nbformat.read(path, as_version=4)
    assert not any(c.get("outputs") for c in notebook.cells)


def test_a_cell_that_trains_can_be_run_again(tmp_path):
    """Each time it is another run: one of other settings cannot be gone on with."""
    (path,) = [p for p in NOTEBOOKS if p.stem == "01_quickstart"]
    cells = [c.source for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
    (cell,) = [c for c in cells if "workbench.train(" in c]
    folders = []

    def train(experiment, folder):
        folder.mkdir(parents=True)
        folders.append(folder.name)
        return iter(())

    names = {"workspace": Workspace(tmp_path), "data": SimpleNamespace(name="judo")}
    for _ in range(2):
        exec(cell, names | {"workbench": SimpleNamespace(train=train)})
    assert folders == ["from-a-notebook", "from-a-notebook-2"]
