import copy
import math

import pytest
import torch
import torch.nn.functional as F

from workbench.clock import Clock
from workbench.config import ConfigError
from workbench.data.batch import Batch
from workbench.methods.losses import sinkhorn, swapped_prediction
from workbench.methods.swav import SwAVConfig
from workbench.models import ENCODERS
from workbench.training.experiment import Experiment

LATE = Clock(epoch=3, step=30, progress=0.5)


def tiny(**settings):
    torch.manual_seed(0)
    defaults = {"queue": 8, "dim": 6, "hidden": 8, "prototypes": 5, "frozen": 0, "queue_from": 0}
    return SwAVConfig(**{**defaults, **settings}).build(ENCODERS["tiny3d"](width=4).build())


def batch(n=4, seed=0, small=0):
    g = torch.Generator().manual_seed(seed)
    sides = [16, 16] + [8] * small
    views = tuple(torch.randn(n, 3, 4, s, s, generator=g) for s in sides)
    return Batch(views, torch.arange(n), torch.full((n, 4), -1))


def paper(z, prototypes, queue=None, temperature=0.1):
    """Equations 2 and 6 with the assigned views 0 and 1, term by term."""
    terms = []
    for i in (0, 1):
        rows = z[i] if queue is None else torch.cat([z[i], queue[i]])
        q = sinkhorn(rows @ prototypes.T)[: len(z[i])]
        for v in range(len(z)):
            if v != i:
                log_p = (z[v] @ prototypes.T / temperature).log_softmax(1)
                terms.append(-(q * log_p).sum(1).mean())
    return sum(terms) / len(terms)


@pytest.mark.parametrize("small", [0, 2])
def test_the_loss_is_the_papers_with_its_gradient(small):
    swav, b = tiny(), batch(small=small)
    twin = copy.deepcopy(swav)
    loss, _ = swav(b, LATE)
    z = twin.embed_views(b.views)
    expected = paper(z, twin.prototypes)
    torch.testing.assert_close(loss, expected)
    loss.backward(), expected.backward()
    for mine, theirs in zip(swav.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-4, atol=1e-6)


def test_equals_lightly():
    from lightly.loss import SwaVLoss

    swav, b = tiny(), batch(small=2)
    z = [x.detach() for x in copy.deepcopy(swav).embed_views(b.views)]
    scores = [x @ swav.prototypes.detach().T for x in z]
    theirs = SwaVLoss(temperature=0.1, sinkhorn_epsilon=0.05, sinkhorn_iterations=3)
    torch.testing.assert_close(swav(b, LATE)[0], theirs(scores[:2], scores[2:]).squeeze())


def test_codes_use_all_prototypes_alike():
    swav = tiny(prototypes=4)
    z = torch.cat(swav.embed_views(batch(n=32).views))
    q = sinkhorn(z @ swav.prototypes.T, iterations=50)
    torch.testing.assert_close(q.sum(1), torch.ones(64))
    torch.testing.assert_close(q.sum(0), torch.full((4,), 16.0), rtol=1e-3, atol=0)


def test_collapsed_views_cost_log_of_the_number_of_prototypes():
    z = F.normalize(torch.ones(6, 5), dim=1)
    prototypes = F.normalize(torch.ones(7, 5), dim=1)
    loss = swapped_prediction([z @ prototypes.T] * 2)
    assert loss.item() == pytest.approx(math.log(7), rel=1e-5)


def test_perfect_assignment_costs_what_the_temperature_leaves():
    eye = torch.eye(4)
    loss = swapped_prediction([eye, eye], epsilon=0.01, temperature=0.1)
    assert loss.item() == pytest.approx(math.log(1 + 3 * math.exp(-10)), rel=1e-2)


def test_views_of_one_size_share_their_batch_norm():
    swav, b = tiny(), batch(small=1)
    twin = copy.deepcopy(swav)
    z = swav.embed_views(b.views)
    features = [twin.encoder(torch.cat(b.views[:2])), twin.encoder(b.views[2])]
    expected = twin.project_features(torch.cat([f.mean(1) for f in features])).chunk(3)
    for mine, theirs in zip(z, expected, strict=True):
        torch.testing.assert_close(mine, theirs)


