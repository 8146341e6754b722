"""CycleCL's tables on the bottling demo: do features that know the phase find what is strange?

Every row is an encoder of single frames, trained on the recordings of split train without labels;
how strange a frame of the test recordings is, is its distance to the nearest frame of those (tables
A to D of the CycleCL supplement, and other methods on the same network). All get the same steps,
pictures per step, optimizer and augmentation; margins, queues and temperatures are the papers',
nothing is tuned by row. What differs from the paper: a demo that is drawn, 48 or 64 pixels, a small
network that starts from random weights, far fewer steps, mining as reconstructed in `SamePhase`.
Features that are not made unit (table C) are compared with their lengths. TCN is that of one
camera, as the cell is filmed by one: of several cameras (`tcn-multi-view`) it needs two.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd

from workbench.analysis import anomaly
from workbench.analysis.embeddings import Embeddings
from workbench.analysis.periodicity import repetitions
from workbench.data.manifest import DataSet
from workbench.data.video import Clip, ClipShape
from workbench.methods import MethodSettings
from workbench.methods.cyclecl import CycleCLConfig
from workbench.methods.moco import MoCoConfig
from workbench.methods.simclr import SimCLRConfig
from workbench.models.frame_net import FrameNet
from workbench.models.resnet import ResNet18
from workbench.sampling import SamePhase, SameVideo, Sampler, TimeContrast
from workbench.training.embed import describe, embed
from workbench.training.evaluate_periodic import (
    evaluate_anomaly,
    evaluate_repetition,
    judge_anomaly,
    judge_repetition,
)
from workbench.training.experiment import DataConfig, Experiment, TrainConfig
from workbench.training.recipes import CYCLE_LOOK
from workbench.training.reference import COMPACT, FAR
from workbench.training.run import Run
from workbench.training.sight import PlainSight, Tick
from workbench.training.study import Cell, Finding, Scores, Stage, Study, Verdict, agreed
from workbench.workspace import Workspace

BASELINE, METHOD = "nothing learned", "method"
DIMENSIONS, HEAD, NORMALISATION, AMOUNT = "A dimensions", "B head", "C unit length", "D data"
CHANCE, PLAIN, PRETRAINED = "chance", "plain pictures", "ImageNet ResNet-18"
RANDOM, CYCLECL = "random weights", "CycleCL"
MOCO, SIMCLR, TCN = "MoCo v2", "SimCLR", "TCN"
FIXED = (CHANCE, PLAIN, PRETRAINED)
"""Rows in which nothing is drawn: they are measured once and hold for every seed."""
SCORES = {
    "ap": "AP",
    "auroc": "AUROC",
    "knn_f1": "k-NN F1",
    "mae": "count MAE",
    "off_by_one": "count within 1",
    "phase_error": "phase error",
    "nearest_phase": "phase error of the nearest",
}
"""Of all frames of the test recordings: average precision, and area under the ROC curve; F1 of
abnormal frames by a vote of the 5 nearest labelled ones of other recordings. Of recordings: mean
error of the count of repetitions, and share of counts that are wrong by 1 at most. Of normal
frames, in cycles, chance 0.25: error of the phase that is found, and the distance in true phase
from the nearest training frame. See evaluate_periodic.py."""
HIGHER, LOWER = ("ap", "auroc", "knn_f1", "off_by_one"), ("mae", "phase_error", "nearest_phase")


@dataclass(frozen=True)
class Size:
    """How much a study does."""

    seeds: int
    steps: int
    clip: ClipShape
    batch: int
    """Chunks in a step, each in two views."""


STILL = 20
"""Steps in which nothing is learned, but the norms of a random network see the data."""
QUICK = Size(1, 120, ClipShape(length=32, stride=3, size=48), 4)
FULL = Size(3, 400, ClipShape(length=32, stride=3, size=64), 4)
"""Chunks of 3.2 s: a cycle of the demo lasts 2 to 3 s."""
DIM = 128
HEADS = {"2-D mean": (False, "mean"), "2-D max": (False, "max"), "3-D mean": (True, "mean")}
"""Those beside the paper's, which is 3-D and the maximum."""


