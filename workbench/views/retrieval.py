"""Retrieval: a video beside the nearest ones of a bank, and how often those are of its class."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import escape

import numpy as np
import pandas as pd
import panel as pn
import panel_material_ui as pmui
import param
from bokeh.models import ColumnDataSource, FixedTicker, HoverTool, Range1d

from workbench.analysis.embeddings import Embeddings
from workbench.analysis.neighbours import knn, other
from workbench.analysis.probe import grouped_mean
from workbench.analysis.retrieval import KS, Recall, centred, fused, recall
from workbench.analysis.similarity import unit
from workbench.data.manifest import DataSet
from workbench.training.evaluate_detection import default_split
from workbench.views.cards import Cards, Sheets
from workbench.views.curves import COLOURS
from workbench.views.figures import RIGHT, WRONG, ClassBars, Matrix, blank
from workbench.views.loops import Loops, seconds, sheet, whole
from workbench.views.plots import GREY, palette
from workbench.views.selection import Cursor, Selection, Watching

MOST = 300
"""Queries that are listed."""
TOP = 10
"""Neighbours that are shown beside a query, at most."""
WHICH = {"all queries": "all", "wrong ones": "wrong", "right ones": "right"}
ALL = "all"
GRID = {
    "display": "grid", "gap": "8px",
    "grid-template-columns": "repeat(auto-fit, minmax(min(100%, 310px), 1fr))",
}  # fmt: skip


@dataclass(frozen=True)
class Features:
    """One row per video: the mean of its windows, each of unit length."""

    z: np.ndarray
    """(V, D)."""
    video: np.ndarray
    """(V,) rows of the data set."""
    recording: np.ndarray
    """(V,) names."""
    label: np.ndarray
    """(V,) classes, None unknown."""
    split: np.ndarray
    """(V,) splits, None of none."""

    @classmethod
    def of(cls, embeddings: Embeddings, dataset: DataSet) -> Features:
        """The videos that have embeddings."""
        video, of = np.unique(embeddings.index["video"].to_numpy(), return_inverse=True)
        z = grouped_mean(unit(np.asarray(embeddings.z)), of, len(video))
        about = [dataset.videos[i] for i in video]
        columns = (
            np.array([getattr(v, name) for v in about], object)
            for name in ("recording", "label", "split")
        )
        recording, label, split = columns
        return cls(z, video, recording, label, split)


class RetrievalView(Watching, pn.viewable.Viewer):
    """R@k of the videos of one split among those of another, and each query with its nearest.

    Videos of the query's own recording (other cameras) are never among them. A click on a clip
    plays it; choosing a query selects its windows.

    others: what gives the embeddings of other runs on the same data set, by name; the cosines of
    one of them may be added (RGB + flow). run: the name of the run, for the command that is told:
    here a video is the mean of the windows of its embeddings, in the protocol of its own windows.
    """

    dataset = param.ClassSelector(class_=DataSet)
    selection = param.ClassSelector(class_=Selection)
    cursor = param.ClassSelector(class_=Cursor)
    query = param.Integer(default=-1, doc="Which query is looked at; -1: none.")
    k = param.Selector(default=1, objects=list(KS), doc="Right: one of the k nearest is.")
    which = param.Selector(default="all", objects=WHICH, doc="Which queries are listed.")
    label = param.String(default="", doc="Only queries of this class are listed; '': of all.")

    def __init__(
        self,
        embeddings: Embeddings,
        dataset: DataSet,
        selection: Selection,
        cursor: Cursor,
        others: Mapping[str, Callable[[], Embeddings]] | None = None,
        run: str = "RUN",
    ) -> None:
        super().__init__(dataset=dataset, selection=selection, cursor=cursor)
        self.embeddings = embeddings
        self.run = run
        self.features = Features.of(embeddings, dataset)
        self.found: Recall | None = None
        self._others = dict(others or {})
        self._sheets = Sheets(dataset)
        self._colors = palette(x for x in self.features.label if x)
        self._queries = self._bank = np.zeros(0, int)
        self.curve, self.bars = CurveAt(), ClassBars("recall")
        self.taken = Matrix("class of the query", "class of the nearest")
        self.bars.figure.on_event("tap", lambda e: self._filter(self.bars.at(e.x)))
        self.taken.figure.on_event("tap", lambda e: self._filter_cell(self.taken.at(e.x, e.y)))
        self._said = ""  # the class of the nearest that is asked for; "": any
        self._view = self._layout()
        for widget in (self._of, self._in, self._centred, self._with):
            widget.param.watch(lambda _: self._find(), "value")
        self.param.watch(lambda _: self._judge(), "k")
        self.param.watch(lambda _: self._list(), ["which", "label"])
        self.param.watch(lambda _: self._show_query(), "query")
        self._find()

    # -- what is found

    def _find(self) -> None:
        """Look for the nearest of every query."""
        f = self.features
        queries, bank = (self._rows(w.value) for w in (self._of, self._in))
        self._queries, self._bank = queries, bank
        sides = [self._side(f.z, queries, bank)]
        if self._with.value:
            more = Features.of(self._others[self._with.value](), self.dataset)
            place = pd.Series(np.arange(len(more.video)), more.video).reindex(f.video)
            if place.isna().any():
                missing = int(place.isna().sum())
                self._say(
                    f"**{escape(self._with.value)}** has no features of {missing} videos: its "
                    "clips are longer. Choose another run to add."
                )
                self._body.visible = False
                return
            sides.append(self._side(more.z[place.to_numpy(int)], queries, bank))
        z_q, z_b = (fused(*z) if len(sides) > 1 else z[0] for z in zip(*sides, strict=True))
        ks = [k for k in KS if k <= len(bank)] or [1]
        apart = other(f.recording[queries], f.recording[bank])
        self._scores, self._ids = knn(z_q, z_b, min(max(TOP, ks[-1]), len(bank)), apart)
        labels = f.label[queries], f.label[bank]
        try:
            self.found = recall(z_q, labels[0], z_b, labels[1], ks, apart)
            self._warn(set(self.found.classes) - {x for x in labels[1] if x is not None})
        except ValueError:
            self.found = None
            self._say(
                f"**No labels to judge by** among these videos of "
                f"{escape(self.dataset.name)}: the nearest ones are shown, right or wrong is not "
                "known. Index it again with `{label}` in `--pattern`, `--classes`, or a column "
                "`label` in its manifest."
            )
        self._body.visible = True
        partner = f" --with {self._with.value}" * bool(self._with.value)
        command = f"workbench evaluate {self.run} --protocol retrieval{partner}"
        self._exact.object = (
            "From the windows of the map. Figures to report, from windows of every video: "
            f'<code style="display: inline-block">{escape(command)}</code>'
        )
        with pn.io.hold():
            kept = self.k if self.k in ks else 1
            self.param.k.objects = ks
            with param.parameterized.discard_events(self):
                self.k, self.query, self.label, self._said = kept, -1, "", ""
            self._k.param.update(options={f"k = {n}": n for n in ks}, value=kept)
            self._judged.visible = self._which.visible = self._k.visible = self.found is not None
            self._judge()

    def _warn(self, missing: set[str]) -> None:
        """Tell of classes that cannot be found."""
        self._note.visible = bool(missing)
        if missing:
            names = ", ".join(f"**{escape(c)}**" for c in sorted(missing)[:8])
            where = escape(self._in.value)
            self._say(f"No video of {where} is of class {names}: such queries cannot be right.")

    def _side(
        self, z: np.ndarray, queries: np.ndarray, bank: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        prepare = centred if self._centred.value else unit
        return prepare(z[queries]), prepare(z[bank])

    def _rows(self, split: str) -> np.ndarray:
        every = split == ALL
        return np.flatnonzero(np.ones(len(self.features.z), bool) if every
                              else self.features.split == split)  # fmt: skip

    def _judge(self) -> None:
        """Show how often it is right."""
        found, f = self.found, self.features
        self._k.value = self.k
        if found is not None:
            column = found.ks.index(self.k)
            with pn.io.hold():
                self.curve.show(found.ks, found.value, found.chance, self.k)
                order = np.argsort(-found.per_class[:, column], kind="stable")
                names = [found.classes[c] for c in order]
                tips = [
                    f"R@{self.k} {found.per_class[c, column]:.0%} of {found.counts[c]} queries"
                    for c in order
                ]
                self.bars.figure.title.text = f"R@{self.k} of each class: click one"
                chance = np.full(len(order), found.chance[column])
                self.bars.show(
                    names, found.per_class[order, column], chance,
                    [self._colors.get(n, GREY) for n in names], tips,
                )  # fmt: skip
                self._show_taken()
                n = len(self._queries)
                unjudged = int((~found.judged).sum())
                left = f" ({unjudged} without a label)" if unjudged else ""
                facts = " · ".join(
                    f"R@{k} <b>{v:.1%}</b> (chance {c:.1%})"
                    for k, v, c in zip(found.ks, found.value, found.chance, strict=True)
                )
                self._facts.object = f"{n} queries{left} among {len(self._bank)} videos: {facts}"
        else:
            self._facts.object = f"{len(self._queries)} queries among {len(self._bank)} videos"
        self.right = self._right()
        self._list()
        if self.query < 0 and len(self._queries):
            wrong = np.flatnonzero(self.right == 0)
            here = np.flatnonzero(f.recording[self._queries] == self.cursor.recording)
            self.query = int(here[0] if len(here) else wrong[0] if len(wrong) else 0)
        else:
            self._show_query()

    def _show_taken(self) -> None:
        """Of what class the nearest one is."""
        f, names = self.features, list(self.found.classes)
        known = self.found.judged & (self._ids[:, 0] >= 0)
        said = f.label[self._bank[self._ids[known, 0]]]
        names += sorted({x for x in said if x is not None} - set(names))
        table = np.zeros((len(names), len(names)), int)
        rows = pd.Index(names).get_indexer(f.label[self._queries[known]])
        columns = pd.Index(names).get_indexer(said)
        there = (rows >= 0) & (columns >= 0)
        np.add.at(table, (rows[there], columns[there]), 1)
        self.taken.show(table, names)
        self.taken.figure.title.text = "Class of the nearest: click a cell"

    def _right(self) -> np.ndarray:
        """(Q,) 1 right at k, 0 wrong, -1 not known."""
        if self.found is None:
            return np.full(len(self._queries), -1)
        hit = self.found.right[:, : self.k].any(axis=1)
        return np.where(self.found.judged, hit.astype(int), -1)

    # -- the queries

    def _filter(self, label: str | None) -> None:
        if label is not None:
            self._said = ""
            self.label = "" if label == self.label else label
            self.taken.mark(None)

    def _filter_cell(self, cell: tuple[str, str] | None) -> None:
        if cell is not None:
            self._said = cell[1]
            self.taken.mark(cell)
            if self.label == cell[0]:
                self._list()
            self.label = cell[0]
            rows = self._listed()
            if len(rows):
                self.query = int(rows[0])

    def _listed(self) -> np.ndarray:
        f = self.features
        keep = np.ones(len(self._queries), bool)
        if self.which != "all":
            keep &= self.right == (self.which == "right")
        if self.label:
            keep &= f.label[self._queries] == self.label
        if self._said:
            nearest = self._bank[self._ids[:, 0]]
            keep &= (self._ids[:, 0] >= 0) & (f.label[nearest] == self._said)
        return np.flatnonzero(keep)

    def _list(self) -> None:
        """List the queries that are asked for."""
        f, rows = self.features, self._listed()
        items = []
        for q in rows[:MOST]:
            v = self._queries[q]
            video, right = int(f.video[v]), int(self.right[q])
            about = self.dataset.videos[video]
            shown = self._sheets(video)
            chips = []
            if right >= 0:
                chips.append({"text": "right" if right else "wrong",
                              "color": RIGHT if right else WRONG})  # fmt: skip
            if about.label:
                chips.append({"text": about.label, "color": self._colors.get(about.label, GREY)})
            items.append({
                "id": str(q), "title": about.recording, "caption": str(about.camera),
                "chips": chips, "sheet": shown, "at": shown["n"] // 2 if shown else 0,
            })  # fmt: skip
        more = f", the first {MOST} are shown" if len(rows) > MOST else ""
        of = f" of class <b>{escape(self.label)}</b>" if self.label else ""
        said = f", nearest to a <b>{escape(self._said)}</b>" if self._said else ""
        self._count.object = f"<b>{len(rows)} queries</b>{of}{said}{more}"
        self._all.visible = bool(self.label or self._said)
        self.bars.mark(self.label or None)
        self.cards.items = items

    def _show_query(self) -> None:
        """The query beside its nearest."""
        if not 0 <= self.query < len(self._queries):
            return
        f, q = self.features, self.query
        mine = self._queries[q]
        ids = self._ids[q][self._ids[q] >= 0][:TOP]
        rows = [mine, *self._bank[ids]]
        label, moments, items = f.label[mine], [], []
        for rank, v in enumerate(rows):
            video = int(f.video[v])
            about, moment = self.dataset.videos[video], whole(self.dataset, video)
            moments.append(moment)
            known = label is not None and about.label is not None
            same = about.label == label
            mark = "query" if rank == 0 else ("right" if same else "wrong") if known else ""
            note = "query" if rank == 0 else f"{rank} {('✓' if same else '✗') if known else ''}"
            items.append({
                "id": str(video), "title": about.recording, "caption": str(about.camera),
                "corner": f"{self._scores[q, rank - 1]:.2f}" if rank else "",
                "mark": mark, "note": note.strip(), "chip": about.label or "",
                "color": self._colors.get(about.label, GREY), **sheet(self.dataset, moment),
            })  # fmt: skip
        self.loops.param.update(items=items, seconds=seconds(self.dataset, moments), selected="")
        self.cards.selected = str(q)
        name = escape(self.dataset.videos[int(f.video[mine])].recording)
        self._title.object = f"<b>{name}</b> and its {len(ids)} nearest, by cosine; click to play:"

    def choose(self, query: int) -> None:
        """Look at a query: its windows are selected, and the cursor goes there."""
        self.query = query
        v = self._queries[query]
        rows = np.flatnonzero(self.embeddings.index["video"].to_numpy() == self.features.video[v])
        self.selection.choose(rows.tolist(), self.name)
        self.cursor.move(0, self.name, str(self.features.recording[v]))

    def _play(self, video: str) -> None:
        """Play a clip in the player."""
        about, moment = self.dataset.videos[int(video)], whole(self.dataset, int(video))
        self.loops.selected = video
        last = min(moment.last - about.offset, self.dataset.length(about.recording) - 1)
        first = min(max(0, moment.first - about.offset), max(0, last))
        self.cursor.play(first, max(first, last), self.name, about.recording)

    # -- the page

    def _say(self, text: str) -> None:
        self._note.param.update(object=text, visible=True)

    def _layout(self) -> pn.viewable.Viewable:
        small = {"size": "small", "margin": (4, 8)}
        wide = {"sizing_mode": "stretch_width"}
        splits = [*sorted({s for s in self.features.split if s}), ALL]
        of = default_split(self.dataset)
        of = of if of in splits else ALL
        known = "train" if "train" in splits and of != "train" else ALL
        self._of = pmui.Select(label="Queries", options=splits, value=of, width=110, **small)
        self._in = pmui.Select(label="Among", options=splits, value=known, width=110, **small)
        self._with = pmui.Select(
            label="Together with run", options={"none": "", **{n: n for n in self._others}},
            value="", width=170, visible=bool(self._others), **small,
        )  # fmt: skip
        self._centred = pmui.Switch(
            label="Centred (CoCLR, ViCC)", value=True, margin=(10, 8),
        )  # fmt: skip
        self._k = pmui.Select(label="Right within", options=[], width=110, **small)
        self._k.param.watch(lambda e: e.new and self.param.update(k=e.new), "value")
        self._which = pmui.Select.from_param(self.param.which, label="List", width=140, **small)
        self._note = pmui.Alert(severity="info", visible=False, margin=(4, 8), **wide)
        text = {"margin": (4, 10), "styles": {"font-size": "13px"}}
        self._facts = pn.pane.HTML("", **text, **wide)
        self._exact = pn.pane.HTML("", **text, **wide)
        self._title, self._count = pn.pane.HTML("", **text, **wide), pn.pane.HTML("", **text)
        self.loops = Loops(self._play, title="a query and its nearest", clip_width=112)
        self.cards = Cards(
            lambda q: self.choose(int(q)), title="queries", card_width=120, margin=(4, 8),
            empty="No such query.",
        )  # fmt: skip
        self._all = pmui.Button(label="All classes", icon="clear", variant="text", size="small")
        self._all.on_click(lambda _: self._forget())
        curve, bars, taken = (
            pn.pane.Bokeh(p.figure, margin=(0, 4), **wide)
            for p in (self.curve, self.bars, self.taken)
        )
        self._judged = pn.Column(bars, curve, taken, styles=GRID, **wide)
        self._body = pn.Column(
            self._facts, self._exact, self._title, self.loops, self._judged,
            pn.FlexBox(self._count, self._which, self._all, align_items="center"),
            self.cards, **wide,
        )  # fmt: skip
        return pn.Column(
            pn.FlexBox(
                self._of, self._in, self._with, self._centred, self._k,
                flex_wrap="wrap", align_items="center",
            ),
            self._note, self._body, **wide,
        )  # fmt: skip

    def _forget(self) -> None:
        """List queries of all classes."""
        self._said = ""
        self.taken.mark(None)
        if self.label:
            self.label = ""
        else:
            self._list()

    def __panel__(self) -> pn.viewable.Viewable:
        """One query beside its nearest, then how right it is, then all queries."""
        return self._view


class CurveAt:
    """R@k over k, beside chance."""

    def __init__(self) -> None:
        self.data = ColumnDataSource({"x": [], "value": [], "chance": [], "k": [], "size": []})
        self.figure = blank("k nearest", "R@k", 250)
        self.figure.x_range, self.figure.y_range = Range1d(0, 1), Range1d(0, 1.05)
        chance = {"line_color": GREY, "line_dash": "dashed", "legend_label": "chance"}
        self.figure.line("x", "chance", source=self.data, line_width=2, **chance)
        self.figure.line(
            "x", "value", source=self.data, line_width=2.5, color=COLOURS[0], legend_label="R@k"
        )
        dots = self.figure.scatter("x", "value", source=self.data, size="size", color=COLOURS[0])
        tips = [("k", "@k"), ("R@k", "@value{0.0%}"), ("chance", "@chance{0.0%}")]
        self.figure.add_tools(HoverTool(renderers=[dots], tooltips=tips, mode="vline"))
        self.figure.legend[0].update(
            location="bottom_right", padding=2, margin=2, background_fill_alpha=0.5
        )

    def show(self, ks: tuple[int, ...], value: np.ndarray, chance: np.ndarray, k: int) -> None:
        """Another curve; all (K,). k: the one that is looked at."""
        x = np.arange(len(ks))
        self.data.data = {
            "x": x, "value": value, "chance": chance, "k": list(ks),
            "size": [13 if n == k else 8 for n in ks],
        }  # fmt: skip
        self.figure.x_range.update(start=-0.3, end=len(ks) - 0.7)
        self.figure.xaxis.ticker = FixedTicker(ticks=x.tolist())
        self.figure.xaxis.major_label_overrides = {int(i): str(n) for i, n in enumerate(ks)}
        self.figure.title.text = "The higher over chance, the better"
