import numpy as np
import pytest

from tests.analysis.cycles import curve, noisy, tempo
from workbench.analysis.periodicity import repetitions
from workbench.analysis.phase import (
    align_phase,
    at_phase,
    by_phase,
    phase,
    phase_curve,
    phase_error,
    phase_like,
)


@pytest.mark.parametrize("dims", [4, 64])
@pytest.mark.parametrize(
    ("noise", "jitter", "bound"), [(0, 0, 0.006), (0, 0.1, 0.008), (0.5, 0.1, 0.015)]
)
def test_the_planted_phase_is_recovered(dims, noise, jitter, bound):
    rng = np.random.default_rng(dims)
    turned = tempo(900, 50, rng, swing=0.2 if jitter else 0, jitter=jitter)
    found = phase(noisy(curve(dims, rng)(turned), rng, noise))
    assert np.isfinite(found).mean() > 0.98
    assert ((found >= 0) & (found < 1))[np.isfinite(found)].all()
    assert phase_error(found, turned % 1) < bound
    assert repetitions(found).count == pytest.approx(turned[-1] * 900 / 899, abs=0.3)


def test_few_rows_per_cycle():
    rng = np.random.default_rng(1)
    turned = tempo(320, 8, rng, 0.1)
    found = phase(noisy(curve(16, rng)(turned), rng, 0.3))
    assert phase_error(found, turned % 1) < 0.02


def test_many_rows_per_cycle_are_averaged():
    rng = np.random.default_rng(2)
    turned = tempo(2400, 300, rng)
    found = phase(noisy(curve(16, rng)(turned), rng, 0.3))
    assert phase_error(found, turned % 1) < 0.01


def test_similar_halves_are_told_apart():
    rng = np.random.default_rng(3)
    turned = tempo(1200, 60, rng, 0.1)
    found = phase(noisy(curve(16, rng, 4, halves=0.35)(turned), rng, 0.2))
    assert phase_error(found, turned % 1) < 0.01


def test_a_pause_keeps_its_phase_and_adds_no_repetition():
    rng = np.random.default_rng(4)
    turned = np.concatenate([np.arange(420) / 40, np.full(90, 10.5), 10.5 + np.arange(420) / 40])
    found = phase(noisy(curve(16, rng)(turned), rng, 0.2))
    assert phase_error(found, turned % 1) < 0.015
    assert repetitions(found).count == pytest.approx(21, abs=0.3)


def test_what_is_not_in_the_cycle_has_no_phase():
    rng = np.random.default_rng(5)
    at = curve(16, rng)
    other = 1.5 * rng.normal(size=16) / 4 * np.ones((200, 1))
    z = np.concatenate([at(np.arange(400) / 40), other, at(np.arange(400) / 40)])
    found = phase(noisy(z, rng, 0.2))
    assert np.isnan(found[420:580]).all()
    assert np.isfinite(found[:390]).all() and np.isfinite(found[610:]).all()
    assert repetitions(found).count == pytest.approx(20, abs=0.6)


def test_one_exercise_after_another():
    rng = np.random.default_rng(6)
    z = np.concatenate([curve(16, rng)(np.arange(500) / p) for p in (25, 40)])
    found = phase(noisy(z, rng, 0.2))
    assert phase_error(found[:480], (np.arange(480) / 25) % 1) < 0.02
    assert phase_error(found[520:], (np.arange(480) / 40) % 1) < 0.02


@pytest.mark.parametrize("kind", ["white", "walk", "constant"])
def test_what_does_not_repeat_has_no_phase(kind):
    noise = np.random.default_rng(7).normal(size=(300, 16))
    z = {"white": noise, "walk": np.cumsum(noise, 0), "constant": np.ones((300, 16))}[kind]
    assert np.isnan(phase(z)).all()


def test_phase_zero_is_the_same_again():
    rng = np.random.default_rng(8)
    at = curve(16, rng)
    first, second = (phase(at(np.arange(600) / 50 + shift)) for shift in (0, 0.4))
    np.testing.assert_array_equal(first, phase(at(np.arange(600) / 50)))
    shift = ((second - first + 0.5) % 1 - 0.5).mean()
    assert shift == pytest.approx(0.4, abs=0.03)


