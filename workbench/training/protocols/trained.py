"""Classifiers trained from a run, end to end: a linear layer on it, fine-tuning, ten-crop testing.

The weights at the end of training are judged. The references take the epoch that is best on a part
of the test split.
"""

from __future__ import annotations

from itertools import count
from typing import ClassVar, Literal

import pandas as pd
from pydantic import Field

from workbench.data.manifest import DataSet
from workbench.methods.classify import ClassifyConfig
from workbench.sampling import SameVideo
from workbench.training.experiment import DataConfig, Experiment, TrainConfig
from workbench.training.protocols.base import AgainstBank, OnVideos, Outcome, Progress
from workbench.training.protocols.classification import fused_predictions, judged, predictions
from workbench.training.recipes import LABELLED_LOOK
from workbench.training.run import Run
from workbench.training.train import train
from workbench.training.video_features import classify_videos

ONE_CLIP = SameVideo(n=1)


class TenCrop(OnVideos):
    """Top-1 of a trained classifier, softmax averaged over windows, then over ten crops of each.

    The run is a classifier: what `linear` and `finetune` train, or `workbench train classify`.
    """

    name: ClassVar[str] = "ten-crop"
    fuses: ClassVar[bool] = True

    jitter: bool = False
    """Change colours at random while testing, as CoCLR's, CPR's and ViCC's code does."""

    def find(self, run: Run, dataset: DataSet, partner: Run | None, progress: Progress) -> Outcome:
        """Top-1 with ten crops, and with the middle one alone."""
        split = self.split_judged(dataset)
        runs = [r for r in (run, partner) if r]
        return _classified(runs, dataset, split, self.clips, True, self.jitter, progress)


class _Trained(AgainstBank):
    """A protocol that trains a run of method classify from the run that is judged."""

    fuses: ClassVar[bool] = True
    short: ClassVar[int]
    """Epochs where none are given."""
    long: ClassVar[int]
    """The paper's epochs."""

    paper: bool = False
    """Train as long as the paper: minutes become days on full data sets."""
    epochs: int | None = Field(None, ge=1, le=100000)
    """Passes over the known videos; the learning rate drops at the paper's shares of them."""
    ten_crop: bool = False
    """Judge by ten crops of every window; off: the middle square."""
    seed: int = Field(0, ge=0, lt=2**31)
    """Start of everything random."""

    def experiment(self, run: Run) -> Experiment:
        """The classifier's run, but for the data set and the labels."""
        raise NotImplementedError

    @property
    def length(self) -> int:
        """Epochs."""
        return self.epochs or (self.long if self.paper else self.short)

    def find(self, run: Run, dataset: DataSet, partner: Run | None, progress: Progress) -> Outcome:
        """Train what is not trained yet, one classifier per run, and judge them."""
        split, _ = self.sides(dataset)
        runs = [self._classifier(r, dataset, progress) for r in (run, partner) if r]
        return _classified(runs, dataset, split, self.clips, self.ten_crop, False, progress)

    def _classifier(self, run: Run, dataset: DataSet, progress: Progress) -> Run:
        """The trained classifier: a run of the workspace, named after the one it starts from."""
        start = self.experiment(run)
        data = DataConfig(name=dataset.name, splits=(self.bank,), clip=run.config.data.clip)
        wanted = start.model_copy(
            update={"data": data, "encoder": run.config.encoder, "init": run.name}
        )
        wanted = wanted.knowing(data.source(dataset))
        for number in count(1):
            name = f"{run.name}-{self.name}" + f"-{number}" * (number > 1)
            there = Run(run.folder.parent / name)
            if not there.settings or _same(there, wanted, run):
                break
        if there.status().state != "finished":
            for report in train(wanted, there.folder):
                progress(report.clock.step, round(report.clock.step / report.clock.progress))
        return there


class Linear(_Trained):
    """A linear layer on the frozen encoder, trained on augmented clips (CoCLR, CPR, ViCC).

    Unit length, batch norm, linear layer; SGD 0.1, decay 1e-3, batches of 32, the learning rate
    drops at 0.6 and 0.8 of the way. The paper's 100 epochs, or 20. SLIC's are --optimizer
    adam --lr 1e-3 (on features as they are, which is not offered).
    """

    name: ClassVar[str] = "linear"
    short: ClassVar[int] = 20
    long: ClassVar[int] = 100

    optimizer: Literal["sgd", "adam"] = "sgd"
    """Stochastic gradient descent (CoCLR, CPR, ViCC), or Adam (SLIC)."""
    lr: float = Field(0.1, gt=0, le=100)
    """Learning rate before the drops."""
    batch: int = Field(32, ge=2)
    """Clips per step."""

    def experiment(self, run: Run) -> Experiment:
        """CoCLR's numbers, which `workbench train classify` has too."""
        return Experiment(
            data=DataConfig(name="-"),
            sampler=ONE_CLIP,
            method=ClassifyConfig(normalise=True),
            augment=LABELLED_LOOK,
            train=TrainConfig(
                epochs=self.length, batch=self.batch, optimizer=self.optimizer, lr=self.lr,
                schedule="steps", drops=(0.6, 0.8), weight_decay=1e-3, seed=self.seed,
                evaluations=0,
            ),
        )  # fmt: skip


