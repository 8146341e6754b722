import pytest

from tests.views.swing_workspace import PERIOD, features
from workbench.views.neighbours import NeighbourList


@pytest.fixture
def nearby(store):
    found = features(store.dataset)
    store.selection.choose((found.row("take00", 20, "left"),), "map")
    return NeighbourList(
        found, store.dataset, store.selection, store.cursor, store.hover, window=5, k=7
    )


def rows(nearby):
    return nearby.embeddings.index.iloc[[i for i, _ in nearby.found]]


def test_neighbours_come_with_scores_best_first(nearby):
    scores = [s for _, s in nearby.found]
    assert len(scores) == nearby.k and scores == sorted(scores, reverse=True) and scores[0] > 0.99
    assert nearby.cards.items[0]["corner"] == f"{scores[0]:.3f}"
    assert set(rows(nearby)["frame"] % PERIOD) == {0}  # the same phase
    assert set(rows(nearby)["label"]) == {"swing"}


def test_the_window_leaves_out_near_frames_of_the_same_video(nearby):
    def of_itself():
        found = rows(nearby)
        return found[(found["recording"] == "take00") & (found["camera"] == "left")]["frame"]

    nearby.param.update(k=40, window=0)
    assert {18, 22} <= set(of_itself()) and 20 not in set(of_itself())
    nearby.window = 12
    assert len(of_itself()) and (abs(of_itself() - 20) > 12).all()


def test_recordings_and_cameras_can_be_left_out(nearby):
    nearby.elsewhere = True
    assert set(rows(nearby)["recording"]) == {"take03"}
    nearby.cameras = "other"
    assert set(rows(nearby)["camera"]) == {"right"}
    nearby.param.update(cameras="same", elsewhere=False)
    assert set(rows(nearby)["camera"]) == {"left"}


def test_a_click_moves_the_cursor_and_keeps_the_question(nearby):
    query, first = nearby.query, rows(nearby).iloc[2]
    nearby.cards._handle_msg({"choose": str(nearby.found[2][0])})
    assert nearby.cursor.recording == first["recording"] and nearby.cursor.frame == first["frame"]
    assert nearby.query == query


def test_hovering_a_card_is_told(nearby):
    nearby.cards._handle_msg({"hover": "12"})
    assert nearby.hover.id == 12
    nearby.cards._handle_msg({"hover": ""})
    assert nearby.hover.id == -1


def test_without_a_selection_the_cursor_asks(nearby):
    nearby.selection.choose((), "")
    nearby.cursor.move(30, "gallery", "take04")
    assert nearby.embeddings.index["recording"].iloc[nearby.query] == "take04"
    nearby.cursor.move(0, "gallery", "nobody")
    assert nearby.found == [] and nearby.query == -1
