"""The page of what a run groups: its prototypes, and its clusters along training."""

from __future__ import annotations

import panel as pn
import panel_material_ui as pmui

from workbench.training.run import Run
from workbench.views.cluster_evolution import ClusterEvolution
from workbench.views.gate import with_dataset, with_embeddings
from workbench.views.selection import Watching
from workbench.views.store import Store

NAMES = ("Prototypes", "Clusters along training")


class PrototypePage(Watching, pn.viewable.Viewer):
    """Two tabs; what one of them lacks, the other may have. A tab is built when it is opened."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        self.store = store
        self._built: dict[int, object] = {}
        self._tabs = pmui.ToggleGroup(
            options={name: k for k, name in enumerate(NAMES)}, value=0, widget_type="button",
            behavior="radio", size="small", margin=(4, 8), width=420,
        )  # fmt: skip
        self._slot = pn.Column(sizing_mode="stretch_width", margin=0)
        self._tabs.param.watch(lambda e: self.show(e.new), "value")
        self.show(0)

    def show(self, tab: int) -> None:
        """Open a tab."""
        if tab not in self._built:
            self._built[tab] = (self._prototypes, self._clusters)[tab]()
        self._tabs.value = tab
        self._slot[:] = [self._built[tab]]

    def close(self) -> None:
        """Follow the state no more."""
        super().close()
        for view in self._built.values():
            if isinstance(view, Watching):
                view.close()

    @property
    def _run(self) -> Run:
        return Run(self.store.workspace.runs / self.store.run)

    def _prototypes(self):
        s = self.store

        def build():
            from workbench.views.prototypes import PrototypesView

            return PrototypesView(self._run, s.embeddings, s.dataset, s.selection, s.cursor)

        return with_embeddings(s, build)

    def _clusters(self):
        s = self.store
        if s.dataset is None or not s.run:
            return with_embeddings(s, lambda: None)
        return with_dataset(s, lambda: ClusterEvolution(self._run, s.dataset, s.cursor))

    def __panel__(self) -> pn.viewable.Viewable:
        """The tabs above what is open."""
        return pn.Column(self._tabs, self._slot, sizing_mode="stretch_width")
