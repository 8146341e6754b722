"""The thesis's study on the judo demo: which pre-training helps to detect throws as they happen.

Every method pre-trains an encoder on the training recordings without labels, with views of one
video and with views of two cameras; a linear classifier on the frozen encoder then detects throws
in the test recordings, chunk by chunk. All methods get the same steps, batch, optimizer and
augmentation, none is tuned by itself: so differences are the methods' own, and none is at its best.
What differs from the thesis: a demo that is drawn, frame differences in place of RGB (whose
background a short run learns instead of the motion), one optimizer, far fewer steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import pandas as pd

from workbench.analysis.health import SAME as SAME_EVERYWHERE
from workbench.data.augment import AugmentConfig
from workbench.data.manifest import DataSet
from workbench.data.video import ClipShape
from workbench.methods import MethodSettings
from workbench.methods.byol import BYOLConfig
from workbench.methods.classify import ClassifyConfig
from workbench.methods.moco import MoCoConfig
from workbench.methods.simclr import SimCLRConfig
from workbench.methods.simsiam import SimSiamConfig
from workbench.methods.swav import SwAVConfig
from workbench.methods.videomoco import VideoMoCoConfig
from workbench.models import EncoderConfig
from workbench.models.resnet import ResNet18
from workbench.models.resnet_gru import ResNet18GRU
from workbench.models.tiny3d import Tiny3D
from workbench.models.x3d import X3DXS
from workbench.sampling import OtherCamera, SameVideo, Sampler
from workbench.training.evaluate_detection import evaluate_detection
from workbench.training.experiment import DataConfig, Experiment, TrainConfig
from workbench.training.run import Run
from workbench.training.study import Cell, Finding, Scores, Stage, Study, Verdict, agreed
from workbench.workspace import Workspace

SAME, OTHER, NEAR, NONE = "same clip", "other camera", "near in time", "no pre-training"
RANDOM, SUPERVISED = "random weights, frozen", "supervised"
GRU, X3D = "ResNet-18 + GRU", "X3D-XS"
BIG = ("ResNet-18", "X3D")
"""What rows of the large backbones have in their names."""
SCORES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "frame_map": "frame mAP",
    "latency": "latency, frames",
    "boundary": "background/action errors",
    "loss": "last loss",
    "detected": "detected",
    "projected": "deviation in the loss",
}
"""Of test chunks the share of right ones, the mean recall, the share that confuses background and
action; mAP per frame; frames from an action's start to its first right chunk; of the pre-training
the mean loss of the last ten steps, and the relative deviation of the vectors that the loss sees,
1 healthy, 0 collapsed; the share of actions that were detected at all."""


@dataclass(frozen=True)
class Size:
    """How much a study does."""

    seeds: int
    pretrain: int
    """Steps of pre-training."""
    probe: int
    """Steps of the classifier."""
    supervised: int
    """Steps of the encoder that is trained with labels."""
    looks: int
    """How often a classifier is judged on held-out recordings while it trains."""
    batch: int


QUICK = Size(seeds=1, pretrain=60, probe=60, supervised=120, looks=3, batch=32)
FULL = Size(seeds=3, pretrain=400, probe=200, supervised=400, looks=8, batch=32)

DATA = "judo-full"
SMALL = Tiny3D()
CHUNK = ClipShape(length=8, stride=1, size=40, stream="diff")
LOOK = AugmentConfig(crop=(0.5, 1.0), hue=0.0, saturation=0.0, gray=0.0, blur=0.2)
METHODS: dict[str, MethodSettings] = {
    "MoCo v2": MoCoConfig(momentum=0.9, queue=512, hidden=128, dim=64),
    "SimCLR": SimCLRConfig(hidden=128, dim=64),
    "BYOL": BYOLConfig(momentum=0.9, hidden=256, dim=64),
    "SimSiam": SimSiamConfig(dim=256, bottleneck=64),
    "SwAV": SwAVConfig(prototypes=64, queue=128, hidden=128, dim=64),
}
"""The papers' settings, made smaller for runs of minutes on 140 recordings: heads, queues, and
averages over steps, which at the papers' 0.99 and more would not leave the random start."""


