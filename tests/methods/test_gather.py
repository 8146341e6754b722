import multiprocessing

import torch
from torch import distributed

from workbench.methods.gather import gather


def test_in_one_process_it_is_the_tensor_itself():
    x = torch.randn(3)
    assert gather(x) is x


def test_every_rank_gets_the_same_queue(tmp_path):
    """Two processes: the keys of both, in rank order, on both."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(2) as pool:
        jobs = [pool.apply_async(_rank, (r, str(tmp_path / "meet"))) for r in range(2)]
        first, second = (job.get(timeout=120) for job in jobs)
    assert first == second == [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]


def _rank(rank, meet):
    distributed.init_process_group("gloo", init_method=f"file://{meet}", rank=rank, world_size=2)
    x = torch.tensor([[rank, 0.0], [rank, 1.0]])
    out = gather(x).tolist()
    distributed.destroy_process_group()
    return out
