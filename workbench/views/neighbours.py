"""More like this: the windows nearest to the selected one, with their scores."""

from __future__ import annotations

from html import escape

import numpy as np
import panel as pn
import panel_material_ui as pmui
import param

from workbench.analysis.embeddings import Embeddings
from workbench.analysis.neighbours import Rule, apart, both, knn, other
from workbench.data.manifest import DataSet
from workbench.views.cards import Cards, Sheets
from workbench.views.plots import palette
from workbench.views.selection import Cursor, Hover, Selection, Watching

CAMERAS = {"any camera": "any", "same camera": "same", "other cameras": "other"}


class NeighbourList(Watching, pn.viewable.Viewer):
    """The nearest windows (cosine) of the selected one, or of the cursor's where none is.

    A click on one moves the cursor there. Without the exclusions a window's neighbours are the
    windows before and after it.
    """

    embeddings = param.ClassSelector(class_=Embeddings)
    dataset = param.ClassSelector(class_=DataSet)
    selection = param.ClassSelector(class_=Selection)
    cursor = param.ClassSelector(class_=Cursor)
    hover = param.ClassSelector(class_=Hover)
    k = param.Integer(default=8, bounds=(1, 100), doc="How many neighbours.")
    window = param.Integer(
        default=30, bounds=(0, 300), doc="Leave out windows of the same video this near, frames."
    )
    elsewhere = param.Boolean(default=False, doc="Leave out all of the same recording.")
    cameras = param.Selector(default="any", objects=CAMERAS, doc="Which cameras may answer.")
    found = param.List(default=[], doc="(row, score) of the neighbours, best first.")

    def __init__(
        self,
        embeddings: Embeddings,
        dataset: DataSet,
        selection: Selection,
        cursor: Cursor,
        hover: Hover | None = None,
        **params: object,
    ) -> None:
        super().__init__(
            embeddings=embeddings, dataset=dataset, selection=selection, cursor=cursor,
            hover=hover or Hover(), **params,
        )  # fmt: skip
        self._sheets = Sheets(dataset)
        self._colors = palette(dataset.table["label"].dropna())
        self.query = -1
        self.note = pn.pane.HTML(
            "", margin=(2, 6), sizing_mode="stretch_width", styles={"font-size": "13px"}
        )
        self.cards = Cards(
            self._choose, self._hovered, card_width=120, title="nearest windows",
            empty="No other window is allowed. Loosen the exclusions above.",
        )  # fmt: skip
        self._view = self._layout()
        self._watch(self.selection, lambda _: self.refresh(), "ids")
        self._watch(self.cursor, self._follow, ["recording", "frame"])
        self.param.watch(lambda *_: self.refresh(), ["k", "window", "elsewhere", "cameras"])
        self.refresh()

    def _follow(self, *_: object) -> None:
        """A jump asks anew; the frames of a playing video and of this list's own clicks do not."""
        if self.cursor.source == self.name:
            return
        index = self.embeddings.index
        if self.query >= 0 and index["recording"].iloc[self.query] == self.cursor.recording:
            return
        self.refresh()

    def refresh(self) -> None:
        """Look for the neighbours again."""
        self.query = self._asked()
        if self.query < 0:
            self.found, self.cards.items = [], []
            self.note.object = "Choose a recording to see what is like it."
            return
        scores, ids = knn(
            self.embeddings.z[[self.query]], self.embeddings.z, self.k, self._rule(self.query)
        )
        pairs = zip(ids[0], scores[0], strict=True)
        self.found = [(int(i), float(s)) for i, s in pairs if i >= 0]
        self.cards.items = [self._card(i, s) for i, s in self.found]
        row = self.embeddings.index.iloc[self.query]
        same = np.mean([self.embeddings.index["label"].iloc[i] == row["label"]
                        for i, _ in self.found] or [np.nan])  # fmt: skip
        agree = f" · {same:.0%} share its label" if row["label"] and self.found else ""
        self.note.object = (
            f"Like <b>{escape(str(row['recording']))}</b> · {escape(str(row['camera']))} · "
            f"frame {row['frame']}{agree}"
        )

    def _asked(self) -> int:
        if len(self.selection.ids) == 1:
            return self.selection.ids[0]
        try:
            return self.embeddings.row(self.cursor.recording, self.cursor.frame)
        except KeyError:
            return -1

    def _rule(self, query: int) -> Rule:
        """Who may answer, by row numbers (of the one query, of the bank)."""
        index = self.embeddings.index
        column = {c: index[c].to_numpy() for c in ("video", "frame", "recording", "camera")}
        near = apart(column["video"], column["frame"], self.window)
        rules: list[Rule] = [
            lambda i, j: near(np.full_like(i, query), j),
            lambda i, j: j != query,
        ]
        if self.elsewhere:
            rules.append(other(column["recording"][[query]], column["recording"]))
        if self.cameras == "other":
            rules.append(other(column["camera"][[query]], column["camera"]))
        elif self.cameras == "same":
            same = column["camera"] == column["camera"][query]
            rules.append(lambda i, j: same[j] | (i < 0))
        return both(*rules)

    def _card(self, row: int, score: float) -> dict:
        where = self.embeddings.index.iloc[row]
        video = int(where["video"])
        sheet = self._sheets(video)
        frame = int(where["frame"])
        label = where["label"]
        at = frame + self.dataset.videos[video].offset
        return {
            "id": str(row),
            "title": str(where["recording"]),
            "caption": f"{where['camera']} · frame {frame}",
            "corner": f"{score:.3f}",
            "chips": [{"text": label, "color": self._colors.get(label)}] if label else [],
            "sheet": sheet,
            "at": self._sheets.thumbnail(video, at) if sheet else 0,
        }

    def _choose(self, row: str) -> None:
        where = self.embeddings.index.iloc[int(row)]
        self.cards.selected = row
        self.cursor.move(int(where["frame"]), self.name, str(where["recording"]))

    def _hovered(self, row: str) -> None:
        self.hover.id = int(row) if row else -1

    def _layout(self) -> pn.viewable.Viewable:
        small = {"size": "small", "margin": (2, 6)}
        window = pmui.IntSlider.from_param(
            self.param.window, label="apart in the same video, frames at least", **small
        )
        elsewhere = pmui.Checkbox.from_param(
            self.param.elsewhere, label="other recordings only", **small
        )
        cameras = pmui.Select.from_param(self.param.cameras, label="Cameras", width=150, **small)
        window.sizing_mode = "stretch_width"
        return pn.Column(
            self.note,
            pn.FlexBox(elsewhere, cameras, align_items="center"),
            window,
            self.cards,
            sizing_mode="stretch_width",
        )

    def __panel__(self) -> pn.viewable.Viewable:
        """The exclusions and the list."""
        return self._view
