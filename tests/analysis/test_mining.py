from itertools import combinations

import numpy as np
import pytest

from workbench.analysis.mining import (
    class_mining_recall,
    draw_triplets,
    false_rates,
    triplet_false_rates,
)

LABELS = np.array(["dive"] * 4 + ["jump"] * 3 + ["run"] * 2, object)


def test_class_mining_recall_by_hand():
    anchor = [0, 0, 1, 1, 2, 4, 5, 7, 7, 8, 3]
    positive = [1, 2, 2, 3, 0, 5, 5, 4, 0, 8, 6]
    found = class_mining_recall(anchor, positive, LABELS)
    table = found.table.set_index("label")
    assert table["found"].to_dict() == {"dive": 4, "jump": 1, "run": 0}
    assert table["recall"].to_dict() == pytest.approx({"dive": 1, "jump": 1 / 3, "run": 0})
    assert list(found.table["label"]) == ["dive", "jump", "run"]
    assert found.median == pytest.approx(1 / 3) and found.complete == 1
    assert found.precision == pytest.approx(6 / 9)  # 5 -> 5 and 8 -> 8 tell nothing
    assert found.precision_chance == pytest.approx((6 + 3 + 1) / 36)


def test_chance_of_mining_is_that_of_random_pairs():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.array(["a", "b", "c", "d"], object), 25)
    found = []
    for _ in range(40):
        anchor, other = rng.integers(0, 100, 200), rng.integers(0, 99, 200)
        mined = class_mining_recall(anchor, other + (other >= anchor), labels)
        found.append((mined.table["recall"].mean(), mined.table["chance"].mean(), mined.precision))
    recall, chance, precision = np.mean(found, axis=0)
    assert recall == pytest.approx(chance, abs=0.02)
    assert precision == pytest.approx(mined.precision_chance, abs=0.02)


def test_unknown_classes_take_no_part_in_mining():
    labels = LABELS.copy()
    labels[0] = None
    found = class_mining_recall([0, 1, 1], [1, 0, 2], labels)
    assert found.precision == 1 and found.table.set_index("label").loc["dive", "instances"] == 3
    assert np.isnan(class_mining_recall([0], [0], LABELS).precision)
    with pytest.raises(ValueError, match="none of the 2 instances"):
        class_mining_recall([0], [1], [None, None])


def naive(clusters, labels):
    alike = apart = wrong_alike = wrong_apart = 0
    for i, j in combinations(range(len(labels)), 2):
        if clusters[i] == clusters[j]:
            alike, wrong_alike = alike + 1, wrong_alike + (labels[i] != labels[j])
        else:
            apart, wrong_apart = apart + 1, wrong_apart + (labels[i] == labels[j])
    return wrong_alike / alike, wrong_apart / apart


def test_false_rates_are_those_of_all_pairs():
    rng = np.random.default_rng(0)
    labels, clusters = rng.choice(list("abcd"), 60).astype(object), rng.integers(0, 9, 60)
    found = false_rates(clusters, labels)
    assert found[:2] == pytest.approx(naive(clusters, labels))
    perfect = false_rates(np.array([3, 3, 7, 7]), ["a", "a", "b", "b"])
    assert perfect[:2] == (0, 0) and perfect.positive_chance == pytest.approx(1 - 2 / 6)
    one = false_rates(np.zeros(4), ["a", "a", "b", "b"])
    assert one.positive == pytest.approx(4 / 6) and np.isnan(one.negative)
    labels[5] = None
    keep = np.arange(60) != 5
    assert false_rates(clusters, labels) == false_rates(clusters[keep], labels[keep])
    with pytest.raises(ValueError, match="1 of 2 rows have a class"):
        false_rates([0, 1], ["a", None])


def test_triplets_tend_to_the_rates_of_all_pairs():
    clusters = np.array([0, 0, 1, 1, 2, 2, 2, 2, 5])
    labels = np.array(["a", "b", "b", "b", "a", "a", "a", "b", "a"], object)
    a, p, n = draw_triplets(clusters, 4000, seed=1)
    assert (clusters[a] == clusters[p]).all() and (a != p).all() and 8 not in a
    assert (
        (clusters[a] != clusters[n]).all() and set(n) == set(range(9)) and set(p) == set(range(8))
    )
    found = triplet_false_rates(a, p, n, labels)
    others = [np.flatnonzero((clusters == clusters[i]) & (np.arange(9) != i)) for i in range(8)]
    wrong = [np.mean(labels[of] != labels[i]) for i, of in enumerate(others)]
    assert found.positive == pytest.approx(np.mean(wrong), abs=0.03)
    assert len(draw_triplets(np.zeros(4), 10)[0]) == len(draw_triplets(np.arange(4), 10)[0]) == 0
    again = draw_triplets(clusters, 4000, seed=1)
    assert all((x == y).all() for x, y in zip((a, p, n), again, strict=True))


def test_triplets_by_hand():
    found = triplet_false_rates([0, 0, 1], [1, 4, 1], [5, 2, 3], LABELS)
    assert found.positive == pytest.approx(1 / 2) and found.negative == pytest.approx(2 / 3)
    assert np.isnan(triplet_false_rates([0], [1], None, LABELS).negative)
