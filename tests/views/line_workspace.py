"""A small workspace of a machine: four normal recordings, two with planted anomalies."""

from pathlib import Path

import numpy as np
import pandas as pd

from tests.barcode import write_barcode_video
from tests.views.swing_workspace import picture, write_run, write_sprite
from workbench.analysis.embeddings import Embeddings
from workbench.data.manifest import COLUMNS, DataSet, write_dataset
from workbench.workspace import Workspace

FRAMES, PERIOD, HOP = 240, 24, 2
CAMERAS = ("front", "side")
RECORDINGS = {  # name -> split, anomalies (start, stop, label)
    "normal0": ("train", ()),
    "normal1": ("train", ()),
    "normal2": ("val", ()),
    "normal3": ("test", ()),
    "wrong0": ("test", ((100, 140, "tilted"),)),
    "wrong1": ("test", ((40, 60, "missing"), (180, 220, "tilted"))),
}
KINDS = ("missing", "tilted")


def line_workspace(root: Path, recordings=None, videos: bool = False, splits: bool = True):
    """The data set `line` and the run `steady` with features; `videos`: files that play, too."""
    folder, rows, segments = root / "data" / "line", [], []
    recordings = RECORDINGS if recordings is None else recordings
    for r, (name, (split, wrong)) in enumerate(recordings.items()):
        segments += [(name, *span) for span in wrong]
        for c, camera in enumerate(CAMERAS):
            key = f"{name}-{camera}"
            place = folder / "videos" / key
            place.mkdir(parents=True)
            frames = np.stack([picture(r, c, k) for k in range(FRAMES)])
            np.save(place / "frames.npy", frames)
            np.save(place / "pts.npy", np.arange(FRAMES) / 30)
            write_sprite(place, frames)
            path = root / "files" / f"{key}.mp4"
            if videos:
                path.parent.mkdir(exist_ok=True)
                write_barcode_video(path, FRAMES)
            row = dict.fromkeys(COLUMNS)
            row |= {"key": key, "path": str(path), "recording": name, "camera": camera}
            row |= {"offset": 0, "n_frames": FRAMES, "fps": 30.0, "note": "", "width": 320}
            row |= {"height": 180, "codec": "h264", "reader": "pyav", "tags": ""}
            row |= {"split": split if splits else None, "label": None}
            rows.append({**row, "proxy": False, "proxy_pts": False})
    columns = ["recording", "start", "stop", "label"]
    table = pd.DataFrame(segments, columns=columns)
    write_dataset(folder, "line", 48, pd.DataFrame(rows), table, [])
    workspace = Workspace(root)
    dataset = DataSet(folder)
    write_run(workspace, dataset, found=features(dataset))
    return workspace


def features(dataset: DataSet) -> Embeddings:
    """Features on a circle, and off it in an anomaly; the side camera sees less of that."""
    rows, z, rng = [], [], np.random.default_rng(0)
    for i, v in enumerate(dataset.videos):
        for k in range(4, v.n_frames - 4, HOP):
            phase = 2 * np.pi * k / PERIOD
            label = next((s.label for s in v.segments if s.start <= k < s.stop), "background")
            off = [3.0 * (label == kind) for kind in KINDS]
            if v.camera == "side":
                off = [0.4 * x for x in off]
            z.append([np.sin(phase), np.cos(phase), 0.5, *off] + 0.03 * rng.standard_normal(5))
            rows.append((i, k - 4, k, v.recording, v.camera, label, v.split))
    names = ["video", "start", "frame", "recording", "camera", "label", "split"]
    return Embeddings(np.array(z, np.float32), pd.DataFrame(rows, columns=names))
