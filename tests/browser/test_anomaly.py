"""The Anomalies page in a browser: lines that move without Python, clips that play in step."""

import os
from pathlib import Path

import pytest

from tests.browser.still import still
from tests.browser.test_detection import FIGURE
from tests.views.line_workspace import line_workspace

APP = Path(__file__).parents[2] / "apps" / "explorer.py"
SHOTS = os.environ.get("WORKBENCH_SCREENSHOTS")
KEEP = {"normal0": ("train", ()), "wrong0": ("test", ((100, 140, "tilted"),))}

LINE = """([title, color]) => {
  for (const root of Bokeh.documents) for (const model of root._all_models.values())
    if (model.type === 'Figure' && model.title.text.includes(title))
      return model.center.filter(m => m.type === 'Span' && m.line_color === color)[0].location
}"""
ANOMALY, CURSOR = "#d32f2f", "#ff5a1f"


@pytest.fixture(scope="module")
def url(served, tmp_path_factory):
    workspace = line_workspace(tmp_path_factory.mktemp("line"), KEEP, videos=True)
    return served(APP, WORKBENCH_WORKSPACE=str(workspace.root))


def test_the_threshold_moves_and_an_alarm_plays_beside_what_is_normal(url, new_page):
    page = new_page(viewport={"width": 1440, "height": 1900})
    page.set_default_timeout(60_000)
    page.goto(f"{url}?page=Anomalies&recording=wrong0")
    page.locator(".judged").wait_for()
    page.locator(".grid[aria-label='alarms'] .card").first.wait_for()
    still(page, FIGURE, "click to go there")

    old = page.evaluate(LINE, ["wrong0", ANOMALY])
    page.get_by_role("slider", name="Threshold").press("ArrowRight")
    page.wait_for_function(f"old => ({LINE})(['wrong0', '{ANOMALY}']) > old", arg=old)
    page.wait_for_function(f"old => ({LINE})(['overlap', '{ANOMALY}']) > old", arg=old)
    page.get_by_text("by hand").wait_for()

    box = page.evaluate(FIGURE, "click to go there")  # frames 4 to 234
    page.mouse.click(box["x"] + box["w"] * (204 - 4) / 230, box["y"] + 5)
    page.wait_for_selector("[data-frame='204'].player")
    assert page.evaluate(LINE, ["wrong0", CURSOR]) == 204

    page.locator(".grid[aria-label='alarms'] .card").first.click()
    pair = page.locator(".player", has=page.get_by_text("alarm: wrong0"))
    pair.get_by_label("Pause (Space)").wait_for()
    page.wait_for_timeout(1000)
    seen = set()
    for _ in range(10):
        page.wait_for_timeout(120)
        seen.add(int(pair.get_attribute("data-frame")))
    assert len(seen) > 2 and min(seen) >= 60 and max(seen) < 180  # the alarm and a second around
    if SHOTS:
        page.screenshot(path=str(Path(SHOTS) / "anomalies.png"))
    pair.get_by_label("Pause (Space)").click()
    pair.get_by_label("One frame ahead").click()
    frame = int(pair.get_attribute("data-frame"))
    page.wait_for_function(f"k => ({LINE})(['beside it', '{CURSOR}']) === k", arg=frame)
