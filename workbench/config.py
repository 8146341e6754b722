"""Typed settings: one schema for the file, the command line and the widget form."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Self

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError


class ConfigError(ValueError):
    """Settings that cannot be used; the message says which, why, and what to write instead."""


class Config(BaseModel):
    """Base of every settings class: frozen, typed, with bounds and a description per field.

    An unknown key is an error that names the closest known one.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, validate_default=True
    )

    @classmethod
    def parse(cls, data: dict) -> Self:
        """Settings out of plain data (a parsed YAML file, a form); raises `ConfigError`."""
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            lines = [_explain(cls, e) for e in error.errors()]
            raise ConfigError("\n".join(dict.fromkeys(lines))) from None

    @classmethod
    def load(cls, path: Path) -> Self:
        """Settings out of a YAML (or JSON) file; raises `ConfigError` naming the file."""
        try:
            data = yaml.safe_load(Path(path).read_text()) or {}
        except yaml.YAMLError as error:
            raise ConfigError(f"{path} is not YAML: {error}") from None
        if not isinstance(data, dict):
            raise ConfigError(f"{path} holds a {type(data).__name__}, expected a mapping of keys.")
        try:
            return cls.parse(data)
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from None

    def to_yaml(self) -> str:
        """The settings as YAML, every key written out."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)


def closest(name: str, known: list[str]) -> str:
    """`' Did you mean ...?'` for a name that is not among the known ones, or the list of them."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f" Did you mean {near[0]!r}?" if near else f" Known: {', '.join(sorted(known))}."


def _explain(cls: type[BaseModel], error: dict) -> str:
    where = ".".join(str(part) for part in error["loc"]) or cls.__name__
    if error["type"] == "extra_forbidden":
        owner = _owner(cls, error["loc"][:-1])
        known = list(owner.model_fields) if owner else []
        return f"unknown key {where!r}.{closest(str(error['loc'][-1]), known) if known else ''}"
    return f"{where}: {error['msg']}, got {error['input']!r}."


def _owner(cls: type[BaseModel], loc: tuple) -> type[BaseModel] | None:
    """The settings class at a path of keys; a discriminated union's tag is one step of the path."""
    from typing import get_args

    here: list = [cls]
    for part in loc:
        models = [m for m in here if isinstance(m, type) and issubclass(m, BaseModel)]
        fields = [m.model_fields[part].annotation for m in models if part in m.model_fields]
        if fields:
            here = [a for f in fields for a in (_leaves(f) or [f])]
        else:  # the tag of a union: keep the member that carries it
            here = [
                m
                for m in models
                if any(part in get_args(f.annotation) for f in m.model_fields.values())
            ] or here
    models = [m for m in here if isinstance(m, type) and issubclass(m, BaseModel)]
    return models[0] if models else None


def _leaves(annotation: object) -> list:
    from typing import get_args

    out: list = []
    for a in get_args(annotation):
        out += _leaves(a) or [a]
    return out
