"""Everything needed to repeat a run, as settings."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import nn

from workbench.config import Config
from workbench.data.augment import AugmentConfig
from workbench.data.video import ClipShape, VideoSource
from workbench.methods import Method, MethodConfig
from workbench.methods.moco import MoCoConfig
from workbench.models import EncoderConfig
from workbench.models.parts import start_from
from workbench.models.tiny3d import Tiny3D
from workbench.sampling import SameVideo, SamplerConfig
from workbench.training.devices import DeviceName, PrecisionName
from workbench.training.loader import class_names

if TYPE_CHECKING:
    from workbench.data.manifest import DataSet
    from workbench.training.run import Run
    from workbench.workspace import Workspace


class DataConfig(Config):
    """Which videos, cut into which clips."""

    name: str = Field(min_length=1)
    """Name of the data set in the workspace."""
    splits: tuple[str, ...] | None = None
    """Splits to train on, such as train; none given: all videos."""
    share: float = Field(1.0, gt=0, le=1)
    """Share of every video, from its beginning, to train on (CycleCL's table D)."""
    clip: ClipShape = ClipShape()
    """What the encoder eats."""

    def source(self, dataset: DataSet) -> VideoSource:
        """The clips to train on."""
        source = dataset.source(self.clip, self.splits)
        if self.share == 1:
            return source
        videos = [
            replace(v, n_frames=max(1, round(self.share * v.n_frames))) for v in source.videos
        ]
        return source.holding(videos)


class TrainConfig(Config):
    """How long, how fast, on what."""

    epochs: int = Field(200, ge=1)
    """Passes over the data."""
    steps: int | None = Field(None, ge=1)
    """Steps of the optimizer, where the length is not to be given in epochs."""
    until: float = Field(1.0, gt=0, le=1)
    """Share of its length after which the run ends, before the learning rate has fallen; the first
    stage of ViCC does."""
    batch: int = Field(32, ge=2, le=65536)
    """Examples per step; batch norm and negatives need two."""
    clips_per_video: int = Field(1, ge=1, le=10000)
    """Examples that an epoch takes from each video."""
    optimizer: Literal["sgd", "adam", "adamw", "lars"] = "sgd"
    """Stochastic gradient descent, Adam, Adam with decoupled weight decay, or LARS, which is for
    large batches."""
    lr: float = Field(0.03, gt=0, le=100)
    """Learning rate after the warm-up."""
    momentum: float = Field(0.9, ge=0, lt=1)
    """Momentum of sgd and lars; Adam does not use it."""
    weight_decay: float = Field(1e-4, ge=0, le=1)
    """Pull of the weights towards zero."""
    spare_vectors: bool = False
    """Leave biases and norms without weight decay, and by lars unadapted (SimCLR, BYOL)."""
    trust: float = Field(0.001, gt=0, le=1)
    """Length of a step of lars as a share of the weights' length, at a learning rate of 1."""
    trust_clip: bool = False
    """Keep lars from taking longer steps than sgd would."""
    schedule: Literal["cosine", "steps", "constant"] = "cosine"
    """How the learning rate falls over the run."""
    lr_end: float = Field(0.0, ge=0, le=100)
    """Learning rate to which schedule `cosine` falls."""
    drops: tuple[float, ...] = (0.6, 0.8)
    """Shares of the run at which schedule `steps` drops the learning rate."""
    drop_factor: float = Field(0.1, gt=0, lt=1)
    """What a drop multiplies the learning rate with."""
    warmup: float = Field(0.0, ge=0, lt=1)
    """Share of the run over which the learning rate rises from zero."""
    seed: int = Field(0, ge=0, lt=2**31)
    """Start of everything random."""
    device: DeviceName = "auto"
    """auto takes a GPU where there is one."""
    precision: PrecisionName = "auto"
    """auto takes bf16 where the hardware is fast at it."""
    checkpoint_every: float = Field(30.0, ge=0)
    """Seconds between checkpoints; one more is written at the end or when the run is stopped."""
    evaluations: int = Field(10, ge=0, le=1000)
    """How often kNN and alignment are compared with the random-init encoder's over the run."""

    @model_validator(mode="after")
    def _drops_in_order(self) -> Self:
        if not all(0 < d < 1 for d in self.drops) or list(self.drops) != sorted(self.drops):
            raise ValueError(
                f"drops {self.drops} must rise between 0 and 1: they are shares of the run"
            )
        return self


class Experiment(Config):
    """A run's settings: two runs of the same settings on the same data are the same."""

    data: DataConfig
    """Which videos, cut into which clips."""
    encoder: EncoderConfig = Tiny3D()
    """The network that turns clips into features."""
    sampler: SamplerConfig = SameVideo()
    """Which clips belong together."""
    method: MethodConfig = MoCoConfig()
    """What to do about it."""
    augment: AugmentConfig = AugmentConfig()
    """How views of a clip are made to differ."""
    augment_second: AugmentConfig | None = None
    """The same for the second view of each stream (BYOL, CVRL); none: as the first."""
    train: TrainConfig = TrainConfig()
    """How long, how fast, on what."""
    init: str | None = None
    """A run of the workspace whose encoder is the start, or the start of the part that is the same
    network (resnet18 into resnet18_gru); none: random. Methods of several stages (vicc, coclr) go
    on with head and prototypes too."""
    teacher: str | None = None
    """A run of the workspace on the other stream that the method, as it is there and frozen, learns
    from."""

    @model_validator(mode="after")
    def _views_that_fit(self) -> Self:
        self._taught()
        given, taken = self.sampler.views, self.views
        if given != taken:
            alone = self.sampler.name == "two-streams" and not self.teacher
            raise ValueError(
                f"sampler {self.sampler.name} gives {given} views of an example and method "
                f"{self.method.name} takes {taken}"
                + " of one stream: no teacher is named, a run on the other stream"
                * alone
                + f". {'Set teacher, or change' if alone else 'Change'} sampler (for same-video "
                f"sampler.n: {taken}) or method"
            )
        if self.method.needs_triplets and not self.sampler.gives_triplets:
            raise ValueError(
                f"method {self.method.name} learns from triplets of frames and sampler "
                f"{self.sampler.name} gives none. Use same-phase or time-contrast"
            )
        looks = {"augment": self.augment, "augment_second": self.augment_second}
        for name, look in looks.items():
            if look and look.small and not self.method.small_views:
                raise ValueError(
                    f"{name}.small asks for {look.small} small crops of each clip and method "
                    f"{self.method.name} takes none. Set {name}.small to 0"
                )
        self.method.check(self.train.batch, self.data.clip.length)
        return self

    def _taught(self) -> None:
        """`ValueError` where method, sampler and teacher do not go together."""
        name, streams = self.method.name, self.sampler.streams(self.data.clip.stream)
        if self.teacher and not self.method.taught_views:
            raise ValueError(f"method {name} learns from no teacher. Remove `teacher`")
        if self.method.needs_teacher and not self.teacher:
            raise ValueError(
                f"method {name} learns from a teacher and none is given. Set `teacher` to a run on "
                f"the other stream; `workbench train {name} --data NAME` trains one first"
            )
        if self.teacher and len(streams) < 2:
            raise ValueError(
                f"a teacher sees the other stream of the same moments and sampler "
                f"{self.sampler.name} gives clips of {streams[0]} alone. Use two-streams"
            )

    @property
    def views(self) -> int:
        """Clips of an example that the method takes here."""
        return self.method.taught_views if self.teacher else self.method.views

    def knowing(self, source: VideoSource) -> Self:
        """The experiment once its videos are known; `ValueError` where they will not do."""
        method = self.method.knowing(class_names(source), source.recordings)
        return self.model_copy(update={"method": method})

    def build(self, workspace: Workspace | None = None) -> Method:
        """The method at the start of the run. `workspace` is where `init` and `teacher` lie."""
        torch.manual_seed(self.train.seed)
        encoder = self.encoder.build()
        if not self.init:
            return self._around(encoder, workspace)
        run = parent(workspace, self.init)
        start_from(encoder, run.encoder().state_dict(), f"init: the encoder of run {self.init!r}")
        method = self._around(encoder, workspace)
        if run.whole:
            with torch.random.fork_rng():
                method.start_from(run.method())
        return method

    def _around(self, encoder: nn.Module, workspace: Workspace | None) -> Method:
        if not self.teacher:
            return self.method.build(encoder)
        with torch.random.fork_rng():
            teacher = parent(workspace, self.teacher).method()
        return self.method.build(encoder, teacher=teacher)

    def random_encoder(self) -> nn.Module:
        """The encoder with the random weights of the run's seed: what learning is compared with."""
        torch.manual_seed(self.train.seed)
        plain = {"weights": "none"} if "weights" in type(self.encoder).model_fields else {}
        return self.encoder.model_copy(update=plain).build().eval()


def parent(workspace: Workspace | None, name: str) -> Run:
    """The run of a workspace that another one starts or learns from; `ValueError` without one."""
    from workbench.training.run import Run

    if workspace is None:
        raise ValueError(f"to start from run {name!r}, train in a folder of a workspace.")
    return Run(workspace.run_folder(name))