def demo(quick: bool) -> tuple[str, Literal["small", "full"], int]:
    """Name, size and seed of the demo that the study is on."""
    return DATA, "full", 1


def judo_study(data: str, quick: bool = False, seeds: int | None = None) -> Study:
    """The study on a judo data set of the workspace, best the full one, with tiny3d.

    The long form has the thesis's backbones as well.
    """
    grids = _grids("judo", data, quick, seeds)
    cells = [c for grid in grids for c in grid.cells() + (grid.backbones() if not quick else [])]
    title = "Pre-training for online detection of judo throws"
    return _study(grids[0].study, title, data, cells, findings)


def backbones_study(data: str, quick: bool = False, seeds: int | None = None) -> Study:
    """The part of the study that is on the thesis's backbones, alone."""
    grids = _grids("judo-backbones", data, quick, seeds)
    cells = [cell for grid in grids for cell in grid.backbones()]
    title = "The thesis's backbones for online detection of judo throws"
    return _study(grids[0].study, title, data, cells, backbone_findings)


def _grids(study: str, data: str, quick: bool, seeds: int | None) -> list[_Grid]:
    size = QUICK if quick else FULL
    if seeds is not None and seeds < 1:
        raise ValueError(f"a study needs at least 1 seed; found {seeds}.")
    name = f"{study}-{'quick' if quick else 'full'}" + f"-{data}" * (data != DATA)
    return [_Grid(name, data, size, seed) for seed in range(seeds or size.seeds)]


def _study(
    name: str, title: str, data: str, cells: list[Cell], found: Callable[..., list[Finding]]
) -> Study:
    higher = ("accuracy", "balanced_accuracy", "frame_map", "detected")
    return Study(name, title, data, "test", tuple(cells), SCORES, higher, score, found)


