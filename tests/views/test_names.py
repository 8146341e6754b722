"""Names come from files: none of them may become part of the page."""

import panel as pn
import pytest

from tests.views.swing_workspace import swing_workspace, write_run
from workbench.views.anomaly import AnomalyView
from workbench.views.fields import Field
from workbench.views.gate import with_embeddings
from workbench.views.inspector import Inspector
from workbench.views.map import EmbeddingMap
from workbench.views.monitor import TrainPage
from workbench.views.phase import PhaseView
from workbench.views.pickers import Pickers
from workbench.views.runs import RunsPage
from workbench.views.schema import Leaf
from workbench.views.store import RunMaps, Store
from workbench.views.tsm import SimilarityView

EVIL = "<img src=x onerror=alert(1)>"


@pytest.fixture
def store(tmp_path):
    workspace = swing_workspace(tmp_path, stem=EVIL, tag=EVIL)
    return Store(workspace)


def injected(*views):
    """What a browser would parse as HTML and that holds the evil name as it is."""
    parsed = (pn.pane.markup.HTMLBasePane,)
    shown = [v for view in views for v in pn.panel(view).select() if hasattr(v, "object")]
    texts = [v.object for v in shown if isinstance(v, parsed) or type(v).__name__ == "Alert"]
    assert texts
    return [t for t in texts if "<img src=x" in str(t)]


def test_recordings_and_tags_are_text(store):
    store.cursor.move(20, "", f"{EVIL}01")
    inspector = Inspector(store)
    assert "&lt;img" in inspector.facts.object and "&lt;img" in inspector.neighbours.note.object
    similar = SimilarityView(store.embeddings, store.dataset, store.cursor)
    shared = (store.dataset, store.selection, store.cursor)
    dots = EmbeddingMap(store.embeddings, RunMaps(store.folder), *shared)
    dots.embeddings.index["label"] = EVIL
    store.selection.choose((3,), "gallery")
    assert "&lt;img" in dots.note.object
    phases = PhaseView(store.embeddings, store.dataset, store.cursor)
    assert not injected(inspector, similar, phases, dots, Pickers(store))
    store.cursor.move(0, "", f"{EVIL}99")
    for view in (similar, phases):
        assert "&lt;img" in view.note.object and not injected(view)


def test_recordings_of_alarms_are_text(store):
    store.dataset.segments["label"] = EVIL
    store.dataset.__dict__.pop("videos", None)
    anomalies = AnomalyView(store.embeddings, store.dataset, store.cursor)
    pn.panel(anomalies).get_root()
    anomalies.wait()
    anomalies.slider.value = anomalies.slider.value_throttled = 0.01
    assert anomalies.found.alarms and "&lt;img" in anomalies.why.said.object
    assert "&lt;img" in anomalies.how.object or not anomalies.how.object
    assert not injected(anomalies)
    store.cursor.move(0, "", f"{EVIL}99")
    assert "&lt;img" in anomalies.lost.object and not injected(anomalies)


def test_runs_and_data_sets_are_text(store):
    workspace = store.workspace
    write_run(workspace, store.dataset, EVIL)
    (workspace.runs / EVIL / "checkpoints" / "model.safetensors").write_bytes(b"not embedded")
    store.look(EVIL)
    page = with_embeddings(store, lambda: None)
    train, runs = TrainPage(workspace, run=EVIL), RunsPage(workspace, EVIL)
    runs.selected = [EVIL]
    runs._confirm(True)
    assert not injected(page, train._view, runs._view)
    runs.delete()
    assert "&lt;img" in runs._done.object and not injected(runs._view)


def test_no_data_set_names_the_workspace_as_text(tmp_path):
    from workbench.workspace import Workspace

    store = Store(Workspace(tmp_path / EVIL))
    assert not injected(with_embeddings(store, lambda: None))


def test_what_is_said_of_a_setting_is_text():
    leaf = Leaf(path="on", help="", kind=bool)
    field = Field(leaf, True, print, print, print)
    field.mark(f"not {EVIL}", True, True)
    assert "&lt;img" in field._note.object and not injected(field)
