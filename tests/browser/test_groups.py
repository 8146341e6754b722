"""Prototypes, clusters, retrieval and mining in a browser; and that all pages are in sight."""

import os
import time
from pathlib import Path

import pandas as pd
import pytest

from tests.browser.test_detection import FIGURE
from tests.views.swing_workspace import swing_workspace

APP = Path(__file__).parents[2] / "apps" / "explorer.py"
SHOTS = os.environ.get("WORKBENCH_SCREENSHOTS")
TAKES = [f"take{k:02}" for k in range(6)]
MINED = {0: [(TAKES[k], TAKES[(k + 1) % 6]) for k in range(6)],
         1: [(TAKES[k], TAKES[(k + 3) % 6]) for k in range(6)]}  # fmt: skip
CLUSTERS = {0: [0, 0, 0, 1, 1, 1], 5: [0, 1, 2, 0, 1, 2]}


@pytest.fixture(scope="module")
def url(served, tmp_path_factory):
    workspace = swing_workspace(tmp_path_factory.mktemp("swings"), videos=True)
    run = workspace.runs / "steady"
    for kind in ("mined", "clusters"):
        (run / kind).mkdir()
    for epoch, pairs in MINED.items():
        rows = pd.DataFrame(pairs, columns=["anchor", "positive"]).assign(step=epoch)
        rows.to_parquet(run / "mined" / f"{epoch}.parquet")
    for epoch, clusters in CLUSTERS.items():
        rows = pd.DataFrame({"recording": TAKES, "cluster": clusters})
        rows.to_parquet(run / "clusters" / f"{epoch}.parquet")
    return served(APP, WORKBENCH_WORKSPACE=str(workspace.root))


@pytest.fixture
def explorer(url, new_page):
    def open_explorer(query, width=1440, height=1500):
        page = new_page(viewport={"width": width, "height": height})
        page.set_default_timeout(90_000)
        page.goto(f"{url}?{query}")
        page.get_by_role("tab", name="Runs").wait_for()
        return page

    return open_explorer


def shot(page, name):
    if SHOTS:
        page.wait_for_timeout(1500)
        page.screenshot(path=str(Path(SHOTS) / f"{name}.png"))


def click(page, title, u, v):
    """Click in the plot whose title has a text, once it stays where it is; u, v: in [0, 1]."""
    page.wait_for_function(f"!!({FIGURE})('{title}')")
    before, box = None, page.evaluate(FIGURE, title)
    while box != before:
        page.wait_for_timeout(400)
        before, box = box, page.evaluate(FIGURE, title)
    page.mouse.click(box["x"] + u * box["w"], box["y"] + v * box["h"])


def clips(page):
    return page.locator(".clip >> visible=true")


@pytest.mark.parametrize("width", [1440, 900])
def test_all_pages_are_in_sight_and_can_be_reached_by_keys(explorer, width):
    page = explorer("page=Clips", width, 900)
    page.locator(".card").first.wait_for()
    tabs = page.get_by_role("tab")

    def in_sight():
        boxes = [tabs.nth(k).bounding_box() for k in range(tabs.count())]
        inside = all(b["x"] > 0 and b["x"] + b["width"] <= width and b["y"] < 200 for b in boxes)
        return inside and len({(round(b["x"]), round(b["y"])) for b in boxes}) == 12

    deadline = time.monotonic() + 90
    while not in_sight():  # on a narrow screen a drawer closes once the page is whole
        assert time.monotonic() < deadline, "some pages are out of sight"
        page.wait_for_timeout(300)
    while page.get_by_role("tab", name="Map").get_attribute("aria-selected") != "true":
        assert time.monotonic() < deadline, "the arrow does not lead to the next page"
        tabs.nth(0).press("ArrowRight")  # lost where the tabs are drawn anew just then
        page.wait_for_timeout(1000)
    page.get_by_text("Tap a dot for its moment").wait_for()
    shot(page, f"pages-{width}")


