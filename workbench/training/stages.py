"""Papers that take several runs: streams that learn by themselves and then from each other.

A run names those that come before it, as `init` and `teacher`, by the names that the loops here
give: the recipe's and the data set's. Every recipe comes in two sizes: short, for the demo of
actions and two cores (chosen to be small, not to be right), and with the paper's numbers.
"""

from __future__ import annotations

from workbench.data.augment import AugmentConfig
from workbench.data.video import ClipShape, Stream
from workbench.methods.coclr import CoCLRConfig, UberNCEConfig
from workbench.methods.moco import MoCoConfig
from workbench.methods.vicc import ViCCConfig
from workbench.models.tiny3d import Tiny3D
from workbench.models.video_nets import S3D
from workbench.sampling import SameVideo, SamplerConfig, TwoStreams
from workbench.training.experiment import DataConfig, Experiment, MethodConfig, TrainConfig

Stages = list[tuple[str, Experiment]]
"""Names of runs, and the runs, in the order in which they are to be trained."""

SHORT_LOOK = AugmentConfig(crop=(0.5, 1.0), hue=0.0, saturation=0.0, gray=0.0, blur=0.2)
LOOK = AugmentConfig(jitter=0.32, gray=0.08, blur=0.2)
"""Augmentation of CoCLR, CPR and ViCC. In their code a view changes its colours and is blurred
4 times in 10: 3 in 10 where the views are of two clips, and one of the two views where both are of
one clip, which is every other time. These are the shares of all views [our reconstruction: they are
always of two clips]. Gray is luminance here and one random channel of each frame there."""


def vicc_rgb_1(data: str, paper: bool = False) -> Experiment:
    """ViCC on RGB alone (Toering et al. 2022): two clips of a video share prototypes.

    The paper's numbers: S3D on 32 frames of 128 pixels, 300 prototypes that rest for 100 epochs,
    queue of 1920 from epoch 150, LARS on all weights, 0.6 falling to 0.0006 over 500 epochs in
    batches of 192, decay 1e-6. The second stage goes on from epoch 300 of them, where the run ends;
    set train.until to 1 for all 500, which the paper judges this stage by.
    """
    return _vicc_first(data, "rgb", paper)


def vicc_flow_1(data: str, paper: bool = False) -> Experiment:
    """ViCC on optical flow alone: as `vicc-rgb-1`, with the queue from epoch 200."""
    return _vicc_first(data, "flow", paper)


def vicc_rgb_2(data: str, paper: bool = False) -> Experiment:
    """ViCC on RGB, taught by flow: goes on from `vicc-rgb-1` with `vicc-flow-1` as teacher.

    The paper's numbers: 100 epochs in batches of 96, prototypes learn from the start, queue from
    epoch 25, otherwise as the first stage; optimizer and learning rate begin anew.
    """
    return _vicc_second(data, "rgb", paper, _run("vicc-rgb-1", data, paper),
                        _run("vicc-flow-1", data, paper))  # fmt: skip


def vicc_flow_2(data: str, paper: bool = False) -> Experiment:
    """ViCC on flow, taught by RGB: goes on from `vicc-flow-1` with `vicc-rgb-2` as teacher."""
    return _vicc_second(data, "flow", paper, _run("vicc-flow-1", data, paper),
                        _run("vicc-rgb-2", data, paper))  # fmt: skip


def vicc(data: str, paper: bool = False) -> Stages:
    """ViCC: each stream by itself, then in turns from each other; twice in the paper's numbers."""
    first = [("vicc-rgb-1", vicc_rgb_1), ("vicc-flow-1", vicc_flow_1)]
    second = [("vicc-rgb-2", vicc_rgb_2), ("vicc-flow-2", vicc_flow_2)]
    return _in_turns(first + second, data, paper)


def infonce_rgb(data: str, paper: bool = False) -> Experiment:
    """InfoNCE on RGB, the first stage of CoCLR and CPR: MoCo on two clips of a video.

    The numbers of CoCLR's code: S3D on 32 frames of 128 pixels, temperature 0.07, queue of 2048,
    Adam 1e-3, decay 1e-5, 300 epochs in batches of 64, x 0.1 at 250 and 280.
    """
    return _infonce(data, "rgb", paper)


def infonce_flow(data: str, paper: bool = False) -> Experiment:
    """InfoNCE on optical flow: as `infonce-rgb`."""
    return _infonce(data, "flow", paper)


def uber_nce_rgb(data: str, paper: bool = False) -> Experiment:
    """UberNCE on RGB (Han et al. 2020): labels say who is a positive, a bound for `coclr-rgb`.

    The numbers of the paper are those of `infonce-rgb` [our reconstruction].
    """
    return _by_label(data, "rgb", paper)


