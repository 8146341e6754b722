"""The Runs page: every run in a table; compare, use, watch, resume, stop, rename or delete it."""

from __future__ import annotations

from datetime import datetime
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd
import panel as pn
import panel_material_ui as pmui
import param
from bokeh.models import HTMLTemplateFormatter

from workbench.training.jobs import Job
from workbench.views.compare import MOST, Comparison
from workbench.views.run_list import (
    RunList,
    Summary,
    bring_back,
    name_problem,
    rename,
    throw_away,
)
from workbench.views.ticking import Task, Ticker
from workbench.views.watch import RESUMABLE, STATES, duration, start
from workbench.workspace import Workspace

COLUMNS = {  # shown in the table -> its width in pixels
    "run": 170,
    "state": 108,
    "kNN": 96,
    "alignment": 66,
    "loss": 56,
    "steps": 60,
    "created": 66,
}
TITLES = {"alignment": "align.", "created": "when"}
HIDDEN = ("method", "sampler", "encoder", "data", "origin", "best", "random", "took", "date")
SECOND = {  # column -> what its second line says, as a template over the row
    "run": "<%- method %> · <%- sampler %> · <%- encoder %>",
    "state": "<%- data %>",
    "kNN": "<% if (random) { %>random <%- random %><% } %>",
    "steps": "<%- took %>",
}
THIRD = {"run": "<%- origin %>"}
FIRST = {"created": "<%- date %>"}
COMPACT = """
.tabulator .tabulator-cell, .tabulator .tabulator-col-content { padding: 5px 6px !important; }
.tabulator .tabulator-cell, .tabulator .tabulator-col { font-size: 13px !important; }
.tabulator .tabulator-cell div { overflow: hidden; text-overflow: ellipsis; line-height: 1.35; }
.tabulator .tabulator-cell div + div { font-size: 11.5px; opacity: 0.75; }
"""


