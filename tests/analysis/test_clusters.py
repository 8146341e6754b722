from itertools import pairwise

import numpy as np
import pytest
from scipy.sparse.csgraph import connected_components
from sklearn.metrics import pairwise_distances

from workbench.analysis import clusters
from workbench.analysis.clusters import cluster_scores, finch, finch_into, kmeans
from workbench.analysis.similarity import unit


def naive(z, metric):
    """FINCH as its paper writes it: all distances, the adjacency matrix of its equation 1."""
    rows, out, longest = z.astype(np.float64), [], np.inf
    while True:
        d = pairwise_distances(rows, metric=metric)
        np.fill_diagonal(d, np.inf)
        k = d.argmin(axis=1)
        i = np.arange(len(rows))
        linked = (k[:, None] == i) | (i[:, None] == k) | (k[:, None] == k)
        np.fill_diagonal(linked, False)
        if not out:
            longest = d[linked].max()
        linked &= d <= longest + 1e-12
        n, labels = connected_components(linked, directed=False)
        if out and (n == 1 or n == len(rows)):
            return out
        out.append(labels if not out else labels[out[-1]])
        if n == 1 or (len(out) > 1 and len(rows) - n == 1):
            return out
        rows = np.array([z[out[-1] == c].mean(axis=0, dtype=np.float64) for c in range(n)])


def planted(groups=6, size=20, d=16, spread=0.05, seed=0):
    """Rows around `groups` directions that are orthogonal to each other, shuffled."""
    rng = np.random.default_rng(seed)
    truth = rng.permutation(np.repeat(np.arange(groups), size))
    return np.eye(d)[truth] + spread * rng.normal(size=(len(truth), d)), truth


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("seed", range(3))
def test_finch_is_what_all_distances_and_the_adjacency_matrix_say(metric, seed, monkeypatch):
    monkeypatch.setattr(clusters, "BLOCK", 17)  # several blocks, the last one not full
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(150, 5)).astype(np.float32)
    found, truth = finch(z, metric), naive(z, metric)
    assert len(found) == len(truth) > 1
    assert all(np.array_equal(a, b) for a, b in zip(found, truth, strict=True))


def test_equally_near_rows_are_settled_by_their_number_whatever_the_blocks(monkeypatch):
    grid = np.stack(np.meshgrid(np.arange(9), np.arange(7)), axis=-1).reshape(-1, 2)
    z = np.random.default_rng(0).permutation(grid).astype(np.float32)
    whole = finch(z, "euclidean")
    monkeypatch.setattr(clusters, "BLOCK", 10)
    assert np.array_equal(whole[0], naive(z, "euclidean")[0])
    assert np.array_equal(finch(z, "euclidean")[0], whole[0])


def test_equal_rows_are_neighbours():
    z = np.repeat(np.random.default_rng(0).normal(size=(5, 8)), 4, axis=0)
    assert np.array_equal(finch(z)[0], np.repeat(np.arange(5), 4))
    assert np.array_equal(finch(np.ones((30, 4)))[0], np.zeros(30))


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_planted_groups_are_a_partition_and_the_last_one(metric):
    z, truth = planted()
    found = finch(z, metric)
    assert cluster_scores(found[-1], truth).ari == 1
    for fine, coarse in pairwise(found):  # nested, and fewer
        pairs = set(zip(fine.tolist(), coarse.tolist(), strict=True))
        assert len(pairs) == fine.max() + 1 > coarse.max() + 1
    sizes = np.unique(found[0], return_counts=True)[1]
    assert sizes.min() >= 2  # everybody has a neighbour


def test_clusters_are_numbered_by_their_first_row():
    for partition in finch(planted()[0]):
        first = np.unique(partition, return_index=True)[1]
        assert np.array_equal(first, np.sort(first))


def test_no_link_is_longer_than_the_longest_of_the_first_round():
    """Four tight groups: two far from the other two, which would be drawn together otherwise."""
    within = np.arange(6)
    z = np.concatenate([at + within for at in (0, 100, 1000, 1100)])[:, None]
    found = finch(z, "euclidean")
    assert np.array_equal(found[-1], np.repeat(np.arange(4), 6))


def test_one_and_two_rows():
    assert [p.tolist() for p in finch(np.ones((1, 3)))] == [[0]]
    assert [p.tolist() for p in finch(np.eye(2))] == [[0, 0]]


