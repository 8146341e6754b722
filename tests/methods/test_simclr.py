import copy

import pytest
import torch
import torch.nn.functional as F

from tests.methods.pairs import LINEAR, NORM, RELU, batch, build, descend, kinds
from workbench.clock import Clock
from workbench.methods.losses import nt_xent
from workbench.methods.simclr import SimCLRConfig


def tiny(**settings):
    return build(SimCLRConfig(**{"dim": 6, "hidden": 8, **settings}))


def test_the_loss_is_nt_xent_of_both_views_through_one_batch_norm():
    simclr, b = tiny(), batch()
    twin = copy.deepcopy(simclr)
    loss, logs = simclr(b, Clock())
    z = F.normalize(twin.head(twin.encoder(torch.cat(b.views)).mean(dim=1)), dim=1)
    expected = nt_xent(z[:4], z[4:], 0.1)
    torch.testing.assert_close(loss, expected)
    similarity = (z[:4] * z[4:]).sum(dim=1).mean().item()
    assert logs["positive_similarity"] == pytest.approx(similarity, abs=1e-5)
    assert logs["share_of_batch_used"] == pytest.approx(6 / 8)
    loss.backward(), expected.backward()
    for mine, theirs in zip(simclr.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad)


def test_the_own_group_gives_no_negatives_unless_asked_for():
    b, group = batch(group=[7, 7, 8, 9]), torch.tensor([7, 7, 8, 9])
    masked, paper = tiny(), tiny(mask_same_group=False)
    z1, z2 = copy.deepcopy(masked).project(torch.cat(b.views)).chunk(2)
    loss, logs = masked(b, Clock())
    torch.testing.assert_close(loss, nt_xent(z1, z2, 0.1, group))
    assert logs["share_of_batch_used"] == pytest.approx((64 - 4 * (4 + 1 + 1)) / 64)
    torch.testing.assert_close(paper(b, Clock())[0], nt_xent(z1, z2, 0.1))


def test_the_heads_of_the_papers():
    simclr, cvrl = tiny().head, tiny(layers=3, norm_last=False).head
    assert kinds(simclr) == [LINEAR, NORM, RELU, LINEAR, NORM]
    assert all(m.bias is None for m in simclr if isinstance(m, LINEAR))
    assert kinds(cvrl) == [LINEAR, NORM, RELU] * 3 + [LINEAR]
    assert [m.out_features for m in cvrl if isinstance(m, LINEAR)] == [8, 8, 8, 6]
    assert [m.bias is None for m in cvrl if isinstance(m, LINEAR)] == [True] * 3 + [False]


def test_the_head_has_the_size_of_lightlys():
    from lightly.models.modules.heads import SimCLRProjectionHead

    ours, theirs = tiny(hidden=64, dim=16).head, SimCLRProjectionHead(32, 64, 16)
    shapes = [{tuple(p.shape) for p in head.parameters()} for head in (ours, theirs)]
    assert shapes[0] == shapes[1]


def test_the_loss_falls_on_eight_clips():
    losses, logs = descend(tiny(dim=16), 30)
    assert sum(losses[-5:]) < 0.6 * sum(losses[:5])
    assert 0.7 < logs[-1]["spread"] < 1.05
    assert logs[-1]["accuracy"] == 1


def test_one_recording_alone_has_no_negatives_and_says_so():
    simclr, b = tiny(), batch(group=[3, 3, 3, 3])
    for _ in range(15):
        loss, logs = simclr(b, Clock())
        assert loss == 0 and logs["share_of_batch_used"] == 0
    with pytest.raises(ValueError, match="mask_same_group to false"):
        simclr(b, Clock())
    assert tiny(mask_same_group=False)(b, Clock())[0] > 0


def test_small_batches_of_one_group_may_be_chance():
    simclr = tiny()
    for step in range(40):
        simclr(batch(group=[0, 0, 0, step % 10]), Clock(step=step))
        assert simclr.alone == (0 if step % 10 else 4)
