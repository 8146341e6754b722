import holoviews as hv
import numpy as np
import pytest

from tests.views.swing_workspace import PERIOD, features
from workbench.views import pictures
from workbench.views.tsm import SimilarityView


@pytest.fixture
def view(store):
    store.cursor.move(10, "", "take01")
    return SimilarityView(features(store.dataset), store.dataset, store.cursor)


def test_the_matrix_repeats_with_the_period(view):
    m, step = view.matrix, PERIOD // 2
    np.testing.assert_allclose(np.diag(m), 1, atol=1e-5)
    np.testing.assert_allclose(np.diag(m, step), 1, atol=1e-5)
    assert np.diag(m, step // 2).max() < 0.5


def test_a_click_moves_the_cursor_and_is_no_echo(view):
    view.moments.param.update(column=32, row=12)  # as the browser does
    cursor = view.cursor
    assert (cursor.recording, cursor.frame, cursor.source) == ("take01", 32, view.name)
    assert view.other == 12
    cursor.move(44, "player")
    assert (view.moments.column, view.moments.row, cursor.source) == (44, 12, "player")
    view.other = 20
    assert view.moments.row == 20


def test_the_browser_has_all_it_needs_to_answer_a_click(view):
    moments = view.moments
    assert moments.columns == moments.rows == list(range(4, 56, 2))
    assert (moments.column, moments.row, moments.fps) == (10, 4, [30, 30])
    assert moments.pair == ["left", "left"] and moments.clock == view.cursor.channel
    assert [c["name"] for c in moments.cameras] == ["left", "right"]
    sheet = moments.cameras[0]["sheet"]
    assert sheet["frames"] == list(range(0, 60, 3)) and sheet["n"] == 20
    assert not moments.cameras[0]["exact"]  # so the stored frames are asked for
    low, high = moments.scale
    assert -1 <= low < high <= 1


def test_stored_frames_are_sent_where_they_are_asked_for(view, monkeypatch):
    sent = []
    monkeypatch.setattr(type(view.moments), "_send_msg", lambda _, data: sent.append(data))
    view.moments._handle_msg({"sharp": [8, 30]})
    (answer,) = sent
    assert (answer["column"], answer["row"]) == (8, 30)
    videos = view.dataset.cameras("take01")
    assert answer["pictures"][1] == [pictures.frame_url(view.dataset, v, 30) for v in videos]


def test_the_crosshair_begins_at_the_cursor(view):
    view.cursor.move(59, "player")
    plot = hv.renderer("bokeh").get_plot(view._pane.object)
    lines = {n: plot.state.select_one(f"{view.moments.channel}-{n}") for n in ("column", "row")}
    assert lines["column"].location == 54  # the last column
    assert lines["row"].location == 4
    view.columns = "right"  # the same plot shows another matrix
    assert plot.state.select_one(f"{view.moments.channel}-column") is lines["column"]


def test_two_cameras_can_be_compared(view):
    view.rows = "right"
    assert view.matrix.shape == (26, 26) and 0.9 < view.matrix[3, 3] < 1
    assert view.moments.pair == ["right", "left"]
    view.cursor.move(0, "gallery", "take02")
    assert (view.rows, view.columns) == ("right", "left")


def test_a_recording_without_features_says_so_and_the_next_is_shown(view):
    view.cursor.move(0, "", "nobody")
    assert view.note.visible and not view._body.visible and "nobody" in view.note.object
    view.cursor.move(0, "", "take00")
    assert view._body.visible and not view.note.visible
