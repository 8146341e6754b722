import re

import holoviews as hv
import numpy as np
import pytest

from tests.views.swing_workspace import PERIOD, features
from workbench.views.tsm import SimilarityView


@pytest.fixture
def view(store):
    store.cursor.move(10, "", "take01")
    return SimilarityView(features(store.dataset), store.dataset, store.cursor)


def shown(pane):
    return int(re.search(r'data-frame="(\d+)"', pane.object)[1]), pane.object.count("<img")


def test_the_matrix_repeats_with_the_period(view):
    m, step = view.matrix, PERIOD // 2
    np.testing.assert_allclose(np.diag(m), 1, atol=1e-5)
    np.testing.assert_allclose(np.diag(m, step), 1, atol=1e-5)
    assert np.diag(m, step // 2).max() < 0.5


def test_a_click_shows_both_moments_on_all_cameras_and_moves_the_cursor(view):
    view._tap.event(x=31.2, y=11.7)
    assert (view.cursor.recording, view.cursor.frame, view.cursor.source) == (
        "take01",
        32,
        view.name,
    )
    assert shown(view.here) == (32, 2) and shown(view.there) == (12, 2)


def test_a_click_outside_takes_the_nearest_cell(view):
    view.click(-50, 1e6)
    assert view.cursor.frame == 4 and view.other == 54
    view.click(None, None)


def test_the_crosshair_and_the_picture_follow_the_cursor(view):
    hv.renderer("bokeh").get_plot(view._pane.object)
    view.cursor.move(44, "player")
    assert shown(view.here) == (44, 2) and view._lines[0].location == 44
    view.cursor.move(59, "player")
    assert view._lines[0].location == 54  # the last column
    view.other = 20
    assert view._lines[1].location == 20


def test_two_cameras_can_be_compared(view):
    view.rows = "right"
    assert view.matrix.shape == (26, 26) and 0.9 < view.matrix[3, 3] < 1
    view.cursor.move(0, "gallery", "take02")
    assert (view.rows, view.columns) == ("right", "left")


def test_a_recording_without_features_says_so_and_the_next_is_shown(view):
    view.cursor.move(0, "", "nobody")
    assert view.note.visible and not view._body.visible and "nobody" in view.note.object
    view.click(5, 5)
    view.cursor.move(0, "", "take00")
    assert view._body.visible and not view.note.visible
