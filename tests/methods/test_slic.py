import copy
from collections import Counter

import pytest
import torch
import torch.nn.functional as F

from tests.methods.pairs import LINEAR, NORM, RELU, batch, build, descend, kinds
from workbench.clock import Clock
from workbench.data.batch import Batch
from workbench.methods.slic import SlicConfig, instance_loss, semi_hard
from workbench.models import ENCODERS


def tiny(**settings):
    return build(SlicConfig(**{"dim": 6, "hidden": 8, **settings}))


def three(n=4, seed=0, group=None, noise=None):
    a, again = batch(n, seed, noise=noise).views
    b = batch(n, seed + 1, group=group)
    return Batch((a, again, b.views[0]), b.group, b.label)


def on_a_circle(*degrees):
    """Unit vectors; distances are 1 - cos of the angles between them."""
    angle = torch.deg2rad(torch.tensor(degrees, dtype=torch.float64))
    return torch.stack([angle.cos(), angle.sin()], dim=1)


def rows(z, group):
    group = torch.tensor(group)
    same = group[:, None] == group
    a, p = same.triu(1).nonzero(as_tuple=True)
    return 1 - z @ z.T, same, a, p


def test_without_semi_hard_negatives_the_nearest_negative_is_taken():
    """SLIC's code would take row 0 here, the anchor: the nearest is the first of the negatives."""
    z = on_a_circle(0, 10, 90, 180)
    far, same, a, p = rows(z, [0, 0, 1, 2])
    n, found = semi_hard(far, same, a, p, margin=0.2)
    assert (a.tolist(), p.tolist(), n.tolist(), found.tolist()) == ([0], [1], [2], [False])


def test_the_nearest_negative_is_neither_a_positive_nor_at_the_place_of_one():
    """Negatives of the anchor in row 2 are rows 0, 1, 4; the code's index 2 would be itself."""
    z = on_a_circle(180, 150, 0, 5, 100)
    far, same, a, p = rows(z, [0, 0, 1, 1, 2])
    n, found = semi_hard(far, same, a, p, margin=0.1)
    of_anchor = a == 2
    assert n[of_anchor].tolist() == [4] and not found[of_anchor].any()


def test_semi_hard_negatives_are_drawn_evenly_from_those_within_the_margin():
    z = on_a_circle(0, 30, 20, 25, 40, 100)
    far, same, a, p = rows(z, [0, 0, 1, 2, 3, 4])
    assert (far[0] < far[0, 1] + 0.15).tolist() == [True] * 5 + [False]
    torch.manual_seed(0)
    drawn = Counter(semi_hard(far, same, a, p, 0.15)[0].item() for _ in range(600))
    assert set(drawn) == {2, 3, 4}
    assert all(150 < times < 250 for times in drawn.values())


def test_the_instance_loss_is_the_mean_over_pairs_of_a_group():
    """Two pairs, each with one semi-hard negative: the other pair is out of reach but for one."""
    z = on_a_circle(0, 30, 45, 100).requires_grad_()
    loss, logs = instance_loss(z, torch.tensor([0, 0, 1, 1]), margin=0.15)
    d = lambda degrees: 1 - torch.deg2rad(torch.tensor(float(degrees))).cos()  # noqa: E731
    # anchors 0 and 2; 0 reaches no negative (45 deg is 0.29 away, 30 deg + 0.15 are 0.284)
    far = [d(30) - d(45) + 0.15, d(55) - d(15) + 0.15, d(55) - d(45) + 0.15]
    choices = [(F.relu(far[0]) + far[k]) / 2 for k in (1, 2)]
    assert min(abs(loss.item() - c.item()) for c in choices) < 1e-6
    assert logs == {"share_semi_hard": 0.5, "share_active": 0.5}
    loss.backward()
    assert z.grad[2:].abs().sum() > 0


def test_without_two_groups_there_is_the_temporal_loss_alone():
    slic = tiny()
    loss, logs = slic(three(group=[3, 3, 3, 3]), Clock())
    assert logs["instance"] == logs["share_semi_hard"] == logs["share_active"] == 0
    assert loss.item() == pytest.approx(logs["temporal"])
    loss.backward()
    assert all(p.grad.isfinite().all() for p in slic.parameters())


def test_the_temporal_loss_wants_the_other_look_nearer_than_the_positive():
    b = three(group=[3, 3, 3, 3])
    slic = tiny(temporal=2.0, temporal_margin=0.5)
    x, again, positive = copy.deepcopy(slic).project(torch.cat(b.views)).chunk(3)
    near, far = (1 - F.cosine_similarity(x, y) for y in (again, positive))
    torch.testing.assert_close(slic(b, Clock())[0], 2 * F.relu(near - far + 0.5).mean())


def test_anchors_and_positives_are_pairs_of_their_groups_the_other_look_is_not():
    b = three(group=[5, 5, 8, 9])
    slic = tiny(temporal=0, margin=2.0)  # every negative is semi-hard and active
    x, _, positive = copy.deepcopy(slic).project(torch.cat(b.views)).chunk(3)
    torch.manual_seed(0)
    loss, logs = slic(b, Clock())
    torch.manual_seed(0)
    expected = instance_loss(torch.cat([x, positive]), torch.tensor([5, 5, 8, 9] * 2), 2.0)[0]
    torch.testing.assert_close(loss, expected)
    assert logs["share_semi_hard"] == logs["share_active"] == 1


def test_the_head_of_the_paper():
    head = build(SlicConfig()).head
    assert kinds(head) == [LINEAR, NORM, RELU, LINEAR]
    assert [m.out_features for m in head if isinstance(m, LINEAR)] == [2048, 128]


def test_slic_on_its_network_has_the_papers_number_of_parameters():
    with torch.device("meta"):
        slic = SlicConfig().build(ENCODERS["r3d_18"](stem_frames=7).build())
    assert sum(p.numel() for p in slic.parameters()) == 34_520_896


def test_clusters_are_made_of_projections():
    slic = tiny().eval()
    clips = torch.randn(3, 3, 4, 16, 16)
    torch.testing.assert_close(slic.for_mining(clips, Clock())[:, 0], slic.project(clips))


def test_the_loss_falls_on_eight_clips():
    def batches(step):
        return three(8, noise=0.1, group=[0, 0, 1, 1, 2, 2, 3, 3])

    losses, logs = descend(tiny(dim=16, hidden=32), 30, batches=batches)
    assert losses[-1] < losses[0] - 0.1
    assert logs[-1]["spread"] > 0.3
