"""What cannot work is told before training starts: what was found, and what to do."""

import pandas as pd
import pytest

from tests.training.boxes import make_experiment
from workbench.config import ConfigError
from workbench.methods import METHODS
from workbench.sampling import SameVideo
from workbench.training.experiment import Experiment
from workbench.training.train import launch, train

FRAMES = {"name": "boxes", "clip": {"length": 1}}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"train": {"batch": 1}},
            r"train\.batch must be at least 2; found 1\..*batch norm and negatives need two",
        ),
        (
            {"method": {"name": "moco", "queue": 100}},
            r"queue is 100 and train\.batch 32.*multiple of the batch\. Set method\.queue to 96",
        ),
        (
            {"method": {"name": "videomoco", "queue": 20}},
            r"queue is 20 and train\.batch 32.*Set method\.queue to 32",
        ),
        (
            {"method": {"name": "videomoco", "queue": 32}, "data": FRAMES},
            r"drop is 0\.25 and clips are of 1 frame.*Set method\.drop to 0, or data\.clip\.length",
        ),
        (
            {"method": {"name": "swav", "queue": 0}},
            r"32 embeddings .* 3000 prototypes.*Set method\.prototypes to 32 or fewer",
        ),
        (
            {"method": {"name": "swav", "queue": 3841}},
            r"multiple of the batch\. Set method\.queue to 3840",
        ),
        (
            {"method": {"name": "moco", "queue": 64}, "augment": {"small": 6}},
            r"augment\.small asks for 6 small crops .* moco takes none\. Set augment\.small to 0",
        ),
        (
            {"method": {"name": "classify"}, "sampler": {"name": "other-camera"}},
            r"other-camera gives 2 views .* classify takes 1\. Change sampler",
        ),
    ],
)
def test_settings_that_contradict_each_other(settings, message):
    with pytest.raises(ConfigError, match=message):
        Experiment.parse({"data": {"name": "boxes"}, **settings})


def single_camera(workspace):
    path = workspace / "data" / "boxes" / "videos.parquet"
    table = pd.read_parquet(path)
    table[table["camera"] == "0"].to_parquet(path)


def one_recording(workspace):
    path = workspace / "data" / "boxes" / "videos.parquet"
    pd.read_parquet(path).assign(recording="r0").to_parquet(path)


def unlabelled(workspace):
    folder = workspace / "data" / "boxes"
    pd.read_parquet(folder / "videos.parquet").assign(label=None).to_parquet(
        folder / "videos.parquet"
    )
    pd.read_parquet(folder / "segments.parquet").iloc[:0].to_parquet(folder / "segments.parquet")


def untouched(workspace):
    pass


@pytest.mark.parametrize("begin", [lambda e, f: next(train(e, f)), launch])
@pytest.mark.parametrize(
    ("change", "settings", "message"),
    [
        (
            single_camera,
            {"sampler": {"name": "other-camera"}},
            r"recording 'r0' has one camera \('0'\), .*OtherCamera needs two\. Use SameVideo",
        ),
        (
            untouched,
            {"data": {"name": "boxes", "clip": {"length": 8, "stride": 3, "size": 16}}},
            r"8 frames at stride 3 covers 22 frames and the longest video has 20\. Lower clip",
        ),
        (
            one_recording,
            {"method": {"name": "moco", "queue": 8}},
            r"training videos are of one recording\. Set method\.mask_same_group to false",
        ),
        (
            untouched,
            {
                "method": {"name": "byol"},
                "train": {"batch": 65536},
                "data": {"name": "boxes", "clip": {"length": 8, "stride": 1, "size": 512}},
            },
            r"65536 examples takes 3072\.0 GiB for its pictures alone \(2 views of 8 frames",
        ),
        (unlabelled, {"classify": {}}, r"two classes.*no labels\. Label the videos"),
        (untouched, {"classify": {"classes": ("left", "up")}}, r"names up.*background, left, r"),
    ],
)
def test_settings_that_the_data_do_not_allow(workspace, begin, change, settings, message):
    change(workspace)
    experiment = make_experiment().model_dump()
    if "classify" in settings:
        experiment["method"] = METHODS["classify"](**settings["classify"]).model_dump()
        experiment["sampler"] = SameVideo(n=1).model_dump()
    else:
        experiment |= settings
    folder = workspace / "runs" / "a"
    with pytest.raises(ValueError, match=message):
        begin(Experiment.parse(experiment), folder)
    assert not folder.exists()
