import math

import pytest
import torch
import torch.nn.functional as F

from workbench.methods.losses import (
    byol,
    info_nce,
    info_nce_logits,
    mil_nce,
    negative_cosine,
    nt_xent,
    sinkhorn,
    swapped_prediction,
    triplet,
)


@pytest.fixture
def embeddings():
    g = torch.Generator().manual_seed(0)
    q, k = torch.randn(5, 16, generator=g), torch.randn(5, 16, generator=g)
    queue = F.normalize(torch.randn(12, 16, generator=g), dim=1)
    return q, k, queue


def slow_loop(q, k, queue, tau, mask):
    """Equation 1 of the paper, one query at a time."""
    losses = []
    for i in range(len(q)):
        qi, ki = q[i] / q[i].norm(), k[i] / k[i].norm()
        positive = torch.exp(qi @ ki / tau)
        negatives = [torch.exp(qi @ queue[j] / tau) for j in range(len(queue)) if mask[i, j]]
        losses.append(-torch.log(positive / (positive + sum(negatives))))
    return torch.stack(losses).mean()


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("tau", [0.07, 0.2, 1.0])
def test_equals_the_formula_with_its_gradient(embeddings, tau, masked):
    q, k, queue = embeddings
    mask = torch.ones(5, 12, dtype=torch.bool)
    if masked:
        mask = torch.rand(5, 12, generator=torch.Generator().manual_seed(1)) > 0.5
    a, b = q.clone().requires_grad_(), q.clone().requires_grad_()
    fast, slow = info_nce(a, k, queue, tau, mask), slow_loop(b, k, queue, tau, mask)
    torch.testing.assert_close(fast, slow)
    torch.testing.assert_close(info_nce(3 * a, k / 2, 5 * queue, tau, mask), fast)
    fast.backward(), slow.backward()
    torch.testing.assert_close(a.grad, b.grad, rtol=1e-4, atol=1e-6)


def test_gradient_is_the_numerical_one(embeddings):
    q, k, queue = (x[:3, :4].double().clone().requires_grad_() for x in embeddings)

    def loss(q, k, queue):  # the function computes in float32, so wide steps and tolerances
        return info_nce(q, k, queue, 0.5).double()

    assert torch.autograd.gradcheck(loss, (q, k, queue), eps=1e-2, atol=2e-2, rtol=2e-2)


@pytest.mark.parametrize("entries", [1, 7, 100])
def test_uniform_logits_give_log_of_their_number(entries):
    one = torch.ones(3, 8)
    assert info_nce(one, one, F.normalize(torch.ones(entries, 8), dim=1), 0.2).item() == (
        pytest.approx(math.log(entries + 1), rel=1e-5)
    )


def test_perfect_positives_and_orthogonal_negatives():
    q = torch.eye(4)[:2]
    queue = torch.eye(4)[2:]
    expected = math.log(1 + 2 * math.exp(-1 / 0.2))
    assert info_nce(q, q, queue, 0.2).item() == pytest.approx(expected, rel=1e-5)


def test_lengths_do_not_matter_nor_the_order_of_the_queue(embeddings):
    q, k, queue = embeddings
    loss = info_nce(q, k, queue, 0.1)
    torch.testing.assert_close(info_nce(3 * q, 0.1 * k, queue.flip(0), 0.1), loss)


def test_swapping_queries_and_keys_changes_nothing_without_negatives(embeddings):
    q, k, queue = embeddings
    none = torch.zeros(5, 12, dtype=torch.bool)
    assert info_nce(q, k, queue, 0.1, none).item() == 0
    positive = info_nce_logits(q, k, queue, 0.1)[:, 0]
    torch.testing.assert_close(positive, info_nce_logits(k, q, queue, 0.1)[:, 0])


def test_float32_under_autocast(embeddings):
    q, k, queue = embeddings
    plain = info_nce_logits(q, k, queue, 0.07)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = info_nce_logits(q, k, queue, 0.07)
    assert logits.dtype == torch.float32
    assert torch.equal(logits, plain)


def test_equals_lightly(embeddings):
    from lightly.loss import NTXentLoss

    q, k, queue = embeddings
    theirs = NTXentLoss(temperature=0.2, memory_bank_size=(12, 16))
    theirs.memory_bank.bank = queue
    ours = info_nce(q, k, queue, 0.2)
    torch.testing.assert_close(ours, theirs(q.clone().requires_grad_(), k))


# --- NT-Xent


