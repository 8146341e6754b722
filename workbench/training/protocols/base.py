"""What a protocol is: settings, a run and a data set in; scores, tables and words out, kept."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import pandas as pd
from pydantic import Field

from workbench.config import Config
from workbench.data.manifest import DataSet
from workbench.training.atomic import replacing, write_json
from workbench.training.evaluate_detection import default_split, held_out
from workbench.training.video_features import videos_of

if TYPE_CHECKING:
    from workbench.training.run import Run

Progress = Callable[[int, int], object]


@dataclass(frozen=True)
class Outcome:
    """What a protocol found: a table of scores, further ones by name, and what is to be said.

    scores: a row per score: score, value, chance (what nothing learned would reach; NaN: none), and
    columns of the protocol's own, such as the same of each stream alone.
    """

    scores: pd.DataFrame
    tables: dict[str, pd.DataFrame]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Judgement:
    """What a protocol found, as it is kept in `evaluations/PROTOCOL-KEY` of a run.

    about.json  how they were made; scores.csv and a CSV per table; report.html, the figure, is
    written by who shows it.
    """

    folder: Path
    about: dict
    scores: pd.DataFrame
    tables: dict[str, pd.DataFrame]

    @property
    def protocol(self) -> str:
        """Its name."""
        return self.about["protocol"]

    def score(self, name: str, column: str = "value") -> float:
        """The value of a score by its name."""
        return float(self.scores.set_index("score").loc[name, column])


class Protocol(Config):
    """Settings of a way to judge a run; subclasses have a `name`, fields, and say how.

    Fields end up as options of `workbench evaluate RUN --protocol NAME`.
    """

    name: ClassVar[str]
    fuses: ClassVar[bool] = False
    """Whether a run on the other stream may be judged together with it (`--with`)."""

    def find(self, run: Run, dataset: DataSet, partner: Run | None, progress: Progress) -> Outcome:
        """Do it."""
        raise NotImplementedError

    def split_judged(self, dataset: DataSet) -> str | None:
        """The split that is judged; None where the protocol is about the training videos."""
        return getattr(self, "split", None) or default_split(dataset)

    def evaluate(
        self,
        run: Run,
        dataset: DataSet,
        partner: Run | None = None,
        progress: Progress = lambda done, total: None,
    ) -> Judgement:
        """What the protocol finds; made only where it is not there.

        partner: a run on the other stream, to be judged together with the first (RGB + flow).
        """
        if partner and not self.fuses:
            raise ValueError(f"protocol {self.name} judges one run at a time: leave out --with.")
        if partner and (stream := partner.config.data.clip.stream) == run.config.data.clip.stream:
            raise ValueError(
                f"{run.name} and {partner.name} were both trained on {stream}. --with takes a run "
                "on another stream."
            )
        split = self.split_judged(dataset)
        settings = {**self.model_dump(mode="json"), "split": split}
        identity = {
            "protocol": self.name,
            "settings": settings,
            "fingerprint": dataset.fingerprint,
            "checkpoints": [r.checkpoint_sha for r in (run, partner) if r],
        }
        key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]
        folder = run.folder / "evaluations" / f"{self.name}-{key}"
        if not (folder / "about.json").is_file():
            found = self.find(run, dataset, partner, progress)
            about = {
                **identity,
                "data": dataset.name,
                "split": split,
                "run": run.name,
                "with": partner.name if partner else None,
                "held_out": not split
                or all(held_out(r, dataset, split) for r in (run, partner) if r),
                "notes": list(found.notes),
                "tables": list(found.tables),
            }
            folder.parent.mkdir(parents=True, exist_ok=True)
            with replacing(folder) as temporary:
                shutil.rmtree(folder, ignore_errors=True)  # one without about.json is a torn one
                temporary.mkdir()
                for name, table in {"scores": found.scores, **found.tables}.items():
                    table.to_csv(temporary / f"{name}.csv", index=False)
                write_json(temporary / "about.json", about)
        return load_judgement(folder)


class OnVideos(Protocol):
    """A protocol that judges the videos of a split, each as a whole."""

    split: str | None = None
    """Which videos are judged: a split, or `all`; default: test, else val, else all."""
    clips: int | None = Field(None, ge=1, le=1000)
    """Windows of each video, evenly spread (IIC, SLIC: 10); default: windows that overlap by half
    (CoCLR, CPR, ViCC)."""


class AgainstBank(OnVideos):
    """A protocol that judges the videos of one split by what is known of those of another."""

    bank: str = "train"
    """The split whose videos and labels are known."""

    def sides(self, dataset: DataSet) -> tuple[str, str]:
        """The split that is judged and the one that is known; `ValueError` where they overlap."""
        known = set(videos_of(dataset, self.bank))
        split = self.split_judged(dataset)
        if shared := known & set(videos_of(dataset, split)):
            raise ValueError(
                f"{len(shared)} videos of data set {dataset.name!r} are both judged (split "
                f"{split!r}) and known (split {self.bank!r}). Choose others with --split and "
                "--bank."
            )
        return split, self.bank


def load_judgement(folder: Path) -> Judgement:
    """What is kept in a folder below `evaluations` of a run."""
    about = json.loads((folder / "about.json").read_text())
    scores, *tables = (pd.read_csv(folder / f"{name}.csv", keep_default_na=False, na_values=[""])
                       for name in ("scores", *about["tables"]))  # fmt: skip
    return Judgement(folder, about, scores, dict(zip(about["tables"], tables, strict=True)))


def find_judgements(run: Run, dataset: DataSet, protocol: str) -> list[Path]:
    """The folders of what a protocol found about a run and a data set as they are; newest first."""
    found = sorted(
        (run.folder / "evaluations").glob(f"{protocol}-*/about.json"),
        key=lambda path: -path.stat().st_mtime,
    )
    return [
        path.parent
        for path in found
        if (about := json.loads(path.read_text()))["fingerprint"] == dataset.fingerprint
        and about["checkpoints"][0] == run.checkpoint_sha
    ]


def labels_of(dataset: DataSet, videos: list[int]) -> list[str | None]:
    """The class of each video; `ValueError` where none has one."""
    labels = [dataset.videos[i].label for i in videos]
    if not any(label is not None for label in labels):
        raise ValueError(
            f"none of these {len(labels)} videos of data set {dataset.name!r} has a label to judge "
            "by. Index it again with --classes, {label} in --pattern, or a column label in its "
            "manifest."
        )
    return labels


def names_of(dataset: DataSet, videos: list[int]) -> pd.DataFrame:
    """Recording and camera of each video, by which it is known in other tables."""
    table = dataset.table.iloc[list(videos)]
    return table[["recording", "camera"]].astype(str).reset_index(drop=True)
