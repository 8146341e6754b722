"""What ViCC, CoCLR, CPR and SLIC claim, on the actions demo: does the other stream help, and how?

Every row is an encoder trained on the recordings of split train without labels, and judged on
those of split test: retrieval among the training recordings (centred, the encoder's own features,
the mean of windows), prototypes as clusters (ViCC's table 1), FINCH's clusters, and of methods that
look for positives how many of those are right. All get the same network, steps, batch, optimizer,
augmentation and clips, none is tuned by itself. What differs from the papers: a demo that is drawn,
flow by DIS, pictures of 40 pixels and a small network, Adam at one rate in place of each paper's
optimizer, far fewer steps, and a third stream: differences of RGB frames. For of RGB frames as they
are, runs of some hundred steps learn who is in which hall (ViCC's rows of RGB show it), so the rest
of the grid has the differences in their place. Stages have the papers' shares: 300 epochs of one
stream (ViCC's of a cosine of 500), then twice 100 with the other as teacher; a row of one stream
alone has as many steps as these together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd

from workbench.analysis.clusters import cluster_scores, finch
from workbench.analysis.mining import false_rates
from workbench.analysis.retrieval import centred, fused, recall
from workbench.data.augment import AugmentConfig
from workbench.data.manifest import DataSet
from workbench.data.video import ClipShape, Stream
from workbench.methods import MethodSettings
from workbench.methods.coclr import CoCLRConfig
from workbench.methods.moco import MoCoConfig
from workbench.methods.slic import SlicConfig
from workbench.methods.vicc import ViCCConfig
from workbench.models.tiny3d import Tiny3D
from workbench.sampling import SameCluster, SameVideo, Sampler, TwoStreams
from workbench.training.experiment import DataConfig, Experiment, TrainConfig
from workbench.training.findings import training_labels
from workbench.training.protocols.clusters import run_prototypes
from workbench.training.protocols.mining import mining_recall
from workbench.training.run import Run
from workbench.training.study import Cell, Finding, Scores, Stage, Study, Verdict, agreed
from workbench.training.video_features import project, video_windows
from workbench.workspace import Workspace

BASELINE, PROTOTYPES, QUEUE, MINED, CLUSTERED = (
    "nothing learned", "ViCC", "ViCC's queue", "CoCLR, CPR", "SLIC"
)  # fmt: skip
RGB, DIFF, FLOW, DIFF_FLOW, RGB_FLOW = "RGB", "Diff", "Flow", "D+F", "R+F"
STREAMS: dict[str, Stream] = {RGB: "rgb", DIFF: "diff", FLOW: "flow"}
"""What rows are about: frames, their differences, optical flow, and flow beside either."""
FUSIONS = {DIFF_FLOW: (DIFF, FLOW), RGB_FLOW: (RGB, FLOW)}
"""Rows of two streams beside each other."""
TAUGHT_BY = {DIFF: FLOW, FLOW: DIFF}
"""Whom a stream learns from in the turns of the grid."""
SCORES = {
    "r1": "R@1",
    "r5": "R@5",
    "accuracy": "Acc",
    "nmi": "NMI",
    "ari": "ARI",
    "entropy": "H",
    "purity": "purity",
    "finch_nmi": "FINCH NMI",
    "false_positives": "false +",
    "false_negatives": "false -",
    "mined_recall": "mining recall",
    "mined_wrong": "mined wrong",
}
"""Of test videos the share with one of their class nearest, or among the 5 nearest, of training
videos. Prototypes as clusters of test videos: accuracy of the best one-to-one matching, normalised
mutual information, adjusted Rand index, mean entropy in nats, mean purity. FINCH's finest clusters
of test videos: NMI, share of pairs of one cluster that are of two classes, and of two clusters that
are of one class. Of the last epoch's mined positives: median class mining recall, share wrong."""
HIGHER = ("r1", "r5", "accuracy", "nmi", "ari", "purity", "finch_nmi", "mined_recall")
LOWER = ("entropy", "false_positives", "false_negatives", "mined_wrong")
TABLE1 = ("accuracy", "nmi", "ari", "entropy", "purity")
DATA = "actions-full"


