import tracemalloc

import numpy as np
import pytest
from scipy.special import gammaln, ive

from workbench.analysis.health import (
    Health,
    alignment,
    channel_std,
    collapsed,
    effective_rank,
    health,
    relative_std,
    spectrum,
    uniformity,
)

RNG = np.random.default_rng(0)
SPHERE = RNG.normal(size=(3000, 16))
ONE = np.tile(RNG.normal(size=(1, 16)), (300, 1))


def rotation(d):
    return np.linalg.qr(RNG.normal(size=(d, d)))[0]


def unit(z):
    return z / np.linalg.norm(z, axis=1, keepdims=True)


def even_uniformity(d, t):
    """Uniformity of the uniform distribution on the sphere in d dimensions.

    E exp(2t cos) over the sphere is Gamma(d/2) I_{d/2-1}(2t) / t^(d/2-1).
    """
    order = d / 2 - 1
    return -2 * t + gammaln(d / 2) + np.log(ive(order, 2 * t)) + 2 * t - order * np.log(t)


def test_alignment_of_the_same_the_opposite_and_the_unrelated():
    assert alignment(SPHERE, SPHERE) == 0
    assert alignment(SPHERE, -SPHERE) == pytest.approx(4, rel=1e-5)
    assert alignment(np.eye(4), np.roll(np.eye(4), 1, axis=0)) == pytest.approx(2)
    assert alignment(np.eye(4), np.roll(np.eye(4), 1, axis=0), alpha=1) == pytest.approx(2**0.5)


def test_alignment_compares_row_by_row():
    with pytest.raises(ValueError, match="row by row"):
        alignment(SPHERE[:3], SPHERE[:4])


@pytest.mark.parametrize("alpha", [1, 2, 3])
def test_alignment_is_that_of_its_authors(alpha):
    a, b = unit(SPHERE[:100]), unit(SPHERE[100:200])
    naive = (np.linalg.norm(a - b, axis=1) ** alpha).mean()
    assert alignment(a, b, alpha) == pytest.approx(naive, rel=1e-5)


@pytest.mark.parametrize("n", [2, 7, 1024, 1500])
@pytest.mark.parametrize("t", [0.5, 2, 400])
def test_uniformity_is_that_of_its_authors(n, t):
    z = unit(SPHERE[:n])
    i, j = np.triu_indices(n, 1)
    exponents = -t * ((z[i] - z[j]) ** 2).sum(axis=1)
    naive = exponents.max() + np.log(np.exp(exponents - exponents.max()).mean())
    assert uniformity(z, t) == pytest.approx(naive, rel=1e-4)


def test_uniformity_of_known_shapes():
    assert uniformity(ONE) == pytest.approx(0, abs=1e-5)
    assert uniformity(np.eye(5)) == pytest.approx(-4)  # all pairs sqrt(2) apart, t = 2
    assert np.isnan(uniformity(ONE[:1]))


@pytest.mark.parametrize("d", [2, 3, 16])
@pytest.mark.parametrize("t", [1, 2])
def test_uniformity_of_the_even_sphere(d, t):
    z = np.random.default_rng(1).normal(size=(3000, d))
    assert uniformity(z, t) == pytest.approx(even_uniformity(d, t), abs=0.03)


def test_many_vectors_are_compared_in_little_memory():
    z = RNG.normal(size=(20_000, 8)).astype(np.float32)
    tracemalloc.start()
    assert uniformity(z) == pytest.approx(even_uniformity(8, 2), abs=0.01)
    assert tracemalloc.get_traced_memory()[1] < 60e6  # all distances at once are 1.6 GB
    tracemalloc.stop()


@pytest.mark.parametrize("r", [1, 3, 16])
@pytest.mark.parametrize("shape", [(200, 40), (40, 200)])
def test_a_planted_rank_is_found(r, shape):
    n, d = shape
    z = rotation(n)[:, :r] @ rotation(d)[:r]  # r equal singular values
    assert effective_rank(z) == pytest.approx(r)
    assert (spectrum(z)[:r] == pytest.approx(1 / r)) and spectrum(z)[r:].sum() == 0
    assert len(spectrum(z)) == min(shape)


def test_rank_is_the_exponential_of_the_entropy():
    values = np.array([5.0, 3, 1, 0.5, 1e-3])
    z = rotation(30)[:, :5] * values @ rotation(5)
    p = values / values.sum()
    assert effective_rank(z) == pytest.approx(np.exp(-(p * np.log(p)).sum()))
    assert spectrum(z) == pytest.approx(p)
    naive = np.linalg.svd(SPHERE[:50], compute_uv=False)
    assert spectrum(SPHERE[:50]) == pytest.approx(naive / naive.sum())


def test_rank_of_one_vector_and_of_nothing():
    assert effective_rank(ONE) == pytest.approx(1)
    assert effective_rank(np.zeros((9, 4))) == 0
    assert effective_rank(np.eye(6)) == pytest.approx(6)


def test_channel_std_is_one_over_root_d_when_healthy_and_zero_when_not():
    assert channel_std(SPHERE) == pytest.approx(np.full(16, 1 / 4), rel=0.05)
    assert relative_std(SPHERE) == pytest.approx(1, rel=0.02)
    assert relative_std(ONE) == pytest.approx(0, abs=1e-6)
    dead = SPHERE * (np.arange(16) != 5)
    assert np.flatnonzero(channel_std(dead) < 1e-6).tolist() == [5]


def test_a_rotation_or_another_length_changes_nothing():
    z, turned = SPHERE[:300], 7 * SPHERE[:300] @ rotation(16)
    pairs = np.arange(150), np.arange(150, 300)
    before, after = health(z, pairs), health(turned, pairs)
    assert after.alignment == pytest.approx(before.alignment, rel=1e-4)
    assert after.uniformity == pytest.approx(before.uniformity, rel=1e-4)
    assert after.rank == pytest.approx(before.rank, rel=1e-4)
    assert np.isnan(health(z).alignment)


def test_healthy_features_are_not_called_collapsed():
    assert collapsed(health(SPHERE)) == ""
    assert collapsed(health(np.abs(SPHERE))) == ""  # as after ReLU
    assert collapsed(health(SPHERE), health(SPHERE)) == ""


def test_collapse_is_named():
    nearly = ONE + 1e-3 * RNG.normal(size=ONE.shape)
    assert "same feature" in collapsed(health(ONE))
    assert "same feature" in collapsed(health(nearly))
    assert "same feature" in collapsed(health(np.zeros((9, 4))))
    line = np.outer(RNG.choice([-1, 1], 300), RNG.normal(size=16))
    assert "one direction" in collapsed(health(line))
    assert "no numbers" in collapsed(Health(np.nan, np.nan, np.nan, np.nan))


def test_what_a_random_network_has_as_well_is_no_collapse():
    cone = health(ONE + 0.05 * RNG.normal(size=ONE.shape))
    assert cone.std < 0.1 and collapsed(cone) and not collapsed(cone, cone)
    narrower = health(ONE + 0.01 * RNG.normal(size=ONE.shape))
    assert "same feature" in collapsed(narrower, cone)
