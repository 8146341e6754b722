"""Anomaly scores: exact, blind to what is normal, and honest about thresholds."""

import numpy as np
import pytest
from sklearn import metrics

from workbench.analysis import anomaly
from workbench.analysis.similarity import unit


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def circle(phase, rng, noise=0.02, dim=6):
    """Rows on a closed curve in `dim` dimensions, at phases in [0, 1)."""
    turns = 2 * np.pi * np.asarray(phase)
    z = np.zeros((len(turns), dim))
    z[:, 0], z[:, 1], z[:, 2] = np.cos(turns), np.sin(turns), 0.5 * np.sin(2 * turns)
    return z + noise * rng.normal(size=z.shape) / np.sqrt(dim)


@pytest.mark.parametrize("k", [1, 3])
def test_scores_are_the_distance_to_the_kth_nearest(rng, k):
    z, normal = rng.normal(size=(57, 9)), 7 * rng.normal(size=(83, 9))
    apart = np.linalg.norm(unit(z)[:, None] - unit(normal)[None], axis=2)
    scores, nearest = anomaly.anomaly_scores(z, normal, k)
    np.testing.assert_allclose(scores, np.sort(apart, axis=1)[:, k - 1], atol=1e-5)
    np.testing.assert_array_equal(nearest, apart.argmin(1))
    cosine, _ = anomaly.anomaly_scores(z, normal, k, metric="cosine")
    np.testing.assert_allclose(cosine, scores**2 / 2, atol=1e-6)


def test_a_row_of_the_reference_has_score_zero_and_one_of_nan_none(rng):
    normal = rng.normal(size=(40, 64))
    z = np.concatenate([3 * normal[5:7], np.full((1, 64), np.nan)])
    scores, nearest = anomaly.anomaly_scores(z, normal)
    assert scores[:2].max() < 1e-6
    assert nearest.tolist() == [5, 6, -1]
    assert np.isnan(scores[2])
    with pytest.raises(ValueError, match="k is 41"):
        anomaly.anomaly_scores(z, normal, k=41)


def test_planted_anomalies_rank_first(rng):
    normal = circle(rng.random(500), rng)
    z = circle(rng.random(300), rng)
    z[100:110, 4] += 1.0
    scores, _ = anomaly.anomaly_scores(z, normal)
    planted = np.zeros(300, bool)
    planted[100:110] = True
    assert set(np.argsort(scores)[-10:]) == set(range(100, 110))
    assert anomaly.average_precision(scores, planted) == 1.0
    assert anomaly.auroc(scores, planted) == 1.0


def test_the_phase_tells_a_normal_look_at_the_wrong_moment(rng):
    normal_phase = np.arange(600) / 60 % 1
    phase = np.arange(300) / 60 % 1
    looks = phase.copy()
    looks[130:140] = (looks[130:140] + 0.5) % 1  # a step of the cycle done at the wrong time
    normal, z = circle(normal_phase, rng), circle(looks, rng)
    wrong = looks != phase
    plain, _ = anomaly.anomaly_scores(z, normal)
    aware, nearest = anomaly.phase_aware_scores(z, phase, normal, normal_phase, width=0.1)
    assert plain[wrong].max() < 0.05
    assert anomaly.auroc(aware, wrong) == 1.0
    assert aware[wrong].min() > 0.5
    assert np.abs((normal_phase[nearest] - phase + 0.5) % 1 - 0.5).max() <= 0.1 + 1e-9
    np.testing.assert_allclose(aware[~wrong], plain[~wrong], atol=0.02)


def test_phases_meet_around_the_circle_and_rows_without_one_meet_all(rng):
    z = rng.normal(size=(4, 5))
    normal = rng.normal(size=(30, 5))
    normal_phase = np.concatenate([np.full(15, 0.98), np.full(15, 0.5)])
    phase = np.array([0.03, 0.55, np.nan, 0.25])
    scores, nearest = anomaly.phase_aware_scores(z, phase, normal, normal_phase)
    all_scores, all_nearest = anomaly.anomaly_scores(z, normal)
    apart = np.linalg.norm(unit(z)[:, None] - unit(normal)[None], axis=2)
    assert nearest[0] == apart[0, :15].argmin()
    assert nearest[1] == 15 + apart[1, 15:].argmin()
    np.testing.assert_array_equal(nearest[2:], all_nearest[2:])
    np.testing.assert_allclose(scores[2:], all_scores[2:])


def test_the_expected_phase_goes_on_where_the_look_jumps():
    true = np.arange(200) / 21 % 1
    looks = true.copy()
    looks[100:105] = (looks[100:105] + 0.4) % 1
    looks[:3] = np.nan
    expected = anomaly.expected_phase(looks, 20)  # the tempo is known roughly
    off = np.abs((expected - true + 0.5) % 1 - 0.5)
    assert np.isnan(expected[:3]).all()
    assert np.nanmax(off) < 0.08


