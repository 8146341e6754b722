import json
import math
import os
import time

import panel as pn
import pytest

from tests.training.boxes import make_experiment
from tests.views.box_workspace import box_workspace
from workbench.training.jobs import Job, Status
from workbench.training.run import Run
from workbench.training.train import train
from workbench.views.curves import MOST, CurvePlot, Series, Smoother
from workbench.views.monitor import TrainPage, command_line
from workbench.views.tail import Tail
from workbench.views.watch import RunWatch, duration, plain_error, verdict


@pytest.fixture
def workspace(tmp_path):
    return box_workspace(tmp_path)


@pytest.fixture
def page(workspace):
    page = TrainPage(workspace)
    page.load()
    wait(lambda: page.form is not None, page.tick)
    assert not page.start_button.disabled
    page.form.value = make_experiment(steps=3)
    return page


def wait(until, tick=lambda: None, seconds=90):
    end = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < end, "waited in vain"
        tick()
        time.sleep(0.05)


def test_nothing_can_be_started_before_the_settings_are_there(workspace, monkeypatch):
    monkeypatch.setattr(TrainPage, "load", lambda page: None)
    page = TrainPage(workspace)
    assert page.start_button.disabled
    page.start_button.clicks += 1
    assert page._starting is None and not workspace.run_names()


def shown(plot, name):
    return list(plot.sources[name].data["y"])


# ---- reading a growing file


def test_a_growing_file_gives_each_line_once(tmp_path):
    path = tmp_path / "m.jsonl"
    tail = Tail(path)
    assert tail.records() == []
    with path.open("a") as file:
        file.write('{"a": 1}\n{"a"')
        file.flush()
        assert tail.records() == [{"a": 1}]
        file.write(": 2}\nnot json\n[3]\n")
        file.flush()
        assert tail.records() == [{"a": 2}]
    assert not tail.restarted
    assert not tail.behind


@pytest.mark.parametrize("how", ["replaced", "cut and grown"])
def test_a_file_written_anew_is_read_from_its_start(tmp_path, how):
    path = tmp_path / "m.jsonl"
    path.write_text("".join(json.dumps({"step": k}) + "\n" for k in range(9)))
    tail = Tail(path)
    assert len(tail.records()) == 9
    again = "".join(json.dumps({"step": k, "x": "y"}) + "\n" for k in range(9))
    if how == "replaced":
        (tmp_path / "new").write_text(again)
        (tmp_path / "new").replace(path)
    else:
        path.write_text(again)
    assert [r["step"] for r in tail.records()] == list(range(9))
    assert tail.restarted


def test_a_long_file_is_read_in_pieces(tmp_path):
    path = tmp_path / "m.jsonl"
    path.write_text("".join(json.dumps({"step": k}) + "\n" for k in range(50_000)))
    tail, found = Tail(path), []
    while tail.behind:
        found += tail.records(seconds=0.0)
    assert [r["step"] for r in found] == list(range(50_000))


def test_a_plot_is_in_the_page_while_it_has_points():
    plot = CurvePlot("title", "unit", ["a"], levels={"chance": "dotted"})
    drawn = lambda: pn.panel(plot).select(pn.pane.Bokeh)  # noqa: E731
    assert not drawn()
    plot.level("chance", 0.5)
    assert len(drawn()) == 1
    plot.clear()
    assert not drawn()
    plot.add("a", [(1, 2.0)])
    assert len(drawn()) == 1


def test_long_curves_are_thinned_and_stay_true():
    series = Series()
    for k in range(5 * MOST):
        series.add([(float(k), 2.0 * k)])
    assert MOST / 4 < len(series.x) <= MOST
    assert all(math.isclose(y, 2 * x) for x, y in zip(series.x, series.y, strict=True))
    assert series.x == sorted(series.x)


def test_the_running_mean_is_not_biased_at_its_start():
    smooth = Smoother()
    assert [smooth(3.0) for _ in range(5)] == pytest.approx([3.0] * 5)
    assert smooth(math.nan) == pytest.approx(3.0)


# ---- words


def test_words():
    assert duration(7.4) == "0:07"
    assert duration(3 * 3600 + 62) == "3:01:02"
    assert plain_error(Status(error="ConfigError: the lr is bad")) == "The lr is bad"
    assert "log" in plain_error(Status())
    good = {"knn": 0.9, "knn_random": 0.5, "knn_chance": 0.2}
    assert verdict(good)[1] == "success"
    assert verdict({**good, "knn": 0.4})[1] == "warning"
    assert verdict({**good, "knn": 0.5})[0].startswith("**No better")
    assert verdict({**good, "alignment": 0.5, "alignment_random": 0.3})[0].startswith("**Mixed")
    assert verdict({}) is None
    told = {**good, "held_out_accuracy": 0.4, "held_out_accuracy_chance": 0.3}
    assert verdict(told)[0].startswith("**It learns**: better than the commonest label")
    told |= {"held_out_accuracy": 0.3}  # good features under it were learned by another run
    assert verdict(told)[1] == "warning" and "kNN accuracy 0.90" in verdict(told)[0]


# ---- watching


