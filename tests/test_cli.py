"""The command line as a user meets it: real processes, real files, also with wrong input."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.barcode import write_barcode_video
from workbench.cli import _with_settings
from workbench.training.recipes import RECIPES
from workbench.views.monitor import command_line
from workbench.workspace import Workspace


@pytest.fixture
def run(tmp_path):
    def command(*arguments, ok=True):
        done = subprocess.run(
            [sys.executable, "-m", "workbench.cli", *map(str, arguments)],
            env={**os.environ, "WORKBENCH_WORKSPACE": str(tmp_path / "workspace")},
            capture_output=True,
            text=True,
            timeout=240,
        )
        said = done.stdout + done.stderr
        assert "Traceback" not in said, said
        assert (done.returncode == 0) == ok, said
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
        (["train", "moco"], "--data is missing"),
        (["train", "moko", "--data", "x"], "no data set 'x'"),
        (["embed", "nothing"], "no run 'nothing'"),
        (["resume", "nothing"], "no run 'nothing'"),
        (["demo", "chess"], "chess"),
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


def test_doctor_reports(run):
    said = run("doctor")
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