@dataclass(frozen=True)
class Size:
    """How much a study does."""

    seeds: int
    first: int
    """Steps of the first stage, on one stream."""
    turn: int
    """Steps of each of the two turns with the other stream as teacher."""
    batch: int
    evaluations: int

    @property
    def whole(self) -> int:
        """Steps of a row that stays with one stream."""
        return self.first + 2 * self.turn


QUICK = Size(seeds=1, first=120, turn=40, batch=28, evaluations=4)
FULL = Size(seeds=3, first=900, turn=300, batch=28, evaluations=10)
"""140 training recordings are 5 batches."""
STILL = 20
"""Steps in which nothing is learned, but the norms of a random network see the data."""
CLIP = ClipShape(length=8, stride=3, size=40)
"""0.9 s at 25 frames per second, about one repetition."""
LOOK = AugmentConfig(crop=(0.5, 1.0), blur=0.2)

KEYS, KEPT = 112, 56
"""Keys to find positives among, and embeddings in ViCC's queue, of 140 training recordings."""
QUEUES = (KEPT, 0, 2 * KEPT)
"""As ViCC's 1920, 0, 3840 of 9537: some, none, twice as many."""
CLASSES = 10
"""Prototypes: as many as classes, as for ViCC's table 1."""
SMALL = {"hidden": 128, "dim": 64}
INFONCE = MoCoConfig(temperature=0.07, momentum=0.9, queue=KEYS, **SMALL)
COCLR = CoCLRConfig(momentum=0.9, queue=KEYS, **SMALL)
CPR = COCLR.model_copy(update={"stages": 5})
"""Stages that leave 7 of 112 keys to choose 5 of; the paper's 7 stages leave 32 of 2048."""
VICC = ViCCConfig(prototypes=CLASSES, queue=KEPT, **SMALL)
TAUGHT = VICC.model_copy(update={"frozen": 0.0, "queue_from": 0.25})
SLIC = SlicConfig(**SMALL)
NEVER = 100_000
"""A warm-up that outlasts every run: no clustering."""


def demo(quick: bool) -> tuple[str, Literal["small", "full"], int]:
    """Name, size and seed of the demo that the study is on."""
    return DATA, "full", 1


def actions_study(data: str, quick: bool = False, seeds: int | None = None) -> Study:
    """The study on a data set with optical flow and splits train and test, labelled."""
    size = QUICK if quick else FULL
    if seeds is not None and seeds < 1:
        raise ValueError(f"a study needs at least 1 seed; found {seeds}.")
    size = replace(size, seeds=seeds or size.seeds)
    name = f"actions-{'quick' if quick else 'full'}" + f"-{data}" * (data != DATA)
    cells = [cell for seed in range(size.seeds) for cell in _Grid(name, data, size, seed).cells()]
    return Study(
        name, "Two streams, prototypes and mined positives for actions", data, "test",
        tuple(cells), SCORES, HIGHER, score, findings, grouped="table", lower=LOWER,
        mapped=MAPPED, features=features,
    )  # fmt: skip


