"""From files to a data set: good ones in, bad ones listed, whatever dies on the way."""

import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from tests.barcode import read_barcode, write_barcode_video
from tests.data.odd_files import cut
from workbench.data.framestore import DiskFull
from workbench.data.index import IndexingError, index
from workbench.data.manifest import DataSet
from workbench.data.offsets import save_offsets
from workbench.data.sources import Entry, from_pattern
from workbench.data.video import ClipShape


def run(entries, folder, **how):
    """The data set, and the last report."""
    *_, last = index(entries, folder, workers=how.pop("workers", 1), **how)
    assert last.finished
    return DataSet(folder), last


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    for take in ("a_b", "c"):
        for camera, n in (("cam1", 40), ("cam2", 40 if take == "c" else 38)):
            write_barcode_video(folder / f"{take}_{camera}.mp4", n, first=len(take))
    return folder


def test_a_folder_becomes_a_data_set(videos, tmp_path):
    reports = list(index(from_pattern(videos), tmp_path / "d", "two", side=96, workers=2))
    data = DataSet(tmp_path / "d")
    assert (data.name, data.side, data.recordings) == ("two", 96, ["a_b", "c"])
    assert [v.camera for v in data.videos] == ["cam1", "cam2"] * 2
    assert [v.n_frames for v in data.videos] == [40, 38, 40, 40]
    for i, video in enumerate(data.videos):
        numbers = [read_barcode(f) for f in data.frames(i)]
        assert numbers == list(range(len(video.recording), len(video.recording) + video.n_frames))
        path, pts = data.playable(i)
        assert path == video.path and len(pts) == video.n_frames
        assert data.sprite(i).path.is_file() and data.sprite(i).frames[-1] == video.n_frames - 1
    assert data.frames(0).shape[1] == 96
    (problem,) = data.problems
    assert problem.usable and "cam1 40, cam2 38" in problem.found
    assert reports[0].done == 0 and reports[-1].done == reports[-1].total == 4
    assert all(a.done <= b.done for a, b in pairwise(reports))
    clip = data.source(ClipShape(length=4, stride=3, size=64)).clip(0, 5)
    pixels = data.source(ClipShape(length=4, stride=3, size=64)).pixels(clip)
    assert [read_barcode(p) for p in pixels] == [8, 11, 14, 17]


def stamps(folder):
    return {p.parent.name: p.stat().st_mtime_ns for p in folder.glob("videos/[!.]*/frames.npy")}


def test_again_decodes_nothing_and_new_labels_do_not_either(videos, tmp_path):
    entries = from_pattern(videos)
    first, _ = run(entries, tmp_path)
    before, written = stamps(tmp_path), (tmp_path / "dataset.json").stat().st_mtime_ns
    again, last = run(entries, tmp_path)
    assert again.fingerprint == first.fingerprint and last.frames == 0
    assert (tmp_path / "dataset.json").stat().st_mtime_ns == written
    labelled, _ = run([replace(e, label="x", split="val", offset=1) for e in entries], tmp_path)
    assert stamps(tmp_path) == before
    assert labelled.fingerprint != first.fingerprint
    assert {v.label for v in labelled.videos} == {"x"}
    fewer, _ = run(entries[:1], tmp_path)
    assert len(fewer.videos) == len(stamps(tmp_path)) == 1  # what nobody names any more is gone


def test_offsets_saved_by_hand_outlive_indexing_again(videos, tmp_path):
    entries = from_pattern(videos)[2:]
    data, _ = run(entries, tmp_path)
    save_offsets(data, {0: 2, 1: 5})
    saved = save_offsets(data, {0: 0})
    assert [v.offset for v in saved.videos] == [0, 5]
    again, _ = run(entries, tmp_path)
    assert again.fingerprint == saved.fingerprint
    smaller, _ = run(entries, tmp_path, side=96)
    assert [v.offset for v in smaller.videos] == [0, 5]
    assert "cam1 40, cam2 35" in smaller.problems[0].found
    save_offsets(smaller, {1: 6})
    back, _ = run(entries, tmp_path)
    assert [v.offset for v in back.videos] == [0, 6]
    first, _ = run(entries[:1], tmp_path)
    assert [v.offset for v in first.videos] == [0]
    both, _ = run(entries, tmp_path)
    assert [v.offset for v in both.videos] == [0, 6]
    listed = [entries[0], replace(entries[1], offset=1)]
    changed, _ = run(listed, tmp_path)  # the list has a newer opinion
    assert [v.offset for v in changed.videos] == [0, 1]
    undone, _ = run(entries, tmp_path)
    assert [v.offset for v in undone.videos] == [0, 0]


def test_a_changed_file_is_decoded_again(tmp_path):
    path = write_barcode_video(tmp_path / "a.mp4", 20)
    run([Entry(path, "a")], tmp_path / "d")
    write_barcode_video(path, 25)
    data, _ = run([Entry(path, "a")], tmp_path / "d")
    assert data.videos[0].n_frames == 25 and len(stamps(tmp_path / "d")) == 1


