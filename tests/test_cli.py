"""The command line as a user meets it: real processes, real files, also with wrong input."""

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.barcode import write_barcode_video
from tests.training.test_vigil import pictures, write
from workbench import watching
from workbench.cli import _stored_side, main
from workbench.data.video import ClipShape
from workbench.train_commands import _with_settings
from workbench.training.experiment import DataConfig
from workbench.training.recipes import RECIPES
from workbench.training.run import Run
from workbench.views.monitor import command_line
from workbench.workspace import Workspace


@pytest.fixture
def process(tmp_path):
    """Run a command in a process of its own, as users do; what it said."""

    def command(*arguments):
        done = subprocess.run(
            [sys.executable, "-m", "workbench.cli", *map(str, arguments)],
            env={**os.environ, "WORKBENCH_WORKSPACE": str(tmp_path / "workspace")},
            capture_output=True,
            text=True,
            timeout=240,
        )
        said = done.stdout + done.stderr
        assert done.returncode == 0 and "Traceback" not in said, said
        return said

    return command


@pytest.fixture
def run(tmp_path, monkeypatch, capfd):
    """Run a command here, which saves loading torch each time; what it said."""
    monkeypatch.setenv("WORKBENCH_WORKSPACE", str(tmp_path / "workspace"))

    def command(*arguments, ok=True, code=None):
        monkeypatch.setattr(sys, "argv", ["workbench", *map(str, arguments)])
        capfd.readouterr()
        try:
            main()
            returned = 0
        except SystemExit as end:
            returned = end.code or 0
        said = "".join(capfd.readouterr())
        assert "Traceback" not in said, said
        assert (returned == 0) == (ok and not code), said
        assert code in (None, returned), said
        return said

    return command


@pytest.fixture
def videos(tmp_path):
    folder = tmp_path / "videos"
    folder.mkdir()
    for recording in "ab":
        for camera in ("left", "right"):
            write_barcode_video(folder / f"{recording}_{camera}.mp4", 40, size=(96, 64))
    return folder


def test_folder_to_features(run, videos, tmp_path):
    said = run("index", videos, "--name", "mine", "--side", 48, "--workers", 1)
    assert "4 videos of 2 recordings, 160 frames" in said
    small = ["--data.clip.length", 4, "--data.clip.size", 32, "--encoder.width", 4]
    small += ["--train.steps", 3, "--train.batch", 4, "--method.queue", 16]
    said = run("train", "moco", "--data", "mine", "--sampler", "other-camera", *small)
    assert "step" in said and "loss" in said and "clips/s" in said and "s left" in said
    assert "moco-other-camera-mine" in run("runs")
    said = run("embed", "moco-other-camera-mine")
    assert "alignment error" in said and "chance" in said
    (folder,) = (tmp_path / "workspace/runs/moco-other-camera-mine/embeddings").iterdir()
    assert {p.name for p in folder.iterdir()} >= {"z.npy", "index.parquet", "pca.npy"}
    run("export", "moco-other-camera-mine", tmp_path / "shared")
    assert (tmp_path / "shared/checkpoints/model.safetensors").is_file()


def test_one_bad_file_is_a_warning_and_strict_makes_it_an_error(run, videos):
    (videos / "c_left.mp4").write_bytes(b"")
    said = run("index", videos, "--side", 48, "--workers", 1)
    assert "left out" in said and "c_left.mp4" in said and "4 videos of 2 recordings" in said
    run("index", videos, "--side", 48, "--workers", 1, "--strict", ok=False)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["index", "nowhere"], "does not exist"),
        (["index", "nowhere.csv"], "is missing"),
        (["train", "moco"], "--data is missing"),
        (["train", "moko", "--data", "x"], "no data set 'x'"),
        (["embed", "nothing"], "no run 'nothing'"),
        (["resume", "nothing"], "no run 'nothing'"),
        (["export", "nothing", "there"], "no run 'nothing'"),
        (["demo", "chess"], "chess"),
        (["frobnicate"], "subcommands: doctor, index"),
        (["runs", "--workspace", __file__], "is a file"),
        (["demo", "judo", "--workspace", f"{__file__}/below"], "nothing can be written"),
    ],
)
def test_wrong_input_is_explained(run, arguments, expected):
    assert expected in run(*arguments, ok=False)


