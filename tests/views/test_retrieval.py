"""The Retrieval page on features that tell classes apart, or do not."""

from dataclasses import replace

import numpy as np
import pytest

from tests.views.swing_workspace import swing_workspace
from workbench.analysis.embeddings import Embeddings
from workbench.data.manifest import DataSet
from workbench.views.retrieval import RetrievalView
from workbench.views.selection import Cursor, Selection
from workbench.views.store import Store


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return Store(swing_workspace(tmp_path_factory.mktemp("swings")))


def opened(store, embeddings=None, dataset=None, **more):
    view = RetrievalView(
        embeddings or store.embeddings, dataset or store.dataset, Selection(),
        Cursor(recording="take01"), **more,
    )  # fmt: skip
    view._of.value = view._in.value = "all"
    return view


def test_classes_that_lie_apart_are_found(store):
    view = opened(store)
    assert view.found.at(1) == 1 and np.all(view.found.per_class[:, 0] == 1)
    assert len(view.cards.items) == 12 and (view.right == 1).all()
    query, *nearest = view.loops.items
    assert query["mark"] == "query" and query["title"] == "take01"
    assert [n["mark"] for n in nearest[:2]] == ["right", "right"]  # take04, both cameras
    assert {n["title"] for n in nearest[:2]} == {"take04"}
    assert "take01" not in {n["title"] for n in nearest}  # nor another camera of the same take
    view.which = "wrong"
    assert view.cards.items == [] and "0 queries" in view._count.object


def test_a_class_and_a_cell_filter_the_queries(store):
    view = opened(store)
    view._filter("spin")
    assert len(view.cards.items) == 4 and view._all.visible
    view._filter("spin")
    assert len(view.cards.items) == 12 and not view._all.visible
    view._filter_cell(("jump", "jump"))
    assert len(view.cards.items) == 4 and view.loops.items[0]["chip"] == "jump"
    view._filter_cell(("jump", "spin"))
    assert view.cards.items == []
    view._forget()
    assert len(view.cards.items) == 12


def test_right_within_more_neighbours(store):
    rng = np.random.default_rng(0)
    noise = Embeddings(rng.normal(size=(len(store.embeddings), 8)), store.embeddings.index)
    view = opened(store, noise)
    before = (view.right == 1).sum()
    view.k = 10
    assert (view.right == 1).sum() > before and view._k.value == 10
    assert view.found.value[-1] == 1  # everyone of the bank is among the last k


def test_choosing_a_query_selects_its_windows_and_moves_the_cursor(store):
    view = opened(store)
    view.choose(8)
    video = view.features.video[8]
    mine = store.embeddings.index["video"].to_numpy() == video
    assert view.selection.ids == tuple(np.flatnonzero(mine))
    assert view.cursor.recording == view.loops.items[0]["title"]
    view._play(view.loops.items[1]["id"])
    assert view.cursor.recording == view.loops.items[1]["title"] and view.cursor.loop


def test_two_runs_together(store):
    rng = np.random.default_rng(0)
    noise = Embeddings(rng.normal(size=(len(store.embeddings), 8)), store.embeddings.index)
    view = opened(store, noise, others={"good": lambda: store.embeddings})
    alone = view.found.at(1)
    view._with.value = "good"
    assert view.found.at(1) > alone
    assert "evaluate RUN --protocol retrieval --with good<" in view._exact.object
    few = store.embeddings.where(lambda index: index["video"] < 3)
    view._others["good"] = lambda: few
    view._with.value = ""
    view._with.value = "good"
    assert "has no features of 9 videos" in view._note.object and not view._body.visible


def test_splits_whose_classes_differ_are_told(store):
    view = opened(store)
    view._of.value, view._in.value = "val", "train"  # all jumps are in val
    assert "**jump**" in view._note.object and view.found.at(1) == 0


def test_without_labels_the_nearest_are_shown_all_the_same(store):
    dataset = DataSet(store.dataset.folder)
    dataset.videos = [replace(v, label=None, segments=()) for v in store.dataset.videos]
    view = opened(store, dataset=dataset)
    assert view.found is None and "No labels" in view._note.object
    assert not view._judged.visible and len(view.loops.items) == 11
    assert {item["mark"] for item in view.loops.items[1:]} == {""}
    assert len(view.cards.items) == 12
