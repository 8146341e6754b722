import torch

from workbench.models.whitening import Whitening


def correlated(rows):
    """Rows whose four channels are 30 : 3 : 1 : 0.3 strong, mixed and off centre."""
    strong = torch.randn(rows, 4) * torch.tensor([30.0, 3.0, 1.0, 0.3])
    mix = torch.linalg.qr(torch.randn(4, 4)).Q
    return strong @ mix + 5


def watched(x, **settings):
    layer = Whitening(4, **settings).train()
    for _ in range(100):
        layer(x)
    return layer.eval()


def test_untrained_it_only_shrinks():
    x = torch.randn(5, 4)
    torch.testing.assert_close(Whitening(4).eval()(x), x / 1.01**0.5)


def test_rows_become_centred_and_decorrelated():
    torch.manual_seed(0)
    x = correlated(500)
    y = watched(x, shrink=0.0)(x)
    torch.testing.assert_close(y.mean(0), torch.zeros(4), atol=1e-2, rtol=0)
    torch.testing.assert_close(torch.cov(y.T, correction=0), torch.eye(4), atol=1e-2, rtol=0)


def test_shrinking_keeps_faint_directions_faint():
    torch.manual_seed(0)
    x = correlated(500)
    variances = torch.linalg.eigvalsh(torch.cov(watched(x, shrink=0.01)(x).T))
    torch.testing.assert_close(variances[-1], torch.tensor(1.0), atol=0.05, rtol=0)
    assert variances[0] < 0.1


def test_gradients_pass_and_moments_are_saved():
    torch.manual_seed(0)
    x = correlated(50).requires_grad_()
    layer = watched(x.detach())
    layer(x).square().sum().backward()
    assert x.grad.abs().sum() > 0
    copy = Whitening(4).eval()
    copy.load_state_dict(layer.state_dict())
    assert torch.equal(copy(x), layer(x))


def test_what_is_no_number_stays_none_and_raises_nothing():
    layer = Whitening(4).train()
    assert layer(torch.full((3, 4), torch.nan)).isnan().all()