def test_the_reference_is_scored_without_what_is_near_in_time(rng):
    z = rng.normal(size=(40, 6))
    video, row = np.repeat([0, 1], 20), np.tile(np.arange(20), 2)
    apart = np.linalg.norm(unit(z)[:, None] - unit(z)[None], axis=2)
    close = (video[:, None] == video) & (np.abs(row[:, None] - row) <= 5)
    scores, nearest = anomaly.left_out_scores(z, video, row, gap=5)
    np.testing.assert_allclose(scores, np.where(close, np.inf, apart).min(1), atol=1e-5)
    np.testing.assert_array_equal(nearest, np.where(close, np.inf, apart).argmin(1))
    alone, none = anomaly.left_out_scores(z[:4], video[:4], row[:4], gap=5)
    assert np.isnan(alone).all() and (none == -1).all()


def test_smoothing_is_a_centred_mean_of_what_is_there():
    scores = np.array([1.0, 2.0, 6.0, np.nan, 4.0, 0.0])
    want = [1.5, 3.0, 4.0, np.nan, 2.0, 2.0]
    np.testing.assert_allclose(anomaly.smooth(scores, 3), want)
    np.testing.assert_allclose(anomaly.smooth(scores, 2), want)  # rounded up to an odd number
    np.testing.assert_allclose(anomaly.smooth(scores, 1), scores)
    np.testing.assert_allclose(anomaly.smooth(np.arange(9.0), 100), np.full(9, 4.0))


def test_measures_are_those_of_scikit_learn(rng):
    for _ in range(20):
        abnormal = rng.random(70) < 0.3
        abnormal[0] = True
        scores = np.round(rng.normal(size=70) + abnormal, 1)  # with ties
        assert anomaly.average_precision(scores, abnormal) == pytest.approx(
            metrics.average_precision_score(abnormal, scores)
        )
        assert anomaly.auroc(scores, abnormal) == pytest.approx(
            metrics.roc_auc_score(abnormal, scores)
        )
        each = {t: metrics.f1_score(abnormal, scores >= t) for t in np.unique(scores)}
        f1, threshold = anomaly.best_f1(scores, abnormal)
        assert f1 == pytest.approx(max(each.values()))
        assert f1 == pytest.approx(each[threshold])
        rates = anomaly.f1_at(scores, abnormal, 0.5)
        assert rates.f1 == pytest.approx(metrics.f1_score(abnormal, scores >= 0.5))
        assert rates.precision == pytest.approx(metrics.precision_score(abnormal, scores >= 0.5))
        assert rates.recall == pytest.approx(metrics.recall_score(abnormal, scores >= 0.5))
        assert rates.false_positive_rate == pytest.approx((scores[~abnormal] >= 0.5).mean())


def test_measures_without_truth_are_nan():
    scores, none = np.arange(4.0), np.zeros(4, bool)
    assert np.isnan(anomaly.average_precision(scores, none))
    assert np.isnan(anomaly.auroc(scores, none))
    assert np.isnan(anomaly.best_f1(scores, none)).all()
    rates = anomaly.f1_at(scores, none, 10.0)
    assert np.isnan([rates.precision, rates.recall, rates.f1]).all()
    assert rates.false_positive_rate == 0


def test_rows_without_a_score_are_left_out(rng):
    scores, abnormal = rng.random(30), rng.random(30) < 0.5
    holes = np.concatenate([scores, [np.nan, np.nan]])
    truth = np.concatenate([abnormal, [True, False]])
    assert anomaly.auroc(holes, truth) == anomaly.auroc(scores, abnormal)
    assert anomaly.f1_at(holes, truth, 0.5) == anomaly.f1_at(scores, abnormal, 0.5)


@pytest.mark.parametrize("k", [1, 5])
def test_knn_f1_is_that_of_scikit_learn(rng, k):
    from sklearn.neighbors import KNeighborsClassifier

    kinds = np.array([None, "normal", "jam", "tilted"], dtype=object)
    centres = unit(rng.normal(size=(4, 8)))
    a, b = rng.integers(0, 4, 200), rng.integers(0, 4, 90)
    bank, z = (unit(centres[i] + 0.5 * rng.normal(size=(len(i), 8))) for i in (a, b))
    names = np.array(["normal", "normal", "jam", "tilted"])
    votes = KNeighborsClassifier(k).fit(bank, names[a]).kneighbors(z)[1]
    said = []
    for row in names[a][votes]:
        found, first, counts = np.unique(row, return_index=True, return_counts=True)
        said.append(found[np.lexsort((first, -counts))[0]])
    macro, binary = anomaly.knn_f1(z, bank, kinds[a], kinds[b], k)
    assert macro == pytest.approx(metrics.f1_score(names[b], said, average="macro"))
    assert binary == pytest.approx(
        metrics.f1_score(names[b] != "normal", np.array(said) != "normal")
    )
    as_bool = anomaly.knn_f1(z, bank, names[a] != "normal", names[b] != "normal", k)
    assert as_bool[0] <= 1 and as_bool[1] > 0


