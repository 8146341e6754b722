"""Lightning's Fabric, loaded without torchmetrics.

Fabric imports torchmetrics, where it is installed, to learn its version, and with that torchvision
and scipy.signal: two of the nine seconds that a training took to start. Here it is told.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from types import ModuleType


@contextmanager
def version_alone(package: str) -> Iterator[None]:
    """Importing a package, where it is installed and not loaded yet, gives its version alone."""
    try:
        version = metadata.version(package)
    except metadata.PackageNotFoundError:
        version = None
    if version is None or package in sys.modules:
        yield
        return
    stand_in = sys.modules[package] = ModuleType(package)
    stand_in.__version__ = version
    try:
        yield
    finally:
        del sys.modules[package]


with version_alone("torchmetrics"):
    from lightning_fabric import Fabric

__all__ = ["Fabric", "version_alone"]
