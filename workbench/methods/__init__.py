"""What to do about it: views in, loss out."""

from typing import Annotated

from pydantic import Field

from workbench.methods.base import Method as Method
from workbench.methods.base import MethodSettings as MethodSettings
from workbench.methods.base import Projected as Projected
from workbench.methods.byol import BYOLConfig
from workbench.methods.classify import ClassifyConfig
from workbench.methods.coclr import CoCLRConfig, UberNCEConfig
from workbench.methods.cyclecl import CycleCLConfig
from workbench.methods.iic import IICConfig
from workbench.methods.moco import MoCoConfig
from workbench.methods.simclr import SimCLRConfig
from workbench.methods.simsiam import SimSiamConfig
from workbench.methods.slic import SlicConfig
from workbench.methods.swav import SwAVConfig
from workbench.methods.vicc import ViCCConfig
from workbench.methods.videomoco import VideoMoCoConfig

METHODS: dict[str, type[MethodSettings]] = {
    "moco": MoCoConfig,
    "simclr": SimCLRConfig,
    "byol": BYOLConfig,
    "simsiam": SimSiamConfig,
    "swav": SwAVConfig,
    "videomoco": VideoMoCoConfig,
    "vicc": ViCCConfig,
    "coclr": CoCLRConfig,
    "uber-nce": UberNCEConfig,
    "iic": IICConfig,
    "slic": SlicConfig,
    "cyclecl": CycleCLConfig,
    "classify": ClassifyConfig,
}

MethodConfig = Annotated[
    MoCoConfig
    | SimCLRConfig
    | BYOLConfig
    | SimSiamConfig
    | SwAVConfig
    | VideoMoCoConfig
    | ViCCConfig
    | CoCLRConfig
    | UberNCEConfig
    | IICConfig
    | SlicConfig
    | CycleCLConfig
    | ClassifyConfig,
    Field(discriminator="name"),
]
"""Settings of one method, told apart by `name`."""
