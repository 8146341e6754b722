"""The exercise demo: what is written as truth is what is filmed, and the repetitions come round."""

import csv
from collections import Counter
from itertools import islice

import av
import numpy as np
import pandas as pd
import pytest

from workbench.data.demo import exercise
from workbench.data.demo.exercises import EXERCISES, exercise_pose
from workbench.data.demo.scene import Scene
from workbench.data.demo.skeleton import BONES, JOINTS, Body, Pose
from workbench.data.manifest import TRUTH, TRUTH_COLUMNS

HEAD, PELVIS = JOINTS.index("head"), JOINTS.index("pelvis")
TOUCH = {
    "squat": ("ankle",),
    "jumping-jack": (),
    "lunge": (),
    "push-up": ("ankle", "wrist"),
    "sit-up": ("ankle",),
    "side-bend": ("ankle",),
}
"""What stays where it is on the floor all through a set."""


@pytest.fixture(scope="module", params=list(EXERCISES))
def recordings(request):
    return [exercise.stage(index, request.param, seed=3) for index in range(3)]


def test_the_same_seed_gives_the_same_poses_and_pixels_and_another_seed_others():
    first, same, other = (exercise.stage(2, "lunge", seed) for seed in (4, 4, 5))
    assert np.array_equal(first.pose.joints, same.pose.joints)
    assert np.array_equal(first.timeline.phase, same.timeline.phase, equal_nan=True)
    assert not np.array_equal(first.pose.joints[:100], other.pose.joints[:100])
    start = first.timeline.sets[0][0]

    def pictures(recording):
        return np.stack(list(islice(recording.film(0), start, start + 2)))

    assert pictures(first).shape == (2, exercise.HEIGHT, exercise.WIDTH, 3)
    assert np.array_equal(pictures(first), pictures(same))


def test_the_count_is_the_number_of_times_the_phase_comes_round(recordings):
    for recording in recordings:
        line = recording.timeline
        assert (np.isnan(line.phase) == (line.repetition < 0)).all()
        assert 2 <= len(line.sets) <= 3
        counted = 0
        for start, stop in line.sets:
            phase = line.phase[start:stop]
            assert phase[0] == 0 and (phase >= 0).all() and (phase < 1).all()
            step = np.diff(phase)
            wraps = np.flatnonzero(step < 0)
            assert (np.delete(step, wraps) > 0).all()
            assert (step[wraps] < -0.8).all() and phase[-1] > 0.8  # whole repetitions
            assert np.array_equal(np.flatnonzero(np.diff(line.repetition[start:stop])), wraps)
            counted += len(wraps) + 1
        assert counted == line.count == len(set(line.repetition[line.repetition >= 0]))
        assert not np.isfinite(line.phase[[0, -1]]).any()


def test_the_tempo_changes_smoothly_and_from_repetition_to_repetition(recordings):
    shortest, longest = EXERCISES[recordings[0].label].seconds
    for recording in recordings:
        line = recording.timeline
        frames = np.bincount(line.repetition[line.repetition >= 0])
        seconds = frames / exercise.FPS
        assert seconds.min() > 0.65 * shortest and seconds.max() < 1.65 * longest
        assert len(set(frames)) > 1
        assert 18 < len(line.phase) / exercise.FPS < 25


def test_equal_phases_are_equal_poses():
    phase = np.array([0.0, 0.1, 0.5, 0.9, 0.1, 0.5, 1 - 1e-9])
    for name in EXERCISES:
        joints = exercise_pose(name, Body(), phase, np.ones(len(phase))).joints
        assert np.allclose(joints[[1, 2, 0]], joints[[4, 5, 6]], atol=1e-6)
        assert np.abs(joints[0] - joints[2]).max() > 0.15 or name == "side-bend"
        assert np.abs(joints[1] - joints[2]).max() > 0.15


def test_every_repetition_comes_back_to_where_it_began(recordings):
    for recording in recordings:
        line, joints = recording.timeline, recording.pose.joints
        for number in range(line.count):
            rows = np.flatnonzero(line.repetition == number)
            nearest = rows[np.searchsorted(line.phase[rows], 0.5) - 1]
            other = np.flatnonzero(line.repetition == 0)
            knots = line.phase[other]
            for row in (rows[0], nearest):  # the first repetition, at the same phase
                k = np.clip(np.searchsorted(knots, line.phase[row]), 1, len(other) - 1)
                w = (line.phase[row] - knots[k - 1]) / (knots[k] - knots[k - 1])
                there = (1 - w) * joints[other[k - 1]] + w * joints[other[k]]
                assert np.abs(joints[row] - there).max() < 0.03