class _Grid:
    """The cells of one seed."""

    def __init__(self, study: str, data: str, size: Size, seed: int) -> None:
        self.study, self.data, self.size, self.seed = study, data, size, seed

    def cells(self) -> list[Cell]:
        """In the order of the table."""
        still = {
            s: self._one_stream(f"random {s}", s, VICC, steps=STILL, lr=1e-12) for s in STREAMS
        }
        return [
            *self._rows(RANDOM, BASELINE, {s: [stage] for s, stage in still.items()}),
            *self._prototypes(),
            *self._mined(),
            *self._clustered(),
        ]

    def _prototypes(self) -> list[Cell]:
        """ViCC's table 1, its R+F, and its queue, whose size differs in the turns alone."""
        alone = {s: [self._one_stream(f"ViCC {s}-1", s, _vicc(s))] for s in STREAMS}
        until = self.size.first / self.size.whole  # of a run that its paper plans longer
        first = {s: self._one_stream(f"ViCC {s} first", s, _vicc(s), until=until) for s in STREAMS}
        found = self._rows(ONE, PROTOTYPES, alone)
        for queue in QUEUES:
            words, method = f"ViCC queue {queue}", TAUGHT.model_copy(update={"queue": queue})
            turns = self._turns(words, {s: first[s] for s in TAUGHT_BY}, method)
            if queue == KEPT:
                turns = {RGB: self._beside(words, first[RGB], turns[FLOW], method), **turns}
                found += self._rows(TWO, PROTOTYPES, turns)
            else:
                rows = self._rows(queued(queue), QUEUE, turns)
                found += [cell for cell in rows if not cell.row.startswith(FLOW)]
        return found

    def _mined(self) -> list[Cell]:
        """InfoNCE on one stream, and what positives from the other stream add to it."""
        alone = {s: [self._one_stream(f"InfoNCE {s}", s, INFONCE)] for s in TAUGHT_BY}
        steps = self.size.first
        first = {
            s: self._one_stream(f"InfoNCE {s} first", s, INFONCE, steps=steps) for s in TAUGHT_BY
        }
        found = self._rows("InfoNCE", MINED, alone)
        for words, method in (("CoCLR", COCLR), ("CPR", CPR)):
            found += self._rows(words, MINED, self._turns(words, first, method))
        return found

    def _clustered(self) -> list[Cell]:
        """SLIC's ablation, on differences: clusters, positives in flow, the temporal loss."""
        found = []
        for row, (clusters, flow, temporal) in ABLATION.items():
            sampler = SameCluster(warmup=0 if clusters else NEVER, flow=0.25 * flow)
            method = SLIC.model_copy(update={"temporal": float(temporal)})
            stage = self._stage(row, DIFF, method, sampler)
            found.append(Cell(row, CLUSTERED, self.seed, (stage,)))
        return found

    def _rows(self, words: str, column: str, stages: dict[str, list[Stage]]) -> list[Cell]:
        """A row of each stream by the stages that lead to it, and of flow beside either other."""
        rows = dict(stages)
        for both, (stream, flow) in FUSIONS.items():
            if stream in stages:
                rows[both] = list(dict.fromkeys([*stages[stream], *stages[flow]]))
        return [Cell(name(words, s), column, self.seed, tuple(rows[s])) for s in rows]

    def _turns(
        self, words: str, first: dict[str, Stage], method: MethodSettings
    ) -> dict[str, list[Stage]]:
        """Two turns: differences learn from flow as it is, then flow from these as they are then.

        Returns the stages that lead to the last one of each, in order.
        """
        last, order, found = dict(first), list(first.values()), {}
        for turn in (1, 2):
            for s, other in TAUGHT_BY.items():
                last[s] = self._taught(f"{words} {s} turn {turn}", s, last[s], last[other], method)
                order.append(last[s])
                found[s] = list(order)
        return found

    def _beside(
        self, words: str, first: Stage, flow: list[Stage], method: MethodSettings
    ) -> list[Stage]:
        """RGB's own two turns, with the flow that differences learn from as teacher."""
        before = [s for s in flow[:-1] if s.experiment.data.clip.stream == STREAMS[FLOW]]
        found = [*flow[:-1], first]
        for turn, teacher in enumerate(before, 1):
            stage = self._taught(f"{words} {RGB} turn {turn}", RGB, found[-1], teacher, method)
            found.append(stage)
        return found

    def _taught(
        self, words: str, stream: str, init: Stage, teacher: Stage, method: MethodSettings
    ) -> Stage:
        sampler = TwoStreams(other=teacher.experiment.data.clip.stream)
        return self._stage(
            words, stream, method, sampler,
            steps=self.size.turn, init=init.name, teacher=teacher.name,
        )  # fmt: skip

    def _one_stream(
        self, words: str, stream: str, method: MethodSettings, **settings: float
    ) -> Stage:
        return self._stage(words, stream, method, SameVideo(), **settings)

    def _stage(
        self,
        words: str,
        stream: str,
        method: MethodSettings,
        sampler: Sampler,
        *,
        steps: int | None = None,
        until: float = 1.0,
        lr: float = 1e-3,
        init: str | None = None,
        teacher: str | None = None,
    ) -> Stage:
        slug = "-".join("".join(c if c.isalnum() else " " for c in words.lower()).split())
        clip = CLIP.model_copy(update={"stream": STREAMS[stream]})
        train = TrainConfig(
            steps=steps or self.size.whole, until=until, batch=self.size.batch,
            optimizer="adam", lr=lr, weight_decay=1e-5, seed=self.seed,
            evaluations=self.size.evaluations,
        )  # fmt: skip
        experiment = Experiment(
            data=DataConfig(name=self.data, splits=("train",), clip=clip), encoder=Tiny3D(),
            sampler=sampler, method=method, augment=LOOK, train=train, init=init, teacher=teacher,
        )  # fmt: skip
        return Stage(f"{self.study}-{slug}-{self.seed}", experiment)