def test_a_period_may_be_given():
    rng = np.random.default_rng(9)
    turned = np.arange(300) / 30
    z = curve(8, rng)(turned)
    assert phase_error(phase(z, 30), turned % 1) < 0.006
    assert phase_error(phase(z, np.full(300, 30.0)), turned % 1) < 0.006
    with pytest.raises(ValueError, match="at least 2 rows"):
        phase(z, 1)


def test_recordings_share_the_phase_of_a_reference():
    rng = np.random.default_rng(10)
    at = curve(16, rng)
    reference, other = np.arange(500) / 50, 0.3 + tempo(400, 65, rng, 0.2)
    background = rng.normal(size=16) / 4
    z, w = (at(x) + background + 0.05 * rng.normal(size=(len(x), 16)) for x in (reference, other))
    shared = phase_like(w, z, reference % 1)
    off = (shared - other + 0.5) % 1 - 0.5
    assert np.abs(off).mean() < 0.015  # with no turn: phase 0 is the reference's
    short = phase_like(w[:20], z, reference % 1)  # less than a cycle
    assert np.abs((short - other[:20] + 0.5) % 1 - 0.5).mean() < 0.03
    with pytest.raises(ValueError, match="nothing in it repeats"):
        phase_like(w, z, np.full(500, np.nan))


def test_phases_are_turned_to_agree():
    truth = np.arange(50) / 20 % 1
    np.testing.assert_allclose(np.exp(2j * np.pi * align_phase((truth + 0.3) % 1, truth)),
                               np.exp(2j * np.pi * truth), atol=1e-9)  # fmt: skip
    assert phase_error((truth + 0.3) % 1, truth) == pytest.approx(0, abs=1e-9)
    assert np.isnan(phase_error(np.full(5, np.nan), truth[:5]))
    rng = np.random.default_rng(11)
    assert phase_error(rng.random(20000), rng.random(20000)) == pytest.approx(0.25, abs=0.01)


def test_the_phase_curve_is_the_first_component():
    turned = np.arange(200) / 40
    z = np.column_stack([np.full(200, 5), 2 * np.sin(2 * np.pi * turned), 0.1 * np.cos(turned)])
    found = phase_curve(z)
    assert found.shape == (200,) and found.dtype == np.float32
    assert np.corrcoef(found, z[:, 1])[0, 1] > 0.99  # the sign too
    assert not phase_curve(np.ones((10, 4))).any()
    assert phase_curve(np.ones((1, 4))).tolist() == [0]


def test_values_by_phase():
    turned = (np.arange(1000) / 10 + 0.05) % 1
    centres, mean, spread = by_phase(np.stack([turned, 1 - turned], 1), turned, 10)
    np.testing.assert_allclose(centres, np.arange(10) / 10 + 0.05)
    np.testing.assert_allclose(mean[:, 0], centres, atol=1e-9)
    np.testing.assert_allclose(mean[:, 1], 1 - centres, atol=1e-9)
    np.testing.assert_allclose(spread, 0, atol=1e-9)
    _, mean, _ = by_phase(np.ones(3), np.array([0.1, np.nan, 0.1]), 4)
    assert mean[0] == 1 and np.isnan(mean[1:]).all()
    with pytest.raises(ValueError, match="one each"):
        by_phase(np.ones(3), np.ones(2))


def test_the_moment_of_a_phase_in_every_repetition():
    turned = 0.2 + np.arange(100) / 20
    assert at_phase(turned % 1, 0.5).tolist() == [6, 26, 46, 66, 86]
    assert at_phase(turned % 1, 0.0).tolist() == [16, 36, 56, 76, 96]
    assert at_phase(turned % 1, 0.99).tolist() == [16, 36, 56, 76, 96]
    broken = turned % 1
    broken[20:40] = np.nan
    assert at_phase(broken, 0.5).tolist() == [6, 46, 66, 86]
    assert at_phase(np.full(4, np.nan), 0.5).tolist() == []


@pytest.mark.parametrize("rows", [1, 2, 7])
def test_few_rows_have_no_phase(rows):
    assert np.isnan(phase(np.ones((rows, 4)))).all()
