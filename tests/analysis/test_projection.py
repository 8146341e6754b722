import numpy as np
import pytest
from sklearn.decomposition import PCA

from workbench.analysis.projection import pca, tsne, umap

MAPS = [pca, tsne, umap]
GROUP = np.repeat(np.arange(3), 40)


@pytest.fixture
def z():
    """Three groups, far apart."""
    rng = np.random.default_rng(0)
    return 5 * rng.normal(size=(3, 64))[GROUP] + rng.normal(size=(120, 64))


def separation(y):
    """Least distance between groups over the greatest within one."""
    distance = np.linalg.norm(y[:, None] - y[None], axis=2)
    same = GROUP[:, None] == GROUP
    return distance[~same].min() / distance[same].max()


def test_pca_is_sklearns(z):
    np.testing.assert_allclose(
        abs(pca(z, 3)), abs(PCA(3, svd_solver="full").fit_transform(z)), rtol=1e-3, atol=1e-3
    )


def test_pca_pads_missing_directions_with_zeros():
    y = pca(np.array([[0.0, 0.0], [3.0, 4.0]]), 2)
    np.testing.assert_allclose(abs(y), [[2.5, 0], [2.5, 0]], atol=1e-6)


@pytest.mark.parametrize("draw", [tsne, umap])
def test_planted_groups_stay_apart(draw, z):
    assert separation(draw(z)) > 1


@pytest.mark.parametrize("draw", MAPS)
def test_the_same_map_again(draw, z):
    np.testing.assert_array_equal(draw(z), draw(z))


@pytest.mark.parametrize("draw", MAPS)
@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 17])
def test_few_rows(draw, n):
    y = draw(np.random.default_rng(n).normal(size=(n, 8)))
    assert y.shape == (n, 2) and y.dtype == np.float32 and np.isfinite(y).all()


@pytest.mark.parametrize("draw", MAPS)
def test_rows_that_are_all_equal_lie_on_one_point(draw):
    assert not draw(np.ones((30, 8))).any()


@pytest.mark.parametrize("draw", MAPS)
@pytest.mark.parametrize(
    ("z", "message"),
    [(np.empty((0, 8)), "N >= 1"), (np.full((5, 8), np.nan), "NaN"), (np.ones(8), r"\(8,\)")],
)
def test_refusals_say_what_is_wrong(draw, z, message):
    with pytest.raises(ValueError, match=message):
        draw(z)


def test_tsne_of_many_rows_warns(monkeypatch, z):
    monkeypatch.setattr("workbench.analysis.projection.TSNE_ROWS", 100)
    with pytest.warns(UserWarning, match="UMAP is faster"):
        tsne(z)