def test_wrong_names_get_the_closest_right_one(run, videos):
    run("index", videos, "--name", "mine", "--side", 48, "--workers", 1)
    assert "'mine'" in run("train", "moco", "--data", "mime", ok=False)
    assert "'moco'" in run("train", "moko", "--data", "mine", ok=False)
    assert "other-camera" in run("train", "moco", "--data", "mine", "--sampler", "other", ok=False)
    said = run("train", "moco", "--data", "mine", "--train.batchh", 3, ok=False)
    assert "--train.batch" in said


SMALL = [
    *["--data.clip.length", 4, "--data.clip.size", 32, "--encoder.width", 4],
    *["--train.steps", 2, "--train.batch", 4, "--train.evaluations", 0, "--method.queue", 16],
]


def test_wrong_settings_say_what_was_found_and_expected(run, videos, tmp_path):
    run("index", videos, "--name", "mine", "--side", 48, "--workers", 1)
    wrong = ["--train.lr", -1, "--train.steps", "abc", "--augment.crop", 0.3, 7]
    said = run("train", "moco", "--data", "mine", *wrong, "--method.queue", 0, code=2)
    for line in (
        "train.lr must be more than 0.0; found -1. Learning rate",
        "train.steps must be a whole number; found abc. Steps",
        "augment.crop must be at most 1.0; found 7. Smallest",
        "method.queue must be at least 1; found 0.",
    ):
        assert line in said
    assert "pydantic" not in said
    said = run("train", "moco", "--data", "mine", "--augment.crop", 0.9, 0.3, code=2)
    assert "augment: crop goes from 0.9 to 0.3" in said
    said = run("train", "moco", "--data", "mine", "--data.splits", "dev", ok=False)
    assert "no split 'dev'" in said and "leave data.splits empty" in said
    assert not (tmp_path / "workspace" / "runs").exists()


def test_what_cannot_be_done_to_a_run_is_explained(run, videos, tmp_path):
    run("index", videos, "--name", "mine", "--side", 48, "--workers", 1)
    run("train", "moco", "--data", "mine", "--name", "first", *SMALL)
    assert "trained to the end already" in run("resume", "first")
    few = ["--train.steps", 2, "--train.batch", 4]
    said = run("train", "classify", "--data", "mine", "--init", "first", *few, ok=False)
    assert "has no splits: all of its videos" in said and "needs two classes" in said
    said = run("train", "moco", "--data", "mine", "--init", "nobody", ok=False)
    assert "no run 'nobody'" in said
    said = run("train", "moco", "--data", "mine", "--name", "first", ok=False)
    assert "run of other settings" in said and "more. Use another name" in said
    assert "must be at least 1 frame; found 0" in run("embed", "first", "--hop", 0, code=2)
    full, empty = tmp_path / "full", tmp_path / "empty"
    full.mkdir(), empty.mkdir()
    (full / "a.txt").touch()
    assert "holds files" in run("export", "first", full, code=2)
    assert "is a file" in run("export", "first", full / "a.txt", code=2)
    assert [p.name for p in full.iterdir()] == ["a.txt"]
    run("export", "first", empty)
    (tmp_path / "workspace/data/mine").rename(tmp_path / "workspace/data/other")
    said = run("embed", "first", code=2)
    assert "trained on data set 'mine'" in said and "--data (here: other)" in said


def test_a_classifier_on_top_of_a_run_sees_what_the_run_saw(run, videos, tmp_path):
    table = "recording,camera,path,label,split\n" + "".join(
        f"{f.stem[0]},{f.stem[2:]},{f},{'up' if f.stem[0] == 'a' else 'down'},train\n"
        for f in sorted(videos.iterdir())
    )
    (videos / "clips.csv").write_text(table)
    run("index", videos / "clips.csv", "--name", "mine", "--side", 48, "--workers", 1)
    run("train", "moco", "--data", "mine", "--name", "first", *SMALL)
    few = ["--train.epochs", 1, "--train.batch", 4, "--name", "second"]
    run("train", "classify", "--data", "mine", "--init", "first", *few)
    first, second = (Run(tmp_path / "workspace/runs" / n).config for n in ("first", "second"))
    assert second.init == "first" and second.method.classes == ("down", "up")
    assert (second.encoder, second.data.clip) == (first.encoder, first.data.clip)
    said = run("evaluate", "second", "--split", "all")
    assert "balanced accuracy" in said and "Not held out" in said


