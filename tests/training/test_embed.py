import json

import numpy as np
import pytest
import torch

from tests.training.boxes import FRAMES, make_experiment
from workbench.data.augment import evaluate_view
from workbench.data.manifest import DataSet
from workbench.data.video import ClipShape, Segment, Video, VideoSource
from workbench.models.frame_net import FrameNet
from workbench.training import embed as module
from workbench.training.embed import embed, embed_run, load_embeddings, map_embeddings
from workbench.training.run import Run
from workbench.training.train import train


def brightness(clips):
    """An encoder that sees how bright each frame is: (B, 3, T, H, W) -> (B, T, 1)."""
    return clips.mean(dim=(1, 3, 4)).unsqueeze(-1)


def test_rows_know_their_moment_and_label():
    frames = np.repeat(np.arange(20, dtype=np.uint8), 16 * 16 * 3).reshape(20, 16, 16, 3)
    video = Video(None, "a", "1", "throw", 20, 30.0, offset=2, segments=(Segment(0, 9, "rest"),))
    source = VideoSource([video], ClipShape(length=3, stride=2, size=16), lambda i: frames)
    told = []
    found = embed(brightness, source, hop=5, progress=lambda a, b: told.append((a, b)), batch=2)
    assert list(found.index["start"]) == [0, 5, 10, 15]
    assert list(found.index["frame"]) == [0, 5, 10, 15]  # centre start + 2, less the offset
    # frames of the recording: -2 0 2 | 3 5 7 | 8 10 12 | 13 15 17
    assert list(found.index["label"]) == ["rest", "rest", "background", "background"]
    assert told == [(2, 4), (4, 4)]
    # bright in proportion to the frame number: centres 2, 7, 12, 17
    np.testing.assert_allclose(np.diff(found.z[:, 0]), np.diff(found.z[:, 0])[0], rtol=1e-3)


def test_without_segments_the_label_is_the_video_s():
    video = Video(None, "a", "1", "throw", 8, 30.0)
    source = VideoSource(
        [video],
        ClipShape(length=4, stride=2, size=16),
        lambda i: np.zeros((8, 16, 16, 3), np.uint8),
    )
    assert list(embed(brightness, source, hop=1).index["label"]) == ["throw"] * 2


@pytest.fixture
def run(workspace):
    folder = workspace / "runs" / "a"
    list(train(make_experiment(steps=2, evaluations=0), folder))
    return Run(folder)


def test_embeddings_are_made_once_and_again_when_the_weights_change(run, workspace, monkeypatch):
    dataset = DataSet(workspace / "data" / "boxes")
    folder = embed_run(run, dataset)
    assert run.embeddings() == [folder.name]
    found = load_embeddings(folder)
    assert isinstance(found.z, np.memmap) and found.z.dtype == np.float32
    assert len(found) == 8 * (FRAMES - 4 + 1)
    assert set(found.index["label"]) == {"background", "left", "right"}
    assert json.loads((folder / "about.json").read_text())["data"] == "boxes"

    work = module.encode
    monkeypatch.setattr(module, "encode", None)  # it would fail if it worked again
    assert embed_run(run, dataset) == folder
    monkeypatch.setattr(module, "encode", work)
    assert embed_run(run, dataset, hop=5) != folder

    model, rest, about = run.load()
    run.save({k: v + 1 for k, v in model.items()}, rest, about)
    assert embed_run(run, dataset) != folder
    assert len(run.embeddings()) == 3


def test_embeddings_are_those_of_the_encoder(run, workspace):
    dataset = DataSet(workspace / "data" / "boxes")
    found = load_embeddings(embed_run(run, dataset, hop=7))
    source = dataset.source(run.config.data.clip)
    clips = torch.from_numpy(source.pixels(source.clip(3, 7)).copy())[None]
    with torch.inference_mode():
        z = run.encoder()(evaluate_view(clips, 16)).mean(1)[0].numpy()
    row = found.index.query("video == 3 and start == 7").index[0]
    np.testing.assert_allclose(found.z[row], z, rtol=1e-4, atol=1e-5)


def test_maps_are_drawn_once(run, workspace):
    folder = embed_run(run, DataSet(workspace / "data" / "boxes"))
    first = map_embeddings(folder, "pca")
    assert first.shape == (len(load_embeddings(folder)), 2)
    (folder / "z.npy").unlink()
    assert np.array_equal(map_embeddings(folder, "pca"), first)
    with pytest.raises(FileNotFoundError, match="workbench embed"):
        load_embeddings(folder)


def test_a_torn_folder_is_made_again(run, workspace):
    dataset = DataSet(workspace / "data" / "boxes")
    folder = embed_run(run, dataset)
    (folder / "about.json").unlink()
    assert run.embeddings() == []
    assert embed_run(run, dataset) == folder
    assert run.embeddings() == [folder.name]


# --- a row for every frame