def uber_nce_flow(data: str, paper: bool = False) -> Experiment:
    """UberNCE on optical flow: as `uber-nce-rgb`."""
    return _by_label(data, "flow", paper)


def coclr_rgb(data: str, paper: bool = False) -> Experiment:
    """CoCLR on RGB (Han et al. 2020): goes on from `infonce-rgb`, `infonce-flow` finds positives.

    The numbers of the code: five positives, 100 epochs, x 0.1 at 80, otherwise as the first stage,
    batches of 64 among it [our reconstruction].
    """
    return _mined(data, "rgb", paper, 1, _run("infonce-rgb", data, paper),
                  _run("infonce-flow", data, paper))  # fmt: skip


def coclr_flow(data: str, paper: bool = False) -> Experiment:
    """CoCLR on flow: goes on from `infonce-flow`, and `coclr-rgb` finds positives."""
    return _mined(data, "flow", paper, 1, _run("infonce-flow", data, paper),
                  _run("coclr-rgb", data, paper))  # fmt: skip


def cpr_rgb(data: str, paper: bool = False) -> Experiment:
    """CPR on RGB (Wu & Wang 2021): CoCLR whose positives a cascade through both streams finds.

    Goes on from `infonce-rgb`, with `infonce-flow` as teacher. The numbers of the code: seven
    stages that halve the queue, batches of 32, 100 epochs with x 0.1 at 80 (the supplement has
    drops at 300 and 350) [which of the two is our choice].
    """
    return _mined(data, "rgb", paper, 7, _run("infonce-rgb", data, paper),
                  _run("infonce-flow", data, paper))  # fmt: skip


def cpr_flow(data: str, paper: bool = False) -> Experiment:
    """CPR on flow: goes on from `infonce-flow`, with `cpr-rgb` as teacher."""
    return _mined(data, "flow", paper, 7, _run("infonce-flow", data, paper),
                  _run("cpr-rgb", data, paper))  # fmt: skip


FIRST = [("infonce-rgb", infonce_rgb), ("infonce-flow", infonce_flow)]


def coclr(data: str, paper: bool = False) -> Stages:
    """CoCLR: InfoNCE on each stream, then positives from each other in turns, twice in the paper's
    numbers.
    """
    return _in_turns([*FIRST, ("coclr-rgb", coclr_rgb), ("coclr-flow", coclr_flow)], data, paper)


def cpr(data: str, paper: bool = False) -> Stages:
    """CPR: as CoCLR, whose first stage it shares."""
    return _in_turns([*FIRST, ("cpr-rgb", cpr_rgb), ("cpr-flow", cpr_flow)], data, paper)


def named(stages: Stages, prefix: str) -> Stages:
    """The stages with other names of their runs: `prefix`, a dash and what they were."""
    new = {name: f"{prefix}-{name}" for name, _ in stages}
    return [
        (new[name], e.model_copy(update={"init": new.get(e.init), "teacher": new.get(e.teacher)}))
        for name, e in stages
    ]


def _run(recipe: str, data: str, paper: bool, cycle: int = 1) -> str:
    """The name of a stage's run."""
    size = "-paper" * paper
    return f"{recipe}-{data}{size}" + (f"-cycle-{cycle}" if cycle > 1 else "")


def _in_turns(recipes: list, data: str, paper: bool) -> Stages:
    """Two runs of single streams, then the two of both; the latter again in the paper's numbers.

    The second cycle goes on from the runs of the first, RGB taught by the flow of the first, flow
    by the RGB of the second.
    """
    stages = [(_run(name, data, paper), recipe(data, paper)) for name, recipe in recipes]
    if not paper:
        return stages
    (rgb, first), (flow, second) = stages[2:]
    again = [_run(name, data, paper, cycle=2) for name, _ in recipes[2:]]
    return [
        *stages,
        (again[0], first.model_copy(update={"init": rgb, "teacher": flow})),
        (again[1], second.model_copy(update={"init": flow, "teacher": again[0]})),
    ]


def _vicc_first(data: str, stream: Stream, paper: bool) -> Experiment:
    if not paper:
        method = ViCCConfig(prototypes=30, hidden=128, dim=64, queue=128, frozen=0.05)
        return _short(data, stream, SameVideo(), method, steps=200)
    late = {"rgb": 150 / 500, "flow": 200 / 500}[stream]
    train = VICC_TRAIN.model_copy(update={"epochs": 500, "batch": 192, "until": 300 / 500})
    return _large(data, stream, SameVideo(), ViCCConfig(queue_from=late), train)