def _vicc(stream: str) -> ViCCConfig:
    """ViCC on one stream: its queue starts later on flow."""
    return VICC.model_copy(update={"queue_from": 0.4 if stream == FLOW else 0.3})


RANDOM, ONE, TWO = "random weights", "1", "2"
"""Words of rows: `name` puts the stream before ViCC's, behind the others."""


def name(words: str, stream: str) -> str:
    """The row of a stream."""
    return f"{stream}-{words}" if words[0].isdigit() else f"{words}, {stream}"


def queued(queue: int) -> str:
    """Words of the rows with a queue of that size."""
    return TWO if queue == KEPT else f"2, queue {queue}"


NO_CLUSTERS, ONLY_CLUSTERS = "SLIC without clusters", "SLIC, clusters alone"
NO_TEMPORAL, NO_VIEWS, WHOLE = "SLIC without temporal loss", "SLIC without flow", "SLIC"
ABLATION = {
    NO_CLUSTERS: (False, True, True),
    ONLY_CLUSTERS: (True, False, False),
    NO_TEMPORAL: (True, True, False),
    NO_VIEWS: (True, False, True),
    WHOLE: (True, True, True),
}
"""Row -> clustering, multi-view (positives in flow), temporal loss."""
MAPPED = (
    *(name(words, s) for s in (DIFF, FLOW) for words in (RANDOM, ONE, TWO)),
    name("CoCLR", DIFF), name("CPR", DIFF), WHOLE,
)  # fmt: skip
"""Rows whose features are drawn, before and after training."""


def judged(cell: Cell, workspace: Workspace) -> list[Run]:
    """The run that a row is about; of rows of two streams, one of each."""
    last = {s.experiment.data.clip.stream: s.name for s in cell.stages}
    both = next((pair for words, pair in FUSIONS.items() if words in cell.row), None)
    names = [last[STREAMS[s]] for s in both] if both else [cell.stages[-1].name]
    return [Run(workspace.runs / run) for run in names]


def vectors(runs: Sequence[Run], dataset: DataSet, split: str) -> tuple[np.ndarray, list[str]]:
    """(V, D) centred vectors of the videos of a split, streams beside each other, and labels."""
    windows = [video_windows(run, dataset, split) for run in runs]
    z = fused(*(centred(w.per_video(w.z)) for w in windows))
    return z, [dataset.videos[i].label for i in windows[0].videos]


def features(cell: Cell, workspace: Workspace) -> tuple[np.ndarray, list[str]]:
    """What a map of a row shows: vectors of all videos, and their labels."""
    runs = judged(cell, workspace)
    return vectors(runs, DataSet(workspace.data_folder(runs[0].config.data.name)), "all")


def score(cell: Cell, workspace: Workspace) -> Scores:
    """How well a row retrieves and clusters the test videos, and what it found while training."""
    runs = judged(cell, workspace)
    dataset = DataSet(workspace.data_folder(runs[0].config.data.name))
    test, asked = vectors(runs, dataset, "test")
    train, known = vectors(runs, dataset, "train")
    found = recall(test, asked, train, known, (1, 5))
    clusters = finch(test)[0]
    rates = false_rates(clusters, asked)
    scores = {
        "r1": found.at(1),
        "r5": found.at(5),
        "finch_nmi": cluster_scores(clusters, asked).nmi,
        "false_positives": rates.positive,
        "false_negatives": rates.negative,
    }
    if len(runs) > 1:
        return scores
    return scores | _by_prototypes(runs[0], dataset) | _mining(runs[0], dataset) | _along(runs[0])


