"""Self-supervised video representations: train them, load them, look at them.

The public names; each is imported when it is first used, so that `import workbench` is quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workbench.analysis.embeddings import Embeddings as Embeddings
    from workbench.data.manifest import DataSet as DataSet
    from workbench.data.video import ClipShape as ClipShape
    from workbench.training.embed import embed_run as embed_run
    from workbench.training.embed import load_embeddings as load_embeddings
    from workbench.training.embed import map_embeddings as map_embeddings
    from workbench.training.experiment import Experiment as Experiment
    from workbench.training.run import Run as Run
    from workbench.training.train import launch as launch
    from workbench.training.train import train as train
    from workbench.views.notebook import notebook as notebook
    from workbench.workspace import Workspace as Workspace
    from workbench.workspace import find_workspace as find_workspace

_HOMES = {
    "ClipShape": "workbench.data.video",
    "DataSet": "workbench.data.manifest",
    "Embeddings": "workbench.analysis.embeddings",
    "Experiment": "workbench.training.experiment",
    "Run": "workbench.training.run",
    "Workspace": "workbench.workspace",
    "embed_run": "workbench.training.embed",
    "find_workspace": "workbench.workspace",
    "launch": "workbench.training.train",
    "load_embeddings": "workbench.training.embed",
    "map_embeddings": "workbench.training.embed",
    "notebook": "workbench.views.notebook",
    "train": "workbench.training.train",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'workbench' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
