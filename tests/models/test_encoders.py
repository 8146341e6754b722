import math

import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torch import nn

from workbench.models import ENCODERS, EncoderConfig
from workbench.models.heads import projection_head
from workbench.models.parts import WeightsError

# Without the classifier.
PARAMETERS = {
    "tiny3d": 737_264,
    "resnet18": 11_176_512,
    "r3d_18": 33_166_272,
    "s3d": 7_910_048,
}


@pytest.fixture(scope="module", params=list(ENCODERS))
def encoder(request):
    torch.manual_seed(0)
    return request.param, ENCODERS[request.param]().build()


def test_every_encoder_has_its_number_of_parameters(encoder):
    name, net = encoder
    assert sum(p.numel() for p in net.parameters()) == PARAMETERS[name]


@pytest.mark.parametrize("frames", [1, 5, 8, 9])
def test_shape_law(encoder, frames):
    _, net = encoder
    with torch.no_grad():
        z = net.eval()(torch.randn(2, 3, frames, 32, 32))
    assert z.shape == (2, math.ceil(frames / net.time_stride), net.dim)


def test_pictures_need_not_be_square(encoder):
    _, net = encoder
    with torch.no_grad():
        assert net.eval()(torch.randn(1, 3, 4, 48, 32)).shape[2] == net.dim


def test_gradients_reach_the_stem(encoder):
    _, net = encoder
    net.train()(torch.randn(2, 3, 8, 32, 32)).square().sum().backward()
    stem = next(net.parameters())
    assert stem.grad is not None
    assert stem.grad.abs().sum() > 0
    net.zero_grad(set_to_none=True)


def test_eval_is_deterministic_and_sees_each_clip_alone(encoder):
    _, net = encoder
    net.eval()
    clips = torch.randn(3, 3, 8, 32, 32)
    with torch.no_grad():
        whole, again, alone = net(clips), net(clips), net(clips[1:2])
    assert torch.equal(whole, again)
    torch.testing.assert_close(whole[1:2], alone, rtol=1e-4, atol=1e-5)


def test_time_order_is_kept():
    """A change in the last frames does not touch features before their receptive field."""
    net = ENCODERS["resnet18"]().build().eval()
    clips = torch.randn(1, 3, 4, 32, 32)
    changed = clips.clone()
    changed[:, :, 3] += 1
    with torch.no_grad():
        a, b = net(clips), net(changed)
    assert torch.equal(a[:, :3], b[:, :3])
    assert not torch.equal(a[:, 3], b[:, 3])


def test_tiny3d_scales_with_its_width():
    assert ENCODERS["tiny3d"](width=4).build().dim == 32


def test_encoder_settings_are_told_apart_by_name():
    adapter = TypeAdapter(EncoderConfig)
    assert adapter.validate_python({"name": "s3d"}) == ENCODERS["s3d"]()
    with pytest.raises(ValidationError):
        adapter.validate_python({"name": "s4d"})


def test_weights_from_a_local_file_drop_the_classifier(tmp_path):
    from torchvision.models import resnet18

    torch.manual_seed(1)
    net = resnet18(weights=None)
    torch.save(net.state_dict(), tmp_path / "r18.pth")
    loaded = ENCODERS["resnet18"](weights=str(tmp_path / "r18.pth")).build()
    net.fc = nn.Identity()
    frames = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        expected = net.eval()(frames)
        found = loaded.eval()(frames[:, :, None])[:, 0]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["resnet18", "r3d_18", "s3d"])
def test_weights_that_cannot_be_had_name_the_file_and_the_option(name, monkeypatch, tmp_path):
    from urllib.error import URLError

    def offline(*args, **kwargs):
        raise URLError("Temporary failure in name resolution")

    monkeypatch.setattr("torch.hub.urlopen", offline)
    monkeypatch.setattr("torch.hub._hub_dir", str(tmp_path))
    with pytest.raises(WeightsError, match=r"\.pth") as error:
        ENCODERS[name](weights="default").build()
    assert str(tmp_path / "checkpoints") in str(error.value)
    assert "encoder.weights" in str(error.value)


def test_weights_of_another_network_are_refused(tmp_path):
    torch.save({"a": torch.zeros(2)}, tmp_path / "a.pth")
    with pytest.raises(WeightsError, match="does not fit ResNet"):
        ENCODERS["resnet18"](weights=str(tmp_path / "a.pth")).build()
    (tmp_path / "b.pth").write_bytes(b"no weights")
    with pytest.raises(WeightsError, match="not a file of weights"):
        ENCODERS["resnet18"](weights=str(tmp_path / "b.pth")).build()
    with pytest.raises(WeightsError, match="no file"):
        ENCODERS["resnet18"](weights=str(tmp_path / "c.pth")).build()


def test_s3d_says_when_pictures_are_too_small():
    with pytest.raises(ValueError, match="at least 32"):
        ENCODERS["s3d"]().build()(torch.randn(1, 3, 8, 16, 16))


def test_heads():
    assert isinstance(projection_head(8, 0, 4), nn.Linear)
    layers = projection_head(8, 16, 4)
    assert [type(m) for m in layers] == [nn.Linear, nn.ReLU, nn.Linear]
    assert layers(torch.randn(3, 8)).shape == (3, 4)
