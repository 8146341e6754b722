"""Cases counted by hand, and scikit-learn as a second opinion."""

import numpy as np
import pytest
from sklearn import metrics

from workbench.analysis.detection import (
    accuracy,
    actions_of,
    average_precision,
    balanced_accuracy,
    confusion,
    errors,
    latency,
    majority,
    mean_average_precision,
    newest_finished,
    precision_recall,
    summarise,
)


def test_majority_and_its_ties():
    assert majority(["a", "b", "b"]) == "b"
    assert majority(["b", "a", "a", "b"]) == "b"  # two each: b came first
    assert majority([None, None, "a"]) is None


def test_a_frame_has_the_newest_finished_chunk():
    # chunks [0, 4), [2, 6), [4, 8): known at frames 3, 5 and 7
    found = newest_finished(np.array([4, 6, 8]), 10)
    assert list(found) == [-1, -1, -1, 0, 0, 1, 1, 2, 2, 2]
    assert list(newest_finished(np.array([], int), 3)) == [-1, -1, -1]


TRUTH = np.array([0, 0, 0, 1, 1, 2])
SAID = np.array([0, 0, 1, 1, 0, 1])


def test_scores_counted_by_hand():
    counts = confusion(TRUTH, SAID, 4)
    assert counts.tolist() == [[2, 1, 0, 0], [1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]]
    assert accuracy(TRUTH, SAID) == 0.5
    precision, recall = precision_recall(counts)
    np.testing.assert_allclose(precision, [2 / 3, 1 / 3, np.nan, np.nan])
    np.testing.assert_allclose(recall, [2 / 3, 1 / 2, 0, np.nan])
    assert balanced_accuracy(counts) == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)


def test_average_precision_by_hand():
    relevant = np.array([True, False, True, False])
    # precision 1 at recall 1/2, 2/3 at recall 1
    assert average_precision(relevant, np.array([4, 3, 2, 1.0])) == pytest.approx(1 / 2 + 1 / 3)
    # the three best are one threshold: 2 of 3
    assert average_precision(relevant, np.array([4, 4, 4, 1.0])) == pytest.approx(2 / 3)
    assert np.isnan(average_precision(relevant & False, np.ones(4)))
    assert np.isnan(average_precision(np.zeros(0, bool), np.zeros(0)))


def test_absent_classes_do_not_count():
    scores = np.array([[0.9, 0.1, 0.5], [0.2, 0.8, 0.5], [0.3, 0.7, 0.5]])
    mean, each = mean_average_precision(np.array([0, 1, 1]), scores)
    assert mean == 1.0 and np.isnan(each[2])


@pytest.mark.parametrize("seed", range(5))
def test_scikit_learn_agrees(seed):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 4, 200)
    scores = rng.dirichlet(np.ones(4), 200).round(1 + seed)  # few digits: many ties
    said = scores.argmax(1)
    counts = confusion(truth, said, 4)
    assert np.array_equal(counts, metrics.confusion_matrix(truth, said))
    assert accuracy(truth, said) == metrics.accuracy_score(truth, said)
    assert balanced_accuracy(counts) == pytest.approx(metrics.balanced_accuracy_score(truth, said))
    precision, recall = precision_recall(counts)
    theirs = metrics.precision_recall_fscore_support(truth, said, zero_division=np.nan)
    np.testing.assert_allclose(precision, theirs[0])
    np.testing.assert_allclose(recall, theirs[1])
    mean, each = mean_average_precision(truth, scores)
    ours = [metrics.average_precision_score(truth == c, scores[:, c]) for c in range(4)]
    np.testing.assert_allclose(each, ours)
    assert mean == pytest.approx(np.mean(ours))
    one_hot = np.eye(4)[truth]
    assert mean == pytest.approx(metrics.average_precision_score(one_hot, scores, average="macro"))


def test_latency_is_counted_from_the_start_of_the_action():
    starts, stops = np.array([0, 5, 10, 15, 20]), np.array([8, 13, 18, 23, 28])
    actions = np.array([[4, 14, 1], [14, 28, 2]])
    truth = np.array([0, 1, 1, 2, 2])
    found = latency(actions, starts, stops, truth, np.array([1, 0, 1, 0, 2]))
    # the first chunk says 1 too early; of action 1 the third chunk is right, of 2 the last
    assert found.frames.tolist() == [18 - 4, 28 - 14]
    assert (found.median, found.mean, found.undetected) == (14, 14, 0)
    missed = latency(actions, starts, stops, truth, np.array([0, 1, 0, 1, 1]))
    assert missed.frames[0] == 13 - 4 and np.isnan(missed.frames[1]) and missed.undetected == 1
    assert missed.median == missed.mean == 9


def test_without_actions_there_is_no_latency():
    none = np.zeros(0)
    found = latency(np.zeros((0, 3)), none, none, none, none)
    assert len(found.frames) == 0 and np.isnan(found.median) and found.undetected == 0
    together = summarise(np.array([3, np.nan, 5, 10]))
    assert (together.median, together.mean, together.undetected) == (5, 6, 1)


def test_errors_are_sorted_by_kind():
    truth = np.array([0, 0, 1, 1, 2, 2])
    said = np.array([0, 1, 0, 1, 1, 0])
    straddles = np.array([1, 1, 0, 1, 0, 0], bool)
    found = errors(truth, said, 0, straddles)
    assert (found.total, found.missed, found.invented, found.swapped) == (4, 2, 1, 1)
    assert (found.boundary, found.straddling) == (3 / 4, 1 / 4)
    assert np.isnan(errors(truth, truth, 0, straddles).boundary)


def test_actions_are_unbroken_rows_of_a_class():
    frames = np.array([0, 0, 1, 1, 1, 2, -1, -1, 2, 0, 1])
    expected = [[2, 5, 1], [5, 6, 2], [8, 9, 2], [10, 11, 1]]
    assert actions_of(frames, 0).tolist() == expected
    assert len(actions_of(frames[:2], 0)) == 0 and len(actions_of(frames[:0])) == 0