class _Grid:
    """The cells of one seed."""

    def __init__(self, study: str, data: str, size: Size, seed: int) -> None:
        self.study, self.data, self.size, self.seed = study, data, size, seed

    def cells(self) -> list[Cell]:
        """In the order of the table."""
        found = self._without_pretraining("")
        for row, method in METHODS.items():
            found += [self._pretrained(row, c, method, s) for c, s in _samplers().items()]
        found += [self._videomoco(column, sampler) for column, sampler in _samplers().items()]
        moco = METHODS["MoCo v2"]
        cvrl = SimCLRConfig(hidden=128, dim=64, layers=3, norm_last=False)
        thesis = moco.model_copy(update={"mask_same_group": False})
        found += [
            self._pretrained("CVRL", NEAR, cvrl, SameVideo(decay=1.0)),
            self._pretrained("MoCo v2, own recording negative", OTHER, thesis, OtherCamera()),
            self._pretrained("MoCo v2, 3 x longer", OTHER, moco, OtherCamera(), longer=3),
        ]
        for width in (32, 512):
            head = moco.model_copy(update={"hidden": width})
            found.append(self._pretrained(f"MoCo v2, head {width}", OTHER, head, OtherCamera()))
        return found

    def backbones(self) -> list[Cell]:
        """The thesis's two: a 2-D network on single frames, a GRU learned on top; and X3D-XS."""
        moco = METHODS["MoCo v2"]
        found = self._without_pretraining(f", {GRU}", ResNet18GRU())
        found += self._without_pretraining(f", {X3D}", X3DXS(), 4)
        for column, sampler in _samplers().items():
            frames = self._pretraining("resnet18", column, moco, sampler, 1, ResNet18(), 1)
            chunks = self._pretraining("x3d_xs", column, moco, sampler, 1, X3DXS(), 4)
            for row, stage, encoder, length in (
                (f"MoCo v2, {GRU}", frames, ResNet18GRU(), 8),
                (f"MoCo v2, {X3D}", chunks, X3DXS(), 4),
            ):
                probe = self._probe(stage, encoder, length)
                found.append(Cell(row, column, self.seed, (stage, probe)))
        return found

    def _without_pretraining(
        self, what: str, encoder: EncoderConfig = SMALL, length: int = 8
    ) -> list[Cell]:
        """A frozen encoder that learned nothing, and one that learns from the labels.

        The first one's weights do not move, but it sees as many clips as its normalisation needs to
        settle: a frozen network whose statistics are those of no data would be too easy to beat.
        """
        still = self._train(20, optimizer="adam", lr=1e-12)
        moco, clip = METHODS["MoCo v2"], SameVideo(within=0)
        settled = self._stage(
            f"random{what}", method=moco, sampler=clip, encoder=encoder, train=still,
            data=self._clips(length),
        )  # fmt: skip
        looks = self.size.looks
        learning = self._train(self.size.supervised, optimizer="adam", lr=1e-3, evaluations=looks)
        taught = self._stage(
            f"supervised{what}", method=ClassifyConfig(freeze=False), sampler=SameVideo(n=1),
            encoder=encoder, train=learning, data=self._clips(length),
        )  # fmt: skip
        probe = self._probe(settled, encoder, length)
        return [
            self._cell(f"{RANDOM}{what}", NONE, settled, probe),
            self._cell(f"{SUPERVISED}{what}", NONE, taught),
        ]

    def _cell(self, row: str, column: str, *stages: Stage) -> Cell:
        return Cell(row, column, self.seed, stages)

    def _pretrained(
        self, row: str, column: str, method: MethodSettings, sampler: Sampler, longer: float = 1
    ) -> Cell:
        stage = self._pretraining(row, column, method, sampler, longer)
        return self._cell(row, column, stage, self._probe(stage))

    def _videomoco(self, column: str, sampler: Sampler) -> Cell:
        """Its two phases, each half of the steps: fading keys, then the generator as well."""
        method = VideoMoCoConfig(momentum=0.9, queue=512, hidden=128, dim=64, temperature=0.2)
        first, second = (
            self._pretraining(
                f"VideoMoCo {phase}", column, method.model_copy(update={"drop": drop}), sampler, 0.5
            )
            for phase, drop in ((1, 0.0), (2, 0.25))
        )
        second = replace(
            second, experiment=second.experiment.model_copy(update={"init": first.name})
        )
        return self._cell("VideoMoCo", column, first, second, self._probe(second))

    def _pretraining(
        self,
        row: str,
        column: str,
        method: MethodSettings,
        sampler: Sampler,
        longer: float = 1,
        encoder: EncoderConfig = SMALL,
        length: int = 8,
    ) -> Stage:
        steps = round(longer * self.size.pretrain)
        train = self._train(steps, optimizer="adam", lr=1e-3, evaluations=2)
        return self._stage(
            f"{row} {column}", method=method, sampler=sampler, encoder=encoder, train=train,
            data=self._clips(length),
        )  # fmt: skip

    def _probe(self, start: Stage, encoder: EncoderConfig | None = None, length: int = 8) -> Stage:
        """A classifier on a frozen encoder: the thesis's SGD, dropped at 3/8 and 3/4."""
        train = self._train(
            self.size.probe,
            optimizer="sgd",
            lr=0.05,
            schedule="steps",
            drops=(0.375, 0.75),
            evaluations=self.size.looks,
        )
        words = start.name.removeprefix(self.study).rpartition("-")[0]
        return self._stage(
            f"{words} probe",
            method=ClassifyConfig(freeze=True),
            sampler=SameVideo(n=1),
            encoder=encoder or start.experiment.encoder,
            train=train,
            data=self._clips(length),
            init=start.name,
        )

    def _stage(self, words: str, **settings: object) -> Stage:
        slug = "-".join("".join(c if c.isalnum() else " " for c in words.lower()).split())
        return Stage(f"{self.study}-{slug}-{self.seed}", Experiment(augment=LOOK, **settings))

    def _clips(self, length: int) -> DataConfig:
        clip = CHUNK.model_copy(update={"length": length})
        return DataConfig(name=self.data, splits=("train",), clip=clip)

    def _train(self, steps: int, **settings: object) -> TrainConfig:
        return TrainConfig(
            steps=steps, batch=self.size.batch, seed=self.seed, **{"evaluations": 0, **settings}
        )


def _samplers() -> dict[str, Sampler]:
    return {SAME: SameVideo(within=0), OTHER: OtherCamera()}


