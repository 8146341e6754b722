"""The bottling demo: what is written as truth is what the machine does and what is filmed."""

from dataclasses import replace
from itertools import islice, pairwise

import av
import numpy as np
import pandas as pd
import pytest

from workbench.data.demo import bottling, machine
from workbench.data.demo.cell import CAPPER, DEEP, EDGE, FILLER, FROM, STAND, TO, TOP, Cell
from workbench.data.demo.filming import film
from workbench.data.demo.folder import worked
from workbench.data.demo.machine import ANOMALIES, FPS, STAGES, Plan
from workbench.data.demo.surroundings import Surroundings
from workbench.data.manifest import TRUTH_COLUMNS, DataSet
from workbench.training.demo import make_bottling
from workbench.workspace import Workspace


def plan_of(kinds=(), seed=0):
    return machine.plan(np.random.default_rng(seed), kinds)


def steady(cycles, **wrong):
    """Cycles of 2.5 s, none hasty."""
    return Plan([2.5] * cycles, [0.0] * cycles, **wrong)


def still(frames):
    """Surroundings in which nothing changes."""
    nothing, one = np.zeros(frames), np.ones((frames, 3))
    return Surroundings(
        one[:, 0], one, nothing, np.zeros((frames, 2)), np.zeros((frames, 2)), (), ()
    )


def pictures(shift, seconds, around=None):
    """The pictures at some moments of a shift."""
    rows = [round(s * FPS) for s in seconds]
    frames = len(shift.phase)
    cut = {k: v[rows] for k, v in vars(shift).items() if np.shape(v)[:1] == (frames,)}
    day = {k: v[rows] for k, v in vars(around or still(frames)).items() if len(v) == frames}
    day = replace(around or still(frames), **day)
    return [p.astype(float) for p in film(Cell.draw(0), replace(shift, **cut), day, 0)]


@pytest.mark.parametrize("seed", range(4))
def test_the_phase_advances_by_one_in_two_to_three_seconds(seed):
    plan = plan_of(seed=seed)
    shift = machine.run(plan)
    assert min(plan.lengths) >= 2 and max(plan.lengths) <= 3 and np.std(plan.lengths) > 0.05
    assert shift.phase.min() >= 0 and shift.phase.max() < 1
    whole = shift.repetition + shift.phase
    assert (np.diff(whole) > 0).all() and np.diff(whole).max() < 0.025
    starts = np.flatnonzero(np.diff(shift.repetition)) + 1
    assert (np.diff(shift.repetition)[starts - 1] == 1).all()
    measured = np.diff(starts) / FPS
    assert np.abs(measured - plan.lengths[1 : len(measured) + 1]).max() <= 1 / FPS + 1e-9
    assert set(shift.anomaly) == {None} and shift.segments() == []


def test_stages_follow_each_other_in_every_normal_cycle():
    shift = machine.run(plan_of())
    for n in range(1, shift.repetition[-1]):
        inside = shift.action[shift.repetition == n]
        assert list(dict.fromkeys(inside)) == list(STAGES)
    assert (shift.head[shift.action == "move"] == 0).all()
    assert (shift.head[shift.action == "fill"] == 1).all()
    moves = shift.action == "move"
    assert (np.diff(shift.belt)[~moves[1:] & ~moves[:-1]] == 0).all()
    assert (np.diff(shift.belt) >= -1e-9).all()


@pytest.mark.parametrize("kind", ANOMALIES)
def test_every_anomaly_is_one_segment_with_normal_stretches_around(kind):
    shift = machine.run(plan_of([kind], seed=3))
    ((start, stop, label),) = shift.segments()
    assert label == kind
    abnormal = np.flatnonzero([a is not None for a in shift.anomaly])
    assert np.array_equal(abnormal, np.arange(start, stop))
    assert start > 8 * FPS and len(shift.phase) - stop > 8 * FPS
    assert 3 < (stop - start) / FPS < 26


def test_all_anomalies_in_one_recording_keep_apart():
    shift = machine.run(plan_of(list(ANOMALIES)))
    segments = shift.segments()
    assert [label for *_, label in segments] == list(ANOMALIES)
    gaps = [b[0] - a[1] for a, b in pairwise(segments)]
    assert min(gaps) > 6 * FPS
    assert (np.diff(shift.repetition + shift.phase) >= 0).all()