def _by_prototypes(run: Run, dataset: DataSet) -> Scores:
    """ViCC's table 1: each test video belongs to its nearest prototype."""
    if run.config.method.name != "vicc":
        return {}
    windows = video_windows(run, dataset, "test")
    near = windows.per_video(project(run, windows.z) @ run_prototypes(run).T, unit_windows=False)
    labels = [dataset.videos[i].label for i in windows.videos]
    found = cluster_scores(near.argmax(axis=1), labels)
    return {key: getattr(found, key) for key in TABLE1}


def _mining(run: Run, dataset: DataSet) -> Scores:
    """Of the last epoch that mined positives."""
    if not run.mined_epochs():
        return {}
    found = mining_recall(run, run.mined_epochs()[-1], training_labels(run, dataset))
    return {
        "mined_recall": found.median,
        "mined_complete": float(found.complete),
        "mined_wrong": 1 - found.precision,
    }


def _along(run: Run) -> Scores:
    """SLIC's curves at the first clustering and at the last."""
    curves = run.metrics()
    ends = {}
    for key in ("nmi", "false_positives", "false_negatives"):
        values = curves[key].dropna() if key in curves else ()
        if len(values):
            ends |= {f"first_{key}": float(values.iloc[0]), f"last_{key}": float(values.iloc[-1])}
    return ends


def findings(scores: pd.DataFrame) -> list[Finding]:
    """What the table says about the papers' claims.

    Rows are compared seed by seed, on the same test recordings: two are told apart where all seeds
    agree, so never by one seed. (That other recordings would agree too is not shown by that.) A
    claim about several pairs of rows repeats where all of them do.
    """
    known = scores[scores["failed"] == ""].set_index(["row", "seed"])
    failed = scores.loc[scores["failed"] != ""].groupby("row", sort=False)["failed"].first()
    compare = _Comparison(known, failed)
    found = [
        compare(
            f"Table 1, {s}: with the other stream as teacher, prototypes match the classes better "
            f"by all five scores.",
            *[(key, name(TWO, s), name(ONE, s)) for key in TABLE1],
        )
        for s in STREAMS
    ]
    return [
        *found,
        *[
            compare(
                f"{s}: ViCC's second stage retrieves better than its first one, at as many steps.",
                ("r1", name(TWO, s), name(ONE, s)),
            )
            for s in STREAMS
        ],
        *[
            compare(
                f"{s} and flow together retrieve better than either (ViCC: 65.1 against 62.1, "
                "59.7).",
                *[("r1", name(TWO, both), name(TWO, x)) for x in (s, flow)],
            )
            for both, (s, flow) in FUSIONS.items()
        ],
        _queue(known["r1"]),
        compare(
            "CPR finds more of each class than CoCLR (class mining recall 83.3 against 77.8).",
            *[("mined_recall", name("CPR", s), name("CoCLR", s)) for s in TAUGHT_BY],
        ),
        compare(
            "CPR finds all instances of more classes (8 against 6).",
            *[("mined_complete", name("CPR", s), name("CoCLR", s)) for s in TAUGHT_BY],
        ),
        compare(
            "CPR retrieves better than CoCLR.",
            *[("r1", name("CPR", s), name("CoCLR", s)) for s in TAUGHT_BY],
        ),
        compare(
            "CoCLR retrieves better than InfoNCE on one stream, at as many steps.",
            *[("r1", name("CoCLR", s), name("InfoNCE", s)) for s in TAUGHT_BY],
        ),
        compare(
            "SLIC's clusters help (R@1 45.0 without them, 66.7 with).", ("r1", WHOLE, NO_CLUSTERS)
        ),
        compare(
            "Positives in flow help (59.2 without them, 66.7 with; 54.7 and 59.9 without the "
            "temporal loss).",
            ("r1", WHOLE, NO_VIEWS), ("r1", NO_TEMPORAL, ONLY_CLUSTERS),
        ),
        compare(
            "The temporal loss helps (59.9 without it, 66.7 with; 54.7 and 59.2 without flow).",
            ("r1", WHOLE, NO_TEMPORAL), ("r1", NO_VIEWS, ONLY_CLUSTERS),
        ),
        _along_training(known, "nmi", "NMI of clusters and classes rises", 1),
        _along_training(known, "false_positives", "False positives of clusters become fewer", -1),
        *[
            compare(
                f"{s}: every pre-training retrieves better than random weights.",
                *[("r1", row, name(RANDOM, s)) for row in rows],
            )
            for s, rows in _trained().items()
        ],
    ]  # fmt: skip


