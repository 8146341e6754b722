"""What can be read off features that are computed once: a linear probe, and a few examples."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pandas as pd
from pydantic import Field

from workbench.analysis.probe import few_shot, grouped_mean, linear_probe
from workbench.analysis.retrieval import fused
from workbench.data.manifest import DataSet
from workbench.training.protocols.base import Outcome, Progress, labels_of
from workbench.training.protocols.classification import fused_predictions, judged, predictions
from workbench.training.protocols.retrieval import OnFeatures
from workbench.training.video_features import project, video_windows

if TYPE_CHECKING:
    from workbench.training.run import Run


SHOTS = (1, 5)


class Probe(OnFeatures):
    """A linear layer on cached features: top-1 of videos, the softmax averaged over windows.

    Each window of a known video is an example with the video's class [our reconstruction].
    """

    name: ClassVar[str] = "probe"
    fuses: ClassVar[bool] = True

    epochs: int = Field(100, ge=1, le=10000)
    """Passes over the windows (CoCLR: 100); the learning rate drops at 0.6 and 0.8 of them."""
    batch: int = Field(1024, ge=2)
    """Windows per step (CoCLR: 1024); where there are fewer, all of them."""
    lr: float = Field(1.0, gt=0, le=100)
    """Learning rate before the drops (CoCLR, on features: 1)."""
    weight_decay: float = Field(1e-3, ge=0, le=1)
    """Pull of the weights towards zero."""
    seed: int = Field(0, ge=0, lt=2**31)
    """Start of everything random."""

    def find(self, run: Run, dataset: DataSet, partner: Run | None, progress: Progress) -> Outcome:
        """Top-1 of the mean softmax, and with a partner of each run."""
        split, bank = self.sides(dataset)
        found, videos = {}, []
        for r in (run, partner):
            if r:
                found[r.name], videos = self._said(r, dataset, split, bank, progress)
        if partner:
            both = fused_predictions(found[run.name], found[partner.name])
            found = {"both": both, **found}
        return judged(dataset, videos, found)

    def _said(
        self, run: Run, dataset: DataSet, split: str, bank: str, progress: Progress
    ) -> tuple[pd.DataFrame, list[int]]:
        known, new = (
            video_windows(run, dataset, side, self.clips, progress) for side in (bank, split)
        )
        z, new_z = (project(run, w.z) if self.features == "head" else w.z for w in (known, new))
        labels = np.array(labels_of(dataset, known.videos.tolist()), dtype=object)
        codes, classes = pd.factorize(labels, sort=True)
        of = codes[known.of]
        probe = linear_probe(
            np.asarray(z)[of >= 0],
            of[of >= 0],
            len(classes),
            self.epochs,
            self.batch,
            self.lr,
            self.weight_decay,
            seed=self.seed,
            progress=progress,
        )
        said = grouped_mean(probe.probabilities(new_z), new.of, len(new.videos))
        videos = new.videos.tolist()
        return predictions(dataset, videos, said, tuple(map(str, classes))), videos


class FewShots(OnFeatures):
    """Accuracy of videos with a few labelled examples per class: nearest one, and a linear layer.

    Every class takes part in every draw; the examples are drawn from the known split.
    """

    name: ClassVar[str] = "few-shot"
    fuses: ClassVar[bool] = True

    shots: tuple[int, ...] = Field(SHOTS, min_length=1)
    """Labelled examples per class; those of the default that a class does not have are left out."""
    draws: int = Field(20, ge=1, le=1000)
    """How often other examples are drawn."""
    seed: int = Field(0, ge=0, lt=2**31)
    """Start of the draws."""

    def find(self, run: Run, dataset: DataSet, partner: Run | None, progress: Progress) -> Outcome:
        """Mean over the draws, and the standard deviation; a partner's similarities are added."""
        sides = self.sides(dataset)
        runs = [r for r in (run, partner) if r]
        found = [[self.vectors(r, dataset, side, progress) for side in sides] for r in runs]
        new, known = (fused(*(z for z, _ in side)) for side in zip(*found, strict=True))
        (_, videos), (_, bank) = found[0]
        labels = (np.array(labels_of(dataset, v), dtype=object) for v in (videos, bank))
        truth, there = labels
        classes = sorted({str(c) for c in there if c is not None})
        codes, bank_codes = (pd.Index(classes).get_indexer(pd.Index(x, dtype=object))
                             for x in (truth, there))  # fmt: skip
        asked, usable = codes >= 0, bank_codes >= 0
        rows, each = [], []
        least = int(np.bincount(bank_codes[usable]).min())
        shots_had = self.shots if self.shots != SHOTS else tuple(s for s in SHOTS if s <= least)
        for shots in shots_had or SHOTS[:1]:
            result = few_shot(
                known[usable], bank_codes[usable], new[asked], codes[asked],
                shots, self.draws, self.seed, progress,
            )  # fmt: skip
            for how, values in (("nearest", result.nearest), ("linear", result.linear)):
                plural = "s" * (shots != 1)
                rows.append({
                    "score": f"{shots} shot{plural}, {how}", "value": values.mean(),
                    "chance": 1 / len(classes),
                    "deviation": values.std(ddof=1) if len(values) > 1 else np.nan,
                })  # fmt: skip
                each += [
                    {"shots": shots, "by": how, "draw": d, "accuracy": v}
                    for d, v in enumerate(values)
                ]
        notes = [f"{asked.sum()} videos of {len(classes)} classes, {self.draws} draws of examples"]
        if self.shots == SHOTS and least < SHOTS[-1]:
            notes.append(f"the smallest class of the bank has {least} videos: no more shots")
        return Outcome(pd.DataFrame(rows), {"draws": pd.DataFrame(each)}, tuple(notes))
