"""Papers whose positives are found among the recordings, in one run: SLIC, IIC, IIC with CPR.

Each comes in two sizes: short, for the demo of actions and two cores (chosen to be small, not to be
right), and with the paper's numbers.
"""

from __future__ import annotations

from workbench.data.augment import AugmentConfig
from workbench.data.video import ClipShape
from workbench.methods.iic import IICConfig
from workbench.methods.slic import SlicConfig
from workbench.models.ten_layers import R3D10
from workbench.models.tiny3d import Tiny3D
from workbench.models.video_nets import R3D18
from workbench.sampling import SameCluster, SameVideo, SamplerConfig
from workbench.training.experiment import DataConfig, Experiment, MethodConfig, TrainConfig
from workbench.training.stages import SHORT_LOOK


def slic(data: str, paper: bool = False) -> Experiment:
    """SLIC (Khorasgani et al. 2022): clusters of the embedding tell who is alike; needs flow.

    The numbers of the code on UCF101: R3D-18 with a stem of seven frames on 16 frames of 128
    pixels, clusters every 5 epochs, 600 epochs of SGD 0.1 in batches of 32, momentum 0.5, no decay,
    constant. Ours: flow is shown with both of its directions, there with the first one alone.
    """
    if not paper:
        return _short(data, SameCluster(), SlicConfig(hidden=128, dim=64), steps=300)
    return Experiment(
        data=_data(data, ClipShape(length=16, stride=1, size=128)),
        encoder=R3D18(stem_frames=7),
        sampler=SameCluster(),
        method=SlicConfig(),
        augment=AugmentConfig(
            crop=(0.25, 1.0), brightness=0.5, contrast=0.5, saturation=0.5, hue=0.5, blur=0.2
        ),
        train=TrainConfig(
            epochs=600, batch=32, lr=0.1, momentum=0.5, weight_decay=0.0, schedule="constant"
        ),
    )


def iic(data: str, paper: bool = False) -> Experiment:
    """IIC (Tao et al. 2020): RGB and its residual against other recordings and broken time.

    The numbers of the code on UCF101: R3D-10 on 16 frames of 112 of 128 x 171 pixels, 1024
    negatives, 240 epochs of SGD 0.01 in batches of 16, x 0.2 at 45, 90, 125 and 160. For flow as
    the second view set sampler to two-streams of one clip, and method.residual to false. The short
    size shows how it works; in 300 steps on 40 recordings the loss did not get below chance.
    """
    if not paper:  # features are as long as they come, the small network's about 11
        return _short(data, SameVideo(n=1), IICConfig(negatives=64, temperature=1.0), steps=300)
    return Experiment(
        data=_data(data, ClipShape(length=16, stride=1, size=112)),
        encoder=R3D10(),
        sampler=SameVideo(n=1),
        method=IICConfig(),
        augment=AugmentConfig(
            crop=(0.5731, 0.5731), aspect=(1.0, 1.0), flip=0.0, jitter=0.0, gray=0.0, blur=0.0
        ),
        train=TrainConfig(
            epochs=240,
            batch=16,
            lr=0.01,
            schedule="steps",
            drops=(45 / 240, 90 / 240, 125 / 240, 160 / 240),
            drop_factor=0.2,
        ),
    )


def iic_cpr(data: str, paper: bool = False) -> Experiment:
    """IIC with CPR (Wu & Wang 2021): positives also are recordings alike in both views.

    Five of them by a cascade of seven stages that halve; the rest is IIC's. When the search begins
    is not given [our reconstruction: after a quarter of the run].
    """
    first = iic(data, paper)
    cascade = {"topk": 5} if paper else {"topk": 3, "stages": 3}
    return first.model_copy(update={"method": first.method.model_copy(update=cascade)})


def _data(name: str, clip: ClipShape) -> DataConfig:
    return DataConfig(name=name, splits=("train",), clip=clip)


def _short(data: str, sampler: SamplerConfig, method: MethodConfig, steps: int) -> Experiment:
    """A minute or two on two cores: a small network on 8 frames of 48 pixels."""
    return Experiment(
        data=_data(data, ClipShape(length=8, stride=2, size=48)),
        encoder=Tiny3D(),
        sampler=sampler,
        method=method,
        augment=SHORT_LOOK,
        train=TrainConfig(
            steps=steps, batch=16, optimizer="adam", lr=1e-3, weight_decay=1e-5, evaluations=4
        ),
    )


ALIKE = {"slic": slic, "iic": iic, "iic-cpr": iic_cpr}
"""Name -> recipe."""