def test_in_a_jam_everything_stands_still_and_then_goes_on():
    shift = machine.run(steady(6, jams={3: (0.5, 4.0, 0.0)}))
    ((start, stop, label),) = shift.segments()
    assert label == "jam" and stop - start == 4 * FPS
    assert np.allclose(shift.phase[start:stop], 0.5)
    for what in (shift.phase, shift.belt, shift.head, shift.robot, shift.level):
        assert np.ptp(what[start:stop], axis=0).max() < 1e-9
    assert np.abs(shift.phase[stop] - 0.5) < 1 / 60 and len(shift.phase) == 6 * 75 + 4 * FPS


def test_a_slow_cycle_has_a_slow_phase():
    plan = plan_of(["slow-down"], seed=1)
    shift = machine.run(plan)
    ((start, stop, _),) = shift.segments()
    slow = sorted(plan.slow)
    assert all(plan.lengths[n] > 3.2 for n in slow)
    assert set(shift.repetition[start:stop]) == set(slow)
    speed = np.diff(shift.repetition + shift.phase)
    assert speed[start + 1 : stop - 1].mean() < 0.7 * speed[: start - 1].mean()


def test_in_the_wrong_order_the_cap_comes_before_the_filling():
    shift = machine.run(steady(6, swapped={2, 3}))
    inside = shift.repetition == 3
    order = list(dict.fromkeys(shift.action[inside]))
    assert order == ["move", "cap", "lower", "fill", "raise", "rest"]
    bottle = np.arange(shift.first, shift.first + len(shift.there))
    capped = np.flatnonzero(shift.capped[:, bottle == 2])[0]
    filled = np.flatnonzero(shift.level[:, bottle == 3] > 0)[0]
    assert shift.repetition[capped] == shift.repetition[filled] == 3 and capped < filled
    ((start, stop, _),) = shift.segments()
    assert (start, stop) == (
        np.flatnonzero((shift.repetition == 2) & (shift.phase >= 0.28))[0],
        300,
    )
    assert np.abs(np.diff(shift.robot)).max() < 1  # nothing leaps but the programme's start
    leaps = np.abs(np.diff(shift.robot)) > 0.05
    assert (np.diff(shift.repetition)[leaps] == 1).all()


def test_a_bottle_that_is_not_there_or_leans_is_neither_filled_nor_capped():
    for wrong in ({"absent": {3: "missing-bottle"}}, {"tilts": {3: 14.0}}):
        shift = machine.run(steady(8, **wrong))
        bottle = np.arange(shift.first, shift.first + len(shift.there))
        assert shift.level[:, bottle == 3].max() == 0 and not shift.capped[:, bottle == 3].any()
        assert shift.level[-1, bottle == 2] == 1 and shift.capped[-1, bottle == 2]
        assert not shift.flow[shift.repetition == 3].any()
        assert shift.flow[shift.repetition == 4].any()
        ((start, stop, _),) = shift.segments()
        x = FILLER - (3 - shift.belt) * (CAPPER - FILLER)
        assert np.abs(x[[start, stop - 1]] - [FROM, TO]).max() < 10  # in sight, and no longer
        assert shift.holds[(shift.repetition == 4) & (shift.phase > 0.9)].all()
        assert not shift.holds[(shift.repetition == 3) & (shift.phase > 0.9)].any()


def test_what_is_filmed_is_what_the_truth_says():
    """Where bottles, liquid, caps and head are in the truth, the picture differs from without."""
    cell, nothing = Cell.draw(0), dict.fromkeys(range(-4, 14), "running-empty")
    shift = machine.run(steady(6))
    filling, capping = pictures(shift, (11.2, 12.1))
    (bare,) = pictures(machine.run(steady(6, absent=nothing)), (11.2,))

    def change(a, b, x, y):
        return np.abs(a[y - 3 : y + 3, x - 3 : x + 3] - b[y - 3 : y + 3, x - 3 : x + 3]).mean()

    for x in (FILLER, CAPPER):
        assert change(filling, bare, x, STAND - 37) > 15  # the label
        assert change(filling, bare, x + 40, STAND - 60) < 8
    bottles = list(range(shift.first, shift.first + len(shift.there)))
    level = shift.level[round(11.2 * FPS), bottles.index(4)]
    assert 0.3 < level < 0.7
    surface = round(STAND - 3 - DEEP * level)
    wet, dry = (filling[y : y + 6, FILLER + 4 : FILLER + 10].mean((0, 1)) for y in (210, 150))
    assert surface < 200 and surface > 160
    assert np.abs(wet - cell.drink).mean() < 0.6 * np.abs(dry - cell.drink).mean()
    assert change(filling, capping, FILLER + 6, 152) > 15  # it is full now
    assert change(filling, capping, CAPPER, TOP + 5) > 15  # a cap has come
    assert change(filling, capping, FILLER - 20, 80) > 15  # the head has risen


