import json

import pytest

from workbench.views.compare import MOST, Comparison
from workbench.workspace import Workspace


def line(step, seconds=True):
    found = {"step": step, "epoch": step // 4, "loss": float(step)}
    if step % 4 == 0:
        found |= {"knn": step / 100, "knn_random": 0.5, "feature_rank": 3.0}
    return found | ({"seconds": 2.0 * step} if seconds else {})


def write(workspace, name, lines, mode="w"):
    folder = workspace.runs / name
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "metrics.jsonl").open(mode) as file:
        file.writelines(json.dumps(x) + "\n" for x in lines)


@pytest.fixture
def workspace(tmp_path):
    workspace = Workspace(tmp_path)
    write(workspace, "a", [line(k) for k in range(1, 9)])
    write(workspace, "b", [line(k, seconds=False) for k in range(1, 13)])
    return workspace


@pytest.fixture
def compare(workspace):
    compare = Comparison(workspace)
    compare.smoothing.param.update(value=0.0, value_throttled=0.0)
    compare.names = ["a", "b"]
    return compare


def xy(compare, plot, name):
    data = compare.plots[plot].lines.data
    if name not in data["name"]:
        return [], []
    k = data["name"].index(name)
    return data["xs"][k], data["ys"][k]


def test_every_run_is_a_curve_in_every_plot(compare):
    assert xy(compare, "loss", "a") == (list(range(1, 9)), list(range(1, 9)))
    assert xy(compare, "knn", "b") == ([4, 8, 12], [0.04, 0.08, 0.12])
    assert compare.plots["knn"].floors.data["ys"] == [[0.5, 0.5], [0.5, 0.5]]
    assert compare.plots["knn"].dots.data["name"] == ["a", "a", "b", "b", "b"]
    assert xy(compare, "feature_rank", "a") == ([4, 8], [3, 3])
    assert compare.plots["alignment"].empty  # nobody logged it
    assert len(compare._grid[0]) == 3


def test_a_run_that_trains_is_followed(compare, workspace):
    write(workspace, "a", [line(9)], "a")
    compare.tick()
    assert xy(compare, "loss", "a")[0] == list(range(1, 10))


def test_a_run_that_begins_again_is_drawn_again(compare, workspace):
    write(workspace, "a", [line(1)])
    compare.tick()
    assert xy(compare, "loss", "a")[0] == [1]
    assert xy(compare, "loss", "b")[0] == list(range(1, 13))


def test_epochs_have_parts(compare, workspace):
    compare.axis.value = "epoch"
    assert xy(compare, "loss", "a")[0] == [k / 4 for k in range(1, 9)]
    assert compare.plots["loss"].figure.xaxis.axis_label == "epoch"
    write(workspace, "c", [line(1)])
    compare.names = ["a", "c"]
    assert "first epoch: c" in compare._note.object
    write(workspace, "c", [line(k) for k in range(2, 6)], "a")
    compare.tick()
    assert xy(compare, "loss", "c")[0] == [k / 4 for k in range(1, 6)]
    assert "first epoch" not in compare._note.object


def test_seconds_and_who_has_none(compare):
    compare.axis.value = "seconds"
    assert xy(compare, "loss", "a")[0] == [2.0 * k for k in range(1, 9)]
    assert xy(compare, "loss", "b")[0] == []
    assert "seconds of b" in compare._note.object


def test_the_loss_is_smoothed(compare):
    compare.smoothing.param.update(value=0.9, value_throttled=0.9)
    y = xy(compare, "loss", "a")[1]
    assert y[0] == pytest.approx(1) and 1 < y[-1] < 6
    assert xy(compare, "knn", "a")[1] == [0.04, 0.08]


def test_more_runs_than_colours(compare):
    compare.names = [str(k) for k in range(MOST + 3)]
    assert list(compare.plots["loss"].curves) == [str(k) for k in range(MOST)]
    assert f"first {MOST}" in compare._note.object


def test_other_runs_are_other_data_in_the_same_plots(compare):
    before = dict(compare.plots)
    compare.names = ["b"]
    assert compare.plots == before
    assert compare.plots["loss"].lines.data["name"] == ["b"]
    compare.names = []
    compare.tick()
    assert not compare._view.visible


def test_a_plot_fits_its_curves_until_the_user_moves_it(compare, workspace):
    x_range = compare.plots["loss"].figure.x_range
    assert x_range.start < 0 < 12 < x_range.end < 13
    compare.names = ["a"]
    assert 8 < x_range.end < 9
    x_range.update(start=2, end=4)  # as a zoom does
    write(workspace, "a", [line(9)], "a")
    compare.tick()
    assert (x_range.start, x_range.end) == (2, 4)
    compare.names = ["b"]
    assert x_range.end > 12


def test_nothing_is_built_before_a_run_is_chosen(workspace):
    assert not Comparison(workspace).plots


def test_names_are_text(compare):
    compare.names = ["<b>a"]
    assert "<b>" not in compare._legend.object