def test_a_classifier_needs_no_splits_but_those_that_are_asked_for(run, videos, tmp_path):
    def index(name, split):
        head = "recording,camera,path,label" + (",split" if split else "")
        rows = [f"{f.stem[0]},{f.stem[2:]},{f},{'up' if f.stem[0] == 'a' else 'down'}"
                + (f",{split}" if split else "") for f in sorted(videos.iterdir())]  # fmt: skip
        (tmp_path / "clips.csv").write_text("\n".join([head, *rows]))
        run("index", tmp_path / "clips.csv", "--name", name, "--side", 48, "--workers", 1)

    index("mine", "")
    run("train", "moco", "--data", "mine", "--name", "first", *SMALL)
    few = ["--init", "first", "--train.epochs", 1, "--train.batch", 4, "--name", "second"]
    run("train", "classify", "--data", "mine", *few)
    assert Run(tmp_path / "workspace/runs/second").config.data.splits is None
    index("other", "dev")
    said = run("train", "classify", "--data", "other", *few[:-1], "third", ok=False)
    assert "no split 'train'. Its splits: dev" in said


def test_a_paper_of_several_runs_trains_them_in_turn_and_each_once(run, videos, tmp_path):
    run("index", videos, "--name", "mine", "--side", 48, "--workers", 1)
    few = [*SMALL, "--method.dim", 8, "--method.prototypes", 6]
    said = run("train", "vicc", "--data", "mine", *few, ok=False)
    assert "no optical flow" in said and "workbench flow mine" in said
    assert not (tmp_path / "workspace" / "runs").exists()  # though the first stage needs none
    run("flow", "mine")
    said = run("train", "vicc-flow-2", "--data", "mine", *few, code=2)
    assert "vicc-flow-1-mine and vicc-rgb-2-mine, which are not there yet" in said
    assert said.rstrip().endswith("workbench train vicc --data mine")
    said = run("train", "vicc-flow-2", "--data", "mine", *few, "--dry-run")
    assert "vicc-flow-1-mine + vicc-rgb-2-mine (teacher)" in said and "1 run, " in said
    said = run("train", "vicc", "--data", "mine", "--name", "a", *few)
    assert "vicc 4/4: a-vicc-flow-2-mine" in said
    assert "from a-vicc-flow-1-mine, taught by a-vicc-rgb-2-mine" in said
    last = Run(tmp_path / "workspace/runs/a-vicc-flow-2-mine")
    assert (last.config.init, last.config.teacher) == ("a-vicc-flow-1-mine", "a-vicc-rgb-2-mine")
    said = run("train", "vicc", "--data", "mine", "--name", "a", *few)
    assert said.count("is trained already") == 4
    assert "taught by a-vicc-rgb-2-mine" in run("runs")
    said = run("train", "vicc", "--data", "mine", "--sampler", "same-video", code=2)
    assert "leave out --init and --sampler" in said
    assert "comes in one size" in run("train", "moco-v2", "--data", "mine", "--paper", code=2)


def test_without_its_data_set_a_run_watches_pictures_no_smaller_than_it_learned(tmp_path):
    sizes = {112: 129, 16: 128, 224: 258}
    for size, side in sizes.items():
        data = DataConfig(name="gone", clip=ClipShape(size=size))
        assert _stored_side(Workspace(tmp_path), data) == side


def test_doctor_reports(process):
    said = process("doctor")
    for word in ("python", "torch", "training uses", "decoder av", "workspace", "free disk"):
        assert word in said


