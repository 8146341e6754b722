import base64
import io
import time

import numpy as np
import pandas as pd
import panel as pn
import pytest
from PIL import Image

from tests.views.swing_workspace import FRAMES, PERIOD, features
from workbench.analysis.embeddings import Embeddings
from workbench.data.manifest import TRUTH, DataSet, write_dataset
from workbench.views import cycle
from workbench.views.phase import PhaseView
from workbench.views.phase_plots import colored, ramps
from workbench.views.plots import ANOMALY, GREY
from workbench.views.repeats import ACROSS


@pytest.fixture
def view(store):
    store.cursor.move(10, "", "take01")
    return PhaseView(features(store.dataset), store.dataset, store.cursor)


def planted(dataset: DataSet, z: np.ndarray, hop: int) -> Embeddings:
    """Features of take01, left; the rest of the data set has none."""
    index = features(dataset).index
    first = index[(index["recording"] == "take01") & (index["camera"] == "left")].iloc[:1]
    rows = first.loc[first.index.repeat(len(z))].reset_index(drop=True)
    return Embeddings(z.astype(np.float32), rows.assign(frame=4 + hop * np.arange(len(z))))


def turning(rows: int, period: float, sway: float = 0) -> np.ndarray:
    tempo = (1 + sway * np.sin(np.arange(rows) / 17)) / period
    angle = 2 * np.pi * np.cumsum(tempo)
    return np.stack([np.sin(angle), np.cos(angle), np.sin(2 * angle + 1)], axis=1)


def test_the_counter_has_all_repetitions_and_their_durations(view):
    repeats = view.repeats
    frames, phase, number, curve, distance = repeats.series
    assert frames.tolist() == list(range(4, 56, 2)) and np.isfinite(phase).all()
    assert number[[0, 9, 10, 19, 20, 25]].tolist() == [0, 0, 1, 1, 2, 2]
    np.testing.assert_allclose(repeats.seconds[:2], PERIOD / 30, atol=0.01)
    assert repeats.seconds[2] is None and repeats.mean == "0.67 ± 0.00 s each"
    assert (repeats.frame, repeats.clock) == (10, view.cursor.channel)
    assert len(curve) == len(distance) == 26 and repeats.bins == PERIOD // 2
    assert "2.7 cycles" in view.caption.object and not view.note.visible


