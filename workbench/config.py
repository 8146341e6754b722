"""Typed settings: one schema for the file, the command line and the widget form."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any, Self, get_args

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
            lines = [_line(cls, e, data) for e in error.errors()]
            raise ConfigError("\n".join(dict.fromkeys(lines))) from None

    @classmethod
    def load(cls, path: Path) -> Self:
        """Settings out of a YAML (or JSON) file; raises `ConfigError` naming the file."""
        try:
            data = read_yaml(Path(path).read_text()) or {}
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
        return yaml.dump(self.model_dump(mode="json"), Dumper=_Dumper, sort_keys=False)


_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def read_yaml(text: str) -> Any:
    """Plain data out of YAML; by libyaml where there is one, which is ten times as fast."""
    return yaml.load(text, _Loader)


def closest(name: str, known: list[str]) -> str:
    """`' Did you mean ...?'` for a name that is not among the known ones, or the list of them."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f" Did you mean {near[0]!r}?" if near else f" Known: {', '.join(sorted(known))}."


def explain(error: dict) -> str:
    """A pydantic error in plain words, without the field's name."""
    ctx = error.get("ctx", {})
    said = {
        "missing": "needs a value",
        "greater_than_equal": f"must be at least {ctx.get('ge')}",
        "greater_than": f"must be more than {ctx.get('gt')}",
        "less_than_equal": f"must be at most {ctx.get('le')}",
        "less_than": f"must be less than {ctx.get('lt')}",
        "literal_error": f"must be one of {ctx.get('expected')}",
        "enum": f"must be one of {ctx.get('expected')}",
        "value_error": str(ctx.get("error", "")),
        "extra_forbidden": "is not a setting here",
        "string_pattern_mismatch": f"must look like {ctx.get('pattern')}",
        "too_short": f"needs at least {ctx.get('min_length')} values",
        "too_long": f"takes at most {ctx.get('max_length')} values",
        "union_tag_invalid": f"needs a name out of {ctx.get('expected_tags')}",
        "union_tag_not_found": "needs a name",
    }
    if (kind := error["type"]) in said:
        return said[kind]
    if kind.startswith("int"):
        return "must be a whole number"
    if kind.startswith(("float", "finite", "decimal")):
        return "must be a number"
    if kind.startswith("bool"):
        return "must be yes or no"
    return error["msg"][:1].lower() + error["msg"][1:]


def path_of(error: dict, data: dict) -> str:
    """The dotted path of the field that a pydantic error is about (tags and positions dropped)."""
    here, path = data, []
    for part in error["loc"]:
        if not isinstance(here, dict) or isinstance(part, int):
            break
        if part in here:
            path.append(str(part))
            here = here[part]
        elif part not in here.values() and error["type"] in ("missing", "extra_forbidden"):
            path.append(str(part))
            break
    return ".".join(path)


def _line(cls: type[BaseModel], error: dict, data: dict) -> str:
    """What is wrong with a setting: what it must be, what was found, what it is for."""
    keys = tuple(part for part in error["loc"] if isinstance(part, str))
    where, owner = path_of(error, data), _owner(cls, keys[:-1])
    fields = owner.model_fields if owner else {}
    if error["type"] == "extra_forbidden":
        known = closest(keys[-1], list(fields)) if fields else ""
        return f"unknown key {where!r}.{known}"
    if error["type"] == "value_error":
        return f"{where or cls.__name__}: {explain(error)}."
    plain = error["type"] != "missing" and not isinstance(error["input"], dict)
    found = f"; found {error['input'] if error['input'] != '' else 'nothing'}" if plain else ""
    field = fields.get(where.rpartition(".")[2])
    use = f" {field.description}" if field and field.description else ""
    return f"{where or cls.__name__} {explain(error)}{found}.{use}"


def _owner(cls: type[BaseModel], loc: tuple) -> type[BaseModel] | None:
    """The settings class at a path of keys; a discriminated union's tag is one step of the path."""
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
    out: list = []
    for a in get_args(annotation):
        out += _leaves(a) or [a]
    return out
