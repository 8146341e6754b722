import numpy as np
import pytest

from tests.analysis.cycles import curve, noisy
from workbench.analysis.similarity import pooled, unit
from workbench.analysis.warping import drift, dtw, refined


def brute_force(a, b, allowed=lambda i, j: True):
    """Cost of the best path, by the definition."""
    a, b = unit(a).astype(float), unit(b).astype(float)
    best = np.full((len(a) + 1, len(b) + 1), np.inf)
    best[0, 0] = 0
    for i in range(len(a)):
        for j in range(len(b)):
            if allowed(i, j):
                before = min(best[i, j], best[i, j + 1], best[i + 1, j])
                best[i + 1, j + 1] = np.linalg.norm(a[i] - b[j]) + before
    return best[-1, -1]


@pytest.mark.parametrize("seed", range(20))
def test_the_path_is_the_best_there_is(seed):
    rng = np.random.default_rng(seed)
    n, m = rng.integers(1, 30, 2)
    a, b = rng.normal(size=(n, 3)), rng.normal(size=(m, 3))
    found = dtw(a, b)
    assert found.cost == pytest.approx(brute_force(a, b), abs=1e-4)
    assert dtw(b, a).cost == pytest.approx(found.cost, abs=1e-4)
    steps = np.stack([np.diff(found.rows_a), np.diff(found.rows_b)])
    assert ((steps == 0) | (steps == 1)).all() and (steps.sum(axis=0) > 0).all()
    assert (found.rows_a[0], found.rows_b[0]) == (0, 0)
    assert (found.rows_a[-1], found.rows_b[-1]) == (n - 1, m - 1)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("window", [2, 6])
def test_the_best_path_in_a_window(seed, window):
    rng = np.random.default_rng(seed)
    n, m = rng.integers(15, 28, 2)
    a, b = rng.normal(size=(n, 3)), rng.normal(size=(m, 3))
    longer = max(n, m) - 1

    def near(i, j):
        return abs(i / (n - 1) - j / (m - 1)) * longer <= window + 1e-6

    assert dtw(a, b, window).cost == pytest.approx(brute_force(a, b, near), abs=1e-4)
    assert dtw(b, a, window).cost == pytest.approx(dtw(a, b, window).cost, abs=1e-4)


def test_a_known_warp_is_undone():
    rng = np.random.default_rng(0)
    z = np.cumsum(rng.normal(size=(80, 16)), axis=0)
    warp = np.repeat(np.arange(80), rng.integers(1, 4, 80))
    found = dtw(z, z[warp])
    assert found.cost == pytest.approx(0, abs=0.05)
    np.testing.assert_array_equal(found.rows_a, warp)
    np.testing.assert_array_equal(found.rows_b, np.arange(len(warp)))


def test_a_recording_matches_itself_moment_by_moment():
    z = np.random.default_rng(1).normal(size=(200, 8))
    found = dtw(z, z)
    np.testing.assert_array_equal(found.rows_a, np.arange(200))
    np.testing.assert_array_equal(found.rows_b, np.arange(200))


def test_a_path_among_means_is_refined_to_the_best_of_all():
    rng = np.random.default_rng(7)
    course = curve(16, rng)
    turned = np.arange(600) / 150
    warped = turned + 0.2 * np.sin(turned * 2 * np.pi / 4)
    a, b = course(turned)[:-1], course(warped)[:-3] + 0.01 * rng.normal(size=(597, 16))
    thin = [pooled(z, 130) for z in (a, b)]
    every = thin[0][1], thin[1][1]
    coarse = dtw(thin[0][0], thin[1][0])
    path, best = refined(a, b, coarse, every), dtw(a, b)
    assert path.cost == pytest.approx(best.cost)
    assert np.array_equal(path.rows_a, best.rows_a) and np.array_equal(path.rows_b, best.rows_b)
    with pytest.raises(ValueError, match="means"):
        refined(a[:300], b, coarse, every)


