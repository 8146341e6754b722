import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from workbench.clock import Clock
from workbench.config import ConfigError
from workbench.data.batch import Batch
from workbench.methods import METHODS, Method
from workbench.methods.losses import info_nce
from workbench.methods.moco import MoCoConfig
from workbench.models import ENCODERS


def tiny(**settings):
    torch.manual_seed(0)
    defaults = {"queue": 10, "dim": 6, "hidden": 8, "bn_splits": 1}
    return MoCoConfig(**{**defaults, **settings}).build(ENCODERS["tiny3d"](width=4).build())


def batch(n=4, seed=0, group=None):
    g = torch.Generator().manual_seed(seed)
    views = tuple(torch.randn(n, 3, 4, 16, 16, generator=g) for _ in range(2))
    group = torch.arange(n) if group is None else torch.as_tensor(group)
    return Batch(views, group, torch.full((n, 4), -1))


def keys(n, first=0):
    return F.one_hot(torch.arange(first, first + n) % 6, 6).float()


def test_starts_with_equal_encoders_and_random_unit_negatives():
    moco = tiny(queue=1000)
    for q, k in zip(moco.encoder.parameters(), moco.key_encoder.parameters(), strict=True):
        assert torch.equal(q, k)
        assert not k.requires_grad
    torch.testing.assert_close(moco.queue.norm(dim=1), torch.ones(1000))
    assert moco.queue.mean().abs() < 0.02  # no direction is preferred


def test_the_ring_wraps_exactly_when_batches_do_not_divide_it():
    moco = tiny(queue=5)
    start = moco.queue.clone()
    moco.enqueue(keys(3), torch.tensor([0, 1, 2]))
    assert torch.equal(moco.queue, torch.cat([keys(3), start[3:]]))
    assert moco.queue_group.tolist() == [0, 1, 2, -1, -1]
    moco.enqueue(keys(3, first=3), torch.tensor([3, 4, 5]))
    assert moco.queue_group.tolist() == [5, 1, 2, 3, 4]
    assert torch.equal(moco.queue[0], keys(1, first=5)[0])
    assert moco.queue_next == 1


@pytest.mark.parametrize("count", [5, 6, 13])
def test_a_batch_larger_than_the_queue_leaves_its_last_keys(count):
    moco = tiny(queue=5)
    moco.enqueue(keys(2), torch.tensor([100, 101]))
    moco.enqueue(keys(count), torch.arange(count))
    assert sorted(moco.queue_group.tolist()) == list(range(count - 5, count))
    assert moco.queue_next == (2 + count) % 5
    newest = (moco.queue_next - 1) % 5
    assert moco.queue_group[newest] == count - 1


def test_the_loss_sees_the_queue_before_this_batch_and_the_queue_gets_its_keys():
    moco, b = tiny(), batch()
    before, twin = moco.queue.clone(), copy.deepcopy(moco)
    loss, logs = moco(b, Clock())
    q, k = twin.project(b.views[0]), twin.encode_keys(b.views[1])
    torch.testing.assert_close(loss, info_nce(q, k, before, 0.2))
    torch.testing.assert_close(moco.queue[:4], k)
    assert torch.equal(moco.queue[4:], before[4:])
    assert moco.queue_group.tolist() == [0, 1, 2, 3] + [-1] * 6
    assert logs["positive_similarity"] == pytest.approx((q * k).sum(1).mean().item(), abs=1e-5)
    loss.backward()  # the queue has moved on, the gradient has not


def test_the_gradient_is_that_of_the_queue_before_enqueue():
    moco, b = tiny(), batch()
    twin, before = copy.deepcopy(moco), moco.queue.clone()
    moco(b, Clock())[0].backward()
    q, k = twin.project(b.views[0]), twin.encode_keys(b.views[1])
    info_nce(q, k, before, 0.2).backward()
    for mine, theirs in zip(moco.parameters(), twin.parameters(), strict=True):
        if mine.requires_grad:
            torch.testing.assert_close(mine.grad, theirs.grad)
        else:
            assert mine.grad is None


