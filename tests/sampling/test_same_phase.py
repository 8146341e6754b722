import numpy as np
import pandas as pd
import pytest

from workbench.analysis.embeddings import Embeddings
from workbench.clock import Clock
from workbench.config import ConfigError
from workbench.data.video import ClipShape, Video, VideoSource
from workbench.sampling import SamePhase
from workbench.sampling.mining import (
    HARD,
    NEGATIVE,
    POSITIVE,
    Mined,
    relations,
    share_changed,
    whitened,
)

SHAPE = ClipShape(length=16, stride=2, size=16)
ROWS, PERIOD = 240, 20


def cycles(rows=ROWS, period=PERIOD, jitter=0.0, seed=0):
    """(rows,) phase in cycles, unwrapped; from video to video it begins elsewhere."""
    rng, out = np.random.default_rng([seed, 1]), [seed / 3]
    while len(out) < rows:
        n = round(period * np.exp(jitter * rng.standard_normal()))
        out += list(out[-1] + np.arange(1, n + 1) / n)
    return np.array(out[:rows])


def features(phase, noise=0.05, seed=0):
    """(T, 16) on a limit cycle in front of what stands still."""
    turns = 2 * np.pi * np.arange(1, 4) * phase[:, None]
    waves = np.concatenate([np.cos(turns), np.sin(turns)], axis=1) / ([1, 2, 4] * 2)
    shared = np.random.default_rng(7)
    z = waves @ shared.standard_normal((6, 16)) + 2 * shared.standard_normal(16)
    return z + noise * np.random.default_rng(seed).standard_normal(z.shape)


def source(n=3, frames=2 * ROWS, labels=None):
    videos = [
        Video(f"v{i}.mp4", f"r{i}", "0", (labels or {}).get(i), frames, 30.0) for i in range(n)
    ]
    return VideoSource(videos, SHAPE, lambda i: np.empty(0))


def embeddings(zs, hop=SHAPE.stride):
    """What `embed` gives of videos with these features, rows `hop` frames apart."""
    index = pd.concat(
        [
            pd.DataFrame(
                {"video": i, "start": hop * np.arange(len(z)), "frame": 0, "recording": f"r{i}",
                 "camera": "0", "label": None, "split": None}
            )
            for i, z in enumerate(zs)
        ],
        ignore_index=True,
    )  # fmt: skip
    return Embeddings(np.concatenate(zs).astype(np.float32), index)


def refreshed(sampler, zs, data=None, epoch=0, hop=SHAPE.stride):
    return sampler.refresh(
        data or source(len(zs)), Clock(epoch), lambda *, steps: embeddings(zs, hop)
    )


def off(a, b):
    """Circular distance of phases."""
    return np.abs((a - b + 0.5) % 1 - 0.5)


def shown(example, clip_length, truth):
    """(N, 3) phases of the frames of triplets; truth: phase of every frame of each video."""
    frames = [[(c.video, f) for f in c.frames] for c in example.views]
    flat = [place for clip in frames for place in clip]
    assert len(flat) == 2 * clip_length
    return np.array([[truth[v][f] for v, f in (flat[k] for k in t)] for t in example.triplets])


# --- the search


@pytest.mark.parametrize("jitter", [0.0, 0.1, 0.2])
def test_positives_show_the_same_phase_and_negatives_another(jitter):
    phase = cycles(jitter=jitter)
    table = relations(features(phase), PERIOD, 50, beyond=0.5)
    for kind, right in ((POSITIVE, lambda d: d < 0.1), (NEGATIVE, lambda d: d > 0.1)):
        anchor, place = np.nonzero(table == POSITIVE if kind == POSITIVE else table >= NEGATIVE)
        other = anchor + place - 50
        assert len(anchor) > 3 * ROWS
        assert right(off(phase[anchor], phase[other])).mean() > 0.97
        assert np.abs(anchor - other).min() >= (PERIOD / 2 if kind == POSITIVE else PERIOD / 5)


