"""The Anomalies page without a browser: planted anomalies, moving thresholds, what is missing."""

import numpy as np
import pandas as pd
import panel as pn
import pytest

from tests.views.line_workspace import FRAMES, KINDS, RECORDINGS, features, line_workspace
from workbench.analysis import anomaly
from workbench.analysis.embeddings import Embeddings
from workbench.analysis.phase import phase_like
from workbench.data.manifest import DataSet
from workbench.views.anomaly import BEST, HAND, NONE, AnomalyView
from workbench.views.anomaly_judge import Question, default_reference, judge, kinds_of, measure
from workbench.views.cycle import Cycle, rows_of
from workbench.views.store import Store


@pytest.fixture(scope="module")
def line(tmp_path_factory):
    return line_workspace(tmp_path_factory.mktemp("line"))


def shown(workspace, found=None):
    store = Store(workspace)
    view = AnomalyView(found or store.embeddings, store.dataset, store.cursor)
    view.wait()
    return view


@pytest.fixture
def view(line):
    return shown(line)


def small(tmp_path, splits=True, **recordings):
    return line_workspace(tmp_path, recordings, splits=splits)


def test_planted_anomalies_are_the_alarms(view):
    assert pn.panel(view).get_root() is not None  # it can be shown
    view.aim.value = BEST
    planted = {(name, *span) for name, (_, wrong) in RECORDINGS.items() for span in wrong}
    alarms = view.found.alarms
    assert len(alarms) == len(planted) == 3
    for a in alarms:
        assert any(
            a.recording == name and a.kind == kind and start <= a.peak < stop
            for name, start, stop, kind in planted
        )
    assert [a.score for a in alarms] == sorted((a.score for a in alarms), reverse=True)
    assert (view.found.noticed, view.found.events, view.found.false_alarms) == (3, 3, 0)
    assert [c["title"] for c in view.worst.items][:2] == ["wrong1", "wrong0"]
    assert [c["chips"] for c in view.worst.items][-1] == [{"text": "reference"}]


def test_the_numbers_are_those_of_the_analysis(view, line):
    view.scores.value = ("front", False)
    view.seconds.value = 0.0
    view.wait()
    e, reference = view.embeddings, ["normal0", "normal1"]
    front = (e.index["camera"] == "front").to_numpy()
    normal = np.flatnonzero(front & e.index["recording"].isin(reference).to_numpy())
    judged = ["wrong0", "wrong1"]  # neither the reference nor what thresholds come from
    assert [r.recording for r in view.judgement.judged] == judged
    rows = np.flatnonzero(front & e.index["recording"].isin(judged).to_numpy())
    scores, nearest = anomaly.anomaly_scores(e.z[rows], e.z[normal])
    truth = anomaly.is_abnormal(e.index["label"].to_numpy()[rows])
    j = view.judgement
    np.testing.assert_allclose(j.scores, scores, rtol=1e-6)
    assert (j.abnormal == truth).all() and 0 < truth.mean() < 0.5
    assert j.average_precision == pytest.approx(anomaly.average_precision(scores, truth))
    assert j.auroc == pytest.approx(anomaly.auroc(scores, truth))
    track = j.distances.tracks["wrong0", "front"]
    assert (track.nearest == normal[nearest[e.index["recording"].iloc[rows] == "wrong0"]]).all()
    for threshold in (0.05, 0.3, 0.9):
        assert j.at(threshold).rates == anomaly.f1_at(scores, truth, threshold)
    held = [j.of("normal2").scores, j.of("normal3").scores]
    assert j.budget(600.0) == anomaly.threshold_for(held, 2 / 30, 600.0, 14)
    view.metric.value, view.k.value = "cosine", 3
    view.wait()
    scores, _ = anomaly.anomaly_scores(e.z[rows], e.z[normal], 3, "cosine")
    np.testing.assert_allclose(view.judgement.scores, scores, rtol=1e-6)


