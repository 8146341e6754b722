"""Clusters along training: where recordings go, on clusterings that are written by hand."""

import numpy as np
import pandas as pd
import pytest

from tests.views.swing_workspace import swing_workspace
from workbench.training.run import Run
from workbench.views.cluster_evolution import COLUMNS, ClusterEvolution
from workbench.views.cluster_plots import BLOCKS, REST, Flow, _ribbons
from workbench.views.selection import Cursor
from workbench.views.store import Store

CLASSES = [0, 1, 2, 0, 1, 2]  # swing, spin, jump


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return Store(swing_workspace(tmp_path_factory.mktemp("swings"))).dataset


@pytest.fixture
def run(tmp_path, dataset):
    (tmp_path / "runs" / "fresh").mkdir(parents=True)
    found = Run(tmp_path / "runs" / "fresh")
    found.dataset = dataset
    return found


def write(run, epoch, clusters):
    (run.folder / "clusters").mkdir(exist_ok=True)
    names = [f"take{k:02}" for k in range(len(clusters))]
    rows = pd.DataFrame({"recording": names, "cluster": clusters})
    rows.to_parquet(run.folder / "clusters" / f"{epoch}.parquet")


def opened(run):
    view = ClusterEvolution(run, run.dataset, Cursor())
    while view._task is not None:
        assert view._task.wait(60)
        view.tick()
    return view


def test_clusters_that_become_classes(run):
    write(run, 0, [0, 1, 2, 3, 4, 5])
    write(run, 5, [0, 0, 0, 1, 1, 1])
    write(run, 10, CLASSES)
    view = opened(run)
    nmi = view.nmi.series["with the classes"]
    assert nmi.x == [0, 5, 10] and nmi.y[2] == pytest.approx(1) and nmi.y[1] == pytest.approx(0)
    assert view.counts.series["clusters"].y == [6, 2, 3]
    assert view.counts.series["of one video"].y == [6, 0, 0]
    assert view.rates.series["positives"].y[-1] == 0
    assert view.rates.series["negatives"].y[-1] == 0
    assert len(view.loops.items) == 2 and len({i["chip"] for i in view.loops.items}) == 1


def test_a_block_shows_its_recordings_the_odd_ones_marked(run):
    write(run, 0, [0, 1, 1, 0, 1, 2])
    view = opened(run)
    (low, high) = view.flow.edges[0][1]
    view._take(0.02, (low + high) / 2)
    assert view.block == (0, 1)
    assert [i["title"] for i in view.loops.items] == ["take01", "take04", "take02"]
    assert [i["mark"] for i in view.loops.items] == ["", "", "wrong"]
    assert view.plot.blocks.data["line"].count(None) == 2
    view._take(0.5, 0.5)
    view._take(None, None)
    assert view.block == (0, 1)
    view._play(view.loops.items[2]["id"])
    assert view.cursor.recording == "take02" and view.cursor.loop == [0, 59]


def test_cameras_of_a_recording_may_be_in_different_clusters(run):
    twice = [f"take{k:02}" for k in range(6) for _ in range(2)]
    (run.folder / "clusters").mkdir()
    rows = pd.DataFrame({"recording": twice, "cluster": [0, 1] * 6})
    for epoch in (0, 1):
        rows.to_parquet(run.folder / "clusters" / f"{epoch}.parquet")
    view = opened(run)
    view.block = (1, 1)
    assert "6 videos" in view._title.object
    assert [i["caption"] for i in view.loops.items] == ["right"] * 6
    assert view.nmi.series["with those before"].y == pytest.approx([1])


def test_new_clusterings_come_by_themselves(run):
    view = opened(run)
    assert view._nothing.visible and not view._body.visible
    write(run, 0, CLASSES)
    view.tick()
    assert view._body.visible and view.flow.epochs == (0,)
    for epoch in range(1, 20):
        write(run, epoch, CLASSES)
    view.tick()
    assert len(view.flow.epochs) == COLUMNS and view.flow.epochs[-1] == 19
    assert f"(7 of {len(view.epochs)} epochs)" in view.plot.figure.title.text


def test_ribbons_carry_everyone_from_block_to_block():
    rng = np.random.default_rng(0)
    names = [f"r{k}" for k in range(200)]
    classes = {n: "ab"[k % 2] for k, n in enumerate(names)}
    tables = {
        e: pd.DataFrame({"recording": names, "cluster": rng.integers(0, 30, 200)}) for e in (0, 5)
    }
    flow = Flow.of(tables, classes)
    assert all(len(e) == BLOCKS + 1 and REST in e for e in flow.edges)
    assert sum(len(flow.members(0, b)) for b in flow.edges[0]) == 200
    parts = list(_ribbons(flow, 0, {"a": "red", "b": "blue"}))
    assert sum(int(tip.split()[0]) for *_, tip in parts) == 200
    assert {color for *_, color, _ in parts} == {"red", "blue"}
    for block, (low, high) in flow.edges[0].items():  # what leaves a block covers it
        name = "smaller ones" if block == REST else f"cluster {block}"
        ends = [(ys[0], ys[-1]) for _, ys, _, tip in parts if f": {name} to" in tip]
        assert min(e[0] for e in ends) == pytest.approx(low)
        assert max(e[1] for e in ends) == pytest.approx(high)
        assert sum(e[1] - e[0] for e in ends) == pytest.approx(high - low)


def test_recordings_of_another_data_set_are_told(run):
    write(run, 0, CLASSES)
    path = run.folder / "clusters" / "0.parquet"
    pd.read_parquet(path).assign(recording=[f"x{k}" for k in range(6)]).to_parquet(path)
    view = opened(run)
    assert "was trained on" in view._note.object and view.loops.items == []
