"""Pages that need features: they say what is missing and offer to make it."""

from __future__ import annotations

from collections.abc import Callable
from html import escape

import panel as pn
import panel_material_ui as pmui

from workbench.views.store import Store
from workbench.views.work import JobView


def with_dataset(
    store: Store, build: Callable[[], pn.viewable.Viewable]
) -> pn.viewable.Viewable | pn.viewable.Viewer:
    """What `build` returns, or what to do where there is no data set."""
    if store.dataset is not None and store.dataset.recordings:
        return build()
    return empty(
        "video_library",
        "No videos yet",
        "Index a folder of videos, then reload this page:",
        "workbench index FOLDER --pattern '{recording}_{camera}.mp4' --workspace "
        f"'{store.workspace.root}'",
    )


def with_embeddings(
    store: Store, build: Callable[[], pn.viewable.Viewable]
) -> pn.viewable.Viewable | pn.viewable.Viewer:
    """What `build` returns, or how to come to features where there are none."""
    if store.dataset is None:
        return with_dataset(store, build)
    if not store.run:
        return empty(
            "model_training",
            "No trained network yet",
            "This page shows videos as a network sees them. Train one on the Train page "
            "(a minute is enough for a first look), or in a terminal:",
            f"workbench train moco --data {store.data} --workspace '{store.workspace.root}'",
        )
    if store.embeddings is None:
        return EmbedNow(store)
    return build()


class EmbedNow(pn.viewable.Viewer):
    """A button that embeds the data set by the run, then how far it is."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        self.store = store
        self.button = pmui.Button(
            label="Embed now", icon="auto_awesome", color="primary", align="center"
        )
        self.button.on_click(lambda _: self.start())
        text = (
            f"The network of **{escape(store.run)}** has not looked at **{escape(store.data)}** "
            "yet. That takes seconds to minutes, and is done once; you can go on browsing "
            "meanwhile."
        )
        self._view = pn.Column(
            empty("blur_on", "No features yet", text), self.button, sizing_mode="stretch_width"
        )
        if store.embed_job("pca")[0].status().busy:
            self.start()

    def start(self) -> None:
        """Start embedding, or join it where it runs."""
        why = "Every window of every video goes through the network once."
        title = f"Embedding {self.store.data} with {self.store.run}"
        job, argv = self.store.embed_job("pca")
        self._view[:] = [JobView(job, argv, title, why, self.store.refresh)]

    def __panel__(self) -> pn.viewable.Viewable:
        """The button, or the job."""
        return self._view


def draw_map(store: Store, kind: str, done: Callable[[], None]) -> pn.viewable.Viewer:
    """The job that draws a map that is not there yet, as a view."""
    job, argv = store.embed_job(kind)
    why = "It is drawn in a process of its own and kept with the run; the other pages work on."
    return JobView(job, argv, f"Drawing the {kind} map", why, done)


def empty(icon: str, title: str, text: str, command: str = "") -> pn.viewable.Viewable:
    """An empty page: what is not there, and what to do about it.

    text is Markdown, so names in it are to be escaped; the command is taken as it is.
    """
    parts = [
        pmui.Typography(
            f'<span class="material-icons" style="font-size:56px;opacity:.45">{icon}</span>',
            align="center",
        ),
        pmui.Typography(title, variant="h5", align="center", margin=(4, 8)),
        pmui.Typography(text, variant="body1", align="center", margin=(4, 8)),
    ]
    if command:
        parts.append(
            pn.pane.HTML(
                '<pre style="padding:10px 14px;border-radius:8px;font-size:12.5px;white-space:'
                f'pre-wrap;background:rgba(128,128,128,.14)">{escape(command)}</pre>',
                align="center",
            )
        )
    return pn.Column(
        *parts, sizing_mode="stretch_width", max_width=620,
        styles={"margin": "8vh auto 0", "text-align": "center"},
    )  # fmt: skip
