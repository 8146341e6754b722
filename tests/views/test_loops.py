"""Clips as sheets of pictures, in frames of their videos."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from tests.views.swing_workspace import CAMERAS, swing_workspace
from workbench.views.loops import ACROSS, PICTURES, Loops, Moment, seconds, sheet, whole, window
from workbench.views.navigation import Navigation
from workbench.views.store import Store


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return Store(swing_workspace(tmp_path_factory.mktemp("swings"), recordings=1))


def picture(found):
    data = base64.b64decode(found["src"].split(",")[1])
    return np.asarray(Image.open(io.BytesIO(data)))


def test_a_sheet_holds_the_frames_from_first_to_last(store):
    found = sheet(store.dataset, Moment(0, 0, 59))
    assert found["n"] == PICTURES and found["columns"] == ACROSS and found["aspect"] == 64 / 48
    whole_sheet, stored = picture(found).astype(int), store.dataset.frames(0)
    for k in (0, 7, PICTURES - 1):
        y, x = 48 * (k // ACROSS), 64 * (k % ACROSS)
        frame = stored[round(59 * k / (PICTURES - 1))].astype(int)
        assert np.abs(whole_sheet[y : y + 48, x : x + 64] - frame).mean() < 6  # JPEG


def test_a_short_clip_has_a_picture_per_frame_and_ends_at_the_video(store):
    assert sheet(store.dataset, Moment(0, 10, 14))["n"] == 5
    assert sheet(store.dataset, Moment(0, 55, 90))["n"] == 5


def test_lost_frames_are_no_error(store, tmp_path):
    gone = swing_workspace(tmp_path, recordings=1)
    dataset = Store(gone).dataset
    (dataset.video_folder(0) / "frames.npy").unlink()
    assert sheet(dataset, Moment(0, 0, 5)) == {}


def test_the_clip_of_a_window_lies_around_its_middle(store):
    index = store.embeddings.index.iloc[:30].assign(start=lambda t: t["frame"] - 12)
    moment = window(store.dataset, index, 10)
    frame = index["frame"].iloc[10]
    assert moment == Moment(0, frame - 12, frame + 12)
    single = index.assign(start=index["frame"])  # features of single frames
    assert window(store.dataset, single, 10) == Moment(0, frame - 8, frame + 8)
    assert window(store.dataset, index, 0).first == 0


def test_all_of_a_video_or_the_middle_of_a_long_one(store):
    assert whole(store.dataset, 1) == Moment(1, 0, 59)
    assert seconds(store.dataset, [Moment(0, 0, 59), Moment(1, 0, 29), Moment(1, 0, 59)]) == 2
    long = store.dataset.videos[0]
    object.__setattr__(long, "n_frames", 1000)
    assert whole(store.dataset, 0) == Moment(0, 440, 559)
    object.__setattr__(long, "n_frames", 60)


def test_a_clip_and_a_tab_tell_what_was_chosen():
    chosen = []
    loops = Loops(chosen.append, items=[{"id": CAMERAS[0], "title": "x"}])
    loops._handle_msg({"choose": CAMERAS[0]})
    assert chosen == ["left"]
    tabs = Navigation([("Look", [("Clips", "grid_view"), ("Map", "map")])])
    assert tabs.active == 0 and tabs.groups[0][0] == "Look"
