import copy
from collections import Counter

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tests.methods.pairs import batch, build, descend
from workbench.clock import Clock
from workbench.data.batch import Batch
from workbench.methods.iic import (
    IICConfig,
    differences,
    first_of_each,
    repeat_frame,
    swap_quarters,
)


class Brightness(nn.Module):
    """Features that are known: mean and spread of each of a clip's channels."""

    dim, time_stride = 6, 1

    def forward(self, clips):
        return torch.cat([clips.mean(dim=(3, 4)), clips.std(dim=(3, 4))], dim=1).transpose(1, 2)


def known(**settings):
    torch.manual_seed(0)
    settings = {"recordings": 9, "negatives": 5, "residual": False, **settings}
    return IICConfig(**settings).build(Brightness())


def tiny(**settings):
    return build(IICConfig(**{"recordings": 9, "negatives": 5, "residual": False, **settings}))


def test_either_view_is_told_among_what_is_remembered_of_the_other_and_of_broken_clips():
    """Cross entropy over 2 (K + 1) entries, the own one of the other bank first (IIC's code)."""
    iic, b = known(), batch(3, group=[2, 7, 4])
    banks = {k: v.clone() for k, v in iic.state_dict().items()}
    torch.manual_seed(5)
    loss, logs = iic(b, Clock())
    torch.manual_seed(5)
    repeat_frame(b.views[0])
    rows = torch.cat([b.group[:, None], iic.draw(b.group)], dim=1)  # (3, 6)
    expected = 0.0
    for x, bank in zip(b.views, ("second", "first"), strict=True):
        f = Brightness()(x).mean(dim=1)
        memory = torch.cat([banks[bank][rows], banks["broken"][rows]], dim=1)  # (3, 12, 6)
        logits = torch.einsum("bd,bkd->bk", f, memory) / 0.07
        expected = expected + F.cross_entropy(logits, torch.zeros(3, dtype=torch.long))
    torch.testing.assert_close(loss, expected)
    f = F.normalize(Brightness()(b.views[0]).mean(dim=1), dim=1)
    own = (f * banks["second"][b.group]).sum(dim=1).mean().item()
    assert logs["positive_similarity"] == pytest.approx(own, abs=1e-6)


def test_what_is_remembered_moves_halfway_and_only_of_what_was_seen():
    iic, b = known(), batch(3, group=[2, 7, 2])
    before = {k: v.clone() for k, v in iic.state_dict().items()}
    torch.manual_seed(5)
    iic(b, Clock())
    torch.manual_seed(5)
    seen = {"first": b.views[0], "second": b.views[1], "broken": repeat_frame(b.views[0])}
    for bank, clips in seen.items():
        now, f = getattr(iic, bank), Brightness()(clips).mean(dim=1)
        for row, example in ((2, 0), (7, 1)):  # of a recording twice in a batch the first counts
            expected = F.normalize(0.5 * before[bank][row] + 0.5 * f[example], dim=0)
            torch.testing.assert_close(now[row], expected)
        others = [0, 1, 3, 4, 5, 6, 8]
        assert torch.equal(now[others], before[bank][others])
    assert iic.seen.nonzero().flatten().tolist() == [2, 7]
    assert first_of_each(torch.tensor([3, 3, 1, 3, 1])).tolist() == [
        True,
        False,
        True,
        False,
        False,
    ]


def test_draws_are_even_and_never_the_own_recording():
    iic = known(negatives=2000)
    own = torch.tensor([0, 8])
    drawn = iic.draw(own)
    for i in range(2):
        counts = Counter(drawn[i].tolist())
        assert set(counts) == set(range(9)) - {own[i].item()}
        assert all(180 < n < 320 for n in counts.values())


def test_no_gradient_goes_to_the_banks_or_through_broken_clips():
    iic = tiny()
    loss, _ = iic(batch(4), Clock())
    loss.backward()
    assert all(p.grad is not None for p in iic.encoder.parameters())
    assert not any(b.requires_grad for b in iic.buffers())


def test_broken_clips():
    clips = torch.arange(8.0)[None, None, :, None, None].expand(50, 3, 8, 2, 2)
    still = repeat_frame(clips)
    assert all(len(c.unique()) == 1 for c in still) and len(still.unique()) == 8
    swapped = swap_quarters(clips)[:, 0, :, 0, 0]
    quarters = {tuple(c.tolist()[::2]) for c in swapped}
    assert all(sorted(q) == [0, 2, 4, 6] for q in quarters) and len(quarters) == 6
    assert all(sum(a != b for a, b in zip(q, (0, 2, 4, 6), strict=True)) == 2 for q in quarters)
    assert torch.equal(swapped[:, 1::2], swapped[:, ::2] + 1)
    assert swap_quarters(clips[:, :, :6]).shape == (50, 3, 6, 2, 2)


