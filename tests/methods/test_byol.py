import copy
import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from tests.methods.pairs import LINEAR, NORM, RELU, batch, build, descend, kinds
from workbench.clock import Clock
from workbench.methods.byol import BYOLConfig
from workbench.methods.losses import byol as byol_loss


def tiny(**settings):
    return build(BYOLConfig(**{"dim": 6, "hidden": 8, **settings}))


def online(method):
    return [*method.encoder.parameters(), *method.head.parameters()]


def target(method):
    return [*method.target_encoder.parameters(), *method.target_head.parameters()]


def test_the_target_starts_as_a_copy_without_gradient():
    method = tiny()
    for theta, xi in zip(online(method), target(method), strict=True):
        assert torch.equal(theta, xi) and theta is not xi
        assert not xi.requires_grad
    moved = [p for g in method.weight_groups() for p in g.weights]
    assert len(moved) == len(online(method)) + len([*method.predictor.parameters()])


def test_the_loss_is_that_of_both_directions_with_its_gradient():
    method, b = tiny(), batch()
    twin = copy.deepcopy(method)
    loss, _ = method(b, Clock())
    z = [twin.head(twin.encoder(x).mean(dim=1)) for x in b.views]
    t = [twin.target_head(twin.target_encoder(x).mean(dim=1)).detach() for x in b.views]
    p = [twin.predictor(x) for x in z]
    expected = byol_loss(p[0], t[1]) + byol_loss(p[1], t[0])
    torch.testing.assert_close(loss, expected)
    assert 0 <= loss <= 8
    loss.backward(), expected.backward()
    for mine, theirs in zip(method.parameters(), twin.parameters(), strict=True):
        if mine.requires_grad:
            torch.testing.assert_close(mine.grad, theirs.grad)
        else:
            assert mine.grad is None


def test_swapping_the_views_changes_nothing():
    method, b = tiny().eval(), batch()
    other = replace(b, views=b.views[::-1])
    torch.testing.assert_close(method(b, Clock())[0], method(other, Clock())[0])


def test_tau_rises_from_its_start_to_one_by_a_cosine():
    method = tiny()
    taus = [method.tau(Clock(progress=p)) for p in (0, 0.25, 0.5, 1)]
    quarter = 1 - 0.004 * (math.cos(math.pi / 4) + 1) / 2
    assert taus == pytest.approx([0.996, quarter, 0.998, 1])
    assert method(batch(), Clock(progress=0.5))[1]["tau"] == pytest.approx(0.998)


def test_tau_equals_lightly():
    from lightly.utils.scheduler import cosine_schedule

    for step in range(0, 101, 20):
        theirs = cosine_schedule(step, 101, 0.996, 1)
        assert tiny().tau(Clock(progress=step / 100)) == pytest.approx(theirs)


def test_the_target_moves_after_the_step_by_parameters_alone():
    method = tiny(momentum=0.75)
    with torch.no_grad():
        for p in online(method):
            p.add_(torch.randn_like(p))
    before = [p.clone() for p in target(method)]
    buffers = copy.deepcopy(dict(method.target_encoder.named_buffers()))
    method(batch(), Clock())
    assert all(torch.equal(a, b) for a, b in zip(before, target(method), strict=True))
    statistics = copy.deepcopy(dict(method.target_encoder.named_buffers()))
    assert any(not torch.equal(v, buffers[k]) for k, v in statistics.items())  # its own forwards
    method.after_step(Clock(progress=0))
    for xi, theta, new in zip(before, online(method), target(method), strict=True):
        torch.testing.assert_close(new, 0.75 * xi + 0.25 * theta)
    after = dict(method.target_encoder.named_buffers())
    assert all(torch.equal(v, after[k]) for k, v in statistics.items())


def test_at_the_end_the_target_stands_still():
    method = tiny()
    with torch.no_grad():
        for p in online(method):
            p.add_(1)
    before = [p.clone() for p in target(method)]
    method.after_step(Clock(progress=1))
    assert all(torch.equal(a, b) for a, b in zip(before, target(method), strict=True))


def test_the_heads_of_the_paper():
    from lightly.models.modules.heads import BYOLPredictionHead, BYOLProjectionHead

    method = tiny(hidden=64, dim=16)
    for ours, theirs in (
        (method.head, BYOLProjectionHead(32, 64, 16)),
        (method.predictor, BYOLPredictionHead(16, 64, 16)),
    ):
        assert kinds(ours) == [LINEAR, NORM, RELU, LINEAR]
        shapes = [[p.shape for p in head.parameters()] for head in (ours, theirs)]
        assert shapes[0] == shapes[1]


def test_the_loss_falls_on_eight_clips():
    losses, logs = descend(tiny(dim=16, hidden=32, momentum=0.9), 40)
    assert sum(losses[-5:]) < 0.4 * sum(losses[:5])
    assert logs[-1]["positive_similarity"] > logs[0]["positive_similarity"]


def test_a_collapse_shows_in_the_spread():
    method = tiny(dim=16)
    assert method(batch(n=8), Clock())[1]["spread"] > 0.3
    nn.init.zeros_(method.head[-1].weight)
    nn.init.ones_(method.head[-1].bias)
    assert method(batch(n=8), Clock())[1]["spread"] == pytest.approx(0, abs=1e-5)


def test_state_goes_round_exactly():
    method = tiny()
    descend(method, 3)
    torch.manual_seed(99)
    other = tiny()
    other.load_state_dict(method.state_dict())
    assert descend(method, 3) == descend(other, 3)
