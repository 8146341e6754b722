import logging

import pytest
import torch

from tests.training.boxes import make_experiment
from workbench.models.resnet import ResNet18
from workbench.models.resnet_gru import ResNet18GRU
from workbench.models.tiny3d import Tiny3D
from workbench.training.run import Run
from workbench.workspace import Workspace


def run_of(encoder, folder):
    """A run that ended with some weights of an encoder; those weights."""
    experiment = make_experiment().model_copy(update={"encoder": encoder})
    torch.manual_seed(7)
    state = {k: v + 1 for k, v in encoder.build().state_dict().items()}
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(experiment.to_yaml())
    Run(folder).save({f"encoder.{k}": v for k, v in state.items()}, {}, {"clock": {"step": 1}})
    return state


def start(folder, encoder):
    experiment = make_experiment().model_copy(update={"encoder": encoder, "init": "first"})
    return experiment.build(Workspace(folder)).encoder.state_dict()


def test_the_same_network_starts_where_the_other_run_ended(tmp_path, caplog):
    ended = run_of(Tiny3D(width=4), tmp_path / "runs" / "first")
    begun = start(tmp_path, Tiny3D(width=4))
    assert all(torch.equal(v, begun[k]) for k, v in ended.items())
    assert not caplog.records


def test_resnet18_starts_the_frames_of_resnet18_gru_and_says_so(tmp_path, capfd, monkeypatch):
    ended = run_of(ResNet18(), tmp_path / "runs" / "first")
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # as in a process of its own
    begun = start(tmp_path, ResNet18GRU(hidden=16))
    assert all(torch.equal(v, begun[f"frames.{k}"]) for k, v in ended.items())
    said = capfd.readouterr().err  # the terminal, or log.txt of the run
    assert "init: the encoder of run 'first' into FrameGRU" in said
    assert "left as they were (random): gru.weight_ih_l0" in said


@pytest.mark.parametrize("encoder", [Tiny3D(width=8), ResNet18GRU(hidden=16)])
def test_a_run_of_another_network_is_refused(encoder, tmp_path):
    run_of(Tiny3D(width=4), tmp_path / "runs" / "first")
    with pytest.raises(ValueError, match=r"run 'first' does not fit"):
        start(tmp_path, encoder)
