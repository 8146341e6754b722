"""A run is a folder: its settings, its curve, its checkpoint, its embeddings.

config.yaml                       the experiment
metrics.jsonl                     one line per step; evaluations are further keys of a line
status.json  job.json  log.txt    see jobs.py
checkpoints/model.safetensors     the method's weights; the encoder's begin with `encoder.`
checkpoints/trainer.safetensors   optimizer and random state; the clock is in its header
embeddings/KEY/                   see embed.py
mined/  clusters/                 what was found along training, see findings.py
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import asdict, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import yaml

from workbench.config import read_yaml
from workbench.training import findings
from workbench.training.atomic import replacing, write_json
from workbench.training.jobs import Job, Status

if TYPE_CHECKING:
    from torch import Tensor, nn

    from workbench.methods import Method
    from workbench.training.experiment import Experiment

ENCODER = "encoder."
RESTORE = "Restore the file, or delete the run."


class RunError(RuntimeError):
    """A run folder that cannot be used; says which file, what is wrong and what to do."""


class Run:
    """The folder of a run. Nothing is read before it is asked for."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    @property
    def name(self) -> str:
        """The name of the folder."""
        return self.folder.name

    @property
    def settings(self) -> dict:
        """The settings as plain data, {} where there are none yet; imports no torch."""
        path = self.folder / "config.yaml"
        if not path.is_file():
            return {}
        try:
            found = read_yaml(path.read_text())
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise RunError(f"{path} is damaged: {error}. Restore it, or delete the run.") from None
        if not isinstance(found, dict):
            raise RunError(
                f"{path} is damaged: it holds no settings. Restore it, or delete the run."
            )
        return found

    @property
    def origin(self) -> str:
        """Which runs it comes from, in words: "from A, taught by B"; "" where from none."""
        return origin(self.settings.get("init"), self.settings.get("teacher"))

    @cached_property
    def config(self) -> Experiment:
        """The settings; `RunError` or `ConfigError` where they are missing or unusable."""
        from workbench.training.experiment import Experiment

        path = self.folder / "config.yaml"
        if not path.is_file():
            raise RunError(f"{self.folder} is not a run: it has no config.yaml.")
        return Experiment.load(path)

    def status(self) -> Status:
        """How far the run is."""
        return Job(self.folder).status()

    def log(self, n: int = 200) -> list[str]:
        """The last `n` lines that its process printed."""
        return Job(self.folder).log(n)

    def metrics(self) -> pd.DataFrame:
        """One row per step: step, epoch, loss, clips_per_s, ...; NaN where a key was not logged."""
        return pd.DataFrame(list(self.metric_lines()))

    def metric_lines(self) -> list[dict]:
        """The lines of metrics.jsonl; a last line that is still being written is left out."""
        path = self.folder / "metrics.jsonl"
        whole = path.read_text().rpartition("\n")[0] if path.is_file() else ""
        return [json.loads(line) for line in whole.splitlines()]

    @property
    def model_path(self) -> Path:
        """The weights."""
        return self.folder / "checkpoints" / "model.safetensors"

    @property
    def checkpoint_sha(self) -> str:
        """SHA-256 of the weights' file: the identity of what embeddings are made with."""
        self._need_checkpoint()
        stat = self.model_path.stat()
        return _sha(self.model_path, stat.st_mtime_ns, stat.st_size)

    @property
    def whole(self) -> bool:
        """Whether the checkpoint holds the whole method; an exported one has the encoder alone."""
        return any(not k.startswith(ENCODER) for k in _keys(self._need_checkpoint()))

    def encoder(self) -> nn.Module:
        """The trained encoder, in eval mode, without the rest of the method."""
        encoder = self._untrained(self.config.encoder).build()
        state = _load(self._need_checkpoint(), prefix=ENCODER)
        _fill(encoder, {k.removeprefix(ENCODER): v for k, v in state.items()}, self.model_path)
        return encoder.eval()

    def method(self) -> Method:
        """The whole method as the checkpoint holds it, in eval mode, without its teacher."""
        method = self.config.method.build(self._untrained(self.config.encoder).build())
        _fill(method, _load(self._need_checkpoint()), self.model_path)
        return method.eval()

    def embeddings(self) -> list[str]:
        """Keys of the complete embeddings, the newest last."""
        found = (self.folder / "embeddings").glob("*/about.json")
        return [p.parent.name for p in sorted(found, key=lambda p: p.stat().st_mtime)]

    def embedding_folder(self, key: str) -> Path:
        """Where the embeddings of a key lie."""
        return self.folder / "embeddings" / key

    def mined(self, epoch: int) -> pd.DataFrame:
        """Positives found in an epoch, from 0: step, and names of recordings, anchor, positive."""
        return findings.read(self.folder, findings.MINED, epoch)

    def mined_epochs(self) -> list[int]:
        """The epochs of which `mined` has something."""
        return findings.epochs(self.folder, findings.MINED)

    def clusters(self, epoch: int) -> pd.DataFrame:
        """The clustering that an epoch, counted from 0, began with: recording, cluster."""
        return findings.read(self.folder, findings.CLUSTERS, epoch)

    def cluster_epochs(self) -> list[int]:
        """The epochs that began with a new clustering."""
        return findings.epochs(self.folder, findings.CLUSTERS)

    def save(self, model: dict[str, Tensor], rest: dict[str, Tensor], about: dict) -> None:
        """Write a checkpoint; killed at any moment, the old or the new one is whole.

        The new trainer file waits under another name until the model it belongs to is in place.
        """
        from safetensors.torch import save

        folder = self.model_path.parent
        folder.mkdir(parents=True, exist_ok=True)
        step = {"step": str(about["clock"]["step"])}
        header = {**step, "about": json.dumps(about)}
        with replacing(folder / "trainer.new.safetensors") as temporary:
            temporary.write_bytes(save(_plain(rest), metadata=header))
        with replacing(self.model_path) as temporary:
            temporary.write_bytes(save(_plain(model), metadata=step))
        os.replace(folder / "trainer.new.safetensors", folder / "trainer.safetensors")

    def export(self, folder: str | Path) -> Run:
        """The run without what only its own going on needs: settings, curve, encoder.

        The copy can be looked at, embedded with, shared, and used as `init`; not resumed.
        """
        from safetensors.torch import save

        state = {ENCODER + k: v for k, v in self.encoder().state_dict().items()}
        copy = Run(folder)
        copy.model_path.parent.mkdir(parents=True, exist_ok=True)
        for name in ("config.yaml", "metrics.jsonl"):
            if (self.folder / name).is_file():
                shutil.copy(self.folder / name, copy.folder / name)
        ended = replace(self.status(), pid=None, pid_started=None)
        write_json(copy.folder / "status.json", asdict(ended))
        with replacing(copy.model_path) as temporary:
            temporary.write_bytes(save(_plain(state)))
        return copy

    def load(self) -> tuple[dict[str, Tensor], dict[str, Tensor], dict] | None:
        """Weights, trainer state and its plain data, None where no checkpoint was written yet."""
        if not self.model_path.is_file():
            return None
        step = _header(self.model_path).get("step")
        for name in ("trainer.safetensors", "trainer.new.safetensors"):
            path = self.model_path.with_name(name)
            if path.is_file() and (header := _header(path)).get("step") == step:
                return _load(self.model_path), _load(path), json.loads(header["about"])
        raise RunError(
            f"{self.folder} cannot be resumed: checkpoints/trainer.safetensors for step {step} is "
            "missing. Start a new run with `init` set to this one to go on from its encoder."
        )

    def append_metrics(self, line: dict[str, float]) -> None:
        """Write a line of the curve."""
        with (self.folder / "metrics.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")

    def truncate_metrics(self, step: int) -> None:
        """Forget the lines after a step, which a resumed run will write again."""
        kept = [json.dumps(line) + "\n" for line in self.metric_lines() if line["step"] <= step]
        with replacing(self.folder / "metrics.jsonl") as temporary:
            temporary.write_text("".join(kept))

    def _need_checkpoint(self) -> Path:
        if not self.model_path.is_file():
            raise RunError(
                f"run {self.name!r} has no checkpoint yet ({self.model_path} is missing). Let it "
                "train for a step, or resume it."
            )
        return self.model_path

    @staticmethod
    def _untrained(encoder):
        """The encoder's settings without pretrained weights, which the checkpoint replaces."""
        plain = {"weights": "none"} if "weights" in type(encoder).model_fields else {}
        return encoder.model_copy(update=plain)


