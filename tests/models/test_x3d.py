import pytest
import torch
from torch import nn

from workbench.models.slow import SlowR50
from workbench.models.x3d import X3DXS


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    return X3DXS(head=True).build().eval()


def count(net):
    return sum(p.numel() for p in net.parameters())


def test_parameters_with_and_without_the_head(net):
    assert count(net) - count(net.head) == 2_006_130
    assert count(net) + count(nn.Linear(2048, 400)) == 3_794_274


@pytest.mark.parametrize(
    ("size", "sides"), [(160, (80, 40, 20, 10, 5)), (182, (91, 46, 23, 12, 6))]
)
def test_shapes_of_the_published_network(net, size, sides):
    x = torch.zeros(1, 3, 4, size, size)
    with torch.no_grad():
        for part, width, side in zip(
            (net.stem, net.stage1, net.stage2, net.stage3, net.stage4),
            (24, 24, 48, 96, 192),
            sides,
            strict=True,
        ):
            x = part(x)
            assert x.shape == (1, width, 4, side, side)


def test_every_second_block_attends_starting_with_the_first(net):
    stages = (net.stage1, net.stage2, net.stage3, net.stage4)
    assert [len(stage) for stage in stages] == [3, 5, 11, 7]
    for stage, squeezed in zip(stages, (8, 8, 16, 32), strict=True):
        found = [hasattr(block.attend, "squeeze") for block in stage]
        assert found == [k % 2 == 0 for k in range(len(stage))]
        assert stage[0].attend.squeeze.out_channels == squeezed


def test_it_stays_in_float32_under_autocast(net):
    clips = torch.randn(1, 3, 2, 16, 16)
    with torch.no_grad():
        plain = net(clips)
        with torch.autocast("cpu", torch.bfloat16):
            cast = net(clips)
    assert cast.dtype == torch.float32
    assert torch.equal(plain, cast)


def test_the_wide_head_gives_a_feature_per_frame(net):
    with torch.no_grad():
        assert net(torch.randn(1, 3, 3, 20, 16)).shape == (1, 3, 2048)


def test_slow_pathway_with_a_stem_of_one_frame_keeps_the_rate():
    with torch.device("meta"):
        net = SlowR50(stem_frames=1).build().eval()
        # 32,454,096 with a classifier of 400: pytorchvideo's slow_r50
        assert count(net) + count(nn.Linear(2048, 400)) == 32_454_096
        assert net.time_stride == 1
        assert net(torch.empty(1, 3, 5, 32, 32)).shape == (1, 5, 2048)


def test_slow_pathway_sees_time_only_in_its_last_stages():
    with torch.device("meta"):
        net = SlowR50().build()
    kernels = [s[0].conv_a.kernel_size[0] for s in (net.stage1, net.stage2, net.stage3, net.stage4)]
    assert kernels == [1, 1, 3, 3]
    assert net.stem.conv.kernel_size == (5, 7, 7)
    assert net.stem.conv.stride == (2, 2, 2)
