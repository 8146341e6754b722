"""The Health page and the overlaid curves in a browser, while a run trains."""

import json
from pathlib import Path

import pytest

from tests.views.swing_workspace import swing_workspace, write_run
from workbench.data.manifest import DataSet

APP = Path(__file__).parents[2] / "apps" / "explorer.py"
GOOD = {"alignment": 0.4, "uniformity": -2.0, "rank": 20.0, "std": 0.9}
DEAD = {"alignment": 0.0, "uniformity": 0.0, "rank": 1.0, "std": 0.001}


def judged(step, now):
    found = {"step": step, "epoch": step // 10, "loss": 1 / step, "seconds": step / 2}
    found |= {"knn": 0.8, "knn_random": 0.4, "knn_chance": 0.2, "collapsed": float(now is DEAD)}
    found |= {f"feature_{k}": v for k, v in now.items()}
    return found | {f"feature_{k}_random": v / 2 for k, v in GOOD.items()}


def write(root, run, lines, mode="a"):
    with (root / "runs" / run / "metrics.jsonl").open(mode) as file:
        file.writelines(json.dumps(x) + "\n" for x in lines)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    workspace = swing_workspace(tmp_path_factory.mktemp("health"))
    write_run(workspace, DataSet(workspace.data / "swings"), "other")
    for run in ("steady", "other"):
        write(workspace.root, run, [judged(k, GOOD) for k in range(1, 31)], "w")
    return workspace.root


@pytest.fixture(scope="module")
def url(served, root):
    return served(APP, WORKBENCH_WORKSPACE=str(root))


def test_a_collapse_is_seen_on_the_open_page(url, root, new_page):
    page = new_page()
    page.set_default_timeout(90_000)  # the first page of a server imports everything
    page.goto(f"{url}?page=Health&run=steady")
    page.get_by_text("It learns").wait_for()
    page.get_by_text("Not collapsed").wait_for()
    page.locator(".bk-Canvas >> visible=true").nth(7).wait_for()  # six curves, channels, spectrum
    write(root, "steady", [judged(31, DEAD)])
    page.get_by_text("every clip gets nearly the same feature").wait_for()


def test_curves_of_two_runs_over_epochs(url, new_page):
    page = new_page()
    page.set_default_timeout(90_000)
    page.goto(f"{url}?page=Runs")
    boxes = page.locator(".tabulator-row input[type=checkbox]")
    boxes.nth(0).check()
    boxes.nth(1).check()
    page.get_by_text("Dashed: the random network of each run.").wait_for()
    page.locator(".bk-Canvas >> visible=true").nth(5).wait_for()
    page.get_by_role("button", name="epoch").click()
    page.wait_for_timeout(1000)
    page.locator(".bk-Canvas >> visible=true").nth(5).wait_for()
