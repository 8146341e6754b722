"""CoCLR, CPR's cascade and UberNCE: who is a positive, and what that costs."""

from copy import deepcopy

import pytest
import torch
import torch.nn.functional as F

from workbench.clock import Clock
from workbench.config import ConfigError
from workbench.data.batch import Batch
from workbench.methods.coclr import CoCLRConfig, UberNCEConfig, cascade
from workbench.methods.moco import MoCoConfig
from workbench.models import ENCODERS
from workbench.training.experiment import Experiment


def encoder(seed):
    torch.manual_seed(seed)
    return ENCODERS["tiny3d"](width=4).build()


def batch(seed, groups, label=-1):
    g = torch.Generator().manual_seed(seed)
    views = tuple(torch.randn(len(groups), 3, 4, 16, 16, generator=g) for _ in range(4))
    return Batch(views, torch.tensor(groups), torch.full((len(groups), 4), label))


def tiny(**settings):
    teacher = MoCoConfig(dim=6, hidden=8, queue=8).build(encoder(1))
    defaults = {"queue": 8, "dim": 6, "hidden": 8, "topk": 2, "momentum": 0.5}
    return CoCLRConfig(**{**defaults, **settings}).build(encoder(0), teacher=teacher).train()


# --- The cascade


def naive(mq, mb, aq, ab, topk, ratio, stages, exclude):
    """Stage by stage and query by query, as CPR's text has it."""
    found = []
    for b in range(len(mq)):
        near = {"main": [], "aux": []}
        for k in range(len(mb)):
            out = exclude is not None and bool(exclude[b, k])
            near["main"].append(-float("inf") if out else float(mq[b] @ mb[k]))
            near["aux"].append(-float("inf") if out else float(aq[b] @ ab[k]))
        left = list(range(len(mb)))
        for s in range(stages):
            view = "main" if s in (0, stages - 1) or s % 2 == 0 else "aux"
            keep = topk if s == stages - 1 else int(len(mb) * ratio ** (s + 1))
            left = sorted(left, key=lambda k, view=view: -near[view][k])[:keep]
        found.append(left)
    return torch.tensor(found)


def unit(*shape, seed=0):
    return F.normalize(torch.randn(shape, generator=torch.Generator().manual_seed(seed)), dim=1)


@pytest.fixture(scope="module")
def views():
    """Main and auxiliary queries and banks; every third entry is out for every other query."""
    exclude = torch.zeros(6, 128, dtype=torch.bool)
    exclude[::2, ::3] = True
    return (unit(6, 9), unit(128, 9, seed=1), unit(6, 5, seed=2), unit(128, 5, seed=3)), exclude


@pytest.mark.parametrize("stages", [3, 4, 5, 6])
@pytest.mark.parametrize("ratio", [0.5, 0.6])
@pytest.mark.parametrize("excluding", [False, True])
def test_the_cascade_is_the_naive_one(views, stages, ratio, excluding):
    (mq, mb, aq, ab), exclude = views
    exclude = exclude if excluding else None
    found = cascade(mq, mb, aq, ab, 3, ratio, stages, exclude)
    assert torch.equal(found, naive(mq, mb, aq, ab, 3, ratio, stages, exclude))
    assert torch.equal(found, cascade(mq, mb, aq, ab, 3, ratio, stages, exclude))
    if excluding:
        assert not exclude.gather(1, found).any()


@pytest.mark.parametrize("stages", [4, 6])
def test_an_even_number_of_stages_finds_what_one_less_does(views, stages):
    (mq, mb, aq, ab), _ = views
    few = {"topk": 2, "ratio": 0.5}
    even, odd = (cascade(mq, mb, aq, ab, stages=s, **few) for s in (stages, stages - 1))
    assert torch.equal(even, odd)


def test_the_papers_sizes():
    bank = unit(2048, 8)
    found = cascade(bank[:3], bank, bank[:3], bank)
    assert found.shape == (3, 5)
    assert torch.equal(found, (bank[:3] @ bank.T).topk(5, dim=1).indices)  # one view: the top 5


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"stages": 2}, r"a cascade of 2 stages .* 3 or more"),
        ({"stages": 1}, r"a cascade of 1 stage has"),
        ({"stages": 7, "topk": 3}, r"stage 5 of 7 keeps 2 of 128 entries .* 3 are to be found"),
        ({"ratio": 1.0}, r"ratio is 1\.0"),
    ],
)
def test_cascades_that_cannot_be(views, settings, message):
    with pytest.raises(ValueError, match=message):
        cascade(*views[0], **settings)


# --- CoCLR


def fill(method, n=2):
    """Batches of four recordings until the queue of eight is full."""
    for seed in range(n):
        method(batch(10 + seed, [4 * seed + k for k in range(4)]), Clock())


def test_nothing_is_learned_before_the_queue_is_full():
    coclr = tiny()
    for full in (False, False, True):
        loss, logs = coclr(batch(int(full), [0, 1, 2, 3]), Clock())
        assert loss.requires_grad == bool(logs["queue_full"]) == full


