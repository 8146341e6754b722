"""Every encoder: parameters, multiply-adds, and milliseconds per clip, forward and backward.

At 8 frames of 64 px and at the size its paper uses. fp32, random weights, best of some rounds. The
time is that of the processor, all threads together, so that other work on the machine disturbs
little; with one thread it is what an idle machine takes.
python tests/benchmarks/encoders.py [--threads 1] [--batch 4] [--native] [NAME ...]
"""

import argparse
import time

import torch
from torch.utils.flop_counter import FlopCounterMode

from workbench.models import ENCODERS

SMALL = (8, 64)
NATIVE = {
    "tiny3d": (8, 64),
    "resnet18": (8, 224),
    "resnet50": (8, 224),
    "resnet18_gru": (8, 224),
    "x3d_xs": (4, 182),
    "slow_r50": (16, 224),
    "c3d": (16, 112),
    "r3d_18": (16, 112),
    "r2plus1d_18": (16, 112),
    "mc3_18": (16, 112),
    "s3d": (32, 128),
    "r3d_10": (16, 112),
    "r2plus1d_10": (16, 112),
}
"""Frames and pixels as the papers have them; X3D-XS as its published recipe tests it."""


def best(work, seconds, least=2):
    """Processor milliseconds of the fastest round, after one that warms up."""
    work()
    taken = []
    while len(taken) < least or sum(taken) < 1e3 * seconds:
        start = time.process_time()
        work()
        taken.append(1e3 * (time.process_time() - start))
    return min(taken)


def measure(net, shape, batch, seconds):
    """G multiply-adds, ms per clip forward in eval mode, ms forward and backward in training."""
    frames, size = shape
    clips = torch.randn(batch, 3, frames, size, size)

    def forward():
        with torch.inference_mode():
            net(clips)

    def both():
        net.zero_grad()
        net(clips).sum().backward()

    net.eval()
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        net(clips[:1])
    passed = best(forward, seconds) / batch
    net.train()
    return counter.get_total_flops() / 2e9, passed, best(both, seconds) / batch


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", default=list(ENCODERS))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--native", action="store_true", help="the papers' sizes as well")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    print(f"fp32, {args.threads} threads, batches of {args.batch} (native: 1)")
    print("| encoder | M params | clip | G mult-adds | forward ms/clip | forward + backward |")
    print("|---|---|---|---|---|---|")
    for name in args.names:
        net = ENCODERS[name]().build()
        params = sum(p.numel() for p in net.parameters()) / 1e6
        sizes = [(SMALL, args.batch)]
        if args.native and NATIVE[name] != SMALL:
            sizes.append((NATIVE[name], 1))
        for (frames, size), batch in sizes:
            work, passed, both = measure(net, (frames, size), batch, args.seconds)
            print(
                f"| {name} | {params:.2f} | {frames} x {size} px | {work:.2f} | {passed:.1f} "
                f"| {both:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