def demo(quick: bool) -> tuple[str, Literal["small", "full"], int]:
    """Name, size and seed of the demo that the study is on."""
    return ("bottling", "small", 0) if quick else ("bottling-full", "full", 0)


def bottling_study(data: str, quick: bool = False, seeds: int | None = None) -> Study:
    """The study on a data set with splits train and test, anomalies labelled in test."""
    size = QUICK if quick else FULL
    if seeds is not None and seeds < 1:
        raise ValueError(f"a study needs at least 1 seed; found {seeds}.")
    size = replace(size, seeds=seeds or size.seeds)
    name = f"bottling-{'quick' if quick else 'full'}" + f"-{data}" * (data != demo(quick)[0])
    cells = [Cell(row, BASELINE, 0, ()) for row in FIXED]
    cells += [cell for seed in range(size.seeds) for cell in _Grid(name, data, size, seed).cells()]

    def scored(cell: Cell, workspace: Workspace) -> Scores:
        return score(cell, workspace, data, size.clip)

    return Study(
        name, "Anomaly and phase by features of a repeating process", data, "test",
        tuple(cells), SCORES, HIGHER, scored, findings, grouped="table", lower=LOWER,
    )  # fmt: skip


class _Grid:
    """The cells of one seed."""

    def __init__(self, study: str, data: str, size: Size, seed: int) -> None:
        self.study, self.data, self.size, self.seed = study, data, size, seed

    def cells(self) -> list[Cell]:
        """In the order of the table."""
        frames = self.size.batch * self.size.clip.length  # so many pictures as a step of CycleCL
        pictures = SameVideo(within=0)
        # Other moments of a recording are negatives, as in the papers: there are few recordings. A
        # key encoder that follows faster than 0.99 breaks down here: on split val, the phase of the
        # nearest frame is then no better than that of the random weights.
        moco = MoCoConfig(
            momentum=0.99, queue=8 * frames, hidden=DIM, dim=64, mask_same_group=False
        )
        simclr = SimCLRConfig(hidden=DIM, dim=64, mask_same_group=False)
        tcn = CycleCLConfig(margin=0.2, squared=True)
        still = self._train(STILL, lr=1e-12)
        found = [
            self._cell(RANDOM, BASELINE, train=still),
            self._pictures(MOCO, moco, pictures, frames),
            self._pictures(SIMCLR, simclr, pictures, frames),
            self._cell(TCN, METHOD, method=tcn, sampler=TimeContrast()),
            self._cell(CYCLECL, METHOD),
        ]
        for dim in (64, 256):
            found.append(self._cell(dimensions(dim), DIMENSIONS, encoder=_net(dim=dim)))
        for words, (over_time, pool) in HEADS.items():
            net = _net(over_time=over_time, pool=pool)
            found.append(self._cell(head(words), HEAD, encoder=net))
        found.append(self._cell(UNNORMALISED, NORMALISATION, encoder=_net(normalise=False)))
        for percent in (10, 50):
            found.append(self._cell(amount(percent), AMOUNT, data=self._clips(share=percent / 100)))
        return found

    def _pictures(self, row: str, method: MethodSettings, sampler: Sampler, batch: int) -> Cell:
        """A method whose examples are single pictures, on the network for those."""
        return self._cell(
            row, METHOD, method=method, sampler=sampler, encoder=_net(over_time=False),
            data=self._clips(length=1), train=self._train(self.size.steps, batch=batch),
        )  # fmt: skip

    def _cell(self, row: str, column: str, **settings: object) -> Cell:
        slug = "-".join("".join(c if c.isalnum() else " " for c in row.lower()).split())
        usual = {
            "data": self._clips(),
            "encoder": _net(),
            "sampler": SamePhase(),
            "method": CycleCLConfig(),
            "augment": CYCLE_LOOK,
            "train": self._train(self.size.steps),
        }
        stage = Stage(f"{self.study}-{slug}-{self.seed}", Experiment(**{**usual, **settings}))
        return Cell(row, column, self.seed, (stage,))

    def _clips(self, share: float = 1.0, **settings: object) -> DataConfig:
        clip = self.size.clip.model_copy(update=settings)
        return DataConfig(name=self.data, splits=("train",), clip=clip, share=share)

    def _train(self, steps: int, **settings: object) -> TrainConfig:
        """Adam as in the paper, whose 1e-4 is for weights that know ImageNet."""
        usual = {"batch": self.size.batch, "clips_per_video": 8, "evaluations": 0}
        usual |= {"optimizer": "adam", "lr": 1e-3, "weight_decay": 1e-5}
        return TrainConfig(steps=steps, seed=self.seed, **(usual | settings))