@pytest.fixture(scope="module")
def frames_of_clips():
    """An encoder that embeds single frames, seeing one neighbour to either side."""
    torch.manual_seed(0)
    return FrameNet(trunk="tiny2d", dim=8).build().eval()


def noise(frames, seed=0):
    return np.random.default_rng(seed).integers(0, 255, (frames, 24, 24, 3), np.uint8)


def of_noise(*lengths, **shape):
    stored = [noise(n, i) for i, n in enumerate(lengths)]
    videos = [
        Video(None, f"r{i}", "1", None, n, 30.0, offset=3, segments=(Segment(10, 20, "odd"),))
        for i, n in enumerate(lengths)
    ]
    shape = ClipShape(**{"length": 8, "stride": 2, "size": 24, **shape})
    return VideoSource(videos, shape, lambda i: stored[i])


def direct(encoder, source, video, stride, first=0):
    """All frames of a video in one forward."""
    whole = noise(source.videos[video].n_frames, video)[first::stride][None]
    with torch.inference_mode():
        return encoder(evaluate_view(torch.from_numpy(whole), source.shape.size))[0].numpy()


@pytest.mark.parametrize("length", [3, 4, 8, 13])
def test_rows_of_frames_are_those_of_the_whole_video(frames_of_clips, length):
    """Windows overlap, so that each frame sees its neighbours as in the whole video at once."""
    source = of_noise(61, 40, length=length)
    found = embed(frames_of_clips, source, time_stride=1)
    assert found.z.shape == (31 + 20, 8)
    for video in (0, 1):
        rows = found.index.query("video == @video")
        assert list(rows["start"]) == list(range(0, source.videos[video].n_frames, 2))
        assert (rows["frame"] == rows["start"] - 3).all()
        shown = ["odd" if 10 <= f < 20 else "background" for f in rows["frame"]]
        assert list(rows["label"]) == shown
        expected = direct(frames_of_clips, source, video, 2)
        np.testing.assert_allclose(found.z[rows.index], expected, atol=1e-5)


def test_short_videos_have_rows_of_frames_too(frames_of_clips):
    source = of_noise(5, 1, 30)
    told = []
    found = embed(frames_of_clips, source, time_stride=1, progress=lambda a, b: told.append((a, b)))
    assert found.index.groupby("video").size().tolist() == [3, 1, 15]
    np.testing.assert_allclose(found.z[:3], direct(frames_of_clips, source, 0, 2), atol=1e-5)
    assert told[-1][0] == told[-1][1] == 2 + len({0, 4, 7})


@pytest.mark.parametrize(("hop", "starts"), [(1, range(30)), (2, range(0, 30, 2)),
                                             (6, range(0, 30, 6))])  # fmt: skip
def test_rows_of_frames_at_other_distances(frames_of_clips, hop, starts):
    source = of_noise(30)
    found = embed(frames_of_clips, source, hop=hop, time_stride=1)
    assert list(found.index["start"]) == list(starts)
    for first in (0, 1) if hop == 1 else (0,):
        expected = direct(frames_of_clips, source, 0, 2, first)[:: max(1, hop // 2)]
        np.testing.assert_allclose(found.z[first :: 2 if hop == 1 else 1], expected, atol=1e-5)
    with pytest.raises(ValueError, match=r"3 frames apart.*every 2 frames"):
        embed(frames_of_clips, source, hop=3, time_stride=1)


def test_rows_of_steps_of_two_frames():
    """An encoder of half the frames: a row starts where its step does."""

    def pairs(clips):
        return brightness(clips).unflatten(1, (-1, 2)).mean(dim=2)

    found = embed(pairs, of_noise(31), time_stride=2)
    assert list(found.index["start"]) == list(range(0, 32, 4))


def test_the_difference_of_frames_needs_one_more(frames_of_clips):
    found = embed(frames_of_clips, of_noise(9, 10, stream="diff"), time_stride=1)
    assert found.index.groupby("video")["start"].max().tolist() == [6, 8]


def test_a_run_with_features_of_frames_has_a_row_for_each(workspace):
    experiment = make_experiment(steps=2, evaluations=0)
    experiment = experiment.model_copy(
        update={
            "encoder": FrameNet(trunk="tiny2d", dim=8),
            "data": experiment.data.model_copy(
                update={"clip": ClipShape(length=4, stride=2, size=16)}
            ),
        }
    )
    run = Run(workspace / "runs" / "a")
    list(train(experiment, run.folder))
    dataset = DataSet(workspace / "data" / "boxes")
    folder = embed_run(run, dataset)
    about = json.loads((folder / "about.json").read_text())
    assert (about["hop"], about["rows"]) == (2, 8 * FRAMES // 2)
    assert list(load_embeddings(folder).index["start"][:10]) == list(range(0, FRAMES, 2))
    assert embed_run(run, dataset) == embed_run(run, dataset, hop=2) == folder
