"""ViCC: SwAV's loss on two clips, or on four of which a frozen method embeds two."""

import copy

import pytest
import torch

from workbench.clock import Clock
from workbench.config import ConfigError
from workbench.data.batch import Batch
from workbench.methods.losses import swapped_prediction
from workbench.methods.moco import MoCoConfig
from workbench.methods.vicc import ViCCConfig
from workbench.models import ENCODERS
from workbench.training.experiment import Experiment

LATE = Clock(epoch=3, step=30, progress=0.5)


def encoder(seed):
    torch.manual_seed(seed)
    return ENCODERS["tiny3d"](width=4).build()


def tiny(teacher=None, **settings):
    defaults = {"queue": 8, "dim": 6, "hidden": 8, "prototypes": 5, "frozen": 0, "queue_from": 0}
    return ViCCConfig(**{**defaults, **settings}).build(encoder(0), teacher=teacher)


def batch(views, n=4, seed=0):
    g = torch.Generator().manual_seed(seed)
    clips = tuple(torch.randn(n, 3, 4, 16, 16, generator=g) for _ in range(views))
    return Batch(clips, torch.arange(n), torch.full((n, 4), -1))


@pytest.fixture
def teacher():
    return MoCoConfig(dim=6, hidden=8, queue=8).build(encoder(1))


def test_alone_it_is_swapped_prediction_of_two_views():
    vicc, b = tiny(), batch(2)
    scores = [vicc.project(x) @ vicc.prototypes.T for x in b.views]
    torch.testing.assert_close(vicc.eval()(b, LATE)[0], swapped_prediction(
        [vicc.project(x) @ vicc.prototypes.T for x in b.views]))  # fmt: skip
    assert len(scores) == 2 and vicc.prototypes.shape == (5, 6)


def test_taught_all_four_views_get_codes_and_tell_each_other(teacher):
    vicc, b = tiny(teacher).eval(), batch(4)
    z = [vicc.project(x) for x in b.views[:2]] + [teacher.project(x) for x in b.views[2:]]
    scores = [x @ vicc.prototypes.T for x in z]
    loss, _ = vicc(b, LATE)
    torch.testing.assert_close(loss, swapped_prediction(scores, assign=(0, 1, 2, 3)))


def test_the_teachers_scores_teach_the_prototypes_and_nothing_else(teacher):
    before = copy.deepcopy(teacher.state_dict())
    vicc, b = tiny(teacher), batch(4)
    vicc.train()
    assert not vicc.teacher.method.training  # its batch norms too
    vicc(b, LATE)[0].backward()
    assert all(p.grad is None for p in vicc.teacher.method.parameters())
    assert all(torch.equal(v, before[k]) for k, v in vicc.teacher.method.state_dict().items())
    z = vicc.teacher.project(b.views[2])
    codes = torch.rand(4, 5).softmax(dim=1)
    vicc.zero_grad()
    (-(codes * (z @ vicc.prototypes.T).log_softmax(dim=1)).sum()).backward()
    assert vicc.prototypes.grad.abs().sum() > 0
    assert all(p.grad is None for p in vicc.encoder.parameters())


def test_both_views_teach_the_encoder_as_in_the_paper_or_one_as_in_its_code():
    twins = [tiny(), tiny(one_view_learns=True)]
    b = batch(2)
    losses = [t(b, LATE)[0] for t in twins]
    torch.testing.assert_close(*losses)
    for loss in losses:
        loss.backward()
    # what reaches the prototypes is the same, what reaches the encoder is not
    torch.testing.assert_close(*(t.prototypes.grad for t in twins))
    both, one = (torch.cat([p.grad.flatten() for p in t.encoder.parameters()]) for t in twins)
    assert not torch.allclose(both, one, rtol=0.05)
    # through view 0 alone: the gradient of the loss in which view 1 is a constant
    lone = tiny()
    z = [lone.project(b.views[0]), lone.project(b.views[1]).detach()]
    swapped_prediction([x @ lone.prototypes.T for x in z]).backward()
    torch.testing.assert_close(
        one, torch.cat([p.grad.flatten() for p in lone.encoder.parameters()]), rtol=1e-4, atol=1e-6
    )


def test_the_queue_keeps_every_view_by_itself_and_serves_once_it_is_full(teacher):
    vicc = tiny(teacher).train()
    used, kept = [], []
    for seed in range(4):
        b = batch(4, seed=seed)
        kept.append(vicc.teacher.project(b.views[3]))
        used.append(vicc(b, LATE)[1]["queue_used"])
    assert used == [0, 0, 1, 1]  # 8 places for batches of 4
    torch.testing.assert_close(vicc.queue[3], torch.cat(kept[2:]))
    assert vicc.queue.shape == (4, 8, 6)
    single = tiny().train()
    single(batch(2), LATE)
    assert not single.queue[2:].any()


def test_a_run_loads_without_its_teacher(teacher):
    taught = tiny(teacher)
    assert not any("teacher" in k for k in taught.state_dict())
    tiny().load_state_dict(taught.state_dict())


def test_the_teacher_goes_where_the_method_goes(teacher):
    vicc = tiny(teacher).to(torch.float64)
    assert {p.dtype for p in vicc.teacher.method.parameters()} == {torch.float64}


def test_the_next_stage_goes_on_with_head_and_prototypes(caplog):
    first, second = tiny(), ViCCConfig(queue=8, dim=6, hidden=8, prototypes=5).build(encoder(2))
    second.start_from(first)
    assert torch.equal(first.prototypes, second.prototypes)
    assert all(map(torch.equal, first.head.parameters(), second.head.parameters()))
    assert not caplog.records
    other = tiny(prototypes=7)
    before = other.prototypes.clone()
    other.start_from(first)
    assert torch.equal(other.prototypes, before)
    assert "prototypes starts anew, for the run has one of other shapes" in caplog.text


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": {"name": "vicc", "queue": 0}}, r"32 embeddings .* cannot use 300 prototypes"),
        ({"method": {"name": "vicc"}, "teacher": "x"}, r"gives clips of rgb alone. Use two-stream"),
        (
            {"method": {"name": "vicc"}, "sampler": {"name": "two-streams"}},
            r"two-streams gives 4 views .* vicc takes 2 of one stream: no teacher is named.*Set",
        ),
        ({"method": {"name": "moco"}, "teacher": "x"}, r"moco learns from no teacher"),
        (
            {"method": {"name": "coclr"}, "sampler": {"name": "two-streams"}},
            r"learns from a teacher and none is given.*workbench train coclr",
        ),
        (
            {"method": {"name": "vicc"}, "teacher": "x",
             "sampler": {"name": "two-streams", "other": "rgb"}},
            r"both are rgb",
        ),
    ],
)  # fmt: skip
def test_settings_that_contradict_each_other(settings, message):
    with pytest.raises(ConfigError, match=message):
        Experiment.parse({"data": {"name": "x"}, **settings})