def _vicc_second(data: str, stream: Stream, paper: bool, init: str, teacher: str) -> Experiment:
    if not paper:
        method = ViCCConfig(prototypes=30, hidden=128, dim=64, queue=128, frozen=0, queue_from=0)
        return _short(data, stream, TwoStreams(), method, 120, init, teacher)
    method = ViCCConfig(frozen=0, queue_from=25 / 100)
    return _large(data, stream, TwoStreams(), method, VICC_TRAIN, init, teacher)


VICC_TRAIN = TrainConfig(
    epochs=100, batch=96, optimizer="lars", lr=0.6, lr_end=0.0006, weight_decay=1e-6
)
"""ViCC's supplement; steps of LARS are 0.001 of the weights' length, as TrainConfig has it."""


def _infonce(data: str, stream: Stream, paper: bool) -> Experiment:
    if not paper:
        method = MoCoConfig(temperature=0.1, momentum=0.9, queue=128, hidden=128, dim=64)
        return _short(data, stream, SameVideo(), method, steps=200)
    method = MoCoConfig(temperature=0.07, queue=2048, hidden=1024, mask_same_group=False)
    return _large(data, stream, SameVideo(), method, INFONCE_TRAIN)


def _by_label(data: str, stream: Stream, paper: bool) -> Experiment:
    if not paper:
        method = UberNCEConfig(temperature=0.1, momentum=0.9, queue=128, hidden=128, dim=64)
        return _short(data, stream, SameVideo(), method, steps=200)
    method = UberNCEConfig(temperature=0.07, queue=2048, hidden=1024)
    return _large(data, stream, SameVideo(), method, INFONCE_TRAIN)


def _mined(
    data: str, stream: Stream, paper: bool, stages: int, init: str, teacher: str
) -> Experiment:
    if not paper:
        method = CoCLRConfig(
            temperature=0.1, momentum=0.9, queue=128, hidden=128, dim=64, stages=min(5, stages)
        )
        return _short(data, stream, TwoStreams(), method, 120, init, teacher)
    train = _adam(100, 64 if stages == 1 else 32, (0.8,))
    return _large(data, stream, TwoStreams(), CoCLRConfig(stages=stages), train, init, teacher)


def _adam(epochs: int, batch: int, drops: tuple[float, ...]) -> TrainConfig:
    return TrainConfig(
        epochs=epochs,
        batch=batch,
        optimizer="adam",
        lr=1e-3,
        weight_decay=1e-5,
        schedule="steps",
        drops=drops,
    )


INFONCE_TRAIN = _adam(300, 64, (250 / 300, 280 / 300))


def _large(
    data: str,
    stream: Stream,
    sampler: SamplerConfig,
    method: MethodConfig,
    train: TrainConfig,
    init: str | None = None,
    teacher: str | None = None,
) -> Experiment:
    """S3D on clips of 32 frames of 128 pixels, which all three papers share."""
    clip = ClipShape(length=32, stride=1, size=128, stream=stream)
    return Experiment(
        data=DataConfig(name=data, splits=("train",), clip=clip),
        encoder=S3D(),
        sampler=sampler,
        method=method,
        augment=LOOK,
        train=train,
        init=init,
        teacher=teacher,
    )


def _short(
    data: str,
    stream: Stream,
    sampler: SamplerConfig,
    method: MethodConfig,
    steps: int,
    init: str | None = None,
    teacher: str | None = None,
) -> Experiment:
    """A minute or so on two cores: a small network on 8 frames of 48 pixels."""
    clip = ClipShape(length=8, stride=2, size=48, stream=stream)
    return Experiment(
        data=DataConfig(name=data, splits=("train",), clip=clip),
        encoder=Tiny3D(),
        sampler=sampler,
        method=method,
        augment=SHORT_LOOK,
        train=TrainConfig(
            steps=steps,
            batch=16,
            clips_per_video=4,
            optimizer="adam",
            lr=1e-3,
            weight_decay=1e-5,
            evaluations=4,
        ),
        init=init,
        teacher=teacher,
    )


TAUGHT = {
    "vicc-rgb-1": vicc_rgb_1,
    "vicc-flow-1": vicc_flow_1,
    "vicc-rgb-2": vicc_rgb_2,
    "vicc-flow-2": vicc_flow_2,
    "infonce-rgb": infonce_rgb,
    "infonce-flow": infonce_flow,
    "uber-nce-rgb": uber_nce_rgb,
    "uber-nce-flow": uber_nce_flow,
    "coclr-rgb": coclr_rgb,
    "coclr-flow": coclr_flow,
    "cpr-rgb": cpr_rgb,
    "cpr-flow": cpr_flow,
}
"""Name -> recipe, of one run."""
