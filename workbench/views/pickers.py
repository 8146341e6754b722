"""The left drawer: which data set, whose features, which recordings."""

from __future__ import annotations

import panel as pn
import panel_material_ui as pmui

from workbench.views.clips import FACETS, Filters, choices
from workbench.views.store import Store
from workbench.views.ticking import Ticker


class Pickers(pn.viewable.Viewer):
    """Choosers of the data set and the run, and the filters of the data set."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        self.store = store
        wide = {"size": "small", "sizing_mode": "stretch_width", "margin": (6, 4)}
        self.data = pmui.Select(label="Data set", options=[], **wide)
        self.run = pmui.Select(label="Features of run", options=[], **wide)
        self.facts = pn.pane.HTML("", sizing_mode="stretch_width", margin=(0, 6))
        self._filters = pn.Column(sizing_mode="stretch_width", margin=0)
        self._of = object()  # what the filters are for: a data set and what its facets offer
        self.data.param.watch(lambda e: self._choose_data(e.new), "value")
        self.run.param.watch(lambda e: self._choose_run(e.new), "value")
        store.param.watch(lambda *_: self._fill(), "version")
        store.param.watch(lambda *_: self.fill_runs(), "listed")
        self._view = pn.Column(
            self.data, self.run, self.facts, self._filters,
            sizing_mode="stretch_width", margin=(4, 8),
        )  # fmt: skip
        self._ticker = Ticker(store.list_runs, lambda: self._view, period=2000)
        self._fill()

    def fill_runs(self) -> None:
        """Offer the runs that there are now."""
        runs = self.store.runs
        value = self.store.run if self.store.run in runs else None
        self.run.param.update(options=runs, value=value, disabled=not runs)

    def _fill(self) -> None:
        s, names = self.store, self.store.workspace.data_names()
        self.data.param.update(options=names, value=s.data or None, disabled=not names)
        self.fill_runs()
        dataset = s.dataset
        self.facts.object = self._say()
        of = dataset and (dataset.folder, [choices(dataset.table, name) for name in FACETS])
        if of != self._of:  # new offsets leave the filters as they are set
            self._of = of
            self._filters[:] = [] if dataset is None else [
                pn.pane.HTML("<b>Filter</b>", margin=(10, 6, 0, 6)), Filters(dataset, s.filter)
            ]  # fmt: skip

    def _say(self) -> str:
        s = self.store
        parts = []
        if s.dataset is not None:
            n, videos = len(s.dataset.recordings), len(s.dataset.table)
            parts.append(f"{n} recording{'s' * (n != 1)}, {videos} video{'s' * (videos != 1)}")
            if bad := len(s.dataset.problems):
                parts.append(f"<b>{bad} file{'s' * (bad != 1)} with problems</b>")
        if s.run:
            e = s.embeddings
            parts.append(
                f"{len(e):,} windows of {e.z.shape[1]} features" if e else "not embedded yet"
            )
        return f"<div style='font-size:12px;opacity:.72'>{'<br>'.join(parts)}</div>"

    def _choose_data(self, name: str | None) -> None:
        if name and name != self.store.data:
            self.store.open(name)

    def _choose_run(self, name: str | None) -> None:
        if name and name != self.store.run:
            self.store.look(name)

    def __panel__(self) -> pn.viewable.Viewable:
        """The choosers above the filters; from here on new runs appear by themselves."""
        self._ticker.start()
        return self._view
