"""A widget for one value of a settings class, chosen by its type and bounds."""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import Enum
from html import escape
from pathlib import Path
from typing import Any, get_args, get_origin

import panel as pn
import panel_material_ui as pmui
import yaml

from workbench.views.schema import NONE, Leaf, element, get_literals, text_of


class Refused(ValueError):
    """What was typed cannot be read as a value of the field; the message says why."""


class Field(pn.viewable.Viewer):
    """One value: its widget, a note below it, and a button that puts the first value back.

    leaf: what is asked; choices: values known only at run time (names of data sets), or None;
    changed(path, value) is called when the user sets a value, refused(path, why) when what was
    typed cannot be read; reset(path) when the button is pressed.
    """

    def __init__(
        self,
        leaf: Leaf,
        value: Any,
        changed: Callable[[str, Any], None],
        refused: Callable[[str, str], None],
        reset: Callable[[str], None],
        choices: list | None = None,
    ) -> None:
        super().__init__()
        self.leaf = leaf
        self.widget, self._read, self._write = _editor(leaf, value, choices)
        self._changed, self._refused, self._quiet = changed, refused, False
        self.widget.param.watch(self._on_value, "value")
        self._reset = pmui.IconButton(
            icon="restart_alt", size="small", description="Put the first value back", visible=False
        )
        self._reset.on_click(lambda _: reset(leaf.path))
        self._note = pn.pane.HTML("", margin=(-6, 10, 4, 12), visible=False)
        self._shown: tuple = (None, None, False)
        self._view = pn.Column(
            pn.Row(self.widget, self._reset, sizing_mode="stretch_width"),
            self._note,
            sizing_mode="stretch_width",
            margin=0,
        )

    def set(self, value: Any) -> None:
        """Show a value without reporting it as a change."""
        self._quiet = True
        try:
            self.widget.value = self._write(value)
        finally:
            self._quiet = False

    def mark(self, error: str | None, first: Any, is_changed: bool) -> None:
        """Show an error, or from which value this one was changed, or nothing."""
        if (shown := (error, first if is_changed else None, is_changed)) == self._shown:
            return
        self._shown = shown
        note = error or (f"changed from {text_of(first) or NONE}" if is_changed else "")
        self._reset.visible = is_changed or bool(error)
        if "helper_text" in self.widget.param:
            self.widget.param.update(helper_text=note, error_state=bool(error))
            return
        tone = "var(--mui-palette-error-main, #d32f2f)" if error else "inherit"
        text = f'<span style="font-size:12px;opacity:.85;color:{tone}">{escape(note)}</span>'
        self._note.param.update(object=text, visible=bool(note))

    def _on_value(self, event: Any) -> None:
        if self._quiet:
            return
        try:
            value = self._read(event.new)
        except Refused as error:
            self._refused(self.leaf.path, str(error))
        else:
            self._changed(self.leaf.path, value)

    def __panel__(self) -> pn.viewable.Viewable:
        """The widget with its note."""
        return self._view


Editor = tuple[pmui.widgets.base.MaterialWidget, Callable[[Any], Any], Callable[[Any], Any]]


def _editor(leaf: Leaf, value: Any, choices: list | None) -> Editor:
    """A widget, widget value -> field value, field value -> widget value."""
    base = {
        "label": leaf.label,
        "description": leaf.help + _range_text(leaf),
        "sizing_mode": "stretch_width",
        "margin": (6, 4),
    }
    inner = element(leaf.kind)
    if choices is not None and (inner or get_origin(leaf.kind) is tuple):
        return _several(base, value, list(choices), leaf.optional)
    if choices is not None or (choices := list(get_literals(leaf.kind))):
        return _one_of(base, value, list(choices), leaf.optional)
    if inner and get_literals(inner.kind):
        return _several(base, value, list(get_literals(inner.kind)), leaf.optional)
    if leaf.kind is bool:
        if leaf.optional:
            return _one_of(base, value, [False, True], True, {False: "no", True: "yes"})
        return pmui.Switch(value=bool(value), **base), bool, bool
    if leaf.kind in (int, float) and not leaf.optional and _wants_slider(leaf, value):
        return _slider(base, leaf, value)
    if leaf.kind is int and not leaf.optional:
        return _whole_number(base, leaf, value)
    if inner and inner.kind in (int, float) and _is_pair(leaf.kind) and not leaf.optional:
        lo, hi = inner.low, inner.high
        fits = value and lo is not None and hi is not None and hi - lo <= 1000
        step = 1 if inner.kind is int else _nice(hi - lo) if fits else 0
        if fits and all(_on_grid(v, step) for v in value):
            widget = pmui.RangeSlider(value=tuple(value), start=lo, end=hi, step=step, **base)
            return widget, lambda v: tuple(inner.kind(x) for x in v), tuple
    return _text(base, leaf, value, inner)


