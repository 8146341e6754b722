"""What a form must ask for: a settings class read as fields, groups and choices of groups."""

from __future__ import annotations

import types
from dataclasses import dataclass, replace
from enum import Enum
from functools import lru_cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

NONE = "none"  # how "no value" is written in a select


def label(path: str) -> str:
    """The last key of a dotted path, in words; `data.name` is called data."""
    parent, _, key = path.rpartition(".")
    return (parent.rpartition(".")[2] if key == "name" and parent else key).replace("_", " ")


@dataclass(frozen=True)
class Leaf:
    """One value. `kind` is the type without None; bounds are None where there are none."""

    path: str
    help: str
    kind: Any
    optional: bool = False
    low: float | None = None
    high: float | None = None
    open_low: bool = False
    open_high: bool = False

    @property
    def label(self) -> str:
        """The last key of the path, in words."""
        return label(self.path)


@dataclass(frozen=True)
class Group:
    """Settings inside settings. `options`: variant name -> its class (None for 'not used').

    A plain nested class has one option; a discriminated union has one per member, told apart by
    the value of the field `tag`.
    """

    path: str
    help: str
    options: dict[str, type[BaseModel] | None]
    tag: str | None = None

    @property
    def label(self) -> str:
        """The last key of the path, in words."""
        return label(self.path)

    def chosen(self, value: dict | None) -> str:
        """The name of the option that a value is of."""
        if value is None:
            return NONE
        if self.tag:
            return str(value.get(self.tag, ""))
        return next(name for name in self.options if name != NONE)


@lru_cache(maxsize=512)
def entries(model: type[BaseModel], prefix: str = "") -> tuple[Leaf | Group, ...]:
    """What a settings class asks for, in order; constants (`Literal["x"]`) are left out."""
    found = [_entry(f"{prefix}{name}", field) for name, field in model.model_fields.items()]
    return tuple(e for e in found if not (isinstance(e, Leaf) and len(get_literals(e.kind)) == 1))


def defaults(model: type[BaseModel]) -> dict:
    """The default values of a settings class as nested plain data; required keys are absent."""
    out = {}
    for name, field in model.model_fields.items():
        literals = get_literals(field.annotation)
        if field.default_factory is not None or field.default is not PydanticUndefined:
            out[name] = plain(field.get_default(call_default_factory=True))
        elif len(literals) == 1:
            out[name] = literals[0]
    return out


def plain(value: Any) -> Any:
    """Settings as nested dicts, all other values untouched."""
    return value.model_dump() if isinstance(value, BaseModel) else value


def get_literals(kind: Any) -> tuple:
    """The values that a `Literal` or an `Enum` allows, () for any other type."""
    if get_origin(kind) is Literal:
        return get_args(kind)
    return tuple(kind) if isinstance(kind, type) and issubclass(kind, Enum) else ()


def _entry(path: str, field: FieldInfo) -> Leaf | Group:
    kind, marks, optional = _peel(field.annotation, list(field.metadata))
    help = " ".join((field.description or "").split())
    members = [kind] if _is_model(kind) else list(get_args(kind)) if _is_union(kind) else []
    members = [_peel(m, [])[0] for m in members]
    if members and all(map(_is_model, members)):
        tag = field.discriminator or next(
            (m.discriminator for m in marks if getattr(m, "discriminator", None)), None
        )
        if not isinstance(tag, str):
            fields = [m.model_fields.get("name") for m in members]
            named = all(f is not None and get_literals(f.annotation) for f in fields)
            tag = "name" if named else None
        options = {_tag_value(m, tag) if tag else m.__name__: m for m in members}
        return Group(path, help, {NONE: None, **options} if optional else options, tag)
    leaf = Leaf(path, help, kind, optional)
    for mark in marks:
        for bound in (mark, *getattr(mark, "metadata", ())):
            leaf = _bounded(leaf, bound)
    return leaf


def _bounded(leaf: Leaf, mark: Any) -> Leaf:
    match mark:
        case Ge(ge):
            return replace(leaf, low=ge)
        case Gt(gt):
            return replace(leaf, low=gt, open_low=True)
        case Le(le):
            return replace(leaf, high=le)
        case Lt(lt):
            return replace(leaf, high=lt, open_high=True)
    return leaf


def _peel(kind: Any, marks: list) -> tuple[Any, list, bool]:
    """A type without `Annotated` and `None`, the marks that hung on it, and whether None may be."""
    optional = False
    while True:
        if get_origin(kind) is Annotated:
            kind, *more = get_args(kind)
            marks = [*marks, *more]
        elif _is_union(kind) and types.NoneType in get_args(kind):
            rest = tuple(a for a in get_args(kind) if a is not types.NoneType)
            kind, optional = Union[rest], True  # noqa: UP007 - built from a tuple
        elif hasattr(kind, "__value__"):  # `type X = ...`
            kind = kind.__value__
        else:
            return kind, marks, optional


def element(kind: Any) -> Leaf | None:
    """The bounds and type of a tuple's elements where all are alike, else None."""
    args = [a for a in get_args(kind) if a is not Ellipsis]
    if get_origin(kind) not in (tuple, list) or not args or any(a != args[0] for a in args):
        return None
    inner, marks, optional = _peel(args[0], [])
    leaf = Leaf("", "", inner, optional)
    for mark in marks:
        for bound in (mark, *getattr(mark, "metadata", ())):
            leaf = _bounded(leaf, bound)
    return leaf


def _is_union(kind: Any) -> bool:
    return get_origin(kind) in (Union, types.UnionType)


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _tag_value(model: type[BaseModel], tag: str) -> str:
    field = model.model_fields.get(tag)
    literals = get_literals(field.annotation) if field else ()
    return str(literals[0]) if literals else model.__name__


def text_of(value: Any) -> str:
    """A value as one would type it: sequences with commas, None as nothing."""
    if value is None:
        return ""
    if isinstance(value, tuple | list):
        return ", ".join(text_of(v) for v in value)
    return str(value.value if isinstance(value, Enum) else value)


def flat(model: type[BaseModel], data: dict, prefix: str = "") -> dict[str, Any]:
    """Dotted path -> value of every field; a group with options stands for its chosen option."""
    out: dict[str, Any] = {}
    for entry in entries(model, prefix):
        value = data.get(entry.path.rpartition(".")[2])
        if isinstance(entry, Leaf):
            out[entry.path] = value
            continue
        option = entry.options.get(chosen := entry.chosen(value))
        if len(entry.options) > 1:
            out[entry.path] = chosen
        if option is not None:
            out |= flat(option, value or {}, f"{entry.path}.")
    return out


def first_values(
    model: type[BaseModel], origin: dict, data: dict, prefix: str = ""
) -> dict[str, Any]:
    """What the fields of `flat(model, data)` would be untouched: as in `origin`, or, within an
    option that `origin` did not choose, that option's defaults."""
    out: dict[str, Any] = {}
    for entry in entries(model, prefix):
        key = entry.path.rpartition(".")[2]
        before, now = origin.get(key), data.get(key)
        if isinstance(entry, Leaf):
            out[entry.path] = before
            continue
        if len(entry.options) > 1:
            out[entry.path] = entry.chosen(before)
        chosen = entry.chosen(now)
        option = entry.options.get(chosen)
        if option is not None:
            same = entry.chosen(before) == chosen
            start = (before or {}) if same else defaults(option)
            out |= first_values(option, start, now or {}, f"{entry.path}.")
    return out
