import numpy as np
import pytest

from workbench.analysis.prototypes import (
    UNKNOWN,
    assign,
    by_class,
    class_table,
    exemplars,
    graph,
    transitions,
    usage,
)


def scores_of(assigned, prototypes, strength=None):
    strength = np.ones(len(assigned)) if strength is None else strength
    scores = np.zeros((len(assigned), prototypes))
    scores[np.arange(len(assigned)), assigned] = strength
    return scores


def test_usage_counts_and_says_how_many_really_work():
    found = usage(scores_of([0, 0, 1, 3], 5))
    assert found.counts.tolist() == [2, 1, 0, 1, 0] and found.used == 3
    entropy = 0.5 * np.log(2) + 2 * 0.25 * np.log(4)
    assert found.effective == pytest.approx(np.exp(entropy))
    assert usage(scores_of([2] * 9, 5)).effective == 1
    assert usage(np.eye(7)).effective == pytest.approx(7)


def test_exemplars_are_the_highest_of_those_assigned():
    assigned = np.array([0, 0, 0, 2, 2, 0])
    strength = np.array([0.3, 0.9, 0.5, 0.4, 0.8, 0.9])
    found = exemplars(scores_of(assigned, 4, strength), 3)
    assert found.tolist() == [[1, 5, 2], [-1] * 3, [4, 3, -1], [-1] * 3]
    each = exemplars(scores_of(assigned, 4, strength), 3, ["a", "b", "a", "c", "c", "b"])
    assert each.tolist() == [[1, 2, -1], [-1] * 3, [4, -1, -1], [-1] * 3]
    with pytest.raises(ValueError, match="at least 1 exemplar"):
        exemplars(np.eye(3), 0)


def test_class_table_and_its_order():
    table = class_table(np.array([2, 2, 0, 2, 1]), ["b", "a", "b", "b", None], 4)
    assert list(table.columns) == ["a", "b", UNKNOWN]
    assert table.to_numpy().tolist() == [[0, 1, 0], [0, 0, 1], [1, 2, 0], [0, 0, 0]]
    assert by_class(table).tolist() == [2, 0, 1, 3]
    assert assign(np.array([[0.1, 0.7, 0.7]])).tolist() == [1]


def test_transitions_follow_time_within_recordings():
    counts = transitions([np.array([0, 0, 1, 2]), np.array([2, 1]), np.array([1])], 3)
    assert counts.tolist() == [[1, 1, 0], [0, 0, 1], [0, 1, 0]]
    cycle = transitions([np.tile([0, 1, 2], 10)], 3)
    edges = graph(cycle)
    assert [(e.source, e.target) for e in edges.itertuples()] == [(0, 1), (1, 2), (2, 0)]
    assert edges["share"].tolist() == [1, 1, 1] and len(graph(cycle, 10)) == 2
    assert len(graph(transitions([np.zeros(5)], 2))) == 0


def test_scores_without_prototypes_are_refused():
    with pytest.raises(ValueError, match=r"found \(5, 0\)"):
        usage(np.zeros((5, 0)))