def test_cameras_together_are_the_largest_or_the_mean(view):
    parts = np.stack(list(view.judgement.of("wrong0").by_camera.values()))
    np.testing.assert_array_equal(view.judgement.of("wrong0").scores, parts.max(0))
    view.scores.value = (None, True)
    view.wait()
    np.testing.assert_allclose(view.judgement.of("wrong0").scores, parts.mean(0))


def test_a_moved_threshold_computes_no_distance_again(view, monkeypatch):
    for name in ("anomaly_scores", "left_out_scores", "phase_aware_scores"):
        monkeypatch.setattr(anomaly, name, lambda *_: pytest.fail("measured again"))
    few = 1.01 * view.judgement.highest
    view.slider.value = 0.5
    assert view.threshold == 0.5 and view.aim.value == HAND and view._task is None
    assert len(view.found.alarms) == 3 and "Recall" in view.table.object
    view.cursor.move(0, "", "wrong1")
    spans = view.judgement.of("wrong1").alarms(0.5)
    assert len(view.timeline.alarms.data["left"]) == len(spans) == 2
    view.slider.value = few
    view.slider.value_throttled = few
    assert view.found.alarms == () and view.cards.items == [] and not view._explained.visible
    assert len(view.timeline.alarms.data["left"]) == 0
    view.aim.value = "60 per hour"
    assert view.threshold == view.judgement.budget(60.0).threshold == view.slider.value
    assert view.timeline.threshold.location == view.threshold
    view.seconds.value = 1.0  # smoothing alone
    view.wait()
    assert view.judgement.question.seconds == 1.0 and view.note.severity == "info"


def test_a_short_normal_video_gives_the_threshold_it_can(view):
    assert view.aim.value == NONE and "0.3 minutes" in view.how.object
    normal = [view.judgement.of(n) for n in ("normal2", "normal3")]
    assert all(len(r.alarms(view.threshold)) == 0 for r in normal)
    assert max(r.scores.max() for r in normal) == pytest.approx(view.threshold)
    view.aim.value = "1 per hour"
    assert "a guess" in view.how.object


def test_the_reference_is_compared_with_the_rest_of_it(view):
    e, own = view.embeddings, view.judgement.distances.tracks["normal0", "side"]
    other = (e.index["recording"] == "normal1") & (e.index["camera"] == "side")
    scores, _ = anomaly.anomaly_scores(e.z[own.rows], e.z[np.flatnonzero(other)])
    np.testing.assert_allclose(own.scores, scores, rtol=1e-5)
    assert set(e.index["recording"].iloc[own.nearest]) == {"normal1"}


def test_an_alarm_is_explained_by_the_nearest_normal_clip(view):
    view.aim.value = BEST
    alarm = next(a for a in view.found.alarms if a.recording == "wrong0")
    view.explain(alarm)
    assert (view.cursor.recording, view.cursor.frame) == ("wrong0", alarm.peak)
    why = view.why
    assert why.camera == "front" and list(why.disagreement()) == ["front", "side"]
    name, shift = why.normal
    assert name in ("normal0", "normal1") and shift % 24 in (0, 2, 22)  # whole cycles
    first, last = why.clip
    assert first <= alarm.start < alarm.stop <= last
    assert why.sync.playing and why.sync.loop == [first, last] and why.sync.frame == first
    assert why.sync.shift == [0, shift] and why.sync.labels[0] == "alarm: wrong0"
    frames, far = why._apart("front", name, shift)
    inside = (frames >= 100) & (frames < 140)
    assert np.nanmin(far[inside]) > 1 > 0.5 > np.nanmax(far[~inside])
    why.sync.shift = [0, shift + 12]  # half a cycle later, by hand
    assert why.normal == (name, shift + 12) and why.sync.saved == [0, shift + 12]
    assert np.nanmin(why._apart("front", *why.normal)[1]) > 1
    why.playhead.frame = 120
    assert why.sync.frame == 120