def test_pictures_show_the_same_phase_in_every_repetition(view):
    sheet = view.repeats.sheet(3, 0)
    frames = np.array(sheet["frames"])
    known = frames[frames >= 0]
    assert len(frames) == 3 and len(known) >= 2
    assert (np.diff(known) == PERIOD).all()
    picture = Image.open(io.BytesIO(base64.b64decode(sheet["src"].split(",")[1])))
    assert picture.size == (ACROSS * 64, 48)
    rgb = np.asarray(picture, int)[:, : 64 * len(frames)].reshape(48, len(frames), 64, 3)
    first, second = rgb[:, np.flatnonzero(frames >= 0)[:2]].transpose(1, 0, 2, 3)
    assert np.abs(first - second).mean() < 6  # the dot is where it was
    assert sheet["rows"] == [-1 if f < 0 else (f - 4) // 2 for f in frames]


def test_the_browser_is_answered_once_per_question(view, monkeypatch):
    sent = []
    monkeypatch.setattr(type(view.repeats), "_send_msg", lambda _, data: sent.append(data))
    view.repeats._handle_msg({"bin": 2, "block": 0, "version": view.repeats.version})
    view.repeats._handle_msg({"bin": 2, "block": 0, "version": view.repeats.version - 1})
    (answer,) = sent
    assert (answer["bin"], answer["version"]) == (2, view.repeats.version)


def test_a_click_in_any_picture_moves_the_cursor_and_all_follow_a_player(view):
    cursor = view.cursor
    for k, lead in enumerate((view.repeats, *view.playheads)):
        lead.frame = 30 + k  # as the browser does
        assert (cursor.recording, cursor.frame, cursor.source) == ("take01", 30 + k, view.name)
    cursor.move(44, "player")
    assert [view.repeats.frame, *(p.frame for p in view.playheads)] == [44, 44, 44]
    assert cursor.source == "player" and {p.last for p in view.playheads} == {FRAMES - 1}
    view.close()
    cursor.move(50, "player")
    assert view.repeats.frame == 44


def test_the_plots_hold_the_phase_and_the_mean_cycle(view):
    rows, band = view.time.rows.data, view.cycle.band.data
    assert len(rows["phase"]) == 26 and rows["number"][0] == "1"
    assert view.time.curve.x_range is view.time.phase.x_range
    assert view.cycle.figure.select_one(f"{view.repeats.channel}-at") is not None
    assert view.cycle.present.name == f"{view.repeats.channel}-now"
    curve = band["mean"].copy()
    np.testing.assert_array_less(band["low"], band["high"] + 1e-9)
    view.shown = "distance"
    assert view.repeats.value == 1 and not np.array_equal(curve, view.cycle.band.data["mean"])
    assert np.max(view.cycle.band.data["mean"]) < 0.1  # every repetition is the same
    assert view.cycle.figure.title.text.startswith("Distance")


def test_a_strange_repetition_is_far_from_the_mean(store):
    z = turning(200, 20) + np.random.default_rng(0).normal(0, 0.02, (200, 3))
    z[125:128] = [0.3, 0.3, 5]
    store.cursor.move(0, "", "take01")
    view = PhaseView(planted(store.dataset, z, 1), store.dataset, store.cursor)
    far = view.seen.distance / view.repeats.usual
    assert set(np.flatnonzero(far > 3)) >= {125, 126, 127}
    assert np.median(far) == pytest.approx(1)


def test_nothing_repeats_is_said_plainly(store):
    z = np.random.default_rng(0).normal(size=(120, 8))
    store.cursor.move(0, "", "take01")
    view = PhaseView(planted(store.dataset, z, 2), store.dataset, store.cursor, embed="EMBED")
    assert view.note.visible and "No repetition found" in view.note.object
    assert "take01" in view.note.object and "EMBED --hop 1" in view.note.object
    assert not view._repeating.visible and view._body.visible  # the curve is there all the same
    assert np.isnan(view.time.rows.data["phase"]).all() and view.repeats.seconds == []


def test_windows_too_far_apart_are_told_with_the_command_that_mends_it(store):
    store.cursor.move(0, "", "take01")
    z = turning(120, 2.86, sway=0.1)
    view = PhaseView(planted(store.dataset, z, 7), store.dataset, store.cursor, embed="EMBED")
    assert "every 3.0 windows" in view.note.object and "several" in view.note.object
    assert "EMBED --hop 1" in view.note.object
    z = turning(120, 6)
    view = PhaseView(planted(store.dataset, z, 6), store.dataset, store.cursor, embed="EMBED")
    assert view.seen.cycle.repeats and "only 6 windows" in view.note.object
    assert "EMBED --hop 2" in view.note.object
    view = PhaseView(planted(store.dataset, z[:5], 6), store.dataset, store.cursor)
    assert "5 windows" in view.note.object


def test_truth_is_drawn_and_the_error_told(store):
    phase = (np.arange(FRAMES) / PERIOD + 0.4) % 1
    truth = pd.DataFrame({"recording": "take01", "frame": np.arange(FRAMES), "phase": phase})
    truth.assign(repetition=np.arange(FRAMES) // PERIOD).to_parquet(store.dataset.folder / TRUTH)
    store.cursor.move(0, "", "take01")
    view = PhaseView(features(store.dataset), DataSet(store.dataset.folder), store.cursor)
    assert "3 true repetitions" in view.caption.object
    error = float(view.caption.object.split("phase error ")[1].split()[0])
    assert error < 0.04
    assert np.isfinite(view.time.truth.data["phase"]).sum() == 26
    store.cursor.move(0, "", "take02")
    assert len(view.time.truth.data["phase"]) == 0 and "true" not in view.caption.object


def test_scores_need_recordings_that_are_known_as_normal(view):
    assert view.seen.scores is None  # every recording here has labels of its own
    d, row = view.dataset, {"start": 20, "stop": 30, "label": "jam"}
    segments = pd.DataFrame([{"recording": "take01", **row}])
    judged = write_dataset(d.folder, d.name, d.side, d.table.assign(label=None), segments, [])
    e = features(d)
    z = np.array(e.z)
    jam = (e.index["recording"] == "take01") & e.index["frame"].between(20, 29)
    z[:, 2:5] = 0  # all recordings show the same
    z[jam.to_numpy(), 2] = 3
    view = PhaseView(Embeddings(z, e.index), judged, view.cursor)
    inside = (view.seen.cycle.frames >= 20) & (view.seen.cycle.frames < 30)
    assert view.seen.scores[inside].min() > 2 * np.median(view.seen.scores[~inside])
    assert view.time.strange.data["label"] == ("jam",)
    colors = np.array(view.time.rows.data["color"])
    assert ANOMALY in colors[inside] and "1 known anomaly" in view.caption.object
    view.cursor.move(0, "", "take00")
    assert view.seen.scores.max() < 0.2 and view.time.strange.data["label"] == ()


def test_cameras_and_recordings_without_features(view):
    assert view._picker.visible and view.camera == "left"
    view._picker.value = "right"
    assert view.camera == "right" and view.seen.cycle.repeats
    view.cursor.move(0, "gallery", "nobody")
    assert view.note.visible and "nobody" in view.note.object and not view._body.visible
    view.cursor.move(0, "gallery", "take02")
    assert view._body.visible and not view.note.visible and view.camera == "right"


def test_a_long_recording_is_looked_at_in_a_thread(store, monkeypatch):
    monkeypatch.setattr(cycle, "SOON", 10)
    store.cursor.move(0, "", "take01")
    view = PhaseView(features(store.dataset), store.dataset, store.cursor)
    assert "Looking" in view.note.object and view.seen is None
    deadline = time.monotonic() + 30
    while view.seen is None and time.monotonic() < deadline:
        view.tick()
        time.sleep(0.01)
    assert view._body.visible and not view.note.visible
    view.cursor.move(3, "player")
    view._load()  # known now
    assert view._task is None and view.seen is not None


def test_features_that_are_no_numbers_are_told(store):
    store.cursor.move(0, "", "take01")
    z = np.full((40, 3), np.nan)
    view = PhaseView(planted(store.dataset, z, 2), store.dataset, store.cursor)
    assert view.note.severity == "error" and "NaN" in view.note.object


def test_a_page_is_drawn_and_scores_colour_it(view):
    assert pn.panel(view).get_root() is not None
    assert colored(np.array([1.0, 1.1, 1.2]))[0] == GREY
    assert colored(np.array([1.0, 1.0, 9.0, np.nan]))[2] == ANOMALY
    x, y = ramps(np.arange(4), np.array([0.8, 0.9, 0.1, 0.2]))
    assert np.isnan(y[2]) and len(x) == 5