def _net(dim: int = DIM, **settings: object) -> FrameNet:
    return FrameNet(trunk="tiny2d", dim=dim, **settings)


UNNORMALISED = "CycleCL, not normalised"


def dimensions(dim: int) -> str:
    """The row of table A with so many dimensions."""
    return CYCLECL if dim == DIM else f"CycleCL, {dim} dimensions"


def head(words: str) -> str:
    """The row of table B with such a head."""
    return f"CycleCL, {words}" if words in HEADS else CYCLECL


def amount(percent: int) -> str:
    """The row of table D with so much of every training recording."""
    return CYCLECL if percent == 100 else f"CycleCL, {percent} % of the data"


def score(cell: Cell, workspace: Workspace, data: str, clip: ClipShape) -> Scores:
    """How well the test recordings are judged by the features of a row."""
    dataset = DataSet(workspace.data_folder(data))
    if cell.row == CHANCE:
        return _chance(dataset)
    known = dataset.truth is not None
    if cell.stages:
        run = Run(workspace.runs / cell.stages[-1].name)
        strange = evaluate_anomaly(run, dataset, "test", clip.stride).scores
        counted = evaluate_repetition(run, dataset, "test", clip.stride).scores if known else {}
    else:
        see = plain if cell.row == PLAIN else pretrained
        found = see(dataset, clip.stride)
        strange = judge_anomaly(found, dataset, "test")[1]
        cycle = compact(found) if cell.row == PLAIN else found
        counted = judge_repetition(cycle, dataset, "test")[1] if known else {}
    votes = strange["knn_f1"].get("5", {})
    return {
        "ap": strange["average_precision"],
        "auroc": strange["auroc"],
        "knn_f1": votes.get("abnormal", math.nan),
        "knn_f1_macro": votes.get("macro", math.nan),
        "best_f1": strange["best_f1"],
        "smoothed_ap": strange["smoothed_average_precision"],
        "event_recall": strange["event_recall"],
        "false_alarms_per_hour": strange["false_alarms_per_hour"],
        "mae": counted.get("mae", math.nan),
        "off_by_one": counted.get("off_by_one", math.nan),
        "phase_error": counted.get("phase_error", math.nan),
        "nearest_phase": counted.get("nearest_phase_error", math.nan),
    }


def plain(dataset: DataSet, hop: int) -> Embeddings:
    """Rows of plain pictures: edges in a grid, beside what is usual in split train; no network."""
    source = dataset.source(ClipShape(length=1, stride=1))
    sight, parts, clips = PlainSight(), [], []
    for i, video in enumerate(source.videos):
        pictures = (Tick(p, k, k / video.fps) for k, p in enumerate(source.frames(i)))
        for rows in sight.rows(pictures, hop, 64):
            parts.append(rows.z)
            clips += [Clip(i, tick.frame, 1, 1) for tick in rows.ticks]
    z, index = np.concatenate(parts), describe(source, clips)
    of = index["video"].to_numpy()
    rate = np.array([video.fps for video in source.videos])[of]
    moments = index["start"].to_numpy() / rate + FAR * of
    train = (index["split"] == "train").to_numpy()
    return Embeddings(sight.fit(z[train], moments[train])(z), index)


