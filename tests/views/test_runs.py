import pytest

from tests.training.boxes import make_experiment
from tests.views.box_workspace import box_workspace
from workbench.training.jobs import Progress
from workbench.training.train import train
from workbench.views.runs import RunsPage
from workbench.workspace import Workspace


@pytest.fixture
def workspace(tmp_path):
    workspace = box_workspace(tmp_path)
    for name, seed in [("first", 0), ("second", 1)]:
        for _ in train(make_experiment(steps=4, seed=seed), workspace.runs / name):
            pass
    return workspace


@pytest.fixture
def page(workspace):
    return RunsPage(workspace)


def cell(page, run, column):
    table = page.table.value
    return table[column][table["run"] == run].item()


def test_every_run_has_a_row(page):
    assert list(page.table.value["run"]) == ["second", "first"]
    assert cell(page, "first", "state") == "finished"
    assert cell(page, "first", "sampler") == "same-video"
    assert cell(page, "first", "data") == "boxes"
    assert cell(page, "first", "steps") == "4"
    for column in ("kNN", "best", "random", "loss"):
        assert float(cell(page, "first", column)) >= 0


def test_a_row_changes_in_place(page, workspace):
    page.selected = ["first"]
    before = page.table.value
    Progress(workspace.runs / "first").failed("ValueError: no")
    page.tick()
    assert cell(page, "first", "state") == "failed"
    assert page.table.value is before or list(page.table.selection) == [1]
    assert page.selected == ["first"]


def test_new_runs_keep_the_selection(page, workspace):
    page.table.selection = [1]
    assert page.selected == ["first"]
    for _ in train(make_experiment(steps=1), workspace.runs / "third"):
        pass
    page.tick()
    assert page.table.value["run"].iloc[0] == "third"
    assert page.selected == ["first"]
    assert page.table.selection == [2]


def test_curves_are_overlaid(page):
    page.selected = ["first", "second"]
    loss = page.compare.plots["loss"]
    assert set(loss.series) == {"first", "second"}
    assert len(loss.sources["second"].data["y"]) == 4
    page.selected = []
    assert not page.compare._view.visible


def test_a_run_is_chosen_and_opened(page):
    page.selected = ["second"]
    page.use_button.param.trigger("clicks")
    assert page.chosen == "second"
    page.tick()
    assert "in use" in cell(page, "second", "state")
    page.watch_button.param.trigger("clicks")
    assert page.opened == "second"


def test_delete_asks_and_can_be_undone(page, workspace):
    page.selected = ["first"]
    page.delete_button.param.trigger("clicks")
    assert page._question.visible
    assert (workspace.runs / "first").is_dir()
    page.delete()
    assert not (workspace.runs / "first").exists()
    assert list(page.table.value["run"]) == ["second"]
    page.undo()
    assert sorted(page.table.value["run"]) == ["first", "second"]
    assert (workspace.runs / "first" / "checkpoints" / "model.safetensors").is_file()


def test_a_run_that_trains_is_not_deleted(page, workspace):
    Progress(workspace.runs / "first").update(1, 9)  # this very process is at work on it
    page.tick()
    page.selected = ["first"]
    assert page.delete_button.disabled
    page.delete()
    assert (workspace.runs / "first").is_dir()
    assert "Stop it first" in page._trouble.object


def test_damaged_runs_do_not_break_the_page(page, workspace):
    (workspace.runs / "odd").mkdir()
    (workspace.runs / "odd" / "config.yaml").write_text(": not yaml [")
    (workspace.runs / "odd" / "metrics.jsonl").write_text("{half")
    page.tick()
    assert cell(page, "odd", "state") == "not started"


def test_no_runs(tmp_path):
    page = RunsPage(Workspace(tmp_path))
    assert page._empty.visible
    assert not page.table.visible
