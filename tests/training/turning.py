"""A made-up world: a blob that turns round and round, over a wall under changing light."""

from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter1d

from workbench.data.video import ClipShape, Video, VideoSource


def phases(frames, period, seed, jitter=0.1):
    """(frames,) in cycles, unwrapped; each cycle takes another time."""
    rng, out = np.random.default_rng([seed, 1]), [seed % 7 / 7]
    while len(out) < frames:
        n = max(4, round(period * np.exp(jitter * rng.standard_normal())))
        out += list(out[-1] + np.arange(1, n + 1) / n)
    return np.array(out[:frames])


def pixels(phase, size=48, seed=0, light=0.35):
    """(T, size, size, 3) uint8: the blob at angle 2 pi phase; the light drifts and flickers."""
    rng = np.random.default_rng([seed, 2])
    wall = rng.uniform(40, 110, (size // 4, size // 4, 3)).repeat(4, 0).repeat(4, 1)[:size, :size]
    y, x = np.mgrid[:size, :size] / (size - 1) - 0.5
    frames = []
    drift = gaussian_filter1d(rng.standard_normal(len(phase)), 40)
    change = drift / drift.std() / 2 + 0.2 * rng.standard_normal(len(phase))
    for p, bright in zip(phase, 1 + light * change, strict=True):
        angle = 2 * np.pi * p
        far = (x - 0.3 * np.cos(angle)) ** 2 + (y - 0.3 * np.sin(angle)) ** 2
        blob = np.exp(-far / 0.012)[..., None]
        frame = bright * (wall * (1 - blob) + np.array([150, 170, 60]) * blob)
        frames.append(frame + 4 * rng.standard_normal(frame.shape))
    return np.clip(frames, 0, 255).astype(np.uint8)


def turning(videos=3, frames=600, period=60, shape=None, size=48, **light):
    """A source of videos of one camera each, and the phases of their frames."""
    truth = [phases(frames, period, seed) for seed in range(videos)]
    stored = [pixels(p, size, seed, **light) for seed, p in enumerate(truth)]
    found = [
        Video(Path(f"turn{i}.mp4"), f"turn{i}", "0", "turning", frames, 30.0, split="train")
        for i in range(videos)
    ]
    shape = shape or ClipShape(length=32, stride=2, size=size)
    return VideoSource(found, shape, lambda i: stored[i]), [p % 1 for p in truth]


def phase_error(found, truth, apart=30):
    """Mean circular distance of phases of rows and their nearest rows `apart` frames away or more.

    In cycles: chance is 0.25. Nearest neighbours are looked for in the same video.
    """
    errors = []
    for video, phase in enumerate(truth):
        rows = np.flatnonzero(found.index["video"] == video)
        z, at = np.asarray(found.z)[rows], found.index["start"].to_numpy()[rows]
        z = z / np.linalg.norm(z, axis=1, keepdims=True)
        s = z @ z.T
        s[np.abs(at[:, None] - at) < apart] = -2
        off = phase[at] - phase[at[s.argmax(axis=1)]]
        errors.append(np.abs((off + 0.5) % 1 - 0.5))
    return float(np.concatenate(errors).mean())
