"""How the clusters that a run trains with change: where recordings go, and how right they are."""

from __future__ import annotations

from html import escape

import numpy as np
import pandas as pd
import panel as pn
import panel_material_ui as pmui
import param

from workbench.analysis.clusters import cluster_scores
from workbench.analysis.mining import false_rates
from workbench.data.manifest import DataSet
from workbench.training.findings import classes_of
from workbench.training.run import Run
from workbench.views.cluster_plots import REST, Flow, FlowPlot, by_video, count
from workbench.views.curves import CurvePlot
from workbench.views.gate import empty
from workbench.views.loops import Loops, seconds, sheet, whole
from workbench.views.mining import GRID
from workbench.views.plots import GREY, palette
from workbench.views.selection import Cursor, Watching
from workbench.views.ticking import Task, Ticker

COLUMNS = 7
"""Epochs side by side; of more, some evenly chosen ones, the first and last among them."""
SHOWN = 16
"""Videos of a cluster that are shown."""


class ClusterEvolution(Watching, pn.viewable.Viewer):
    """The clusters of a run, epoch by epoch: which went where, how many, and how right.

    A click on a cluster shows its videos as loops; a click on one of those plays it. New
    clusterings of a run that trains come by themselves.
    """

    dataset = param.ClassSelector(class_=DataSet)
    cursor = param.ClassSelector(class_=Cursor)
    block = param.Tuple(default=(-1, 0), doc="Place of the epoch and cluster looked at.")

    def __init__(self, run: Run, dataset: DataSet, cursor: Cursor) -> None:
        super().__init__(dataset=dataset, cursor=cursor)
        self.run = run
        self.classes = classes_of(dataset)
        self._colors = palette(c for c in self.classes.values() if c)
        table = dataset.table
        nth = table.groupby("recording").cumcount()
        self._videos = {key: i for i, key in enumerate(zip(table["recording"], nth, strict=True))}
        self.epochs: list[int] = []
        self.flow: Flow | None = None
        self._task: Task | None = None
        self._judged: set[int] = set()
        self._before: tuple[int, pd.Series] | None = None
        self.plot = FlowPlot()
        self.plot.figure.on_event("tap", lambda e: self._take(e.x, e.y))
        self._view = self._layout()
        self._ticker = Ticker(self.tick, lambda: self._view, lambda: self._task is not None, 1000)
        self.param.watch(lambda _: self._show_block(), "block")
        self.tick()

    def close(self) -> None:
        """Look for new clusterings no more."""
        super().close()
        self._ticker.stop()

    def tick(self) -> None:
        """Look for new clusterings; they are judged in a thread."""
        epochs = self.run.cluster_epochs()
        self._nothing.visible, self._body.visible = not epochs, bool(epochs)
        if self._task is not None and self._task.done:
            self._draw(self._task.result or [])
            self._task = None
        if epochs and epochs != self.epochs:
            self.epochs = epochs
            self._arrange()
        new = [e for e in epochs if e not in self._judged]
        if self._task is None and new:
            self._judged |= set(new)
            self._task = Task(lambda: [(e, self._judge(e)) for e in new])

    # -- how right they are

    def _judge(self, epoch: int) -> dict[str, float]:
        """What is to be known of a clustering, the ones before it first."""
        clusters, found = by_video(self.run.clusters(epoch)), {}
        if self._before is not None:
            both = pd.concat([self._before[1], clusters], axis=1, join="inner")
            if len(both):
                found["before"] = cluster_scores(*both.to_numpy().T).nmi
        self._before = epoch, clusters
        labels = np.array([self.classes.get(name) for name, _ in clusters.index], object)
        known = ~pd.isna(labels)
        found |= {"count": clusters.nunique(), "single": int((clusters.value_counts() == 1).sum())}
        if known.sum() > 1:
            scores = cluster_scores(clusters.to_numpy()[known], labels[known])
            rates = false_rates(clusters.to_numpy()[known], labels[known])
            found |= {"nmi": scores.nmi, "purity": scores.purity, "positive": rates.positive,
                      "negative": rates.negative, "chance": rates.positive_chance,
                      "classes": len(set(labels[known]))}  # fmt: skip
        return found

    def _draw(self, found: list[tuple[int, dict[str, float]]]) -> None:
        """Add epochs to the curves."""
        with pn.io.hold():
            for plot, name, key in (
                (self.nmi, "with the classes", "nmi"),
                (self.nmi, "with those before", "before"),
                (self.counts, "clusters", "count"),
                (self.counts, "of one video", "single"),
                (self.rates, "positives", "positive"),
                (self.rates, "negatives", "negative"),
            ):
                plot.add(name, [(epoch, scores[key]) for epoch, scores in found if key in scores])
            for _, scores in found[-1:]:
                if "classes" in scores:
                    self.counts.level("classes", scores["classes"])
                    self.rates.level("chance", scores["chance"])

    # -- where they go

    def _arrange(self) -> None:
        n = len(self.epochs)
        places = np.unique(np.linspace(0, n - 1, min(n, COLUMNS)).round().astype(int))
        shown = [self.epochs[k] for k in places]
        self.flow = Flow.of({e: self.run.clusters(e) for e in shown}, self.classes)
        here = np.isin(self.flow.recordings, list(self.classes))
        note = ""
        if not here.any():
            trained = escape(str((self.run.settings.get("data") or {}).get("name", "other data")))
            note = (
                f"**{escape(self.run.name)}** was trained on **{trained}**: its recordings are not "
                f"in {escape(self.dataset.name)}. Choose that data set on the left."
            )
        elif not any(self.flow.labels):
            note = (
                f"**No labels** in {escape(self.dataset.name)}: where clusters go is shown, how "
                "right they are is not known."
            )
        with pn.io.hold():
            self._note.param.update(object=note, visible=bool(note))
            self.plot.show(self.flow, self._colors)
            left = f" ({len(shown)} of {n} epochs)" if n > len(shown) else ""
            self.plot.figure.title.text = f"Which cluster went where{left}: click one"
            last = len(shown) - 1
            sizes = {b: len(self.flow.members(last, b)) for b in self.flow.edges[last] if b != REST}
            old = self.block
            self.block = last, max(sizes, key=sizes.get) if sizes else REST
            if old == self.block:
                self._show_block()

    def _take(self, x: float | None, y: float | None) -> None:
        if self.flow is not None and x is not None and y is not None:
            found = self.flow.block_at(x, y)
            if found is not None:
                self.block = found

    def _show_block(self) -> None:
        """The videos of a cluster, those of its commonest class first."""
        flow, (column, block) = self.flow, self.block
        if flow is None or not 0 <= column < len(flow.epochs) or block not in flow.edges[column]:
            return
        rows = flow.members(column, block)
        counts = pd.Series(flow.labels[rows]).value_counts()
        common = counts.index[0]
        rows = sorted(rows, key=lambda row: -counts[flow.labels[row]])
        moments, items = [], []
        here = [self._videos.get((flow.recordings[row], flow.nth[row])) for row in rows]
        for video in [v for v in here if v is not None][:SHOWN]:
            about, moment = self.dataset.videos[video], whole(self.dataset, video)
            label = self.classes[about.recording]
            moments.append(moment)
            odd = bool(common and label and label != common)
            items.append({
                "id": str(video), "title": about.recording, "caption": str(about.camera),
                "mark": "wrong" if odd else "",
                "note": "other class" if odd else "", "chip": label or "",
                "color": self._colors.get(label, GREY), **sheet(self.dataset, moment),
            })  # fmt: skip
        with pn.io.hold():
            self.loops.param.update(
                items=items, seconds=seconds(self.dataset, moments), selected=""
            )
            what = "The smaller clusters" if block == REST else f"Cluster {block}"
            mix = ", ".join(f"{n} {escape(str(c))}" for c, n in counts.items() if c)
            more = f"; {SHOWN} are shown" if len(rows) > SHOWN else ""
            self._title.object = (
                f"<b>{what}</b> of epoch {flow.epochs[column]}: {count(len(rows))}"
                f"{f' ({mix})' if mix else ''}{more}. "
                "Click to play:"
            )
            self.plot.mark(column, block)

    def _play(self, video: str) -> None:
        """Play a clip in the player."""
        about, moment = self.dataset.videos[int(video)], whole(self.dataset, int(video))
        self.loops.selected = video
        last = min(moment.last - about.offset, self.dataset.length(about.recording) - 1)
        first = min(max(0, moment.first - about.offset), max(0, last))
        self.cursor.play(first, max(first, last), self.name, about.recording)

    # -- the page

    def _layout(self) -> pn.viewable.Viewable:
        wide = {"sizing_mode": "stretch_width"}
        more = {"markers": True, "x": "epoch"}
        self.nmi = CurvePlot(
            "Shared information: 1 is the same", "NMI",
            ["with the classes", "with those before"], **more,
        )  # fmt: skip
        self.counts = CurvePlot(
            "How many: dotted is classes", "clusters",
            ["clusters", "of one video"], levels={"classes": "dotted"}, **more,
        )  # fmt: skip
        self.rates = CurvePlot(
            "False ones: both should fall", "share of the pairs",
            ["positives", "negatives"],
            levels={"chance": "dotted"}, **more,
        )  # fmt: skip
        self._note = pmui.Alert(severity="info", visible=False, margin=(4, 8), **wide)
        self._title = pn.pane.HTML("", margin=(4, 10), styles={"font-size": "13px"}, **wide)
        self.loops = Loops(self._play, title="videos of a cluster", clip_width=112)
        self._body = pn.Column(
            self._note, pn.pane.Bokeh(self.plot.figure, margin=(0, 4), **wide), self._title,
            self.loops, pn.Column(self.nmi, self.counts, self.rates, styles=GRID, **wide),
            visible=False, **wide,
        )  # fmt: skip
        self._nothing = nothing(self.run, self.dataset)
        return pn.Column(self._nothing, self._body, **wide)

    def __panel__(self) -> pn.viewable.Viewable:
        """Where clusters go, the recordings of one, and the curves of all."""
        self._ticker.start()
        return self._view


def nothing(run: Run, dataset: DataSet) -> pn.viewable.Viewable:
    """What to say where a run has no clusters."""
    sampler = escape(str((run.settings.get("sampler") or {}).get("name", "another")))
    place = run.folder.parent.parent
    return empty(
        "bubble_chart",
        "No clusters along training",
        f"**{escape(run.name)}** learns from the sampler `{sampler}`, which does not cluster. The "
        "sampler `same-cluster` (method `slic`) groups the recordings anew every few epochs; this "
        "page then shows how. In a terminal:",
        f"workbench train slic --data {dataset.name} --workspace '{place}'",
    )