def test_the_command_that_the_train_page_shows_starts_the_same_experiment():
    recipe = RECIPES["judo-60s"]("judo")
    changed = recipe.model_copy(
        update={
            "data": recipe.data.model_copy(update={"splits": None}),
            "method": recipe.method.model_copy(update={"mask_same_group": False}),
            "augment": recipe.augment.model_copy(update={"crop": (0.3, 0.9)}),
        }
    )
    paths = ("data.splits", "method.mask_same_group", "augment.crop")
    words = shlex.split(command_line("judo-60s", "n", changed, paths, Workspace(Path("w"))))
    start, end = ["workbench", "train", "judo-60s", "--data", "judo", "--name", "n"], words[-2:]
    assert words[: len(start)] == start and end == ["--workspace", "w"]
    assert _with_settings(recipe, words[len(start) : -2], "") == changed


@pytest.mark.parametrize("recipe", RECIPES.values())
def test_no_options_change_no_setting(recipe):
    assert _with_settings(recipe("judo"), [], "") == recipe("judo")


def test_names_stay_inside_the_workspace(run, videos, tmp_path):
    assert "cannot be used" in run("index", videos, "--name", "../evil", ok=False)
    run("index", videos, "--name", "mine", "--side", 48, "--workers", 1)
    assert "cannot be used" in run("train", "moco", "--data", "mine", "--name", "a/b", ok=False)
    assert not (tmp_path / "evil").exists()


def test_one_broken_run_does_not_hide_the_others(run, tmp_path):
    for name, text in {"broken": "a: [", "poor": "data: {name: x}"}.items():
        folder = tmp_path / "workspace" / "runs" / name
        folder.mkdir(parents=True)
        (folder / "config.yaml").write_text(text)
    said = run("runs")
    assert "broken" in said and "cannot be read" in said and "poor" in said and "x" in said


def test_watching_a_video_beside_a_normal_one(run, tmp_path, monkeypatch):
    write(tmp_path / "normal.mp4", pictures(8))
    (tmp_path / "new").mkdir()
    write(tmp_path / "new" / "a.mp4", pictures(6, strange=[(3, 4)], seed=1))
    (tmp_path / "new" / "b.mp4").write_bytes(b"no video")
    out = ["--out", tmp_path / "out"]
    said = run("watch", tmp_path / "new", "--reference", tmp_path / "normal.mp4", *out)
    assert "threshold: " in said and "an alarm begins" in said and "times real time" in said
    assert "warning: b.mp4" in said and "repetitions of" in said
    (alarm,) = (tmp_path / "out/alarms.csv").read_text().splitlines()[1:]
    assert alarm.startswith("a.mp4,") and alarm.split(",")[8] == "normal.mp4"
    page = (tmp_path / "out/report.html").read_text()
    assert "1 alarm in a.mp4" in page and page.count("data:image/jpeg") == 2
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=['\"]?https?:", page)

    original = watching._until
    monkeypatch.setattr(
        watching, "_until", lambda frames, stopped: original(press(frames), stopped)
    )

    def press(frames):
        for k, frame in enumerate(frames):
            if k == 100:
                os.kill(os.getpid(), signal.SIGINT)
            yield frame

    video = tmp_path / "new" / "a.mp4"
    said = run("watch", video, "--reference", tmp_path / "normal.mp4", "--threshold", 0.9)
    assert "stopped by hand after" in said
    (folder,) = (tmp_path / "workspace/watches").iterdir()
    assert len((folder / "scores.csv").read_text().splitlines()) == 51
    assert "Stopped by hand" in (folder / "report.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["nowhere.mp4", "--reference", "normal.mp4"], "is missing"),
        (["normal.mp4", "--reference", "nowhere.mp4"], "is missing"),
        (["normal.mp4", "--reference", "normal.mp4", "--k", "0"], "k must be at least 1"),
        (["normal.mp4", "--reference", "normal.mp4", "--run", "none"], "no run 'none'"),
        (["normal.mp4", "--reference", "wide.mp4"], "nothing could be watched"),
    ],
)
def test_what_cannot_be_watched_is_explained(run, tmp_path, monkeypatch, arguments, expected):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "normal.mp4", pictures(1))
    write(tmp_path / "wide.mp4", [np.zeros((48, 128, 3), np.uint8)] * 5)
    assert expected in run("watch", *arguments, ok=False)
