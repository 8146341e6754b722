import copy
import math

import pytest
import torch
import torch.nn.functional as F

from workbench.clock import Clock
from workbench.data.batch import Batch
from workbench.methods.losses import info_nce
from workbench.methods.moco import MoCoConfig
from workbench.methods.videomoco import Generator, VideoMoCoConfig, drop_frames
from workbench.models import ENCODERS

SMALL = {"queue": 12, "dim": 6, "hidden": 8, "bn_splits": 1, "momentum": 0.9}


def tiny(config=VideoMoCoConfig, **settings):
    torch.manual_seed(0)
    return config(**{**SMALL, **settings}).build(ENCODERS["tiny3d"](width=4).build())


def batch(n=4, seed=0, frames=8):
    g = torch.Generator().manual_seed(seed)
    views = tuple(torch.randn(n, 3, frames, 16, 16, generator=g) for _ in range(2))
    return Batch(views, torch.arange(n) + n * seed, torch.full((n, frames), -1))


def slow_loop(q, k, queue, age, t, tau, fades):
    """The loss of the paper, or of its code, one query and key at a time."""
    losses = []
    for i in range(len(q)):
        positive = math.exp(q[i] @ k[i] / tau)
        total = positive
        for j in range(len(queue)):
            similarity, weight = (q[i] @ queue[j]).item(), t ** int(age[j])
            if fades == "weight":
                total += weight * math.exp(similarity / tau)
            else:
                total += math.exp(weight * similarity / tau)
        losses.append(-math.log(positive / total))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("fades", ["weight", "similarity"])
def test_old_keys_fade_as_in_the_paper_or_as_in_its_code(fades):
    method = tiny(decay=0.9, fades=fades, drop=0)
    for seed in range(4):
        twin, b = copy.deepcopy(method), batch(seed=seed)
        loss, _ = method(b, Clock())
        twin.update_key_encoder()
        q, k = twin.project(b.views[0]).detach(), twin.encode_keys(b.views[1])
        expected = slow_loop(q, k, twin.queue, twin.queue_age, 0.9, 0.07, fades)
        assert loss.item() == pytest.approx(expected, rel=1e-4)


def test_paper_and_code_differ_in_the_limit():
    # Keys at right angles to the query: the paper's weights fade, the code has nothing to shrink.
    q = torch.eye(6)[:1]
    for fades, total in (("weight", 12 * 0.5**10), ("similarity", 12)):
        method = tiny(decay=0.5, fades=fades, drop=0, temperature=1.0)
        method.queue.copy_(F.one_hot(torch.full((12,), 3), 6))
        method.queue_age.fill_(10)
        loss = F.cross_entropy(method.logits(q, q, None), torch.zeros(1, dtype=torch.long))
        assert loss.item() == pytest.approx(math.log(1 + total / math.e), rel=1e-5)


def test_without_decay_and_drop_it_is_moco():
    for fades in ("weight", "similarity"):
        a = tiny(decay=1, fades=fades, drop=0)
        b = tiny(MoCoConfig, temperature=0.07)
        for seed in range(4):
            torch.testing.assert_close(a(batch(seed=seed), Clock())[0],
                                       b(batch(seed=seed), Clock())[0])  # fmt: skip


def test_masked_keys_stay_masked_however_old():
    for fades in ("weight", "similarity"):
        method = tiny(decay=0.1, fades=fades, drop=0)
        method.queue_age.fill_(10**6)
        keep = torch.ones(2, 12, dtype=torch.bool)
        keep[:, 3] = False
        q = F.normalize(torch.randn(2, 6), dim=1)
        logits = method.logits(q, q, keep)
        assert not logits.isnan().any()
        assert (logits[:, 4] == -torch.inf).all()


def test_ages_count_batches_and_never_overflow():
    method = tiny(queue=5, drop=0)
    keys, group = F.normalize(torch.randn(2, 6), dim=1), torch.tensor([1, 2])
    ages = [[1, 1, 1, 1, 1], [2, 2, 1, 1, 2], [1, 3, 2, 2, 1], [2, 1, 1, 3, 2]]
    assert method.queue_age.tolist() == [0] * 5
    for expected in ages:
        method.enqueue(keys, group)
        assert method.queue_age.tolist() == expected
    assert method.queue_age.dtype == torch.int64
    method.queue_age[0] = 2**40
    method.enqueue(keys, group)
    assert method.queue_age[0] == 2**40 + 1
    assert "queue_age" in method.state_dict()