def test_an_exact_cycle_gives_exactly_the_repetitions_in_reach():
    table = relations(features(cycles(), noise=0), PERIOD, 50, quantile=0.5)
    middle = np.flatnonzero(table[120] == POSITIVE) - 50
    np.testing.assert_allclose(middle, [-40, -20, 20, 40], atol=0)
    negative = np.flatnonzero(table[120] == NEGATIVE) - 50
    assert set(np.abs(negative) % 20) == set(range(4, 17))
    assert np.abs(negative).max() < 40  # not beyond the last repetition in sight


def test_what_is_hard_lies_less_than_so_much_farther():
    z = features(cycles(), noise=0)
    nothing, all_, some = (relations(z, PERIOD, 50, smooth=0, beyond=b) for b in (None, 2.0, 0.5))
    assert not (nothing == HARD).any()
    assert not (all_ == NEGATIVE).any() and np.array_equal(all_ >= NEGATIVE, nothing >= NEGATIVE)
    u = z / np.linalg.norm(z, axis=1, keepdims=True)
    for place in np.flatnonzero(some[120] >= NEGATIVE):
        d = np.linalg.norm(u[120] - u[120 + place - 50])
        assert (some[120, place] == HARD) == (d < 0.5)  # positives are at distance 0


def test_where_a_repetition_may_have_been_missed_nothing_is_a_negative():
    z = features(cycles(), noise=0)
    z[130:150] = 10 * np.random.default_rng(3).standard_normal((20, 16))  # one is hidden
    row = relations(z, PERIOD, 50)[120]
    assert not (row[52:88] >= NEGATIVE).any() and (row[:50] >= NEGATIVE).any()


def test_the_share_of_new_positives():
    before, after = (np.zeros((10, 41), np.uint8) for _ in range(2))
    before[:, 30] = POSITIVE
    after[:5, 31], after[5:, 34] = POSITIVE, POSITIVE
    assert share_changed(before, before, 1) == (0, 10)
    assert share_changed(before, after, 1) == (5, 10)
    assert share_changed(before[:, 10:31], after, 1) == (0, 0)  # beyond the old table's reach


def test_whitening_finds_what_light_drowns():
    phase = cycles()
    z = features(phase) + 30 * np.sin(np.arange(ROWS) / 50)[:, None]
    assert whitened(z, 8).shape == (ROWS, 8)
    np.testing.assert_allclose(np.cov(whitened(z, 8).T, bias=True), np.eye(8), atol=1e-4)
    assert not whitened(np.ones((5, 3)), 8).any()


# --- the sampler


@pytest.fixture(scope="module")
def truth():
    return [np.repeat(cycles(jitter=0.1, seed=i), SHAPE.stride) for i in range(3)]


@pytest.fixture(scope="module")
def found(truth):
    zs = [features(t[:: SHAPE.stride], seed=i) for i, t in enumerate(truth)]
    return refreshed(SamePhase(), zs), zs


def test_triplets_of_examples_have_the_right_phases(found, truth):
    sampler, _ = found
    data, rng = source(), np.random.default_rng(0)
    phases = []
    for k in range(60):
        example = sampler.sample(data, k % 3, rng)
        a, b = example.views
        assert a.video == b.video == k % 3 and example.group == k % 3
        assert example.triplets.shape == (64, 3) and example.triplets.dtype == np.int64
        assert example.triplets[:, 0].max() < SHAPE.length  # anchors are in the first chunk
        phases.append(shown(example, SHAPE.length, truth))
    a, p, n = np.concatenate(phases).T
    assert (off(a, p) < 0.1).mean() > 0.9
    assert (off(a, n) > 0.1).mean() > 0.95
    assert (np.abs(a - p) > 0.5).mean() > 0.9  # of another repetition


def test_chunks_start_everywhere(found):
    sampler, _ = found
    rng, data = np.random.default_rng(0), source()
    starts = {c.start for _ in range(800) for c in sampler.sample(data, 0, rng).views}
    assert {s % 2 for s in starts} == {0, 1} and len(starts) > 300


def test_the_same_seed_draws_the_same(found):
    sampler, _ = found
    draws = [sampler.sample(source(), 0, np.random.default_rng(5)) for _ in range(2)]
    assert draws[0] == draws[1]
    assert np.array_equal(draws[0].triplets, draws[1].triplets)