def compact(e: Embeddings) -> Embeddings:
    """Rows along the leading directions of split train, in which plain pictures show cycles."""
    normal = e.z[(e.index["split"] == "train").to_numpy()].astype(np.float64)
    mean = normal.mean(axis=0)
    directions = np.linalg.eigh(np.cov(normal, rowvar=False))[1][:, -COMPACT:]
    return Embeddings(((e.z - mean) @ directions).astype(np.float32), e.index)


def pretrained(dataset: DataSet, hop: int) -> Embeddings:
    """Rows of ResNet-18 with torchvision's ImageNet weights; `WeightsError` without those.

    It sees the stored pictures as large as they are, on their middle square.
    """
    import torch

    encoder = ResNet18(weights="default").build().eval()
    shape = ClipShape(length=16, stride=hop, size=dataset.side)
    with torch.inference_mode():
        return embed(encoder, dataset.source(shape), hop, time_stride=1)


def _chance(dataset: DataSet) -> Scores:
    """What is reached by knowing nothing of the pictures.

    AP is the share of abnormal frames; a count is the length over the mean cycle of split train.
    """
    test = [v for v in dataset.videos if v.split == "test"]
    marks = [np.zeros(v.n_frames, bool) for v in test]
    for mark, video in zip(marks, test, strict=True):
        for s in video.segments:
            if anomaly.is_abnormal([s.label])[0]:
                mark[max(0, s.start + video.offset) : max(0, s.stop + video.offset)] = True
    chance = {"ap": float(np.concatenate(marks).mean()), "auroc": 0.5}
    if dataset.truth is None:
        return chance
    counted = {
        name: (len(rows), repetitions(rows.sort_values("frame")["phase"].to_numpy(float)).count)
        for name, rows in dataset.truth.groupby("recording")
    }
    train = [counted[v.recording] for v in dataset.videos if v.split == "train"]
    cycle = sum(frames for frames, _ in train) / max(1e-9, sum(count for _, count in train))
    off = np.array([
        abs(frames / cycle - count) for frames, count in (counted[v.recording] for v in test)
    ])  # fmt: skip
    return chance | {
        "mae": float(off.mean()),
        "off_by_one": float((off <= 1).mean()),
        "phase_error": 0.25,
        "nearest_phase": 0.25,
    }


IN_PAPER = ("ap", "knn_f1")
PAPER = {  # AP and k-NN F1 of the supplement, on its industrial videos
    PRETRAINED: (46.25, 46.31), dimensions(64): (58.13, 58.55), CYCLECL: (61.35, 63.86),
    dimensions(256): (62.25, 62.14), head("2-D mean"): (51.71, 54.32),
    head("2-D max"): (56.09, 57.73), head("3-D mean"): (56.46, 56.98),
    UNNORMALISED: (57.13, 56.01), amount(10): (59.09, 59.71), amount(50): (60.27, 61.93),
}  # fmt: skip


TABLES = (  # a claim, and which row beats which by it
    (
        "Table B: the maximum over the picture beats the mean",
        (CYCLECL, head("3-D mean")), (head("2-D max"), head("2-D mean")),
    ),
    (
        "Table B: a head that sees neighbouring frames (3-D) beats one that does not (2-D)",
        (CYCLECL, head("2-D max")), (head("3-D mean"), head("2-D mean")),
    ),
    ("Table C: unit length helps", (CYCLECL, UNNORMALISED)),
    ("Table D: more data helps", (amount(50), amount(10)), (amount(100), amount(50))),
)  # fmt: skip


