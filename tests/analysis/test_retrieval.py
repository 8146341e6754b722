import numpy as np
import pytest

from workbench.analysis.neighbours import other
from workbench.analysis.retrieval import centred, fused, recall


def groups(rng, n, classes=4, dim=12, noise=0.6, axis=None):
    labels = np.arange(n) % classes
    z = np.eye(dim)[labels] + noise * rng.standard_normal((n, dim))
    return z.astype(np.float32), np.array([f"c{k}" for k in labels], object)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def naive(q, ql, b, bl, k):
    cos = (q / np.linalg.norm(q, axis=1, keepdims=True)) @ (
        b / np.linalg.norm(b, axis=1, keepdims=True)
    ).T
    hits = [any(bl[j] == ql[i] for j in np.argsort(-cos[i])[:k]) for i in range(len(q))]
    return np.mean(hits), cos


def test_recall_is_that_of_a_plain_loop(rng):
    (q, ql), (b, bl) = groups(rng, 30), groups(rng, 50)
    found = recall(q, ql, b, bl, (1, 5, 10))
    for k in (1, 5, 10):
        assert found.at(k) == pytest.approx(naive(q, ql, b, bl, k)[0])
    _, cos = naive(q, ql, b, bl, 1)
    assert (found.ids[:, 0] == cos.argmax(1)).all()
    assert found.scores[:, 0] == pytest.approx(cos.max(1), abs=1e-5)
    assert (found.right[:, 0] == (bl[found.ids[:, 0]] == ql)).all()
    mean = (found.per_class * found.counts[:, None]).sum(0) / found.counts.sum()
    assert mean == pytest.approx(found.value) and found.classes == ("c0", "c1", "c2", "c3")


def test_chance_is_what_random_features_reach(rng):
    b, bl = rng.standard_normal((40, 8)), groups(rng, 40)[1]
    q, ql = rng.standard_normal((4000, 8)), groups(rng, 4000)[1]
    found = recall(q, ql, b, bl, (1, 5, 40))
    assert found.chance[0] == pytest.approx(0.25)
    assert found.chance[1] == pytest.approx(1 - np.prod([(30 - i) / (40 - i) for i in range(5)]))
    assert found.value[2] == found.chance[2] == 1
    assert found.value == pytest.approx(found.chance, abs=0.06)


def test_centring_takes_away_what_all_share(rng):
    z, labels = groups(rng, 60, noise=0.1)
    shift = np.zeros(12)
    shift[11] = 30.0
    assert centred(z).mean(0) == pytest.approx(np.zeros(12), abs=0.05)
    assert np.linalg.norm(centred(z), axis=1) == pytest.approx(np.ones(60), abs=1e-5)
    # what hides the classes in the cosine is gone once each split has its own mean taken away
    q, b = z[:20] + shift, z[20:] - shift
    assert recall(centred(q), labels[:20], centred(b), labels[20:], (1,)).at(1) == 1


def test_a_video_counts_in_the_mean_as_much_as_its_windows_agree():
    z = np.array([[4.0, 0.0], [0.0, 2.0], [0.0, 0.0]])
    left = z - [4 / 3, 2 / 3]
    assert centred(z) == pytest.approx(left / np.linalg.norm(left, axis=1, keepdims=True))


def test_fused_ranks_by_the_sum_of_the_similarities(rng):
    rgb_q, rgb_b, flow_q, flow_b = (
        rng.standard_normal(s) for s in ((9, 5), (20, 5), (9, 7), (20, 7))
    )
    labels = np.array(["a", "b"] * 10, object)
    found = recall(fused(rgb_q, flow_q), labels[:9], fused(rgb_b, flow_b), labels, (20,))
    total = naive(rgb_q, labels, rgb_b, labels, 1)[1] + naive(flow_q, labels, flow_b, labels, 1)[1]
    assert (found.ids == np.argsort(-total, axis=1)).all()
    assert found.scores == pytest.approx(-np.sort(-total / 2, axis=1), abs=1e-5)
    with pytest.raises(ValueError, match="streams of 9 and 20 rows"):
        fused(rgb_q, flow_b)


def test_unknown_classes_are_neither_judged_nor_right(rng):
    (q, ql), (b, bl) = groups(rng, 8, noise=0), groups(rng, 16, noise=0)
    ql[:2], bl[1] = None, np.nan
    found = recall(q, ql, b, bl, (1, 3))
    assert found.judged.sum() == 6 and found.counts.sum() == 6 and not found.right[:2].any()
    assert found.ids[1, 0] == 1 and found.at(3) == 1


def test_one_may_forbid_neighbours(rng):
    z, labels = groups(rng, 20, noise=0.01)
    takes = np.arange(20) // 4
    found = recall(z, labels, z, labels, (1,), other(takes))
    assert found.at(1) == 1 and (takes[found.ids[:, 0]] != takes).all()
    alone = recall(z, labels, z, labels, (1,), lambda i, j: np.broadcast_to(False, (i + j).shape))
    assert (alone.ids == -1).all() and alone.at(1) == 0


def test_what_cannot_be_judged_is_said(rng):
    z, labels = groups(rng, 10)
    with pytest.raises(ValueError, match="R@50 looks at the 50 nearest rows and the bank has 10"):
        recall(z, labels, z, labels, (1, 50))
    with pytest.raises(ValueError, match="0 of 10 queries"):
        recall(z, [None] * 10, z, labels, (1,))
    with pytest.raises(ValueError, match="at least 1; found 0"):
        recall(z, labels, z, labels, (0, 1))