def origin(init: str | None, teacher: str | None) -> str:
    """What `Run.origin` says of a run with these settings."""
    return ", ".join([f"from {init}"] * bool(init) + [f"taught by {teacher}"] * bool(teacher))


def _plain(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """What safetensors takes: contiguous, sharing no memory."""
    return {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}


def _load(path: Path, prefix: str = "") -> dict[str, Tensor]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            return {k: file.get_tensor(k) for k in file.keys() if k.startswith(prefix)}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise RunError(_damaged(path, error)) from None


def _keys(path: Path) -> list[str]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            return list(file.keys())
    except (SafetensorError, OSError) as error:
        raise RunError(_damaged(path, error)) from None


def _header(path: Path) -> dict[str, str]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            return file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise RunError(_damaged(path, error)) from None


def _damaged(path: Path, error: Exception) -> str:
    return (
        f"{path} cannot be read: {error}. The file is damaged or no checkpoint. Restore it, or "
        "delete the folder it lies in to train from the start."
    )


def _fill(module: nn.Module, state: dict[str, Tensor], path: Path) -> None:
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        raise RunError(
            f"{path} does not fit the settings in config.yaml: {error}\nWas one of the two edited?"
        ) from None


@lru_cache(maxsize=64)
def _sha(path: Path, modified: int, size: int) -> str:
    """`modified` and `size` tell versions of the file apart."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
