"""The Train page: choose a recipe, change what is to be changed, start, and watch it learn."""

from __future__ import annotations

import sys
from html import escape
from typing import Any

import panel as pn
import panel_material_ui as pmui
import param

from workbench.views.form import ConfigForm
from workbench.views.run_list import RunList, free_name, name_problem
from workbench.views.ticking import Task, Ticker
from workbench.views.watch import RunWatch, duration, start
from workbench.workspace import Workspace

ESSENTIAL = (
    "data.name",
    "sampler",
    "encoder",
    "method",
    "train.epochs",
    "train.steps",
    "train.batch",
    "train.lr",
    "train.device",
)
PERIOD = 500  # milliseconds between two looks at the folder


class TrainPage(pn.viewable.Viewer):
    """Start a run on a data set of the workspace, and watch one.

    The settings appear when the training code is loaded (it brings torch), which happens beside
    the page. `run` names the run that is watched; a run that trains already is watched at once.
    """

    dataset = param.String(default="", doc="Name of the data set that a new run trains on.")
    run = param.String(default="", doc="Name of the run that is watched.")
    started = param.String(default="", doc="Name of the run that was last started from here.")

    def __init__(self, workspace: Workspace, dataset: str = "", run: str = "") -> None:
        super().__init__()
        self.workspace = workspace
        self.runs = RunList(workspace)
        self.watch = RunWatch(workspace, ticking=False)
        self.form: ConfigForm | None = None
        self._ticker = Ticker(
            self.tick, lambda: self._view, lambda: self._queued is not None, PERIOD
        )
        self._loading: Task | None = None
        self._starting: Task | None = None
        self._queued: tuple[Any, str] | None = None
        self._own_name = True  # the run's name follows the recipe until someone types one
        self._ticks = 0
        self._build()
        self.param.watch(lambda _: self._on_dataset(), "dataset")
        self.param.watch(lambda _: self._on_run(), "run")
        self.dataset = dataset or next(iter(workspace.data_names()), "")
        self.runs.refresh()
        newest_busy = next((s.name for s in self.runs.busy()), "")
        self.run = run or newest_busy

    # ---- what is shown

    def _build(self) -> None:
        self.recipe = pmui.Select(
            label="recipe", options=[], size="small", sizing_mode="stretch_width", margin=(8, 4)
        )
        self._about = pmui.Typography("", variant="body2", margin=(0, 6, 6, 6))
        self.run_name = pmui.TextInput(
            label="name of the run", size="small", sizing_mode="stretch_width", margin=(8, 4)
        )
        self.start_button = pmui.Button(
            label="Start training",
            icon="play_arrow",
            color="primary",
            variant="contained",
            sizing_mode="stretch_width",
            margin=(8, 4),
        )
        self._why = pmui.Typography("", variant="body2", visible=False, margin=(0, 6))
        self._notice = pmui.Alert(
            severity="info", visible=False, sizing_mode="stretch_width", margin=(6, 4)
        )
        self.watch_busy = _small("Watch it", "visibility")
        self.queue_button = _small("Start when it ends", "schedule")
        self.start_anyhow = _small("Start anyhow", "play_arrow")
        self.cancel_button = _small("Cancel", "close")
        self._choices = pn.FlexBox(
            self.watch_busy, self.queue_button, self.start_anyhow, self.cancel_button, visible=False
        )
        self.watched = pmui.Select(
            label="watched run", options=[], size="small", width=320, margin=(8, 8)
        )
        self._settings = pn.Column(
            pmui.Typography("Loading the settings...", variant="body2", margin=8),
            pmui.Skeleton(height=240, sizing_mode="stretch_width"),
            sizing_mode="stretch_width",
            margin=0,
        )
        left = pn.Column(
            pmui.Typography("New run", variant="h6", margin=(4, 6)),
            self.recipe,
            self._about,
            self.run_name,
            self.start_button,
            self._why,
            self._notice,
            self._choices,
            self._settings,
            styles={"flex": "1 1 360px", "max-width": "480px", "min-width": "0"},
            margin=(0, 16, 0, 4),
        )
        right = pn.Column(
            self.watched, self.watch, styles={"flex": "3 1 480px", "min-width": "0"}, margin=0
        )
        self._view = pn.Column(
            left,
            right,
            styles={"display": "flex", "flex-flow": "row wrap", "align-items": "flex-start"},
            sizing_mode="stretch_width",
        )
        self.recipe.param.watch(lambda _: self._on_recipe(), "value")
        self.run_name.param.watch(self._on_name, "value")
        self.watched.param.watch(self._on_watched, "value")
        self._check()
        self.start_button.on_click(lambda _: self.start())
        self.start_anyhow.on_click(lambda _: self.start(anyhow=True))
        self.queue_button.on_click(lambda _: self.queue())
        self.cancel_button.on_click(lambda _: self.cancel())
        self.watch_busy.on_click(lambda _: self._watch_busy())

    # ---- settings

    def load(self) -> None:
        """Load the recipes and settings, in a thread unless this process has done it before."""
        if self._loading is None and self.form is None:
            task = Task(_training_code)
            if "workbench.training.recipes" in sys.modules and task.wait(0.2):
                self._loaded(task)
            else:
                self._loading = task

    def _loaded(self, task: Task) -> None:
        if task.error:
            self._settings.objects = [
                pmui.Alert(
                    severity="error", object=escape(f"Training cannot be loaded: {task.error}")
                )
            ]
            return
        recipes, schema = task.result
        self._recipes = recipes
        self.recipe.options = list(recipes)
        self.recipe.value = next(iter(recipes))
        self.form = ConfigForm(
            schema,
            self._experiment(),
            essential=ESSENTIAL,
            choices=self._known_names(),
            command=self._command,
        )
        self.form.param.watch(lambda *_: self._check(), ["value", "errors"])
        self._about.object = one_sentence(recipes[self.recipe.value].__doc__)
        self._suggest_name()
        self._settings.objects = [self.form]
        self._check()

    def _known_names(self) -> dict[str, list[str]]:
        data, runs = self.workspace.data_names(), self.workspace.run_names()
        return {"data.name": data, "init": runs, "teacher": runs}

    def _experiment(self) -> Any:
        return self._recipes[self.recipe.value](self.dataset or "none")

    def _command(self, experiment: Any, changed: tuple[str, ...]) -> str:
        return command_line(
            self.recipe.value, self.run_name.value, experiment, changed, self.workspace
        )

    def _on_recipe(self) -> None:
        if self.form is None or self.recipe.value is None:
            return
        self._about.object = one_sentence(self._recipes[self.recipe.value].__doc__)
        self.form.start_from(self._experiment())
        if self._own_name:
            self._suggest_name()
        self._check()

    def _on_dataset(self) -> None:
        if self.form is not None and self.dataset:
            if self.form.changed:
                self.form.set("data.name", self.dataset)
            else:
                self._on_recipe()

    def _suggest_name(self) -> None:
        self._own_name = True
        if self.recipe.value:
            self.run_name.value = free_name(self.workspace, self.recipe.value)

    def _on_name(self, event: Any) -> None:
        if self.recipe.value:
            self._own_name = event.new == free_name(self.workspace, self.recipe.value)
        self._check()

    def _check(self) -> str:
        """Whether a run can be started; the reason why not is shown, and returned."""
        why = name_problem(self.workspace, self.run_name.value) if self.recipe.value else ""
        self.run_name.param.update(error_state=bool(why), helper_text=why)
        if self.form is None:
            why = "the settings are being loaded"
        elif not self.workspace.data_names():
            why = "there is no data set yet: workbench index FOLDER, or workbench demo judo"
        elif self.form.errors:
            why = "some settings need mending"
        self.start_button.disabled = bool(why) or self._starting is not None
        loading = self.form is None  # which is said where the settings will be
        self._why.param.update(object=escape(f"Not yet: {why}."), visible=bool(why) and not loading)
        return why

    # ---- starting

    def start(self, anyhow: bool = False) -> None:
        """Start the run as set; where one trains already, ask first."""
        if self._check() or self._starting:
            return
        self.runs.refresh()
        if self.runs.busy() and not anyhow:
            self._ask()
            return
        self._launch(self.form.value, self.run_name.value)

    def queue(self) -> None:
        """Start the run as set as soon as none trains, as long as this page is open."""
        if not self._check():
            self._queued = self.form.value, self.run_name.value
            self._ask()

    def cancel(self) -> None:
        """Neither start nor wait."""
        self._queued = None
        self._say("")

    def _launch(self, experiment: Any, name: str) -> None:
        self._queued = None
        self._say("")
        folder = self.workspace.runs / name
        self.start_button.param.update(label="Starting...", disabled=True)
        self._starting = Task(lambda: start(folder, experiment))
        self._starting.wait(0.05)
        self.tick()

    def _launched(self, task: Task) -> None:
        self._starting = None
        self.start_button.label = "Start training"
        if task.error:
            self._say(f"**The run could not be started.** {escape(str(task.error))}", "error")
        else:
            self.param.update(started=task.result.name, run=task.result.name)
            self._suggest_name()
        self._check()

    def _ask(self) -> None:
        busy = self.runs.busy()
        if not busy:
            return
        s = busy[0].status
        share = f", {100 * s.done // s.total} % done" if s.total else ""
        left = f", {duration(s.eta)} left" if s.eta is not None else ""
        text = f"**{escape(busy[0].name)} is training**{share}{left}. "
        if self._queued:
            name = escape(self._queued[1])
            text += f"**{name}** starts when it ends, as long as this page stays open."
        else:
            text += "Two at a time share the processor, and both get slower."
        self._say(text)
        self.watch_busy.visible = self.run != busy[0].name
        self.queue_button.visible = self.start_anyhow.visible = self._queued is None
        self._choices.visible = True

    def _say(self, text: str, severity: str = "info") -> None:
        self._notice.param.update(object=text, severity=severity, visible=bool(text))
        self._choices.visible = False

    # ---- watching

    def _watch_busy(self) -> None:
        if busy := self.runs.busy():
            self.run = busy[0].name

    def _on_watched(self, event: Any) -> None:
        if event.new:
            self.run = event.new

    def _on_run(self) -> None:
        self.watch.run = self.run
        self._list_runs()

    def _list_runs(self) -> None:
        names = [s.name for s in self.runs.refresh()]
        if self.run and not (self.workspace.runs / self.run).is_dir():
            self.run = ""  # renamed or deleted elsewhere
        if self.run and self.run not in names:
            names = [self.run, *names]
        if self.watched.options != names:
            self.watched.options = names
        if (self.watched.value, self.watched.visible) != (self.run or None, bool(names)):
            self.watched.param.update(value=self.run or None, visible=bool(names))

    def tick(self) -> None:
        """Look at what changed; takes a few milliseconds."""
        self._ticks += 1
        with pn.io.hold():
            if self._loading is not None and self._loading.done:
                task, self._loading = self._loading, None
                self._loaded(task)
            if self._starting is not None and self._starting.done:
                self._launched(self._starting)
            self.watch.tick()
            if self._ticks % 4 == 0:
                self._list_runs()
                self._look_at_others()

    def _look_at_others(self) -> None:
        busy = self.runs.busy()
        if self._choices.visible and busy:
            self._ask()
        elif self._queued and not busy and not self._starting:
            self._launch(*self._queued)
        elif self._choices.visible:
            self._say("")

    def __panel__(self) -> pn.viewable.Viewable:
        """The page; from here on it looks at the workspace twice a second."""
        self.load()
        self._ticker.start()
        return self._view