def test_pauses_are_still_and_the_way_into_them_is_not_a_jump(recordings):
    for recording in recordings:
        line, joints = recording.timeline, recording.pose.joints
        rest = line.effort == 0
        assert (joints[rest] == joints[0]).all()
        assert not np.isfinite(line.phase[rest]).any()
        assert 0.1 < rest.mean() < 0.5
        way = (line.effort > 0) & np.isnan(line.phase)
        assert way.sum() / len(line.sets) < 2 * exercise.TURN * exercise.FPS + 1
        step = np.linalg.norm(np.diff(joints, axis=0), axis=-1)
        assert step.max() < 0.32  # metres in 40 ms; hands of a jumping jack
        assert step[:, [HEAD, PELVIS]].max() < 0.12


def test_bones_keep_their_length_and_stay_above_the_floor(recordings):
    ends = np.array([[JOINTS.index(a), JOINTS.index(b)] for a, b in BONES.values()])
    for recording in recordings:
        bone = recording.pose.joints[:, ends]
        length = np.linalg.norm(bone[..., 1, :] - bone[..., 0, :], axis=-1)  # (T, B)
        assert np.ptp(length, axis=0).max() < 1e-6 and length.min() > 0.05
        low = recording.pose.joints[..., 2].min(1)
        assert low.min() > 0
        resting = recording.timeline.effort == 0
        assert low[resting].max() < 0.1  # somebody touches the floor, and does not float


def test_what_bears_the_body_stays_where_it_is(recordings):
    for recording in recordings:
        for end in TOUCH[recording.label]:
            for side in ("left", "right"):
                place = recording.pose.joints[:, JOINTS.index(f"{side}_{end}")]
                for start, stop in recording.timeline.sets:
                    assert np.ptp(place[start:stop], axis=0).max() < 0.05


def test_each_exercise_does_what_its_name_says():
    half = np.array([0.0, 0.25, 0.5, 0.75])

    def joint(name, which):
        return exercise_pose(name, Body(), half, np.ones(4)).joints[:, JOINTS.index(which)]

    assert joint("squat", "pelvis")[2, 2] < 0.6 * joint("squat", "pelvis")[0, 2]
    jack = joint("jumping-jack", "left_hand"), joint("jumping-jack", "head")
    assert jack[0][2, 2] > jack[1][2, 2] and jack[0][0, 2] < 0.9
    assert np.ptp(joint("jumping-jack", "left_ankle")[:, 1]) > 0.25
    apart = joint("lunge", "left_ankle") - joint("lunge", "right_ankle")
    assert apart[2, 0] > 0.6 and abs(apart[0, 0]) < 0.05
    assert joint("lunge", "right_knee")[2, 2] < 0.25
    assert joint("push-up", "neck")[2, 2] < 0.32 < 0.6 < joint("push-up", "neck")[0, 2]
    assert joint("sit-up", "head")[0, 2] < 0.25 < 0.6 < joint("sit-up", "head")[2, 2]
    bend = joint("side-bend", "head")[:, 1]
    assert bend[1] > 0.15 and bend[3] < -0.15 and abs(bend[0]) < 0.01 and abs(bend[2]) < 0.01


def test_every_joint_is_in_the_picture_of_both_cameras(recordings):
    for recording in recordings:
        joints = recording.pose.joints
        place = np.concatenate([joints, np.ones((*joints.shape[:2], 1))], -1)
        seen = np.einsum("cij,tkj->ctki", recording.projections, place)
        pixel = seen[..., :2] / seen[..., 2:]
        assert (seen[..., 2] > 1).all()
        assert (pixel > 0).all() and (pixel < [exercise.WIDTH - 1, exercise.HEIGHT - 1]).all()