class RunsPage(pn.viewable.Viewer):
    """The runs of a workspace. `chosen` is the run that the other pages show; `opened` the one that
    the user wants to watch."""

    chosen = param.String(default="", doc="The current run, for the explorer to follow.")
    opened = param.String(default="", doc="The run that was last asked to be watched.")
    selected = param.List(default=[], item_type=str, doc="Names of the runs marked in the table.")
    names = param.List(default=[], item_type=str, doc="Names of all runs, the newest first.")

    def __init__(self, workspace: Workspace, chosen: str = "") -> None:
        super().__init__()
        self.workspace = workspace
        self.runs = RunList(workspace)
        self.trashed: list[Path] = []
        self._ticker = Ticker(self.tick, lambda: self._view, period=1000)
        self._tasks: dict[str, Task] = {}
        self.compare = Comparison(workspace)
        self._build()
        self.param.watch(lambda _: self._on_selected(), "selected")
        self.chosen = chosen
        self.tick()

    # ---- what is shown

    def _build(self) -> None:
        self.table = pn.widgets.Tabulator(
            _frame([], ""),
            show_index=False,
            disabled=True,
            selectable="checkbox",
            pagination="local",
            page_size=12,
            widths=COLUMNS,
            titles=TITLES,
            hidden_columns=list(HIDDEN),
            frozen_columns=["run"],
            formatters={name: HTMLTemplateFormatter(template=_cell(name)) for name in COLUMNS},
            stylesheets=[COMPACT],
            layout="fit_columns",
            sizing_mode="stretch_width",
            header_filters=False,
        )
        self.table.param.watch(self._on_table, "selection")
        self.table.on_click(lambda event: self._mark(event.row))
        self.use_button = _button("Use in the explorer", "check_circle", "primary")
        self.watch_button = _button("Watch", "visibility")
        self.resume_button = _button("Resume", "play_arrow")
        self.stop_button = _button("Stop", "stop", "error")
        self.rename_button = _button("Rename", "edit")
        self.delete_button = _button("Delete", "delete", "error")
        self.use_button.on_click(lambda _: setattr(self, "chosen", self.selected[0]))
        self.watch_button.on_click(lambda _: self._open())
        self.resume_button.on_click(lambda _: self.resume())
        self.stop_button.on_click(lambda _: self.stop())
        self.rename_button.on_click(lambda _: self._ask_name(True))
        self.delete_button.on_click(lambda _: self._confirm(True))
        self._hint = pmui.Typography("", variant="body2", align="center", margin=(4, 8))
        self._sure = pmui.Alert(severity="warning", sizing_mode="stretch_width", margin=4)
        self.yes_button = _button("Move to the trash", "delete", "error")
        self.no_button = _button("Keep", "close")
        self.yes_button.on_click(lambda _: self.delete())
        self.no_button.on_click(lambda _: self._confirm(False))
        self._question = pn.Column(
            self._sure, pn.Row(self.yes_button, self.no_button), visible=False
        )
        self.new_name = pmui.TextInput(label="new name", size="small", width=320, margin=(8, 4))
        self.new_name.param.watch(lambda _: self._check_name(), "value_input")
        self.new_name.param.watch(lambda _: self._check_name(), "value")
        self.rename_yes = _button("Rename", "edit", "primary")
        self.rename_no = _button("Cancel", "close")
        self.rename_yes.on_click(lambda _: self.rename())
        self.rename_no.on_click(lambda _: self._ask_name(False))
        self._naming = pn.Row(self.new_name, self.rename_yes, self.rename_no, visible=False)
        self._done = pmui.Alert(severity="success", sizing_mode="stretch_width", margin=4)
        self.undo_button = _button("Undo", "undo")
        self.undo_button.on_click(lambda _: self.undo())
        self._undo = pn.Column(self._done, self.undo_button, visible=False)
        self._trouble = pmui.Alert(
            severity="error", visible=False, sizing_mode="stretch_width", margin=4
        )
        self._empty = pmui.Alert(
            object="**No runs yet.** Start one on the Train page, or with "
            "`workbench train moco --data NAME`.",
            severity="info",
            visible=False,
        )
        self._view = pn.Column(
            self._empty,
            pn.FlexBox(
                self.use_button,
                self.watch_button,
                self.resume_button,
                self.stop_button,
                self.rename_button,
                self.delete_button,
                self._hint,
            ),
            self._naming,
            self._question,
            self._undo,
            self._trouble,
            self.table,
            self.compare,
            sizing_mode="stretch_width",
        )

    def tick(self) -> None:
        """Look at what changed; takes a few milliseconds."""
        summaries = self.runs.refresh()
        with pn.io.hold():
            self._collect()
            self._show(summaries)
            self._show_actions()
            self.compare.tick()

    def _show(self, summaries: list[Summary]) -> None:
        """Bring the table up to date: cell by cell while it holds the same runs."""
        frame, shown = _frame(summaries, self.chosen), self.table.value
        self._empty.visible, self.table.visible = not summaries, bool(summaries)
        if list(frame["run"]) == list(shown["run"]):
            for column in frame.columns:
                differs = frame[column].ne(shown[column])
                if differs.any():
                    rows = [
                        (int(i), frame[column].iloc[i]) for i in differs.to_numpy().nonzero()[0]
                    ]
                    self.table.patch({column: rows})
            return
        self.names = names = list(frame["run"])
        keep = [name for name in self.selected if name in names]
        self.table.value = frame
        self.table.selection = [names.index(name) for name in keep]
        self.selected = keep

    def _on_table(self, event: Any) -> None:
        names = list(self.table.value["run"])
        self.selected = [names[i] for i in event.new if i < len(names)]

    def _mark(self, row: int) -> None:
        """A click anywhere in a row ticks it, or no longer."""
        name = self.table.value["run"].iloc[row]
        others = [n for n in self.selected if n != name]
        self.selected = others if name in self.selected else [*others, name]

    def _on_selected(self) -> None:
        names = list(self.table.value["run"])
        self.table.selection = [names.index(n) for n in self.selected if n in names]
        self._confirm(False)
        self._ask_name(False)
        self._show_actions()
        self.compare.names = list(self.selected)

    def _show_actions(self) -> None:
        states = [Job(self.workspace.runs / n).status() for n in self.selected]
        one, busy = len(states) == 1, [s.busy for s in states]
        self.use_button.disabled = not one or self.selected[0] == self.chosen
        self.watch_button.disabled = not one
        self.resume_button.disabled = not (one and states[0].state in RESUMABLE) or bool(
            self._tasks
        )
        self.stop_button.disabled = not any(busy) or bool(self._tasks)
        self.rename_button.disabled = not one or busy[0]
        self.delete_button.disabled = not states or any(busy)
        self._hint.object = (
            "Tick runs to compare them."
            if not states
            else "Stop it before renaming or deleting it."
            if any(busy)
            else f"The first {MOST} are compared."
            if len(states) > MOST
            else ""
        )

    # ---- doing

    def _open(self) -> None:
        self.opened = self.selected[0]
        self.param.trigger("opened")

    def stop(self) -> None:
        """Stop the selected runs that train."""
        for name in self.selected:
            job = Job(self.workspace.runs / name)
            if job.status().busy:
                self._tasks[name] = Task(job.stop)
        self._show_actions()

    def resume(self) -> None:
        """Go on with the selected run."""
        name = self.selected[0]
        if busy := self.runs.busy():
            self._say(f"{busy[0].name} is training. Stop it first, or resume on the Train page.")
            return
        self._tasks[name] = Task(lambda: start(self.workspace.runs / name))
        self._show_actions()

    def delete(self) -> None:
        """Move the selected runs to the trash of the workspace."""
        self._say("")
        self.trashed = []
        for name in self.selected:
            try:
                self.trashed.append(throw_away(self.workspace, name))
            except (OSError, ValueError) as error:
                self._say(f"{name} could not be deleted: {error}")
        gone = ", ".join(p.name.rpartition("@")[0] for p in self.trashed)
        self._done.object = escape(f"In the trash ({self.workspace.root / 'trash'}): {gone}.")
        self._undo.visible = bool(self.trashed)
        if not (self.workspace.runs / self.chosen).is_dir():
            self.chosen = ""
        self.selected = []
        self.tick()

    def undo(self) -> None:
        """Bring back what was deleted last."""
        names = [bring_back(self.workspace, path) for path in self.trashed]
        self.trashed, self._undo.visible = [], False
        self.tick()
        self.selected = names

    def rename(self) -> None:
        """Give the selected run the name that was typed."""
        old, new = self.selected[0], self.new_name.value_input
        try:
            rename(self.workspace, old, new)
        except (OSError, ValueError) as error:
            self._say(str(error))
            return
        self._say("")
        self._ask_name(False)
        self.tick()
        self.selected = [new]
        if self.chosen == old:
            self.chosen = new

    def _ask_name(self, ask: bool) -> None:
        if ask:
            name = self.selected[0]
            self.new_name.param.update(value=name, value_input=name)
            self._check_name()
        self._naming.visible = ask

    def _check_name(self) -> None:
        name = self.new_name.value_input
        same = name in self.selected
        why = "" if same else name_problem(self.workspace, name)
        self.new_name.param.update(error_state=bool(why), helper_text=why)
        self.rename_yes.disabled = same or bool(why)

    def _confirm(self, ask: bool) -> None:
        self._sure.object = escape(f"Delete {', '.join(self.selected)}?")
        self._question.visible = ask and bool(self.selected)

    def _collect(self) -> None:
        for name, task in list(self._tasks.items()):
            if task.done:
                del self._tasks[name]
                if task.error:
                    self._say(f"{name}: {task.error}")

    def _say(self, text: str) -> None:
        self._trouble.param.update(object=escape(text), visible=bool(text))

    def __panel__(self) -> pn.viewable.Viewable:
        """The page; from here on it looks at the workspace once a second."""
        self._ticker.start()
        return self._view


