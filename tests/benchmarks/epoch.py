"""Whole epochs, data included: against a usual pipeline, and against the step without data.

The usual pipeline: a DataLoader of two workers that decode with decord (resized while decoding),
torchvision v2's augmentation clip by clip, lightly's MoCo. Same network, batch, views and videos:
the demo's (320 x 240, 2 s: little to decode) and videos as data sets have them (640 x 360, 10 s).

python tests/benchmarks/epoch.py [--workspace FOLDER]
"""

import argparse
import copy
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from framestore import make_videos
from learning import SIDE, demo
from lightly.loss import NTXentLoss
from lightly.models.utils import deactivate_requires_grad, update_momentum
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from workbench.data.augment import AugmentConfig
from workbench.data.index import index
from workbench.data.manifest import DataSet
from workbench.data.sources import Entry
from workbench.data.video import ClipShape
from workbench.methods.moco import MoCoConfig
from workbench.models import ENCODERS
from workbench.models.heads import projection_head
from workbench.sampling import SameVideo
from workbench.training.experiment import TrainConfig
from workbench.training.trainer import Trainer
from workbench.workspace import Workspace

SHAPE = ClipShape(length=8, stride=2, size=64)
BATCH, QUEUE, DIM, HIDDEN = 16, 1024, 128, 2048


def longer_videos(folder):
    """32 videos of 640 x 360, 300 frames, a keyframe every 60."""
    folder.mkdir(parents=True, exist_ok=True)
    entries = [Entry(path, path.stem) for path in make_videos(folder, 32)]
    for _ in index(entries, folder / "data", "longer", SIDE):
        pass
    return DataSet(folder / "data")


def ours(dataset, encoder, epochs):
    torch.manual_seed(0)
    method = MoCoConfig(queue=QUEUE, dim=DIM, hidden=HIDDEN).build(ENCODERS[encoder]().build())
    train = TrainConfig(epochs=epochs, batch=BATCH, precision="fp32")
    return Trainer(method, SameVideo(), dataset.source(SHAPE), AugmentConfig(), train)


class Decoded(Dataset):
    """Two augmented clips of a video, decoded when asked for."""

    def __init__(self, videos, width):
        self.videos = videos
        self.width = width
        self.transform = v2.Compose(
            [
                v2.RandomResizedCrop(SHAPE.size, scale=(0.2, 1.0), antialias=True),
                v2.RandomHorizontalFlip(),
                v2.RandomApply([v2.ColorJitter(0.4, 0.4, 0.4, 0.1)], p=0.8),
                v2.RandomGrayscale(0.2),
                v2.RandomApply([v2.GaussianBlur(7, (0.1, 2.0))], p=0.5),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
            ]
        )

    def __len__(self):
        return len(self.videos)

    def __getitem__(self, i):
        import decord

        torch.set_num_threads(1)
        video = self.videos[i]
        reader = decord.VideoReader(str(video.path), width=self.width, height=SIDE, num_threads=1)
        return tuple(self.view(reader) for _ in range(2))

    def view(self, reader):
        start = np.random.randint(len(reader) - SHAPE.span + 1)  # noqa: NPY002
        frames = reader.get_batch(start + SHAPE.stride * np.arange(SHAPE.length)).asnumpy()
        return self.transform(torch.from_numpy(frames).permute(0, 3, 1, 2)).transpose(0, 1)


class Peer(nn.Module):
    """MoCo out of lightly's parts."""

    def __init__(self, encoder):
        super().__init__()
        self.net, self.head = encoder, projection_head(encoder.dim, HIDDEN, DIM)
        self.net_k, self.head_k = copy.deepcopy(self.net), copy.deepcopy(self.head)
        deactivate_requires_grad(self.net_k)
        deactivate_requires_grad(self.head_k)
        self.loss = NTXentLoss(temperature=0.2, memory_bank_size=(QUEUE, DIM))
        self.optimizer = torch.optim.SGD(
            [*self.net.parameters(), *self.head.parameters()], 0.03, 0.9, weight_decay=1e-4
        )

    def step(self, x_q, x_k):
        update_momentum(self.net, self.net_k, m=0.999)
        update_momentum(self.head, self.head_k, m=0.999)
        q = self.head(self.net(x_q).mean(1))
        with torch.no_grad():
            k = self.head_k(self.net_k(x_k).mean(1))
        loss = self.loss(q, k)
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()


def whole_epochs(dataset, rounds):
    """Seconds per epoch, ours and the usual one, in turn; the first of each is not counted."""
    trainer = ours(dataset, "tiny3d", 4 * rounds + 4)
    peer = Peer(ENCODERS["tiny3d"]().build())
    loader = DataLoader(
        Decoded(dataset.videos, dataset.frames(0).shape[2]),
        BATCH,
        shuffle=True,
        drop_last=True,
        num_workers=2,
        persistent_workers=True,
        multiprocessing_context="spawn",
    )
    reports = iter(trainer)
    times = {"ours": [], "usual": []}
    for _ in range(rounds + 1):
        start = time.perf_counter()
        for _ in range(len(trainer.loader)):
            next(reports)
        times["ours"].append(time.perf_counter() - start)
        start = time.perf_counter()
        for x_q, x_k in loader:
            peer.step(x_q, x_k)
        times["usual"].append(time.perf_counter() - start)
    return {name: statistics.median(t[1:]) for name, t in times.items()}


def with_and_without_data(dataset, encoder, rounds):
    """Seconds per step with loading and augmentation, and without, in turn."""
    trainer = ours(dataset, encoder, 1000)
    reports = iter(trainer)
    next(reports)
    loaded = next(trainer.loader.batches(trainer.sampler, 0))
    fixed, make = trainer.batch(loaded), trainer.batch
    times = {"with": [], "without": []}
    for _ in range(rounds):
        start = time.perf_counter()
        next(reports)
        times["with"].append(time.perf_counter() - start)
        trainer.batch = lambda _: fixed
        start = time.perf_counter()
        trainer.step(loaded)
        times["without"].append(time.perf_counter() - start)
        trainer.batch = make
    return {name: statistics.median(t) for name, t in times.items()}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--workspace", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        dataset = demo(Workspace(chosen.workspace or Path(scratch)), "small")
        print(f"batch {BATCH}, {torch.get_num_threads()} threads")
        print("what                                        seconds   without/usual   ratio   bar")
        for name, videos in [("demo", dataset), ("640x360", longer_videos(Path(scratch) / "l"))]:
            found = whole_epochs(videos, chosen.rounds)
            ratio = found["usual"] / found["ours"]
            what = f"a whole epoch, {len(videos.videos)} videos, {name}"
            print(
                f"{what:40} {found['ours']:10.3f} {found['usual']:15.3f} {ratio:6.1f}x  >= 10x",
                flush=True,
            )
        for encoder, bar, rounds in (("tiny3d", 1.35, 30), ("s3d", 1.10, 8)):
            found = with_and_without_data(dataset, encoder, rounds)
            ratio = found["with"] / found["without"]
            print(
                f"step with data against without, {encoder:8} {found['with']:10.3f} "
                f"{found['without']:15.3f} {ratio:6.2f}x  <= {bar}x",
                flush=True,
            )


if __name__ == "__main__":
    main()
