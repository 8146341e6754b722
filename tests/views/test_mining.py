"""The Mining page on pairs that are written by hand."""

import json
from types import SimpleNamespace

import pandas as pd
import pytest

from tests.views.swing_workspace import swing_workspace
from workbench.training.findings import classes_of
from workbench.training.protocols import Mining
from workbench.training.run import Run
from workbench.views.epochs import EpochSlider
from workbench.views.mining import MiningView
from workbench.views.selection import Cursor
from workbench.views.store import Store

# take00 and take03 swing, take01 and take04 spin, take02 and take05 jump
PAIRS = {
    0: [("take00", "take01"), ("take00", "take01"), ("take00", "take03"), ("take01", "take02")],
    4: [("take00", "take03"), ("take03", "take00"), ("take01", "take04"), ("take02", "take00"),
        ("take05", "take05")],
}  # fmt: skip


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return Store(swing_workspace(tmp_path_factory.mktemp("swings"))).dataset


@pytest.fixture
def store(tmp_path, dataset):
    (tmp_path / "runs" / "fresh").mkdir(parents=True)
    return SimpleNamespace(run=Run(tmp_path / "runs" / "fresh"), dataset=dataset)


def write(run, epoch, pairs):
    (run.folder / "mined").mkdir(exist_ok=True)
    rows = pd.DataFrame([(0, *p) for p in pairs], columns=["step", "anchor", "positive"])
    rows.to_parquet(run.folder / "mined" / f"{epoch}.parquet")


def opened(store, pairs=PAIRS):
    run = store.run
    for epoch, some in pairs.items():
        write(run, epoch, some)
    return MiningView(run, store.dataset, Cursor(recording="take02"))


def settle(view):
    while view._task is not None:
        assert view._task.wait(60)
        view.tick()


def test_the_last_epoch_is_shown_right_and_wrong(store):
    view = opened(store)
    assert view.epoch == 4 and view.slider.epochs == [0, 4]
    found = view.recall.table.set_index("label")["recall"]
    assert found.to_dict() == {"swing": 1.0, "spin": 0.5, "jump": 0.0}
    assert view.recall.precision == 3 / 4 and "75.0%" in view._facts.object
    assert view.anchor == "take02"  # the cursor's recording
    assert [i["mark"] for i in view.loops.items] == ["query", "wrong"]
    view.anchor = "take05"
    assert view.loops.items[1]["note"] == "itself"


def test_an_earlier_epoch(store):
    view = opened(store)
    view.slider.slider.value = 0
    assert view.epoch == 0
    view.anchor = "take00"
    _, often, once = view.loops.items
    assert (often["title"], often["corner"], often["mark"]) == ("take01", "2x", "wrong")
    assert (once["title"], once["corner"], once["mark"]) == ("take03", "1x", "right")
    assert [i["id"] for i in view.cards.items] == ["take00", "take01"]  # most wrong first


def test_a_cell_and_a_class_filter_the_anchors(store):
    view = opened(store)
    view._filter_cell(("jump", "swing"))
    assert [i["id"] for i in view.cards.items] == ["take02"] and view.anchor == "take02"
    view._filter("swing")
    assert {i["id"] for i in view.cards.items} == {"take00", "take03"}
    view._forget()
    assert len(view.cards.items) == 5
    view._choose("take01")
    assert view.cursor.recording == "take01" and view.loops.items[1]["mark"] == "right"
    view._play("take04")
    assert view.cursor.recording == "take04" and view.cursor.loop == [0, 59]


def test_curves_and_epochs_that_come_later(store):
    view = opened(store)
    settle(view)
    assert view.right.series["right"].x == [0, 4]
    assert view.right.series["right"].y == pytest.approx([1 / 4, 3 / 4])
    write(view.run, 9, PAIRS[0])
    view.tick()
    settle(view)
    assert view.epoch == 9 and view.right.series["right"].x == [0, 4, 9]


def test_a_run_that_mined_nothing_says_who_does(store):
    view = opened(store, {})
    assert view._nothing.visible and not view._body.visible
    said = " ".join(str(getattr(v, "object", "")) for v in view._nothing.select())
    assert "coclr" in said and "train cpr --data swings" in said
    write(view.run, 0, PAIRS[0])
    view.tick()
    assert view._body.visible and not view._nothing.visible


def test_recordings_of_another_data_set_are_told(store):
    view = opened(store, {0: [("somebody", "else")]})
    assert "was trained on" in view._note.object and view.loops.items == []


def test_without_labels_the_pairs_are_shown(store, monkeypatch):
    for where in ("views.mining", "training.findings"):
        monkeypatch.setattr(
            f"workbench.{where}.classes_of", lambda d, splits=None: dict.fromkeys(d.recordings)
        )
    view = opened(store)
    assert view.recall is None and "No labels" in view._note.object
    assert not view._judged.visible and {i["mark"] for i in view.loops.items} == {"query", ""}


def test_the_page_counts_what_the_protocol_counts(store):
    config = {"data": {"name": "swings", "splits": ["train"]}}  # take02 and take05 are left out
    (store.run.folder / "config.yaml").write_text(json.dumps(config))
    write(store.run, 3, [("take00", "take03"), ("take03", "take01"), ("take01", "take03")])
    view = opened(store, {5: [("take00", "take03"), ("take03", "take00"), ("take01", "take00")]})
    settle(view)
    table = view.recall.table
    assert table["recall"].tolist() == [1, 0] and table["label"].tolist() == ["swing", "spin"]
    assert view.bars.labels == ["swing", "spin"] and view.table.labels == ["spin", "swing"]
    outcome = Mining().find(store.run, store.dataset, None, lambda *_: None)
    pd.testing.assert_frame_equal(table, outcome.tables["classes"])
    along = outcome.tables["epochs"]
    assert view.recalls.series["median of the classes"].x == along["epoch"].tolist() == [3, 5]
    medians = along["median class mining recall"].tolist()
    assert view.recalls.series["median of the classes"].y == medians == [1 / 4, 1 / 2]
    wrong = along["false positive rate, mined"].to_numpy()
    assert view.right.series["right"].y == pytest.approx(1 - wrong)
    chance = outcome.scores.set_index("score").loc["false positive rate, mined", "chance"]
    assert view.right.sources["chance"].data["y"] == pytest.approx([1 - chance] * 2)
    assert chance == pytest.approx(1 - 2 / 6)  # 2 of the 6 pairs of four recordings


def test_the_class_of_a_recording_is_its_label_or_that_of_all_its_segments():
    def video(name, label, *segments):
        parts = [SimpleNamespace(label=s) for s in segments]
        return SimpleNamespace(recording=name, label=label, segments=parts)

    videos = [
        video("a", "throw", "pull"), video("b", None, "pull", "pull"),
        video("c", None, "pull", "push"), video("a", None),
    ]  # fmt: skip
    assert classes_of(SimpleNamespace(videos=videos)) == {"a": "throw", "b": "pull", "c": None}


def test_the_slider_stays_with_the_last_epoch_or_with_the_chosen_one():
    slider = EpochSlider()
    slider.offer([])
    assert slider.value == -1 and not slider.slider.visible
    slider.offer([2])
    assert slider.value == 2 and not slider.slider.visible
    slider.offer([2, 4, 6])
    assert slider.value == 6 and slider.slider.visible and slider.slider.label == "Epoch 6 (3 of 3)"
    slider.slider.value = 1
    slider.offer([2, 4, 6, 8])
    assert slider.value == 4 and json.dumps(slider.slider.end) == "3"
