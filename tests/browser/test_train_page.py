"""A run's life in a real browser: started, watched from two tabs, stopped, resumed."""

import pytest

from tests.views.box_workspace import box_workspace
from workbench.training.jobs import Job

APP = """
from pathlib import Path

import panel as pn
import panel_material_ui as pmui

from workbench.views import monitor
from workbench.views.runs import RunsPage
from workbench.workspace import Workspace

pn.extension("tabulator")


def settings():
    from tests.training.boxes import make_experiment
    from workbench.training.experiment import Experiment

    def boxes(data):
        "Boxes that move left or right, for as long as one likes."
        return make_experiment(steps=200_000, evaluations=1000, checkpoint_every=1.0)

    return {"boxes": boxes}, Experiment


monitor._training_code = settings
workspace = Workspace(Path(WORKSPACE))
view = RunsPage(workspace) if "runs" in pn.state.session_args else monitor.TrainPage(workspace)
pmui.Page(title="workbench", main=[view]).servable()
"""


@pytest.fixture(scope="module")
def url(served, tmp_path_factory):
    root = tmp_path_factory.mktemp("workspace")
    box_workspace(root)
    yield served(APP.replace("WORKSPACE", repr(str(root))))
    for folder in root.glob("runs/*"):  # a run outlives its server
        Job(folder).stop()


def badge(tab, word):
    """Wait until the state of the watched run is shown; training lets all others go first."""
    tab.locator(".MuiChip-label", has_text=word).wait_for(timeout=150_000)


def step(tab):
    """The step that the page shows."""
    facts = tab.get_by_text("step ", exact=False).filter(has_text=" of 200,000").first
    return int(facts.inner_text().split()[1].replace(",", ""))


def wait_for_steps(tab, more_than):
    tab.get_by_text(" of 200,000").first.wait_for(timeout=60_000)
    for _ in range(600):
        if step(tab) > more_than:
            return step(tab)
        tab.wait_for_timeout(200)
    raise AssertionError(f"the page still shows step {step(tab)}")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_start_watch_from_two_tabs_stop_and_resume(url, new_page):
    tab = new_page()
    tab.goto(url, timeout=90_000)  # the first page of a server imports everything
    start = tab.get_by_role("button", name="Start training")
    tab.get_by_role("combobox", name="sampler").wait_for(timeout=60_000)  # the settings are there

    lr = tab.get_by_label("lr", exact=False).first
    lr.fill("1000")
    lr.press("Tab")
    tab.get_by_text("must be at most 100").first.wait_for()
    tab.wait_for_function("b => b.disabled", arg=start.element_handle())
    lr.fill("1e-2")
    lr.press("Tab")
    tab.get_by_text("changed from 0.02").wait_for()

    start.click()
    badge(tab, "training")
    seen = wait_for_steps(tab, 0)

    other = new_page(url)  # opened later, it finds the run that trains
    badge(other, "training")
    wait_for_steps(other, seen)

    tab.get_by_role("button", name="Start training").click()
    tab.get_by_text("boxes-1 is training").wait_for()
    tab.get_by_role("button", name="Cancel").click()

    other.get_by_role("button", name="Stop", exact=True).click()
    badge(other, "stopped, resumable")
    badge(tab, "stopped, resumable")
    tab.wait_for_timeout(1000)
    at = step(tab)
    tab.wait_for_timeout(1500)
    assert step(tab) == at, "a stopped run stands still"

    tab.get_by_role("button", name="Resume").click()
    badge(other, "training")
    wait_for_steps(other, at)

    tab.reload()  # nothing of the run is in the page
    badge(tab, "training")
    wait_for_steps(tab, at)
    tab.get_by_role("button", name="Stop", exact=True).click()
    badge(tab, "stopped, resumable")

    runs = new_page(f"{url}?runs")
    runs.get_by_text("boxes-1").first.wait_for(timeout=30_000)
    runs.get_by_text("stopped, resumable").first.wait_for()
    runs.locator(".tabulator-row input[type=checkbox]").first.check()
    runs.locator(".bk-Canvas >> visible=true").first.wait_for(timeout=60_000)  # the curves
