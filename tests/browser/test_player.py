import http.client
import json
import re
import time
from urllib.parse import urlsplit

import numpy as np
import pytest

from tests.barcode import write_barcode_video
from tests.browser.numbered import (
    KINDS,
    loaded,
    make_dataset,
    make_files,
    numbers,
    on_screen,
    seek,
    settled,
)
from workbench.data.manifest import DataSet, write_dataset
from workbench.data.offsets import save_offsets

N = 120
APP = """
import json, sys
import panel as pn
from workbench.data.manifest import DataSet
from workbench.views import media
from workbench.views.player import Player
from workbench.views.selection import Cursor
{before}

def app():
    cursor = Cursor(recording="{recording}")
    player = Player(DataSet("{folder}"), cursor)
    heard = []
    cursor.param.watch(lambda e: heard.append(e.new), "frame")
    go = pn.widgets.TextInput(css_classes=["go"])

    def move(event):
        recording, frame = event.new.split()
        cursor.move(int(frame), "test", recording)

    go.param.watch(move, "value")
    says = lambda r, f, p, d: json.dumps(
        dict(recording=r, frame=f, playing=p, heard=len(heard), fingerprint=d.fingerprint)
    )
    sync = player.sync.param
    told = pn.bind(says, cursor.param.recording, cursor.param.frame, sync.playing,
                   player.param.dataset)
    return pn.Column(go, pn.pane.Str(told, css_classes=["told"]), player,
                     sizing_mode="stretch_width")

{after}
"""
SERVABLE = "pn.extension(); app().servable()"
PROGRAM = "pn.serve({'deep/er/page': app}, port=int(sys.argv[1]), show=False)"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Recordings: `kinds` (one camera of each kind), `pair` (unequal lengths, one file that no
    browser plays), `hour` (one hour long, 3 GB on paper)."""
    root = tmp_path_factory.mktemp("player")
    files = make_files(root / "files", N)
    short = write_barcode_video(root / "files" / "short.mp4", 40)
    broken = root / "files" / "broken.mp4"
    broken.write_bytes(short.read_bytes()[:400] + bytes(4000))
    hour = root / "files" / "hour.mp4"
    times = 3.6 * np.arange(1000)
    write_barcode_video(hour, 1000, pts=times, container_options={"movflags": "faststart"})
    with hour.open("ab") as out:  # a box to be skipped, with a hole in it
        size = 3 * 2**30
        out.write((1).to_bytes(4, "big") + b"free" + size.to_bytes(8, "big"))
        out.truncate(hour.stat().st_size + size)
    pair = {"a": files["constant"], "b": short, "c": short}
    data = make_dataset(root / "data", {"kinds": files, "pair": pair, "hour": {"a": hour}})
    table = data.table
    row = table.index[(table["recording"] == "pair") & (table["camera"] == "c")][0]
    table.loc[row, "path"] = str(broken)
    write_dataset(data.folder, data.name, data.side, table, data.segments, [])
    return root / "data"


@pytest.fixture(scope="module")
def url(served, folder):
    return served(APP.format(folder=folder, recording="kinds", before="", after=SERVABLE))


@pytest.fixture
def player(new_page, url):
    page = new_page(url)
    loaded(page, 4)
    return page


def told(page):
    """What Python knows."""
    return json.loads(page.locator(".told pre").inner_text())


def until(page, known, seconds=30):
    """Waits until Python knows it."""
    deadline = time.monotonic() + seconds
    while not known(told(page)):
        assert time.monotonic() < deadline, told(page)
        page.wait_for_timeout(30)


def press(page, *keys):
    page.locator(".player").focus()
    for key in keys:
        page.keyboard.press(key)


def move(page, recording, frame):
    """Python moves the cursor."""
    page.locator(".go input").fill(f"{recording} {frame}")
    page.locator(".go input").press("Enter")


def test_all_cameras_show_exactly_the_frame_asked_for(player):
    rng = np.random.default_rng(0)
    wrong = {}
    for k in [0, N - 1, *rng.integers(0, N, 20).tolist()]:
        seek(player, k)
        if (seen := numbers(player)) != [k] * len(KINDS):
            wrong[k] = seen
    assert not wrong
    until(player, lambda t: t["frame"] == k)


def test_what_is_on_the_screen_is_what_the_page_believes(player):
    for k in np.random.default_rng(1).integers(0, N, 6).tolist():
        seek(player, k)
        assert on_screen(player) == [k] * 4
    for _ in range(4):
        press(player, "Home", "Space")
        player.wait_for_timeout(400)
        press(player, "Space")
        settled(player)
        k = int(player.locator(".player").get_attribute("data-frame"))
        assert 0 < k < N
        assert on_screen(player) == [k] * 4


def test_playing_stays_together_and_pause_is_exact(player):
    before = told(player)["heard"]
    begin = time.monotonic()
    press(player, "Space")
    until(player, lambda t: t["playing"])
    player.wait_for_timeout(300)
    seen = []
    while len(seen) < 25 and (not seen or max(seen[-1]) < N - 40):  # far from the end: it is paused
        seen.append(numbers(player))
        player.wait_for_timeout(70)
    press(player, "Space")
    until(player, lambda t: not t["playing"])
    spent = time.monotonic() - begin
    settled(player)
    seen = np.array(seen)
    assert (seen >= 0).all()
    steady = seen[:, [list(KINDS).index(kind) for kind in ("constant", "ntsc", "offset")]]
    spread = np.ptp(steady, 1)  # a busy machine drops frames of one video before another's
    assert np.median(spread) <= 1 and np.quantile(spread, 0.9) <= 2, spread
    assert np.median(np.ptp(seen, 1)) <= 2, seen  # against frames of 1/60 to 1/12 s
    assert seen[-1].min() > seen[0].max() + 20
    k = int(player.locator(".player").get_attribute("data-frame"))
    assert numbers(player) == [k] * 4
    until(player, lambda t: t["frame"] == k)
    assert told(player)["heard"] - before <= 10 * spent + 3


def test_steps_keys_and_the_end(player):
    press(player, "End", "ArrowLeft", "ArrowLeft")
    settled(player, N - 3)
    press(player, "Home", "Shift+ArrowRight", "ArrowRight")
    settled(player, 11)
    assert numbers(player) == [11] * 4
    player.get_by_role("button", name="One frame ahead").click()
    settled(player, 12)
    player.get_by_role("button", name="One frame back").click(modifiers=["Shift"])
    settled(player, 2)
    assert numbers(player) == [2] * 4
    seek(player, N - 15)
    player.get_by_role("button", name="Play").click()
    until(player, lambda t: t["frame"] == N - 1 and not t["playing"])  # rests on the last frame
    settled(player, N - 1)
    assert numbers(player) == [N - 1] * 4


def test_a_loop_stays_within_its_ends(player):
    seek(player, 30)
    player.get_by_role("button", name="Loop starts").click()
    seek(player, 42)
    player.get_by_role("button", name="Loop ends").click()
    assert player.get_by_role("button", name="Loop (L)").get_attribute("aria-pressed") == "true"
    press(player, "Home", "Space")
    until(player, lambda t: t["playing"] and t["frame"] > 30)
    seen = []
    for _ in range(40):
        seen += numbers(player)
        player.wait_for_timeout(40)
    assert min(seen) >= 29 and max(seen) <= 45  # a busy machine is late by a frame or two
    assert {30, 31, 32} & set(seen) and {40, 41, 42} & set(seen)
    press(player, "Space", "l")
    assert player.get_by_role("button", name="Loop (L)").get_attribute("aria-pressed") == "false"


def test_python_moves_the_player_and_hears_no_echo(player):
    move(player, "kinds", 77)
    settled(player, 77)
    assert numbers(player) == [77] * 4
    heard = told(player)["heard"]
    player.wait_for_timeout(300)
    assert told(player)["heard"] == heard and told(player)["frame"] == 77


@pytest.fixture
def as_before(folder):
    yield
    data = DataSet(folder)
    save_offsets(data, dict.fromkeys(range(len(data.videos)), 0))


def test_offsets_count_at_once_and_are_kept(player, folder, as_before):
    before = DataSet(folder).fingerprint
    seek(player, 50)
    later = player.get_by_role("button", name="Camera ntsc: show a later frame")
    later.click(modifiers=["Shift"])
    later.click()
    player.get_by_role("button", name="Camera variable: show an earlier frame").click()
    settled(player, 50)
    assert numbers(player) == [50, 61, 50, 49]
    player.get_by_role("button", name="Save offsets").click()
    until(player, lambda t: t["fingerprint"] != before)
    kept = DataSet(folder)
    assert [kept.videos[i].offset for i in kept.cameras("kinds")] == [0, 11, 0, -1]
    player.get_by_text("not saved").wait_for(state="hidden")
    press(player, "Home")
    settled(player, 0)
    assert player.get_by_text("this camera starts at 1").is_visible()
    later.click()
    assert player.get_by_text("not saved").is_visible()
    player.get_by_role("button", name="Reset offsets").click()
    player.get_by_text("not saved").wait_for(state="hidden")
    player.get_by_role("button", name="Camera ntsc: show an earlier").click(modifiers=["Shift"])
    player.get_by_role("button", name="Camera ntsc: show an earlier").click()
    player.get_by_role("button", name="Camera variable: show a later").click()
    player.get_by_role("button", name="Save offsets").click()
    until(player, lambda t: t["fingerprint"] == before)  # what was computed then is found again


def test_another_recording_with_a_short_and_an_unplayable_camera(player):
    move(player, "pair", 60)
    player.wait_for_selector(".player video >> nth=2")
    player.get_by_text("This camera cannot be shown").wait_for()
    player.get_by_text("this camera ended at 39").wait_for()
    settled(player, 60)
    assert numbers(player)[0] == 60
    seek(player, 20)
    assert numbers(player)[:2] == [20, 20]
    press(player, "Space")
    player.wait_for_timeout(1200)  # beyond the end of the short one
    press(player, "Space")
    settled(player)
    assert numbers(player)[0] > 42
    assert player.get_by_text("this camera ended at 39").is_visible()
    move(player, "kinds", 5)
    loaded(player, 4)
    settled(player, 5)
    assert numbers(player) == [5] * 4
    move(player, "nothing", 0)
    player.get_by_text("has no recording 'nothing'").wait_for()
    player.errors.clear()  # the browser complains of the file, as it should


def test_an_hour_plays_and_is_never_sent_whole(new_page, url):
    page = new_page(url)
    loaded(page, 4)
    answers = []
    page.on("response", lambda r: answers.append(r) if "workbench-media" in r.url else None)
    move(page, "hour", 0)
    page.wait_for_function("1")
    loaded(page, 1)
    for k in (990, 3, 512):
        seek(page, k)
        assert numbers(page) == [k]
    assert all(r.status == 206 for r in answers)
    sizes = [int(r.headers["content-length"]) for r in answers]
    assert max(sizes) <= 2 * 2**20 and sum(sizes) < 100 * 2**20


def test_ranges(player, folder):
    link = player.locator(".player video").first.evaluate("v => v.src")
    data = (folder.parent / "files" / "constant.mp4").read_bytes()
    size = len(data)

    def ask(path=None, method="GET", **headers):
        parts = urlsplit(link)
        connection = http.client.HTTPConnection(parts.netloc, timeout=10)
        connection.request(method, path or parts.path, headers={
            k.replace("_", "-"): v for k, v in headers.items()
        })  # fmt: skip
        answer = connection.getresponse()
        found = answer.status, answer.headers, answer.read()
        connection.close()
        return found

    status, headers, body = ask()
    assert (status, body, headers["Accept-Ranges"]) == (200, data, "bytes")
    assert headers["Content-Type"] == "video/mp4"
    etag = headers["Etag"]
    for asked, start, stop in [
        ("bytes=0-99", 0, 100),
        ("bytes=100-", 100, size),
        ("bytes=-50", size - 50, size),
        (f"bytes=10-{size + 999}", 10, size),
    ]:
        status, headers, body = ask(Range=asked)
        assert (status, body) == (206, data[start:stop]), asked
        assert headers["Content-Range"] == f"bytes {start}-{stop - 1}/{size}"
    status, headers, body = ask(Range=f"bytes={size}-")
    assert (status, headers["Content-Range"]) == (416, f"bytes */{size}")
    for endless in (f"bytes={'9' * 5000}-", f"bytes=-{'9' * 19}", f"bytes=0-{'9' * 19}"):
        status, headers, body = ask(Range=endless)
        assert (status, headers["Content-Range"], body) == (416, f"bytes */{size}", b"")
    status, headers, body = ask(Range="bytes=10-19, 30-39,-5")  # of several the first
    assert (status, headers["Content-Range"]) == (206, f"bytes 10-19/{size}")
    assert body == data[10:20]
    assert ask(Range="bytes=5-2")[0] == ask(Range="lines=1-2")[0] == 200
    assert ask(If_None_Match=etag)[0] == 304
    assert ask(Range="bytes=0-9", If_Range=etag)[2] == data[:10]
    assert ask(Range="bytes=0-9", If_Range='"other"')[0] == 200
    status, headers, body = ask(method="HEAD")
    assert (status, int(headers["Content-Length"]), body) == (200, size, b"")
    token = re.search(r"[0-9a-f]{32}", link)[0]
    for path in (
        f"/workbench-media/{'0' * 32}/video.mp4",
        f"/workbench-media/{token}",
        f"/workbench-media/{token}/",
        f"/workbench-media/{token}/other.mp4",
        f"/workbench-media/{token}/video.mp4/more",
        f"/workbench-media/{token}/../../etc/passwd",
        f"/workbench-media/{token}/..%2f..%2fdata/dataset.json",
        "/workbench-media/..%2f..%2fetc%2fpasswd",
        f"/workbench-media{folder}/dataset.json",
    ):
        assert ask(path)[0] == 404, path


def test_bytes_where_no_server_can_be_asked(new_page, served, folder):
    before = "media.link = lambda path: None"
    page = new_page(served(APP.format(
        folder=folder, recording="kinds", before=before, after=SERVABLE
    )))  # fmt: skip
    loaded(page, 4)
    assert page.locator(".player video").first.evaluate("v => v.src").startswith("blob:")
    for k in (17, 99, 98, 0):
        seek(page, k)
        assert numbers(page) == [k] * 4
    move(page, "hour", 0)
    page.get_by_text("panel serve apps/explorer.py").wait_for()


@pytest.mark.parametrize(
    "flags, path, after, program",
    [
        (["--prefix", "behind/a"], "behind/a/app", SERVABLE, False),
        ([], "deep/er/page", PROGRAM, True),
    ],
    ids=["prefix", "pn.serve below a folder"],
)  # fmt: skip
def test_other_ways_to_serve(new_page, served, folder, flags, path, after, program):
    text = APP.format(folder=folder, recording="kinds", before="", after=after)
    page = new_page(served(text, *flags, program=program, path=path))
    loaded(page, 4)
    assert page.locator(".player video").first.evaluate("v => v.src").startswith("http")
    seek(page, 33)
    assert numbers(page) == [33] * 4


def test_nothing_chosen(new_page, served, folder):
    page = new_page(served(APP.format(folder=folder, recording="", before="", after=SERVABLE)))
    page.get_by_text("Choose a recording").wait_for()
    assert page.get_by_role("button", name="Play").count() == 0
    move(page, "kinds", 8)
    loaded(page, 4)
    settled(page, 8)
    assert numbers(page) == [8] * 4


@pytest.mark.parametrize("width", [1400, 820, 420])
def test_a_long_name_leaves_the_videos_in_line(player, width):
    player.set_viewport_size({"width": width, "height": 900})
    name = player.locator(".tile .name").first
    name.evaluate("node => { node.textContent = 'a camera of many words, '.repeat(4) }")
    captions = player.locator(".tile .bar").evaluate_all(
        "nodes => nodes.map(n => n.getBoundingClientRect()).map(r => [r.top, r.height])"
    )
    rows = {round(top) for top, _ in captions}
    assert len({height for _, height in captions}) == 1
    assert len(rows) == {1400: 1, 820: 1, 420: 2}[width]
    assert name.get_attribute("title") == "constant"