def _button(label: str, icon: str, color: str = "default") -> pmui.Button:
    return pmui.Button(
        label=label, icon=icon, color=color, size="small", variant="outlined", margin=4
    )


def _cell(name: str) -> str:
    """The template of a cell; what a file holds stays text in it."""
    first, second = FIRST.get(name, "<%- value %>"), SECOND.get(name, "")
    lines = f"<div>{first}</div>" + (f"<div>{second}</div>" if second else "")
    title = "<%- value %>"
    if third := THIRD.get(name):
        lines += f"<% if (origin) {{ %><div>{third}</div><% }} %>"
        title += f"<% if (origin) {{ %>: {third}<% }} %>"
    return f'<div title="{title}">{lines}</div>'


def _frame(summaries: list[Summary], chosen: str) -> pd.DataFrame:
    rows = [
        {
            "run": s.name,
            "state": STATES[s.status.state][0] + (" · in use" if s.name == chosen else ""),
            "kNN": _score(s.scores.get("knn")),
            "alignment": _score(s.scores.get("alignment")),
            "loss": _score(s.loss),
            "steps": f"{s.step:,}",
            "created": datetime.fromtimestamp(s.created).strftime("%Y-%m-%d %H:%M"),
            "method": s.method,
            "sampler": s.sampler,
            "encoder": s.encoder,
            "data": s.data,
            "origin": s.origin,
            "best": _score(s.best_knn),
            "random": _score(s.scores.get("knn_random")),
            "took": "" if s.took is None else duration(s.took),
            "date": _date(datetime.fromtimestamp(s.created), datetime.now()),
        }
        for s in summaries
    ]
    return pd.DataFrame(rows, columns=[*COLUMNS, *HIDDEN], dtype=str)


def _date(then: datetime, now: datetime) -> str:
    """A time of day, a day of this year, or a day."""
    if then.date() == now.date():
        return then.strftime("%H:%M")
    return then.strftime("%d %b" if then.year == now.year else "%Y-%m-%d")


def _score(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
