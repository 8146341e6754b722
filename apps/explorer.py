"""The explorer: `panel serve apps/explorer.py --show`. A page is one view and one line below."""

import time
from importlib import import_module

import panel as pn
import panel_material_ui as pmui

from workbench.views.address import Address
from workbench.views.clips import ClipGallery
from workbench.views.gate import draw_map, with_dataset, with_embeddings
from workbench.views.inspector import Inspector
from workbench.views.map import EmbeddingMap
from workbench.views.pickers import Pickers
from workbench.views.shell import PageSpec, Shell
from workbench.views.store import RunMaps, Store, demo_is_due, demo_job
from workbench.views.ticking import Task
from workbench.views.tsm import SimilarityView
from workbench.views.work import JobView
from workbench.workspace import find_workspace


def clips(s: Store):
    """Recordings as cards."""
    return with_dataset(s, lambda: ClipGallery(s.dataset, s.cursor, s.filter))


def embedding_map(s: Store):
    """Every window as a dot."""

    def build():
        shared = (s.selection, s.cursor, s.hover, s.filter)
        want = lambda kind, done: draw_map(s, kind, done)  # noqa: E731
        return EmbeddingMap(s.embeddings, RunMaps(s.folder), s.dataset, *shared, want=want)

    return with_embeddings(s, build)


def similarity(s: Store):
    """The moments of a recording against each other."""
    return with_embeddings(s, lambda: SimilarityView(s.embeddings, s.dataset, s.cursor))


def phase(s: Store):
    """Where in its cycle a recording is, and what its repetitions look like there."""

    def build():
        from workbench.views.phase import PhaseView

        embed = f"workbench embed {s.run} --data {s.data} --workspace '{s.workspace.root}'"
        return PhaseView(s.embeddings, s.dataset, s.cursor, embed=embed)

    return with_embeddings(s, build)


def prototypes(s: Store):
    """What the prototypes of a run stand for, and where its clusters went along training."""
    from workbench.views.prototype_page import PrototypePage

    return PrototypePage(s)


def retrieval(s: Store):
    """Every video beside the nearest ones, right or wrong."""

    def build():
        from workbench.views.retrieval import RetrievalView

        shared = s.selection, s.cursor
        others = s.other_embeddings()
        return RetrievalView(s.embeddings, s.dataset, *shared, others=others, run=s.run)

    return with_embeddings(s, build)


def mining(s: Store):
    """Who was mined for whom, epoch by epoch."""
    if s.dataset is None or not s.run:
        return with_embeddings(s, lambda: None)

    def build():
        from workbench.training.run import Run
        from workbench.views.mining import MiningView

        return MiningView(Run(s.workspace.runs / s.run), s.dataset, s.cursor)

    return with_dataset(s, build)


def anomalies(s: Store):
    """What is far from normal recordings."""

    def build():
        from workbench.views.anomaly import AnomalyView

        return AnomalyView(s.embeddings, s.dataset, s.cursor)

    return with_embeddings(s, build)


def detection(s: Store):
    """What a classifier says of every chunk, as someone watching live has it."""

    def build():
        from workbench.views.detection_page import DetectionPage

        return DetectionPage(s, lambda: s.watch(s.watched))

    return with_dataset(s, build)


def health(s: Store):
    """Whether the features of the run still tell clips apart."""
    from workbench.views.health import page

    return page(s)


def train(s: Store):
    """Start a run and watch it learn."""
    from workbench.views.monitor import TrainPage

    page = TrainPage(s.workspace, s.data, s.watched)
    s.param.watch(lambda *_: page.param.update(dataset=s.data), "version")
    s.param.watch(lambda *_: page.param.update(run=s.watched), "watched")
    page.param.watch(lambda _: s.list_runs(), "started")
    page.watch.param.watch(lambda _: s.list_runs(), "state")
    return page


def runs(s: Store):
    """All runs of the workspace."""
    from workbench.views.runs import RunsPage

    page = RunsPage(s.workspace, s.run)
    page.param.watch(lambda event: event.new and s.look(event.new), "chosen")
    page.param.watch(lambda event: s.watch(event.new), "opened", onlychanged=False)
    page.param.watch(lambda _: s.list_runs(), "names")
    s.param.watch(lambda *_: page.param.update(chosen=s.run), "version")
    return page


PAGES = {
    "Look": [
        ("Clips", "grid_view", clips),
        ("Map", "scatter_plot", embedding_map),
        ("Similarity", "grid_on", similarity),
        ("Phase", "autorenew", phase),
        ("Prototypes", "bubble_chart", prototypes),
    ],
    "Judge": [
        ("Retrieval", "image_search", retrieval),
        ("Anomalies", "report_problem", anomalies),
        ("Detection", "visibility", detection),
        ("Health", "monitor_heart", health),
    ],
    "Train": [
        ("Train", "model_training", train, True),
        ("Mining", "travel_explore", mining),
        ("Runs", "list_alt", runs, True),
    ],
}


def app(workspace=None):
    """The whole explorer over a workspace (by default the user's)."""
    pn.extension("tabulator", notifications=True)
    store = Store(find_workspace(workspace))
    pages = [
        PageSpec(name, icon, lambda b=build: b(store), *lasting, group=group)
        for group, some in PAGES.items()
        for name, icon, build, *lasting in some
    ]
    shell = Shell("workbench", pages, lambda: Pickers(store), lambda: Inspector(store))
    address = Address(store, shell)
    store.param.watch(lambda _: shell.open(), "version")
    store.param.watch(lambda _: shell.open("Train"), "watched", onlychanged=False)

    def explore():
        if not address.following:
            address.restore()
            shell.open()
            address.follow()

    def look_again():
        if store.embeddings is None:
            store.open(store.data or next(iter(store.workspace.data_names()), ""))
        explore()

    if demo_is_due(store.workspace):
        why = "Four cameras film twelve throws; nothing is downloaded. This is done once."
        job = JobView(*demo_job(store.workspace), "Making the judo demo", why, look_again)
        past = pmui.Button(label="Do not wait for it", variant="text", align="center")
        past.on_click(lambda _: look_again())
        shell.show(pn.Column(job, past, sizing_mode="stretch_width"))
    else:
        explore()
    return shell


def warm_up(seconds=3):
    """Load the training code (it brings torch) in a thread, a while after the first page."""
    return Task(lambda: (time.sleep(seconds), import_module("workbench.training.recipes")))


if pn.state.served:
    app().servable()
    pn.state.onload(warm_up)
