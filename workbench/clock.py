"""Where a training run stands."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Clock:
    """Epoch and step, both from 0; progress in [0, 1] drives schedules that span the run."""

    epoch: int = 0
    step: int = 0
    progress: float = 0.0
