"""Every stored frame is the right one, whatever the container; damaged files give what they can."""

import json

import av
import numpy as np
import pytest

from tests.barcode import read_barcode, write_barcode_video
from tests.data.odd_files import cut, hide_start, odd_videos, overclaim, turn, write_sound
from workbench.data import readers
from workbench.data.framestore import Job, Stored, leftovers, store
from workbench.data.proxy import browser_trouble
from workbench.data.readers import BadVideo, inspect
from workbench.data.sprite import write_sprite

pytest.importorskip("decord", reason="no decord wheel for this platform")
N = 60
PROXIED = {"ts", "mpeg2", "mpeg4", "uneven_mkv", "ten_bit"}
BY_PYAV = {"av1", "ts", "mpeg2"}


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    return odd_videos(tmp_path_factory.mktemp("odd"), N)


def stored(path, folder, **how) -> tuple[Stored, list[int], np.ndarray]:
    """What is said of a stored file, the numbers read in its frames, their (T,) seconds."""
    about = store(Job(str(path), str(folder), "key", 128, **how))
    frames = np.load(folder / "key" / "frames.npy", mmap_mode="r")
    return about, [read_barcode(f) for f in frames], np.load(folder / "key" / "pts.npy")


def shown(path) -> list[int]:
    with av.open(str(path)) as file:
        return [read_barcode(f.to_ndarray(format="rgb24")) for f in file.decode(video=0)]


KINDS = ("plain", "vp9", "av1", "webm", "vp8", "ts", "mpeg2", "mpeg4", "late", "uneven",
         "uneven_mkv", "portrait", "ten_bit", "one_gop")  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_every_frame_of_every_container_is_right(odd, kind, tmp_path):
    about, numbers, pts = stored(odd[kind], tmp_path)
    assert numbers == list(range(N))
    assert about.n_frames == N and (np.diff(pts) > 0).all()
    assert about.fps == pytest.approx(30, rel=0.02)
    assert about.reader == ("pyav" if kind in BY_PYAV else "decord"), about.note
    assert about.proxy == (kind in PROXIED), about.note
    assert not about.doubts
    if about.proxy:
        made = np.load(tmp_path / "key" / "proxy_pts.npy")
        assert shown(tmp_path / "key" / "proxy.mp4") == numbers
        assert made == pytest.approx(pts - pts[0], abs=1e-4)


def test_times_are_those_of_the_container(odd, tmp_path):
    _, _, late = stored(odd["late"], tmp_path / "a")
    assert late == pytest.approx(0.5 + np.arange(N) / 30, abs=1e-3)
    _, _, uneven = stored(odd["uneven"], tmp_path / "b")
    k = np.arange(N)
    assert uneven == pytest.approx(k / 30 + (k % 5) / 200, abs=1e-3)