def nt_xent_loop(z1, z2, tau, group):
    """Equation 1 of SimCLR, one anchor at a time; false negatives left out."""
    z = torch.cat([z1 / z1.norm(dim=1, keepdim=True), z2 / z2.norm(dim=1, keepdim=True)])
    n, losses = len(z1), []
    for i in range(2 * n):
        positive = torch.exp(z[i] @ z[(i + n) % (2 * n)] / tau)
        negatives = [
            torch.exp(z[i] @ z[k] / tau) for k in range(2 * n) if group[k % n] != group[i % n]
        ]
        losses.append(-torch.log(positive / (positive + sum(negatives))))
    return torch.stack(losses).mean()


@pytest.mark.parametrize("group", [None, [0, 0, 1, 2, 1]])
@pytest.mark.parametrize("tau", [0.1, 0.5])
def test_nt_xent_is_the_formula_with_its_gradient_through_both_views(embeddings, tau, group):
    z1, z2, _ = embeddings
    pairs = [(z1.clone().requires_grad_(), z2.clone().requires_grad_()) for _ in range(2)]
    fast = nt_xent(*pairs[0], tau, None if group is None else torch.tensor(group))
    slow = nt_xent_loop(*pairs[1], tau, group or range(5))
    torch.testing.assert_close(fast, slow)
    fast.backward(), slow.backward()
    for ours, theirs in zip(*pairs, strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-6)
        assert ours.grad.any()


def test_nt_xent_equals_lightly(embeddings):
    from lightly.loss import NTXentLoss

    z1, z2, _ = embeddings
    torch.testing.assert_close(nt_xent(z1, z2, 0.1), NTXentLoss(temperature=0.1)(z1, z2))


def test_nt_xent_knows_no_first_view_no_order_and_no_lengths(embeddings):
    z1, z2, _ = embeddings
    loss = nt_xent(z1, z2, 0.2)
    torch.testing.assert_close(nt_xent(z2, z1, 0.2), loss)
    torch.testing.assert_close(nt_xent(z1.flip(0), z2.flip(0), 0.2), loss)
    torch.testing.assert_close(nt_xent(3 * z1, 0.2 * z2, 0.2), loss)
    group = torch.tensor([0, 0, 1, 2, 1])
    masked = nt_xent(z1, z2, 0.2, group)
    torch.testing.assert_close(nt_xent(z2.flip(0), z1.flip(0), 0.2, group=group.flip(0)), masked)
    assert masked < loss


@pytest.mark.parametrize("n", [2, 5])
def test_nt_xent_in_closed_form(n):
    one, eye = torch.ones(n, 8), torch.eye(n)
    assert nt_xent(one, one, 0.1).item() == pytest.approx(math.log(2 * n - 1), rel=1e-5)
    expected = math.log(1 + 2 * (n - 1) * math.exp(-1 / 0.5))
    assert nt_xent(eye, eye, 0.5).item() == pytest.approx(expected, rel=1e-5)


def test_nt_xent_without_negatives_is_nothing(embeddings):
    z1, z2, _ = embeddings
    assert nt_xent(z1, z2, 0.1, torch.zeros(5)).item() == 0


def test_nt_xent_is_info_nce_of_an_anchor_and_the_other_examples(embeddings):
    z1, z2, _ = embeddings
    both = F.normalize(torch.cat([z1, z2]), dim=1)
    losses = []
    for i in range(10):
        keep = torch.ones(1, 10, dtype=torch.bool)
        keep[0, [i, (i + 5) % 10]] = False
        losses.append(info_nce(both[[i]], both[[(i + 5) % 10]], both, 0.1, keep))
    torch.testing.assert_close(nt_xent(z1, z2, 0.1), torch.stack(losses).mean())


# --- Cosines


def test_negative_cosine_equals_lightly_and_goes_from_minus_one_to_one(embeddings):
    from lightly.loss import NegativeCosineSimilarity

    p, z, _ = embeddings
    torch.testing.assert_close(negative_cosine(p, z), NegativeCosineSimilarity()(p, z))
    assert negative_cosine(p, 2 * p).item() == pytest.approx(-1)
    assert negative_cosine(p, -p).item() == pytest.approx(1)
    assert negative_cosine(torch.eye(4)[:2], torch.eye(4)[2:]).item() == 0


def test_byol_is_the_squared_distance_of_unit_vectors(embeddings):
    p, z, _ = embeddings
    distance = (F.normalize(p, dim=1) - F.normalize(z, dim=1)).square().sum(dim=1).mean()
    torch.testing.assert_close(byol(p, z), distance)
    torch.testing.assert_close(byol(p, z), byol(z, p))
    assert byol(p, 3 * p).item() == pytest.approx(0, abs=1e-6)
    assert byol(p, -p).item() == pytest.approx(4)