def test_both_cameras_show_the_figure_of_the_same_instant():
    """Where the raised hands are projected, each camera's picture is not what it is else."""
    recording = exercise.stage(0, "jumping-jack", seed=5)
    (start, stop), phase = recording.timeline.sets[0], recording.timeline.phase
    joints, hand = recording.pose.joints, JOINTS.index("left_hand")
    up, down = (int(start + np.argmin(np.abs(phase[start:stop] - p))) for p in (0.5, 0.96))
    for k, camera in enumerate(recording.cameras):
        pictures = list(islice(recording.film(k), start, max(up, down) + 1))
        usual = np.median(np.stack(pictures[:8]), 0)  # arms down
        x, y, _ = np.round(camera.project(joints[up, hand])).astype(int)
        here = (slice(y - 2, y + 3), slice(x - 2, x + 3))
        differs = [np.abs(pictures[t - start][here] - usual[here]).max(-1) for t in (up, down)]
        assert differs[0].max() > 25 and differs[1].max() < 12


def test_what_does_not_move_is_drawn_once_and_shown_as_often_as_it_lasts():
    recording = exercise.stage(1, "push-up", seed=1)
    n = recording.timeline.sets[0][0] + 3
    film = list(islice(recording.film(1), n))
    pose = Pose(recording.pose.joints[:n], recording.pose.frames[:n])
    scene = Scene.of(recording.hall, [recording.figure], [pose])
    each = scene.film(recording.cameras[1], np.zeros((n, 2)), exercise.WIDTH, exercise.HEIGHT)
    assert all(np.array_equal(a, b) for a, b in zip(film, each, strict=True))


@pytest.mark.parametrize("count", [12, 60])
def test_splits_are_stratified(count):
    labels = exercise.classes(count)
    assert set(Counter(labels).values()) == {count // 6} and set(labels) == set(EXERCISES)
    table = Counter(zip(labels, exercise.splits(labels), strict=True))
    test = {12: 1, 60: 3}[count]
    assert all(table[c, "test"] == test for c in EXERCISES)
    assert all(table[c, "train"] == count // 6 - test for c in EXERCISES)


def test_what_make_leaves_in_the_folder(tmp_path, monkeypatch):
    monkeypatch.setitem(exercise.SIZES, "small", 1)
    monkeypatch.setattr(exercise, "TURN", 0.2)
    draw = exercise.Timeline.draw
    monkeypatch.setattr(  # a short one
        exercise.Timeline, "draw", lambda rng, seconds, length: draw(rng, 0.5, 1)
    )
    folder = tmp_path / "exercise"
    assert list(exercise.make(folder, "small", seed=2, workers=1)) == [(0, 2), (2, 2)]
    with (folder / "clips.csv").open() as file:
        clips = list(csv.DictReader(file))
    assert [c["camera"] for c in clips] == ["front", "side"]
    label = clips[0]["label"]
    with (folder / "segments.csv").open() as file:
        segments = [(int(r["start"]), int(r["stop"]), r["label"]) for r in csv.DictReader(file)]
    table = pd.read_parquet(folder / TRUTH)
    assert list(table) == list(TRUTH_COLUMNS)
    with np.load(folder / "truth" / "exercise-000.npz") as truth:
        n, count = len(truth["phase"]), int(truth["count"])
        assert truth["joints"].shape == (n, len(JOINTS), 3)
        assert segments == [(a, b, label) for a, b in truth["sets"].tolist()]
        assert np.array_equal(table["phase"], truth["phase"], equal_nan=True)
    assert table["frame"].tolist() == list(range(n))
    assert table["repetition"].max() + 1 == count > 1
    busy = np.zeros(n, bool)
    for start, stop, _ in segments:
        busy[start:stop] = True
    assert ((table["action"] == label).fillna(False) == busy).all()
    assert (table["phase"].notna() == busy).all() and table["anomaly"].isna().all()
    for clip in clips:
        with av.open(folder / clip["path"]) as video:
            stream = video.streams.video[0]
            assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
            assert (stream.average_rate, stream.width) == (exercise.FPS, exercise.WIDTH)
            assert sum(1 for _ in video.decode(stream)) == n

    # Again: what is complete stays, what is gone comes back with the same bytes.
    kept, gone = folder / clips[1]["path"], folder / clips[0]["path"]
    before, stamp = gone.read_bytes(), kept.stat().st_mtime_ns
    gone.unlink()
    list(exercise.make(folder, "small", seed=2, workers=1))
    assert gone.read_bytes() == before and kept.stat().st_mtime_ns == stamp
    assert not [p for p in folder.rglob("*") if p.name.startswith(".")]
    with pytest.raises(ValueError, match="seed 2"):
        next(exercise.make(folder, "small", seed=3))
