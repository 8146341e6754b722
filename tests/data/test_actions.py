"""The actions demo: what it looks like says nothing about the action, how it moves says all."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from workbench.data.demo import actions
from workbench.data.demo.acts import ACTS, ARMS, FEET, Manner, act_pose
from workbench.data.demo.skeleton import JOINTS, Body, Pose
from workbench.data.manifest import TRUTH, TRUTH_COLUMNS
from workbench.data.sources import from_ucf101
from workbench.data.tables import from_manifest, read_segments

BODY = Body()


def moving(name, manner=None, repetitions=2.0):
    manner = manner or Manner("own", "apart")
    return act_pose(name, manner, BODY, np.linspace(0, repetitions, 51))


def place(pose, joint):
    return pose.joints[:, JOINTS.index(joint)]


def swing(pose):
    """How each joint moves against the pelvis, and the pelvis itself; no pose, no direction."""
    pelvis = place(pose, "pelvis")[:, None]
    inner = pose.joints - pelvis
    level = np.hypot(*np.moveaxis(inner - inner.mean(0), -1, 0)[:2]).std(0)
    height = pose.joints[..., 2].std(0)
    travelled = np.linalg.norm(pelvis[-1, 0, :2] - pelvis[0, 0, :2])
    speed = np.linalg.norm(np.diff(inner, axis=0), axis=-1).mean(0)
    numbers = {k: JOINTS.index(k) for k in JOINTS}
    sides = [[numbers[f"{s}_{j}"] for s in ("left", "right")] for j in ("wrist", "ankle", "knee")]
    parts = [np.sort(f[pair]) for f in (level, height, speed) for pair in sides]
    trunk = [height[numbers["pelvis"]], level[numbers["head"]], height[numbers["head"]], travelled]
    return np.concatenate([*parts, trunk])


def nearest(rows, labels, groups):
    """The share of rows whose nearest row of another group has its label."""
    far = np.linalg.norm(rows[:, None] - rows[None], axis=-1)
    far[groups[:, None] == groups[None]] = np.inf
    return (labels[far.argmin(1)] == labels).mean()


@pytest.fixture(scope="module")
def recordings():
    return [actions.stage(label, group, 1, seed=2) for label in ACTS for group in range(1, 7)]


def test_appearance_tells_nothing_and_motion_tells_the_action(recordings):
    labels = np.array([r.label for r in recordings])
    groups = np.array([r.group for r in recordings])
    chance, error = 0.1, np.sqrt(0.1 * 0.9 / len(labels))
    middle = [next(iter(_filmed(r, [len(r.turns) // 2]))).astype(float) for r in recordings]
    colour = np.array([p.mean((0, 1)) for p in middle])
    small = np.array([p[::8, ::8].ravel() for p in middle])
    for seen in (colour, small):
        seen = (seen - seen.mean(0)) / (seen.std(0) + 1e-9)
        assert nearest(seen, labels, groups) < chance + 3 * error
    moved = np.array([swing(r.pose) for r in recordings])
    moved = (moved - moved.mean(0)) / moved.std(0)
    assert nearest(moved, labels, groups) > 0.75


def _filmed(recording, frames):
    pose = Pose(recording.pose.joints[frames], recording.pose.frames[frames])
    return replace(recording, pose=pose, turns=recording.turns[frames]).film()


def test_all_actions_of_a_group_are_seen_alike(recordings):
    for group in range(1, 7):
        settings = [r.setting for r in recordings if r.group == group]
        assert len(settings) == len(ACTS)
        for one in settings[1:]:
            assert one.body == settings[0].body and one.manner == settings[0].manner
            assert np.array_equal(one.figure.colours, settings[0].figure.colours)
            assert np.array_equal(one.hall.tatami, settings[0].hall.tatami)
            assert np.array_equal(one.camera.place, settings[0].camera.place)
    first, other = actions.Setting.draw(1, 2), actions.Setting.draw(2, 2)
    assert not np.array_equal(first.figure.colours, other.figure.colours)


def test_the_same_seed_gives_the_same_pixels_and_another_take_another_movement():
    first, same, other = (actions.stage("kick", 3, take, 5) for take in (1, 1, 2))
    assert np.array_equal(first.pose.joints, same.pose.joints)
    assert np.array_equal(next(_filmed(first, [4])), next(_filmed(same, [4])))
    assert not np.array_equal(first.turns[:40], other.turns[:40])
    assert next(_filmed(first, [4])).shape == (actions.HEIGHT, actions.WIDTH, 3)


def test_the_figure_stays_in_the_picture(recordings):
    for r in recordings:
        seen = r.setting.camera.project(r.pose.joints)
        assert (seen[..., 2] > 1).all()
        inside = (np.abs(seen[..., :2] - r.setting.camera.centre) < r.setting.camera.centre).all(-1)
        assert inside.mean() > 0.97 and r.pose.joints[..., 2].min() > 0


def test_each_action_does_what_its_name_says():
    height = {name: place(moving(name), "pelvis")[:, 2] for name in ACTS}
    assert np.ptp(height["squat"]) > 0.3 and np.ptp(height["jump"]) > 0.35
    toes = [place(moving(name), "left_toe")[:, 2].max() for name in ("squat", "jump")]
    assert toes[0] < 0.1 and toes[1] > 0.2  # only one of the two leaves the ground
    assert place(moving("kick"), "right_ankle")[:, 2].max() > 0.7
    assert place(moving("kick"), "left_ankle")[:, 2].max() < 0.1
    assert place(moving("bow"), "head")[:, 2].min() < 1.2
    assert place(moving("walk"), "pelvis")[-1, 0] > 1.5
    assert np.ptp(place(moving("run"), "pelvis")[:, 0]) < 0.1
    apart = place(moving("clap"), "left_hand") - place(moving("clap"), "right_hand")
    assert np.ptp(np.linalg.norm(apart, axis=1)) > 0.5 > 0.2 > np.linalg.norm(apart, axis=1).min()
    wave = moving("wave")
    assert place(wave, "right_hand")[:, 2].min() > 1.5
    assert np.ptp(place(wave, "right_hand")[:, 1]) > 0.35
    assert np.ptp(place(wave, "left_hand")[:, 1]) < 0.01
    reach = place(moving("punch"), "left_hand")[:, 0], place(moving("punch"), "right_hand")[:, 0]
    assert min(np.ptp(r) for r in reach) > 0.3
    jack = moving("jumping-jack")
    assert np.ptp(place(jack, "left_hand")[:, 2]) > 1
    assert np.ptp(place(jack, "left_ankle")[:, 1]) > 0.2


@pytest.mark.parametrize("name", ACTS)
def test_equal_phases_are_equal_poses_and_feet_do_not_slip(name):
    ways = [("own", feet) for feet in FEET] + [(arms, "wide") for arms in ARMS]
    for arms, feet in ways:
        pose = moving(name, Manner(arms, feet))
        inner = pose.joints - place(pose, "pelvis")[:, None]
        assert np.abs(inner[:25] - inner[25:50]).max() < 1e-6
    if name in ("bow", "clap", "punch", "squat", "wave"):
        assert np.ptp(place(pose, "left_ankle"), axis=0).max() < 0.03
    if name == "walk":
        foot = place(pose, "left_ankle")
        down = foot[:, 2] < foot[:, 2].min() + 0.004
        steps = np.diff(foot[:, 0])[down[1:] & down[:-1]]
        assert len(steps) > 10 and np.abs(steps).max() < 0.012


def test_more_recordings_go_on_where_fewer_end_and_splits_never_share_a_group():
    assert set(actions.takes(6)) < set(actions.takes(20))
    for count, asked in ((6, 1), (20, 3), (50, 8)):
        groups = [actions.test_groups(count, split) for split in actions.SPLITS]
        assert [len(g) for g in groups] == [asked] * 3
        assert len({g for of_split in groups for g in of_split}) == 3 * asked
    with pytest.raises(ValueError, match="fewer than the two groups"):
        actions.test_groups(2)


def test_the_folder_is_whole_and_reads_as_ucf101(tmp_path, monkeypatch):
    monkeypatch.setattr(actions, "ACTS", {k: ACTS[k] for k in ("bow", "wave")})
    monkeypatch.setattr(actions.Recording, "film", lambda self: iter(_still(self)))
    told = list(actions.make(tmp_path, seed=1, workers=1, per_class=4))
    assert told[0] == (0, 8) and told[-1] == (8, 8)
    entries = from_manifest(tmp_path / "clips.csv")
    assert {e.split for e in entries} == {"train", "test"} and len(entries) == 8
    groups = {s: {t for e in entries if e.split == s for t in e.tags} for s in ("train", "test")}
    assert groups == {"train": {"g02"}, "test": {"g01"}}
    for split in actions.SPLITS:
        official = from_ucf101(tmp_path / "videos", tmp_path / actions.LISTS, split)
        assert len(official) == 8 and all(e.path.is_file() for e in official)
        if split == 1:
            assert {(e.recording, e.label, e.split, e.tags) for e in official} == {
                (e.recording, e.label, e.split, e.tags) for e in entries
            }
    truth = pd.read_parquet(tmp_path / TRUTH)
    assert set(truth.columns) <= set(TRUTH_COLUMNS) | {"recording", "frame"}
    segments = read_segments(tmp_path / "segments.csv").set_index("recording")
    for name, rows in truth.groupby("recording"):
        assert segments.loc[name, "stop"] == len(rows) and 50 <= len(rows) <= 75
        assert set(rows["action"]) == {segments.loc[name, "label"]}
        stored = np.load(tmp_path / "truth" / f"{name}.npz")
        assert np.allclose(rows["phase"], stored["phase"]) and len(stored["joints"]) == len(rows)
    before = (tmp_path / "videos/bow/v_bow_g01_c01.mp4").stat().st_mtime_ns
    list(actions.make(tmp_path, seed=1, workers=1, per_class=4))
    assert (tmp_path / "videos/bow/v_bow_g01_c01.mp4").stat().st_mtime_ns == before
    with pytest.raises(ValueError, match="size 4 per class and seed 1"):
        list(actions.make(tmp_path, seed=1, workers=1))


def _still(recording):
    return [np.zeros((16, 16, 3), np.uint8)] * len(recording.turns)
