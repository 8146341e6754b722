"""Files, growing files and folders are watched to the frame; what cannot be is said."""

import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import av
import pytest

from tests.barcode import draw_barcode, read_barcode, write_barcode_video
from workbench.data import live
from workbench.data.live import watch
from workbench.data.readers import BadVideo


def numbers(video):
    return [read_barcode(rgb) for rgb, _ in video.frames]


def test_a_file_is_read_to_its_end_at_the_stored_size(tmp_path):
    write_barcode_video(tmp_path / "a.mp4", 20, size=(96, 64))
    (video,) = watch(str(tmp_path / "a.mp4"), side=48)
    frames = list(video.frames)
    assert video.name == "a.mp4" and video.fps == pytest.approx(30, rel=0.1)
    assert [read_barcode(rgb) for rgb, _ in frames] == list(range(20))
    assert frames[0][0].shape == (48, 72, 3) and frames[10][1] > frames[9][1]


def test_a_folder_is_read_by_name_and_one_bad_file_leaves_the_others(tmp_path):
    for name in "cab":
        write_barcode_video(tmp_path / f"{name}.mp4", 5, size=(96, 64))
    (tmp_path / "b.mp4").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("x")
    seen = {}
    for video in watch(str(tmp_path), side=48):
        try:
            seen[video.name] = numbers(video)
        except BadVideo as error:
            seen[video.name] = str(error)
    assert list(seen) == ["a.mp4", "b.mp4", "c.mp4"]
    assert seen["a.mp4"] == seen["c.mp4"] == list(range(5)) and "empty" in seen["b.mp4"]


def test_what_cannot_be_watched_is_said(tmp_path):
    with pytest.raises(BadVideo, match="no video in the folder"):
        list(watch(str(tmp_path), 48))
    with pytest.raises(BadVideo, match="is missing"):
        list(watch(str(tmp_path / "no.mp4"), 48))
    (video,) = watch("99", 48)
    with pytest.raises(BadVideo, match="camera"):
        list(video.frames)
    (video,) = watch(str(tmp_path / "later.ts"), 48, follow=True, patience=0.2)
    with pytest.raises(BadVideo, match="did not come"):
        list(video.frames)


class Recorder(threading.Thread):
    """Writes a transport stream in two goes, the second one when it is told to."""

    def __init__(self, path, frames):
        super().__init__(daemon=True)
        self.path, self.frames = path, frames
        self.halfway, self.go_on = threading.Event(), threading.Event()

    def run(self):
        with (
            self.path.open("wb", buffering=0) as raw,
            av.open(raw, "w", format="mpegts") as file,
        ):
            stream = file.add_stream("libx264", rate=30)
            stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
            stream.options = {"preset": "ultrafast", "tune": "zerolatency"}
            for k in range(self.frames):
                if k == self.frames // 2:
                    self.halfway.set()
                    self.go_on.wait(20)
                frame = av.VideoFrame.from_ndarray(draw_barcode(k), format="rgb24")
                file.mux(stream.encode(frame))
            file.mux(stream.encode())


def test_a_growing_file_is_followed_frame_by_frame(tmp_path):
    recorder = Recorder(tmp_path / "live.ts", 80)
    recorder.start()
    recorder.halfway.wait(20)
    (video,) = watch(str(tmp_path / "live.ts"), side=90, follow=True, patience=3)
    seen = []
    for rgb, _ in video.frames:
        seen.append(read_barcode(rgb))
        if len(seen) == 25:  # what is there so far is seen before the rest is written
            assert not recorder.go_on.is_set()
            recorder.go_on.set()
    assert seen == list(range(80))


def test_a_whole_mp4_can_be_followed_too(tmp_path):
    write_barcode_video(tmp_path / "a.mp4", 10, size=(96, 64))
    (video,) = watch(str(tmp_path / "a.mp4"), side=48, follow=True, patience=0.2)
    assert numbers(video) == list(range(10))


def test_files_that_come_into_a_folder_are_watched_once_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(live, "SETTLED", 0.2)
    write_barcode_video(tmp_path / "a.mp4", 5, size=(96, 64))
    names = []
    for video in watch(str(tmp_path), 48, follow=True, patience=1):
        names.append((video.name, len(list(video.frames))))
        if len(names) == 1:
            write_barcode_video(tmp_path / "b.mp4", 6, size=(96, 64))
            time.sleep(0.1)
    assert names == [("a.mp4", 5), ("b.mp4", 6)]


@pytest.mark.parametrize("follow", [False, True])
def test_a_file_that_is_taken_away_is_passed_over(tmp_path, monkeypatch, follow):
    monkeypatch.setattr(live, "SETTLED", 0.2)
    write_barcode_video(tmp_path / "b.mp4", 5, size=(96, 64))
    listed = live._videos
    monkeypatch.setattr(live, "_videos", lambda folder: [folder / "a.mp4", *listed(folder)])
    found = watch(str(tmp_path), 48, follow=follow, patience=1)
    assert [(v.name, numbers(v)) for v in found] == [("b.mp4", list(range(5)))]


@contextmanager
def camera(data, promised, silent=0.0):
    """The URL of a stream that sends data and then, after some silence, hangs up."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", str(promised))
            self.end_headers()
            self.wfile.write(data)
            self.wfile.flush()
            time.sleep(silent)

        def log_message(self, *words):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/live.ts"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def stream(tmp_path):
    recorder = Recorder(tmp_path / "live.ts", 40)
    recorder.go_on.set()
    recorder.run()
    return (tmp_path / "live.ts").read_bytes()


def test_a_stream_that_ends_is_watched_to_its_end(stream):
    with camera(stream, len(stream)) as url:
        (video,) = watch(url, side=90)
        assert numbers(video) == list(range(40))


def test_a_stream_that_breaks_off_is_told(stream):
    seen = []
    with camera(stream[: len(stream) // 2], len(stream)) as url:
        (video,) = watch(url, side=90)
        with pytest.raises(BadVideo, match="broke off"):
            for rgb, _ in video.frames:
                seen.append(read_barcode(rgb))
    assert len(seen) > 10 and seen == list(range(len(seen)))


def test_a_stream_falls_silent_for_as_long_as_there_is_patience(stream):
    with camera(stream, 2 * len(stream), silent=3) as url:
        (video,) = watch(url, side=90, patience=1.0)
        assert len(numbers(video)) > 30
