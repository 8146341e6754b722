"""The explorer in a browser: pages, links between views, looks that were looked at."""

import math
import os
import re
import time
from pathlib import Path

import pytest

from tests.browser.still import still
from tests.views.swing_workspace import swing_workspace

ROOT = Path(__file__).parents[2]
APP = ROOT / "apps" / "explorer.py"
SHOTS = os.environ.get("WORKBENCH_SCREENSHOTS")  # a folder to keep screenshots in


@pytest.fixture
def explorer(new_page, swings_url):
    def open_explorer(query="", **options):
        page = new_page(**options)
        page.set_default_timeout(60_000)
        page.outside = []
        page.on("request", lambda r: page.outside.append(r.url) if not local(r.url) else None)
        page.goto(swings_url + query)
        page.wait_for_selector('[role="tab"]')
        return page

    return open_explorer


def local(address):
    return re.match(r"(https?|wss?)://localhost[:/]|data:|blob:", address)


def shot(page, name):
    if SHOTS:
        page.wait_for_timeout(800)
        page.screenshot(path=str(Path(SHOTS) / f"{name}.png"))


def go(page, name):
    page.get_by_role("tab", name=name).click()


def address(page):
    return page.evaluate("decodeURIComponent(location.search)")


def until(page, text):
    """Waits until the URL holds a text; it is written once a second."""
    deadline = time.monotonic() + 30
    while text not in address(page):
        assert time.monotonic() < deadline, f"{text} not in {address(page)}"
        page.wait_for_timeout(100)


def player_frame(page):
    return int(page.locator(".player").get_attribute("data-frame"))


def test_clips_filter_hover_and_choose(explorer):
    page = explorer()
    page.wait_for_selector(".card >> nth=5")
    assert page.locator(".grid[aria-label=recordings] .card").count() == 6
    picture = page.locator(".card[data-id=take02] .pic").first
    rest = picture.evaluate("e => e.style.backgroundPosition")
    box = page.locator(".card[data-id=take02] .thumb").first.bounding_box()
    page.mouse.move(box["x"] + 3, box["y"] + 30)
    page.mouse.move(box["x"] + 6, box["y"] + 30)
    page.wait_for_function(
        "([e, p]) => e.style.backgroundPosition != p", arg=[picture.element_handle(), rest]
    )
    shot(page, "clips")

    page.locator(".card[data-id=take03]").first.click()
    page.wait_for_selector(".card.on[data-id=take03]")
    page.wait_for_selector("text=take03 >> nth=1")
    until(page, "take03")
    page.wait_for_selector(".player video")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.wait_for_selector(".card.on[data-id=take04]")

    page.get_by_label("Find a recording").fill("ke01")
    page.wait_for_selector(".grid[aria-label=recordings] .card >> nth=1", state="detached")
    assert page.locator(".grid[aria-label=recordings] .card").count() == 1
    assert not page.outside


def at_rest(page):
    """Where the matrix lies, once both moments are there and nothing has moved for a while."""
    page.locator(".bk-Canvas").first.wait_for()
    page.locator("section[data-frame] >> nth=1").wait_for()
    return still(page, INNER)


def test_a_click_in_the_similarity_matrix_shows_both_moments(explorer):
    page = explorer("?page=Similarity&recording=take01")
    frame = at_rest(page)
    shot(page, "similarity")
    page.mouse.click(frame["x"] + 0.8 * frame["w"], frame["y"] + 0.25 * frame["h"])
    page.wait_for_function("() => { const f = window.__frames(); return f[0] >= 40 && f[1] >= 12 }")
    column, row = (int(f) for f in page.evaluate("window.__frames()"))
    assert 40 <= column <= 48 and 12 <= row <= 20
    assert page.locator("section[data-frame] .picture").count() == 4  # two moments, two cameras
    assert page.evaluate(LINES) == [column, row]
    page.wait_for_selector("section[data-frame] .picture img >> nth=3")  # the stored frames
    page.wait_for_selector(f'.player[data-frame="{column}"]')
    until(page, f"frame={column}")


