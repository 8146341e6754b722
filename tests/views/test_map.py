import asyncio

import holoviews as hv
import numpy as np
import panel as pn
import pytest

from tests.views.swing_workspace import features
from workbench.analysis.projection import pca
from workbench.views.map import EmbeddingMap, sample


@pytest.fixture
def chart(store):
    found = features(store.dataset)
    shared = (store.selection, store.cursor, store.hover, store.filter)
    return EmbeddingMap(found, {"pca": pca(found.z)}, store.dataset, *shared)


def dots(chart):
    plot = hv.renderer("bokeh").get_plot(chart._pane.object)
    return plot, chart._source


def test_every_window_is_a_dot_with_what_a_hover_shows(chart):
    plot, source = dots(chart)
    assert len(source.data["x"]) == len(chart.embeddings)
    assert {"recording", "camera", "frame", "label"} <= set(source.data)
    assert plot.state.title.text and plot.state.legend


def test_a_tap_selects_and_moves_the_cursor(chart):
    chart._tapped.event(index=[40])
    where = chart.embeddings.index.iloc[40]
    assert chart.selection.ids == (40,) and chart.selection.source == chart.name
    assert (chart.cursor.recording, chart.cursor.frame) == (where["recording"], where["frame"])


def test_a_lasso_selects_in_one_event_and_leaves_the_cursor(chart):
    seen = []
    chart.selection.param.watch(lambda *e: seen.append(e), ["ids", "source"])
    before = chart.cursor.recording, chart.cursor.frame
    chart._tapped.event(index=[3, 5, 9])
    assert len(seen) == 1 and chart.selection.ids == (3, 5, 9)
    assert (chart.cursor.recording, chart.cursor.frame) == before
    assert "3 selected" in chart.note.object


def test_a_tap_on_dots_that_cover_each_other_means_the_uppermost(chart):
    phase = chart.embeddings.index
    same = np.flatnonzero((phase["recording"] == "take00") & (phase["frame"] % 20 == 4))
    chart._tapped.event(index=[int(i) for i in same[:2]])
    assert chart.selection.ids == (same[1],)


def test_a_choice_made_elsewhere_is_marked_and_comes_not_back(chart):
    async def choose():  # on a server there is a loop, and HoloViews uses it
        _, source = dots(chart)
        chart.selection.choose((7, 8), "a list")
        await asyncio.sleep(0.1)
        return source

    source = asyncio.run(choose())
    assert source.selected.indices == [7, 8]
    assert chart.selection.ids == (7, 8) and chart.selection.source == "a list"


def test_a_choice_made_while_another_page_is_shown_is_marked_on_return(chart):
    page = pn.Column(chart)
    page.get_root()
    page[:] = []
    chart.selection.choose((7, 8), "a list")
    page[:] = [chart]
    assert chart._source.selected.indices == [7, 8]


def test_colours_change_and_filtered_dots_stay_grey(chart):
    chart.color = "camera"
    _, source = dots(chart)
    assert set(source.data["camera"]) == {"left", "right"}
    chart.filter.expr = "camera == 'left'"
    assert len(source.data["x"]) == len(chart.embeddings)
    assert set(source.data["camera"]) == {"left", "(hidden by the filters)"}


@pytest.mark.parametrize("color", ["label", "recording", "camera", "split", "frame"])
def test_all_colourings_can_be_drawn_before_and_after_others(chart, color):
    dots(chart)[0].cleanup()
    chart.color = "frame"
    chart.color = color
    _, source = dots(chart)
    assert color in source.data
    chart.filter.expr = "label == 'spin'"


def test_the_ring_is_at_the_cursor_and_the_line_is_its_way(chart):
    chart.cursor.move(20, "", "take02")
    mark, way = chart._mark("take02", 20).data, chart._path("take02").data
    row = chart.embeddings.row("take02", 20, "left")
    np.testing.assert_allclose(np.asarray(mark)[0, :2], chart.xy[row], rtol=1e-6)
    assert len(way) == 26


def test_a_map_that_is_not_there_is_asked_for(chart):
    asked = []
    chart.want = lambda kind, done: asked.append((kind, done)) or pn.pane.HTML("drawing")
    chart.kind = "umap"
    assert asked[0][0] == "umap" and not chart._pane.visible
    chart.coords["umap"] = chart.coords["pca"][:, ::-1]
    asked[0][1]()
    assert chart._pane.visible and chart.xy[0, 0] == chart.coords["pca"][0, 1]


def test_a_sample_has_the_same_share_of_every_video(chart):
    index = chart.embeddings.index
    rows = sample(index, 120)
    assert len(rows) == 120 and (np.diff(rows) > 0).all()
    assert set(index["video"].iloc[rows].value_counts()) == {10}


def test_beyond_the_most_a_sample_is_drawn_and_said(store, monkeypatch):
    monkeypatch.setattr("workbench.views.map.MOST", 60)
    found = features(store.dataset)
    chart = EmbeddingMap(found, {"pca": pca(found.z)}, store.dataset, store.selection, store.cursor)
    assert "60 of 312" in chart.note.object
    chart._tapped.event(index=[59])
    assert chart.selection.ids == (int(chart.rows[59]),)
    store.selection.choose((1, 2, 3), "list")  # rows without a dot are no error
