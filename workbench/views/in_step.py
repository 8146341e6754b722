"""Two moments played in step: all cameras of both, frame by frame."""

from __future__ import annotations

from uuid import uuid4

import numpy as np
import panel as pn

from workbench.data.manifest import DataSet
from workbench.views.moments import Moments
from workbench.views.player import SyncPlayer, sources

PLAIN = ":host { display: block } .offset, .unsaved, .unsaved * { display: none !important }"


class InStep(pn.viewable.Viewer):
    """A player of both moments, shown while they are dragged or played.

    The moments lead it in the browser: they say which frame, and how far the row is ahead. The
    videos are loaded when it is shown for the first time.
    """

    def __init__(self, moments: Moments) -> None:
        super().__init__()
        self.moments = moments
        self.sync = SyncPlayer(channel=uuid4().hex, stylesheets=[PLAIN], message="")
        moments.player = self.sync.channel
        self._view = pn.Column(self.sync, visible=False, sizing_mode="stretch_width", margin=0)
        self._dataset: DataSet | None = None
        self._sides: tuple[list[int], list[int]] = ([], [])
        self._loaded = False
        moments.param.watch(self._follow, "running")

    def show(self, dataset: DataSet, recording: str, other: str, path: np.ndarray) -> None:
        """Other recordings: of the columns, of the rows. path: the row's frame at each frame."""
        self._dataset = dataset
        self._sides = dataset.cameras(recording), dataset.cameras(other)
        self._path, self._loaded = path, False
        self._view.visible = False
        self.sync.param.update(srcs=[], pts=[], labels=[], notes=[], paths=[], playing=False)

    def _follow(self, *_: object) -> None:
        running = self.moments.running and self._dataset is not None
        if running and not self._loaded:
            self._load()
        self._view.visible = running

    def _load(self) -> None:
        columns, rows = self._sides
        videos = [*columns, *rows]
        srcs, notes = sources(self._dataset, videos)
        names = ["column"] * len(columns) + ["row"] * len(rows)
        cameras = [str(self._dataset.videos[i].camera) for i in videos]
        self._loaded = True
        self.sync.param.update(
            srcs=srcs,
            notes=notes,
            pts=[np.asarray(self._dataset.playable(i)[1], np.float64) for i in videos],
            labels=[f"{name}: {camera}" for name, camera in zip(names, cameras, strict=True)],
            paths=[[] for _ in columns] + [self._path for _ in rows],
        )

    def __panel__(self) -> pn.viewable.Viewable:
        """The player, once both run."""
        return self._view