def test_a_run_that_was_trained_is_shown(workspace):
    for _ in train(make_experiment(steps=6), workspace.runs / "one"):
        pass
    watch = RunWatch(workspace, "one")
    assert watch.state == "finished"
    assert len(shown(watch.loss, "each step")) == 6
    assert len(shown(watch.knn, "this run")) == 2
    random = Run(workspace.runs / "one").metric_lines()[0]["knn_random"]
    assert shown(watch.knn, "random network") == [random, random]
    assert watch._verdict.visible
    assert "step 6 of 6" in watch._facts.object
    assert not watch.stop_button.visible
    watch.run = ""
    assert watch._nothing.visible


def test_steps_that_are_written_again_are_not_drawn_twice(workspace):
    run = Run(workspace.runs / "one")
    reports = iter(train(make_experiment(steps=6), run.folder))
    for _ in range(4):
        next(reports)
    watch = RunWatch(workspace, "one")
    assert len(shown(watch.loss, "each step")) == 4
    run.truncate_metrics(2)
    watch.tick()
    assert len(shown(watch.loss, "each step")) == 2
    for _ in reports:
        pass


def test_a_diverged_run_says_what_to_try(workspace):
    experiment = make_experiment(steps=60, lr=100.0, optimizer="sgd", momentum=0.99)
    run = Run(workspace.runs / "wild")
    with pytest.raises(Exception, match=r"diverged|no numbers"):
        for _ in train(experiment, run.folder):
            _spoil(experiment)
    watch = RunWatch(workspace, "wild")
    assert watch.state == "failed"
    assert "Try a lower train.lr" in watch._trouble.object
    assert "Traceback" not in watch._trouble.object
    assert watch.resume_button.visible


def _spoil(experiment):
    """Make the next loss no number, whatever the settings do."""
    import torch

    from workbench.methods.moco import MoCo

    def broken(self, batch, clock):
        return torch.tensor(math.nan, requires_grad=True) * next(self.parameters()).sum(), {}

    MoCo.forward, _spoil.before = broken, getattr(_spoil, "before", MoCo.forward)


@pytest.fixture(autouse=True)
def mend():
    yield
    if hasattr(_spoil, "before"):
        from workbench.methods.moco import MoCo

        MoCo.forward = _spoil.before


@pytest.mark.slow
def test_start_watch_stop_and_a_killed_run(page, workspace):
    """The life of a run, in a process of its own, seen by two pages."""
    page.form.value = make_experiment(steps=100_000, checkpoint_every=0.5)
    page.run_name.value = "long"
    page.start()
    wait(lambda: page.started == "long", page.tick)
    assert page.run == "long"
    assert page.run_name.value != "long", "the next run gets a free name"
    other = TrainPage(workspace)
    assert other.run == "long", "a page that is opened later finds the run that trains"
    wait(lambda: len(shown(other.watch.loss, "each step")) > 2, other.watch.tick)

    page.start()  # one at a time: it asks
    assert page._choices.visible
    assert "is training" in page._notice.object
    page.cancel()

    process = Job(workspace.runs / "long").status().pid
    page.watch.stop()
    assert page.watch.state == "stopping"
    assert page.watch.stop_button.disabled
    wait(lambda: page.watch.state == "stopped", page.tick)
    other.watch.tick()
    assert other.watch.state == "stopped"
    assert not _lives(process)
    assert other.watch.resume_button.visible  # what that does is seen in a browser

    path = workspace.runs / "long" / "status.json"  # as one that was killed leaves it
    path.write_text(json.dumps({**json.loads(path.read_text()), "state": "running"}))
    wait(lambda: page.watch.state == "interrupted", page.tick)
    assert "Resume" in page.watch._trouble.object
    assert page.watch.resume_button.visible


def _lives(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat") as file:
        return file.read().split()[2] != "Z"


# ---- starting


def test_recipes_explain_themselves(page):
    assert page.recipe.options
    page.form.reset()
    for name in page.recipe.options:
        page.recipe.value = name
        assert page._about.object.endswith(".")
        assert page.form.value.data.name == "boxes"
        assert page.form.changed == ()
        assert page.run_name.value == f"{name}-1"


@pytest.mark.parametrize(
    ("name", "said"), [("", "a name is needed"), ("../x", "letters"), ("taken", "already")]
)
def test_bad_names_are_refused(page, workspace, name, said):
    (workspace.runs / "taken").mkdir(parents=True)
    page.run_name.value = name
    assert said in page.run_name.helper_text
    assert page.start_button.disabled


def test_settings_that_need_mending_cannot_be_started(page):
    page.form.set("train.lr", -1.0)
    assert page.start_button.disabled
    page.form.reset("train.lr")
    assert not page.start_button.disabled


def test_a_run_that_cannot_start_says_why(page, workspace, monkeypatch):
    def refuse(*_):
        raise OSError("the disk is full")

    monkeypatch.setattr("workbench.views.monitor.start", refuse)
    page.start()
    wait(lambda: page._notice.visible, page.tick)
    assert "the disk is full" in page._notice.object
    assert page.run == ""


def test_an_empty_workspace_says_what_to_do(tmp_path):
    from workbench.workspace import Workspace

    page = TrainPage(Workspace(tmp_path))
    page.load()
    wait(lambda: page.form is not None, page.tick)
    assert "workbench demo judo" in page._check()


def test_the_command_line_names_what_was_changed(page, workspace):
    page.recipe.value = "judo-60s"
    page.form.set("train.lr", 0.5)
    page.form.set("sampler", "same-video")
    text = command_line("judo-60s", "x", page.form.value, page.form.changed, workspace)
    assert text.startswith("workbench train judo-60s --data boxes --name x --sampler same-video")
    assert "--train.lr 0.5" in text
