import numpy as np
import pytest
from bokeh.models import ColumnDataSource, LinearColorMapper
from bokeh.plotting import figure

from tests.views.swing_workspace import HOP, PERIOD
from workbench.analysis.periodicity import Repetitions, Rhythm
from workbench.views.cycle import Cycle
from workbench.views.overlays import Blocks, Overlays, View, cycles_apart, lines_every


def cycle(period, hop=2, first=4):
    """A cycle of which only the periods and the frames count. period: (T,) rows."""
    rows = np.arange(len(period))
    nothing, none = np.full(len(rows), np.nan), Repetitions(np.zeros(0), 0.0)
    found = Rhythm(np.asarray(period, float), np.ones(len(rows)))
    return Cycle(rows, first + hop * rows, found, nothing, nothing, none, np.nan)


def test_lines_lie_whole_periods_beside_the_diagonal():
    xs, ys = cycles_apart(cycle(np.full(50, PERIOD / HOP)))
    lags = [np.unique((y - x)[np.isfinite(x)]) for x, y in zip(xs, ys, strict=True)]
    assert [lag.tolist() for lag in lags] == [
        [s * k * PERIOD] for k in range(1, 5) for s in (1, -1)
    ]
    assert np.nanmin(xs[0]) == 4 and np.nanmax(ys[0]) <= 4 + 2 * 49


def test_lines_follow_the_tempo_from_cycle_to_cycle():
    period = np.linspace(10, 30, 200)
    xs, ys = cycles_apart(cycle(period, hop=1, first=0))
    after = np.interp(period[0], np.arange(200), np.arange(200) + period)
    assert (xs[2][0], ys[2][0]) == pytest.approx((0, after))  # two cycles after row 0
    assert np.nanmax(ys[0] - xs[0]) > 25


def test_lines_end_where_nothing_repeats():
    period = np.full(60, 10.0)
    period[25:40] = np.nan
    xs, _ = cycles_apart(cycle(period, hop=1, first=0))
    assert not np.isfinite(xs[0][25:40]).any() and np.isfinite(xs[0][:25]).all()
    assert cycles_apart(cycle(np.full(60, np.nan))) == ([], [])


def test_of_many_cycles_every_so_many_th_has_a_line_and_more_where_less_is_seen():
    many = cycle(np.full(1000, 10.0), hop=2, first=0)
    assert lines_every(many) == 10  # 100 cycles
    xs, ys = cycles_apart(many)
    assert {round(float(np.nanmedian(abs(y - x)))) for x, y in zip(xs, ys, strict=True)} == {
        k * 10 * 20 for k in range(1, 10)
    }
    part = View((100.0, 200.0), (500.0, 600.0))
    assert lines_every(many, part) == 1
    lags = {float(np.nanmedian(y - x)) for x, y in zip(*cycles_apart(many, part), strict=True)}
    assert lags == {float(k) for k in range(300, 501, 20)}  # those that cross it, on its side


def test_before_during_and_after_are_three_blocks_of_two_kinds():
    rng = np.random.default_rng(0)
    z = rng.normal(0, 0.05, (90, 8)) + np.eye(8)[0]
    z[30:60] += 2 * np.eye(8)[1]
    found = Blocks.of(z, 10 + 3 * np.arange(90))
    assert found.names == ["A", "B", "A"]
    np.testing.assert_allclose(found.edges, [8.5, 98.5, 188.5, 278.5])
    assert len(set(found.colors.values())) == 2


def test_what_is_drawn_changes_in_every_plot_and_is_not_drawn_anew():
    overlays, plots = Overlays(), [figure(), figure()]
    for plot in plots:
        overlays.draw(plot, LinearColorMapper())
    count = len(plots[0].renderers)
    overlays.draw(plots[0], LinearColorMapper())
    assert len(plots[0].renderers) == count
    overlays.blocks(Blocks(np.array([0.0, 5.0, 9.0]), ["A", "B"]))
    overlays.path(np.arange(3), np.arange(3))
    for plot in plots:
        sources = {s.name: s for s in plot.select({"type": ColumnDataSource})}
        assert list(sources["blocks"].data["right"]) == [5, 9]
        assert len(sources["path"].data["x"]) == 3 and not sources["cycles"].data["xs"]
    overlays.detail(np.zeros((3, 4), np.uint8), View((10.0, 20.0), (30.0, 60.0)))
    place = {k: v for k, v in sources["detail"].data.items() if k != "image"}
    assert place == {"x": [10.0], "y": [30.0], "dw": [10.0], "dh": [30.0]}
    overlays.detail(None)
    assert sources["detail"].data["image"] == []
    overlays.blocks(None)
    assert not sources["blocks"].data["name"]