def _one_of(
    base: dict, value: Any, choices: list, optional: bool, names: dict | None = None
) -> Editor:
    options = {NONE: None} if optional else {}
    options |= {(names or {}).get(c) or text_of(c): c for c in choices}
    if value is not None and value not in options.values():
        options[f"{text_of(value)} (not found)"] = value
    widget = pmui.Select(value=value, options=options, size="small", **base)

    def write(v: Any) -> Any:
        if v not in widget.options.values():
            widget.options = {**widget.options, f"{text_of(v)} (not found)": v}
        return v

    return widget, lambda v: v, write


def _several(base: dict, value: Any, choices: list, optional: bool) -> Editor:
    options = [*choices, *(v for v in value or () if v not in choices)]
    widget = pmui.MultiChoice(
        value=list(value or ()), options={text_of(o): o for o in options}, **base
    )
    return (
        widget,
        lambda v: None if optional and not v else tuple(v),
        lambda v: list(v or ()),
    )


def _slider(base: dict, leaf: Leaf, value: Any) -> Editor:
    low, high = leaf.low, leaf.high
    if leaf.kind is int:
        widget = pmui.EditableIntSlider(
            value=value, start=low, end=high, fixed_start=low, fixed_end=high, **base
        )
    else:
        step = _nice(high - low)
        widget = pmui.EditableFloatSlider(
            value=value, start=low, end=high, fixed_start=low, fixed_end=high, step=step, **base
        )
    return widget, leaf.kind, leaf.kind


def _whole_number(base: dict, leaf: Leaf, value: Any) -> Editor:
    start = None if leaf.low is None else int(leaf.low) + leaf.open_low
    end = None if leaf.high is None else int(leaf.high) - leaf.open_high
    widget = pmui.IntInput(value=value, start=start, end=end, size="small", **base)

    def read(v: Any) -> int:
        if v is None:
            raise Refused("needs a whole number")
        return v

    return widget, read, lambda v: v


def _text(base: dict, leaf: Leaf, value: Any, inner: Leaf | None) -> Editor:
    """Text: numbers (1e-4 may be typed), names, paths, lists with commas; else YAML."""
    read, write = _reader(leaf.kind, inner), text_of
    if read is None:
        read, write = _from_yaml, _to_yaml

    def read_or_none(text: str) -> Any:
        text = text.strip()
        if not text and leaf.optional:
            return None
        return read(text)

    widget = pmui.TextInput(value=write(value), size="small", **base)
    widget.placeholder = NONE if leaf.optional else ""
    return widget, read_or_none, write


def _reader(kind: Any, inner: Leaf | None) -> Callable[[str], Any] | None:
    if kind is float:
        return _float
    if kind is int:
        return _int
    if kind is str:
        return str
    if kind is Path:
        return Path
    if inner and (one := _reader(inner.kind, None)):
        return lambda text: tuple(one(t.strip()) for t in text.split(",") if t.strip())
    return None


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise Refused(f"must be a number, like 0.03 or 1e-4; {text!r} is not") from None


def _int(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise Refused(f"must be a whole number; {text!r} is not") from None


def _from_yaml(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        raise Refused("cannot be read; write it as in a YAML file") from None


def _to_yaml(value: Any) -> str:
    value = value.value if isinstance(value, Enum) else value
    value = list(value) if isinstance(value, tuple) else value
    text = yaml.safe_dump(value, default_flow_style=True, width=math.inf).strip()
    return "" if value is None else text.removesuffix("...").strip()


def _wants_slider(leaf: Leaf, value: Any) -> bool:
    """True for bounded numbers whose range a slider covers well at the value's own scale."""
    if leaf.low is None or leaf.high is None or leaf.open_low or leaf.open_high or value is None:
        return False
    span = leaf.high - leaf.low
    if leaf.kind is int:
        return span <= 64
    near = value == leaf.low or abs(value) >= span / 20
    return span <= 10 and near and _on_grid(value, _nice(span))


def _on_grid(value: float, step: float) -> bool:
    """Whether a slider of this step can show the value as it is."""
    return math.isclose(value / step, round(value / step), abs_tol=1e-6)


def _is_pair(kind: Any) -> bool:
    return get_origin(kind) is tuple and len(get_args(kind)) == 2 and ... not in get_args(kind)


def _nice(span: float) -> float:
    """A step of 1, 2 or 5 times a power of ten, about a hundredth of the span."""
    power = 10 ** math.floor(math.log10(span / 100))
    return next(m * power for m in (1, 2, 5, 10) if m * power >= span / 100 * 0.999)


def _range_text(leaf: Leaf) -> str:
    low, high = leaf.low, leaf.high
    if low is not None and high is not None:
        return f" ({_g(low)} to {_g(high)})"
    if low is not None:
        return f" ({'more than' if leaf.open_low else 'at least'} {_g(low)})"
    return f" (at most {_g(high)})" if high is not None else ""


def _g(value: float) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