@pytest.mark.parametrize("loss", [negative_cosine, byol])
def test_a_cosine_has_no_gradient_along_the_vector(embeddings, loss):
    p, z = (x.clone().requires_grad_() for x in embeddings[:2])
    loss(p, z.detach()).backward()
    torch.testing.assert_close((p.grad * p).sum(dim=1), torch.zeros(5), atol=1e-6, rtol=0)
    assert p.grad.any() and z.grad is None


# --- Sinkhorn and swapped prediction


@pytest.fixture
def scores():
    """Cosines to 6 prototypes: of 8 examples in four views, of a queue of 12 for two of them."""
    g = torch.Generator().manual_seed(3)
    prototypes = F.normalize(torch.randn(6, 16, generator=g), dim=1)

    def draw(n):
        return F.normalize(torch.randn(n, 16, generator=g), dim=1) @ prototypes.T

    return [draw(8) for _ in range(4)], [draw(12) for _ in range(2)]


def swav_sinkhorn(scores, epsilon, iterations):
    """The procedure of the paper's appendix A.1 on the exponentials themselves, in float64."""
    q = torch.exp(scores.double() / epsilon).T
    q /= q.sum()
    k, b = q.shape
    for _ in range(iterations):
        q *= (1 / k) / q.sum(dim=1, keepdim=True)
        q *= (1 / b) / q.sum(dim=0, keepdim=True)
    return (q / q.sum(dim=0, keepdim=True)).T.float()


@pytest.mark.parametrize("iterations", [0, 1, 3, 10])
@pytest.mark.parametrize("epsilon", [0.03, 0.05, 0.5])
def test_sinkhorn_is_the_procedure_of_the_paper(scores, epsilon, iterations):
    found = sinkhorn(scores[0][0], epsilon, iterations)
    expected = swav_sinkhorn(scores[0][0], epsilon, iterations)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


def test_sinkhorn_equals_lightly(scores):
    from lightly.loss.swav_loss import sinkhorn as theirs

    torch.testing.assert_close(sinkhorn(scores[0][0]), theirs(scores[0][0]), rtol=1e-4, atol=1e-6)


def test_sinkhorn_shares_the_examples_out_evenly(scores):
    q = sinkhorn(scores[0][0], 0.5, 100)
    torch.testing.assert_close(q.sum(dim=1), torch.ones(8))
    torch.testing.assert_close(q.sum(dim=0), torch.full((6,), 8 / 6), rtol=1e-4, atol=0)


def test_sinkhorn_of_the_same_scores_is_uniform_and_of_one_each_is_that():
    torch.testing.assert_close(sinkhorn(torch.ones(6, 4)), torch.full((6, 4), 0.25))
    torch.testing.assert_close(sinkhorn(torch.eye(4)), torch.eye(4), atol=1e-6, rtol=0)


def test_sinkhorn_survives_scores_that_overflow_an_exponential():
    q = sinkhorn(1000 * torch.eye(2))
    assert torch.equal(q, torch.eye(2))


def test_sinkhorn_takes_no_gradient_and_works_in_float32(scores):
    s = scores[0][0].clone().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        q = sinkhorn(s)
    assert q.dtype == torch.float32 and not q.requires_grad


@pytest.mark.parametrize("queued", [False, True])
@pytest.mark.parametrize("views", [2, 4])
def test_swapped_prediction_equals_lightly_with_its_gradient(scores, views, queued):
    from lightly.loss import SwaVLoss

    queue = scores[1] if queued else None
    ours = [s.clone().requires_grad_() for s in scores[0][:views]]
    theirs = [s.clone().requires_grad_() for s in scores[0][:views]]
    a, b = swapped_prediction(ours, queue_scores=queue), SwaVLoss()(theirs[:2], theirs[2:], queue)
    torch.testing.assert_close(a, b[0])
    a.backward(), b.backward()
    for x, y in zip(ours, theirs, strict=True):
        torch.testing.assert_close(x.grad, y.grad, rtol=1e-4, atol=1e-6)


def test_swapped_prediction_treats_two_views_alike(scores):
    a, b = scores[0][:2]
    torch.testing.assert_close(swapped_prediction([a, b]), swapped_prediction([b, a]))
    halves = [swapped_prediction([a, b], assign=(i,)) for i in (0, 1)]
    torch.testing.assert_close(sum(halves) / 2, swapped_prediction([a, b]))


