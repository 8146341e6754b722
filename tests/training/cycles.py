"""A made-up machine: a blob that turns, with what is known of every frame, as a data set."""

from pathlib import Path

import numpy as np
import pandas as pd

from tests.training.turning import phases, pixels
from workbench.data.manifest import COLUMNS, TRUTH, DataSet, write_dataset
from workbench.workspace import Workspace

FRAMES, PERIOD = 240, 20
ANOMALIES = [("stain", 60, 100), ("flash", 150, 180)]
SPLITS = {"n0": "train", "n1": "train", "n2": "val", "f0": "test", "f1": "test"}


def cycles_workspace(root: Path, frames: bool = False, truth: bool = True) -> Workspace:
    """The data set `cycles`: recordings n0, n1 (train), n2 (val), f0, f1 (test, with anomalies)."""
    folder = root / "data" / "cycles"
    rows, segments, known = [], [], []
    for i, (name, split) in enumerate(SPLITS.items()):
        phase = phases(FRAMES, PERIOD, i)
        (folder / "videos" / name).mkdir(parents=True)
        if frames:
            stored = pixels(phase, 24, 0, light=0.0)
            if split == "test":
                for _, start, stop in ANOMALIES:
                    stored[start:stop, :8, :8] = 255
            np.save(folder / "videos" / name / "frames.npy", stored)
        row = {"key": name, "path": f"{name}.mp4", "recording": name, "camera": "side"}
        row |= {"split": split, "tags": "", "offset": 0, "fps": 30.0, "n_frames": FRAMES}
        rows.append(dict.fromkeys(COLUMNS) | row | {"note": ""})
        segments += [(name, a, b, what) for what, a, b in ANOMALIES if split == "test"]
        told = {"recording": name, "frame": np.arange(FRAMES), "phase": phase % 1}
        odd = np.full(FRAMES, None, object)
        for what, start, stop in ANOMALIES if split == "test" else []:
            odd[start:stop] = what
        known.append(pd.DataFrame(told | {"repetition": phase.astype(int), "anomaly": odd}))
    columns = ["recording", "start", "stop", "label"]
    write_dataset(
        folder, "cycles", 24, pd.DataFrame(rows), pd.DataFrame(segments, columns=columns), []
    )
    if truth:
        pd.concat(known, ignore_index=True).to_parquet(folder / TRUTH)
    return Workspace(root)


def features(dataset: DataSet, hop: int = 2, strange: float = 0.5):
    """What is known of the frames as features: the angle, and what is strange. (N, 4), index."""
    z, index = [], []
    for i, video in enumerate(dataset.videos):
        at = np.arange(0, FRAMES, hop)
        label = np.full(len(at), "background", object)
        for s in video.segments:
            label[(at >= s.start) & (at < s.stop)] = s.label
        known = dataset.truth.query("recording == @video.recording")
        angle = 2 * np.pi * known.set_index("frame")["phase"].loc[at].to_numpy()
        odd = [strange * (label == what) for what, *_ in ANOMALIES]
        z.append(np.stack([np.cos(angle), np.sin(angle), *odd], axis=1))
        about = {"video": i, "start": at, "frame": at, "label": label, "split": video.split}
        index.append(pd.DataFrame(about | {"recording": video.recording, "camera": "side"}))
    return np.concatenate(z).astype(np.float32), pd.concat(index, ignore_index=True)
