import holoviews as hv
import numpy as np
import pytest

from tests.views.swing_workspace import PERIOD, features
from workbench.analysis.embeddings import Embeddings
from workbench.analysis.similarity import unit
from workbench.views import pictures, plots
from workbench.views.cycle import rows_of
from workbench.views.overlays import View
from workbench.views.tsm import SimilarityView


@pytest.fixture
def view(store):
    store.cursor.move(10, "", "take01")
    return SimilarityView(features(store.dataset), store.dataset, store.cursor)


def look(view):
    """Wait until all that is drawn over the matrix is found."""
    while view._task is not None:
        assert view._task[1].wait(30)
        view.tick()
    return view.caption.object


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


def test_lines_one_cycle_apart_and_what_they_mean(view):
    assert "Looking" in view.caption.object and not view.overlays.data["cycles"]["xs"]
    words = look(view)
    assert "Period 0.67 s" in words and "confidence" in words
    xs, ys = (view.overlays.data["cycles"][n][0] for n in ("xs", "ys"))
    assert np.nanmedian(ys - xs) == pytest.approx(PERIOD, abs=1)
    view.periods = False
    assert not view.overlays.data["cycles"]["xs"] and "Period" not in view.caption.object
    assert not view._toggles[0][0].value
    view.periods = True
    assert "Period 0.67 s" in view.caption.object  # it is not looked for twice


def test_where_nothing_repeats_it_says_so(store):
    found = features(store.dataset)
    z = np.random.default_rng(0).normal(size=(len(found), 8)).astype(np.float32)
    store.cursor.move(0, "", "take01")
    view = SimilarityView(Embeddings(z, found.index), store.dataset, store.cursor)
    assert "Nothing repeats" in look(view)
    assert "One block" in view.caption.object


def test_a_change_for_good_makes_blocks(store):
    found = features(store.dataset)
    z = np.tile(np.eye(8)[0], (len(found), 1))
    z += np.random.default_rng(0).normal(0, 0.02, z.shape)
    frame = found.index["frame"].to_numpy()
    z[(frame >= 20) & (frame < 40)] = z[(frame >= 20) & (frame < 40)][:, ::-1]
    store.cursor.move(0, "", "take01")
    view = SimilarityView(Embeddings(z, found.index), store.dataset, store.cursor)
    assert "3 blocks" in look(view) and "one letter: alike" in view.caption.object
    blocks = view.overlays.data["blocks"]
    assert blocks["name"] == ["A", "B", "A"] and blocks["right"][:2] == [19, 39]
    view.parts = False
    assert not view.overlays.data["blocks"]["name"]


def test_another_recording_is_compared_and_matched(view):
    sent = []
    view.against = "take04"  # of the same label: alike, frame by frame
    words = look(view)
    moments = view.moments
    assert view.matrix.shape == (26, 26) and np.diag(view.matrix).min() > 0.99
    assert moments.names == ["take01", "take04"] and moments.lengths == [60, 60]
    np.testing.assert_array_equal(moments.path, np.arange(60))
    assert "Path" in words and "0.00 between" in words and "Drift" in words
    assert len(view.overlays.data["path"]["x"]) == 26
    assert not view.overlays.data["cycles"]["xs"]  # those are of one recording
    moments._send_msg = sent.append
    moments._handle_msg({"sharp": [8, 30]})
    videos = view.dataset.cameras("take04")
    assert sent[0]["pictures"][1] == [pictures.frame_url(view.dataset, v, 30) for v in videos]
    view.matched = False
    assert not len(moments.path) and not len(view.overlays.data["path"]["x"])


def test_the_other_recording_stays_until_it_is_the_cursors(view):
    view.against = "take04"
    view.cursor.move(0, "gallery", "take02")
    assert view.against == "take04" and view.moments.names == ["take02", "take04"]
    view.cursor.move(0, "gallery", "take04")
    assert view.against == "" and view.moments.names == ["", ""]
    assert "take04" not in view.param.against.objects


def test_the_axes_are_those_of_the_matrix_that_is_shown(store):
    found = features(store.dataset)
    keep = (found.index["recording"] != "take02") | (found.index["frame"] < 30)
    store.cursor.move(10, "", "take02")
    view = SimilarityView(found.where(keep.to_numpy()), store.dataset, store.cursor)
    plot = hv.renderer("bokeh").get_plot(view._pane.object)
    assert plot.state.x_range.end == plot.state.y_range.start == 29
    view.against = "take01"
    assert (plot.state.x_range.end, plot.state.y_range.start) == (29, 55)


def test_a_phase_of_the_drift_leads_to_a_moment_and_its_match(view):
    view.against = "take04"
    look(view)
    view._go_to_phase(0.5)
    assert view.cursor.frame > 10 and view.other == view.moments.path[view.cursor.frame]


def test_both_are_played_by_one_player_that_loads_when_it_is_needed(view):
    player = view.in_step
    assert player.sync.channel == view.moments.player and not player.sync.srcs
    view.moments.running = True  # as the browser does
    assert player._view.visible and len(player.sync.pts) == 4
    assert player.sync.labels == ["column: left", "column: right", "row: left", "row: right"]
    assert not any(len(path) for path in player.sync.paths)
    view.against = "take04"
    assert not view.moments.running and not player._view.visible and not player.sync.pts
    look(view)
    view.moments.running = True
    assert [len(path) for path in player.sync.paths] == [0, 0, 60, 60]


def test_long_recordings_are_shown_as_means(store, monkeypatch):
    monkeypatch.setattr(plots, "FINE", 10)
    store.cursor.move(10, "", "take01")
    view = SimilarityView(features(store.dataset), store.dataset, store.cursor)
    assert view.matrix.shape == (9, 9)  # 26 rows, three at a time
    assert view.moments.columns == list(range(4, 56, 2))  # a click still finds each of them
    np.testing.assert_allclose(view._frames[0], 6 + 6 * np.arange(9))
    assert "26 by 26 moments, shown as 9 by 9" in view.caption.object


def test_what_a_zoom_shows_is_drawn_finely(store, monkeypatch):
    monkeypatch.setattr(plots, "FINE", 10)
    store.cursor.move(10, "", "take01")
    view = SimilarityView(features(store.dataset), store.dataset, store.cursor)
    view.look_closer(View((10.0, 20.0), (30.0, 36.0)))
    detail = view.overlays.data["detail"]
    # rows lie at 4, 6, ..., 54, each two frames wide: 10 to 20 and 30 to 36 are seen
    assert detail["x"] == [9] and detail["dw"] == [12]
    assert detail["y"] == [29] and detail["dh"] == [8]
    (picture,) = detail["image"]
    z = unit(view.embeddings.z[rows_of(view.embeddings, "take01", "left")])
    exact, _ = plots.shades(z[13:17] @ z[3:9].T, tuple(view.moments.scale))
    np.testing.assert_array_equal(picture, exact)
    view.look_closer(View((0.0, 99.0), (0.0, 99.0)))  # zoomed out again
    assert not view.overlays.data["detail"]["image"]