def findings(scores: pd.DataFrame) -> list[Finding]:
    """What the table says about the supplement's claims, and about what they need.

    Rows are compared seed by seed on the same test recordings, and told apart where all seeds
    agree, so never by one. A claim about several pairs of rows repeats where all of them do.
    """
    known = scores[scores["failed"] == ""].set_index(["row", "seed"])
    known = known.reindex(columns=list(SCORES))
    failed = scores.loc[scores["failed"] != ""].groupby("row", sort=False)["failed"].first()

    def claim(words: str, name: str, *pairs: tuple[str, str]) -> Finding:
        return _compared(words, known[name], name, pairs, failed)

    learned = (RANDOM, MOCO, SIMCLR, TCN)
    return [
        claim(
            "CycleCL finds anomalies better than the random weights it starts from.",
            "ap", (CYCLECL, RANDOM),
        ),
        claim("It beats features that know ImageNet.", "ap", (CYCLECL, PRETRAINED)),
        claim(
            "It beats MoCo v2, SimCLR and TCN on the same network.",
            "ap", *[(CYCLECL, row) for row in (MOCO, SIMCLR, TCN)],
        ),
        claim("It beats chance.", "ap", (CYCLECL, CHANCE)),
        claim(
            "It beats plain pictures, which need no network (not a claim of the paper).",
            "ap", (CYCLECL, PLAIN),
        ),
        claim(
            "Table A: more dimensions raise AP.",
            "ap", (dimensions(128), dimensions(64)), (dimensions(256), dimensions(128)),
        ),
        claim(
            "Table A: 128 dimensions are best by k-NN F1.",
            "knn_f1", (dimensions(128), dimensions(64)), (dimensions(128), dimensions(256)),
        ),
        *[
            claim(f"{words} (by {SCORES[name]}).", name, *pairs)
            for words, *pairs in TABLES for name in IN_PAPER
        ],
        claim(
            "Its features depend on the phase more than those of the others: the nearest training "
            "frame shows a nearer phase.",
            "nearest_phase", *[(CYCLECL, row) for row in learned],
        ),
        claim(
            "The phase found in them has a smaller error.",
            "phase_error", *[(CYCLECL, row) for row in learned],
        ),
        claim(
            "It counts better than by the mean length of a cycle.", "mae", (CYCLECL, CHANCE)
        ),
    ]  # fmt: skip


def _compared(
    words: str,
    values: pd.Series,
    name: str,
    pairs: Sequence[tuple[str, str]],
    failed: pd.Series,
) -> Finding:
    """Whether the first row of each pair is better than the second, by all seeds of each pair."""
    better = 1 if name in HIGHER else -1
    seeds = sorted(set(values.index.get_level_values("seed")))
    signs, told = [], []
    for pair in pairs:
        both = pd.concat([_by_seed(values, row, seeds) for row in pair], axis=1).dropna()
        if both.empty:
            told.append(" and ".join(pair) + " not measured")
            told += [f"{row}: {failed[row]}" for row in pair if row in failed]
            continue
        first, second = both.iloc[:, 0], both.iloc[:, 1]
        signs.append(agreed(better * (first - second)))
        told.append(f"{pair[0]} {first.mean():.3f}, {pair[1]} {second.mean():.3f}")
        if name in IN_PAPER and all(row in PAPER for row in pair):
            a, b = (PAPER[row][IN_PAPER.index(name)] for row in pair)
            told[-1] += f" (paper {a}, {b})"
    verdict: Verdict = "not told apart"
    if not signs:
        verdict = "not measured"
    elif min(signs) < 0:
        verdict = "does not repeat"
    elif min(signs) > 0 and len(signs) == len(pairs):
        verdict = "repeats"
    return Finding(words, verdict, f"{SCORES[name]}: {'; '.join(told)}")


def _by_seed(values: pd.Series, row: str, seeds: Sequence[int]) -> pd.Series:
    """The values of a row by seed; the one of a row in which nothing is drawn, for all of them."""
    mine = values[values.index.get_level_values("row") == row].droplevel("row")
    if row in FIXED and len(mine):
        return pd.Series(mine.iloc[0], index=seeds)
    return mine
