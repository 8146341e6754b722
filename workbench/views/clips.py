"""The gallery: recordings as cards, and the filters that say which of them are shown."""

from __future__ import annotations

import re

import pandas as pd
import panel as pn
import panel_material_ui as pmui
import param

from workbench.data.manifest import DataSet
from workbench.views.cards import Cards, Sheets
from workbench.views.plots import palette
from workbench.views.selection import Cursor, Filter, Watching

NONE = "(none)"
FACETS = ("label", "split", "camera", "tags")


class Filters(pn.viewable.Viewer):
    """Widgets that write a `Filter`: label, split, camera, tag, and a text search."""

    dataset = param.ClassSelector(class_=DataSet)
    filter = param.ClassSelector(class_=Filter)

    def __init__(self, dataset: DataSet, filter: Filter) -> None:
        super().__init__(dataset=dataset, filter=filter)
        self.search = pmui.TextInput(
            label="Find a recording", placeholder="part of its name", size="small", margin=(6, 4)
        )
        self.facets = {
            name: pmui.MultiChoice(
                label=name.rstrip("s").capitalize(),
                options=options,
                margin=(6, 4),
                visual_size="small",
            )
            for name in FACETS
            if len(options := choices(dataset.table, name)) > 1
        }
        self.clear = pmui.Button(label="Clear", icon="filter_alt_off", variant="text", size="small")
        self.clear.on_click(lambda _: self._clear())
        for widget in (self.search, *self.facets.values()):
            widget.param.watch(self._write, "value")
        self.search.param.watch(self._write, "value_input")
        self._view = pn.Column(
            self.search, *self.facets.values(), self.clear, sizing_mode="stretch_width"
        )
        for widget in (self.search, *self.facets.values()):
            widget.sizing_mode = "stretch_width"

    def _write(self, *_: object) -> None:
        chosen = {name: list(w.value) for name, w in self.facets.items() if w.value}
        self.filter.expr = expression(chosen, self.search.value_input or self.search.value or "")

    def _clear(self) -> None:
        self.search.param.update(value="", value_input="")
        for widget in self.facets.values():
            widget.value = []
        self._write()

    def __panel__(self) -> pn.viewable.Viewable:
        """The widgets, one below the other."""
        return self._view


def choices(table: pd.DataFrame, facet: str) -> list[str]:
    """The values a facet of the data set's table takes, sorted; `NONE` where it has none."""
    values = table[facet].astype(object).where(table[facet].notna(), NONE).astype(str)
    if facet == "tags":
        values = values.str.split(",").explode()
    return sorted({v or NONE for v in values})


def expression(chosen: dict[str, list[str]], text: str = "") -> str:
    """A pandas query over the data set's table: any value of a facet, all facets, and the text."""
    parts = []
    for name, values in chosen.items():
        known = [v for v in values if v != NONE]
        if name == "tags":
            one_of = "|".join(re.escape(v) for v in known)
            options = [f"tags.str.contains({_literal(f'(?:^|,)(?:{one_of})(?:,|$)')})"]
        else:
            options = [f"{name} in [{', '.join(map(_literal, known))}]"]
        options = options if known else []
        if NONE in values:
            options.append(f"({name}.isna() | ({name} == ''))")
        parts.append(f"({' | '.join(options)})")
    if text.strip():
        parts.append(f"recording.str.contains({_literal(text.strip())}, case=False, regex=False)")
    return " & ".join(parts)


def _literal(text: str) -> str:
    """A string in the source of a query; pandas reads meaning into quotes, @ and ` even inside."""
    return "'" + "".join(c if c.isalnum() else f"\\U{ord(c):08x}" for c in text) + "'"


def shown(dataset: DataSet, filter: Filter) -> pd.DataFrame:
    """The rows of the data set's table that a filter keeps."""
    return dataset.table.query(filter.expr, engine="python") if filter.expr else dataset.table


class ClipGallery(Watching, pn.viewable.Viewer):
    """Recordings as cards. Hovering plays one, a click (or Enter) moves the cursor to it."""

    dataset = param.ClassSelector(class_=DataSet)
    cursor = param.ClassSelector(class_=Cursor)
    filter = param.ClassSelector(class_=Filter)

    def __init__(self, dataset: DataSet, cursor: Cursor, filter: Filter | None = None) -> None:
        super().__init__(dataset=dataset, cursor=cursor, filter=filter or Filter())
        self.count = pn.pane.HTML("", margin=(6, 4), styles={"font-size": "13px", "opacity": ".8"})
        self.cards = Cards(
            self._choose, title="recordings", empty="No recording passes the filters. Clear some."
        )
        self._columns: list[str] = []
        self._fill()
        self._move()
        self._watch(self.filter, lambda _: self._fill(), "expr")
        self._watch(self.cursor, lambda *_: self._move(), "recording")

    def __panel__(self) -> pn.viewable.Viewable:
        """The count and the cards."""
        return pn.Column(self.count, self.cards, sizing_mode="stretch_width")

    def _fill(self) -> None:
        kept = shown(self.dataset, self.filter)
        cameras = sorted(set(kept["camera"]))
        names = self.dataset.recordings
        alive = dict.fromkeys(kept["recording"])
        if cameras != self._columns:  # the pictures come from a camera that is shown
            self._columns = cameras
            self.cards.items = self._items(kept)
        all_names = len(alive) == len(names)
        self.cards.shown = (
            None if all_names else [k for k, name in enumerate(names) if name in alive]
        )
        n = f"<b>{len(alive)}</b>" + ("" if all_names else f" of {len(names)}")
        frames = int(kept.drop_duplicates("recording")["n_frames"].sum())
        self.count.object = (
            f"{n} recording{'s' * (len(alive) != 1)} · {len(kept)} video"
            f"{'s' * (len(kept) != 1)} · {frames:,} frames each camera"
        )

    def _items(self, kept: pd.DataFrame) -> list[dict]:
        colors = palette(self.dataset.table["label"].dropna())
        sheets = Sheets(self.dataset)
        seen = set(kept["camera"])
        by_name: dict[str, list] = {name: [] for name in self.dataset.recordings}
        for row in self.dataset.table.sort_values("camera", kind="stable").itertuples():
            by_name[row.recording].append(row)
        items = []
        for name, rows in by_name.items():
            first = next((r for r in rows if r.camera in seen), rows[0])
            frames = int(min(r.n_frames - r.offset for r in rows))
            chips = []
            if not pd.isna(first.label):
                chips.append({"text": str(first.label), "color": colors.get(str(first.label))})
            if not pd.isna(first.split):
                chips.append({"text": str(first.split)})
            sheet = sheets(int(first.Index))
            items.append(
                {
                    "id": name,
                    "title": name,
                    "caption": f"{frames} frames · {frames / first.fps:.1f} s",
                    "badge": f"{len(rows)} camera{'s' * (len(rows) != 1)}",
                    "chips": chips,
                    "sheet": sheet,
                    "at": sheet["n"] // 2 if sheet else 0,
                }
            )
        return items

    def _choose(self, recording: str) -> None:
        if recording != self.cursor.recording:
            self.cursor.move(0, self.name, recording)
        else:
            self.cursor.param.trigger("recording")

    def _move(self) -> None:
        self.cards.selected = self.cursor.recording