def test_as_many_clusters_as_are_asked_for():
    z, truth = planted()
    assert cluster_scores(finch_into(z, 6), truth).ari == 1
    finest = finch(z)[0]
    for k in (1, 2, 5, 9, finest.max() + 1):
        found = finch_into(z, k)
        assert found.max() + 1 == k == len(np.unique(found))
        pairs = set(zip(finest.tolist(), found.tolist(), strict=True))
        assert len(pairs) == finest.max() + 1  # clusters are merged, none is cut
    with pytest.raises(ValueError, match=rf"500 clusters .* 1 to {finest.max() + 1} of these 120"):
        finch_into(z, 500)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_the_nearest_means_merge_first(metric):
    """Against merging one pair at a time from a table of all distances."""
    z = np.random.default_rng(3).normal(size=(80, 6)).astype(np.float32)
    partition = next(p for p in reversed(finch(z, metric)) if p.max() + 1 >= 4)
    labels = partition.copy()
    while len(np.unique(labels)) > 4:
        names = np.unique(labels)
        means = np.array([z[labels == c].mean(axis=0, dtype=np.float64) for c in names])
        d = pairwise_distances(means, metric=metric)
        np.fill_diagonal(d, np.inf)
        a, b = np.unravel_index(d.argmin(), d.shape)
        labels[labels == names[b]] = names[a]
    assert cluster_scores(finch_into(z, 4, metric), labels).ari == 1


@pytest.mark.parametrize(
    ("z", "metric", "message"),
    [
        (np.ones((3, 2)), "cosinus", "expected cosine or euclidean"),
        (np.ones(3), "cosine", r"got shape \(3,\)"),
        (np.ones((0, 3)), "cosine", "at least one"),
        (np.array([[1.0, np.nan], [1.0, 2.0]]), "cosine", "1 of 2 rows"),
    ],
)
def test_what_cannot_be_clustered_is_refused(z, metric, message):
    with pytest.raises(ValueError, match=message):
        finch(z, metric)


def test_scores_of_a_table_done_by_hand():
    """Clusters a (3 of x, 1 of y), b (2 of y), c (1 of x): matched are a with x and b with y."""
    found = np.array(list("aaaabbc"))
    true = np.array(list("xxxyyyx"))
    scores = cluster_scores(found, true)
    h = -(0.75 * np.log(0.75) + 0.25 * np.log(0.25))
    assert scores.accuracy == pytest.approx(5 / 7)
    assert scores.purity == pytest.approx((0.75 + 1 + 1) / 3)
    assert scores.entropy == pytest.approx(h / 3)
    assert scores.entropy_bits == pytest.approx(h / 3 / np.log(2))
    p = np.array([[3, 1], [0, 2], [1, 0]]) / 7
    with np.errstate(divide="ignore", invalid="ignore"):
        mutual = np.nansum(p * np.log(p / p.sum(1, keepdims=True) / p.sum(0)))
    mean = -sum((q * np.log(q)).sum() for q in (p.sum(0), p.sum(1))) / 2
    assert scores.nmi == pytest.approx(mutual / mean)
    pairs = lambda n: (n * (n - 1) / 2).sum()  # noqa: E731
    table = np.array([[3, 1], [0, 2], [1, 0]])
    both, rows, columns = pairs(table), pairs(table.sum(1)), pairs(table.sum(0))
    chance = rows * columns / 21
    assert scores.ari == pytest.approx((both - chance) / ((rows + columns) / 2 - chance))


def test_scores_at_their_ends():
    labels = np.repeat(np.arange(4), 5)
    right = cluster_scores(3 - labels, labels)
    assert (right.accuracy, right.nmi, right.ari, right.purity) == (1, pytest.approx(1), 1, 1)
    assert right.entropy == right.entropy_bits == 0
    one = cluster_scores(np.zeros(20), labels)
    assert one.accuracy == one.purity == 0.25
    assert one.nmi == pytest.approx(0) and one.ari == pytest.approx(0)
    assert one.entropy_bits == pytest.approx(2)
    alone = cluster_scores(np.arange(20), labels)  # a cluster each: pure, and hardly matched
    assert alone.purity == 1 and alone.accuracy == 4 / 20
    with pytest.raises(ValueError, match="3 clusters of rows and 2 labels"):
        cluster_scores(np.zeros(3), np.zeros(2))


def test_kmeans_finds_planted_groups_when_told_how_many():
    z, truth = planted()
    z *= np.random.default_rng(1).uniform(0.1, 10, len(z))[:, None]  # direction alone counts
    assert cluster_scores(kmeans(z, 6), truth).ari == 1
    assert np.array_equal(kmeans(unit(z), 6, seed=1), kmeans(unit(z), 6, seed=1))
    with pytest.raises(ValueError, match="there are 120 rows"):
        kmeans(z, 121)