def test_one_goes_from_alarm_to_alarm(view):
    view.aim.value = BEST
    assert view.alarm == view.found.alarms[0] and view.cursor.recording == "normal0"
    assert view.back.disabled and not view.ahead.disabled
    view.ahead.clicks += 1
    assert view.alarm == view.found.alarms[1] and view.cards.selected == "1"
    view.cards._on_choose("2")
    assert view.alarm == view.found.alarms[2] and view.ahead.disabled
    assert view.cursor.recording == view.alarm.recording
    view.worst._on_choose("wrong0")
    judged = view.judgement.of("wrong0")
    assert view.cursor.frame == judged.frames[judged.worst()]


def test_the_timeline_follows_the_cursor_and_leads_it(view):
    view.cursor.move(30, "player", "wrong0")
    assert view.playhead.frame == 30 and view.playhead.last == FRAMES - 1
    assert list(view.timeline.truth.data["label"]) == ["tilted"]
    np.testing.assert_array_equal(
        view.timeline.score.data["score"], view.judgement.of("wrong0").scores
    )
    view.playhead.frame = 77
    assert view.cursor.frame == 77
    view.cursor.move(0, "", "nowhere")
    assert view.lost.visible and not view._pane.visible


def test_equal_phases_are_compared_where_asked(view):
    view.scores.value, view.seconds.value = ("side", False), 0.0
    view.phase.value = True
    view.wait()
    e, name = view.embeddings, "wrong1"
    first = Cycle.of(e, "normal0", "side")
    rows = {n: rows_of(e, n, "side") for n in ("normal0", "normal1", name)}
    phases = {n: phase_like(e.z[r], e.z[first.rows], first.phase) for n, r in rows.items()}
    phases["normal0"] = first.phase
    normal = np.concatenate([e.z[rows[n]] for n in ("normal0", "normal1")])
    at = np.concatenate([phases[n] for n in ("normal0", "normal1")])
    scores, _ = anomaly.phase_aware_scores(e.z[rows[name]], phases[name], normal, at)
    np.testing.assert_allclose(view.judgement.of(name).scores, scores, rtol=1e-6)
    assert view.judgement.distances.notes == ()
    view.reference.value = ["normal2"]  # the only one: its own other cycles
    view.wait()
    assert np.isfinite(view.judgement.of("normal2").scores).all()


def test_phases_are_left_out_where_nothing_repeats(line):
    e = features(DataSet(line.data / "line"))
    z = np.random.default_rng(1).standard_normal(e.z.shape).astype(np.float32)
    view = shown(line, Embeddings(z, e.index))
    view.phase.value = True
    view.wait()
    assert "Nothing repeats" in view.note.object and view.judgement.highest > 0


def test_the_default_reference_is_said_in_words(view, tmp_path):
    usual = lambda w: default_reference(d := DataSet(w.data / "line"), d.recordings, kinds_of(d)[1])  # noqa: E731
    assert view.reference.value == ["normal0", "normal1"] and "split **train**" in view.note.object
    span = (100, 140, "tilted")
    unsplit = small(tmp_path / "a", splits=False, a=("train", (span,)), b=("train", ()))
    assert usual(unsplit)[0] == ["b"] and "without anomalies" in usual(unsplit)[1]
    spoilt = small(tmp_path / "b", a=("train", (span,)), b=("test", (span,)))
    assert usual(spoilt)[0] == ["a"] and "Every recording has anomalies" in usual(spoilt)[1]
    judged = shown(spoilt)
    assert "Every recording has anomalies" in judged.note.object
    track = judged.judgement.distances.tracks["b", "front"]
    used = judged.embeddings.index.iloc[track.nearest]
    assert set(used["recording"]) == {"a"} and set(used["label"]) == {"background"}
    assert judged.judgement.average_precision > 0.9
    why = judged.why
    judged.explain(next(a for a in judged.found.alarms if a.recording == "b"))
    name, shift = why.normal
    frames, far = why._apart("front", name, shift)
    assert name == "a" and np.isnan(far[(frames + shift >= 100) & (frames + shift < 140)]).all()
    assert np.isfinite(far).mean() >= 0.7