def test_bad_files_are_listed_and_the_good_ones_indexed(tmp_path):
    good = write_barcode_video(tmp_path / "good.mp4", 20)
    partly = cut(
        write_barcode_video(tmp_path / "cut.mp4", 300, container_options={"movflags": "faststart"}),
        0.6,
    )
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "text.mp4").write_text("no video")
    entries = [Entry(p, p.stem) for p in (good, partly, tmp_path / "empty.mp4")]
    entries += [Entry(tmp_path / "text.mp4", "text"), Entry(tmp_path / "missing.mp4", "missing")]
    entries += [Entry(partly, "good")]
    data, last = run(entries, tmp_path / "d")
    assert data.recordings == ["good", "cut"]
    listed = {p.path.rsplit("/")[-1]: p for p in data.problems if not p.usable}
    assert set(listed) == {"empty.mp4", "text.mp4", "missing.mp4", "cut.mp4"}
    assert "good.mp4" in listed["cut.mp4"].found  # the second file for one recording and camera
    assert [p.path for p in data.problems if p.usable] == [str(partly)]
    assert all(p.found and p.advice for p in last.problems)
    with pytest.raises(IndexingError, match="strict"):
        list(index(entries, tmp_path / "d", workers=1, strict=True))


def last_report(reports, match):
    """The last report of an indexing that ends in an error."""
    seen = []
    with pytest.raises(IndexingError, match=match):
        seen.extend(reports)
    return seen[-1]


def test_an_unreadable_file_is_listed(tmp_path):
    path = write_barcode_video(tmp_path / "a.mp4", 10)
    path.chmod(0)
    try:
        path.open("rb").close()
    except PermissionError:
        reports = index([Entry(path, "a")], tmp_path / "d", workers=1)
        (problem,) = last_report(reports, "not usable").problems
        assert "permission" in problem.found and "chmod" in problem.advice
    else:
        pytest.skip("this user may read every file")


LOCKED = """
    import av
    from workbench.data import readers, workers

    real = av.open

    def refuse(path, *rest, **how):
        if "locked" in str(path):
            raise av.error.PermissionError(13, "Permission denied", str(path))
        return real(path, *rest, **how)

    readers.av.open = refuse
    workers.main()
"""


def test_a_file_that_may_not_be_opened_is_listed(tmp_path):
    script = tmp_path / "worker.py"
    script.write_text(textwrap.dedent(LOCKED))
    fine, locked = (write_barcode_video(tmp_path / f"{n}.mp4", 10) for n in ("fine", "locked"))
    entries = [Entry(fine, "fine"), Entry(locked, "locked")]
    data, last = run(entries, tmp_path / "d", command=(sys.executable, str(script)))
    assert data.recordings == ["fine"]
    (problem,) = data.problems
    assert last.problems == (problem,)
    assert problem.path == str(locked) and not problem.usable
    assert problem.found == "no permission to read it"
    assert problem.advice == f"Try: chmod +r '{locked}'."


def test_nothing_usable_is_an_error_and_the_last_report_names_the_files(tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.mp4").write_bytes(b"")
    reports = index(from_pattern(tmp_path, "{recording}.mp4"), tmp_path / "d", workers=1)
    last = last_report(reports, r"^none of the 2 files is usable\.$")
    assert sorted(p.path for p in last.problems) == [str(tmp_path / f"{n}.mp4") for n in "ab"]
    assert all("0 bytes" in p.found for p in last.problems) and not last.finished
    assert not (tmp_path / "d" / "dataset.json").exists()


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"workers": 0}, "workers is 0"),
        ({"workers": -1}, "workers is -1"),
        ({"side": 8}, "side is 8"),
        *(({"name": n}, "cannot be the name") for n in ("", "a/b", "..", ".a", "a\\b")),
    ],
)
def test_what_cannot_be_meant_is_refused(how, said, tmp_path):
    with pytest.raises(IndexingError, match=said):
        next(index([Entry(tmp_path / "a.mp4", "a")], tmp_path / "d", **how))
    with pytest.raises(IndexingError, match="no videos"):
        next(index([], tmp_path / "d"))
    assert not (tmp_path / "d").exists()


def test_other_videos_do_not_take_the_place_of_a_data_set(tmp_path):
    for home in ("a", "b"):
        (tmp_path / home).mkdir()
        write_barcode_video(tmp_path / home / "x.mp4", 10)
    first = from_pattern(tmp_path / "a", "{recording}.mp4")
    second = from_pattern(tmp_path / "b", "{recording}.mp4")
    data, _ = run(first, tmp_path / "d")
    before = stamps(tmp_path / "d")
    with pytest.raises(IndexingError, match=rf"'d' holds videos of {tmp_path}/a, .*--name"):
        next(index(second, tmp_path / "d"))
    assert stamps(tmp_path / "d") == before
    assert DataSet(tmp_path / "d").fingerprint == data.fingerprint
    both, _ = run([*first, *(replace(e, recording="y") for e in second)], tmp_path / "d")
    assert both.recordings == ["x", "y"]  # more videos are welcome


