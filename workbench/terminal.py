"""What all commands say and ask for: names, errors, progress, settings as options."""

from __future__ import annotations

import textwrap
import time
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Annotated

import tyro
from tyro.conf import arg
from tyro.constructors import (
    ConstructorRegistry,
    PrimitiveConstructorSpec,
    PrimitiveTypeInfo,
    StructConstructorSpec,
    StructFieldSpec,
    StructTypeInfo,
)

from workbench.config import Config, closest
from workbench.workspace import Workspace, name_problem

if TYPE_CHECKING:
    from workbench.training.run import Run

RunName = Annotated[str, arg(metavar="RUN", help="Name of the run.")]
WorkspacePath = Annotated[
    Path | None,
    arg(help="Workspace folder; else WORKBENCH_WORKSPACE, else the platform's user data folder."),
]


class UsageError(Exception):
    """A command line that cannot be followed; the message is all that the user sees."""


class Bar:
    """Progress and ETA on the terminal."""

    def __init__(self, what: str, unit: str) -> None:
        from tqdm import tqdm

        left = "{l_bar}{bar}| {n_fmt}/{total_fmt} {unit} [{elapsed}{postfix}]"
        self.bar = tqdm(desc=what, unit=unit, bar_format=left, total=1, dynamic_ncols=True)
        self.started = time.monotonic()

    def show(self, done: int, total: int, note: str = "", eta: float | None = None) -> None:
        """How far it is; eta: seconds left, by default at the pace so far."""
        if eta is None and done:
            eta = (time.monotonic() - self.started) * (total - done) / done
        self.bar.total, self.bar.n = total, done
        left = "" if eta is None else f"{eta:.0f} s left"
        self.bar.set_postfix_str(", ".join(filter(None, [left, note])), refresh=False)
        self.bar.refresh() if done >= total else self.bar.update(0)

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.leave = self.bar.n > 0  # no empty bar where there was nothing to do
        self.bar.close()


def good_name(name: str) -> str:
    """The name, where it can be that of a folder of the workspace."""
    if why := name_problem(name):
        raise UsageError(f"name {name!r} cannot be used: {why}. Give another one with --name.")
    return name


def writable(place: Workspace) -> Workspace:
    """The workspace, where something can be written in it."""
    try:
        place.root.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=place.root):
            pass
    except OSError as error:
        raise UsageError(
            f"nothing can be written in the workspace {place.root} ({error.strerror}). Choose "
            "another folder with --workspace, or with the variable WORKBENCH_WORKSPACE."
        ) from None
    return place


def one_of(part: str, name: str, table: dict, known: list[str] | None = None) -> type:
    """The entry of a table; `UsageError` with the closest known name where there is none."""
    if name not in table:
        raise UsageError(f"unknown {part} {name!r}.{closest(name, known or list(table))}")
    return table[name]


def wrapped(words: str, indent: int) -> str:
    """Words in lines that a help can hold, all but the first moved in."""
    return textwrap.fill(words, 100 - indent).replace("\n", "\n" + " " * indent)


def plain_settings() -> ConstructorRegistry:
    """Settings from the command line as plain data, to be checked as those of a file are."""
    registry = ConstructorRegistry()

    def plain(**values: object) -> dict:
        return values

    @registry.struct_rule
    def settings(info: StructTypeInfo) -> StructConstructorSpec | None:
        if not (isinstance(info.type, type) and issubclass(info.type, Config)):
            return None
        fields = []
        for name, field in info.type.model_fields.items():
            first = tyro.MISSING if field.is_required() else field.default
            value = getattr(info.default, name, first)
            fields.append(StructFieldSpec(name, field.annotation, value, field.description))
        return StructConstructorSpec(plain, tuple(fields))

    @registry.primitive_rule
    def number(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec | None:
        if info.type not in (int, float):
            return None
        return PrimitiveConstructorSpec(
            nargs=1,
            metavar=info.type.__name__.upper(),
            instance_from_str=lambda words: words[0],
            is_instance=lambda value: isinstance(value, int | float | str),
            str_from_instance=lambda value: [str(value)],
        )

    return registry


def data_of(run: Run, place: Workspace, otherwise: str) -> str:
    """The name of the data set that a run was trained on, where the workspace holds it."""
    name, known = run.config.data.name, place.data_names()
    if name not in known:
        raise UsageError(
            f"run {run.name!r} was trained on data set {name!r}, which is not in {place.root}. "
            f"{otherwise.format(name=name)} (here: {', '.join(known) or 'none yet'})."
        )
    return name
