import multiprocessing

import pytest
import torch
from torch import distributed

from workbench.methods.gather import gather, gather_with_gradient
from workbench.methods.losses import nt_xent, sinkhorn


def test_in_one_process_it_is_the_tensor_itself():
    x = torch.randn(3)
    assert gather(x) is x and gather_with_gradient(x) is x


def test_every_rank_gets_the_same_queue(tmp_path):
    """Two processes: the keys of both, in rank order, on both."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(2) as pool:
        jobs = [pool.apply_async(_rank, (r, str(tmp_path / "meet"))) for r in range(2)]
        first, second = (job.get(timeout=120) for job in jobs)
    keys = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]
    assert first["keys"] == second["keys"] == keys

    # Averaged over ranks as DDP does, each rank's gradient is that of one loss over all examples.
    z1, z2 = (z.requires_grad_() for z in _pairs())
    loss = nt_xent(z1, z2, 0.5)
    loss.backward()
    for rank, half in ((first, slice(0, 3)), (second, slice(3, 6))):
        assert rank["loss"] == pytest.approx(loss.item())
        torch.testing.assert_close(torch.tensor(rank["grad"]) / 2, z1.grad[half])

    codes = torch.tensor(first["codes"] + second["codes"])
    torch.testing.assert_close(codes, sinkhorn(_pairs()[0]))


def _pairs():
    g = torch.Generator().manual_seed(0)
    return torch.randn(6, 4, generator=g), torch.randn(6, 4, generator=g)


def _rank(rank, meet):
    distributed.init_process_group("gloo", init_method=f"file://{meet}", rank=rank, world_size=2)
    x = torch.tensor([[rank, 0.0], [rank, 1.0]])
    mine = slice(3 * rank, 3 * rank + 3)
    z1, z2 = (z[mine].clone().requires_grad_() for z in _pairs())
    loss = nt_xent(gather_with_gradient(z1), gather_with_gradient(z2), 0.5)
    loss.backward()
    out = {
        "keys": gather(x).tolist(),
        "loss": loss.item(),
        "grad": z1.grad.tolist(),
        "codes": sinkhorn(_pairs()[0][mine]).tolist(),
    }
    distributed.destroy_process_group()
    return out