def test_the_residual_is_the_change_from_frame_to_frame():
    clips = torch.tensor([1.0, 4.0, 9.0])[None, None, :, None, None].expand(1, 3, 3, 2, 2)
    assert differences(clips)[0, 0, :, 0, 0].tolist() == [-8, 3, 5]
    iic, twin = known(residual=True), known()
    x = batch(4).views[0]
    losses = []
    for method, views in ((iic, (x,)), (twin, (x, differences(x)))):
        torch.manual_seed(1)
        losses.append(method(Batch(views, torch.arange(4), torch.full((4, 4), -1)), Clock())[0])
    torch.testing.assert_close(*losses)
    assert (IICConfig().views, IICConfig(residual=False).views) == (1, 2)


def test_found_recordings_are_positives_too_and_drawn_ones_of_them_no_negatives():
    iic, own = known(negatives=3), torch.tensor([1, 2])
    f, bank = torch.randn(2, 6), iic.first
    found, draws = torch.tensor([[3, 5], [4, -1]]), torch.tensor([[5, 0, 0], [6, 4, 7]])
    loss, logs = iic.contrast(f, bank, own, found, draws)
    near, broken = f @ bank.T / 0.07, f @ iic.broken.T / 0.07
    shares = []
    for i, good, bad in ((0, [1, 3, 5], [0, 0]), (1, [2, 4], [6, 7])):
        positive = near[i, good].logsumexp(0)
        rest = torch.cat([near[i, bad], broken[i, [own[i].item(), *draws[i].tolist()]]])
        shares.append(torch.logaddexp(positive, rest.logsumexp(0)) - positive)
    torch.testing.assert_close(loss, torch.stack(shares).mean())
    assert logs["positives_found"] == 1.5


def test_mining_finds_what_is_alike_in_both_views_of_what_was_seen():
    """Recordings 0 to 3 look like the query in both views, 4 and 5 in the first one alone."""
    iic = known(recordings=12, topk=3, stages=3, ratio=0.6, mine_from=0.5)
    query, other = F.one_hot(torch.tensor([0, 1]), 6).float()
    iic.first.copy_(other.expand(12, 6)), iic.second.copy_(other.expand(12, 6))
    iic.first[:6], iic.second[:4] = query, query
    iic.seen[:10] = True
    own, f = torch.tensor([0]), query[None]
    views = f, iic.first, f, iic.second, own
    assert iic.mine(*views, Clock(progress=0.4)).shape == (1, 0)
    assert iic.mined() is None
    found = iic.mine(*views, Clock(progress=0.5))
    assert set(found[0].tolist()) == {1, 2, 3}
    iic.seen[2:] = False
    found = iic.mine(*views, Clock(progress=0.5))
    assert sorted(found[0].tolist()) == [-1, -1, 1]
    anchor, positive = iic.mined()
    assert np.array_equal(anchor, [0] * 4) and sorted(positive) == [1, 1, 2, 3]
    assert iic.mined() is None
    iic.eval().mine(*views, Clock(progress=0.5))
    assert iic.mined() is None


def test_a_later_stage_goes_on_with_what_is_remembered(caplog):
    first, second = known(), known(topk=2, stages=3, ratio=0.6)
    first(batch(3, group=[2, 7, 4]), Clock())
    second.start_from(first)
    assert torch.equal(second.broken, first.broken) and torch.equal(second.seen, first.seen)
    other = known(recordings=8)
    before = other.first.clone()
    other.start_from(first)
    assert torch.equal(other.first, before) and "starts anew" in caplog.text


def test_settings_that_cannot_work_are_refused():
    assert IICConfig().knowing([], 40).recordings == 40
    assert IICConfig(recordings=50).knowing([], 40).recordings == 50
    with pytest.raises(ValueError, match="the training data has 40"):
        IICConfig(recordings=30).knowing([], 40)
    with pytest.raises(ValueError, match="training data has 1"):
        IICConfig().knowing([], 1)
    with pytest.raises(ValueError, match="smaller topk or more recordings"):
        IICConfig(topk=5).knowing([], 100)  # seven stages leave one of 100
    assert IICConfig(topk=5, stages=5).knowing([], 100).topk == 5
    with pytest.raises(ValueError, match=r"method\.recordings is 0"):
        IICConfig().build(Brightness())
    with pytest.raises(ValueError, match="have 3 frames"):
        IICConfig(intra="shuffle").check(4, 3)
    IICConfig().check(4, 3)


@pytest.mark.parametrize("intra", ["repeat", "shuffle"])
def test_the_loss_falls_on_eight_clips(intra):
    losses, logs = descend(tiny(intra=intra), 30)
    assert np.mean(losses[-4:]) < np.mean(losses[:4]) - 0.5
    assert logs[-1]["positive_similarity"] > logs[-1]["intra_similarity"] + 0.1
    twin = copy.deepcopy(tiny()).eval()
    clips = batch(3).views[0]
    torch.testing.assert_close(twin.project(clips).norm(dim=1), torch.ones(3))