def test_what_was_found_survives_a_checkpoint(found):
    sampler, _ = found
    state = sampler.state()
    assert all(v.nbytes < 30_000 for v in state.values())
    again = SamePhase.parse(sampler.model_dump(mode="json")).restored(state)
    assert again.logs() == sampler.logs() != {}
    for k in range(5):
        a, b = (s.sample(source(), k % 3, np.random.default_rng(k)) for s in (sampler, again))
        assert a == b and np.array_equal(a.triplets, b.triplets)
    assert SamePhase().state() == {} and SamePhase().logs() == {}


def test_settings_do_not_hold_what_was_found(found):
    sampler, _ = found
    assert sampler.model_dump() == SamePhase().model_dump()


def test_it_is_searched_again_when_due_until_little_changes(found):
    first, zs = found
    never = None  # would fail if it were called
    for epoch in (1, 4):
        assert first.refresh(source(), Clock(epoch), never) is first
    assert first.logs()["positives_changed"] == 1.0
    second = refreshed(first, zs, epoch=5)
    assert second.logs()["mining_rounds"] == 2
    # the first round looks at whitened features, so a little differs although nothing has changed
    assert second.logs()["positives_changed"] < 0.3
    third = refreshed(second, zs, epoch=10)
    assert third.logs()["positives_changed"] == 0.0
    assert third.refresh(source(), Clock(15), never) is third
    moved = refreshed(second, [np.roll(z[::-1], 7, axis=0) for z in zs], epoch=10)
    assert moved.logs()["positives_changed"] > 0.05