def score(cell: Cell, workspace: Workspace) -> Scores:
    """How the classifier detects in the test recordings, and how its pre-training ended."""
    run = Run(workspace.runs / cell.stages[-1].name)
    data = DataSet(workspace.data_folder(cell.stages[-1].experiment.data.name))
    found = evaluate_detection(run, data, "test")
    errors, chunks, late = (found.scores[k] for k in ("errors", "chunks", "latency"))
    scores = {
        "accuracy": found.scores["accuracy"],
        "balanced_accuracy": found.scores["balanced_accuracy"],
        "frame_map": found.scores["frame_map"],
        "latency": late["mean"],
        "detected": 1 - late["undetected"] / late["actions"],
        "boundary": (errors["missed"] + errors["invented"]) / chunks,
        "commonest": float(found.confusion.sum(axis=1).max() / found.confusion.sum()),
    }
    if cell.column != NONE:
        curve = Run(workspace.runs / cell.stages[-2].name).metrics()
        scores["loss"] = float(curve["loss"].dropna().tail(10).mean())
        scores["projected"] = float(curve["projected_std"].dropna().iloc[-1])
    return scores


def findings(scores: pd.DataFrame) -> list[Finding]:
    """What the table says about the thesis's claims.

    Rows are compared seed by seed, on the same test recordings: two are told apart where all seeds
    agree, so never by one seed. (That other recordings would agree too is not shown by that.) Rows
    that are missing, as in a study that was stopped, leave their claims not measured. Only rows of
    tiny3d are compared.
    """
    small = scores[~scores["row"].str.contains("|".join(BIG))]
    known = small[small["failed"] == ""].set_index(["row", "column", "seed"])
    known = known.reindex(columns=["accuracy", "loss", "boundary", "projected", "commonest"])
    failed = set(small.loc[small["failed"] != "", "row"])
    return [
        _compared(
            "Positives from another camera raise the accuracy (thesis: MoCo v2 and SimSiam gain, "
            "SimCLR loses).",
            known["accuracy"],
            larger=True,
        ),
        _compared(
            "They raise the loss, being harder to bring together.", known["loss"], larger=True
        ),
        _compared(
            "They help at the boundary: fewer chunks confuse background and throw.",
            known["boundary"],
            larger=False,
        ),
        _collapse(known["projected"].dropna(), "BYOL" in failed),
        _against(
            "Pre-training beats the weights it started from.",
            known["accuracy"],
            RANDOM,
            _row(known["accuracy"], RANDOM),
        ),
        _against(
            "Pre-training beats always naming the commonest label.",
            known["accuracy"],
            "the commonest label",
            known["commonest"].dropna().groupby("seed").first(),
        ),
        _best_against(
            "The best pre-training beats training with labels from scratch.", known["accuracy"]
        ),
        _longer(known["accuracy"]),
    ]


def backbone_findings(scores: pd.DataFrame) -> list[Finding]:
    """The same of the thesis's backbones; see `findings`."""
    known = scores[scores["failed"] == ""].set_index(["row", "column", "seed"])
    known = known.reindex(columns=["accuracy", "loss", "boundary"])
    return [
        _compared("Positives from another camera raise the accuracy.", known["accuracy"], True),
        _compared("They raise the loss.", known["loss"], larger=True),
        _compared("They help at the boundary.", known["boundary"], larger=False),
    ]


def _compared(claim: str, values: pd.Series, larger: bool) -> Finding:
    """Same clip against other camera, method by method."""
    pairs = values.unstack("column").reindex(columns=[SAME, OTHER]).dropna()
    if pairs.empty:
        return Finding(claim, "not measured", "rows are missing")
    difference = (pairs[OTHER] - pairs[SAME]) * (1 if larger else -1)
    signs = difference.groupby("row", sort=False).agg(agreed)
    mean = pairs.groupby("row", sort=False).mean()
    each = ", ".join(f"{row} {m[SAME]:.3f} -> {m[OTHER]:.3f}" for row, m in mean.iterrows())
    return Finding(claim, _verdict(signs), f"{_counted(signs)}: {each}")


def _verdict(signs: pd.Series) -> Verdict:
    """Of claims that hold (1), fail (-1) or are open (0), one each: what most of them say."""
    if (signs > 0).mean() > 0.5:
        return "repeats"
    return "does not repeat" if (signs < 0).mean() > 0.5 else "not told apart"


