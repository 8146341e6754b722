"""A MoCo step without data against the passes it cannot do without, and lightly's MoCo.

The floor: query forward and backward, key forward, of encoder and head. 64 px, 8 frames, batch 16.
python tests/benchmarks/moco_step.py
"""

import copy
import statistics
import time

import torch
from lightly.loss import NTXentLoss
from lightly.models.utils import deactivate_requires_grad, update_momentum
from torch import nn

from workbench.clock import Clock
from workbench.data.batch import Batch
from workbench.methods.moco import MoCoConfig
from workbench.models import ENCODERS
from workbench.models.heads import projection_head

BATCH, FRAMES, SIZE, QUEUE, DIM, HIDDEN = 16, 8, 64, 4096, 128, 2048
ROUNDS = {"tiny3d": 40, "s3d": 8}


class Net(nn.Module):
    def __init__(self, name: str) -> None:
        super().__init__()
        self.encoder = ENCODERS[name]().build()
        self.head = projection_head(self.encoder.dim, HIDDEN, DIM)

    def forward(self, x):
        return self.head(self.encoder(x).mean(dim=1))


def bare(name, x_q, x_k):
    query, key = Net(name), Net(name).requires_grad_(False)

    def step():
        query.zero_grad()
        q = query(x_q)
        with torch.no_grad():
            key(x_k)
        q.sum().backward()

    return step


def here(name, x_q, x_k, bn_splits):
    config = MoCoConfig(queue=QUEUE, dim=DIM, hidden=HIDDEN, bn_splits=bn_splits)
    method = config.build(ENCODERS[name]().build())
    batch = Batch((x_q, x_k), torch.arange(BATCH), torch.full((BATCH, FRAMES), -1))

    def step():
        method.zero_grad()
        loss, _ = method(batch, Clock())
        loss.backward()

    return step


def lightly(name, x_q, x_k):
    query = Net(name)
    key = copy.deepcopy(query)
    deactivate_requires_grad(key)
    criterion = NTXentLoss(temperature=0.2, memory_bank_size=(QUEUE, DIM))

    def step():
        query.zero_grad()
        update_momentum(query, key, m=0.999)
        q = query(x_q)
        with torch.no_grad():
            k = key(x_k)
        criterion(q, k).backward()

    return step


def main() -> None:
    torch.set_num_threads(2)
    torch.manual_seed(0)
    print(f"{BATCH} clips of {FRAMES} frames, {SIZE} px, queue {QUEUE}, fp32, two threads")
    print(f"{'':34}{'ms best':>10}{'median':>10}{'best / bare':>14}{'median ratio':>14}")
    for name, rounds in ROUNDS.items():
        x_q, x_k = (torch.randn(BATCH, 3, FRAMES, SIZE, SIZE) for _ in range(2))
        work = {
            "bare passes": bare(name, x_q, x_k),
            "here": here(name, x_q, x_k, bn_splits=1),
            "here, batch norm in two parts": here(name, x_q, x_k, bn_splits=2),
            "lightly": lightly(name, x_q, x_k),
        }
        times = {key: [] for key in work}
        for i in range(rounds + 1):  # interleaved: a busy machine slows all of them
            for key, step in work.items():
                start = time.perf_counter()
                step()
                if i:  # the first round warms up
                    times[key].append(1e3 * (time.perf_counter() - start))
        base = times["bare passes"]
        for key, taken in times.items():
            best, ratio = min(taken) / min(base), statistics.median(
                t / b for t, b in zip(taken, base, strict=True)
            )  # fmt: skip
            print(
                f"{name + ': ' + key:34}{min(taken):10.1f}{statistics.median(taken):10.1f}"
                f"{best:14.3f}{ratio:14.3f}"
            )


if __name__ == "__main__":
    main()
