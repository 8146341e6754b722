"""Optical flow is a stream like any other: trained on, embedded, and missed before training."""

import json

import numpy as np
import pytest

from tests.training.boxes import FRAMES, make_experiment
from workbench.data.flow import pixels_of
from workbench.data.flow_store import index_flow
from workbench.data.manifest import DataSet
from workbench.training.embed import embed_run, load_embeddings
from workbench.training.run import Run
from workbench.training.train import train


@pytest.fixture
def boxes(workspace):
    """The data set with times, which a store always has."""
    data = DataSet(workspace / "data" / "boxes")
    for i in range(len(data.videos)):
        np.save(data.video_folder(i) / "pts.npy", np.arange(FRAMES) / 30)
    return data


def flowing(**clip):
    experiment = make_experiment(steps=2, evaluations=0)
    shape = experiment.data.clip.model_copy(update={"stream": "flow", **clip})
    data = experiment.data.model_copy(update={"clip": shape})
    return experiment.model_copy(update={"data": data})


def test_without_flow_training_does_not_start(boxes, workspace):
    folder = workspace / "runs" / "early"
    with pytest.raises(ValueError, match=r"'boxes' holds no optical flow; this run asks for"):
        list(train(flowing(), folder))
    assert not folder.exists()


def test_training_and_embedding_on_flow(boxes, workspace):
    list(index_flow(boxes))
    u = pixels_of(np.asarray(boxes.flows(0)))[..., 0]
    assert u[np.abs(u) > 0.5].mean() < -0.5  # recording 0 has its box move to the left
    reports = list(train(flowing(), workspace / "runs" / "f"))
    assert len(reports) == 2 and np.isfinite(reports[-1].loss)
    made = embed_run(Run(workspace / "runs" / "f"), boxes)
    assert json.loads((made / "about.json").read_text())["flow"] == "dis"
    assert np.isfinite(load_embeddings(made).z).all()

    list(index_flow(boxes, "farneback"))  # other flow, other features
    assert embed_run(Run(workspace / "runs" / "f"), DataSet(boxes.folder)) != made


def test_flow_as_a_picture_trains_too(boxes, workspace):
    list(index_flow(boxes))
    reports = list(train(flowing(flow_as_picture=True), workspace / "runs" / "p"))
    assert len(reports) == 2 and np.isfinite(reports[-1].loss)
