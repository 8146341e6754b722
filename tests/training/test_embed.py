import json

import numpy as np
import pytest
import torch

from tests.training.boxes import FRAMES, make_experiment
from workbench.data.manifest import DataSet
from workbench.data.video import ClipShape, Segment, Video, VideoSource
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
    from workbench.data.augment import evaluate_view

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
