import numpy as np
import pytest

from tests.analysis.cycles import curve, noisy, tempo
from workbench.analysis.periodicity import main_period, repetitions, rhythm


@pytest.mark.parametrize("dims", [4, 64])
@pytest.mark.parametrize(("period", "rows"), [(8, 300), (40, 600)])
@pytest.mark.parametrize("noise", [0, 0.5])
def test_a_planted_period_is_found(dims, period, rows, noise):
    rng = np.random.default_rng(period)
    z = noisy(curve(dims, rng)(np.arange(rows) / period), rng, noise)
    found, confidence = main_period(z)
    assert found == pytest.approx(period, rel=0.01)
    assert confidence > 0.6


def test_without_noise_the_confidence_is_one():
    rng = np.random.default_rng(0)
    found = rhythm(curve(8, rng)(np.arange(400) / 25))
    np.testing.assert_allclose(found.period, 25, atol=0.05)
    np.testing.assert_allclose(found.confidence, 1, atol=1e-3)


def test_periods_between_whole_rows():
    rng = np.random.default_rng(1)
    assert main_period(curve(8, rng)(np.arange(500) / 17.4))[0] == pytest.approx(17.4, abs=0.05)


@pytest.mark.parametrize("jitter", [0, 0.05])
def test_the_period_follows_a_tempo_that_swings_by_30_percent(jitter):
    rng = np.random.default_rng(2)
    turned = tempo(2000, 50, rng, swing=0.3, jitter=jitter)
    found = rhythm(noisy(curve(16, rng)(turned), rng, 0.3))
    voiced = np.isfinite(found.period)
    assert voiced.mean() > 0.95
    true = 1 / np.gradient(np.convolve(turned, np.ones(75) / 75, "same"))
    inner = voiced & (np.arange(2000) > 100) & (np.arange(2000) < 1900)
    assert np.median(np.abs(found.period / true - 1)[inner]) < (0.02 if not jitter else 0.06)


@pytest.mark.parametrize("dims", [2, 8, 64])
@pytest.mark.parametrize("rows", [60, 400, 1000])
@pytest.mark.parametrize("kind", ["white", "walk", "constant", "drift", "autoregressive"])
def test_what_does_not_repeat_has_no_period(dims, rows, kind):
    rng = np.random.default_rng(3)
    noise = rng.normal(size=(rows, dims))
    slow = rng.normal(size=dims) + np.linspace(0, 2, rows)[:, None] * rng.normal(size=dims)
    lagged = np.zeros((rows, dims))
    for t in range(1, rows):
        lagged[t] = 0.9 * lagged[t - 1] + noise[t]
    z = {
        "white": noise,
        "walk": np.cumsum(noise, axis=0),
        "constant": np.ones((rows, 1)) * noise[0],
        "drift": slow + 0.02 * noise,
        "autoregressive": lagged,
    }[kind]
    period, confidence = main_period(z)
    assert np.isnan(period) or confidence < 0.1
    assert np.isfinite(rhythm(z).period).mean() < 0.15


def test_where_it_pauses_nothing_repeats():
    rng = np.random.default_rng(4)
    turned = np.concatenate([np.arange(400) / 20, np.full(300, 20.0), 20 + np.arange(400) / 20])
    found = rhythm(noisy(curve(16, rng)(turned), rng, 0.2))
    moving = np.isfinite(found.period)
    assert moving[:370].all() and moving[-370:].all()
    assert not moving[440:660].any()
    assert (found.confidence[440:660] < 0.3).all()


def test_two_tempi_in_one_recording():
    rng = np.random.default_rng(5)
    at = curve(16, rng)
    z = noisy(np.concatenate([at(np.arange(400) / 16), at(np.arange(800) / 50)]), rng, 0.2)
    period = rhythm(z).period
    np.testing.assert_allclose(period[30:350], 16, atol=0.3)
    np.testing.assert_allclose(period[480:], 50, atol=1)


