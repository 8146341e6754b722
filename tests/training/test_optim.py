import pytest
import torch
from torch import nn

from workbench.config import ConfigError
from workbench.methods.base import WeightGroup
from workbench.methods.simsiam import SimSiamConfig
from workbench.training.devices import choose_device, choose_precision
from workbench.training.experiment import TrainConfig
from workbench.training.optim import OPTIMIZERS, build_optimizer, learning_rate, spare_vectors
from workbench.training.trainer import Trainer


def test_cosine_goes_from_lr_over_half_to_zero():
    train = TrainConfig(lr=0.4)
    assert [learning_rate(p, train) for p in (0, 0.5, 1)] == pytest.approx([0.4, 0.2, 0])


def test_cosine_ends_where_it_is_told_to():
    train = TrainConfig(lr=4.8, lr_end=0.0048)  # SwAV
    found = [learning_rate(p, train) for p in (0, 0.5, 1)]
    assert found == pytest.approx([4.8, (4.8 + 0.0048) / 2, 0.0048])


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


# --- LARS


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 3))


def train_both(ours, theirs, make_ours, make_theirs, steps=6):
    """The same steps, at a changing learning rate, by two optimizers on the same network."""
    g = torch.Generator().manual_seed(1)
    optimizers = make_ours(ours), make_theirs(theirs)
    for step in range(steps):
        x = torch.randn(8, 6, generator=g)
        for model, optimizer in zip((ours, theirs), optimizers, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = 3.0 / (1 + step)
            optimizer.zero_grad()
            model(x).square().mean().backward()
            optimizer.step()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("trust", [0.001, 0.02])
def test_lars_equals_lightly(momentum, trust):
    from lightly.utils.lars import LARS as THEIRS

    train = TrainConfig(optimizer="lars", momentum=momentum, weight_decay=1e-2, trust=trust)
    train_both(
        net(),
        net(),
        lambda m: build_optimizer([WeightGroup([*m.parameters()])], train),
        lambda m: THEIRS(
            m.parameters(), lr=0.1, momentum=momentum, weight_decay=1e-2, trust_coefficient=trust
        ),
    )


def test_lars_that_spares_vectors_equals_lightly_without_decay_on_them():
    from lightly.utils.lars import LARS as THEIRS

    train = TrainConfig(optimizer="lars", weight_decay=1e-2)

    def tensors(m, yes):
        return [p for p in m.parameters() if (p.ndim > 1) == yes]

    train_both(
        net(),
        net(),
        lambda m: build_optimizer(spare_vectors([WeightGroup([*m.parameters()])]), train),
        lambda m: THEIRS(
            [{"params": tensors(m, True)}, {"params": tensors(m, False), "weight_decay": 0}],
            lr=0.1,
            momentum=0.9,
            weight_decay=1e-2,
        ),
    )


def larc_step(w, g, lr, trust, decay, clip):
    """The first step of apex's LARC, written out."""
    rate = trust * w.norm() / (g.norm() + decay * w.norm() + 1e-8)
    if clip:
        rate = min(rate / lr, torch.tensor(1.0))
    return w - lr * rate * (g + decay * w)


@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize("slope", [1e-4, 1.0, 100.0])
def test_lars_with_and_without_the_clip(clip, slope):
    g = torch.Generator().manual_seed(0)
    w = nn.Parameter(torch.randn(4, 3, generator=g))
    start, w.grad = w.detach().clone(), slope * torch.randn(4, 3, generator=g)
    expected = larc_step(start, w.grad.clone(), 0.3, 0.02, 1e-3, clip)
    train = TrainConfig(
        optimizer="lars", lr=0.3, trust=0.02, weight_decay=1e-3, trust_clip=clip, momentum=0.0
    )
    build_optimizer([WeightGroup([w])], train).step()
    torch.testing.assert_close(w.detach(), expected)
    if not clip:  # whatever the gradient, the step is a share of the weights
        length = (w.detach() - start).norm() / start.norm()
        assert length <= 0.3 * 0.02 * 1.001


def test_lars_moves_zeros_as_sgd_and_nothing_where_there_is_no_gradient():
    zero, still, unused = (nn.Parameter(x) for x in (torch.zeros(3), torch.ones(3), torch.ones(3)))
    zero.grad, still.grad = torch.ones(3), torch.zeros(3)
    train = TrainConfig(optimizer="lars", lr=0.1, weight_decay=0.1)
    optimizer = build_optimizer([WeightGroup([zero, still, unused])], train)
    optimizer.step()
    torch.testing.assert_close(zero.detach(), torch.full((3,), -0.1))
    assert torch.equal(still.detach(), torch.ones(3))
    assert torch.equal(unused.detach(), torch.ones(3))
    assert optimizer.param_groups[0]["weight_decay"] == 0.1  # for the next step


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_spared_vectors_do_not_decay(name):
    model = net()
    groups = spare_vectors([WeightGroup([*model.parameters()], rate=2, steady=True)])
    assert [(g.plain, g.rate, g.steady) for g in groups] == [(False, 2, True), (True, 2, True)]
    assert [len(g.weights) for g in groups] == [2, 4]
    train = TrainConfig(optimizer=name, lr=0.1, weight_decay=0.5)
    optimizer = build_optimizer(groups, train)
    assert [g["weight_decay"] for g in optimizer.param_groups] == [0.5, 0.0]


def test_groups_without_tensors_or_vectors_are_not_made():
    groups = spare_vectors([WeightGroup([nn.Parameter(torch.ones(2, 2))])])
    assert [g.plain for g in groups] == [False]


def test_a_run_with_lars_and_a_steady_group_resumes_exactly(source, experiment):
    train = experiment.train.model_copy(
        update={"optimizer": "lars", "spare_vectors": True, "trust": 0.1, "lr": 1.0}
    )
    method = SimSiamConfig(dim=16, bottleneck=4)
    experiment = experiment.model_copy(update={"train": train, "method": method})

    def trainer():
        return Trainer(
            experiment.build(), experiment.sampler, source, experiment.augment, experiment.train
        )

    whole, first, second = trainer(), trainer(), trainer()
    expected = [report.loss for report in whole]
    found = [next(reports).loss for reports in [iter(first)] for _ in range(3)]
    second.load(*first.state())
    found += [report.loss for report in second]
    assert found == expected
    rates = [group["lr"] for group in whole.optimizer.param_groups]
    assert rates[0] == rates[1] < 0.1 and rates[2:] == [1.0, 1.0]  # encoder, head; predictor
