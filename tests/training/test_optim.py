import pytest
import torch
from torch import nn

from workbench.config import ConfigError
from workbench.training.devices import choose_device, choose_precision
from workbench.training.experiment import TrainConfig
from workbench.training.optim import OPTIMIZERS, learning_rate


def test_cosine_goes_from_lr_over_half_to_zero():
    train = TrainConfig(lr=0.4)
    assert [learning_rate(p, train) for p in (0, 0.5, 1)] == pytest.approx([0.4, 0.2, 0])


def test_steps_drop_where_the_paper_says():
    train = TrainConfig(lr=0.03, schedule="steps")  # MoCo: 120 and 160 of 200 epochs
    found = [learning_rate(e / 200, train) for e in (119, 120, 160)]
    assert found == pytest.approx([0.03, 0.003, 0.0003])


def test_warm_up_rises_linearly():
    train = TrainConfig(lr=1, schedule="constant", warmup=0.1)
    assert [learning_rate(p, train) for p in (0, 0.05, 0.1, 1)] == pytest.approx([0, 0.5, 1, 1])


def test_drops_must_be_shares():
    with pytest.raises(ConfigError, match="shares of the run"):
        TrainConfig.parse({"drops": (120, 160)})


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_steps(name):
    weight = nn.Parameter(torch.ones(3))
    optimizer = OPTIMIZERS[name]([weight], TrainConfig(lr=0.1))
    (weight**2).sum().backward()
    optimizer.step()
    assert (weight < 1).all()


def test_bf16_only_where_it_is_fast(monkeypatch):
    for fast in (True, False):
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda fast=fast: fast)
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
        assert choose_precision("auto", "cpu") == ("bf16" if fast else "fp32")
    assert choose_precision("bf16", "cpu") == "bf16"


def test_a_device_that_is_not_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match=r"train\.device is cuda"):
        choose_device("cuda")