def _counted(signs: pd.Series) -> str:
    holds, fails, n = (signs > 0).sum(), (signs < 0).sum(), len(signs)
    return f"by all seeds so in {holds} of {n}, the other way round in {fails}, open in the rest"


def _collapse(spread: pd.Series, diverged: bool) -> Finding:
    """From what the loss sees: tiny3d's own features are whitened, so they stay apart."""
    claim = "BYOL collapses (thesis: it diverged with ResNet-18 at batch 210)."
    if diverged:
        return Finding(claim, "repeats", "a run of BYOL diverged")
    mean = spread.groupby(["row", "column"], sort=False).mean()
    rows = mean.index.get_level_values("row")
    byol, others = mean[rows == "BYOL"], mean[rows != "BYOL"]
    if byol.empty:
        return Finding(claim, "not measured", "BYOL was not measured")
    figures = ", ".join(f"{column} {v:.3f}" for (_, column), v in byol.items())
    return Finding(
        claim,
        "repeats" if (byol < SAME_EVERYWHERE).any() else "does not repeat",
        f"relative deviation of what its loss sees, 1 is healthy, below {SAME_EVERYWHERE} "
        f"collapsed: {figures}; the others {others.min():.3f} to {others.max():.3f}",
    )


def _row(values: pd.Series, row: str, column: str = NONE) -> pd.Series:
    """The values of a row by seed, empty where it is missing."""
    here = (values.index.get_level_values("row") == row) & (
        values.index.get_level_values("column") == column
    )
    return values[here].droplevel(["row", "column"]).dropna()


def _gains(accuracy: pd.Series, level: pd.Series) -> pd.Series:
    """By how much each pre-trained row is above a level, (row, column, seed); those that can be."""
    trained = accuracy[accuracy.index.get_level_values("column") != NONE]
    seeds = trained.index.get_level_values("seed")
    return (trained - level.reindex(seeds).to_numpy()).dropna()


def _against(claim: str, accuracy: pd.Series, name: str, level: pd.Series) -> Finding:
    """Every pre-training against a level of each seed."""
    gains = _gains(accuracy, level)
    if gains.empty:
        return Finding(claim, "not measured", "rows are missing")
    signs = gains.groupby(["row", "column"], sort=False).agg(agreed)
    best, value = _best(accuracy)
    return Finding(
        claim, _verdict(signs), f"{name} {level.mean():.3f}; {_counted(signs)}; best {best} {value}"
    )


def _best_against(claim: str, accuracy: pd.Series) -> Finding:
    """The best pre-training against the one with labels."""
    level = _row(accuracy, SUPERVISED)
    gains = _gains(accuracy, level)
    if gains.empty:
        return Finding(claim, "not measured", "rows are missing")
    signs = gains.groupby(["row", "column"], sort=False).agg(agreed)
    verdict: Verdict = "repeats" if (signs > 0).any() else "not told apart"
    if (signs < 0).all():
        verdict = "does not repeat"
    best, value = _best(accuracy)
    text = f"{SUPERVISED} {level.mean():.3f}; {_counted(signs)}; best {best} {value}"
    return Finding(claim, verdict, text)


def _best(accuracy: pd.Series) -> tuple[str, str]:
    """The pre-trained row that is best on average, and its accuracy."""
    trained = accuracy[accuracy.index.get_level_values("column") != NONE].dropna()
    mean = trained.groupby(["row", "column"], sort=False).mean()
    return ", ".join(mean.idxmax()), f"{mean.max():.3f}"


def _longer(accuracy: pd.Series) -> Finding:
    claim = "Longer pre-training helps (thesis: + 2.39 points)."
    short, long = (_row(accuracy, row, OTHER) for row in ("MoCo v2", "MoCo v2, 3 x longer"))
    gain = (long - short).dropna()
    if gain.empty:
        return Finding(claim, "not measured", "rows are missing")
    verdicts: dict[int, Verdict] = {1: "repeats", 0: "not told apart", -1: "does not repeat"}
    text = f"MoCo v2 {short.mean():.3f}, 3 times as long {long.mean():.3f}, {len(gain)} seeds"
    return Finding(claim, verdicts[agreed(gain)], text)
