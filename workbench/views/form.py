"""A widget form for any settings class: what the file and the command line accept, clickable."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

import panel as pn
import panel_material_ui as pmui
import param
from pydantic import ValidationError

from workbench.config import Config, explain, path_of
from workbench.views.fields import Field
from workbench.views.schema import (
    Group,
    Leaf,
    defaults,
    entries,
    first_values,
    flat,
    label,
)

GRID = {
    "display": "grid",
    "grid-template-columns": "repeat(auto-fill, minmax(230px, 1fr))",
    "column-gap": "8px",
    "align-items": "start",
}


class ConfigForm(pn.viewable.Viewer):
    """Settings as widgets; `value` is the last valid settings object, None before there is one.

    schema: the settings class. value: where to start (the class's defaults without it); this is
    also what "changed" is measured against and what a reset returns to.
    essential: dotted paths shown first; all else waits in closed groups, built when opened.
    hidden: paths never shown. choices: path -> values known only at run time.
    command: settings and changed paths -> the command line that does the same, for "show the code".
    """

    value = param.ClassSelector(class_=Config, default=None, doc="The last valid settings.")
    errors = param.Dict(default={}, doc="Dotted path ('' for the whole) -> what is wrong with it.")
    changed = param.ClassSelector(class_=tuple, default=(), doc="Paths that differ from the start.")

    def __init__(
        self,
        schema: type[Config],
        value: Config | None = None,
        *,
        essential: Sequence[str] = (),
        hidden: Sequence[str] = (),
        choices: Mapping[str, Sequence] | None = None,
        command: Callable[[Config, tuple[str, ...]], str] | None = None,
    ) -> None:
        super().__init__()
        self.schema = schema
        self._essential, self._hidden = tuple(essential), tuple(hidden)
        self._choices, self._command = dict(choices or {}), command
        self._top = pn.Column(sizing_mode="stretch_width", styles=GRID, margin=0)
        self._groups = pn.Column(sizing_mode="stretch_width", margin=0)
        self._problem = pmui.Alert(
            severity="error", visible=False, margin=(4, 0), sizing_mode="stretch_width"
        )
        self._count = pmui.Typography("", variant="body2", align="center")
        self._reset_all = pmui.Button(
            label="Reset all", icon="restart_alt", variant="text", size="small", visible=False
        )
        self._reset_all.on_click(lambda _: self.reset())
        self._code = pn.pane.Markdown("", sizing_mode="stretch_width")
        self._code_card = pmui.Card(
            self._code,
            title="&lt;/&gt; Show the code",
            collapsed=True,
            variant="outlined",
            sizing_mode="stretch_width",
            margin=(8, 0),
        )
        self._code_card.param.watch(lambda _: self._show_code(), "collapsed")
        self._view = pn.Column(
            self._top,
            self._problem,
            pn.Row(self._count, self._reset_all),
            self._groups,
            self._code_card,
            sizing_mode="stretch_width",
            margin=0,
        )
        self._own = False  # true while this form itself sets `value`
        self._origin = defaults(schema) if value is None else value.model_dump()
        self._data = copy.deepcopy(self._origin)
        self._build()
        self.param.watch(self._on_value, "value")

    def start_from(self, value: Config | None) -> None:
        """Show other settings and measure changes against them."""
        self._origin = defaults(self.schema) if value is None else value.model_dump()
        self._data = copy.deepcopy(self._origin)
        self._show_data()

    def reset(self, path: str | None = None) -> None:
        """Put one value back, or all of them."""
        if path is None:
            self._data = copy.deepcopy(self._origin)
            self._show_data()
            return
        first = first_values(self.schema, self._origin, self._data)[path]
        self._put(path, copy.deepcopy(first))
        self._fields[path].set(first)
        self._refused.pop(path, None)
        self._check()

    def set(self, path: str, value: Any) -> None:
        """Set one value by its dotted path, as a user would; an option is set by its name."""
        group = self._group_at(path)
        if group is not None:
            self._choose(group, value)
            return
        self._put(path, value)
        if path in self._fields:
            self._fields[path].set(value)
        self._refused.pop(path, None)
        self._check()

    def get(self, path: str) -> Any:
        """The value at a dotted path, valid or not; KeyError where there is none."""
        here: Any = self._data
        for part in path.split("."):
            here = here[part]
        return here

    def open(self, path: str) -> None:
        """Open the group at a path (and so build its fields)."""
        self._cards[path].collapsed = False

    # ---- building

    def _build(self) -> None:
        self._fields: dict[str, Field] = {}
        self._cards: dict[str, pmui.Card] = {}
        self._selects: dict[str, pmui.Select] = {}
        self._drawn: dict[str, str] = {}  # open groups -> the option they show
        self._refused: dict[str, str] = {}
        here = [e for e in entries(self.schema) if e.path not in self._hidden]
        first, rest = [], []
        for path in self._essential:
            entry = self._entry_at(path)
            if isinstance(entry, Group):
                first.append(self._select(entry))
            elif entry is not None:
                first.append(self._field(entry))
        leaves = [e for e in here if isinstance(e, Leaf) and e.path not in self._essential]
        for entry in here:
            if isinstance(entry, Group):
                rest.append(self._card(entry))
        if leaves and (self._essential or rest):
            rest.append(self._more(leaves))
        elif leaves:
            first += [self._field(leaf) for leaf in leaves]
        with pn.io.hold():
            self._top.objects = first
            self._groups.objects = rest
            self._check()

    def _field(self, leaf: Leaf) -> Field:
        field = Field(
            leaf,
            self._at(leaf.path),
            changed=self._on_field,
            refused=self._on_refused,
            reset=self.reset,
            choices=self._choices.get(leaf.path),
        )
        self._fields[leaf.path] = field
        return field

    def _select(self, group: Group) -> pmui.Select:
        select = pmui.Select(
            label=group.label,
            options=list(group.options),
            value=group.chosen(self._at(group.path)),
            description=group.help,
            size="small",
            sizing_mode="stretch_width",
            margin=(6, 4),
        )
        select.param.watch(lambda event: self._choose(group, event.new), "value")
        self._selects[group.path] = select
        return select

    def _card(self, group: Group) -> pmui.Card:
        card = pmui.Card(
            title=group.label,
            collapsed=True,
            variant="outlined",
            sizing_mode="stretch_width",
            margin=(4, 0),
        )
        self._cards[group.path] = card

        def draw(*_: Any) -> None:
            if not card.collapsed and group.path not in self._drawn:
                self._fill(card, group)

        card.param.watch(draw, "collapsed")
        return card

    def _more(self, leaves: list[Leaf]) -> pmui.Card:
        card = pmui.Card(
            title="More",
            collapsed=True,
            variant="outlined",
            sizing_mode="stretch_width",
            margin=(4, 0),
        )

        def draw(*_: Any) -> None:
            if not card.objects:
                fields = [self._field(leaf) for leaf in leaves]
                card.objects = [pn.Column(*fields, styles=GRID, sizing_mode="stretch_width")]
                self._check()

        card.param.watch(draw, "collapsed")
        return card

    def _fill(self, card: pmui.Card, group: Group) -> None:
        """The fields of the chosen option, and the select of options if it is not shown above."""
        self._drawn[group.path] = chosen = group.chosen(self._at(group.path))
        option = group.options.get(chosen)
        parts: list = [pmui.Typography(group.help, variant="body2")] if group.help else []
        grid: list = []
        if len(group.options) > 1 and group.path not in self._essential:
            grid.append(self._select(group))
        cards = []
        for entry in entries(option, f"{group.path}.") if option else []:
            if entry.path in self._hidden or entry.path in self._essential:
                continue
            if isinstance(entry, Leaf):
                grid.append(self._field(entry))
            else:
                cards.append(self._card(entry))
        parts.append(pn.Column(*grid, styles=GRID, sizing_mode="stretch_width", margin=0))
        with pn.io.hold():
            card.objects = [*parts, *cards]
            self._check()

    # ---- changing

    def _on_field(self, path: str, value: Any) -> None:
        self._refused.pop(path, None)
        self._put(path, value)
        self._check()

    def _on_refused(self, path: str, why: str) -> None:
        self._refused[path] = why
        self._check()

    def _on_value(self, event: Any) -> None:
        if self._own or event.new is None:
            return
        self._data = event.new.model_dump()
        self._show_data()

    def _choose(self, group: Group, name: str) -> None:
        """Swap a group for another of its options, at its first values."""
        if group.chosen(self._at(group.path)) == name:
            return
        before, option = self._at(group.path, self._origin), group.options[name]
        if option is None:
            self._put(group.path, None)
        else:
            same = before is not None and group.chosen(before) == name
            value = copy.deepcopy(before) if same else defaults(option)
            self._put(group.path, value)
        self._follow_option(group)
        self._check()

    def _follow_option(self, group: Group) -> None:
        """Show the option that a group now has: in its select, and its fields if they are open."""
        chosen = group.chosen(self._at(group.path))
        if (select := self._selects.get(group.path)) is not None:
            select.value = chosen
        if self._drawn.get(group.path, chosen) == chosen:
            return
        inside = f"{group.path}."
        for store in (self._fields, self._cards, self._selects, self._refused, self._drawn):
            for path in [p for p in store if p.startswith(inside)]:
                if path not in self._essential:
                    del store[path]
        self._fill(self._cards[group.path], group)

    def _show_data(self) -> None:
        """Bring what is shown up to date with all values; widgets that still fit are kept."""
        self._refused.clear()
        with pn.io.hold():
            for path in [*self._selects, *self._drawn]:
                entry = self._entry_at(path)
                if isinstance(entry, Group):
                    self._follow_option(entry)
            for path, field in self._fields.items():
                field.set(self._at(path))
            self._check()

    # ---- reading

    def _check(self) -> None:
        """Validate, and show what is wrong and what is changed."""
        now = flat(self.schema, self._data)
        errors: dict[str, str] = {}
        value = None
        try:
            value = self.schema.model_validate(copy.deepcopy(self._data))
        except ValidationError as problem:
            for error in problem.errors():
                path = path_of(error, self._data)
                inside = [p for p in now if path == p or path.startswith(f"{p}.")]
                errors.setdefault(max(inside, key=len, default=path), explain(error))
        errors |= self._refused
        first = first_values(self.schema, self._origin, self._data)
        changed = tuple(p for p in now if now[p] != first.get(p))
        with pn.io.hold():
            for path, field in self._fields.items():
                field.mark(errors.get(path), first.get(path), path in changed)
            for path, card in self._cards.items():
                card.title = self._title(path, now, changed, errors)
            self._show_problems(errors)
            self._count.object = _count(changed)
            self._reset_all.visible = bool(changed or errors)
            self._own = True
            try:
                self.param.update(
                    value=self.value if errors else value, errors=errors, changed=changed
                )
            finally:
                self._own = False
            self._show_code()

    def _title(self, path: str, now: dict, changed: tuple, errors: dict) -> str:
        name = label(path).capitalize()
        title = f"{name}: {now[path]}" if path in now else name
        inside = f"{path}."
        if wrong := sum(p == path or p.startswith(inside) for p in errors):
            return f"{title} · {wrong} to mend"
        if n := sum(p == path or p.startswith(inside) for p in changed):
            return f"{title} · {n} changed"
        return title

    def _show_problems(self, errors: dict[str, str]) -> None:
        lines = [
            f"{f'`{path}`' if path else 'These settings'}: {escape(why)}"
            for path, why in errors.items()
        ]
        self._problem.param.update(object="\n\n".join(lines), visible=bool(lines))

    def _show_code(self) -> None:
        if self._code_card.collapsed:
            return
        if self.value is None or self.errors:
            self._code.object = "Mend the settings first; then the code that does the same is here."
            return
        parts = []
        if self._command:
            parts.append(
                f"On the command line:\n```bash\n{self._command(self.value, self.changed)}\n```"
            )
        parts.append(f"As a file:\n```yaml\n{self.value.to_yaml()}```")
        self._code.object = "\n\n".join(parts)

    # ---- paths

    def _at(self, path: str, data: dict | None = None) -> Any:
        here: Any = self._data if data is None else data
        for part in path.split("."):
            here = here.get(part) if isinstance(here, dict) else None
        return here

    def _put(self, path: str, value: Any) -> None:
        *parents, key = path.split(".")
        here = self._data
        for part in parents:
            here = here.setdefault(part, {})
        here[key] = value

    def _entry_at(self, path: str) -> Leaf | Group | None:
        """The field or group at a path, under the options now chosen."""
        model, prefix = self.schema, ""
        parts = path.split(".")
        for i, _ in enumerate(parts):
            here = ".".join(parts[: i + 1])
            entry = next((e for e in entries(model, prefix) if e.path == here), None)
            if entry is None or here == path:
                return entry
            if isinstance(entry, Leaf):
                return None
            model = entry.options.get(entry.chosen(self._at(here)))
            if model is None:
                return None
            prefix = f"{here}."
        return None

    def _group_at(self, path: str) -> Group | None:
        entry = self._entry_at(path)
        return entry if isinstance(entry, Group) and len(entry.options) > 1 else None

    def __panel__(self) -> pn.viewable.Viewable:
        """The form."""
        return self._view


def _count(changed: tuple) -> str:
    return "" if not changed else f"{len(changed)} setting{'s' * (len(changed) > 1)} changed"
