"""Two moments in step: a drag along the diagonal, and two recordings matched."""

import os
from pathlib import Path

import pytest

from tests.browser.still import still

PLOT = """() => {
  const all = r => [...r.querySelectorAll('*')].flatMap(
    e => [e, ...(e.shadowRoot ? all(e.shadowRoot) : [])])
  window.__all = all
  for (const root of Bokeh.documents) for (const model of root._all_models.values()) {
    const view = model.type === 'Figure' ? Bokeh.index.find_one_by_id(model.id) : null
    if (!view?.canvas_view || !model.renderers.some(r => r.glyph.type === 'Image')) continue
    const b = view.canvas_view.el.getBoundingClientRect(), f = view.frame.bbox
    return {x: b.x + f.left, y: b.y + f.top, w: f.width, h: f.height}
  }
}"""
SEEN = """() => __all(document).filter(e => e.matches('section[data-frame]'))
  .map(e => Number(e.dataset.frame))"""
SHOWN = """() => __all(document)
  .filter(e => e.matches('.tile') && /^(column|row)/.test(e.querySelector('.name')?.textContent))
  .map(e => [e.querySelector('.name').textContent,
    parseInt(e.querySelector('.count').textContent)])"""


@pytest.fixture
def plot(new_page, swings_url):
    """Opens the page of a recording: plot(recording) -> page, and where the matrix is."""

    def open_plot(recording):
        page = new_page()
        page.set_default_timeout(60_000)
        page.goto(f"{swings_url}?page=Similarity&recording={recording}&frame=10")
        page.locator(".bk-Canvas").first.wait_for()
        page.wait_for_selector("text=Looking", state="detached")
        return page, still(page, PLOT)

    return open_plot


def at(area, x, y):
    """Where in the window the frames x and y are."""
    return area["x"] + (x - 3) / 52 * area["w"], area["y"] + (y - 3) / 52 * area["h"]


def shot(page, name):
    if folder := os.environ.get("WORKBENCH_SCREENSHOTS"):
        page.screenshot(path=str(Path(folder) / f"{name}.png"))


def agree(page, gap):
    """Wait until the pictures show what is told, the row `gap` frames ahead of the column."""
    page.wait_for_function(
        f"""gap => {{
          const [column, row] = ({SEEN})(), tiles = ({SHOWN})()
          return row - column === gap && tiles.length === 4
            && tiles.every(([name, k]) => k === (name.startsWith('column') ? column : row))
            && __all(document).filter(e => e.matches('.player')).every(p => p.ariaBusy !== 'true')
        }}""",
        arg=gap,
    )
    return page.evaluate(SEEN)


def test_a_drag_moves_both_moments_and_space_plays_them_in_step(plot):
    page, area = plot("take01")
    page.mouse.move(*at(area, 12, 24))
    page.mouse.down()
    page.wait_for_timeout(500)  # a press that rests is a drag all the same
    for k in range(1, 11):
        page.mouse.move(*at(area, 12 + 1.4 * k, 24 + 0.6 * k))  # 10 along the diagonal
    page.wait_for_function(f"() => ({SEEN})()[0] > 18")  # while the button is down
    page.mouse.up()
    column, row = page.evaluate(SEEN)
    gap = row - column
    assert abs(gap - 12) <= 2 and abs(column - 22) <= 2
    agree(page, gap)
    shot(page, "similarity-drag")
    page.wait_for_selector(f'.player[data-frame="{column}"] >> nth=1')  # the cursor's player, too
    page.keyboard.press(" ")
    page.wait_for_function(f"k => ({SEEN})()[0] > k + 3", arg=column)
    page.keyboard.press(" ")
    later, _ = agree(page, gap)
    assert later > column
    page.keyboard.press(" ")
    page.wait_for_function(f"() => ({SEEN})()[1] === 59")  # the row's last frame ends it
    agree(page, gap)
    page.mouse.click(*at(area, 40, 8))  # a click shows two pictures that stand still, as ever
    page.wait_for_function(f"() => Math.abs(({SEEN})()[1] - 8) <= 2")
    page.wait_for_selector("text=column: left", state="hidden")
    assert page.locator("section[data-frame] .picture:visible").count() == 4


def test_a_click_shows_moments_of_two_recordings_that_play_along_the_path(plot):
    page, area = plot("take01")
    page.get_by_role("combobox", name="Rows: recording").click()
    page.get_by_role("menuitem", name="take04", exact=True).click()
    page.wait_for_selector("text=between matched moments")
    page.wait_for_selector("text=Row: take04")
    area = still(page, PLOT)
    page.mouse.click(*at(area, 40, 20))
    page.wait_for_function(f"() => ({SEEN})().every((k, i) => Math.abs(k - [40, 20][i]) <= 2)")
    page.wait_for_selector("section[data-frame] .picture img >> nth=3")  # the stored frames
    shot(page, "similarity-two-recordings")
    page.get_by_role("button", name="Play both").click()
    page.wait_for_function(f"() => ({SEEN})()[0] > 44")  # both are alike: the path is straight
    page.get_by_role("button", name="Play both").click()
    agree(page, 0)