def test_hovering_the_similarity_matrix_shows_both_moments_without_the_server(explorer):
    page = explorer("?page=Similarity&recording=take01")
    frame = at_rest(page)
    cosines = {}
    for u, v in ((0.5, 0.5), (0.5, 0.3)):  # on the diagonal; a fifth of the matrix off it
        page.mouse.move(frame["x"] + u * frame["w"] + 2, frame["y"] + v * frame["h"])
        page.mouse.move(frame["x"] + u * frame["w"], frame["y"] + v * frame["h"])
        tip = page.locator("[role=tooltip][data-cell]")
        tip.wait_for()
        row, column = (int(k) for k in tip.get_attribute("data-cell").split(","))
        assert abs(column - (3 + 52 * u)) <= 2 and abs(row - (3 + 52 * v)) <= 2
        text = tip.inner_text()
        assert f"left · frame {column}" in text and f"left · frame {row}" in text
        cosines[v] = float(re.search(r"cosine \D*(-?[\d.]+)", text)[1])
        assert tip.locator(".picture[style*=background-image]").count() == 2
    assert cosines[0.5] > cosines[0.3] + 0.3
    shot(page, "similarity-hover")
    page.mouse.move(5, 400)
    page.wait_for_selector("[role=tooltip][data-cell]", state="hidden")


def test_the_crosshair_follows_the_player_without_the_server(explorer):
    page = explorer("?page=Similarity&recording=take01")
    page.wait_for_selector(".player video")
    at_rest(page)
    go(page, "Clips")  # and back: for a while Bokeh knows the lines of both visits
    page.wait_for_selector(".card")
    go(page, "Similarity")
    page.wait_for_selector(".grid[aria-label=recordings]", state="detached")
    at_rest(page)
    page.evaluate("for (const d of Bokeh.documents) d.apply_json_patch = () => {}")
    page.locator(".player:visible").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowRight")
    page.wait_for_selector("section[data-frame='12']")
    assert page.evaluate(LINES)[0] == 12


LINES = """() => Bokeh.documents.flatMap(d => [...d._all_models.values()])
  .filter(m => m.type === 'Span').sort((a, b) => a.dimension < b.dimension ? -1 : 1)
  .map(m => m.location)"""
INNER = """() => {
  const all = r => [...r.querySelectorAll('*')].flatMap(
    e => [e, ...(e.shadowRoot ? all(e.shadowRoot) : [])])
  window.__frames = () => all(document)
    .filter(e => e.matches('section[data-frame]')).map(e => e.dataset.frame)
  for (const root of Bokeh.documents) for (const model of root._all_models.values())
    if (model.type === 'Figure') {
      const view = Bokeh.index.find_one_by_id(model.id)
      if (!view?.canvas_view) continue
      const b = view.canvas_view.el.getBoundingClientRect(), f = view.frame.bbox
      return {x: b.x + f.left, y: b.y + f.top, w: f.width, h: f.height}
    }
}"""


def test_a_tap_on_the_map_selects_and_brings_its_neighbours(explorer):
    page = explorer("?page=Map")
    page.locator(".bk-Canvas").first.wait_for()
    where = still(page, DOT, 200)
    page.mouse.move(where["x"], where["y"])
    page.wait_for_selector("div[style*=background-image][style*=background-position]")
    shot(page, "map")
    page.mouse.click(where["x"], where["y"])
    page.wait_for_selector("text=1 selected:")
    until(page, "recording=")
    chosen = re.search(r"recording=\W*(\w+)", address(page))[1]
    page.wait_for_selector(f"text=Like {chosen}")
    cards = page.locator(".grid[aria-label='nearest windows'] .card")
    assert cards.count() == 8
    other = cards.nth(1)
    other.click()
    page.wait_for_selector(".grid[aria-label='nearest windows'] .card.on")


DOT = """k => {
  for (const root of Bokeh.documents) for (const model of root._all_models.values())
    if (model.type === 'Figure') {
      const view = Bokeh.index.find_one_by_id(model.id)
      if (!view?.canvas_view) continue
      for (const r of model.renderers) {
        const d = r.data_source.data
        if (!d.recording) continue
        const b = view.canvas_view.el.getBoundingClientRect()
        const {x_scale, y_scale} = view.frame
        return {x: b.x + x_scale.compute(d.x[k]), y: b.y + y_scale.compute(d.y[k])}
      }
    }
}"""


