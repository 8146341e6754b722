"""Mining: who was taken for whom's positive along training, and how often that was right."""

from __future__ import annotations

from html import escape

import numpy as np
import pandas as pd
import panel as pn
import panel_material_ui as pmui
import param

from workbench.analysis.mining import MiningRecall, class_mining_recall
from workbench.data.manifest import DataSet
from workbench.training.findings import classes_of, training_labels
from workbench.training.run import Run
from workbench.views.cards import Cards, Sheets
from workbench.views.curves import CurvePlot
from workbench.views.epochs import EpochSlider
from workbench.views.figures import RIGHT, WRONG, ClassBars, Matrix
from workbench.views.gate import empty
from workbench.views.loops import Loops, seconds, sheet, whole
from workbench.views.plots import GREY, palette
from workbench.views.selection import Cursor, Watching
from workbench.views.ticking import Task, Ticker

MOST = 200
"""Anchors that are listed."""
TOP = 11
"""Positives that are shown beside an anchor."""
ORDERS = {"most wrong first": "wrong", "most right first": "right", "by name": "name"}
GRID = {
    "display": "grid", "gap": "8px",
    "grid-template-columns": "repeat(auto-fit, minmax(min(100%, 310px), 1fr))",
}  # fmt: skip


def judge(pairs: pd.DataFrame, labels: pd.Series) -> MiningRecall | None:
    """How right the pairs of an epoch are; None where no class is known or no recording is here.

    labels: see `training_labels`, of which `workbench evaluate --protocol mining` makes the same.
    """
    anchor, positive = (labels.index.get_indexer(pairs[c]) for c in ("anchor", "positive"))
    here = (anchor >= 0) & (positive >= 0)
    if not here.any() or labels.isna().all():
        return None
    return class_mining_recall(anchor[here], positive[here], labels.to_numpy(object))


