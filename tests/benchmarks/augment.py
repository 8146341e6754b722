"""Augmentation, batched here against torchvision v2 clip by clip: the same recipe, two threads.

python tests/benchmarks/augment.py
"""

import statistics
import time

import numpy as np
import torch
from torchvision.transforms import v2

from workbench.data.augment import NORMAL, AugmentConfig

CLIPS, FRAMES, STORED, SIZE, ROUNDS = 32, 8, 96, 64, 9


def torchvision_recipe(blur: bool) -> v2.Compose:
    blurring = [v2.RandomApply([v2.GaussianBlur(13, (0.1, 2.0))], 0.5)] if blur else []
    return v2.Compose(
        [
            v2.RandomResizedCrop(SIZE, (0.2, 1.0)),  # on uint8, where torchvision is fastest
            v2.RandomHorizontalFlip(),
            v2.RandomApply([v2.ColorJitter(0.4, 0.4, 0.4, 0.1)], 0.8),
            v2.RandomGrayscale(0.2),
            *blurring,
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(*NORMAL["rgb"]),
        ]
    )


def main() -> None:
    torch.set_num_threads(2)
    rng = np.random.default_rng(0)
    arrays = [
        rng.integers(0, 256, (FRAMES, STORED, STORED, 3), dtype=np.uint8) for _ in range(CLIPS)
    ]
    tensors = [torch.from_numpy(a).permute(0, 3, 1, 2) for a in arrays]
    batch = torch.from_numpy(np.stack(arrays))
    round_ = iter(range(10**6))

    def clip_by_clip(recipe):
        return torch.stack([recipe(c) for c in tensors])

    def seeds():
        return np.arange(CLIPS) + CLIPS * next(round_)

    full, sharp = AugmentConfig().build(SIZE), AugmentConfig(blur=0).build(SIZE)
    with_blur, without = torchvision_recipe(blur=True), torchvision_recipe(blur=False)
    work = {
        "torchvision v2": lambda: clip_by_clip(with_blur),
        "here, list of arrays": lambda: full(arrays, seeds()),
        "here, one tensor": lambda: full(batch, seeds()),
        "torchvision v2, no blur": lambda: clip_by_clip(without),
        "here, list of arrays, no blur": lambda: sharp(arrays, seeds()),
    }
    times = {name: [] for name in work}
    for _ in range(ROUNDS):  # interleaved: a busy machine slows all of them
        for name, run in work.items():
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    print(f"{CLIPS} clips of {FRAMES} frames, {STORED} -> {SIZE} px, two threads")
    print(f"{'':32}{'clips/s best':>14}{'median':>10}{'times torchvision (median)':>28}")
    for name, taken in times.items():
        base = times["torchvision v2, no blur" if "no blur" in name else "torchvision v2"]
        ratio = statistics.median(b / t for b, t in zip(base, taken, strict=True))
        best, median = CLIPS / min(taken), CLIPS / statistics.median(taken)
        print(f"{name:32}{best:14.0f}{median:10.0f}{ratio:28.1f}")


if __name__ == "__main__":
    main()