def test_train_and_runs_open(explorer):
    page = explorer("?page=Train")
    page.wait_for_selector("text=Start training")
    go(page, "Runs")
    page.wait_for_selector("text=steady")
    until(page, "Runs")


def test_the_address_brings_back_the_view_and_unknown_names_are_told(explorer):
    page = explorer("?page=Similarity&recording=take02&frame=24")
    page.wait_for_selector("section[data-frame='24']")
    assert page.get_by_role("tab", name="Similarity").get_attribute("aria-selected") == "true"
    page = explorer("?page=Nowhere&recording=nobody")
    page.wait_for_selector("text=There is no recording")
    page.wait_for_selector(".card.on[data-id=take00]")


def test_dark_mode_reaches_the_plots(explorer):
    page = explorer("?page=Map")
    page.locator(".bk-Canvas").first.wait_for()
    page.get_by_label(re.compile("theme", re.I)).first.click()
    page.wait_for_selector(".mui-dark")
    page.wait_for_function(
        "() => [...Bokeh.documents].some(d => [...d._all_models.values()].some("
        "m => m.type === 'Figure' && !['#ffffff', null].includes(m.background_fill_color)))"
    )
    shot(page, "map-dark")
    go(page, "Similarity")
    page.locator(".bk-Canvas").first.wait_for()
    shot(page, "similarity-dark")
    go(page, "Clips")
    page.wait_for_selector(".card")
    shot(page, "clips-dark")


def test_a_narrow_window_shows_the_page_and_not_the_drawers(explorer):
    page = explorer(viewport={"width": 520, "height": 860})
    page.wait_for_selector(".card")
    page.wait_for_function(ON_TOP)  # nothing lies over the cards
    shot(page, "clips-narrow")
    assert page.evaluate("document.documentElement.scrollWidth") <= 520


ON_TOP = """() => {
  const all = r => [...r.querySelectorAll('*')].flatMap(
    e => [e, ...(e.shadowRoot ? all(e.shadowRoot) : [])])
  const b = all(document).find(e => e.matches('.card'))?.getBoundingClientRect()
  if (!b || b.x < 0 || b.right > 520) return false
  const [x, y] = [b.x + b.width / 2, b.y + 40], under = e => e?.shadowRoot?.elementFromPoint(x, y)
  let e = document.elementFromPoint(x, y)
  while (under(e) && under(e) !== e) e = under(e)
  return !!e?.closest('.card')
}"""


def test_names_are_never_parsed_as_html(served, new_page, tmp_path):
    evil = "<img src=x onerror=alert(1)>"
    workspace = swing_workspace(tmp_path, stem=evil, tag=evil, recordings=2)
    page = new_page()
    page.set_default_timeout(60_000)
    page.on("dialog", lambda dialog: page.errors.append("a name was executed"))
    page.goto(served(APP, WORKBENCH_WORKSPACE=str(workspace.root)) + f"?page=Map&run={evil}")
    page.get_by_text("There is no run").wait_for()
    page.locator(".bk-Canvas, .bk-Figure").first.wait_for()
    plot = page.locator(".bk-Figure").first
    box = plot.bounding_box()
    tip = page.locator(".bk-Tooltip", has_text="<img").first
    for k in range(400):  # somewhere on the circle of dots
        angle, radius = 0.37 * k, 0.12 + 0.3 * (k % 7) / 7
        page.mouse.move(
            box["x"] + box["width"] * (0.45 + radius * math.cos(angle)),
            box["y"] + box["height"] * (0.5 + radius * math.sin(angle)),
        )
        page.wait_for_timeout(40)
        if tip.count():
            break
    assert tip.count()
    for name in ("Clips", "Similarity", "Train", "Runs"):
        go(page, name)
        page.wait_for_timeout(700)
    assert not page.locator("img[src=x]").count()