@pytest.mark.parametrize(("n", "m"), [(1, 1), (1, 9), (9, 1)])
def test_single_rows(n, m):
    found = dtw(np.ones((n, 2)), np.ones((m, 2)), window=0)
    assert len(found.rows_a) == max(n, m) and found.cost == pytest.approx(0, abs=1e-3)


def test_refusals_of_dtw_say_what_is_wrong(monkeypatch):
    with pytest.raises(ValueError, match="one kind"):
        dtw(np.ones((3, 4)), np.ones((3, 5)))
    with pytest.raises(ValueError, match="0 rows or more"):
        dtw(np.ones((3, 4)), np.ones((3, 4)), window=-1)
    with pytest.raises(ValueError, match="NaN"):
        dtw(np.full((3, 4), np.nan), np.ones((3, 4)))
    monkeypatch.setattr("workbench.analysis.warping.CELLS", 100)
    with pytest.raises(ValueError, match="give a window"):
        dtw(np.ones((20, 4)), np.ones((20, 4)))
    assert dtw(np.ones((20, 4)), np.ones((20, 4)), window=1).cost < 1e-2


@pytest.fixture
def recordings():
    """A process, and again with noise: 20 cycles of 50 rows each."""
    rng = np.random.default_rng(2)
    phase = (np.arange(1000) / 50) % 1
    clean = curve(16, rng)(phase) + rng.normal(size=16) / 4
    a, b = (clean + 0.1 * rng.normal(size=clean.shape) for _ in range(2))
    return a, b, phase


def test_nothing_drifts_between_equal_recordings(recordings):
    a, b, phase = recordings
    found = drift(a, phase, b, phase)
    assert (found.distance < 0.5).all()
    assert found.period == pytest.approx((50, 50))
    assert found.period_change == pytest.approx(0)
    np.testing.assert_allclose(found.duration, 2.5, atol=0.6)
    np.testing.assert_allclose(found.duration.sum(axis=0), 50)


def test_drift_names_where_a_change_lies(recordings):
    a, b, phase = recordings
    b = b.copy()
    b[(phase > 0.6) & (phase < 0.7)] += 0.5
    found = drift(a, phase, b, phase)
    assert 0.6 < found.worst < 0.7
    inside = (found.centres > 0.6) & (found.centres < 0.7)
    assert found.distance[inside].min() > 3 * found.distance[~inside].max()


def test_drift_names_what_takes_longer(recordings):
    phase = recordings[2]
    rng = np.random.default_rng(3)
    # the same cycle, the part from 0.25 to 0.5 takes three times as long: 75 rows per cycle
    cycle = np.concatenate(
        [np.arange(0, 0.25, 0.02), np.arange(0.26, 0.5, 0.02 / 3), np.arange(0.5, 1, 0.02)]
    )
    slow = np.tile(cycle, 12)
    at = curve(16, np.random.default_rng(2))
    found = drift(at(phase), phase, noisy(at(slow), rng, 0.1), slow, bins=4)
    assert found.period[1] == pytest.approx(len(cycle), rel=0.02)
    assert found.period_change == pytest.approx(len(cycle) / 50 - 1, abs=0.03)
    assert found.duration[:, 1].argmax() == 1
    assert found.duration[1, 1] == pytest.approx(36, abs=2)


def test_bins_without_rows_are_not_compared(recordings):
    a, b, phase = recordings
    part = np.where(phase < 0.5, phase, np.nan)
    found = drift(a, part, b, phase, bins=10)
    assert np.isnan(found.distance[5:]).all() and np.isfinite(found.distance[:5]).all()
    nothing = drift(a, np.full(1000, np.nan), b, phase)
    assert np.isnan(nothing.distance).all() and np.isnan(nothing.worst)
    assert np.isnan(nothing.period_change)
    with pytest.raises(ValueError, match="one each"):
        drift(a, phase[:-1], b, phase)
