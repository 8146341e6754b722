"""The Detection page: which classifier, which videos; it says what is missing and makes it."""

from __future__ import annotations

import json
from collections.abc import Callable
from html import escape

import panel as pn
import panel_material_ui as pmui

from workbench.data.video import ClipShape
from workbench.training.detect import default_overlap
from workbench.training.evaluate_detection import (
    Detection,
    default_split,
    find_detections,
    load_detection,
)
from workbench.training.jobs import Job, python
from workbench.training.run import Run, RunError
from workbench.views.gate import empty
from workbench.views.selection import Watching
from workbench.views.store import WORKER, Store
from workbench.views.ticking import Ticker
from workbench.views.work import JobView


class DetectionPage(Watching, pn.viewable.Viewer):
    """Choosers of the classifier and the split above what was detected, or the button for it."""

    def __init__(self, store: Store, train: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self.store = store
        self._train = train
        self._detection: Watching | None = None
        small = {"size": "small", "width": 210, "margin": (4, 8)}
        self.run = pmui.Select(label="Classifier", options=[], **small)
        self.split = pmui.Select(label="Judged by split", options=[], **small)
        self.slot = pn.Column(sizing_mode="stretch_width", margin=0)
        self._view = pn.Column(pn.Row(self.run, self.split), self.slot, sizing_mode="stretch_width")
        self._ticker = Ticker(self._look, lambda: self._view, period=2000)
        dataset = store.dataset
        splits = [*sorted(set(dataset.table["split"].dropna())), "all"]
        self.split.param.update(options=splits, value=default_split(dataset))
        self._offer()
        for widget in (self.run, self.split):
            widget.param.watch(lambda _: self._show(), "value")
        self._show()

    def close(self) -> None:
        """Follow the state no more, nor classifiers that come."""
        super().close()
        self._ticker.stop()
        self._let_go()

    def _let_go(self) -> None:
        if self._detection is not None:
            self._detection.close()
        self._detection = None

    def _look(self) -> None:
        """Offer classifiers that came meanwhile."""
        if classifiers(self.store) != self.run.options:
            had = bool(self.run.options)
            self._offer()
            if not had:
                self._show()

    def _offer(self) -> None:
        there = classifiers(self.store)
        kept = self.run.value if self.run.value in there else None
        chosen = self.store.run if self.store.run in there else next(iter(there), None)
        self.run.param.update(options=there, value=kept or chosen, disabled=not there)
        self.run.visible = self.split.visible = bool(there)

    def _show(self) -> None:
        if self.closed:  # what was asked for came late
            return
        self._let_go()
        if self.run.value is None:
            self.slot[:] = [self._no_classifier()]
        elif (found := self._found()) is not None:
            from workbench.views.detection import DetectionView

            s = self.store
            shared = s.cursor, s.selection, s.embeddings
            self._detection = DetectionView(found, s.dataset, *shared)
            self.slot[:] = [self._detection]
        else:
            self.slot[:] = [self._not_yet()]

    def _found(self) -> Detection | None:
        """What was detected with the usual chunks, or else the newest with any others."""
        run = Run(self.store.workspace.runs / self.run.value)
        there = [
            (folder, about)
            for folder in find_detections(run, self.store.dataset)
            if (about := json.loads((folder / "about.json").read_text()))["split"]
            == self.split.value
        ]
        usual = _usual(run)
        there.sort(key=lambda kept: not usual.items() <= kept[1].items())  # stable: newest first
        return load_detection(there[0][0]) if there else None

    def _not_yet(self) -> pn.viewable.Viewable:
        job, _ = self._job()
        if job.status().busy:
            return JobView(*self._work())
        text = (
            f"The classifier **{escape(self.run.value)}** has not watched split "
            f"**{escape(self.split.value)}** of **{escape(self.store.data)}** yet. That takes "
            "seconds to minutes and is done once. In a terminal:"
        )
        command = (
            f"workbench evaluate {self.run.value} --protocol detection --data {self.store.data} "
            f"--split {self.split.value} --workspace '{self.store.workspace.root}'"
        )
        button = pmui.Button(label="Detect now", icon="visibility", color="primary", align="center")
        button.on_click(lambda _: self.slot.__setitem__(slice(None), [JobView(*self._work())]))
        return pn.Column(
            empty("visibility", "Not watched yet", text, command), button,
            sizing_mode="stretch_width",
        )  # fmt: skip

    def _work(self) -> tuple:
        title = f"{self.run.value} watches split {self.split.value} of {self.store.data}"
        why = "Every chunk goes through the network once, in a process of its own."
        return *self._job(), title, why, self._show

    def _job(self) -> tuple[Job, list[str]]:
        place, name, split = self.store.workspace, self.run.value, self.split.value
        job = Job(place.jobs / "@".join(["detect", name, self.store.data, split]))
        folders = place.runs / name, place.data / self.store.data
        return job, python(WORKER, "detect", job.folder, *folders, split)

    def _no_classifier(self) -> pn.viewable.Viewable:
        s = self.store
        start = f" --init {s.run}" if s.run else ""
        button = pmui.Button(
            label="Go to the Train page", icon="model_training", color="primary", align="center"
        )
        button.on_click(lambda _: self._train())
        page = empty(
            "visibility_off",
            "No classifier yet",
            "Online detection needs a network that tells classes apart. Train one on the labels "
            "of this data set: choose the method `classify` on the Train page, or in a terminal:",
            f"workbench train classify --data {s.data}{start} --workspace '{s.workspace.root}'",
        )
        return pn.Column(page, button, sizing_mode="stretch_width")

    def __panel__(self) -> pn.viewable.Viewable:
        """The page; from here on new classifiers appear by themselves."""
        self._ticker.start()
        return self._view


def _usual(run: Run) -> dict:
    """How a run detects where nothing else is asked for, as it is kept with what it detected."""
    clip = ClipShape.parse((run.settings.get("data") or {}).get("clip") or {})
    return {
        "clip": clip.model_dump(mode="json"),
        "overlap": default_overlap(clip.length),
        "streaming": False,
    }


def classifiers(store: Store) -> list[str]:
    """Names of the runs that tell classes apart and have a checkpoint."""
    return [name for name in store.runs if _classes(Run(store.workspace.runs / name))]


def _classes(run: Run) -> list[str]:
    try:
        return (run.settings.get("method") or {}).get("classes") or []
    except (RunError, AttributeError):
        return []