@pytest.mark.parametrize("read", [readers.read_decord, readers.read_pyav])
@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_turned_videos_are_stored_as_shown(read, degrees, tmp_path):
    path = turn(write_barcode_video(tmp_path / "turned.mp4", 12), degrees)
    container = inspect(path)
    assert (container.width, container.height) == ((320, 180) if degrees == 180 else (180, 320))
    size = readers.stored_size(container.width, container.height, 128)
    for k, (rgb, _) in enumerate(read(path, container, size, 1)):
        assert rgb.shape == (size[1], size[0], 3)
        assert read_barcode(np.rot90(rgb, degrees // 90)) == k
    assert k == 11


def test_turned_videos_have_an_upright_proxy(tmp_path):
    path = turn(write_barcode_video(tmp_path / "turned.mp4", 12), 90)
    store(Job(str(path), str(tmp_path), "key", 128))
    with av.open(str(tmp_path / "key" / "proxy.mp4")) as file:
        pictures = [f.to_ndarray(format="rgb24") for f in file.decode(video=0)]
    assert [read_barcode(np.rot90(p)) for p in pictures] == list(range(12))
    assert all(f is not None and f.shape == (320, 180, 3) for f in pictures)


def test_frames_that_an_edit_list_hides_are_left_out(tmp_path):
    path = hide_start(write_barcode_video(tmp_path / "edit.mp4", N), 0.5)
    about, numbers, _ = stored(path, tmp_path)
    assert numbers == list(range(15, N))
    assert (about.header_frames, about.n_frames, about.reader) == (N, 45, "pyav")
    assert "edit list" in about.doubts[0][0]
    assert shown(tmp_path / "key" / "proxy.mp4") == numbers


def test_a_header_that_overclaims_is_told(tmp_path):
    path = overclaim(write_barcode_video(tmp_path / "over.avi", N, codec="mpeg4"), 252)
    about, numbers, _ = stored(path, tmp_path)
    assert numbers == list(range(N)) and about.header_frames == 252
    assert "60 of the 252" in about.doubts[0][0]


@pytest.mark.parametrize(
    ("name", "options"),
    [("cut.mp4", {"movflags": "faststart"}), ("cut.mkv", {}), ("cut.ts", {})],
)
def test_what_decodes_of_a_cut_file_is_used(name, options, tmp_path):
    path = cut(write_barcode_video(tmp_path / name, 300, container_options=options), 0.6)
    about, numbers, _ = stored(path, tmp_path)
    assert numbers == list(range(len(numbers))) and 60 < len(numbers) < 300
    assert bool(about.doubts) == (name != "cut.ts")  # a stream has no header that could claim more


@pytest.mark.parametrize("reader", ["decord", "pyav"])
def test_a_range_of_frames(odd, reader, tmp_path):
    about, numbers, pts = stored(odd["late"], tmp_path, start=20, end=41, readers=(reader,))
    assert numbers == list(range(20, 41)) and about.reader == reader
    assert pts == pytest.approx(0.5 + np.arange(20, 41) / 30, abs=1e-3)


def test_a_range_of_frames_with_a_proxy(odd, tmp_path):
    _, numbers, _ = stored(odd["ts"], tmp_path, start=20, end=41)
    assert shown(tmp_path / "key" / "proxy.mp4") == numbers == list(range(20, 41))


def bad(folder, kind):
    path = folder / f"{kind}.mp4"
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("This is no video.\n" * 50)
    elif kind == "folder":
        path.mkdir()
    elif kind == "no index":
        cut(write_barcode_video(path, 30), 0.5)
    elif kind == "sound":
        write_sound(path)
    elif kind == "picture":
        from PIL import Image

        Image.new("RGB", (64, 64)).save(path, "JPEG")
    return path


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        ("empty", "0 bytes"),
        ("text", "no video container"),
        ("folder", "folder"),
        ("missing", "missing"),
        ("no index", "cut off"),
        ("sound", "no video in it"),
        ("picture", "picture"),
    ],
)
def test_bad_files_say_what_was_found_and_leave_nothing(kind, found, tmp_path):
    path = bad(tmp_path, kind)
    with pytest.raises(BadVideo, match=found) as error:
        store(Job(str(path), str(tmp_path / "store"), "key", 128))
    assert error.value.advice
    assert not list((tmp_path / "store").iterdir())


def test_a_start_beyond_the_end_says_so(odd, tmp_path):
    with pytest.raises(BadVideo, match="start_frame 500"):
        store(Job(str(odd["plain"]), str(tmp_path), "key", 128, start=500))


@pytest.mark.parametrize("slip", [-1, 1])
def test_a_decoder_that_is_one_frame_off_is_found_out(slip, odd, tmp_path, monkeypatch):
    def slipped(path, container, size, threads):
        frames = [rgb for rgb, _ in readers.read_pyav(path, container, size, threads)]
        for k, seconds in enumerate(container.pts):
            yield frames[min(max(k + slip, 0), N - 1)], seconds

    monkeypatch.setattr(readers, "read_decord", slipped)
    about, numbers, _ = stored(odd["plain"], tmp_path)
    assert numbers == list(range(N)) and about.reader == "pyav"
    assert "of the container" in about.note


def test_frames_are_never_enlarged():
    assert readers.stored_size(1920, 1080, 128) == (228, 128)
    assert readers.stored_size(96, 64, 128) == (96, 64)
    assert readers.stored_size(1080, 1920, 128) == (128, 228)


def test_sprite_shows_the_frames_it_names(odd, tmp_path):
    store(Job(str(odd["plain"]), str(tmp_path), "key", 128))
    frames = np.load(tmp_path / "key" / "frames.npy", mmap_mode="r")
    write_sprite(frames, tmp_path)
    from PIL import Image

    about = json.loads((tmp_path / "sprite.json").read_text())
    sheet = np.asarray(Image.open(tmp_path / "sprite.jpg"))
    w, h = about["width"], about["height"]
    for j, k in enumerate(about["frames"]):
        y, x = divmod(j, about["columns"])
        assert read_barcode(sheet[y * h : (y + 1) * h, x * w : (x + 1) * w]) == k
    assert about["frames"][0] == 0 and about["frames"][-1] == N - 1


def test_sparse_keyframes_and_large_pictures_want_a_proxy(odd, tmp_path):
    assert browser_trouble(odd["plain"], inspect(odd["plain"])) is None
    path = write_barcode_video(tmp_path / "sparse.mp4", 90, gop=300, size=(160, 96))
    assert "per keyframe" in browser_trouble(path, inspect(path))


def test_leftovers_are_those_of_the_dead(tmp_path):
    import os

    for pid in (os.getpid(), 2**22 + 1):
        (tmp_path / f".key.{pid}.tmp").mkdir()
    assert [p.name for p in leftovers(tmp_path)] == [f".key.{2**22 + 1}.tmp"]
