import numpy as np
import pytest

from workbench.analysis.similarity import cross_tsm, lifted, tsm, unit


def test_unit_rows_have_length_one_and_zeros_stay():
    z = np.array([[3, 4], [0, 0]])
    np.testing.assert_allclose(unit(z), [[0.6, 0.8], [0, 0]], atol=1e-7)
    assert unit(z).dtype == np.float32


def test_unit_does_not_touch_its_input():
    z = np.ones((2, 2), np.float32)
    unit(z)
    assert (z == 1).all()


def test_tsm_is_symmetric_with_ones_on_the_diagonal():
    s = tsm(np.random.default_rng(0).normal(size=(40, 8)))
    assert s.shape == (40, 40) and s.dtype == np.float32
    np.testing.assert_allclose(s, s.T, atol=1e-6)
    np.testing.assert_allclose(np.diag(s), 1, atol=1e-6)
    assert abs(s).max() <= 1


@pytest.mark.parametrize("period", [5, 12])
def test_tsm_shows_a_planted_period(period):
    angle = 2 * np.pi * np.arange(60) / period
    s = tsm(np.column_stack([np.cos(angle), np.sin(angle)]))
    np.testing.assert_allclose(np.diag(s, period), 1, atol=1e-5)
    np.testing.assert_allclose(np.diag(s, 1), np.cos(2 * np.pi / period), atol=1e-5)


def test_cross_tsm_has_one_row_per_moment_of_the_first():
    s = cross_tsm(np.eye(3), 2 * np.eye(3)[[2, 0]])
    np.testing.assert_array_equal(s, [[0, 1], [0, 0], [1, 0]])


def test_lifted_rows_are_as_far_apart_as_rows_are():
    z = np.random.default_rng(0).normal(size=(40, 8)) * np.linspace(0.2, 2, 40)[:, None]
    u = unit(lifted(z))
    true = np.linalg.norm(z[:, None] - z[None], axis=2)
    found = np.linalg.norm(u[:, None] - u[None], axis=2)
    length = np.sqrt((z**2).sum(axis=1).mean())
    np.testing.assert_allclose(10 * length * found, true, rtol=0.06)
    assert lifted(np.zeros((3, 2))).tolist() == [[0, 0, 1]] * 3