def test_where_nothing_is_labelled_only_alarms_are_counted(tmp_path):
    view = shown(small(tmp_path, splits=False, a=(None, ()), b=(None, ()), c=(None, ())))
    assert view.reference.value == ["a"] and "Nothing is labelled" in view.note.object
    assert not view.abnormal.visible and BEST not in view.aim.options
    assert "Recall" not in view.table.object and "False alarms per hour" in view.table.object
    assert "labelled abnormal" in view.table.object
    view.slider.value = 0.0
    assert [a.kind for a in view.found.alarms] == [None, None]


def test_one_recording_is_compared_with_its_other_moments(tmp_path):
    view = shown(small(tmp_path, splits=False, alone=(None, ())))
    assert "its own other moments" in view.note.object
    track = view.judgement.distances.tracks["alone", "front"]
    apart = np.abs(track.frames - view.embeddings.index["frame"].to_numpy()[track.nearest])
    assert apart.min() > 8 and np.nanmax(track.scores) < 0.5


def test_what_cannot_be_is_told(view):
    view.reference.value = []
    assert "at least one" in view.note.object and not view._body.visible
    view.reference.value = ["normal1"]
    view.wait()
    assert view._body.visible and view.judgement.question.reference == ("normal1",)
    view.question = Question(("normal0",), k=10_000)
    view._start()
    view.wait()
    assert view.note.severity == "error" and "Lower k" in view.note.object


def test_a_camera_that_the_reference_lacks_is_compared_with_others(line):
    e = features(DataSet(line.data / "line"))
    gone = e.index["recording"].isin(["normal0", "normal1"]) & (e.index["camera"] == "side")
    e = e.where(~gone.to_numpy())
    dataset = DataSet(line.data / "line")
    question = Question(("normal0", "normal1"), frozenset(KINDS))
    distances = measure(e, dataset, question)
    assert any("camera" in note for note in distances.notes)
    assert ("normal0", "side") not in distances.tracks
    side = distances.tracks["wrong0", "side"]
    assert set(e.index["camera"].iloc[side.nearest]) == {"front"}
    assert len(judge(e, dataset, question, distances).recordings) == len(RECORDINGS)


def test_labels_of_whole_recordings_count(line):
    e = features(DataSet(line.data / "line"))
    dataset = DataSet(line.data / "line")
    dataset.table = dataset.table.assign(
        label=["normal" if n.startswith("normal") else "broken" for n in dataset.table["recording"]]
    )
    dataset.segments = dataset.segments.iloc[:0]
    kinds, abnormal = kinds_of(dataset)
    assert (kinds, abnormal) == (["broken", "normal"], ["broken"])
    assert default_reference(dataset, dataset.recordings, abnormal)[0] == ["normal0", "normal1"]
    question = Question(("normal0", "normal1"), frozenset(abnormal))
    judgement = judge(e, dataset, question, measure(e, dataset, question))
    found = judgement.at(0.5)
    assert (found.events, found.noticed, found.false_alarms) == (2, 2, 0)
    assert {a.kind for a in found.alarms} == {"broken"}


def test_cameras_with_offsets_meet_in_time(line):
    e = features(DataSet(line.data / "line"))
    index = e.index.copy()
    side = (index["camera"] == "side").to_numpy()
    index.loc[side, "frame"] -= 7  # not a multiple of the hop
    moved = Embeddings(e.z, pd.DataFrame(index))
    dataset = DataSet(line.data / "line")
    question = Question(("normal0", "normal1"), frozenset(KINDS), seconds=0.0)
    judged = judge(moved, dataset, question, measure(moved, dataset, question)).of("wrong0")
    assert set(np.diff(judged.frames)) == {2}
    assert judged.frames[0] == 4 - 7 and np.isnan(judged.by_camera["front"][:2]).all()
    front, known = judged.by_camera["front"], np.isfinite(judged.by_camera["front"])
    strange = judged.frames[known][front[known] > 0.5]
    assert strange.min() >= 98 and strange.max() <= 141
