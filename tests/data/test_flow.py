"""Optical flow of pictures whose motion is known."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torchvision.models import optical_flow

from workbench.cli import FLOWS
from workbench.data.augment import NORMAL, AugmentConfig, evaluate_view
from workbench.data.flow import ALGORITHMS, flow, pixels_of, quantise
from workbench.data.flow_picture import STILL, flow_picture
from workbench.data.flow_store import index_flow
from workbench.data.manifest import COLUMNS, DataSet, write_dataset
from workbench.data.video import ClipShape, Video, VideoSource

RIGHT, UP = (3, 0), (0, -2)  # pixels per frame


def moving(step, n=3, height=48, width=64):
    """(n, height, width, 3) uint8: a texture that moves by `step` (right, down) pixels a frame."""
    coarse = torch.from_numpy(np.random.default_rng(0).uniform(0, 255, (1, 1, 32, 32))).float()
    size = (height + 80, width + 80)
    fine = torch.nn.functional.interpolate(coarse, size, mode="bicubic")[0, 0].clamp(0, 255)
    cuts = [(40 - k * step[1], 40 - k * step[0]) for k in range(n)]
    frames = np.stack([fine.numpy()[y : y + height, x : x + width] for y, x in cuts])
    return np.repeat(frames[..., None], 3, axis=3).astype(np.uint8)


def typical(found):
    """The median motion (u, v) in pixels, away from the borders."""
    return np.median(pixels_of(found)[:, 12:-12, 12:-12], axis=(0, 1, 2))


@pytest.mark.parametrize("algorithm", ["dis", "farneback"])
@pytest.mark.parametrize("step", [RIGHT, UP, (6, 1)])
def test_a_moving_texture_has_its_displacement(algorithm, step):
    found = flow(moving(step, height=64), algorithm)
    assert found.shape == (2, 64, 64, 2) and found.dtype == np.uint8
    np.testing.assert_allclose(typical(found), step, atol=0.16)  # two steps of the rounding


def test_what_does_not_move_is_exactly_at_rest():
    still = flow(moving((0, 0)))
    assert (still == 128).all() and not pixels_of(still).any()


def test_mirrored_pictures_move_the_other_way():
    frames = moving(RIGHT)
    u, v = typical(flow(np.ascontiguousarray(frames[:, :, ::-1])))
    assert abs(u + 3) < 0.16 and abs(v) < 0.16


def test_quantisation_is_that_of_the_papers():
    asked = np.array([-30, -20, -10, 0, 0.07, 10, 20, 99], np.float32)
    assert quantise(asked).tolist() == [0, 0, 64, 128, 128, 191, 255, 255]  # 127.5 rounds to even
    every = np.arange(256, dtype=np.uint8)
    assert (quantise(pixels_of(every)) == every).all()
    fine = np.linspace(-20, 20, 4001, dtype=np.float32)
    assert np.abs(pixels_of(quantise(fine)) - fine).max() < 40 / 255 / 2 + 0.08


def test_one_frame_has_no_flow():
    assert flow(moving(RIGHT, 1)).shape == (0, 48, 64, 2)


def test_the_table_is_what_the_command_offers():
    assert list(ALGORITHMS) == list(FLOWS)


def test_tv_l1_says_how_to_get_it():
    import cv2

    if hasattr(cv2, "optflow"):
        assert np.allclose(typical(flow(moving(RIGHT), "tvl1")), RIGHT, atol=0.2)
    else:
        with pytest.raises(RuntimeError, match="opencv-contrib-python-headless"):
            flow(moving(RIGHT), "tvl1")


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """An empty folder where weights are looked for, and no network."""
    before = torch.hub.get_dir()
    torch.hub.set_dir(tmp_path)

    def offline(*args, **kwargs):
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    yield tmp_path / "checkpoints"
    torch.hub.set_dir(before)


def test_raft_runs_with_weights_from_a_file(hub):
    name = "raft_small_C_T_V2-01064c6d.pth"
    with pytest.raises(RuntimeError, match=rf"Put https.*{name} at {hub / name}"):
        flow(moving(RIGHT), "raft-small")
    torch.manual_seed(0)
    torch.save(optical_flow.raft_small().state_dict(), hub / name)
    assert flow(moving(RIGHT, 2, 44, 60), "raft-small").shape == (1, 44, 60, 2)


@pytest.fixture
def data(tmp_path):
    """A data set of two videos, one to the right and one upwards."""
    rows = []
    for key, step in {"right": RIGHT, "up": UP}.items():
        folder = tmp_path / "videos" / key
        folder.mkdir(parents=True)
        np.save(folder / "frames.npy", moving(step, 6))
        np.save(folder / "pts.npy", np.arange(6) / 30)
        rows.append(dict.fromkeys(COLUMNS) | {
            "key": key, "path": f"/v/{key}.mp4", "recording": key, "camera": "a", "tags": "",
            "offset": 0, "n_frames": 6, "fps": 30.0,
        })  # fmt: skip
    segments = pd.DataFrame(columns=["recording", "start", "stop", "label"])
    return write_dataset(tmp_path, "moves", 48, pd.DataFrame(rows), segments, [])


SHAPE = ClipShape(length=2, stride=2, size=32, stream="flow")


def test_indexing_flow(data):
    with pytest.raises(ValueError, match=r"'moves' holds no optical flow.*`workbench flow moves`"):
        data.source(SHAPE)
    reports = list(index_flow(data))
    assert reports[-1].finished and reports[-1].frames == 12
    assert data.flow == "dis" and data.flows(0).shape == (5, 48, 64, 2)
    assert (np.asarray(data.flows(1)) == flow(data.frames(1))).all()
    files = {p.name for p in data.video_folder(0).iterdir()}
    assert files == {"frames.npy", "pts.npy", "flow.npy", "flow.json", "flow.mp4", "flow_pts.npy"}
    assert not [r for r in index_flow(data) if r.frames]  # nothing is done twice
    path, pts = data.playable(0, flow=True)
    assert path.name == "flow.mp4" and np.allclose(pts, np.arange(6) / 30, atol=1e-4)


def test_flow_of_some_videos_is_not_enough(data):
    reports = index_flow(data, workers=1)
    while not next(reports).done:
        pass
    reports.close()  # as Ctrl-C does
    assert data.flow is None
    with pytest.raises(ValueError, match="holds optical flow of 1 of its 2 videos"):
        data.source(SHAPE)
    before = (data.video_folder(0) / "flow.npy").stat().st_mtime_ns
    list(index_flow(data))
    assert data.flow == "dis"
    assert (data.video_folder(0) / "flow.npy").stat().st_mtime_ns == before
    (data.video_folder(1) / "flow.json").write_text(json.dumps({"algorithm": "farneback"}))
    with pytest.raises(ValueError, match=r"different algorithms \(dis, farneback\)"):
        data.source(SHAPE)


def test_streams_of_unequal_length_are_told(data):
    list(index_flow(data))
    np.save(data.video_folder(1) / "flow.npy", np.zeros((4, 48, 64, 2), np.uint8))
    with pytest.raises(ValueError, match=r"up.mp4 has 6 frames of 64 x 48 pixels and 4 fields"):
        DataSet(data.folder).source(SHAPE)


@pytest.fixture
def source():
    """A video whose frame t is all t, and whose flow from t on is (10 t, 20 t)."""
    frames = np.arange(8, dtype=np.uint8)[:, None, None, None] * np.ones((1, 20, 20, 3), np.uint8)
    moved = frames[:-1, ..., :2] * np.array([10, 20], np.uint8)
    video = Video(Path("v.mp4"), "v", "a", None, 8, 30.0)
    return VideoSource([video], SHAPE, lambda i: frames, lambda i: moved)


def test_clips_of_flow_pair_frame_t_with_flow_t(source):
    pixels = source.pixels(source.clip(0, 3))
    assert pixels.shape == (2, 20, 20, 3) and pixels[:, 0, 0].tolist() == [
        [30, 60, 128], [50, 100, 128]
    ]  # fmt: skip
    rgb = source.pixels(source.clip(0, 3, "rgb"))
    assert rgb[:, 0, 0, 0].tolist() == [3, 5]


def test_room_for_all_the_streams_that_are_asked_for(source):
    assert source.streams == ("rgb", "diff", "flow")
    assert source.room(0) == source.room(0, ("rgb", "flow")) == 4  # 3 frames and the next: 4 ... 7
    assert source.room(0, ("rgb",)) == source.room(0, ["rgb"]) == 5
    assert source.select(lambda v: True).pixels(source.clip(0, 4)).shape == (2, 20, 20, 3)
    with pytest.raises(ValueError, match="needs 9"):
        source.clip(0, 5)
    with pytest.raises(ValueError, match="without optical flow"):
        VideoSource(source.videos, SHAPE, source.frames).require("rgb", "flow")


def test_flow_as_the_picture_of_the_references(source):
    """(128, v, u) as colours, normalised as colours, jittered, and mirrored without a new sign."""
    shape = SHAPE.model_copy(update={"flow_as_picture": True})
    like = source.holding(shape=shape)
    clip = like.pixels(like.clip(0, 3))
    assert clip[0, 0, 0].tolist() == [128, 60, 30]
    assert shape.seen_as("flow") == "rgb" and SHAPE.seen_as("flow") == "flow"
    seen = evaluate_view([clip], 16, shape.seen_as("flow"))[0, :, 0, 8, 8]
    mean, spread = (torch.tensor(v) for v in NORMAL["rgb"])
    torch.testing.assert_close(seen * spread + mean, torch.tensor([128, 60, 30]) / 255)
    always = AugmentConfig(flip=1, jitter=0, gray=0, blur=0).build(16)
    flipped = always([clip], np.arange(1), shape.seen_as("flow"))[0, :, 0, 8, 8]
    torch.testing.assert_close(flipped, seen, atol=1e-3, rtol=0)
    vectors = source.pixels(source.clip(0, 3))
    u = always([vectors], np.arange(1), "flow")[0, 0, 0, 8, 8] * NORMAL["flow"][1][0] * 255
    assert round(float(u)) == 128 - 30


def test_the_picture_tells_the_direction_by_hue():
    gray = np.full((64, 64, 3), 100, np.uint8)

    def colour(u, v):
        field = quantise(np.full((64, 64, 2), (u, v), np.float32))
        return flow_picture(field, gray)[0, 0].astype(int).tolist()

    assert colour(9, 0) == [255, 0, 0]  # right: red; then clockwise
    assert np.allclose(colour(-9, 0), [0, 255, 255], atol=1)
    assert colour(0, 0) == [55, 55, 55]  # rest: the frame, dimmed
    assert colour(0, 0.2) == [55, 55, 55]
    down, up = colour(0, 9), colour(0, -9)
    assert down[1] > 253 > down[0] > down[2] == 0 and up[2] > 253 > up[0] > up[1] == 0
    red, green, blue = colour(STILL + (4 - STILL) / 4, 0)  # half of full colour, at 4 pixels
    assert abs(red - 155) < 6 and abs(green - 77) < 4 and green == blue
