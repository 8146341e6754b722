"""What a classifier would say about the swings: right but for the jumps, taken for spins."""

import numpy as np
import pandas as pd
import yaml

from tests.views.swing_workspace import LABELS
from workbench.analysis.detection import majority
from workbench.data.manifest import DataSet
from workbench.data.video import ClipShape
from workbench.training.atomic import write_json
from workbench.training.evaluate_detection import frame_truth, judge
from workbench.training.run import Run

CLASSES = ("background", *sorted(LABELS))  # background, jump, spin, swing
SHAPE = ClipShape(length=8, stride=1, size=32)


def write_detection(workspace, name="judge", split="val", key="abc", overlap=3, streaming=False):
    """The run of a classifier, and what it says about a split of the swings."""
    dataset, run = DataSet(workspace.data / "swings"), Run(workspace.runs / name)
    write_classifier(run)
    source = dataset.source(SHAPE)
    rows, probabilities, truth = [], [], {}
    for i, v in enumerate(dataset.videos):
        if v.split != split:
            continue
        truth[i] = frame_truth(source, i, CLASSES)
        for start in range(0, v.n_frames - 7, 8 - overlap):
            codes = truth[i][start : start + 8].tolist()
            right = CLASSES[majority(codes)]
            said = CLASSES.index("spin" if right == "jump" else right)
            p = np.full(len(CLASSES), 0.1)
            p[said] = 0.7
            probabilities.append(p)
            about = {"video": i, "recording": v.recording, "camera": v.camera, "start": start}
            about |= {"stop": start + 8, "truth": right, "predicted": CLASSES[said]}
            rows.append(about | {"probability": 0.7, "straddles": len(set(codes)) > 1})
    chunks, probabilities = pd.DataFrame(rows), np.array(probabilities, np.float32)
    folder = run.folder / "detections" / key
    folder.mkdir(parents=True)
    chunks.to_parquet(folder / "chunks.parquet")
    np.save(folder / "probabilities.npy", probabilities)
    scores = judge(CLASSES, chunks, probabilities, source, truth) | {"speed": 12.5}
    about = {"data": "swings", "fingerprint": dataset.fingerprint, "split": split}
    about |= {"checkpoint": run.checkpoint_sha, "clip": SHAPE.model_dump(mode="json")}
    about |= {"overlap": overlap, "streaming": streaming}
    about |= {"classes": list(CLASSES), "held_out": True, "too_short": 0}
    write_json(folder / "about.json", about | {"scores": scores})
    return folder


def write_classifier(run):
    """A run that looks trained; nobody opens its weights."""
    run.model_path.parent.mkdir(parents=True, exist_ok=True)
    run.model_path.write_bytes(b"weights of a classifier")
    settings = {p: {"name": p} for p in ("sampler", "encoder")}
    settings["data"] = {"name": "data", "clip": SHAPE.model_dump(mode="json")}
    settings["method"] = {"name": "classify", "classes": list(CLASSES)}
    (run.folder / "config.yaml").write_text(yaml.safe_dump(settings))
    write_json(run.folder / "status.json", {"state": "finished", "message": "done"})
