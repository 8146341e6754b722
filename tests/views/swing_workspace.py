"""A small workspace with known truth: dots that swing, seen by two cameras, and their features."""

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from tests.barcode import write_barcode_video
from workbench.analysis.embeddings import Embeddings
from workbench.data.manifest import COLUMNS, DataSet, write_dataset
from workbench.training.atomic import write_json
from workbench.workspace import Workspace

FRAMES, PERIOD, HOP = 60, 20, 2
CAMERAS = ("left", "right")
LABELS = ("swing", "spin", "jump")
SIZE = (64, 48)


def picture(recording: int, camera: int, frame: int) -> np.ndarray:
    """(48, 64, 3) uint8: a dot that swings with a period of PERIOD frames."""
    x = 32 + 20 * np.sin(2 * np.pi * frame / PERIOD) * (1 if camera == 0 else -1)
    yy, xx = np.mgrid[:48, :64]
    dot = (xx - x) ** 2 + (yy - 24) ** 2 < 60
    rgb = np.full((48, 64, 3), 40 + 12 * recording, np.uint8)
    rgb[dot] = [(230, 90, 40), (60, 160, 230), (120, 200, 80)][recording % 3]
    return rgb


def swing_workspace(
    root: Path, recordings: int = 6, videos: bool = False, stem: str = "take", tag: str = "odd"
) -> Workspace:
    """The data set `swings` and the run `steady` with features; `videos`: files that play, too.

    stem: what the names of the recordings begin with.
    """
    folder, rows, segments = root / "data" / "swings", [], []
    for r in range(recordings):
        for c, camera in enumerate(CAMERAS):
            name = f"{stem}{r:02}"
            key = f"take{r:02}-{camera}"
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
            row |= {"height": 180, "codec": "h264", "reader": "pyav", "label": LABELS[r % 3]}
            row |= {"split": ("train", "train", "val")[r % 3], "tags": tag if r % 2 else ""}
            rows.append({**row, "proxy": False, "proxy_pts": False})
        segments.append((name, 9, 51, LABELS[r % 3]))
    columns = ["recording", "start", "stop", "label"]
    write_dataset(
        folder, "swings", 48, pd.DataFrame(rows), pd.DataFrame(segments, columns=columns), []
    )
    workspace = Workspace(root)
    write_run(workspace, DataSet(folder))
    return workspace


def write_sprite(place: Path, frames: np.ndarray, step: int = 3, columns: int = 10) -> None:
    """Every `step`-th frame on a sheet."""
    shown = frames[::step]
    lines = -(-len(shown) // columns)
    sheet = np.zeros((lines * SIZE[1], columns * SIZE[0], 3), np.uint8)
    for k, frame in enumerate(shown):
        y, x = SIZE[1] * (k // columns), SIZE[0] * (k % columns)
        sheet[y : y + SIZE[1], x : x + SIZE[0]] = frame
    Image.fromarray(sheet).save(place / "sprite.jpg")
    about = {"width": SIZE[0], "height": SIZE[1], "columns": columns}
    write_json(place / "sprite.json", about | {"frames": list(range(0, len(frames), step))})


def features(dataset: DataSet) -> Embeddings:
    """Features that repeat every PERIOD frames, alike for both cameras, apart for each label."""
    rows, z = [], []
    for i, v in enumerate(dataset.videos):
        for k in range(4, v.n_frames - 4, HOP):
            phase = 2 * np.pi * k / PERIOD
            one_hot = np.eye(3)[LABELS.index(v.label)]
            z.append([np.sin(phase), np.cos(phase), *(0.6 * one_hot), 0.1 * (v.camera == "right")])
            rows.append((i, k - 4, k, v.recording, v.camera, v.label, v.split))
    names = ["video", "start", "frame", "recording", "camera", "label", "split"]
    return Embeddings(np.array(z, np.float32), pd.DataFrame(rows, columns=names))


def write_run(
    workspace: Workspace, dataset: DataSet, name: str = "steady", found: Embeddings | None = None
) -> Path:
    """A finished run with a checkpoint nobody opens and the features of the data set."""
    import yaml

    from workbench.training.run import Run

    run = Run(workspace.runs / name)
    run.model_path.parent.mkdir(parents=True)
    run.model_path.write_bytes(b"not opened")
    settings = {p: {"name": p} for p in ("method", "sampler", "encoder", "data")}
    (run.folder / "config.yaml").write_text(yaml.safe_dump(settings))
    write_json(run.folder / "status.json", {"state": "finished", "message": "done"})
    found = features(dataset) if found is None else found
    folder = run.folder / "embeddings" / "abc"
    folder.mkdir(parents=True)
    np.save(folder / "z.npy", found.z)
    found.index.to_parquet(folder / "index.parquet")
    about = {"fingerprint": dataset.fingerprint, "checkpoint": run.checkpoint_sha, "rows": 1}
    write_json(folder / "about.json", about)
    return folder