def test_prototypes_have_unit_length_whatever_the_optimizer_did():
    swav = tiny()
    torch.testing.assert_close(swav.prototypes.norm(dim=1), torch.ones(5))
    with torch.no_grad():
        swav.prototypes.mul_(3).add_(0.1)
    swav(batch(), LATE)
    torch.testing.assert_close(swav.prototypes.norm(dim=1), torch.ones(5))


def test_prototypes_rest_at_the_start_bit_by_bit():
    swav = tiny(frozen=0.1)
    before = swav.prototypes.detach().clone()
    optimizer = torch.optim.SGD(swav.parameters(), 0.1, momentum=0.9, weight_decay=0.1)
    for step in range(3):
        optimizer.zero_grad()
        swav(batch(seed=step), Clock(step=step, progress=step / 30))[0].backward()
        assert swav.prototypes.grad is None
        assert next(swav.encoder.parameters()).grad.abs().sum() > 0
        optimizer.step()
    assert torch.equal(swav.prototypes, before)
    swav(batch(), Clock(step=3, progress=0.1))[0].backward()
    optimizer.step()
    assert not torch.equal(swav.prototypes, before)


def test_the_queue_starts_late_fills_then_spreads_the_codes_and_does_nothing_else():
    swav = tiny(queue=8, queue_from=0.5)
    early = Clock(progress=0.49)
    swav(batch(seed=0), early)
    assert not swav.queue.any() and swav.queue_filled == 0
    pushed = []
    for seed in (1, 2):  # it fills, and takes no part yet
        b, twin = batch(seed=seed), copy.deepcopy(swav)
        loss, logs = swav(b, LATE)
        z = twin.embed_views(b.views)
        torch.testing.assert_close(loss, paper(z, twin.prototypes))
        assert logs["queue_used"] == 0
        pushed.append(torch.stack(z).detach())
    assert torch.equal(swav.queue, torch.cat(pushed, dim=1))
    b, twin = batch(seed=3), copy.deepcopy(swav)
    loss, logs = swav(b, LATE)
    z = twin.embed_views(b.views)
    with_queue = paper(z, twin.prototypes, twin.queue)
    torch.testing.assert_close(loss, with_queue)
    assert not torch.allclose(with_queue, paper(z, twin.prototypes), rtol=1e-4)
    assert logs["queue_used"] == 1
    assert torch.equal(swav.queue[:, :4], torch.stack(z).detach())  # over the oldest
    assert torch.equal(swav.queue[:, 4:], twin.queue[:, 4:])
    loss.backward()
    assert not swav.queue.requires_grad


def test_without_a_queue_there_is_none():
    swav = tiny(queue=0)
    loss, logs = swav(batch(), LATE)
    assert torch.isfinite(loss) and logs["queue_used"] == 0


def test_float32_under_autocast():
    swav, b = tiny().eval(), batch()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss, _ = swav(b, LATE)
    assert loss.dtype == torch.float32


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ({"queue": 100, "prototypes": 10}, r"multiple of the batch. Set method\.queue to 96"),
        ({"queue": 0, "prototypes": 33}, r"32 embeddings .* 33 prototypes .*queue to 64"),
        ({"queue": 64, "prototypes": 97}, r"prototypes to 96 or fewer, or method\.queue to 128"),
    ],
)
def test_what_cannot_be_spread_is_refused_before_training(method, message):
    settings = {"data": {"name": "x"}, "method": {"name": "swav", **method}}
    with pytest.raises(ConfigError, match=message):
        Experiment.parse({**settings, "train": {"batch": 32}})
    Experiment.parse({**settings, "method": {"name": "swav"}, "train": {"batch": 256}})


@pytest.mark.parametrize("look", ["augment", "augment_second"])
def test_small_crops_are_refused_where_nothing_takes_them(look):
    settings = {"data": {"name": "x"}, look: {"small": 3}}
    with pytest.raises(ConfigError, match=rf"{look}\.small asks for 3 .*moco takes none"):
        Experiment.parse({**settings, "method": {"name": "moco"}, "train": {"batch": 256}})
    Experiment.parse({**settings, "method": {"name": "swav"}, "train": {"batch": 256}})