class Finetune(_Trained):
    """The whole network goes on learning from labels.

    ViCC's numbers: SGD 0.1 for all of it, decay 1e-3, batches of 128, 500 epochs with drops at 0.4,
    0.6, 0.8 and 0.9 of the way, dropout 0.9. CoCLR's and CPR's: --optimizer adam --lr 1e-3
    --encoder-rate 0.1 --drops 0.8 0.9 --batch 32; SLIC's: --paper --epochs 150 --encoder-rate 0.1
    --drops 0.4 0.6667. Without --paper 30 epochs, batches of 32, learning rate 0.02 and dropout
    0.5, which suit small data sets.
    """

    name: ClassVar[str] = "finetune"
    short: ClassVar[int] = 30
    long: ClassVar[int] = 500

    optimizer: Literal["sgd", "adam"] = "sgd"
    """Stochastic gradient descent (ViCC), or Adam (CoCLR, CPR)."""
    lr: float | None = Field(None, gt=0, le=100)
    """Learning rate before the drops; default: 0.02, paper: 0.1."""
    encoder_rate: float = Field(1.0, gt=0, le=1)
    """Learning rate of the encoder, as a share of the linear layer's."""
    batch: int | None = Field(None, ge=2)
    """Clips per step; default: 32, paper: 128."""
    dropout: float | None = Field(None, ge=0, lt=1)
    """Share of the features that is hidden from the linear layer; default: 0.5, paper: 0.9."""
    drops: tuple[float, ...] = (0.4, 0.6, 0.8, 0.9)
    """Shares of the way at which the learning rate drops to a tenth."""

    def experiment(self, run: Run) -> Experiment:
        """The numbers of the settings."""
        lr = self.lr or (0.1 if self.paper else 0.02)
        batch = self.batch or (128 if self.paper else 32)
        dropout = (0.9 if self.paper else 0.5) if self.dropout is None else self.dropout
        return Experiment(
            data=DataConfig(name="-"),
            sampler=ONE_CLIP,
            method=ClassifyConfig(freeze=False, dropout=dropout, encoder_rate=self.encoder_rate),
            augment=LABELLED_LOOK,
            train=TrainConfig(
                epochs=self.length, batch=batch, optimizer=self.optimizer, lr=lr,
                schedule="steps", drops=self.drops, weight_decay=1e-3, seed=self.seed,
                evaluations=0,
            ),
        )  # fmt: skip


def _classified(
    runs: list[Run],
    dataset: DataSet,
    split: str,
    clips: int | None,
    ten: bool,
    jitter: bool,
    progress: Progress,
) -> Outcome:
    """What classifiers say about a split; of two the mean of their softmaxes, then each."""
    found: dict[str, pd.DataFrame] = {}
    middle: dict[str, pd.DataFrame] = {}
    for run in runs:
        classes = run.config.method.classes if hasattr(run.config.method, "classes") else ()
        said = classify_videos(run, dataset, split, clips, ten, jitter, progress)
        videos = said[0].tolist()
        found[run.name] = predictions(dataset, videos, said[1], classes)
        if ten:
            one = classify_videos(run, dataset, split, clips, progress=progress)
            middle[run.name] = predictions(dataset, videos, one[1], classes)
    if len(runs) > 1:
        found = {"both": fused_predictions(*found.values()), **found}
        middle = {"both": fused_predictions(*middle.values())} if ten else {}
    if ten:
        found["middle crop"] = next(iter(middle.values()))
    how = "ten crops of every window" if ten else "the middle of every window"
    return judged(dataset, videos, found, (f"classifier {' and '.join(r.name for r in runs)}; "
                                           f"{how}",))  # fmt: skip


def _same(there: Run, wanted: Experiment, start: Run) -> bool:
    """Whether a run has these settings, and is younger than the weights that it starts from."""
    one, other = (e.model_dump(mode="json") for e in (there.config, wanted))
    made = (there.folder / "config.yaml").stat().st_mtime
    return one == other and made >= start.model_path.stat().st_mtime
