"""The explorer without a browser: what is built when, and what it says is missing."""

import runpy
import sys
from dataclasses import replace
from inspect import signature
from pathlib import Path

import panel as pn
import panel_material_ui as pmui
import pytest

from tests.views.swing_workspace import write_run
from workbench.data.offsets import save_offsets
from workbench.training.demo import make_judo
from workbench.training.jobs import Job, Progress, Status, python
from workbench.training.run import Run
from workbench.views.gate import EmbedNow, with_dataset, with_embeddings
from workbench.views.inspector import Inspector
from workbench.views.pickers import Pickers
from workbench.views.store import DEMO, RunMaps, Store
from workbench.views.work import JobView
from workbench.workspace import Workspace, name_problem

APP = Path(__file__).parents[2] / "apps" / "explorer.py"


@pytest.fixture
def explorer():
    return runpy.run_path(str(APP))["app"]


def texts(viewable):
    """All that is written on a page."""
    found = viewable.select() if hasattr(viewable, "select") else []
    return " ".join(str(getattr(v, "object", "")) for v in found)


def test_the_store_finds_the_run_and_its_features(store):
    assert (store.data, store.run) == ("swings", "steady")
    assert len(store.embeddings) == 312 and store.cursor.recording == "take00"
    assert store.embeddings is store.embeddings and store.dataset is store.dataset  # opened once
    maps = RunMaps(store.folder)
    assert maps.get("pca").shape == (312, 2) and maps.get("umap") is None


def test_features_of_older_weights_or_other_videos_are_not_shown(store, swings):
    (swings.runs / "steady" / "checkpoints" / "model.safetensors").write_bytes(b"trained on")
    assert store.embeddings is None


def test_another_data_set_clears_selection_and_filter(store):
    store.selection.choose((1, 2), "map")
    store.filter.expr = "label == 'spin'"
    version = store.version
    store.open("swings")
    assert store.selection.ids == () and store.filter.expr == "" and store.version == version + 1


def test_pages_are_built_when_they_are_looked_at(explorer, swings):
    shell = explorer(swings.root)
    assert list(shell.pages) == [
        "Clips",
        "Map",
        "Similarity",
        "Phase",
        "Prototypes",
        "Retrieval",
        "Anomalies",
        "Detection",
        "Health",
        "Train",
        "Mining",
        "Runs",
    ]
    assert set(shell._built) == {"Clips"}
    shell.tabs.active = 2
    assert set(shell._built) == {"Clips", "Similarity"} and shell.page == "Similarity"
    shell.view.get_root()


def test_a_page_that_fails_says_so_and_leaves_the_others(explorer, swings):
    shell = explorer(swings.root)

    def broken():
        raise ValueError("the map is torn")

    object.__setattr__(shell.pages["Map"], "build", broken)
    shell.page = "Map"
    assert "the map is torn" in texts(shell.slot)
    shell.page = "Similarity"
    assert "torn" not in texts(shell.slot)


def test_without_data_the_demo_is_made_once_however_many_pages_wait(
    explorer, tmp_path, monkeypatch
):
    started = []
    busy = {"state": "none"}

    def start(job, argv):
        started.append((job.folder.name, argv))
        busy["state"] = "running"

    status = Job.status
    monkeypatch.setattr(Job, "start", start)
    monkeypatch.setattr(
        Job,
        "status",
        lambda job: type(status(job))(busy["state"], message="filming", done=3, total=9),
    )
    pages = [explorer(tmp_path / "new") for _ in range(3)]
    assert [name for name, _ in started] == ["demo"]
    assert "filming" in texts(pages[2].slot)


@pytest.mark.parametrize("state", ["failed", "stopped", "interrupted", "running"])
def test_a_demo_that_ended_half_way_goes_on_and_can_be_passed_by(
    explorer, swings, monkeypatch, state
):
    (swings.data / "swings").rename(swings.data / DEMO)
    status, started, views = Status(state), [], []
    monkeypatch.setattr(Job, "start", lambda job, argv: started.append(job.folder.name))
    monkeypatch.setattr(Job, "status", lambda job: status)
    init = JobView.__init__
    monkeypatch.setattr(JobView, "__init__", lambda v, *a: views.append(v) or init(v, *a))
    shell = explorer(swings.root)
    assert not shell.tabs.visible and not shell._built and views[0].state == state
    assert started == ([] if state == "running" else ["demo"])
    past = next(b for b in shell.slot.select(pmui.Button) if "wait" in b.label)
    past.clicks += 1
    assert shell.tabs.visible and set(shell._built) == {"Clips"}
    shell.page = "Similarity"
    status = replace(status, state="finished")
    views[0].tick()
    assert shell.page == "Similarity"  # what is looked at stays


@pytest.mark.parametrize("state", ["none", "finished"])
def test_a_demo_that_is_there_is_not_waited_for(explorer, swings, monkeypatch, state):
    (swings.data / "swings").rename(swings.data / DEMO)
    monkeypatch.setattr(Job, "status", lambda job: Status(state))
    assert explorer(swings.root).tabs.visible


@pytest.mark.parametrize("state", ["failed", "running"])
def test_other_data_does_not_wait_for_the_demo(explorer, swings, monkeypatch, state):
    monkeypatch.setattr(Job, "status", lambda job: Status(state))
    assert explorer(swings.root).tabs.visible
    assert signature(make_judo).parameters["name"].default == DEMO


