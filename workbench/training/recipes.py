"""Papers and demonstrations as functions: a data set in, an experiment out."""

from __future__ import annotations

from collections.abc import Callable

from workbench.data.augment import AugmentConfig
from workbench.data.video import ClipShape
from workbench.methods.moco import MoCoConfig
from workbench.models.tiny3d import Tiny3D
from workbench.models.video_nets import S3D
from workbench.sampling import OtherCamera, SameVideo
from workbench.training.experiment import DataConfig, Experiment, TrainConfig


def judo_60s(data: str) -> Experiment:
    """A minute on two cores: the same throw seen by another camera, learned on a small network."""
    return Experiment(
        data=DataConfig(
            name=data,
            splits=("train",),
            clip=ClipShape(length=8, stride=2, size=64, stream="diff"),
        ),
        encoder=Tiny3D(),
        sampler=OtherCamera(),
        method=MoCoConfig(momentum=0.99, queue=1024, hidden=128, dim=64, temperature=0.1),
        augment=AugmentConfig(crop=(0.5, 1.0), hue=0.0, saturation=0.0, gray=0.0, blur=0.2),
        train=TrainConfig(
            steps=120, batch=32, optimizer="adam", lr=1e-3, weight_decay=1e-5, evaluations=4
        ),
    )


def moco_v1(data: str) -> Experiment:
    """MoCo (He et al. 2020): the paper's numbers, S3D on clips of a video.

    Linear head, temperature 0.07, augmentation without blur (section 3.3), SGD 0.03 for batch 256,
    200 epochs, x 0.1 at 120 and 160 (section 4.1). Clips of 32 frames of 128 pixels as in the video
    version of Han et al. 2020 (CoCLR), whose queue of 2048 fits UCF101: K has to be below the
    number of clips.
    """
    return Experiment(
        data=DataConfig(name=data, clip=ClipShape(length=32, stride=1, size=128)),
        encoder=S3D(),
        sampler=SameVideo(),
        method=MoCoConfig(temperature=0.07, hidden=0, queue=2048, mask_same_group=False),
        augment=AugmentConfig(jitter=1.0, hue=0.4, blur=0.0),
        train=TrainConfig(
            epochs=200, batch=256, lr=0.03, schedule="steps", drops=(0.6, 0.8), weight_decay=1e-4
        ),
    )


def moco_v2(data: str) -> Experiment:
    """MoCo v2 (Chen et al. 2020): v1 with a hidden layer, blur, temperature 0.2 and a cosine."""
    first = moco_v1(data)
    return first.model_copy(
        update={
            "method": MoCoConfig(queue=2048, mask_same_group=False),
            "augment": AugmentConfig(),
            "train": TrainConfig(epochs=200, batch=256, lr=0.03, weight_decay=1e-4),
        }
    )


RECIPES: dict[str, Callable[[str], Experiment]] = {
    "judo-60s": judo_60s,
    "moco-v1": moco_v1,
    "moco-v2": moco_v2,
}
