"""The Detection page without a browser: what is shown, what moves, what is said to be missing."""

import os
import shutil

import holoviews as hv
import numpy as np
import panel as pn
import pytest

from tests.views.detected import CLASSES, write_classifier, write_detection
from workbench.training.evaluate_detection import load_detection
from workbench.training.jobs import Job, python
from workbench.training.run import Run
from workbench.views import detection_plots
from workbench.views.detection import DetectionView, _shifted
from workbench.views.detection_page import DetectionPage, classifiers
from workbench.views.player import Player
from workbench.views.store import Store
from workbench.views.work import JobView


@pytest.fixture
def found(swings):
    return load_detection(write_detection(swings))


@pytest.fixture
def view(found, swings):
    store = Store(swings)
    return DetectionView(found, store.dataset, store.cursor, store.selection, store.embeddings)


def texts(viewable):
    return " ".join(str(getattr(v, "object", "")) for v in viewable.select())


def test_the_matrix_counts_what_is_said_of_what(view):
    assert pn.panel(view).get_root() is not None  # it can be shown
    # two recordings (val) of two cameras, 11 chunks each: 3 background, 8 jumps, none right
    jump, spin = CLASSES.index("jump"), CLASSES.index("spin")
    assert view.found.confusion[jump, spin] == view.found.confusion[jump].sum() > 0
    assert view.found.scores["errors"]["swapped"] == view.found.scores["errors"]["total"]
    for overlay in (view._matrix, detection_plots.confusion(np.zeros((4, 4), int), CLASSES)):
        assert hv.renderer("bokeh").get_plot(overlay) is not None


def test_a_cell_lists_plays_and_selects_its_chunks(view, swings):
    player = Player(view.dataset, view.cursor)
    jump, spin = CLASSES.index("jump"), CLASSES.index("spin")
    view.choose(spin + 0.3, jump - 0.3)
    assert view.cell == (jump, spin)
    rows = view.rows_of(jump, spin)
    assert len(view.cards.items) == len(rows) and "taken for <b>spin</b>" in view.listed.object
    first = view.found.chunks.iloc[rows[0]]
    assert view.cursor.recording == first["recording"] and view.cursor.frame == first["start"]
    assert player.sync.playing and player.sync.loop == [first["start"], first["stop"] - 1]
    chosen = view.embeddings.index.iloc[list(view.selection.ids)]
    assert set(chosen["label"]) == {"jump"} and len(chosen) > 0
    other = view.found.chunks.iloc[rows[-1]]
    view.cards._on_choose(str(rows[-1]))
    assert view.cursor.frame == other["start"] and view.camera == other["camera"]
    view.cursor.move(other["stop"] + 5, "somebody")
    assert player.sync.loop == []
    view.play(int(rows[-1]))  # the same chunk once more
    assert player.sync.loop == [other["start"], other["stop"] - 1] and player.sync.playing


def test_clicks_beside_the_matrix_do_nothing(view):
    for x, y in ((None, 1), (-2, 1), (1, 9)):
        view.choose(x, y)
    assert view.cell == (-1, -1)
    view.choose(0, 3)  # an empty cell: nothing to play
    assert view.cards.items == [] and view.cursor.loop == []


def test_the_timeline_follows_the_cursor_and_moves_it(view):
    pn.panel(view).get_root()
    assert view.cursor.recording == "take02"  # the first one that was judged
    line, curtain = view._marks
    view.cursor.move(30, "player")
    assert line.location == 30 and not curtain.visible
    view.live = True
    assert curtain.visible and (curtain.left, curtain.right) == (30.5, 60.5)
    view.click(44.4)
    assert view.cursor.frame == 44 and line.location == 44 and curtain.left == 44.5
    view.click(-3)
    assert view.cursor.frame == 0 and "nothing yet" in view.now.object


def test_a_class_is_known_when_its_chunk_is_finished(view):
    # chunks [0, 8), [5, 13), [10, 18); the jump begins at frame 9
    view.cursor.move(6, "")
    assert "nothing yet" in view.now.object
    view.cursor.move(16, "")
    assert "frames 5-12" in view.now.object
    view.cursor.move(17, "")
    assert "frames 10-17" in view.now.object and "spin" in view.now.object


def test_a_recording_that_was_not_judged_is_told(view):
    view.cursor.move(0, "", "take00")
    assert view.note.visible and not view._shown.visible and "take00" in view.note.object
    view.cursor.move(0, "", "take05")
    assert not view.note.visible and view._shown.visible


def test_values_of_a_video_are_shifted_to_its_recording():
    values = np.arange(5)
    assert _shifted(values, 2).tolist() == [2, 3, 4]
    assert _shifted(values, -2).tolist() == [-1, -1, 0, 1, 2, 3, 4]


def test_without_a_classifier_the_page_says_how_to_train_one(store):
    asked = []
    page = DetectionPage(store, lambda: asked.append(True))
    assert classifiers(store) == []
    assert "workbench train classify --data swings --init steady" in texts(page.slot)
    page.slot.select(lambda v: getattr(v, "label", "") == "Go to the Train page")[0].clicks += 1
    assert asked == [True]


def test_a_classifier_that_comes_is_offered_and_put_to_work(store, swings, monkeypatch):
    page = DetectionPage(store)
    write_classifier(Run(swings.runs / "probe"))
    page._look()
    assert page.run.value == "probe" and page.split.options == ["train", "val", "all"]
    assert page.split.value == "val" and "workbench evaluate probe" in texts(page.slot)
    started = []
    monkeypatch.setattr(Job, "start", lambda job, argv: started.append(argv))
    page.slot.select(lambda v: getattr(v, "label", "") == "Detect now")[0].clicks += 1
    assert isinstance(page.slot[0], JobView) or started
    command = python("workbench.training.worker", "detect")
    assert started[0][: len(command)] == command and started[0][-1] == "val"


def test_the_usual_chunks_are_shown_before_newer_ones_of_another_kind(store, swings):
    usual = write_detection(swings, key="a")
    others = [{"overlap": 0}, {"streaming": True}]
    for k, changes in enumerate(others):
        folder = write_detection(swings, key=f"b{k}", **changes)
        os.utime(folder / "about.json", (2e9 + k, 2e9 + k))
    page = DetectionPage(store)
    assert (page._found().about["overlap"], page._found().about["streaming"]) == (3, False)
    shutil.rmtree(usual)
    assert page._found().about["streaming"]  # else the newest


def test_what_is_kept_is_shown_at_once_and_another_split_is_not(store, swings):
    write_detection(swings)
    page = DetectionPage(store)
    assert isinstance(page.slot[0], DetectionView) or "Accuracy" in texts(page.slot)
    page.split.value = "train"
    assert "not watched" in texts(page.slot).lower()
    page.split.value = "val"
    assert "Accuracy" in texts(page.slot)