def test_keys_move_by_the_momentum_before_they_are_used():
    moco, b = tiny(momentum=0.75), batch()
    moco.key_encoder.spread.eval()  # or its running moments would have moved before the twin's turn
    with torch.no_grad():
        for p in [*moco.encoder.parameters(), *moco.head.parameters()]:
            p.add_(torch.randn_like(p))
    q = [p.clone() for p in [*moco.encoder.parameters(), *moco.head.parameters()]]
    k = [p.clone() for p in [*moco.key_encoder.parameters(), *moco.key_head.parameters()]]
    moco(b, Clock())
    moved = [*moco.key_encoder.parameters(), *moco.key_head.parameters()]
    for old, theta_q, new in zip(k, q, moved, strict=True):
        torch.testing.assert_close(new, 0.75 * old + 0.25 * theta_q)
    stored = moco.queue[:4].clone()
    twin = copy.deepcopy(moco)
    torch.testing.assert_close(stored, twin.encode_keys(b.views[1]))


def test_batch_norm_statistics_of_the_key_encoder_are_its_own():
    moco, b = tiny(momentum=1.0), batch()
    moco(b, Clock())
    means = [
        [m.running_mean for m in net.modules() if isinstance(m, nn.BatchNorm3d)]
        for net in (moco.encoder, moco.key_encoder)
    ]
    assert all(not torch.equal(q, k) for q, k in zip(*means, strict=True))


def test_keys_of_the_own_group_are_no_negatives():
    b = batch(group=[7, 7, 8, 9])
    masked, paper = tiny(), tiny(mask_same_group=False)
    for moco in (masked, paper):
        moco.enqueue(keys(5), torch.tensor([7, 7, 8, 5, 5]))
    queue, twin = masked.queue.clone(), copy.deepcopy(masked)
    q, k = twin.project(b.views[0]), twin.encode_keys(b.views[1])
    keep = torch.ones(4, 10, dtype=torch.bool)
    keep[:2, :2] = keep[2, 2] = False
    loss, logs = masked(b, Clock())
    torch.testing.assert_close(loss, info_nce(q, k, queue, 0.2, keep))
    assert logs["share_of_queue_used"] == pytest.approx(keep.float().mean().item())
    torch.testing.assert_close(paper(b, Clock())[0], info_nce(q, k, queue, 0.2))


