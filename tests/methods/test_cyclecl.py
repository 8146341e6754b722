from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tests.methods.pairs import batch, build, descend
from workbench.clock import Clock
from workbench.config import ConfigError
from workbench.methods.cyclecl import CycleCLConfig
from workbench.models.frame_net import FrameNet
from workbench.training.experiment import Experiment


def framed(config=None, **settings):
    torch.manual_seed(0)
    return (config or CycleCLConfig()).build(FrameNet(trunk="tiny2d", dim=8, **settings).build())


def triplets(n=4, each=5, frames=4, seed=0):
    """(n, each, 3): anchors in the first view, positives and negatives in either."""
    g = torch.Generator().manual_seed(seed)
    others = torch.randint(2 * frames, (n, each, 2), generator=g)
    return torch.cat([torch.randint(frames, (n, each, 1), generator=g), others], dim=2)


def with_triplets(n=4, **settings):
    return replace(batch(n, **settings), triplets=triplets(n))


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("margin", [0.2, 0.5])
def test_the_loss_is_torch_s_on_the_frames_that_the_triplets_name(squared, margin):
    method, b = framed(CycleCLConfig(margin=margin, squared=squared)).eval(), with_triplets()
    loss, _ = method(b, Clock())
    z = torch.stack([method.encoder(v) for v in b.views])  # (2, B, 4, d)
    rows = [
        [z[int(k) // 4, i, int(k) % 4] for k in t] for i in range(4) for t in b.triplets[i]
    ]  # fmt: skip
    a, p, n = (torch.stack(part) for part in zip(*rows, strict=True))
    if squared:
        far = ((a - n) ** 2).sum(1)
        expected = F.relu(((a - p) ** 2).sum(1) - far + margin).mean()
    else:
        expected = nn.TripletMarginLoss(margin, eps=1e-9)(a, p, n)
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=1e-5)


def test_frames_of_an_encoder_that_halves_time():
    method = build(CycleCLConfig()).eval()
    assert method.encoder.time_stride == 2
    b = with_triplets()
    z = method.frames(b.views)
    assert z.shape[:2] == (4, 2 * 2)
    torch.testing.assert_close(z[:, 2:], method.encoder(b.views[1]))
    steps = method.steps(torch.arange(8)[None, :, None], 4).flatten()
    assert steps.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert method.steps(torch.arange(10), 5).tolist() == [0, 0, 1, 1, 2, 3, 3, 4, 4, 5]
    assert torch.isfinite(method(b, Clock())[0])


def test_without_unit_length_the_loss_sees_the_lengths():
    b = with_triplets()
    unit, raw = (framed(normalise=n).eval() for n in (True, False))
    z = raw.frames(b.views)
    assert not torch.allclose(z.norm(dim=2), torch.ones(4, 8))
    assert raw(b, Clock())[0] != unit(b, Clock())[0]
    torch.testing.assert_close(raw.project(b.views[0]).norm(dim=1), torch.ones(4))


def test_the_logs_say_how_far_apart_triplets_are():
    method, b = framed().eval(), with_triplets()
    b = replace(b, triplets=torch.tensor([[0, 0, 3]]).expand(4, 5, 3))  # the anchor is the positive
    logs = method(b, Clock())[1]
    assert logs["positive_distance"] == pytest.approx(0, abs=1e-5)
    assert logs["negative_distance"] > 0 and logs["accuracy"] == 1
    z = method.encoder(b.views[0])
    far = (z[:, 0] - z[:, 3]).norm(dim=1)
    assert logs["negative_distance"] == pytest.approx(far.mean().item(), rel=1e-4)
    assert logs["share_active"] == pytest.approx((far < 0.5).float().mean().item())
    assert 0 < logs["spread"] <= 1.01


def test_the_loss_falls_and_frames_move_apart():
    method = framed()
    # frames 0 and 2 of a clip are to be alike, and 1 and 3
    paired = torch.tensor([[0, 6, 1], [1, 7, 2], [2, 4, 3], [3, 5, 0]]).expand(4, 4, 3)
    losses, logs = descend(
        method, 30, lr=3e-3, batches=lambda step: replace(batch(4, noise=0.1), triplets=paired)
    )
    assert losses[-1] < losses[0] - 0.3
    assert logs[-1]["negative_distance"] > logs[-1]["positive_distance"] + 0.3


def test_before_training_positives_are_looked_for_in_what_the_trunk_knows():
    method, clips = framed().eval(), batch().views[0]
    first, later = (method.for_mining(clips, Clock(step=s)) for s in (0, 1))
    assert first.shape == (4, 4, 64) and later.shape == (4, 4, 8)
    assert torch.equal(first, method.encoder.pooled(clips))
    assert torch.equal(later, method.represent(clips))
    other = build(CycleCLConfig()).eval()
    assert torch.equal(other.for_mining(clips, Clock()), other.represent(clips))


def test_a_sampler_without_triplets_is_refused():
    with pytest.raises(ConfigError, match=r"cyclecl learns from triplets.*same-video gives none"):
        Experiment.parse({"data": {"name": "x"}, "method": {"name": "cyclecl"}})
    with pytest.raises(ValueError, match="does not give"):
        framed()(batch(), Clock())


def test_state_goes_round_exactly():
    method, other = framed(), framed()
    optimizer = torch.optim.SGD(method.parameters(), 0.1)
    method(with_triplets(), Clock())[0].backward()
    optimizer.step()
    other.load_state_dict(method.state_dict())
    assert method(with_triplets(), Clock())[0] == other(with_triplets(), Clock())[0]