def test_positives_are_the_own_key_siblings_and_the_teachers_nearest():
    coclr = tiny(drop_own=0.0)
    fill(coclr)
    b = batch(7, [0, 5, 20, 21])  # the first two have siblings among the keys
    queue, group = coclr.queue.clone(), coclr.queue_group.clone()
    with torch.no_grad():
        q, second = deepcopy(coclr).project(b.views[0]), coclr.teacher.project(b.views[3])
        seen = second @ coclr.queue_second.T
        loss, _ = coclr(b, Clock())
        k = coclr.queue[:4]  # the keys of this batch took the oldest places
        terms, pairs = [], []
        for i in range(4):
            siblings = (group == b.group[i]).nonzero().flatten().tolist()
            order = [j for j in seen[i].argsort(descending=True).tolist() if j not in siblings]
            logits = torch.cat([(q[i] @ k[i])[None], queue @ q[i]]) / 0.07
            share = logits.softmax(dim=0)
            terms.append(-share[[0] + [1 + j for j in siblings + order[:2]]].sum().log())
            pairs += [(int(b.group[i]), int(group[j])) for j in order[:2]]
    torch.testing.assert_close(loss, torch.stack(terms).mean())
    anchor, positive = coclr.mined()
    assert list(zip(anchor.tolist(), positive.tolist(), strict=True)) == pairs
    assert coclr.mined() is None


def test_the_own_key_is_no_positive_nine_times_in_ten():
    coclr = tiny()
    alone = torch.tensor([[False] * 3, [True, False, False]])
    torch.manual_seed(0)
    own = torch.stack([coclr._own(alone) for _ in range(500)])[..., 0]
    assert own[:, 0].all()  # it has no other positive
    assert 0.05 < own[:, 1].float().mean() < 0.15
    assert coclr.eval()._own(alone).all()


def test_the_cascade_takes_the_teachers_view_as_the_main_one():
    cpr = tiny(queue=32, stages=3, topk=2)
    fill(cpr, 8)
    q, second = unit(4, 6, seed=5), unit(4, 6, seed=6)
    none = torch.zeros(4, 32, dtype=torch.bool)
    expected = cascade(second, cpr.queue_second, q, cpr.queue, 2, 0.5, 3, none)
    assert torch.equal(cpr.mine(q, second, none), expected)
    assert not torch.equal(expected, tiny(queue=32).mine(q, second, none))


def test_where_all_are_positives_that_is_told():
    coclr = tiny()
    fill(coclr)
    with pytest.raises(ValueError, match=r"nothing to push away from.*Add recordings"):
        for _ in range(3):
            coclr(batch(0, [1, 1, 1, 1]), Clock())


def test_the_next_stage_starts_key_encoder_and_heads_from_the_query_encoder():
    infonce = MoCoConfig(dim=6, hidden=8, queue=8).build(encoder(3))
    coclr = CoCLRConfig(queue=8, dim=6, hidden=8).build(encoder(4))
    coclr.encoder.load_state_dict(infonce.encoder.state_dict())  # what every `init` does
    coclr.start_from(infonce)
    for ours, theirs in [("head", "head"), ("key_head", "head"), ("key_encoder", "encoder")]:
        a, b = getattr(coclr, ours).state_dict(), getattr(infonce, theirs).state_dict()
        assert all(torch.equal(v, b[k]) for k, v in a.items())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"queue": 100}, r"queue is 100 and train\.batch 32.*Set method\.queue to 96"),
        ({"queue": 64, "stages": 7}, r"stage 3 of 7 keeps 4 of 64"),
        ({"queue": 64, "stages": 2}, r"a cascade of 2 stages"),
        ({"queue": 32, "topk": 40}, r"topk is 40 and method\.queue 32"),
    ],
)
def test_settings_that_contradict_each_other(settings, message):
    with pytest.raises(ConfigError, match=message):
        Experiment.parse({
            "data": {"name": "x"}, "teacher": "y", "sampler": {"name": "two-streams"},
            "method": {"name": "coclr", **settings},
        })  # fmt: skip


# --- UberNCE


def test_uber_nce_is_the_mean_over_all_keys_of_the_label():
    method = UberNCEConfig(queue=8, dim=6, hidden=8).build(encoder(0)).train()
    for seed, label in ((0, 0), (1, -1)):
        b = batch(seed, [0, 1, 2, 3], label)
        method(Batch(b.views[:2], b.group, b.label), Clock())
    queue = method.queue.clone()
    assert method.queue_label.tolist() == [0] * 4 + [-1] * 4
    for label, positives in ((0, [0, 1, 2, 3, 4]), (1, [0]), (-1, [0])):  # the own key is first
        method.queue_next.zero_()
        method.queue.copy_(queue)
        method.queue_label.copy_(torch.tensor([0] * 4 + [-1] * 4))
        b = batch(5, [7, 8, 9, 10], label)
        with torch.no_grad():
            q = deepcopy(method).project(b.views[0])
            loss, logs = method(Batch(b.views[:2], b.group, b.label), Clock())
            k = method.queue[:4]
            logits = torch.cat([(q * k).sum(1, keepdim=True), q @ queue.T], dim=1) / 0.07
        expected = -logits.log_softmax(dim=1)[:, positives].mean()
        torch.testing.assert_close(loss, expected)
        assert logs["positives_in_queue"] == len(positives) - 1


def test_uber_nce_asks_for_labels():
    assert UberNCEConfig().knowing(["a", "b"]) == UberNCEConfig(classes=("a", "b"))
    with pytest.raises(ValueError, match=r"uber-nce learns from labels .* have no labels"):
        UberNCEConfig().knowing([])
