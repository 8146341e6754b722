import numpy as np
import pytest

from tests.analysis.cycles import curve, noisy
from workbench.analysis.blocks import block_names, blocks


def planted(boundaries, which, dims, rng, noise=0.7):
    """Rows around one mean per letter."""
    means = {name: rng.normal(size=dims) / np.sqrt(dims) for name in sorted(set(which))}
    lengths = np.diff(boundaries)
    z = np.concatenate([np.tile(means[n], (k, 1)) for n, k in zip(which, lengths, strict=True)])
    return z + noise * rng.normal(size=z.shape) / np.sqrt(dims)


@pytest.mark.parametrize("dims", [8, 64])
@pytest.mark.parametrize("rows", [200, 1800])
@pytest.mark.parametrize("which", ["A", "AB", "ABA", "ABC", "ABACA"])
def test_planted_blocks_are_found_and_named(dims, rows, which):
    rng = np.random.default_rng(len(which) + dims)
    true = np.linspace(0, rows, len(which) + 1).astype(int)
    z = planted(true, which, dims, rng)
    found = blocks(z)
    assert len(found) == len(true)
    assert np.abs(found - true).max() <= 3
    assert block_names(z, found) == list(which)


def test_without_noise_boundaries_are_exact():
    rng = np.random.default_rng(0)
    z = planted([0, 31, 77, 150], "ABA", 16, rng, noise=0)
    assert blocks(z).tolist() == [0, 31, 77, 150]
    assert block_names(z, blocks(z)) == ["A", "B", "A"]


def test_most_is_kept_to():
    rng = np.random.default_rng(1)
    z = planted(np.arange(0, 601, 100), "ABCDEF", 16, rng)
    assert len(blocks(z)) == 7
    assert len(blocks(z, most=3)) == 4
    assert blocks(z, most=1).tolist() == [0, 600]


@pytest.mark.parametrize("dims", [2, 16, 128])
@pytest.mark.parametrize("rows", [100, 1000])
def test_noise_is_one_block(dims, rows):
    found = [
        len(blocks(np.random.default_rng(seed).normal(size=(rows, dims)))) for seed in range(5)
    ]
    assert found == [2] * 5


def test_cycles_are_one_block():
    rng = np.random.default_rng(2)
    assert len(blocks(noisy(curve(16, rng)(np.arange(900) / 45), rng, 0.3))) == 2


def test_before_during_and_after_an_anomaly_of_a_cycle():
    rng = np.random.default_rng(3)
    z = noisy(curve(16, rng)(np.arange(1500) / 50), rng, 0.3)
    z[500:900] += 1.2 * rng.normal(size=16) / 4
    found = blocks(z)
    assert len(found) == 4
    assert np.abs(found - [0, 500, 900, 1500]).max() <= 25
    assert block_names(z, found) == ["A", "B", "A"]


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_few_rows(rows):
    found = blocks(np.random.default_rng(rows).normal(size=(rows, 4)))
    assert found[0] == 0 and found[-1] == rows and (np.diff(found) > 0).all()


def test_rows_that_are_all_equal_are_one_block():
    z = np.ones((300, 8))
    assert blocks(z).tolist() == [0, 300]
    assert block_names(z, np.array([0, 100, 300])) == ["A", "A"]


def test_refusals_say_what_is_wrong():
    z = np.ones((9, 4))
    with pytest.raises(ValueError, match="at least 1 block"):
        blocks(z, most=0)
    with pytest.raises(ValueError, match="at least 1 row"):
        blocks(z, shortest=0)
    with pytest.raises(ValueError, match="from 0 to the 9 rows"):
        block_names(z, np.array([0, 5]))
    with pytest.raises(ValueError, match="NaN"):
        blocks(np.full((9, 4), np.nan))
