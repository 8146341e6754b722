"""What to do about it: views in, loss out."""

from workbench.methods.base import Method as Method
from workbench.methods.base import MethodSettings as MethodSettings
from workbench.methods.base import Projected as Projected
from workbench.methods.moco import MoCoConfig

METHODS: dict[str, type[MethodSettings]] = {"moco": MoCoConfig}

MethodConfig = MoCoConfig
"""Settings of one method; becomes a union told apart by `name` with the second method."""