def test_the_frames_of_lowest_score_become_plain():
    clips = torch.randn(2, 3, 8, 4, 4)
    scores = torch.tensor([[8, 1, 7, 2, 6, 5, 4, 3], [1, 2, 3, 4, 5, 6, 7, 8]]) / 36
    out = drop_frames(clips, scores, 0.25)
    for b, gone in enumerate(({1, 3}, {0, 1})):
        for t in range(8):
            frame = clips[b, :, t]
            expected = frame.mean().expand_as(frame) if t in gone else frame
            torch.testing.assert_close(out[b, :, t], expected)


@pytest.mark.parametrize(("frames", "count"), [(32, 8), (16, 4), (4, 1), (2, 1), (1, 0)])
def test_a_quarter_goes_at_least_one_goes_one_stays(frames, count):
    clips = torch.randn(1, 3, frames, 4, 4)
    changed = drop_frames(clips, torch.rand(1, frames), 0.25) != clips
    assert changed.any(dim=(1, 3)).any(dim=2).sum() == count


@pytest.mark.parametrize(("frames", "size"), [(4, 16), (8, 48), (1, 30)])
def test_the_generator_takes_any_clip_and_gives_scores_of_sum_one(frames, size):
    scores = Generator()(torch.randn(2, 3, frames, size, size))
    assert scores.shape == (2, frames)
    torch.testing.assert_close(scores.sum(1), torch.ones(2))


class StraightThrough(torch.autograd.Function):
    """The dropping as the paper's code defines it: forward and backward by hand."""

    @staticmethod
    def forward(ctx, clips, scores):
        return drop_frames(clips, scores, 0.25)

    @staticmethod
    def backward(ctx, grad):
        return grad, grad.sum(dim=(1, 3, 4))


def test_one_backward_moves_g_and_d_as_two_would():
    method, b = tiny(decay=0.9), batch()
    for encoder in (method.encoder, method.key_encoder):
        encoder.spread.eval()  # or its running moments would differ: the twin projects more often
    twin = copy.deepcopy(method)
    loss, logs = method(b, Clock())
    loss.backward()

    x_q, x_k = b.views
    generator = [*twin.generator.parameters()]
    dropped = StraightThrough.apply(x_q, twin.generator(x_q))
    distance = (twin.project(dropped) - twin.project(x_q).detach()).abs().mean()
    theirs_g = torch.autograd.grad(-100 * distance, generator)
    contrastive, _ = twin.contrast(twin.project(dropped.detach()), x_k, b.group)
    discriminator = [*twin.encoder.parameters(), *twin.head.parameters()]
    theirs_d = torch.autograd.grad(contrastive, discriminator)

    assert loss.item() == pytest.approx(contrastive.item(), rel=1e-5)
    assert logs["drop_distance"] == pytest.approx(distance.item(), rel=1e-4)
    mine_d = [*method.encoder.parameters(), *method.head.parameters()]
    for mine, theirs in [
        *zip(method.generator.parameters(), theirs_g, strict=True),
        *zip(mine_d, theirs_d, strict=True),
    ]:
        torch.testing.assert_close(mine.grad, theirs, rtol=1e-3, atol=1e-5)
    assert all(g.abs().sum() > 0 for g in theirs_d)
    assert sum(g.abs().sum() for g in theirs_g) > 0


def test_what_the_contrastive_loss_wants_does_not_reach_the_generator():
    """The leak of the paper's code: there the generator also descends the loss it should raise."""
    method, b = tiny(temperature=0.01), batch()
    method(b, Clock())[0].backward()
    sharp = [p.grad.clone() for p in method.generator.parameters()]
    soft = tiny(temperature=1.0)
    soft(b, Clock())[0].backward()
    for a, p in zip(sharp, soft.generator.parameters(), strict=True):
        torch.testing.assert_close(a, p.grad)


def test_phase_one_and_evaluation_have_no_adversary():
    assert tiny(drop=0).generator is None
    method, b = tiny(), batch()
    twin = copy.deepcopy(method).eval()
    with torch.no_grad():
        loss, logs = twin(b, Clock())
    q, k = twin.project(b.views[0]), twin.encode_keys(b.views[1])
    torch.testing.assert_close(loss, info_nce(q, k, twin.queue, 0.07))
    assert "drop_distance" not in logs
    assert any(p.requires_grad for p in method.generator.parameters())
    weights = {id(p) for g in method.weight_groups() for p in g.weights}
    assert {id(p) for p in method.generator.parameters()} <= weights


def test_works_under_autocast():
    method, b = tiny(), batch()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss, _ = method(b, Clock())
    loss.backward()
    assert loss.dtype == torch.float32
    assert all(p.grad is not None for p in method.generator.parameters())
