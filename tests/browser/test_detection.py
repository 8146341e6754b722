"""Online detection in a browser: cells that play, a timeline that leads and follows."""

import os
from pathlib import Path

from tests.browser.still import still
from tests.views.detected import CLASSES

SHOTS = os.environ.get("WORKBENCH_SCREENSHOTS")

FIGURE = """title => {
  for (const root of Bokeh.documents) for (const model of root._all_models.values())
    if (model.type === 'Figure' && model.title.text.includes(title)) {
      const view = Bokeh.index.find_one_by_id(model.id)
      if (!view?.canvas_view) continue
      const b = view.canvas_view.el.getBoundingClientRect(), f = view.frame.bbox
      return {x: b.x + f.left, y: b.y + f.top, w: f.width, h: f.height}
    }
}"""


def test_a_cell_plays_its_chunks_and_the_timeline_is_tied_to_the_cursor(swings_url, new_page):
    page = new_page(viewport={"width": 1500, "height": 1300})
    page.set_default_timeout(60_000)
    page.goto(f"{swings_url}?page=Detection")
    page.locator(".detected").wait_for()
    page.locator(".player video").first.wait_for()
    box, n = still(page, FIGURE, "Click a cell"), len(CLASSES)
    x, y = (CLASSES.index(name) + 0.5 for name in ("spin", "jump"))
    page.mouse.click(box["x"] + box["w"] * x / n, box["y"] + box["h"] * y / n)
    cards = page.locator(".grid[aria-label='chunks of the cell'] .card")
    cards.nth(3).wait_for()
    page.locator(".grid[aria-label='chunks of the cell'] .card.on").wait_for()
    page.get_by_label("Pause (Space)").wait_for()  # it plays
    seen = {page.locator(".player").get_attribute("data-frame") for _ in spread(page, 12)}
    assert len(seen) > 2
    first = int(cards.first.inner_text().split("frames ")[1].split("-")[0])
    assert {int(frame) for frame in seen} <= set(range(first, first + 8))
    if SHOTS:
        page.screenshot(path=str(Path(SHOTS) / "detection.png"))

    page.get_by_label("Pause (Space)").click()
    box = page.evaluate(FIGURE, "said when")
    page.mouse.click(box["x"] + box["w"] * 55.5 / 60, box["y"] + box["h"] * 0.6)
    page.wait_for_selector(".player[data-frame='55']")
    page.get_by_text("Frame 55 · said").wait_for()
    page.get_by_text("Live replay").click()
    page.wait_for_function(
        """() => [...Bokeh.documents].some(d => [...d._all_models.values()].some(
        m => m.type === 'BoxAnnotation' && m.visible && m.left === 55.5))"""
    )
    page.locator(".player").press("ArrowLeft")
    page.get_by_text("Frame 54 · said").wait_for()


def spread(page, times):
    """So many looks, a little apart."""
    for k in range(times):
        page.wait_for_timeout(120)
        yield k
