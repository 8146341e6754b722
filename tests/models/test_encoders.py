import math

import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torch import nn

from workbench.models import ENCODERS, EncoderConfig
from workbench.models.heads import projection_head

# Without the classifier.
PARAMETERS = {
    "tiny3d": 737_264,
    "resnet18": 11_176_512,
    "resnet50": 23_508_032,
    "resnet18_gru": 11_176_512 + 3 * 512 * (512 + 512 + 2),
    "x3d_xs": 2_006_130,
    "slow_r50": 31_672_128,
    "c3d": 27_661_440,
    "r3d_18": 33_166_272,
    "r2plus1d_18": 31_300_125,
    "mc3_18": 11_490_240,
    "s3d": 7_910_048,
    "r3d_10": 14_361_792,
    "r2plus1d_10": 14_365_303,
    "frame_net": 21_284_672 + 7_145_088,
}
SMALLEST = {"s3d": 32, "c3d": 16}


@pytest.fixture(scope="module", params=list(ENCODERS))
def encoder(request):
    torch.manual_seed(0)
    return request.param, ENCODERS[request.param]().build()


def clips_for(name, batch=2, frames=8):
    size = SMALLEST.get(name, 16)
    return torch.randn(batch, 3, frames, size, size)


def count(net):
    return sum(p.numel() for p in net.parameters())


def test_every_encoder_has_its_number_of_parameters(encoder):
    name, net = encoder
    assert count(net) == PARAMETERS[name]


@pytest.mark.parametrize("frames", [1, 5, 9])
def test_shape_law(encoder, frames):
    name, net = encoder
    with torch.no_grad():
        z = net.eval()(clips_for(name, 1, frames))
    assert z.shape == (1, math.ceil(frames / net.time_stride), net.dim)


def test_pictures_need_not_be_square(encoder):
    name, net = encoder
    size = SMALLEST.get(name, 12)
    with torch.no_grad():
        assert net.eval()(torch.randn(1, 3, 2, size + 9, size)).shape[2] == net.dim


def test_gradients_reach_every_weight(encoder):
    name, net = encoder
    z = net.train()(clips_for(name, 2, 2))
    assert z.isfinite().all() and z.abs().max() < 1e3
    (z * torch.randn_like(z)).sum().backward()  # squares of unit vectors would have no slope
    assert [k for k, p in net.named_parameters() if p.grad is None] == []
    assert next(net.parameters()).grad.abs().sum() > 0
    assert all(p.grad.isfinite().all() for p in net.parameters())
    net.zero_grad(set_to_none=True)


def test_eval_is_deterministic_and_sees_each_clip_alone(encoder):
    name, net = encoder
    net.eval()
    clips = clips_for(name, 2, 3)
    with torch.no_grad():
        whole, again, alone = net(clips), net(clips), net(clips[1:])
    assert torch.equal(whole, again)
    torch.testing.assert_close(whole[1:], alone, rtol=1e-3, atol=1e-4)


def test_same_seed_same_weights():
    for name in ("tiny3d", "x3d_xs", "resnet18_gru"):
        states = []
        for _ in range(2):
            torch.manual_seed(5)
            states.append(ENCODERS[name]().build().state_dict())
        assert all(torch.equal(states[0][k], v) for k, v in states[1].items())


def test_time_order_is_kept():
    """A change in the last frame does not touch features before its receptive field."""
    net = ENCODERS["resnet18"]().build().eval()
    clips = torch.randn(1, 3, 4, 32, 32)
    changed = clips.clone()
    changed[:, :, 3] += 1
    with torch.no_grad():
        a, b = net(clips), net(changed)
    assert torch.equal(a[:, :3], b[:, :3])
    assert not torch.equal(a[:, 3], b[:, 3])


def test_slics_stem_sees_seven_frames_and_its_head_makes_34_million():
    with torch.device("meta"):
        net = ENCODERS["r3d_18"](stem_frames=7).build()
        assert count(net) == 33_203_904
        assert net(torch.randn(1, 3, 16, 128, 128)).shape == (1, 2, 512)
        assert net.net.stem(torch.randn(1, 3, 4, 32, 32)).shape == (1, 64, 4, 16, 16)  # no pooling


def test_sizes_of_the_papers():
    """Clips of 16 frames as IIC, ViCC and CoCLR have them."""
    shapes = {"r3d_10": (112, 512, 2), "r2plus1d_10": (128, 512, 2), "slow_r50": (128, 2048, 8)}
    for name, (size, dim, steps) in shapes.items():
        with torch.device("meta"):
            assert ENCODERS[name]().build()(torch.randn(1, 3, 16, size, size)).shape == (
                1,
                steps,
                dim,
            )


def test_tiny3d_scales_with_its_width():
    assert ENCODERS["tiny3d"](width=4).build().dim == 32


def test_encoder_settings_are_told_apart_by_name():
    adapter = TypeAdapter(EncoderConfig)
    for name, config in ENCODERS.items():
        assert adapter.validate_python({"name": name}) == config()
    with pytest.raises(ValidationError):
        adapter.validate_python({"name": "s4d"})


@pytest.mark.parametrize(("name", "least"), [("s3d", 32), ("c3d", 16)])
def test_pictures_that_are_too_small_are_refused_with_the_setting(name, least):
    with torch.device("meta"):
        net = ENCODERS[name]().build()
    with pytest.raises(ValueError, match=rf"data\.clip\.size to at least {least}"):
        net(torch.randn(1, 3, 8, least - 1, least))


def test_heads():
    assert isinstance(projection_head(8, 0, 4), nn.Linear)
    layers = projection_head(8, 16, 4)
    assert [type(m) for m in layers] == [nn.Linear, nn.ReLU, nn.Linear]
    assert layers(torch.randn(3, 8)).shape == (3, 4)