class MiningView(Watching, pn.viewable.Viewer):
    """Who was mined for whom in an epoch of a run, right or wrong, and how that came about.

    A click on a class lists its anchors, one on a cell those that met that class; an anchor is
    shown beside its positives, most often mined first. New epochs of a run that trains come by
    themselves.
    """

    dataset = param.ClassSelector(class_=DataSet)
    cursor = param.ClassSelector(class_=Cursor)
    epoch = param.Integer(default=-1, doc="The epoch that is looked at; -1: none yet.")
    anchor = param.String(default="", doc="The anchor whose positives are shown.")
    label = param.String(default="", doc="Only anchors of this class are listed; '': of all.")
    order = param.Selector(default="wrong", objects=ORDERS, doc="Of the anchors.")

    def __init__(self, run: Run, dataset: DataSet, cursor: Cursor) -> None:
        super().__init__(dataset=dataset, cursor=cursor)
        self.run = run
        self.classes = classes_of(dataset)
        self.labels = training_labels(run, dataset)  # of those that could be mined
        self.recall: MiningRecall | None = None
        self.pairs = pd.DataFrame({"anchor": [], "positive": [], "times": [], "right": []})
        self.known: dict[int, dict[str, float]] = {}  # what was found of each epoch
        self._met = ""  # the class of the positives that are asked for; "": any
        self._task: Task | None = None
        self._sheets = Sheets(dataset)
        self._colors = palette(c for c in self.classes.values() if c)
        self.bars = ClassBars("recall")
        self.table = Matrix("class of the anchor", "class of the positive")
        self.bars.figure.on_event("tap", lambda e: self._filter(self.bars.at(e.x)))
        self.table.figure.on_event("tap", lambda e: self._filter_cell(self.table.at(e.x, e.y)))
        self._view = self._layout()
        self._ticker = Ticker(self.tick, lambda: self._view, lambda: self._task is not None, 1000)
        self.param.watch(lambda _: self._open(), "epoch")
        self.param.watch(lambda _: self._show_anchor(), "anchor")
        self.param.watch(lambda _: self._list(), ["label", "order"])
        self.tick()

    @property
    def epochs(self) -> list[int]:
        """Epochs of which there are pairs."""
        return self.run.mined_epochs()

    # -- along training

    def tick(self) -> None:
        """Look for new epochs, and judge those that were not judged yet, in a thread."""
        epochs = self.epochs
        self._nothing.visible, self._body.visible = not epochs, bool(epochs)
        if not epochs:
            return
        self.slider.offer(epochs)
        if self._task is not None and self._task.done:
            self._draw(self._task.result or [])
            self._task = None
        new = [e for e in epochs if e not in self.known and e != epochs[-1]]
        if self.run.status().state not in ("running", "pending", "stopping"):
            new = [e for e in epochs if e not in self.known]
        if self._task is None and new and self.labels.notna().any():
            self._task = Task(lambda: [(e, self._of(e)) for e in new[:200]])

    def _draw(self, found: list[tuple[int, dict[str, float]]]) -> None:
        """Add epochs to the curves."""
        self.known |= dict(found)
        with pn.io.hold():
            for plot, name, key in (
                (self.right, "right", "precision"),
                (self.recalls, "median of the classes", "median"),
            ):
                plot.add(name, [(epoch, scores[key]) for epoch, scores in found])
            if found:
                self.right.level("chance", found[-1][1]["precision_chance"])

    def _of(self, epoch: int) -> dict[str, float]:
        found = judge(self.run.mined(epoch), self.labels)
        if found is None:
            return dict.fromkeys(("precision", "precision_chance", "median"), float("nan"))
        return {
            "precision": found.precision, "precision_chance": found.precision_chance,
            "median": found.median,
        }  # fmt: skip

    # -- an epoch

    def _open(self) -> None:
        """Show an epoch."""
        pairs = self.run.mined(self.epoch)
        self.recall = judge(pairs, self.labels)
        times = pairs.groupby(["anchor", "positive"], sort=False).size().rename("times")
        times = times.reset_index()
        a, p = (times[c].map(self.labels) for c in ("anchor", "positive"))
        known = a.notna() & p.notna()
        times["right"] = np.where(known, (a == p).astype(int), -1)
        times["anchor_class"], times["positive_class"] = a, p
        gone = ~times["anchor"].isin(self.classes) | ~times["positive"].isin(self.classes)
        self.pairs = times[~gone].reset_index(drop=True)
        note = ""
        if gone.all() and len(times):
            trained = escape(str((self.run.settings.get("data") or {}).get("name", "other data")))
            note = (
                f"**{escape(self.run.name)}** was trained on **{trained}**: the recordings it "
                f"mined are not in {escape(self.dataset.name)}. Choose that data set on the left."
            )
        elif self.recall is None:
            note = (
                f"**No labels to judge by** in {escape(self.dataset.name)}: who was mined is "
                "shown, right or wrong is not known. Index it again with `{label}` in `--pattern`, "
                "`--classes`, or a column `label` in its manifest."
            )
        with pn.io.hold():
            self._note.param.update(object=note, visible=bool(note))
            self._judged.visible = self.recall is not None
            n, takes = len(pairs), self.pairs["anchor"].nunique()
            facts = f"Epoch {self.epoch}: {n} positives mined for {takes} recordings"
            if self.recall is not None:
                facts += self._show_recall()
            self._facts.object = facts
            self._list()
            anchors = set(self.pairs["anchor"])
            if self.anchor in anchors:
                self._show_anchor()
            elif self._anchors:
                here = self.cursor.recording
                self.anchor = here if here in anchors else self._anchors[0]

    def _show_recall(self) -> str:
        r = self.recall
        names = r.table["label"].tolist()
        tips = [
            f"{t.found} of {t.instances} were found: {t.recall:.0%} (chance {t.chance:.0%})"
            for t in r.table.itertuples()
        ]
        self.bars.figure.title.text = "Class mining recall: click one"
        self.bars.show(
            names, r.table["recall"].to_numpy(), r.table["chance"].to_numpy(),
            [self._colors.get(x, GREY) for x in names], tips,
        )  # fmt: skip
        labels = sorted(names)
        counts = np.zeros((len(labels), len(labels)), int)
        judged = self.pairs[self.pairs["right"] >= 0]
        judged = judged[judged["anchor"] != judged["positive"]]
        at = pd.Index(labels)
        np.add.at(
            counts,
            (at.get_indexer(judged["anchor_class"]), at.get_indexer(judged["positive_class"])),
            judged["times"].to_numpy(),
        )
        self.table.show(counts, labels)
        self.table.figure.title.text = "Mined for whom: click a cell"
        return (
            f" · <b>{r.precision:.1%}</b> right (chance {r.precision_chance:.1%}) · median class "
            f"recall <b>{r.median:.1%}</b> · {r.complete} of {len(names)} classes found whole"
        )

    # -- anchors

    def _filter(self, label: str | None) -> None:
        if label is not None:
            self._met = ""
            self.table.mark(None)
            self.label = "" if label == self.label else label

    def _filter_cell(self, cell: tuple[str, str] | None) -> None:
        if cell is None:
            return
        self._met = cell[1]
        self.table.mark(cell)
        if self.label == cell[0]:
            self._list()
        self.label = cell[0]
        if self._anchors:
            self.anchor = self._anchors[0]

    def _list(self) -> None:
        """List the anchors that are asked for."""
        pairs = self.pairs
        if self.label:
            pairs = pairs[pairs["anchor_class"] == self.label]
        if self._met:
            met = pairs[(pairs["positive_class"] == self._met)]
            pairs = pairs[pairs["anchor"].isin(met[met["anchor"] != met["positive"]]["anchor"])]
        counts = pd.DataFrame({
            "right": pairs["times"].where(pairs["right"] == 1, 0),
            "wrong": pairs["times"].where(pairs["right"] == 0, 0),
            "all": pairs["times"], "anchor": pairs["anchor"],
        }).groupby("anchor").sum()  # fmt: skip
        counts = counts.sort_index()
        if self.order != "name":
            counts = counts.sort_values(self.order, ascending=False, kind="stable")
        self._anchors = counts.index.tolist()
        items = []
        for name, row in counts.head(MOST).iterrows():
            video = self.dataset.cameras(name)[0]
            shown, label = self._sheets(video), self.classes[name]
            chips = [
                {"text": f"{row[k]} {k}", "color": c}
                for k, c in (("right", RIGHT), ("wrong", WRONG)) if row[k]
            ] or [{"text": f"{row['all']} mined"}]  # fmt: skip
            if label:
                chips.append({"text": label, "color": self._colors.get(label, GREY)})
            items.append({
                "id": name, "title": name, "chips": chips, "sheet": shown,
                "at": shown["n"] // 2 if shown else 0,
            })  # fmt: skip
        more = f", the first {MOST} are shown" if len(counts) > MOST else ""
        of = f" of class <b>{escape(self.label)}</b>" if self.label else ""
        met = f" for which a <b>{escape(self._met)}</b> was mined" if self._met else ""
        self._count.object = f"<b>{len(counts)} anchors</b>{of}{met}{more}"
        self._all.visible = bool(self.label or self._met)
        self.bars.mark(self.label or None)
        self.cards.items = items

    def _show_anchor(self) -> None:
        """An anchor beside its positives."""
        mine = self.pairs[self.pairs["anchor"] == self.anchor]
        mine = mine.sort_values("times", ascending=False, kind="stable").head(TOP)
        if mine.empty:
            self.loops.items, self._title.object = [], ""
            return
        moments, items = [], []
        shown = [(self.anchor, 0, -1), *mine[["positive", "times", "right"]].itertuples(
            index=False, name=None)]  # fmt: skip
        for k, (name, times, right) in enumerate(shown):
            video = self.dataset.cameras(name)[0]
            moment = whole(self.dataset, video)
            moments.append(moment)
            mark = "query" if not k else {1: "right", 0: "wrong"}.get(right, "")
            sign = {1: "✓", 0: "✗"}.get(right, "")
            note = "anchor" if not k else "itself" if name == self.anchor else sign
            items.append({
                "id": name, "title": name, "note": note, "mark": mark,
                "corner": f"{times}x" if k else "", "chip": self.classes[name] or "",
                "color": self._colors.get(self.classes[name], GREY),
                **sheet(self.dataset, moment),
            })  # fmt: skip
        self.loops.param.update(items=items, seconds=seconds(self.dataset, moments), selected="")
        self.cards.selected = self.anchor
        total = int((self.pairs["anchor"] == self.anchor).sum())
        self._title.object = (
            f"<b>{escape(self.anchor)}</b> and what was mined for it in epoch {self.epoch} "
            f"({total} recording{'s' * (total != 1)}); click to play:"
        )

    def _play(self, name: str) -> None:
        """Play a recording in the player."""
        video = self.dataset.cameras(name)[0]
        offset, moment = self.dataset.videos[video].offset, whole(self.dataset, video)
        self.loops.selected = name
        last = min(moment.last - offset, self.dataset.length(name) - 1)
        first = min(max(0, moment.first - offset), max(0, last))
        self.cursor.play(first, max(first, last), self.name, name)

    def _choose(self, name: str) -> None:
        self.anchor = name
        self.cursor.move(0, self.name, name)

    # -- the page

    def _layout(self) -> pn.viewable.Viewable:
        wide = {"sizing_mode": "stretch_width"}
        self._anchors: list[str] = []
        self.slider = EpochSlider()
        self.slider.param.watch(lambda e: self.param.update(epoch=e.new), "value")
        self._note = pmui.Alert(severity="info", visible=False, margin=(4, 8), **wide)
        text = {"margin": (4, 10), "styles": {"font-size": "13px"}}
        self._facts = pn.pane.HTML("", **text, **wide)
        self._title, self._count = pn.pane.HTML("", **text, **wide), pn.pane.HTML("", **text)
        self.loops = Loops(self._play, title="an anchor and its positives", clip_width=112)
        self.cards = Cards(
            self._choose, title="anchors", card_width=120, margin=(4, 8), empty="No such anchor."
        )
        order = pmui.Select.from_param(
            self.param.order, label="Order", width=160, size="small", margin=(4, 8)
        )
        self._all = pmui.Button(label="All classes", icon="clear", variant="text", size="small")
        self._all.on_click(lambda _: self._forget())
        self.right = CurvePlot(
            "Right positives: more than chance?", "share", ["right"],
            levels={"chance": "dotted"}, markers=True, x="epoch",
        )  # fmt: skip
        self.recalls = CurvePlot(
            "Class mining recall, epoch by epoch", "recall", ["median of the classes"],
            markers=True, x="epoch",
        )  # fmt: skip
        bars, table = (
            pn.pane.Bokeh(p.figure, margin=(0, 4), **wide) for p in (self.bars, self.table)
        )
        self._judged = pn.Column(
            bars, table, self.right, self.recalls, styles=GRID, visible=False, **wide
        )
        self._body = pn.Column(
            self.slider, self._note, self._facts, self._title, self.loops, self._judged,
            pn.FlexBox(self._count, order, self._all, align_items="center"), self.cards,
            visible=False, **wide,
        )  # fmt: skip
        self._nothing = nothing(self.run, self.dataset)
        return pn.Column(self._nothing, self._body, **wide)

    def _forget(self) -> None:
        """List anchors of all classes."""
        self._met = ""
        self.table.mark(None)
        if self.label:
            self.label = ""
        else:
            self._list()

    def close(self) -> None:
        """Look for new epochs no more."""
        super().close()
        self._ticker.stop()

    def __panel__(self) -> pn.viewable.Viewable:
        """An anchor beside its positives, how right an epoch is, and all anchors."""
        self._ticker.start()
        return self._view


def nothing(run: Run, dataset: DataSet) -> pn.viewable.Viewable:
    """What to say where a run mined nothing."""
    method = escape(str((run.settings.get("method") or {}).get("name", "its method")))
    place = run.folder.parent.parent
    return empty(
        "travel_explore",
        "No mined positives",
        f"**{escape(run.name)}** ({method}) has told of no positives that it looked for. `coclr` "
        "and `cpr` do, which need optical flow (`workbench flow`), and `iic` with `method.topk` "
        "above 0; this page then fills by itself, epoch by epoch. In a terminal:",
        f"workbench train cpr --data {dataset.name} --workspace '{place}'",
    )
