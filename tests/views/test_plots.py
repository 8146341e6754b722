import holoviews as hv
import numpy as np
import pandas as pd
import pytest

from workbench.views import plots


def test_a_label_keeps_its_colour_and_background_is_grey():
    colors = plots.palette(["b", "a", "background", "a"])
    assert colors["a"] != colors["b"] and colors["background"] == plots.GREY
    assert len({*plots.palette(map(str, range(7))).values()}) == 8  # all apart, and grey
    assert len({*plots.palette(map(str, range(60))).values()}) == 61


def test_scatter_has_a_legend_for_classes_and_a_bar_for_numbers():
    table = pd.DataFrame({"x": [0.0, 1], "y": [0.0, 1], "label": ["a", "b"], "frame": [3, 9]})
    renderer = hv.renderer("bokeh")
    classes = renderer.get_plot(plots.scatter(table, "label")).state
    numbers = renderer.get_plot(plots.scatter(table, "frame")).state
    assert len(classes.legend) == 1
    assert {t.continuous for t in classes.select({"type": plots.LassoSelectTool})} == {False}
    assert any("ColorBar" in type(m).__name__ for m in numbers.right)


def test_shades_span_the_scale_and_stay_small():
    picture, (low, high) = plots.shades(np.linspace(0.9, 1, 2500 * 2500).reshape(2500, 2500))
    assert picture.dtype == np.uint8 and max(picture.shape) <= plots.FINE
    assert picture.min() == 0 and picture.max() == 255 and 0.9 < low < high < 1
    assert plots.shades(np.ones((3, 3)))[0].shape == (3, 3)


def test_similarity_puts_cells_where_the_frames_are():
    matrix = np.zeros((3, 5))
    matrix[0, 4] = 1
    image = plots.similarity(matrix, np.array([4, 6, 8]), np.arange(10, 20, 2), "a", "b")
    assert image.dimension_values("cosine", flat=False).shape == (3, 5)
    assert image[18.0, 4.0] == 255 and image[10.0, 8.0] == 0
    assert image.bounds.lbrt() == pytest.approx((9, 3, 19, 9))


def test_one_window_is_a_picture_too():
    plots.similarity(np.ones((1, 1)), np.array([7]), np.array([7]), "a", "a")
