"""The Phase page in a browser: what repeats is followed and sought without the server."""

import os
from pathlib import Path

from tests.browser.still import still
from tests.browser.test_detection import FIGURE, spread
from tests.views.swing_workspace import PERIOD

SHOTS = os.environ.get("WORKBENCH_SCREENSHOTS")

LINES = """() => Bokeh.documents.flatMap(d => [...d._all_models.values()].filter(
  m => m.type === 'Span' && m.name?.endsWith('-line')).map(m => m.location))"""


def test_repetitions_are_counted_seen_and_sought(swings_url, new_page):
    page = new_page(viewport={"width": 1500, "height": 1500})
    page.set_default_timeout(60_000)
    page.goto(f"{swings_url}?page=Phase&recording=take01&frame=6")
    page.get_by_text("Repetition 1 of 3").wait_for()
    page.locator(".player video").first.wait_for()
    slots = page.locator(".strip .slot")
    slots.nth(1).and_(page.locator(":enabled")).wait_for()
    assert slots.count() == 3
    frames = [int(slots.nth(k).get_attribute("data-frame")) for k in range(2)]
    assert frames[1] - frames[0] == PERIOD and abs(frames[0] - 6) <= 2
    still(page, FIGURE, "ramp")

    slots.nth(1).click()  # the same phase, one repetition on
    page.get_by_text("Repetition 2 of 3").wait_for()
    page.wait_for_selector(f".player[data-frame='{frames[1]}']")
    assert page.evaluate(LINES) == [frames[1]] * 2
    assert slots.nth(1).evaluate("node => node.classList.contains('on')")

    box = page.evaluate(FIGURE, "ramp")
    page.mouse.click(box["x"] + box["w"] * (48 - 4) / 50, box["y"] + box["h"] * 0.5)
    page.wait_for_selector(".player[data-frame='48']")
    page.get_by_text("Repetition 3 of 3").wait_for()
    box = page.evaluate(FIGURE, "over the cycle")
    page.mouse.click(box["x"] + box["w"] * 0.5, box["y"] + box["h"] * 0.4)
    page.locator(".player:not([data-frame='48'])").wait_for()
    page.get_by_text("phase 0.").wait_for()

    page.locator(".player").press("Home")
    page.get_by_label("Play (Space)").click()
    counted = {page.locator(".count b").first.inner_text() for _ in spread(page, 25)}
    assert len(counted) > 1, counted
    if SHOTS:
        page.screenshot(path=str(Path(SHOTS) / "phase.png"))
