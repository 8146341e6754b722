"""The player shows the motion in place of the pictures, at the same frame."""

import json
import time

import numpy as np
import pytest

from tests.barcode import draw_barcode, write_barcode_video
from tests.browser.numbered import (
    container_times,
    loaded,
    make_dataset,
    numbers,
    seek,
    settled,
)
from workbench.data.flow_picture import write_flow_video

N, MARK = 60, 512  # frame k of what stands for the motion carries the number 512 + k
APP = """
import panel as pn
from workbench.data.manifest import DataSet
from workbench.views.player import Player
from workbench.views.selection import Cursor

pn.extension()
cursor = Cursor(recording="two")
go = pn.widgets.TextInput(css_classes=["go"])
go.param.watch(lambda e: cursor.move(0, "test", e.new), "value")
player = Player(DataSet("{folder}"), cursor)
pn.Column(go, player, sizing_mode="stretch_width").servable()
"""

# What the video shows at the left and the right, below the bars of the number
COLOURS = """
video => {
  const c = document.createElement('canvas'); c.width = 100; c.height = 100
  const g = c.getContext('2d', {willReadFrequently: true})
  g.drawImage(video, 0, 0, 100, 100)
  return [25, 75].map(x => [...g.getImageData(x, 85, 1, 1).data].slice(0, 3))
}
"""


@pytest.fixture(scope="module")
def url(tmp_path_factory, served):
    """`two`: two cameras with numbered motion at other times; `right`: motion to the right; `none`:
    without."""
    root = tmp_path_factory.mktemp("flow")
    files = {name: write_barcode_video(root / f"{name}.mp4", N) for name in "abcd"}
    recordings = {"two": {"a": files["a"], "b": files["b"]}}
    recordings |= {"right": {"c": files["c"]}, "none": {"d": files["d"]}}
    data = make_dataset(root / "data", recordings)
    for i in data.cameras("two"):
        folder = data.video_folder(i)
        times = 0.25 + np.arange(N) / 24
        shown = write_barcode_video(folder / "flow.mp4", N, fps=24, pts=times, first=MARK)
        np.save(folder / "flow_pts.npy", container_times(shown))
        np.save(folder / "flow.npy", np.zeros((N - 1, 4, 4, 2), np.uint8))
        (folder / "flow.json").write_text(json.dumps({"algorithm": "dis", "bound": 20}))
    folder = data.video_folder(data.cameras("right")[0])
    still = np.stack([draw_barcode(0, (96, 54))] * N)
    moves = np.full((N - 1, 54, 96, 2), 128, np.uint8)
    moves[:, :, 48:, 0] = 160
    shown = write_flow_video(folder / "flow.mp4", still, moves, np.arange(N) / 30)
    np.save(folder / "flow_pts.npy", shown)
    np.save(folder / "flow.npy", np.zeros((N - 1, 4, 4, 2), np.uint8))
    (folder / "flow.json").write_text(json.dumps({"algorithm": "dis", "bound": 20}))
    return served(APP.format(folder=data.folder))


@pytest.fixture
def page(new_page, url):
    page = new_page(url)
    loaded(page, 2)
    return page


def button(page):
    return page.get_by_role("button", name="Show the motion")


def until(page, seen, seconds=8):
    deadline = time.monotonic() + seconds
    while not seen(found := numbers(page)):
        assert time.monotonic() < deadline, found
        page.wait_for_timeout(40)


def test_motion_takes_the_place_of_the_pictures_at_the_same_frame(page):
    seek(page, 37)
    assert numbers(page) == [37, 37]
    button(page).click()
    until(page, lambda n: n == [MARK + 37] * 2)
    assert button(page).get_attribute("aria-pressed") == "true"
    for k in (0, 12, N - 1):
        seek(page, k)
        assert numbers(page) == [MARK + k] * 2
    page.locator(".player").focus()
    page.keyboard.press("ArrowLeft")
    settled(page, N - 2)
    assert numbers(page) == [MARK + N - 2] * 2
    page.keyboard.press("f")
    until(page, lambda n: n == [N - 2] * 2)
    assert button(page).get_attribute("aria-pressed") == "false"


def test_playing_goes_on_when_the_picture_changes(page):
    page.locator(".player").focus()
    page.keyboard.press("Space")
    page.wait_for_timeout(200)
    page.keyboard.press("f")
    until(page, lambda n: min(n) > MARK)
    early = numbers(page)[0]
    until(page, lambda n: min(n) > early)
    page.keyboard.press("Space")
    settled(page)
    k = int(page.locator(".player").get_attribute("data-frame"))
    until(page, lambda n: n == [MARK + k] * 2)


def test_motion_to_the_right_is_red_and_what_has_none_says_so(page):
    page.locator(".player").focus()
    page.keyboard.press("f")
    until(page, lambda n: n == [MARK] * 2)
    page.locator(".go input").fill("right")
    page.locator(".go input").press("Enter")
    loaded(page, 1)
    assert page.locator(".wheel").is_visible()
    rest, moves = page.locator(".player video").evaluate(COLOURS)
    assert moves[0] > 200 > 60 > max(moves[1:]) and np.ptp(rest) < 12 < max(rest)
    page.locator(".go input").fill("none")
    page.locator(".go input").press("Enter")
    loaded(page, 1)
    until(page, lambda n: n == [0])
    assert not button(page).is_visible() and not page.locator(".wheel").is_visible()