def test_jobs_of_other_names_have_other_folders(store):
    folders = set()
    for run, data in [("a-b", "c"), ("a", "b-c")]:
        store.data, store.run = data, run
        folders.add(store.embed_job("pca")[0].folder)
    assert len(folders) == 2
    assert all(name_problem(f.name) for f in folders)  # so that no name can hold what joins them


@pytest.mark.timeout(60)
def test_a_failed_job_says_what_to_do_and_can_be_tried_again(tmp_path):
    job, ended = Job(tmp_path / "job"), []
    view = JobView(
        job, [sys.executable, "-c", "print('no disk'); raise SystemExit(1)"], "Work", "", list
    )
    wait(view, "interrupted")
    assert view.retry.visible and view.trouble.visible and "no disk" in view.log.object
    script = (
        "import sys; from pathlib import Path; from workbench.training.jobs import progress;"
        "progress(Path(sys.argv[1])).finished()"
    )
    view.argv = [sys.executable, "-c", script, str(job.folder)]
    view._done = lambda: ended.append(True)
    view.retry.clicks += 1
    wait(view, "finished")
    assert ended == [True] and not view.retry.visible


def wait(view, state):
    import time

    for _ in range(300):
        view.tick()
        if view.state == state:
            return
        time.sleep(0.1)
    raise AssertionError(f"the job is {view.state}, not {state}")


def test_what_is_missing_is_said_with_what_to_do(swings, tmp_path):
    empty = Store(Workspace(tmp_path / "none"))
    assert "workbench index" in texts(with_dataset(empty, lambda: None))
    assert "workbench index" in texts(with_embeddings(empty, lambda: None))
    (swings.runs / "steady" / "checkpoints" / "model.safetensors").unlink()
    assert "Train one" in texts(with_embeddings(Store(swings), lambda: None))


def test_embed_now_starts_the_worker(store, swings, monkeypatch):
    (swings.runs / "steady" / "checkpoints" / "model.safetensors").write_bytes(b"new weights")
    page = with_embeddings(store, lambda: None)
    assert isinstance(page, EmbedNow)
    started = []
    monkeypatch.setattr(Job, "start", lambda job, argv: started.append(argv))
    page.button.clicks += 1
    command = python("workbench.training.worker", "embed")
    assert started[0][: len(command)] == command and started[0][-1] == "pca"


def test_the_inspector_shows_the_moment_of_the_cursor(store):
    inspector = Inspector(store)
    store.cursor.move(20, "", "take01")
    assert "take01" in inspector.facts.object and "2 cameras" in inspector.facts.object
    assert inspector.player.sync.frame == 20
    store.cursor.move(0, "", "nobody")
    assert "Choose a recording" in inspector.facts.object


def test_saved_offsets_are_seen_by_all_views(store):
    inspector, pickers = Inspector(store), Pickers(store)
    before, filters = store.dataset, pickers._filters[0:]
    store.selection.choose((3,), "map")
    store.filter.expr = "label == 'swing'"
    version, video = store.version, store.dataset.cameras("take00")[1]
    player = inspector.player
    player.dataset = save_offsets(player.dataset, {video: 4})
    assert store.version == version + 1  # once: what the store answers is not taken for news
    assert store.dataset is player.dataset is not before
    assert store.dataset.videos[video].offset == 4
    assert store.selection.ids == ()  # the rows of features for the old offsets
    assert store.embeddings is None and inspector.neighbours is None
    assert store.filter.expr and pickers._filters[0:] == filters
    player.dataset = save_offsets(player.dataset, {video: 0})
    assert store.embeddings is not None and inspector.neighbours.dataset is store.dataset


def test_runs_that_come_and_go_are_offered(swings):
    app = runpy.run_path(str(APP))
    store = Store(swings)
    pickers, version = Pickers(store), store.version
    page, runs = app["train"](store), app["runs"](store)
    assert pickers.run.options == ["steady"]
    write_run(swings, store.dataset, "second")
    page.started = "second"
    assert pickers.run.options == ["second", "steady"] and pickers.run.value == "steady"
    run = Run(swings.runs / "third")
    run.folder.mkdir()
    (run.folder / "config.yaml").write_text("{}")
    Progress(run.folder).update(1, 9)
    page.run = "third"
    page.tick()
    assert page.watch.state == "running" and "third" not in pickers.run.options
    run.model_path.parent.mkdir()
    run.model_path.write_bytes(b"weights")
    Progress(run.folder).finished()
    page.tick()
    assert "third" in pickers.run.options and store.version == version  # no page is built anew
    runs.tick()
    runs.selected = ["steady"]
    runs.delete()
    assert sorted(pickers.run.options) == ["second", "third"]
    assert store.run == pickers.run.value == "second" and store.version == version + 1
    runs.undo()
    assert "steady" in pickers.run.options and store.run == "second"


def test_the_views_stand_alone(store):
    """As in a notebook cell: built without a server, rendered, no picture missing."""
    from workbench.views.clips import ClipGallery
    from workbench.views.tsm import SimilarityView

    gallery = ClipGallery(store.dataset, store.cursor)
    assert pn.panel(gallery).get_root() is not None
    view = SimilarityView(store.embeddings, store.dataset, store.cursor)
    assert pn.panel(view).get_root() is not None
