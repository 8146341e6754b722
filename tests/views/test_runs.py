import shutil
from datetime import datetime

import pytest

from tests.training.boxes import make_experiment
from tests.views.box_workspace import box_workspace
from workbench.training.jobs import Progress
from workbench.training.train import train
from workbench.views.runs import RunsPage, _date
from workbench.views.watch import RunWatch
from workbench.workspace import Workspace


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Two runs, trained once for all tests; do not write into them."""
    workspace = box_workspace(tmp_path_factory.mktemp("boxes"))
    for name, seed in [("first", 0), ("second", 1)]:
        for _ in train(make_experiment(steps=4, seed=seed), workspace.runs / name):
            pass
    return workspace


@pytest.fixture
def workspace(trained, tmp_path):
    shutil.copytree(trained.root, tmp_path, dirs_exist_ok=True)
    return Workspace(tmp_path)


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


def test_a_run_that_comes_from_others_says_so(workspace):
    folder = workspace.runs / "third"
    experiment = make_experiment().model_copy(update={"init": "first", "teacher": "second"})
    folder.mkdir()
    (folder / "config.yaml").write_text(experiment.to_yaml())
    page = RunsPage(workspace)
    assert cell(page, "third", "origin") == "from first, taught by second"
    assert cell(page, "first", "origin") == ""
    watch = RunWatch(workspace, "third", ticking=False)
    assert "taught by second" in watch._origin.object and watch._origin.visible
    watch.run = "first"
    assert not watch._origin.visible


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
    assert set(loss.lines.data["name"]) == {"first", "second"}
    assert [len(ys) for ys in loss.lines.data["ys"]] == [4, 4]
    page.selected = []
    assert not page.compare._view.visible


def test_a_click_on_a_row_ticks_it_and_another_one_no_longer(page):
    rows = list(page.table.value["run"])
    page._mark(rows.index("second"))
    page._mark(rows.index("first"))
    assert page.selected == ["second", "first"] == page.compare.names
    page._mark(rows.index("second"))
    assert page.selected == ["first"] and page.table.selection == [rows.index("first")]


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


def type_name(page, name):
    page.selected = ["first"]
    page.rename_button.param.trigger("clicks")
    assert page._naming.visible and page.new_name.value == "first"
    page.new_name.value_input = name


def test_rename_keeps_the_run_in_use(page, workspace):
    page.chosen = "first"
    type_name(page, "better")
    page.rename_yes.param.trigger("clicks")
    assert sorted(page.table.value["run"]) == ["better", "second"]
    assert page.chosen == "better" and page.selected == ["better"]
    assert not page._naming.visible
    assert (workspace.runs / "better" / "checkpoints" / "model.safetensors").is_file()


@pytest.mark.parametrize(
    ("name", "why"), [("", "is needed"), ("a/b", "letters"), ("Second", "there is a run")]
)
def test_a_name_that_cannot_be_is_refused_while_it_is_typed(page, workspace, name, why):
    type_name(page, name)
    assert why in page.new_name.helper_text and page.rename_yes.disabled
    page.rename()
    assert why in page._trouble.object and (workspace.runs / "first").is_dir()


@pytest.mark.parametrize("act", ["rename", "delete"])
def test_a_run_that_another_one_goes_on_from_stays(page, workspace, act):
    path = workspace.runs / "second" / "config.yaml"
    path.write_text(path.read_text().replace("init: null", "init: first"))
    Progress(workspace.runs / "second").stopped()
    type_name(page, "better")
    getattr(page, act)()
    assert "second began from first" in page._trouble.object
    assert (workspace.runs / "first").is_dir()


def test_all_stretches_count(page, workspace):
    status = workspace.runs / "first" / "status.json"
    status.write_text(status.read_text().replace('"updated": ', '"updated": 1'))
    with (workspace.runs / "first" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 5, "epoch": 1, "loss": 1.0, "seconds": 75.2}\n')
    page.tick()
    assert cell(page, "first", "took") == "1:15"


def test_dates_are_short():
    now = datetime(2026, 3, 9, 20, 0)
    assert _date(datetime(2026, 3, 9, 7, 5), now) == "07:05"
    assert _date(datetime(2026, 3, 8, 23, 0), now) == "08 Mar"
    assert _date(datetime(2025, 3, 9, 7, 5), now) == "2025-03-09"


def test_a_run_that_trains_is_not_deleted(page, workspace):
    Progress(workspace.runs / "first").update(1, 9)  # this very process is at work on it
    page.tick()
    page.selected = ["first"]
    assert page.delete_button.disabled and page.rename_button.disabled
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
