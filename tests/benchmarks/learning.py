"""What a run of the demo recipe learns, against the random-init encoder of the same seed.

Held-out recordings only: the kNN asks which throw a window belongs to, with the training split as
its bank (background left out); alignment searches a window's moment in the other cameras.

python tests/benchmarks/learning.py --size full --seeds 3 [--workspace FOLDER] [--recipe judo-60s]
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from workbench.analysis.scores import cross_view_alignment, knn_accuracy
from workbench.data import index
from workbench.data.demo import judo
from workbench.data.manifest import DataSet
from workbench.data.tables import from_manifest, read_segments
from workbench.training.embed import embed
from workbench.training.recipes import RECIPES
from workbench.training.run import Run
from workbench.training.train import train
from workbench.workspace import Workspace

SIDE = 80


def demo(workspace, size):
    """The demo of a size, made where it is not there yet."""
    folder = workspace.data / f"judo-{size}"
    if not (folder / "dataset.json").is_file():
        videos = workspace.root / "demo" / size
        start = time.perf_counter()
        for _ in judo.make(videos, size, 0):
            pass
        print(f"videos made in {time.perf_counter() - start:.0f} s", flush=True)
        start = time.perf_counter()
        entries, segments = (
            from_manifest(videos / "clips.csv"),
            read_segments(videos / "segments.csv"),
        )
        for _ in index.index(entries, folder, folder.name, SIDE, segments):
            pass
        print(f"indexed in {time.perf_counter() - start:.0f} s", flush=True)
    return DataSet(folder)


def scores(encoder, source, hop):
    """kNN of the throw and alignment, each with its chance, on what is not the training split."""
    found = embed(encoder, source, hop)
    table = found.index
    throw = (table["label"] != judo.BACKGROUND).to_numpy()
    held = (table["split"] != "train").to_numpy()
    knn = knn_accuracy(
        found.z, table["label"], table["recording"], queries=held & throw, bank=~held & throw
    )
    return knn, cross_view_alignment(found.where(held))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", default="full", choices=judo.SIZES)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--recipe", default="judo-60s", choices=RECIPES)
    parser.add_argument("--workspace", type=Path)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        workspace = Workspace(chosen.workspace or Path(scratch))
        dataset = demo(workspace, chosen.size)
        base = RECIPES[chosen.recipe](dataset.name)
        source = dataset.source(base.data.clip)
        trained = dataset.source(base.data.clip, base.data.splits)
        hop = max(1, base.data.clip.span // 3)
        print(f"{chosen.recipe} on {dataset.name}, {torch.get_num_threads()} threads")
        print("                        kNN of the throw              alignment error")
        print("seed  seconds  steps   random  trained (chance)      random  trained (chance)")
        rows = []
        for seed in range(chosen.seeds):
            settings = base.train.model_copy(update={"seed": seed, "evaluations": 0})
            experiment = base.model_copy(update={"train": settings})
            run = Run(Path(scratch) / "runs" / str(seed))
            start = time.perf_counter()
            for report in train(experiment, run.folder, trained):
                steps = report.clock.step
            seconds = time.perf_counter() - start
            before = scores(experiment.random_encoder(), source, hop)
            after = scores(run.encoder(), source, hop)
            rows.append([before[0].value, after[0].value, before[1].error, after[1].error])
            print(
                f"{seed:4}  {seconds:7.1f}  {steps:5}   {before[0].value:6.3f}  "
                f"{after[0].value:7.3f} ({after[0].chance:.3f})    {before[1].error:9.3f}  "
                f"{after[1].error:7.3f} ({after[1].chance:.3f})",
                flush=True,
            )
        mean = np.mean(rows, axis=0)
        print(f"mean kNN {mean[0]:.3f} -> {mean[1]:.3f}, alignment {mean[2]:.3f} -> {mean[3]:.3f}")


if __name__ == "__main__":
    main()