@pytest.mark.parametrize("count", [1, 2, 5, 8])
def test_split_batch_norm_equals_encoding_the_parts(count):
    moco, b = tiny(bn_splits=3), batch(n=count)
    twin = copy.deepcopy(moco)
    parts = b.views[1].tensor_split(max(1, min(3, count // 2)))
    expected = torch.cat([twin.encode_keys(x) for x in parts])  # too few to be split again
    found = moco.encode_keys(b.views[1])
    torch.testing.assert_close(found, expected)


def test_in_eval_nothing_moves():
    moco, b = tiny().eval(), batch()
    before = copy.deepcopy(moco.state_dict())
    moco(b, Clock())
    assert all(torch.equal(v, before[k]) for k, v in moco.state_dict().items())


def test_state_goes_round_exactly():
    moco = tiny()
    optimizer = torch.optim.SGD([p for p in moco.parameters() if p.requires_grad], lr=0.1)
    for step in range(3):
        optimizer.zero_grad()
        moco(batch(seed=step), Clock(step=step))[0].backward()
        optimizer.step()
    torch.manual_seed(99)
    other = MoCoConfig(queue=10, dim=6, hidden=8, bn_splits=1).build(
        ENCODERS["tiny3d"](width=4).build()
    )
    other.load_state_dict(moco.state_dict())
    assert {"queue", "queue_group", "queue_next"} <= set(moco.state_dict())
    for step in range(3, 6):
        a, b = (m(batch(seed=step), Clock(step=step))[0] for m in (moco, other))
        assert torch.equal(a, b)
    assert torch.equal(moco.queue, other.queue)


def test_two_of_the_paper_are_numbers_not_branches():
    v1, v2 = tiny(hidden=0, temperature=0.07), tiny()
    assert isinstance(v1.head, nn.Linear)
    assert [type(m) for m in v2.head] == [nn.Linear, nn.ReLU, nn.Linear]


def test_the_loss_falls_on_eight_clips():
    moco, b = tiny(queue=64, momentum=0.9, dim=16), batch(n=8)
    optimizer = torch.optim.Adam([p for p in moco.parameters() if p.requires_grad], lr=3e-3)
    same = Batch((b.views[0], b.views[0] + 0.1 * b.views[1]), b.group, b.label)
    losses = []
    for step in range(50):
        optimizer.zero_grad()
        loss, _ = moco(same, Clock(step=step))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    # It may rise while real keys replace random ones, so compare with the middle.
    assert sum(losses[-5:]) < 0.8 * sum(losses[8:13])


def test_views():
    moco = tiny().eval()
    with torch.no_grad():
        z, features = moco.project(batch().views[0]), moco.represent(batch().views[0])
    torch.testing.assert_close(z.norm(dim=1), torch.ones(4))
    assert features.shape == (4, 2, 32)


def test_settings_have_bounds_and_help():
    with pytest.raises(ConfigError, match="temperature"):
        MoCoConfig.parse({"temperature": 0})
    with pytest.raises(ConfigError, match="Did you mean 'momentum'"):
        MoCoConfig.parse({"momentun": 0.9})
    for config in METHODS.values():
        described = {k: f.description for k, f in config.model_fields.items() if k != "name"}
        assert all(described.values()), described


def test_frozen_parts_stay_in_eval():
    class Taught(Method):
        def __init__(self):
            super().__init__()
            self.encoder, self.teacher = nn.BatchNorm1d(2), nn.BatchNorm1d(2)

        def frozen(self):
            return (self.teacher,)

    method = Taught().train()
    assert method.encoder.training
    assert not method.teacher.training
    assert not method.eval().encoder.training


def test_one_recording_alone_has_no_negatives_and_says_so():
    moco, b = tiny(queue=8), batch(group=[3, 3, 3, 3])
    with pytest.raises(ValueError, match="mask_same_group to false"):
        for _ in range(4):  # until the queue's random start is overwritten
            moco(b, Clock())
    open_to_all = tiny(queue=8, mask_same_group=False)
    for _ in range(4):
        loss, _ = open_to_all(b, Clock())
    assert loss > 0


def wide(n, group):
    views = tuple(torch.randn(n, 3, 2, 16, 16) for _ in range(2))
    return Batch(views, torch.as_tensor(group), torch.full((n, 2), -1))


def test_missing_negatives_are_told_at_the_second_step_of_a_long_queue():
    moco = tiny(queue=2048)
    _, logs = moco(wide(32, [3] * 32), Clock())
    assert set(logs) == {"accuracy", "positive_similarity", "share_of_queue_used"}
    with pytest.raises(ValueError, match="mask_same_group to false"):
        moco(wide(32, [3] * 32), Clock(step=1))


@pytest.mark.parametrize("groups", [(3, 4), (4, 3), ("mixed", 3), (3, "mixed")])
def test_two_groups_are_enough(groups):
    moco = tiny(queue=2048)
    for step, group in enumerate(groups):
        moco(wide(32, [3, 4] * 16 if group == "mixed" else [group] * 32), Clock(step=step))


def test_small_batches_of_one_group_may_be_chance():
    moco = tiny(queue=2048)
    for step in range(3):
        moco(batch(group=[3, 3, 3, 3]), Clock(step=step))
    moco(batch(group=[4, 4, 4, 4]), Clock(step=3))