def test_knn_f1_lets_vote_whom_a_rule_allows():
    z, kinds = np.eye(3), ["jam", "jam", None]
    assert anomaly.knn_f1(z, z, kinds, kinds, 1) == (1, 1)
    strangers = anomaly.knn_f1(z, z, kinds, kinds, 2, lambda i, j: i != j)
    alone = anomaly.knn_f1(z, z, kinds, kinds, 2, lambda i, j: (i < 2) & (j < 2))
    assert strangers[1] < 1 and alone == (1, 1)
    assert np.isnan(anomaly.knn_f1(z, z, kinds, kinds, 1, lambda i, j: i > 9)).all()


def test_what_counts_as_normal():
    labels = [None, float("nan"), "background", "normal", "jam", False, True]
    assert anomaly.is_abnormal(labels).tolist() == [False] * 4 + [True, False, True]
    assert anomaly.is_abnormal(np.array([True, False])).tolist() == [True, False]


def test_alarms_are_unbroken_rows_joined_and_long_enough():
    scores = np.array([0, 3, 3, 0, 3, 0, 0, 3, np.nan, 0, 0, 3.0])
    assert anomaly.alarms(scores, 3).tolist() == [[1, 3], [4, 5], [7, 8], [11, 12]]
    assert anomaly.alarms(scores, 3, join=1).tolist() == [[1, 5], [7, 8], [11, 12]]
    assert anomaly.alarms(scores, 3, join=2).tolist() == [[1, 8], [11, 12]]
    assert anomaly.alarms(scores, 3, join=1, shortest=2).tolist() == [[1, 5]]
    assert anomaly.alarms(scores, 4).shape == (0, 2)
    assert anomaly.alarms(np.array([]), 4).shape == (0, 2)


def test_events_are_noticed_late_or_missed():
    events = np.array([[10, 20], [30, 40], [50, 60], [70, 80]])
    found = np.array([[2, 4], [8, 12], [33, 35], [38, 41], [60, 62], [79, 90]])
    scored = anomaly.event_scores(found, events)
    assert scored.recall == 0.75
    np.testing.assert_array_equal(scored.delays, [0, 3, np.nan, 9])
    assert scored.delay == 4
    assert scored.false_alarms == 2
    nothing = anomaly.event_scores(np.empty((0, 2), int), events)
    assert (nothing.recall, nothing.false_alarms) == (0, 0) and np.isnan(nothing.delay)
    assert anomaly.event_scores(found, np.empty((0, 2))).false_alarms == 6


def process(seconds, rng):
    """Scores of normal video, two a second, that go up and down slowly."""
    raw = rng.normal(size=2 * seconds + 20)
    return 0.3 + 0.05 * anomaly.smooth(raw, 7)[10:-10]


@pytest.mark.parametrize(("join", "shortest"), [(0, 1), (4, 2)])
def test_a_budget_seen_is_honoured_on_held_out_normal_video(rng, join, shortest):
    per_hour = []
    for _ in range(30):
        budget = anomaly.threshold_for(process(3600, rng), 0.5, 6, join, shortest)
        assert (budget.allowed, budget.resolution, budget.extrapolated) == (6, 1.0, False)
        held_out = process(5 * 3600, rng)
        per_hour.append(len(anomaly.alarms(held_out, budget.threshold, join, shortest)) / 5)
    assert 5 < np.mean(per_hour) < 7.2
    assert np.max(per_hour) < 15


def test_a_budget_below_the_resolution_is_drawn_out_and_says_so(rng):
    per_hour = []
    for _ in range(30):
        normal = process(600, rng)
        budget = anomaly.threshold_for(normal, 0.5, 1)
        assert budget.extrapolated and budget.allowed == 0
        assert budget.resolution == pytest.approx(6)
        assert not len(anomaly.alarms(normal, budget.threshold))
        per_hour.append(len(anomaly.alarms(process(5 * 3600, rng), budget.threshold)) / 5)
    assert np.median(per_hour) < 1.5
    assert np.mean(per_hour) < 4  # below the 6 that lie at the top of what was seen


def test_a_threshold_lets_exactly_the_allowed_alarms_through(rng):
    for _ in range(200):
        scores = np.round(rng.random(int(rng.integers(2, 40))), 1)
        join, shortest = int(rng.integers(0, 4)), int(rng.integers(1, 4))
        hours = len(scores) / 3600
        allowed = int(rng.integers(1, 5))
        budget = anomaly.threshold_for(scores, 1.0, allowed / hours, join, shortest)
        had = len(anomaly.alarms(scores, budget.threshold, join, shortest))
        assert had == budget.allowed <= allowed


def test_recordings_are_not_joined_and_gaps_have_no_alarms():
    one = np.array([0.1, 0.2, 0.9])
    apart = anomaly.threshold_for([one, one[::-1]], 900.0, 2 / 1.5)
    assert (apart.threshold, apart.allowed, apart.hours) == (0.9, 2, 1.5)
    together = anomaly.threshold_for(np.concatenate([one, one[::-1]]), 900.0, 1 / 1.5)
    assert (together.threshold, together.allowed) == (0.9, 1)
    flat = anomaly.threshold_for(np.full(10, 0.5), 1.0, 1)
    assert flat.threshold > 0.5
    with pytest.raises(ValueError, match="needs scores"):
        anomaly.threshold_for(np.full(3, np.nan), 1.0, 1)
