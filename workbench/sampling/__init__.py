"""Which clips belong together."""

from typing import Annotated

from pydantic import Field

from workbench.sampling.base import Example as Example
from workbench.sampling.base import Sampler as Sampler
from workbench.sampling.other_camera import OtherCamera as OtherCamera
from workbench.sampling.same_cluster import SameCluster as SameCluster
from workbench.sampling.same_phase import SamePhase as SamePhase
from workbench.sampling.same_video import SameVideo as SameVideo
from workbench.sampling.time_contrast import TimeContrast as TimeContrast
from workbench.sampling.two_streams import TwoStreams as TwoStreams

SAMPLERS: dict[str, type[Sampler]] = {
    "same-video": SameVideo,
    "other-camera": OtherCamera,
    "same-phase": SamePhase,
    "time-contrast": TimeContrast,
    "two-streams": TwoStreams,
    "same-cluster": SameCluster,
}

SamplerConfig = Annotated[
    SameVideo | OtherCamera | SamePhase | TimeContrast | TwoStreams | SameCluster,
    Field(discriminator="name"),
]
"""Settings of one sampler, told apart by `name`."""
