"""Prototypes: how they are used, what they stand for, and when they are visited."""

from __future__ import annotations

from html import escape

import numpy as np
import panel as pn
import panel_material_ui as pmui
import param

from workbench.analysis.embeddings import Embeddings
from workbench.analysis.prototypes import (
    UNKNOWN,
    by_class,
    class_table,
    exemplars,
    graph,
    transitions,
)
from workbench.data.manifest import DataSet
from workbench.training.run import Run
from workbench.views.loops import Loops, seconds, sheet, window
from workbench.views.playhead import Playhead
from workbench.views.plots import GREY, palette
from workbench.views.prototype_plots import NODES, GraphPlot, ScoresPlot, TablePlot, UsagePlot
from workbench.views.scored import Scored, by_centres, by_prototypes
from workbench.views.selection import Cursor, Selection, Watching
from workbench.views.ticking import Task, Ticker

SHOWN = 12
"""Exemplars of a prototype."""
VISITED, LEAST = 14, 6
"""Prototypes that are shown over time: those a recording visits, at most and at least so many."""
TABLED = 60
"""Prototypes in the class table; those beyond are used least."""
ORDERS = {"most used first": "usage", "by class": "class", "by number": "number"}
CENTRES = (5, 10, 20, 50, 100)
OWN = "prototypes of the run"
GRID = {
    "display": "grid", "gap": "8px",
    "grid-template-columns": "repeat(auto-fit, minmax(min(100%, 310px), 1fr))",
}  # fmt: skip