def test_the_surroundings_change_the_picture_and_not_the_truth():
    shift = machine.run(steady(4))
    around = Surroundings.draw(np.random.default_rng(1), len(shift.phase))
    assert around.light.min() > 0.7 and around.light.max() < 1.3
    assert np.abs(around.shake).max() <= EDGE - 2
    (calm,), (day,) = pictures(shift, (1,)), pictures(shift, (1,), around)
    assert np.abs(calm - day).mean() > 4
    many = [Surroundings.draw(np.random.default_rng(k), 60 * FPS) for k in range(8)]
    assert all(a.walkers and a.gleams for a in many)


def test_the_same_seed_gives_the_same_pictures_and_another_seed_others():
    def first(seed):
        return np.stack(list(islice(bottling.takes("small", seed)[0].pictures, 2)))

    again = first(1)
    assert again.shape == (2, bottling.HEIGHT, bottling.WIDTH, 3) and again.dtype == np.uint8
    assert np.array_equal(again, first(1)) and not np.array_equal(again, first(2))


@pytest.mark.parametrize("size", bottling.SIZES)
def test_every_anomaly_is_tested_and_none_is_trained_on(size):
    chosen = bottling.takes(size, seed=4)
    *counts, each, _ = bottling.SIZES[size]
    assert [sum(t.split == s for t in chosen) for s in ("train", "val", "test")] == counts
    assert not any(t.kinds for t in chosen if t.split != "test")
    kinds = [kind for t in chosen for kind in t.kinds]
    assert all(kinds.count(kind) == each for kind in ANOMALIES)
    lengths = [len(t.truth) / FPS for t in chosen]
    assert min(lengths) >= 60 and max(lengths) < 150


def test_what_make_leaves_in_the_workspace(tmp_path, monkeypatch):
    tiny = [
        bottling.Take(0, "normal", "train", (), 0.5),
        bottling.Take(1, "faulty", "test", ("jam",), 0),
    ]
    monkeypatch.setattr(bottling, "takes", lambda size, seed: tiny)
    jam = {1: (0.1, 0.5, 8.0)}
    monkeypatch.setattr(machine, "plan", lambda rng, kinds, s: steady(2, jams=jam if kinds else {}))
    monkeypatch.setattr(bottling.make, "__defaults__", ("small", 0, 1))
    steps = list(make_bottling(Workspace(tmp_path), "small", 0, "bottles"))
    assert steps[-1].done == 1000 and [s.done for s in steps] == sorted(s.done for s in steps)
    dataset = DataSet(tmp_path / "data" / "bottles")
    assert dataset.recordings == ["normal", "faulty"]
    assert [v.split for v in dataset.videos] == ["train", "test"]
    truth = dataset.truth
    assert list(truth.columns) == list(TRUTH_COLUMNS)
    for i, video in enumerate(dataset.videos):
        rows = truth[truth["recording"] == video.recording]
        assert list(rows["frame"]) == list(range(video.n_frames))
        assert len(dataset.frames(i)) == video.n_frames
        with av.open(video.path) as file:
            stream = file.streams.video[0]
            assert (stream.codec_context.name, stream.average_rate) == ("h264", FPS)
            assert sum(1 for _ in file.decode(stream)) == video.n_frames
        stated = np.full(video.n_frames, "", object)
        for s in video.segments:
            stated[s.start : s.stop] = s.label
        assert list(stated) == list(rows["anomaly"].fillna(""))
    assert truth["anomaly"].notna().sum() == 15

    # Again: what is complete stays, what is gone comes back with the same bytes.
    videos = tmp_path / "demo" / "bottles" / "videos"
    gone, kept = videos / "normal.mp4", videos / "faulty.mp4"
    before, stamp = gone.read_bytes(), kept.stat().st_mtime_ns
    gone.unlink()
    list(make_bottling(Workspace(tmp_path), "small", 0, "bottles"))
    assert gone.read_bytes() == before and kept.stat().st_mtime_ns == stamp
    assert pd.read_parquet(tmp_path / "data" / "bottles" / "truth.parquet").equals(truth)
    with pytest.raises(ValueError, match="seed 0"):
        list(make_bottling(Workspace(tmp_path), "small", 5, "bottles"))


@pytest.mark.parametrize("workers", [1, 2])
def test_where_nothing_is_left_to_film_no_process_starts(workers):
    assert list(worked(print, [], workers)) == [0]
