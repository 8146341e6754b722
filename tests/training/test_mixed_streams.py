"""A view that is of one stream in some examples and of another one in others."""

import numpy as np
import torch

from tests.training.boxes import make_experiment
from workbench.data.video import VideoSource
from workbench.sampling import Example, Sampler
from workbench.training.trainer import Trainer


class Now(Sampler):
    """The anchor, and another window: in flow for every second video."""

    def usable(self, source):
        return list(range(len(source)))

    def sample(self, source, i, rng):
        stream = "flow" if i % 2 else "rgb"
        return Example((source.clip(i, 0), source.clip(i, 3, stream)), i)


def test_every_clip_is_augmented_as_its_own_stream_is(source):
    def flows(i):
        return 120 + 10 * np.abs(np.diff(source.frames(i)[..., :2].astype(int), axis=0) % 3)

    both = VideoSource(
        source.videos, source.shape, source.frames, lambda i: flows(i).astype(np.uint8)
    )
    experiment = make_experiment(batch=8)
    trainer = Trainer(experiment.build(), Now(), both, experiment.augment, experiment.train)
    loaded = next(trainer.loader.batches(Now(), 0))
    streams = [e.views[1].stream for e in loaded.examples]
    assert sorted(streams) == ["flow"] * 4 + ["rgb"] * 4 and streams != sorted(streams)
    _, mixed = trainer.batch(loaded).views
    for row, stream in enumerate(streams):
        augment = trainer.augments[stream == "rgb"]  # the second of its stream, or the first
        alone = augment([loaded.pixels[1][row]], loaded.seeds[[row], 1], stream)
        torch.testing.assert_close(mixed[[row]], alone)
