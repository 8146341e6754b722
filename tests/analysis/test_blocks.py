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


def process(rng, rows=1200, fault=None, drift=0.0):
    """Rows of a process of 40 rows a cycle that is always the same one; light that wanders.

    fault: (start, stop) rows in which the course of the cycle is another one.
    """
    fixed = np.random.default_rng(4)
    mean, strange, light = curve(16, fixed), curve(16, fixed), fixed.normal(size=16) / 4
    turned = np.arange(rows) / 40
    z = mean(turned) + fixed.normal(size=16) / 4 + 0.05 * rng.normal(size=(rows, 16))
    z += drift * np.outer(np.sin(turned * 2 * np.pi / 15 + rng.uniform(0, 7)), light)
    if fault is not None:
        here = slice(*fault)
        z[here] += 0.4 * strange(turned[here])  # its mean over the cycle is nothing
    return z


def test_another_course_of_the_cycle_is_found_though_its_mean_is_the_same():
    z = process(np.random.default_rng(5), fault=(480, 800))
    found = blocks(z)
    assert len(found) == 4
    assert np.abs(found - [0, 480, 800, 1200]).max() <= 40
    assert block_names(z, found) == ["A", "B", "A"]


def test_what_is_usual_in_normal_recordings_is_no_block():
    rng = np.random.default_rng(6)
    normal = np.concatenate([process(rng, drift=0.6) for _ in range(2)])
    good, bad = process(rng, drift=0.6), process(rng, fault=(480, 800), drift=0.6)
    assert blocks(good, normal=normal).tolist() == [0, 1200]
    found = blocks(bad, normal=normal)
    assert len(found) == 4
    assert np.abs(found - [0, 480, 800, 1200]).max() <= 40
    assert block_names(bad, found, normal=normal) == ["A", "B", "A"]


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
    with pytest.raises(ValueError, match="features of one kind"):
        blocks(z, normal=np.ones((50, 3)))
    with pytest.raises(ValueError, match="NaN"):
        blocks(np.full((9, 4), np.nan))
