import pytest
import torch

from workbench.models import ENCODERS
from workbench.models.resnet_gru import ResNet18GRU


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    return ResNet18GRU(hidden=24).build().eval()


@pytest.fixture(scope="module")
def clips():
    return torch.randn(2, 3, 7, 16, 16, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("frame", [1, 4])
def test_the_future_does_not_change_the_past(net, clips, frame):
    changed = clips.clone()
    changed[:, :, frame:] += 1
    with torch.no_grad():
        a, b = net(clips), net(changed)
    assert torch.equal(a[:, :frame], b[:, :frame])
    assert not torch.isclose(a[:, frame:], b[:, frame:]).all(dim=2).any()


def test_the_past_changes_the_future(net, clips):
    changed = clips.clone()
    changed[:, :, 0] += 1
    with torch.no_grad():
        assert not torch.equal(net(clips)[:, -1], net(changed)[:, -1])


@pytest.mark.parametrize("pieces", [[1] * 7, [3, 4], [6, 1]])
def test_a_stream_gives_the_features_of_the_whole_clip(net, clips, pieces):
    state, found = None, []
    with torch.no_grad():
        for piece in clips.split(pieces, dim=2):
            z, state = net.stream(piece, state)
            found.append(z)
        whole = net(clips)
    assert state.shape == (1, 2, 24)
    torch.testing.assert_close(torch.cat(found, dim=1), whole, rtol=1e-4, atol=1e-5)


def test_each_stream_has_its_own_state(net, clips):
    with torch.no_grad():
        _, first = net.stream(clips[:1, :, :4])
        _, other = net.stream(clips[1:, :, :4])
        a, _ = net.stream(clips[:1, :, 4:], first)
        b, _ = net.stream(clips[:1, :, 4:], other)
    assert not torch.allclose(a, b)


def test_what_is_pretrained_is_the_frames_network(net):
    assert isinstance(net.pretrained, type(ENCODERS["resnet18"]().build()))
    frozen = {id(p) for p in net.pretrained.parameters()}
    free = [k for k, p in net.named_parameters() if id(p) not in frozen]
    assert free and all(k.startswith("gru.") for k in free)
    assert not any(k.startswith("pretrained") for k in net.state_dict())


def test_the_gru_stays_in_float32_under_autocast(net, clips):
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        z, state = net.stream(clips[:, :, :1])
    assert z.dtype == state.dtype == torch.float32
