"""Ways to judge a run, by the names that `workbench evaluate RUN --protocol NAME` knows them by."""

from workbench.training.protocols.cached import FewShots, Probe
from workbench.training.protocols.clusters import Clusters
from workbench.training.protocols.mining import Mining
from workbench.training.protocols.retrieval import Retrieval
from workbench.training.protocols.trained import Finetune, Linear, TenCrop
from workbench.training.protocols.watched import Anomaly, OnlineDetection, Repetition

PROTOCOLS = {
    "detection": OnlineDetection,
    "anomaly": Anomaly,
    "repetition": Repetition,
    "retrieval": Retrieval,
    "probe": Probe,
    "linear": Linear,
    "finetune": Finetune,
    "ten-crop": TenCrop,
    "few-shot": FewShots,
    "clusters": Clusters,
    "mining": Mining,
}
