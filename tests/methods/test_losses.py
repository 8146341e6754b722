import math

import pytest
import torch
import torch.nn.functional as F

from workbench.methods.losses import info_nce, info_nce_logits


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