def test_segments_are_checked_against_the_recordings(videos, tmp_path):
    rows = [("a_b", 0, 10, "x"), ("c", 35, 50, "y"), ("c", 60, 70, "y"), ("d", 0, 1, "z"),
            ("c", 9, 9, "y")]  # fmt: skip
    segments = pd.DataFrame(rows, columns=["recording", "start", "stop", "label"])
    data, _ = run(from_pattern(videos), tmp_path, segments=segments)
    assert data.segments.to_numpy().tolist() == [["a_b", 0, 10, "x"], ["c", 35, 40, "y"]]
    assert data.videos[0].segments[0].label == "x"
    said = [p.found for p in data.problems if "segment" in p.path]
    assert [s.split()[0] for s in said] == ["it", "it", "recording", "frames"]


DYING = """
    import os, signal, time
    from workbench.data import readers, workers

    real_decord, real_pyav = readers.read_decord, readers.read_pyav

    def decord(path, *rest):
        for k, frame in enumerate(real_decord(path, *rest)):
            if k == 5 and ("segv" in path.name or "deadly" in path.name):
                os.kill(os.getpid(), signal.SIGSEGV)
            if k == 5 and "hang" in path.name:
                time.sleep(1000)
            yield frame

    def pyav(path, *rest):
        if "deadly" in path.name:
            os.abort()
        yield from real_pyav(path, *rest)

    readers.read_decord, readers.read_pyav = decord, pyav
    workers.main()
"""


def test_a_decoder_that_crashes_or_hangs_costs_no_other_video(tmp_path):
    pytest.importorskip("decord", reason="no decord wheel for this platform")
    script = tmp_path / "worker.py"
    script.write_text(textwrap.dedent(DYING))
    for name in ("fine1", "segv", "hang", "deadly", "fine2"):
        write_barcode_video(tmp_path / f"{name}.mp4", 30)
    entries = from_pattern(tmp_path, "{recording}.mp4")
    data, _ = run(
        entries, tmp_path / "d", workers=2, patience=2.0, command=(sys.executable, str(script))
    )
    by = {r.recording: r for r in data.table.itertuples()}
    assert set(by) == {"fine1", "segv", "hang", "fine2"}
    assert {n: r.reader for n, r in by.items()} == {
        "fine1": "decord", "segv": "pyav", "hang": "pyav", "fine2": "decord",
    }  # fmt: skip
    assert "SIGSEGV" in by["segv"].note and "did not answer" in by["hang"].note
    for i in range(4):
        assert [read_barcode(f) for f in data.frames(i)] == list(range(30))
    (problem,) = data.problems
    assert problem.path.endswith("deadly.mp4") and "SIGABRT" in problem.found
    assert not list((tmp_path / "d" / "videos").glob(".*"))


def test_a_worker_that_cannot_start_says_why(tmp_path):
    entries = [Entry(write_barcode_video(tmp_path / "a.mp4", 10), "a")]
    command = (sys.executable, "-c", "raise SystemExit('no codec here')")
    with pytest.raises(RuntimeError, match="no codec here"):
        list(index(entries, tmp_path / "d", workers=1, command=command))


def test_killed_and_started_again_it_finishes_what_was_left(tmp_path):
    for k in range(4):
        write_barcode_video(tmp_path / f"v{k}.mp4", 200)
    folder = tmp_path / "d"
    script = (
        "import sys; from workbench.data.index import index\n"
        "from workbench.data.sources import from_pattern\n"
        "for p in index(from_pattern(sys.argv[1], '{recording}.mp4'), sys.argv[2], workers=1):\n"
        "    print(p.done, flush=True)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path), str(folder)], stdout=subprocess.PIPE
    ) as child:
        for line in child.stdout:
            if int(line) >= 1:
                break
        child.send_signal(signal.SIGKILL)
    assert not (folder / "dataset.json").exists()
    whole = stamps(folder)
    assert 1 <= len(whole) < 4
    time.sleep(0.5)  # the worker sees that its parent is gone and ends
    done = stamps(folder)
    time.sleep(0.5)
    assert stamps(folder) == done
    data, last = run(from_pattern(tmp_path, "{recording}.mp4"), folder)
    assert len(data.videos) == 4 and last.frames == 200 * (4 - len(done))
    assert {k: v for k, v in stamps(folder).items() if k in done} == done
    assert not list(folder.glob("videos/.*"))
    assert [read_barcode(f) for f in data.frames(3)[::50]] == list(range(0, 200, 50))


def test_a_full_disk_stops_with_advice(videos, tmp_path, monkeypatch):
    import shutil

    from workbench.data import framestore

    full = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(framestore.shutil, "disk_usage", lambda path: full)
    job = framestore.Job(str(videos / "c_cam1.mp4"), str(tmp_path), "key", 128)
    with pytest.raises(DiskFull, match="--side"):
        framestore.store(job)
    assert not list(tmp_path.iterdir())


def test_frames_are_read_through_a_memory_map(videos, tmp_path):
    data, _ = run(from_pattern(videos)[:1], tmp_path)
    assert isinstance(data.frames(0), np.memmap) and data.frames(0) is data.frames(0)
