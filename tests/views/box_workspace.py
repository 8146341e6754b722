"""A workspace with a tiny data set of moving boxes, to train on in a second."""

from pathlib import Path

import numpy as np
import pandas as pd

from tests.training.boxes import FRAMES, make_videos, pixels
from workbench.data.manifest import COLUMNS, write_dataset
from workbench.workspace import Workspace


def box_workspace(root: Path, recordings: int = 6) -> Workspace:
    """The data set `boxes`, as indexing would leave it."""
    folder = root / "data" / "boxes"
    rows, segments = [], []
    for v in make_videos(recordings):
        key = f"{v.recording}_{v.camera}"
        (folder / "videos" / key).mkdir(parents=True)
        np.save(folder / "videos" / key / "frames.npy", pixels(int(v.recording[1:]), int(v.camera)))
        known = {"key": key, "path": str(v.path), "recording": v.recording, "camera": v.camera}
        known |= {"label": v.label, "split": v.split, "tags": "", "offset": 0, "fps": 30.0}
        rows.append(dict.fromkeys(COLUMNS) | known | {"n_frames": FRAMES, "note": ""})
        if v.camera == "0":
            segments += [(v.recording, s.start, s.stop, s.label) for s in v.segments]
    table = pd.DataFrame(rows)
    columns = ["recording", "start", "stop", "label"]
    write_dataset(folder, "boxes", 20, table, pd.DataFrame(segments, columns=columns), [])
    return Workspace(root)