def test_swapped_prediction_starts_at_the_log_of_the_prototypes(scores):
    flat = [torch.zeros(8, 6), torch.zeros(8, 6)]
    assert swapped_prediction(flat).item() == pytest.approx(math.log(6), rel=1e-5)
    sure = [torch.eye(6), torch.eye(6)]
    expected = math.log(1 + 5 * math.exp(-1 / 0.1))
    assert swapped_prediction(sure).item() == pytest.approx(expected, rel=1e-2)


def test_the_gradient_goes_through_predictions_alone(scores):
    a, b = (s.clone().requires_grad_() for s in scores[0][:2])
    swapped_prediction([a, b], assign=(0,)).backward()
    assert a.grad is None  # nothing is predicted from the view that gives the code
    q = sinkhorn(a)
    torch.testing.assert_close(b.grad, ((b / 0.1).softmax(dim=1) - q).detach() / 0.1 / 8)


# --- MIL-NCE


def test_mil_nce_in_closed_form():
    logits = torch.tensor([[0.0, 0.0, 0.0, 0.0], [1.0, 2.0, -torch.inf, 0.0]])
    mask = torch.tensor([[True, True, False, False], [True, False, False, False]])
    second = math.log(math.exp(1) + math.exp(2) + 1) - 1
    assert mil_nce(logits, mask).item() == pytest.approx((math.log(2) + second) / 2, rel=1e-6)
    assert mil_nce(logits, torch.ones_like(mask)).item() == 0


def test_mil_nce_of_one_positive_is_cross_entropy_with_its_gradient(embeddings):
    logits = (embeddings[0] @ embeddings[2].T).requires_grad_()
    target = torch.tensor([3, 0, 1, 4, 2])[: len(logits)]
    mil_nce(logits, F.one_hot(target, logits.shape[1]).bool()).backward()
    expected = torch.autograd.grad(F.cross_entropy(logits, target), logits)[0]
    torch.testing.assert_close(logits.grad, expected)


def test_mil_nce_pulls_the_nearest_positive_most():
    logits = torch.tensor([[2.0, 0.0, 1.0]], requires_grad=True)
    mil_nce(logits, torch.tensor([[True, True, False]])).backward()
    near, far, negative = logits.grad[0].tolist()
    assert near < far < 0 < negative


# --- Triplets


@pytest.mark.parametrize("margin", [0.2, 1.0])
def test_triplet_equals_torch(embeddings, margin):
    a, p, n = (F.normalize(x, dim=1) for x in (*embeddings[:2], embeddings[2][:5]))
    theirs = F.triplet_margin_loss(a, p, n, margin, eps=0)
    torch.testing.assert_close(triplet(3 * a, p, 0.5 * n, margin), theirs)
    squared = (2 * (a * n - a * p).sum(dim=1) + margin).relu().mean()  # D^2 = 2 - 2 cos
    torch.testing.assert_close(triplet(a, p, n, margin, squared=True), squared)


@pytest.mark.parametrize(("squared", "far"), [(False, math.sqrt(2)), (True, 2.0)])
def test_triplet_in_closed_form(squared, far):
    e = torch.eye(3)
    a, n = e[[0]], e[[1]]
    assert triplet(a, a, n, 0.3, squared).item() == 0
    assert triplet(a, n, a, 0.3, squared).item() == pytest.approx(far + 0.3, rel=1e-5)
    assert triplet(a, n, n, 0.3, squared).item() == pytest.approx(0.3)


@pytest.mark.parametrize("squared", [False, True])
def test_triplet_of_equal_vectors_has_a_gradient_that_is_a_number(embeddings, squared):
    a, p = embeddings[0].clone().requires_grad_(), embeddings[0].clone().requires_grad_()
    triplet(a, p, embeddings[1], 3.0, squared).backward()
    assert a.grad.isfinite().all() and p.grad.isfinite().all()


# --- All of them


def test_all_losses_are_float32_under_autocast(embeddings, scores):
    z1, z2, queue = embeddings
    logits = (z1 @ z2.T).fill_diagonal_(1.0)

    def losses():
        return torch.stack(
            [
                nt_xent(z1, z2, 0.1),
                negative_cosine(z1, z2),
                byol(z1, z2),
                swapped_prediction(scores[0]),
                triplet(z1, z2, queue[:5], 0.2),
                mil_nce(logits, logits > 0),
            ]
        )

    plain = losses()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = losses()
    assert found.dtype == torch.float32
    assert torch.equal(found, plain)
