import copy

import pytest
import torch

from tests.methods.pairs import LINEAR, NORM, RELU, batch, build, descend, kinds
from workbench.clock import Clock
from workbench.methods.simsiam import SimSiamConfig


def tiny(**settings):
    return build(SimSiamConfig(**{"dim": 16, "bottleneck": 4, **settings}))


def test_the_loss_is_that_of_the_pseudo_code_with_its_gradient():
    from lightly.loss import NegativeCosineSimilarity

    method, b = tiny(), batch()
    twin, distance = copy.deepcopy(method), NegativeCosineSimilarity()
    loss, _ = method(b, Clock())
    z = [twin.head(twin.encoder(x).mean(dim=1)) for x in b.views]
    p = [twin.predictor(x) for x in z]
    expected = distance(p[0], z[1].detach()) / 2 + distance(p[1], z[0].detach()) / 2
    torch.testing.assert_close(loss, expected)
    assert -1 <= loss <= 1
    loss.backward(), expected.backward()
    for mine, theirs in zip(method.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad)


def test_a_view_learns_through_the_predictor_alone():
    """With a predictor of slope zero nothing reaches the encoder: the other branch is stopped."""
    method = tiny()
    torch.nn.init.zeros_(method.predictor[0].weight)
    method(batch(), Clock())[0].backward()
    assert not any(p.grad.any() for p in method.encoder.parameters())


def test_the_learning_rate_of_the_predictor_is_steady():
    method = tiny()
    slow, fast = method.weight_groups()
    assert (slow.steady, fast.steady) == (False, True)
    assert {*map(id, fast.weights)} == {*map(id, method.predictor.parameters())}
    assert len(slow.weights) + len(fast.weights) == len([*method.parameters()])


def test_weights_that_are_frozen_are_in_no_group():
    method = tiny()
    method.encoder.requires_grad_(False)
    slow, _ = method.weight_groups()
    assert {*map(id, slow.weights)} == {*map(id, method.head.parameters())}


def test_the_heads_of_the_paper():
    from lightly.models.modules.heads import SimSiamPredictionHead, SimSiamProjectionHead

    method = tiny()
    assert kinds(method.head) == [LINEAR, NORM, RELU, LINEAR, NORM, RELU, LINEAR, NORM]
    assert not method.head[-1].affine
    assert kinds(method.predictor) == [LINEAR, NORM, RELU, LINEAR]
    for ours, theirs in (
        (method.head, SimSiamProjectionHead(32, 16, 16)),
        (method.predictor, SimSiamPredictionHead(16, 4, 16)),
    ):
        assert [p.shape for p in ours.parameters()] == [p.shape for p in theirs.parameters()]


def test_the_loss_falls_on_eight_clips():
    losses, logs = descend(tiny(), 40, lr=1e-2)
    assert losses[-1] < losses[0] - 0.5
    assert logs[-1]["spread"] > 0.3  # the last norm keeps the channels apart


def test_the_spread_of_a_healthy_projection_is_about_one():
    assert tiny(dim=64)(batch(n=64), Clock())[1]["spread"] == pytest.approx(1, abs=0.1)


def test_state_goes_round_exactly():
    method = tiny()
    descend(method, 3)
    other = tiny()
    other.load_state_dict(method.state_dict())
    assert descend(method, 3) == descend(other, 3)