def test_loops_run_in_step_and_a_bar_chooses(explorer):
    page = explorer("page=Prototypes")
    clips(page).first.wait_for()
    page.get_by_text("No prototypes of steady").wait_for()  # and centres are shown
    seen = set()
    for _ in range(12):
        shown = page.evaluate(PICTURES)
        assert len(set(shown)) == 1, shown  # all windows are equally long here
        seen |= set(shown)
        page.wait_for_timeout(70)
    assert len(seen) > 2
    page.get_by_label("Stop all clips").click()
    still = page.evaluate(PICTURES)
    page.wait_for_timeout(300)
    assert page.evaluate(PICTURES) == still
    title = page.get_by_text("moments of").first.inner_text()
    click(page, "centres are used", 0.95, 0.99)
    page.wait_for_function(TITLE, arg=title)
    shot(page, "prototypes")
    clips(page).first.click()
    page.get_by_label("Pause (Space)").wait_for()  # it plays in the player


PICTURES = """() => {
  const all = r => [...r.querySelectorAll('*')].flatMap(
    e => [e, ...(e.shadowRoot ? all(e.shadowRoot) : [])])
  return all(document).filter(e => e.matches('.clip .picture')).map(e => e.dataset.k)
}"""
TITLE = """before => {
  const all = r => [...r.querySelectorAll('*')].flatMap(
    e => [e, ...(e.shadowRoot ? all(e.shadowRoot) : [])])
  const text = all(document).map(e => e.textContent).find(t => /^Centre \\d+: \\d+ moments/.test(t))
  return text && text.trim() !== before.trim()
}"""


def test_clusters_along_training(explorer):
    page = explorer("page=Prototypes")
    page.get_by_role("button", name="Clusters along training").click()
    page.get_by_text("of epoch 5: 2 videos").wait_for()
    clips(page).nth(1).wait_for()
    click(page, "Which cluster went where", 0.12, 0.8)  # below: a cluster of the first epoch
    page.get_by_text("of epoch 0: 3 videos").wait_for()
    page.locator(".clip.wrong").nth(1).wait_for()  # three classes in it
    page.wait_for_function(f"!!({FIGURE})('Shared information')")
    assert all(x == sorted(set(x)) for x in page.evaluate(CURVES))  # no point comes twice
    shot(page, "clusters")


CURVES = """() => Bokeh.documents.flatMap(d => [...d._all_models.values()])
  .filter(m => m.type === 'ColumnDataSource' && Object.keys(m.data).sort().join() === 'x,y')
  .map(m => [...m.data.x]).filter(x => x.length)"""


def test_a_query_beside_its_nearest(explorer):
    page = explorer("page=Retrieval&recording=take04")
    page.locator(".clip.query").wait_for()
    page.get_by_text("No video of train is of class").wait_for()  # all jumps are in val
    page.get_by_role("combobox", name="Queries", exact=True).click()
    page.get_by_role("menuitem", name="all").click()
    page.get_by_text("12 queries among 8 videos").wait_for()
    page.get_by_role("combobox", name="Among", exact=True).click()
    page.get_by_role("menuitem", name="all").click()
    page.get_by_text("12 queries among 12 videos").wait_for()
    page.locator(".clip.right").nth(1).wait_for()
    page.locator(".grid[aria-label=queries] .card[data-id='0']").click()
    page.wait_for_selector(".clip.query[data-id='0']")
    shot(page, "retrieval")
    click(page, "R@1 of each class", 0.5, 0.6)
    page.get_by_text("4 queries of class").wait_for()
    page.locator(".clip.right").first.click()
    page.get_by_label("Pause (Space)").wait_for()


def test_who_was_mined_for_whom(explorer):
    page = explorer("page=Mining&recording=take02")
    page.get_by_text("100.0% right").wait_for()
    page.wait_for_selector(".clip.query[data-id=take02]")
    page.locator(".clip.right").wait_for()
    page.wait_for_function(f"!!({FIGURE})('Right positives')")
    shot(page, "mining")
    page.get_by_role("slider").first.press("ArrowLeft")
    page.get_by_text("0.0% right").wait_for()
    page.wait_for_selector(".clip.wrong[data-id=take03]")
    page.locator(".grid[aria-label=anchors] .card[data-id=take05]").click()
    page.wait_for_selector(".clip.query[data-id=take05]")
    click(page, "Mined for whom", 0.83, 0.16)  # jumps for which a swing was mined
    page.get_by_text("2 anchors of class jump").wait_for()