def test_hard_negatives_come_first_from_the_second_round_on(found):
    _, zs = found
    tables = [refreshed(SamePhase(negatives=n), zs)._mined[0].table for n in ("uniform", "hard")]
    assert not any((t == HARD).any() for t in tables)
    for kind in ("uniform", "hard", "semi-hard"):
        second = refreshed(refreshed(SamePhase(negatives=kind), zs), zs, epoch=5)
        share = (second._mined[0].table == HARD).mean()
        assert share == 0 if kind == "uniform" else share > 0 or kind == "hard"
    data, rng = source(), np.random.default_rng(0)
    table = second._mined[0].table
    for _ in range(20):
        example = second.sample(data, 0, rng)
        a = example.views[0].start // 2 + example.triplets[:, 0]
        view, row = np.divmod(example.triplets[:, 2], SHAPE.length)
        other = np.array([c.start // 2 for c in example.views])[view] + row
        kinds = table[a, other - a + table.shape[1] // 2]
        assert (kinds >= NEGATIVE).all() and (kinds == HARD).mean() > 0.5


def test_aperiodic_stretches_are_no_anchors(truth):
    z = features(truth[0][::2])
    z[100:180] = np.random.default_rng(0).standard_normal((80, 16))
    mined = refreshed(SamePhase(), [z])._mined[0]
    assert not ((mined.anchors > 115) & (mined.anchors < 165)).any()
    assert len(mined.anchors) > 100


def test_a_video_in_which_nothing_repeats_takes_no_part(truth, found):
    _, zs = found
    noise = np.random.default_rng(0).standard_normal((ROWS, 16))
    sampler = refreshed(SamePhase(), [zs[0], noise, zs[2]])
    rng = np.random.default_rng(0)
    drawn = {sampler.sample(source(), 1, rng).views[0].video for _ in range(40)}
    assert drawn == {0, 2}
    kept = refreshed(refreshed(SamePhase(), zs), [zs[0], noise, zs[2]], epoch=5)
    assert sorted(kept._mined) == [0, 1, 2]  # what the first round found of it


def test_nothing_that_repeats_is_told_before_training():
    noise = [np.random.default_rng(i).standard_normal((ROWS, 16)) for i in range(2)]
    with pytest.raises(ValueError, match=r"no video holds two repetitions.*480 frames.*period"):
        refreshed(SamePhase(), noise)
    still = [np.ones((ROWS, 16))]
    with pytest.raises(ValueError, match="no video holds two repetitions"):
        refreshed(SamePhase(), still)
    one = [features(cycles(30))]
    with pytest.raises(ValueError, match="no video holds two repetitions"):
        refreshed(SamePhase(), one, source(1, frames=60))
    with pytest.raises(
        ValueError, match=r"200 frames and the longest video has 300.*Lower sampler"
    ):
        SamePhase(period=200).usable(source(frames=300))
    with pytest.raises(ValueError, match=r"16 frames at stride 2 covers 31.*longest video has 20"):
        SamePhase().usable(source(frames=20))
    with pytest.raises(ValueError, match="call it first"):
        SamePhase().sample(source(), 0, np.random.default_rng(0))


def test_a_chunk_too_short_for_two_phases_is_told():
    slow = [features(cycles(800, 200))]
    with pytest.raises(ValueError, match=r"about 4\d\d frames and a chunk covers 31.*Raise clip"):
        refreshed(SamePhase(), slow, source(1, frames=1600))


def test_a_known_period_is_a_hint_and_a_fallback():
    phase = cycles()
    z = features(phase)
    z[np.arange(ROWS) % 40 < 20] *= [1.3] * 8 + [0.7] * 8  # every second cycle differs a bit
    for given in (40, 80):  # frames
        assert refreshed(SamePhase(period=given), [z]).logs()["period"] == pytest.approx(given, 0.1)
    noise = np.random.default_rng(0).standard_normal((ROWS, 16))
    for settings in ({"period": 50}, {"fallback": 50}):
        assert refreshed(SamePhase(**settings), [noise]).logs()["period"] == 50


def test_positives_of_other_videos(found, truth):
    _, zs = found
    sampler = refreshed(SamePhase(across=1.0), zs)
    data, rng, phases = source(), np.random.default_rng(0), []
    for k in range(30):
        example = sampler.sample(data, k % 3, rng)
        a, b = example.views
        assert a.video == k % 3 != b.video
        other = example.triplets[:, 1] >= SHAPE.length
        phases.append(shown(example, SHAPE.length, truth)[other])
    a, p, _ = np.concatenate(phases).T
    assert len(a) > 500
    assert (off(a, p) < 0.1).mean() > 0.9
    labelled = refreshed(SamePhase(across=1.0), zs, source(labels={0: "a", 1: "b", 2: "a"}))
    assert [m.partner for m in labelled._mined.values()] == [2, -1, 0]
    again = SamePhase(across=1.0).restored(sampler.state())
    draws = [s.sample(data, 0, np.random.default_rng(1)) for s in (sampler, again)]
    assert draws[0] == draws[1] and np.array_equal(draws[0].triplets, draws[1].triplets)


def test_features_of_two_frames_each(truth):
    """An encoder that halves time: rows are four frames apart, triplets name their first frame."""
    zs = [features(t[::4]) for t in truth]
    sampler = refreshed(SamePhase(), zs, hop=4)
    rng, phases = np.random.default_rng(0), []
    for k in range(20):
        example = sampler.sample(source(), k % 3, rng)
        assert (example.triplets % 2 == 0).all()
        phases.append(shown(example, SHAPE.length, truth))
    a, p, n = np.concatenate(phases).T
    assert (off(a, p) < 0.15).mean() > 0.9 and (off(a, n) > 0.1).mean() > 0.9


def test_a_table_goes_into_few_bytes_and_back():
    table = relations(features(cycles()), PERIOD, 50).astype(np.uint8)
    mined = Mined(table, 2, 20.0, 16, 1, np.arange(ROWS, dtype=np.int32))
    packed = mined.packed()
    assert packed["table"].nbytes < table.nbytes / 4
    again = Mined.unpacked(**packed)
    assert np.array_equal(again.table, table) and np.array_equal(again.match, mined.match)
    assert (again.hop, again.period, again.length, again.partner) == (2, 20.0, 16, 1)


def test_settings_out_of_bounds():
    with pytest.raises(ConfigError, match="at least"):
        SamePhase.parse({"cycles": 0})
