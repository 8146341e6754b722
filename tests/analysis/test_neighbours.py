import faiss
import numpy as np
import pytest

from workbench.analysis import neighbours
from workbench.analysis.neighbours import apart, both, knn, other, self_knn
from workbench.analysis.similarity import unit


def brute(z, k, allowed=None):
    """The definition, in float64."""
    z = z / np.linalg.norm(z, axis=1, keepdims=True)
    scores = z.astype(float) @ z.astype(float).T
    np.fill_diagonal(scores, -np.inf)
    if allowed is not None:
        scores[~allowed] = -np.inf
    ids = np.argsort(-scores, axis=1)[:, :k]
    scores = np.take_along_axis(scores, ids, 1)
    return scores, np.where(np.isfinite(scores), ids, -1)


@pytest.fixture
def z():
    rng = np.random.default_rng(0)
    return (
        rng.normal(size=(6, 16))[rng.integers(6, size=700)] + rng.normal(size=(700, 16))
    ).astype(np.float32)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """So that 700 rows are many blocks, the last of them partly filled."""
    monkeypatch.setattr(neighbours, "BLOCK", 128)


def test_self_knn_is_what_faiss_finds(z):
    index = faiss.IndexFlatIP(z.shape[1])
    index.add(unit(z))
    scores, ids = index.search(unit(z), 11)
    mine = self_knn(z, 10)
    np.testing.assert_array_equal(ids[:, 0], np.arange(len(z)))
    np.testing.assert_array_equal(mine[1], ids[:, 1:])
    np.testing.assert_allclose(mine[0], scores[:, 1:], atol=1e-6)


@pytest.mark.parametrize("k", [1, 10, 40])
def test_self_knn_is_what_brute_force_finds(z, k):
    scores, ids = brute(z, k)
    mine = self_knn(z, k)
    np.testing.assert_array_equal(mine[1], ids)
    np.testing.assert_allclose(mine[0], scores, atol=1e-6)


def test_knn_of_other_queries_is_what_faiss_finds(z):
    queries, bank = z[:300], z[300:]
    index = faiss.IndexFlatIP(z.shape[1])
    index.add(unit(bank))
    np.testing.assert_array_equal(knn(queries, bank, 7)[1], index.search(unit(queries), 7)[1])
    np.testing.assert_array_equal(knn(queries[:1], bank, 7)[1], knn(queries, bank, 7)[1][:1])


@pytest.mark.parametrize("window", [0, 3, 50])
def test_rows_near_in_time_are_excluded(window):
    # a slow walk: the nearest rows of each are its neighbours in time
    rng = np.random.default_rng(1)
    z = np.cumsum(rng.normal(size=(600, 8)), axis=0)
    video, frame = np.repeat(["a", "b", "c"], 200), np.tile(np.arange(200) * 2, 3)
    allowed = (video[:, None] != video) | (abs(frame[:, None] - frame) > window)
    mine = self_knn(z, 5, apart(video, frame, window))
    scores, ids = brute(z, 5, allowed)
    np.testing.assert_allclose(mine[0], scores, atol=1e-6)
    assert np.mean(mine[1] == ids) > 0.999  # the rest are equal in float32
    near = (video[mine[1]] == video[:, None]) & (abs(frame[mine[1]] - frame[:, None]) <= window)
    assert not near.any()


def test_exact_when_the_rule_excludes_nearly_all(z):
    # in order of similarity to one row: the excluded are the most similar
    z = z[np.argsort(unit(z) @ unit(z)[0])]
    recording = np.repeat([0, 1], [680, 20])
    scores, ids = brute(z, 10, recording[:, None] != recording)
    mine = self_knn(z, 10, other(recording))
    np.testing.assert_array_equal(mine[1], ids)
    np.testing.assert_allclose(mine[0], scores, atol=1e-6)


def test_rules_combine(z):
    recording, camera = np.arange(700) // 70, np.arange(700) % 4
    allowed = (recording[:, None] != recording) & (camera[:, None] != camera)
    mine = self_knn(z, 10, both(other(recording), other(camera)))
    np.testing.assert_array_equal(mine[1], brute(z, 10, allowed)[1])


def test_rules_between_queries_and_bank(z):
    groups = np.arange(700) % 3
    mine = knn(z[:200], z, 10, other(groups[:200], groups))
    allowed = groups[:, None] != groups
    np.testing.assert_array_equal(mine[1], brute(z, 10, allowed)[1][:200])


def test_fewer_rows_than_k_are_marked():
    scores, ids = self_knn(np.eye(3), 5)
    np.testing.assert_array_equal(ids[0], [1, 2, -1, -1, -1])
    assert np.isneginf(scores[:, 2:]).all() and (scores[:, :2] == 0).all()
    scores, ids = self_knn(np.eye(3), 2, other(np.zeros(3)))
    assert (ids == -1).all() and np.isneginf(scores).all()


def test_no_rows():
    empty = np.empty((0, 4), np.float32)
    assert self_knn(empty, 3)[1].shape == (0, 3)
    assert (knn(np.ones((2, 4)), empty, 3)[1] == -1).all()


def test_equal_rows_are_all_found_once():
    # 300 copies of each of two points: every neighbour has cosine 1 and none comes twice
    z = np.repeat([[1.0, 0.0], [0.0, 1.0]], 300, axis=0)
    scores, ids = self_knn(z, 20)
    np.testing.assert_allclose(scores, 1)
    assert all(len(set(row)) == 20 for row in ids)
    assert (ids // 300 == np.arange(600)[:, None] // 300).all()
    assert (ids != np.arange(600)[:, None]).all()


def test_same_answer_twice(z):
    np.testing.assert_array_equal(self_knn(z, 5)[1], self_knn(z, 5)[1])