def _trained() -> dict[str, list[str]]:
    """Stream -> rows of it that learned."""
    found = {s: [name(ONE, s), name(TWO, s)] for s in STREAMS}
    for s in TAUGHT_BY:
        found[s] += [name(words, s) for words in MINING]
    found[DIFF].append(WHOLE)
    return found


MINING = ("InfoNCE", "CoCLR", "CPR")
VERDICTS: dict[int, Verdict] = {1: "repeats", 0: "not told apart", -1: "does not repeat"}


class _Comparison:
    """Claims that one row beats another, tested on scores indexed by (row, seed)."""

    def __init__(self, known: pd.DataFrame, failed: pd.Series) -> None:
        self.known, self.failed = known, failed

    def __call__(self, claim: str, *pairs: tuple[str, str, str]) -> Finding:
        """pairs: score, the row that is to be better by it, the other row."""
        signs, told = [], []
        for key, first, second in pairs:
            both = pd.concat([_by_seed(self.known, key, row) for row in (first, second)], axis=1)
            both = both.dropna()
            if both.empty:
                told.append(f"{first} and {second} not measured")
                told += [f"{row}: {self.failed[row]}" for row in (first, second)
                         if row in self.failed]  # fmt: skip
                continue
            a, b = both.iloc[:, 0], both.iloc[:, 1]
            signs.append(agreed((a - b) * (-1 if key in LOWER else 1)))
            words = SCORES.get(key, "complete classes")
            told.append(f"{words} {first} {a.mean():.3f}, {second} {b.mean():.3f}")
        verdict: Verdict = "not measured"
        if signs:
            worst = min(signs)
            verdict = VERDICTS[worst] if len(signs) == len(pairs) or worst < 1 else "not measured"
        return Finding(claim, verdict, "; ".join(told))


def _by_seed(known: pd.DataFrame, key: str, row: str) -> pd.Series:
    """A score of a row by seed, empty where it is missing."""
    if key not in known:
        return pd.Series(dtype=float)
    values = known.loc[known.index.get_level_values("row") == row, key]
    return values.droplevel("row").dropna()


def _queue(r1: pd.Series) -> Finding:
    """No number of seeds shows that things are equal: the claim can fail, or be left open."""
    claim = "The size of ViCC's queue hardly matters (fine-tuned RGB-2: 84.5, 84.3, 84.7)."
    rows = {queue: name(queued(queue), DIFF) for queue in QUEUES}
    frame = r1.to_frame("r1")
    by_size = pd.DataFrame({q: _by_seed(frame, "r1", row) for q, row in rows.items()}).dropna()
    if by_size.empty:
        return Finding(claim, "not measured", "rows are missing")
    pairs = [(0, KEPT), (KEPT, 2 * KEPT), (0, 2 * KEPT)]
    apart = [pair for pair in pairs if agreed(by_size[pair[1]] - by_size[pair[0]])]
    text = ", ".join(f"{queue}: {value:.3f}" for queue, value in by_size.mean().items())
    text = f"R@1 by size of the queue: {text}"
    if apart:
        told = " and ".join(f"{a} from {b}" for a, b in apart)
        return Finding(claim, "does not repeat", f"{text}; all seeds tell {told}")
    return Finding(claim, "not told apart", f"{text}; the seeds agree on no difference")


def _along_training(known: pd.DataFrame, key: str, words: str, sign: int) -> Finding:
    """From SLIC's first clustering to its last one."""
    claim = f"{words} while SLIC trains."
    first, last = (_by_seed(known, f"{end}_{key}", WHOLE) for end in ("first", "last"))
    change = (last - first).dropna()
    if change.empty:
        return Finding(claim, "not measured", f"{WHOLE} is missing")
    text = f"{first.mean():.3f} at the first clustering, {last.mean():.3f} at the last"
    return Finding(claim, VERDICTS[agreed(sign * change)], text)