def _training_code() -> tuple[dict, type]:
    from workbench.training.experiment import Experiment
    from workbench.training.recipes import RECIPES

    return RECIPES, Experiment


def _small(label: str, icon: str) -> pmui.Button:
    return pmui.Button(label=label, icon=icon, size="small", variant="outlined", margin=4)


def one_sentence(doc: str | None) -> str:
    """The first line of a docstring."""
    return (doc or "").strip().partition("\n")[0]


def command_line(
    recipe: str, name: str, experiment: Any, changed: tuple[str, ...], workspace: Workspace
) -> str:
    """The command that starts the same run; `changed` are the paths that differ from the recipe."""
    import shlex

    data = experiment.model_dump(mode="json")
    words = ["workbench", "train", recipe, "--data", data["data"]["name"], "--name", name]
    if data["init"]:  # the command would take these from that run
        encoder, clip = data["encoder"], data["data"]["clip"]
        changed += tuple(f"encoder.{key}" for key in encoder if key != "name")
        changed += tuple(f"data.clip.{key}" for key in clip)
        changed = ("encoder", *dict.fromkeys(changed))
    chosen = {"sampler", "encoder"} & set(changed)
    for part in sorted(chosen):
        words += [f"--{part}", data[part]["name"]]
    for path in changed:
        here: Any = data
        for key in path.split("."):
            here = here[key] if isinstance(here, dict) else None
        if path != "data.name" and not isinstance(here, dict):
            values = here if isinstance(here, list) else [here]
            words += [f"--{path}", *map(str, values)]
    words += ["--workspace", str(workspace.root)]
    return " ".join(map(shlex.quote, words))
