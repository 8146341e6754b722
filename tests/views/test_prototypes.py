"""The Prototypes page on features whose groups are known: the four quarters of a swing."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tests.views.swing_workspace import swing_workspace
from workbench.training.run import Run
from workbench.views.prototype_page import PrototypePage
from workbench.views.prototypes import OWN, PrototypesView
from workbench.views.selection import Cursor, Selection
from workbench.views.store import Store

QUARTERS = np.array([[0, 1], [1, 0], [0, -1], [-1, 0]], np.float32)  # sine, cosine: as time goes


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return Store(swing_workspace(tmp_path_factory.mktemp("swings")))


def run_with(prototypes, name="planted"):
    method = SimpleNamespace(
        prototypes=None if prototypes is None else torch.from_numpy(prototypes),
        project_features=lambda z: torch.nn.functional.normalize(z[:, :2], dim=1),
    )
    return SimpleNamespace(
        name=name, whole=True, settings={"method": {"name": "swav"}}, method=lambda: method
    )


def opened(store, run):
    cursor = Cursor(recording="take00")
    view = PrototypesView(run, store.embeddings, store.dataset, Selection(), cursor)
    assert view._task.wait(60)
    view.tick()
    return view


@pytest.fixture(scope="module")
def view(store):
    return opened(store, run_with(QUARTERS))


def test_moments_are_with_the_quarter_of_the_swing_they_are_in(store, view):
    phase = 2 * np.pi * store.embeddings.index["frame"].to_numpy() / 20
    cosines = np.stack([np.sin(phase), np.cos(phase)], axis=1) @ QUARTERS.T
    assert np.allclose(view.scored.scores, cosines, atol=1e-5)
    assert view.scored.usage.used == 4 and not view._note.visible
    assert "4 of 4 prototypes" in view.bars.figure.title.text


def test_one_follows_the_other_and_nothing_else(view):
    edges = view.graph._edges
    assert set(zip(edges["source"], edges["target"], strict=True)) == {
        (0, 1), (1, 2), (2, 3), (3, 0)
    }  # fmt: skip
    assert (edges["share"] == 1).all()


def test_choosing_one_selects_its_moments_and_marks_it_everywhere(store, view):
    view.choose(2)
    rows = np.flatnonzero(view.scored.assigned == 2)
    assert view.selection.ids == tuple(rows) and view.selection.source == view.name
    shown = [int(item["id"]) for item in view.loops.items]
    assert set(shown) <= set(rows)
    names = store.embeddings.index["recording"].iloc[shown]
    assert sorted(names) == [f"take{k:02}" for k in range(6)]  # one of each recording
    assert all(item["src"].startswith("data:image/jpeg") for item in view.loops.items)
    bars = view.bars.bars.data
    assert [p for p, line in zip(bars["prototype"], bars["line"], strict=True) if line] == [
        "prototype 2"
    ]
    assert view.graph.nodes.data["line"].count(None) == 3 and len(view.time.chosen.data["y"]) == 1


def test_a_bar_a_row_and_a_node_choose(view):
    view._take(view._order, 1.2)
    assert view.chosen == view._order[1]
    view._take(view._tabled, 3)
    assert view.chosen == view._tabled[3]
    x, y = view.graph._at[0]
    view._take_node(x + 0.01, y)
    assert view.chosen == view.graph.shown[0]
    before = view.chosen
    view._take_node(0, 0)
    view._take(view._order, 40)
    view._take(view._order, None)
    assert view.chosen == before


def test_an_exemplar_plays_in_frames_of_the_recording(store, view):
    view.choose(0)
    item = view.loops.items[0]
    view._play(item["id"])
    row = store.embeddings.index.iloc[int(item["id"])]
    first, last = view.cursor.loop
    assert view.cursor.recording == row["recording"] and first <= row["frame"] <= last


def test_the_cursor_is_told_what_it_is_near(view):
    view.cursor.move(20, "test", "take03")  # cosine 1
    assert "prototype 0" in view._now.object and "take03" in view.time.figure.title.text
    view.cursor.move(25, "test")
    assert "prototype 1" in view._now.object and view.playhead.frame == 25
    assert set(view._visited) == {0, 1, 2, 3}


def test_orders(view):
    for order in ("usage", "class", "number"):
        view.order = order
        assert sorted(view._order) == [0, 1, 2, 3]
    assert list(view._order) == [0, 1, 2, 3]


def test_without_prototypes_centres_are_shown_and_told(store):
    view = opened(store, run_with(None, "<b>plain"))
    assert view.scored.what == "centre" and view.scored.scores.shape[1] == 10
    assert "has none" in view._note.object and "train swav" in view._note.object
    assert "<b>" not in view._note.object
    view._of.value = 5
    assert view._task.wait(60)
    view.tick()
    assert view.scored.scores.shape[1] == 5 and not view._note.visible


def test_a_checkpoint_that_cannot_be_read_is_told(store):
    run = Run(store.workspace.runs / "steady")  # the file is no checkpoint
    view = opened(store, run)
    assert view._of.value == OWN and view.scored.what == "centre"
    assert "cannot be read" in view._note.object and view._body.visible


def test_the_page_closes_what_it_has_built(store):
    page = PrototypePage(store)
    page.show(1)
    views = list(page._built.values())
    page.close()
    assert len(views) == 2 and all(v.closed for v in views)
    assert "No clusters" in views[1]._nothing[1].object
