import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models import resnet18

from workbench.models.frame_head import FrameHead
from workbench.models.frame_net import FrameNet
from workbench.models.parts import WeightsError


def count(net):
    return sum(p.numel() for p in net.parameters())


def tiny(**settings):
    torch.manual_seed(0)
    return FrameNet(trunk="tiny2d", dim=16, **settings).build().eval()


def test_the_head_of_the_paper():
    """512 maps of 7 x 7 over 64 frames to 64 embeddings, 7,145,088 parameters."""
    head = FrameHead(512, 128)
    assert count(head) == 7_145_088
    with torch.device("meta"):
        z = FrameHead(512, 128)(torch.empty(2, 512, 64, 7, 7))
    assert z.shape == (2, 64, 128)
    assert isinstance(head.conv, nn.Conv3d) and head.conv.bias is not None


@pytest.mark.parametrize(
    ("settings", "parameters"),
    [
        ({"dim": 64}, 7_145_088 - 64 * 513),
        ({"dim": 256}, 7_145_088 + 128 * 513),
        ({"over_time": False}, 512 * 512 * 9 + 512 + 1024 + 512 * 128 + 128),
        ({"pool": "mean"}, 7_145_088),
        ({"normalise": False}, 7_145_088),
    ],
)
def test_the_heads_of_the_ablations(settings, parameters):
    with torch.device("meta"):
        net = FrameNet(trunk="resnet18", **settings).build()
    assert count(net.head) == parameters
    assert net.dim == settings.get("dim", 128) == net.head.linear.out_features
    assert (net.time_stride, net.per_frame, FrameNet.per_frame) == (1, True, True)


@pytest.mark.parametrize("maximum", [True, False])
def test_the_head_step_by_step(maximum):
    torch.manual_seed(0)
    head, maps = FrameHead(6, 4, maximum=maximum).eval(), torch.randn(2, 6, 5, 3, 3)
    x = F.leaky_relu(head.norm(head.conv(maps)))
    pool = nn.AdaptiveMaxPool2d(1) if maximum else nn.AdaptiveAvgPool2d(1)
    pooled = torch.stack([pool(x[:, :, t]).flatten(1) for t in range(5)], dim=1)
    torch.testing.assert_close(head(maps), F.normalize(head.linear(pooled), dim=2))


def test_unit_length_is_a_setting():
    clips = torch.randn(2, 3, 4, 24, 24)
    with torch.no_grad():
        unit, raw = (tiny(normalise=n)(clips) for n in (True, False))
    torch.testing.assert_close(unit.norm(dim=2), torch.ones(2, 4))
    torch.testing.assert_close(F.normalize(raw, dim=2), unit)
    assert not torch.allclose(raw, unit)


@pytest.mark.parametrize(("over_time", "touched"), [(True, [2, 3, 4]), (False, [3])])
def test_a_frame_sees_its_neighbours_or_itself(over_time, touched):
    net, clips = tiny(over_time=over_time), torch.randn(1, 3, 7, 24, 24)
    changed = clips.clone()
    changed[:, :, 3] += 1
    with torch.no_grad():
        a, b = net(clips)[0], net(changed)[0]
    assert [t for t in range(7) if not torch.allclose(a[t], b[t], atol=1e-5)] == touched


def test_a_small_network_for_small_pictures():
    net = FrameNet(trunk="tiny2d").build()
    assert 100_000 < count(net) < 200_000
    assert net.maps(torch.randn(2, 3, 4, 48, 48)).shape == (2, 4, 64, 6, 6)
    assert net.pooled(torch.randn(2, 3, 4, 48, 48)).shape == (2, 4, 64)


def test_weights_of_torchvision_are_those_of_the_trunk(tmp_path):
    torch.manual_seed(3)
    theirs = resnet18().eval()
    torch.save(theirs.state_dict(), tmp_path / "r18.pth")
    net = FrameNet(trunk="resnet18", weights=str(tmp_path / "r18.pth")).build().eval()
    theirs.fc = nn.Identity()
    frames = torch.randn(3, 3, 48, 48)
    with torch.no_grad():
        torch.testing.assert_close(
            net.pooled(frames.transpose(0, 1)[None])[0], theirs(frames), rtol=1e-4, atol=1e-4
        )


def test_the_small_trunk_has_no_pretrained_weights():
    with pytest.raises(WeightsError, match="no weights for Tiny2D"):
        FrameNet(trunk="tiny2d", weights="default").build()