class PrototypesView(Watching, pn.viewable.Viewer):
    """The prototypes of a run, or the centres of k-means groups where it has none.

    Choosing one (in any picture) selects its moments and shows exemplars of it as loops that run in
    step, at most one of a recording where that is enough. A click on a loop plays it.
    """

    embeddings = param.ClassSelector(class_=Embeddings)
    dataset = param.ClassSelector(class_=DataSet)
    selection = param.ClassSelector(class_=Selection)
    cursor = param.ClassSelector(class_=Cursor)
    chosen = param.Integer(default=-1, doc="The prototype that is looked at; -1: none.")
    order = param.Selector(default="usage", objects=ORDERS, doc="How they stand side by side.")
    camera = param.Selector(default=None, objects=[], doc="Camera shown over time.")

    def __init__(
        self,
        run: Run,
        embeddings: Embeddings,
        dataset: DataSet,
        selection: Selection,
        cursor: Cursor,
    ) -> None:
        super().__init__(embeddings=embeddings, dataset=dataset, selection=selection, cursor=cursor)
        self.run = run
        self.scored: Scored | None = None
        self._task: Task | None = None
        self._examples = np.zeros((0, SHOWN), int)
        self._order = self._tabled = self._visited = np.zeros(0, int)
        self.bars, self.time, self.table, self.graph = (
            UsagePlot(), ScoresPlot(), TablePlot(), GraphPlot()
        )  # fmt: skip
        self.playhead = Playhead(cursor.channel)
        self.playhead.draw(self.time.figure)
        self.bars.figure.on_event("tap", lambda e: self._take(self._order, e.x))
        self.table.figure.on_event("tap", lambda e: self._take(self._tabled, e.y))
        self.graph.figure.on_event("tap", lambda e: self._take_node(e.x, e.y))
        self._view = self._layout()
        self._ticker = Ticker(self.tick, lambda: self._view, lambda: self._task is not None, 150)
        self._watch(cursor, self._follow, ["recording", "frame"])
        self.playhead.param.watch(self._lead, "frame")
        self.param.watch(lambda _: self._show_chosen(), "chosen")
        self.param.watch(lambda _: self._arrange(), "order")
        self.param.watch(lambda _: self._open(), "camera")
        self._score()

    # -- the scores

    def _score(self) -> None:
        """Score the moments in a thread: it loads the network's code, or looks for centres."""
        k, run, embeddings = self._of.value, self.run, self.embeddings

        def work() -> tuple[Scored, np.ndarray, str]:
            scored, why = None, ""
            if k == OWN:
                try:
                    scored = by_prototypes(run, embeddings)
                except Exception as error:  # a run of other code, a damaged checkpoint
                    why = str(error)
            scored = scored or by_centres(embeddings, 10 if k == OWN else k)
            groups = embeddings.index["recording"].to_numpy()[scored.rows]
            return scored, exemplars(scored.scores, SHOWN, groups), why

        self._task = Task(work)
        self._busy.visible = True
        self._ticker.start()

    def tick(self) -> None:
        """Show the scores once they are there."""
        task = self._task
        if task is None or not task.done:
            return
        self._task = None
        self._ticker.stop()
        self._busy.visible = False
        if task.error is not None:
            self._say(escape(str(task.error)), "error")
            self._body.visible = False
            return
        self.scored, self._examples, why = task.result
        asked, what = self._of.value, self.scored.what
        if asked == OWN and what != "prototype":
            method = (self.run.settings.get("method") or {}).get("name", "")
            reason = why.rstrip(".") or f"its method ({method}) has none"
            self._say(
                f"**No prototypes of {escape(self.run.name)}**: {escape(reason)}. Shown are 10 "
                "centres of its "
                "features found by k-means, which nobody trained. For prototypes train "
                f"`workbench train swav --data {escape(self.dataset.name)}` or a `vicc` recipe.",
                "warning" if why else "info",
            )
        else:
            self._note.visible = False
        with pn.io.hold():
            with param.parameterized.discard_events(self):
                self.chosen = -1
            self._body.visible = True
            self._tell_labels()
            self._arrange()
            self._open()
            self.chosen = int(self.scored.usage.counts.argmax())

    def _tell_labels(self) -> None:
        """The class that most moments of each prototype are of."""
        labels = self.embeddings.index["label"].to_numpy()[self.scored.rows]
        total = self.scored.scores.shape[1]
        self._classes = class_table(self.scored.assigned, labels, total)
        known = [c for c in self._classes.columns if c != UNKNOWN]
        colors = palette(known) | {UNKNOWN: GREY}
        counts = self._classes.to_numpy()
        names = np.array([str(c) for c in self._classes.columns], object)
        first, sums = counts.argmax(axis=1), counts.sum(axis=1)
        share = counts.max(axis=1) / np.maximum(1, sums)
        self._colors = [colors[names[k]] if n else GREY for k, n in zip(first, sums, strict=True)]
        self._labels = [
            f"{names[k]} {s:.0%}" if n else "none"
            for k, s, n in zip(first, share, sums, strict=True)
        ]
        self._labelled = bool(known)

    def _arrange(self) -> None:
        """Put them side by side in the order that is asked for."""
        if self.scored is None:
            return
        use, what = self.scored.usage, self.scored.what
        total = len(use.counts)
        most = np.argsort(-use.counts, kind="stable")
        self._order = {
            "usage": most, "class": by_class(self._classes), "number": np.arange(total),
        }[self.order]  # fmt: skip
        with pn.io.hold():
            self.bars.show(self._order, use.counts, self._colors, self._labels, what)
            self.bars.figure.title.text = (
                f"{use.used} of {total} {what}s are used, as evenly as {use.effective:.1f} alike: "
                "dashed is even. Click one"
            )
            kept = np.isin(self._order, most[: min(TABLED, use.used)])
            self._tabled = self._order[kept]
            self.table.show(self._classes, self._tabled, what)
            self.table.figure.title.text = (
                "One dark cell in a row: one class"
                if self._labelled
                else "No labels are known here"
            )
            in_graph = most[: min(NODES, use.used)]
            if self._labelled:
                ranks = {p: k for k, p in enumerate(by_class(self._classes))}
                in_graph = np.array(sorted(in_graph, key=ranks.__getitem__))
            edges = graph(self._transitions())
            self.graph.show(in_graph, edges, use.counts, self._colors, self._labels)
            left = use.used - len(in_graph)
            self.graph.figure.title.text = (
                f"What follows what in time{f' ({left} rare ones left out)' if left else ''}"
                if len(edges)
                else "Every video stays with one of them"
            )
            self._mark()

    def _transitions(self) -> np.ndarray:
        index = self.embeddings.index.iloc[self.scored.rows]
        assigned = self.scored.assigned
        order = np.lexsort((index["start"].to_numpy(), index["video"].to_numpy()))
        videos = index["video"].to_numpy()[order]
        ends = np.flatnonzero(np.diff(videos)) + 1
        return transitions(np.split(assigned[order], ends), self.scored.scores.shape[1])

    # -- one of them

    def choose(self, prototype: int) -> None:
        """Look at a prototype: its moments are selected, its exemplars run."""
        if self.scored is not None and 0 <= prototype < self.scored.scores.shape[1]:
            self.chosen = int(prototype)
            rows = self.scored.rows[self.scored.assigned == prototype]
            self.selection.choose(rows.tolist(), self.name)

    def _take(self, order: np.ndarray, place: float | None) -> None:
        if place is not None and 0 <= round(place) < len(order):
            self.choose(order[round(place)])

    def _take_node(self, x: float | None, y: float | None) -> None:
        if x is not None and (found := self.graph.near(x, y)) is not None:
            self.choose(found)

    def _show_chosen(self) -> None:
        if self.scored is None or self.chosen < 0:
            return
        p, index = self.chosen, self.embeddings.index
        mine = self.scored.assigned == p
        where = index.iloc[self.scored.rows[mine]]
        rows = self._examples[p][self._examples[p] >= 0]
        with pn.io.hold():
            moments, items = [], []
            for k in rows:
                row = int(self.scored.rows[k])
                about, moment = index.iloc[row], window(self.dataset, index, row)
                moments.append(moment)
                items.append({
                    "id": str(row), "title": str(about["recording"]),
                    "caption": f"{about['camera']} · frame {about['frame']}",
                    "corner": f"{self.scored.scores[k, p]:.2f}",
                    "chip": about["label"] or "", "color": self._color(about["label"]),
                    **sheet(self.dataset, moment),
                })  # fmt: skip
            self.loops.param.update(
                items=items, seconds=seconds(self.dataset, moments), selected=""
            )
            n, takes = int(mine.sum()), where["recording"].nunique()
            mostly = f" · mostly <b>{escape(self._labels[p])}</b>" if self._labelled and n else ""
            self._title.object = (
                f"<b>{self.scored.what.capitalize()} {p}</b>: {n} moments of {takes} "
                f"recording{'s' * (takes != 1)}{mostly}. The nearest ones; click one to play it:"
            )
            self._mark()
            if p not in self._visited:
                self._open()

    def _color(self, label: str | None) -> str:
        known = palette(c for c in self._classes.columns if c != UNKNOWN)
        return known.get(label, GREY) if label else GREY

    def _mark(self) -> None:
        """Mark the chosen one in every picture."""

        def place(order: np.ndarray) -> int | None:
            found = np.flatnonzero(order == self.chosen)
            return int(found[0]) if len(found) else None

        self.bars.mark(place(self._order))
        self.table.mark(place(self._tabled))
        self.time.mark(place(self._visited))
        self.graph.mark(self.chosen if self.chosen >= 0 else None)

    def _play(self, row: str) -> None:
        """Play an exemplar in the player."""
        about = self.embeddings.index.iloc[int(row)]
        moment = window(self.dataset, self.embeddings.index, int(row))
        offset = self.dataset.videos[moment.video].offset
        self.loops.selected = row
        first = max(0, moment.first - offset)
        last = min(moment.last - offset, self.dataset.length(str(about["recording"])) - 1)
        self.cursor.play(first, max(first, last), self.name, str(about["recording"]))

    # -- over time

    def _open(self) -> None:
        """Show the cursor's recording."""
        if self.scored is None:
            return
        index = self.embeddings.index.iloc[self.scored.rows]
        here = index["recording"].to_numpy() == self.cursor.recording
        cameras = sorted(set(index["camera"].to_numpy()[here]))
        self._pane_time.visible = bool(cameras)
        self._now.visible = True
        if not cameras:
            name = escape(self.cursor.recording) or "No recording"
            self._now.object = f"<b>{name}</b> has no features here: choose another recording."
            self._visited = np.zeros(0, int)
            return
        kept = self.camera if self.camera in cameras else cameras[0]
        with param.parameterized.discard_events(self):
            self.param.camera.objects = cameras
            self.camera = kept
        self._camera.param.update(options=cameras, value=kept, visible=len(cameras) > 1)
        mine = np.flatnonzero(here & (index["camera"].to_numpy() == kept))
        frames = index["frame"].to_numpy()[mine]
        mine = mine[np.argsort(frames, kind="stable")]
        self._frames, self._rows = np.sort(frames), mine
        best = self.scored.assigned[mine]
        visited, counts = np.unique(best, return_counts=True)
        kept_rows = visited[np.argsort(-counts, kind="stable")][:VISITED]
        near = np.argsort(-self.scored.scores[mine].mean(axis=0), kind="stable")
        spare = [p for p in near if p not in kept_rows][: max(0, LEAST - len(kept_rows))]
        kept_rows = np.append(kept_rows, spare).astype(int)
        if self.chosen >= 0 and self.chosen not in kept_rows:
            kept_rows = np.append(kept_rows[: VISITED - 1], self.chosen)
        first = [np.flatnonzero(best == p)[0] if (best == p).any() else -1 for p in kept_rows]
        self._visited = kept_rows[np.argsort(-np.array(first), kind="stable")]  # downwards in time
        video = self.dataset.videos[int(index["video"].to_numpy()[mine[0]])]
        with pn.io.hold():
            self.time.show(self._frames, self.scored.scores[mine], self._visited, best, video.fps)
            self.time.figure.title.text = (
                f"{self.cursor.recording}, camera {kept}: bright is near, blue is the nearest"
            )
            self.playhead.param.update(
                last=self.dataset.length(self.cursor.recording) - 1, frame=self.cursor.frame
            )
            self._mark()
        self._tell()

    def _tell(self) -> None:
        """What the cursor's moment is nearest to."""
        k = int(np.abs(self._frames - self.cursor.frame).argmin())
        p = int(self.scored.assigned[self._rows[k]])
        score = float(self.scored.scores[self._rows[k], p])
        self._at = p
        text = (
            f"Now, at frame {self.cursor.frame}: <b>{self.scored.what} {p}</b> "
            f"({score:.2f}, mostly {escape(self._labels[p])})"
        )
        if text != self._now.object:
            self._now.object = text

    def _follow(self, *events: param.parameterized.Event) -> None:
        if any(e.name == "recording" for e in events):
            self._open()
        elif self.scored is not None and len(self._visited):
            self._tell()
        self.playhead.frame = self.cursor.frame

    def _lead(self, event: param.parameterized.Event) -> None:
        if event.new != self.cursor.frame:
            self.cursor.move(event.new, self.name)

    # -- the page

    def _say(self, text: str, severity: str) -> None:
        self._note.param.update(object=text, severity=severity, visible=True)

    def _layout(self) -> pn.viewable.Viewable:
        small = {"size": "small", "margin": (4, 8)}
        wide = {"sizing_mode": "stretch_width"}
        options = {OWN: OWN} | {f"{k} centres (k-means)": k for k in CENTRES}
        self._of = pmui.Select(label="Of", options=options, value=OWN, width=200, **small)
        self._of.param.watch(lambda _: self._score(), "value")
        order = pmui.Select.from_param(self.param.order, label="Order", width=160, **small)
        self._camera = pmui.Select(
            label="Camera over time", options=[], width=150, visible=False, **small
        )
        self._camera.param.watch(lambda e: e.new and self.param.update(camera=e.new), "value")
        self._busy = pmui.LinearProgress(variant="indeterminate", margin=(0, 8), **wide)
        self._note = pmui.Alert(severity="info", visible=False, margin=(4, 8), **wide)
        text = {"margin": (4, 10), "styles": {"font-size": "13px"}}
        self._title = pn.pane.HTML("", **text, **wide)
        self._now = pn.pane.HTML("", **text)
        self._at = -1
        look = pmui.Button(label="Look at it", icon="search", variant="text", size="small")
        look.on_click(lambda _: self.choose(self._at))
        self.loops = Loops(self._play, title="exemplars", clip_width=112)
        panes = [
            pn.pane.Bokeh(p.figure, margin=(0, 4), **wide)
            for p in (self.bars, self.time, self.table, self.graph)
        ]
        self._pane_time = panes[1]
        self._body = pn.Column(
            panes[0], self._title, self.loops,
            pn.FlexBox(self._now, look, align_items="center"), panes[1], self.playhead,
            pn.Column(*panes[2:], styles=GRID, **wide),
            visible=False, **wide,
        )  # fmt: skip
        return pn.Column(
            pn.FlexBox(self._of, order, self._camera, flex_wrap="wrap"),
            self._busy, self._note, self._body, **wide,
        )  # fmt: skip

    def close(self) -> None:
        """Follow the state no more, nor wait for scores."""
        super().close()
        self._ticker.stop()

    def __panel__(self) -> pn.viewable.Viewable:
        """Usage above the exemplars of one, then time, classes and transitions."""
        if self._task is not None:
            self._ticker.start()
        return self._view
