"""Protocols about the moments of long videos: online detection, anomalies, repetitions."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from workbench.config import Config
from workbench.data.manifest import DataSet
from workbench.training.evaluate_detection import Detection, evaluate_detection
from workbench.training.evaluate_periodic import Evaluation, evaluate_anomaly, evaluate_repetition
from workbench.training.protocols.base import Progress
from workbench.training.reference import VigilConfig

if TYPE_CHECKING:
    from workbench.training.run import Run


class OnlineDetection(Config):
    """Online action detection, chunk by chunk, by a run of method classify."""

    name: ClassVar[str] = "detection"
    fuses: ClassVar[bool] = False

    split: str | None = None
    """Which videos: a split or `all`; default: test, else val, else all."""
    chunk: int | None = Field(None, ge=1)
    """Pictures in a chunk, as far apart as in training; default: as many as there."""
    overlap: int | None = Field(None, ge=0)
    """Pictures that two chunks share; default: 3 of 8, 2 of 4."""
    streaming: bool = False
    """Carry the state of a recurrent encoder on from chunk to chunk."""

    def evaluate(self, run: Run, dataset: DataSet, partner: None, progress: Progress) -> Detection:
        """See `evaluate_detection`."""
        settings = (self.split, self.chunk, self.overlap, self.streaming)
        return evaluate_detection(run, dataset, *settings, progress=progress)


class Anomaly(VigilConfig):
    """How well frames labelled abnormal are found by their distance from those of split train."""

    name: ClassVar[str] = "anomaly"
    fuses: ClassVar[bool] = False

    split: str | None = None
    """Which videos: a split or `all`; default: test, else val, else all."""
    hop: int | None = Field(None, ge=1)
    """Frames between windows; default: as embed has it."""

    def evaluate(self, run: Run, dataset: DataSet, partner: None, progress: Progress) -> Evaluation:
        """See `evaluate_anomaly`."""
        config = VigilConfig(**self.model_dump(exclude={"split", "hop"}))
        return evaluate_anomaly(run, dataset, self.split, self.hop, config, progress)


class Repetition(Config):
    """Counts of repetitions, and phases, of a data set with truth of every frame."""

    name: ClassVar[str] = "repetition"
    fuses: ClassVar[bool] = False

    split: str | None = None
    """Which videos: a split or `all`; default: test, else val, else all."""
    hop: int | None = Field(None, ge=1)
    """Frames between windows; default: as embed has it."""
    k: int = Field(1, ge=1)
    """Nearest rows of split train whose phases are averaged."""

    def evaluate(self, run: Run, dataset: DataSet, partner: None, progress: Progress) -> Evaluation:
        """See `evaluate_repetition`."""
        return evaluate_repetition(run, dataset, self.split, self.hop, self.k, progress)
