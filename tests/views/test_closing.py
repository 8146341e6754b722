"""The shared state outlives the views: those of the data set before let go of it."""

import runpy
import shutil
from pathlib import Path

import pytest

from tests.views.detected import write_detection
from tests.views.swing_workspace import swing_workspace, write_run
from workbench.data.manifest import DataSet
from workbench.views.detection_page import DetectionPage
from workbench.views.inspector import Inspector
from workbench.views.map import EmbeddingMap
from workbench.views.shell import PageSpec, Shell
from workbench.views.store import Store

APP = Path(__file__).parents[2] / "apps" / "explorer.py"


@pytest.fixture
def place(swings, tmp_path):
    """The swings, and a data set `few` with a third of their windows, a run for each."""
    few = swing_workspace(tmp_path / "other", recordings=2, stem="other").data / "swings"
    write_run(swings, DataSet(shutil.copytree(few, swings.data / "few")), "brief")
    write_detection(swings)
    return swings


def watchers(store):
    """How many callbacks the state has that the views share."""
    states = store.selection, store.cursor, store.hover, store.filter
    found = [s.param.watchers.values() for s in states]
    return sum(len(called) for names in found for kinds in names for called in kinds.values())


def test_views_of_another_data_set_let_go_of_the_state(place):
    app, store = runpy.run_path(str(APP)), Store(place)
    pages = [page for some in app["PAGES"].values() for page in some]
    shell = Shell("", [PageSpec(n, i, lambda b=b: b(store), *more) for n, i, b, *more in pages])
    store.param.watch(lambda _: shell.open(), "version")
    inspector, counts = Inspector(store), {"few": set(), "swings": set()}
    for k in range(4):
        data, run = (("few", "brief"), ("swings", "steady"))[k % 2]
        store.open(data, run)
        for page in ("Clips", "Map", "Similarity", "Phase", "Anomalies", "Detection", "Health"):
            shell.page = page
        shell._built["Map"].color = "camera"
        last = len(store.embeddings) - 1
        store.selection.choose((last,), "map")
        assert inspector.neighbours.query == last
        store.cursor.move(7, "a view", store.dataset.recordings[-1])
        store.filter.expr, store.hover.id = "camera == 'left'", last
        counts[data].add(watchers(store))
    assert [len(found) for found in counts.values()] == [1, 1]


def test_what_was_asked_for_and_comes_late_is_not_shown(place):
    store = Store(place)
    store.open("swings", "steady")
    before = watchers(store)
    page = DetectionPage(store)
    assert watchers(store) > before
    page.split.value = "all"
    assert watchers(store) == before  # nothing is detected there yet
    page.split.value = "val"
    page.close()
    page._show()
    assert watchers(store) == before

    def maps(kind):
        return {"pca": store.embeddings.z[:, :2]}.get(kind)

    asked = []
    want = lambda kind, done: asked.append(done) or "drawing"  # noqa: E731
    source = type("Maps", (), {"get": staticmethod(maps)})()
    chart = EmbeddingMap(
        store.embeddings, source, store.dataset, store.selection, store.cursor, want=want
    )
    chart.kind = "umap"
    chart.close()
    assert watchers(store) == before
    store.selection.choose((10_000,), "a longer list")
    asked[0]()