@pytest.mark.parametrize("noise", [0, 0.3])
@pytest.mark.parametrize("swing", [0, 0.15])
def test_similar_halves_of_a_cycle_are_not_taken_for_cycles(noise, swing):
    rng = np.random.default_rng(6)
    turned = tempo(1500, 60, rng, swing)
    period, _ = main_period(noisy(curve(16, rng, 4, halves=0.35)(turned), rng, noise))
    assert period == pytest.approx(60, rel=0.08)


def test_halves_that_are_the_same_are_cycles():
    rng = np.random.default_rng(7)
    z = noisy(curve(16, rng, 4, halves=0)(np.arange(900) / 60), rng, 0.3)
    assert main_period(z)[0] == pytest.approx(30, rel=0.01)


def test_two_repetitions_are_enough_and_fewer_are_not():
    rng = np.random.default_rng(8)
    z = curve(16, rng)(np.arange(100) / 40)
    assert main_period(z)[0] == pytest.approx(40, rel=0.05)
    assert np.isnan(main_period(z[:60])[0])


def test_blocks_of_rows_give_the_same(monkeypatch):
    rng = np.random.default_rng(9)
    z = noisy(curve(8, rng)(tempo(1200, 40, rng, 0.2)), rng, 0.2)
    fine = rhythm(z)
    monkeypatch.setattr("workbench.analysis.periodicity.CELLS", 200_000)
    coarse = rhythm(z)
    np.testing.assert_allclose(coarse.period, fine.period, rtol=0.05)


@pytest.mark.parametrize("rows", [1, 2, 3, 5, 8])
def test_few_rows_have_no_period(rows):
    found = rhythm(np.random.default_rng(rows).normal(size=(rows, 4)))
    assert found.period.shape == found.confidence.shape == (rows,)
    assert np.isnan(found.period).all() and (found.confidence <= 1).all()


@pytest.mark.parametrize(
    ("z", "options", "message"),
    [
        (np.ones((0, 4)), {}, "T >= 1"),
        (np.ones(9), {}, r"\(9,\)"),
        (np.ones((9, 1)), {}, "D >= 2"),
        (np.full((9, 4), np.nan), {}, "NaN"),
        (np.ones((9, 4)), {"shortest": 6, "longest": 5}, "below shortest"),
        (np.ones((9, 4)), {"shortest": 1}, "at least 2 rows"),
    ],
)
def test_refusals_say_what_is_wrong(z, options, message):
    with pytest.raises(ValueError, match=message):
        rhythm(z, **options)


def test_repetitions_are_counted_with_their_fraction():
    turned = 0.3 + np.arange(100) / 16
    found = repetitions(turned % 1)
    np.testing.assert_allclose(found.starts, (np.arange(1, 7) - 0.3) * 16, atol=1e-9)
    assert found.count == pytest.approx(100 / 16)
    assert len(found.spans) == 5 and not len(found.breaks)


def test_repetitions_break_where_the_phase_is_lost():
    phase = np.tile(np.arange(10) / 10, 6)
    phase[22:35] = np.nan
    found = repetitions(phase)
    assert found.count == pytest.approx(4.7)
    assert found.breaks.tolist() == [2]
    np.testing.assert_allclose(found.spans, [[0, 10], [10, 20], [40, 50]], atol=1e-9)


def test_a_step_back_is_no_repetition():
    phase = np.array([0.8, 0.98, 0.02, 0.99, 0.03, 0.3])
    assert len(repetitions(phase).starts) == 1


def test_a_pause_adds_nothing_to_the_count():
    turned = np.concatenate([np.arange(50) / 10, np.full(100, 4.9), 5 + np.arange(50) / 10])
    assert repetitions(turned % 1).count == pytest.approx(9.9 * 200 / 199)


@pytest.mark.parametrize("phase", [np.full(5, np.nan), np.zeros(0), np.array([0.4])])
def test_no_phase_is_no_repetition(phase):
    found = repetitions(phase)
    assert found.count == 0 and len(found.starts) == 0 and found.spans.shape == (0, 2)
