"""Papers and demonstrations as functions: a data set in, an experiment out."""

from __future__ import annotations

from collections.abc import Callable

from workbench.data.augment import AugmentConfig
from workbench.data.video import ClipShape
from workbench.methods.byol import BYOLConfig
from workbench.methods.classify import ClassifyConfig
from workbench.methods.cyclecl import CycleCLConfig
from workbench.methods.moco import MoCoConfig
from workbench.methods.simclr import SimCLRConfig
from workbench.methods.simsiam import SimSiamConfig
from workbench.methods.swav import SwAVConfig
from workbench.methods.videomoco import VideoMoCoConfig
from workbench.models.frame_net import FrameNet
from workbench.models.resnet import ResNet18
from workbench.models.slow import SlowR50
from workbench.models.tiny3d import Tiny3D
from workbench.models.video_nets import R3D18, S3D
from workbench.models.x3d import X3DXS
from workbench.sampling import OtherCamera, SamePhase, SameVideo, TimeContrast
from workbench.training.alike import ALIKE
from workbench.training.experiment import DataConfig, Experiment, TrainConfig
from workbench.training.stages import TAUGHT, Stages, coclr, cpr, vicc


def judo_60s(data: str) -> Experiment:
    """A minute on two cores: the same throw seen by another camera, learned on a small network.

    Pictures of 40 pixels buy steps. At momentum 0.99 the key encoder would still lag a third of
    them behind; at 0.9 it keeps up, and the queue is short so that its keys are fresh.
    """
    return Experiment(
        data=DataConfig(
            name=data,
            splits=("train",),
            clip=ClipShape(length=8, stride=2, size=40, stream="diff"),
        ),
        encoder=Tiny3D(),
        sampler=OtherCamera(),
        method=MoCoConfig(momentum=0.9, queue=512, hidden=128, dim=64, temperature=0.1),
        augment=AugmentConfig(crop=(0.5, 1.0), hue=0.0, saturation=0.0, gray=0.0, blur=0.2),
        train=TrainConfig(
            steps=160, batch=32, optimizer="adam", lr=1e-3, weight_decay=1e-5, evaluations=4
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


def simclr(data: str) -> Experiment:
    """SimCLR (Chen et al. 2020): the paper's numbers, S3D on clips of a video.

    Temperature 0.1, LARS without biases and norms, 0.3 for each 256 of a batch of 4096, decay 1e-6,
    100 epochs of which 10 are warm-up (section 2.2, appendix B); colours change by up to 0.8, hue
    by 0.2 (appendix A). Ours: clips as in `moco_v1`; a blur of the paper's sigmas in pixels of the
    clip; the cosine starts with the run rather than after the warm-up.
    """
    return Experiment(
        data=DataConfig(name=data, clip=ClipShape(length=32, stride=1, size=128)),
        encoder=S3D(),
        sampler=SameVideo(),
        method=SimCLRConfig(mask_same_group=False),
        augment=AugmentConfig(
            crop=(0.08, 1.0), brightness=0.8, contrast=0.8, saturation=0.8, hue=0.2
        ),
        train=TrainConfig(
            epochs=100,
            batch=4096,
            optimizer="lars",
            lr=0.3 * 4096 / 256,
            weight_decay=1e-6,
            spare_vectors=True,
            warmup=0.1,
        ),
    )


def byol(data: str) -> Experiment:
    """BYOL (Grill et al. 2020): the paper's numbers, S3D on clips of a video.

    LARS without biases and norms, 0.2 for each 256 of a batch of 4096, decay 1.5e-6, 1000 epochs of
    which 10 are warm-up (section 3.3); one view always blurred, the other one in ten times and then
    solarised two in ten (appendix B, table 6). Ours: as in `simclr`.
    """
    first = AugmentConfig(crop=(0.08, 1.0), saturation=0.2, blur=1.0)
    return Experiment(
        data=DataConfig(name=data, clip=ClipShape(length=32, stride=1, size=128)),
        encoder=S3D(),
        sampler=SameVideo(),
        method=BYOLConfig(),
        augment=first,
        augment_second=first.model_copy(update={"blur": 0.1, "solarise": 0.2}),
        train=TrainConfig(
            epochs=1000,
            batch=4096,
            optimizer="lars",
            lr=0.2 * 4096 / 256,
            weight_decay=1.5e-6,
            spare_vectors=True,
            warmup=0.01,
        ),
    )


def simsiam(data: str) -> Experiment:
    """SimSiam (Chen & He 2021): the paper's numbers, S3D on clips of a video.

    SGD, 0.05 for each 256 of a batch of 512, decay 1e-4, 100 epochs, MoCo v2's augmentation
    (section 3). Ours: clips as in `moco_v1`; batch norm on one device sees the whole batch, as the
    paper's does on eight.
    """
    return Experiment(
        data=DataConfig(name=data, clip=ClipShape(length=32, stride=1, size=128)),
        encoder=S3D(),
        sampler=SameVideo(),
        method=SimSiamConfig(),
        train=TrainConfig(epochs=100, batch=512, lr=0.05 * 512 / 256, weight_decay=1e-4),
    )


def cvrl(data: str) -> Experiment:
    """CVRL (Qian et al. 2021): SimCLR on two clips of a video that are rather close in time.

    Numbers of the authors' code: R3D-50 on 16 frames at stride 2 of 224 pixels, a head of three
    hidden layers, temperature 0.1, linear decay of the distance, SGD for 71,488 steps of 1024 of
    which 1,787 are warm-up; the first view always blurred, the second one in ten times and
    solarised two in ten. Its loss is the sum of the two directions' means, twice ours; learning
    rate 0.64 and decay 5e-7 here take the same steps as its 0.32 and 1e-6 do there.
    """
    first = AugmentConfig(
        crop=(0.3, 1.0),
        aspect=(0.5, 2.0),
        brightness=0.8,
        contrast=0.8,
        saturation=0.8,
        hue=0.2,
        blur=1.0,
    )
    return Experiment(
        data=DataConfig(name=data, clip=ClipShape(length=16, stride=2, size=224)),
        encoder=SlowR50(),
        sampler=SameVideo(decay=1.0),
        method=SimCLRConfig(layers=3, norm_last=False, mask_same_group=False),
        augment=first,
        augment_second=first.model_copy(update={"blur": 0.1, "solarise": 0.2}),
        train=TrainConfig(
            steps=71_488,
            batch=1024,
            lr=2 * 0.32,
            weight_decay=1e-6 / 2,
            spare_vectors=True,
            warmup=1_787 / 71_488,
        ),
    )


def swav(data: str) -> Experiment:
    """SwAV (Caron et al. 2020): the numbers of its small batches, S3D on clips of a video.

    Two full and six small crops of 96 : 224 the side, three of each clip; 3000 prototypes, at rest
    for 1 epoch of 200; a queue of 3840 from epoch 15; LARS on all weights, 0.6 falling to 0.0006
    for a batch of 256, decay 1e-6, no warm-up (appendix A, and the code's settings for batch 256).
    SimCLR's colours. Ours: clips as in `moco_v1`.
    """
    return Experiment(
        data=DataConfig(name=data, clip=ClipShape(length=32, stride=1, size=128)),
        encoder=S3D(),
        sampler=SameVideo(),
        method=SwAVConfig(prototypes=3000, queue=3840, frozen=1 / 200, queue_from=15 / 200),
        augment=AugmentConfig(
            crop=(0.14, 1.0),
            brightness=0.8,
            contrast=0.8,
            saturation=0.8,
            hue=0.2,
            small=3,
            small_crop=(0.05, 0.14),
        ),
        train=TrainConfig(
            epochs=200, batch=256, optimizer="lars", lr=0.6, lr_end=0.0006, weight_decay=1e-6
        ),
    )


def videomoco_1(data: str) -> Experiment:
    """VideoMoCo (Pan et al. 2021), phase one: 100 epochs with fading keys, without the generator.

    R3D-18 on 32 frames of 112 pixels, MoCo's numbers, decay 0.99999 (the paper's code, where the
    learning rate first falls at epoch 120), both views from one moment. Ours: a linear head and
    MoCo v2's augmentation.
    """
    return Experiment(
        data=DataConfig(name=data, clip=ClipShape(length=32, stride=1, size=112)),
        encoder=R3D18(),
        sampler=SameVideo(within=0),
        method=VideoMoCoConfig(mask_same_group=False, drop=0.0),
        train=TrainConfig(epochs=100, batch=256, lr=0.03, schedule="constant", weight_decay=1e-4),
    )


def videomoco_2(data: str) -> Experiment:
    """VideoMoCo, phase two: 100 epochs against the generator; `init` is the run of phase one.

    The learning rate falls at epochs 120 and 160 of both phases. Ours: the encoder alone is taken
    over, while the code goes on with queue and key encoder.
    """
    return videomoco_1(data).model_copy(
        update={
            "method": VideoMoCoConfig(mask_same_group=False),
            "train": TrainConfig(
                epochs=100,
                batch=256,
                lr=0.03,
                schedule="steps",
                drops=(0.2, 0.6),
                weight_decay=1e-4,
            ),
        }
    )


LABELLED_LOOK = AugmentConfig(jitter=0.3, gray=0.0, blur=0.0)
"""Augmentation under labels of CoCLR, CPR and ViCC."""


def classify(data: str) -> Experiment:
    """A linear probe as of CoCLR and ViCC, whose numbers these are; `init` is the run to judge.

    The encoder is frozen with its batch norms; features of unit length, batch norm, linear layer;
    SGD 0.1, decay 1e-3, 100 epochs with drops at 60 and 80. Encoder and clip have to be those of
    the run.
    """
    return Experiment(
        data=DataConfig(
            name=data, splits=("train",), clip=ClipShape(length=32, stride=1, size=128)
        ),
        encoder=S3D(),
        sampler=SameVideo(n=1),
        method=ClassifyConfig(normalise=True),
        augment=LABELLED_LOOK,
        train=TrainConfig(
            epochs=100, batch=32, lr=0.1, schedule="steps", drops=(0.6, 0.8), weight_decay=1e-3
        ),
    )


def supervised(data: str) -> Experiment:
    """All of the network learns from labels: CoCLR's numbers for it.

    Adam 1e-3, decay 1e-3, dropout 0.9, 500 epochs with drops at 400 and 450. To fine-tune a run,
    give it as `init` and set method.encoder_rate to 0.1.
    """
    return classify(data).model_copy(
        update={
            "method": ClassifyConfig(freeze=False, dropout=0.9),
            "train": TrainConfig(
                epochs=500,
                batch=32,
                optimizer="adam",
                lr=1e-3,
                schedule="steps",
                drops=(0.8, 0.9),
                weight_decay=1e-3,
            ),
        }
    )


THESIS_LOOK = AugmentConfig(
    crop=(0.24, 0.39), aspect=(1.0, 1.0), jitter=0.6, blur=0.0, rotate=0.3, erase=0.5
)
"""Augmentation of the thesis on multi-view hard positives: squares of 350 to 450 of the middle 500
pixels, which of a whole picture of 1920 x 1080 is this share; here they may lie anywhere in it. The
strengths of the jitter are not given: MoCo's are taken."""


def thesis_frames(data: str) -> Experiment:
    """Multi-view hard positives on single frames: MoCo v2, ResNet-18, 3000 steps of 210.

    The same instant seen by another camera is the positive; other moments of the recording are
    negatives. Hidden layer 2048, no shuffled batch norm. The frames are those of a ResNet-18 to
    which a classifier adds a GRU. Not given in the thesis, so reconstructed: learning rate (that of
    the paper, by batch), queue, jitter. Any method takes the place of MoCo.
    """
    return Experiment(
        data=DataConfig(name=data, splits=("train",), clip=ClipShape(length=1, stride=1, size=224)),
        encoder=ResNet18(),
        sampler=OtherCamera(),
        method=MoCoConfig(queue=2100, mask_same_group=False, bn_splits=1),
        augment=THESIS_LOOK,
        train=TrainConfig(steps=3000, batch=210, lr=0.03 * 210 / 256),
    )


def thesis_chunks(data: str) -> Experiment:
    """Multi-view hard positives on chunks of 4 frames: MoCo v2, X3D-XS, 4500 steps of 40.

    Otherwise as `thesis_frames`, with what is reconstructed there.
    """
    return Experiment(
        data=DataConfig(name=data, splits=("train",), clip=ClipShape(length=4, stride=1, size=182)),
        encoder=X3DXS(),
        sampler=OtherCamera(),
        method=MoCoConfig(queue=2000, mask_same_group=False, bn_splits=1),
        augment=THESIS_LOOK,
        train=TrainConfig(steps=4500, batch=40, lr=0.03 * 40 / 256),
    )


CYCLE_LOOK = AugmentConfig(
    crop=(0.7, 1.0), aspect=(0.9, 1.1111), flip=0.0, saturation=0.2, hue=0.05, gray=0.1, blur=0.2
)
"""Augmentation of CycleCL, which says nothing of one [our reconstruction]. Nothing is mirrored: a
movement and its mirror image are different phases."""


def cyclecl(data: str) -> Experiment:
    """CycleCL in a minute or two on two cores: a small network on 48 pixels, for the demos.

    Margin and head are the paper's, and so is a chunk of about 2 s; the rest is chosen to be small.
    """
    return Experiment(
        data=DataConfig(name=data, splits=("train",), clip=ClipShape(length=32, stride=2, size=48)),
        encoder=FrameNet(trunk="tiny2d", dim=64),
        sampler=SamePhase(every=5),
        method=CycleCLConfig(),
        augment=CYCLE_LOOK,
        train=TrainConfig(
            steps=200,
            batch=4,
            clips_per_video=8,
            optimizer="adam",
            lr=1e-3,
            weight_decay=1e-5,
            evaluations=4,
        ),
    )


def cyclecl_industrial(data: str) -> Experiment:
    """CycleCL on machines: the numbers of its supplement.

    64 frames at stride 2 of 224 pixels, ResNet-34 that knows ImageNet, the head of 3-D convolution,
    maximum and 128 dimensions, Adam 1e-4, decay 1e-3, margin 0.5. Not given, so reconstructed: how
    triplets are found (see `SamePhase`), batch, length of the run, a constant learning rate,
    augmentation, and which ResNet it is.
    """
    return Experiment(
        data=DataConfig(
            name=data, splits=("train",), clip=ClipShape(length=64, stride=2, size=224)
        ),
        encoder=FrameNet(weights="default"),
        sampler=SamePhase(),
        method=CycleCLConfig(),
        augment=CYCLE_LOOK,
        train=TrainConfig(
            epochs=50,
            batch=2,
            clips_per_video=16,
            optimizer="adam",
            lr=1e-4,
            schedule="constant",
            weight_decay=1e-3,
        ),
    )


def cyclecl_actions(data: str) -> Experiment:
    """CycleCL on human actions: stride 5, otherwise as `cyclecl_industrial`."""
    first = cyclecl_industrial(data)
    clip = first.data.clip.model_copy(update={"stride": 5})
    return first.model_copy(update={"data": first.data.model_copy(update={"clip": clip})})


def tcn(data: str) -> Experiment:
    """TCN of one camera (Sermanet et al. 2018) on the small network and the budget of `cyclecl`.

    TCN's numbers: positives within 6 frames (0.2 s), negatives beyond 12, squared distances of 32
    dimensions, margin 0.2, Adam 1e-3; every frame by itself. Its network is another one, and it
    draws semi-hard negatives.
    """
    first = cyclecl(data)
    return first.model_copy(
        update={
            "encoder": FrameNet(trunk="tiny2d", dim=32, over_time=False),
            "sampler": TimeContrast(),
            "method": CycleCLConfig(margin=0.2, squared=True),
        }
    )


def tcn_multi_view(data: str) -> Experiment:
    """TCN of several cameras: the same moment of another one is the positive; else as `tcn`."""
    return tcn(data).model_copy(update={"sampler": TimeContrast(other_camera=True)})


RECIPES: dict[str, Callable[[str], Experiment]] = {
    "judo-60s": judo_60s,
    "moco-v1": moco_v1,
    "moco-v2": moco_v2,
    "simclr": simclr,
    "byol": byol,
    "simsiam": simsiam,
    "cvrl": cvrl,
    "swav": swav,
    "videomoco-1": videomoco_1,
    "videomoco-2": videomoco_2,
    "classify": classify,
    "supervised": supervised,
    "thesis-frames": thesis_frames,
    "thesis-chunks": thesis_chunks,
    "cyclecl": cyclecl,
    "cyclecl-industrial": cyclecl_industrial,
    "cyclecl-actions": cyclecl_actions,
    "tcn": tcn,
    "tcn-multi-view": tcn_multi_view,
    **TAUGHT,
    **ALIKE,
}

SIZED: dict[str, Callable[[str, bool], Experiment]] = {**TAUGHT, **ALIKE}
"""Recipes that are short, for the demos, and with `paper=True` have the paper's numbers."""

STAGES: dict[str, Callable[[str, bool], Stages]] = {"vicc": vicc, "coclr": coclr, "cpr": cpr}
"""Papers of several runs, in one of two sizes like `SIZED`."""
