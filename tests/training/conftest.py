import json

import numpy as np
import pandas as pd
import pytest
import torch

from tests.training.boxes import FRAMES, SHAPE, make_experiment, make_videos, pixels
from workbench.data.manifest import COLUMNS
from workbench.data.video import VideoSource


@pytest.fixture(autouse=True)
def one_thread():
    """Small pictures: threads would only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def source():
    videos = make_videos()
    stored = [pixels(int(v.recording[1:]), int(v.camera)) for v in videos]
    return VideoSource(videos, SHAPE, lambda i: stored[i])


@pytest.fixture
def experiment():
    return make_experiment()


@pytest.fixture
def workspace(tmp_path):
    """A workspace with the data set `boxes`, as indexing would leave it."""
    folder = tmp_path / "data" / "boxes"
    rows, segments = [], []
    for v in make_videos():
        key = f"{v.recording}_{v.camera}"
        (folder / "videos" / key).mkdir(parents=True)
        frames = pixels(int(v.recording[1:]), int(v.camera))
        np.save(folder / "videos" / key / "frames.npy", frames)
        row = dict.fromkeys(COLUMNS) | {
            "key": key, "path": str(v.path), "recording": v.recording, "camera": v.camera,
            "label": v.label, "split": v.split, "tags": "", "offset": 0, "n_frames": FRAMES,
            "fps": 30.0,
        }  # fmt: skip
        rows.append(row)
        if v.camera == "0":
            segments += [(v.recording, s.start, s.stop, s.label) for s in v.segments]
    pd.DataFrame(rows).to_parquet(folder / "videos.parquet")
    columns = ["recording", "start", "stop", "label"]
    pd.DataFrame(segments, columns=columns).to_parquet(folder / "segments.parquet")
    about = {"name": "boxes", "side": 20, "fingerprint": "f1"}
    (folder / "dataset.json").write_text(json.dumps(about))
    return tmp_path
