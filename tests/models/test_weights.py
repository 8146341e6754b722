import logging
from urllib.error import URLError

import pytest
import torch
from torch import nn
from torchvision.models import ResNet50_Weights, resnet50

from workbench.models import ENCODERS
from workbench.models.parts import WeightsError, start_from


@pytest.fixture(scope="module")
def published():
    """torchvision's ResNet-18, as if it had been trained."""
    from torchvision.models import resnet18

    torch.manual_seed(1)
    return resnet18(weights=None).eval()


def load(path, state, name="resnet18", **settings):
    torch.save(state, path)
    return ENCODERS[name](weights=str(path), **settings).build().eval()


def same_features(loaded, published):
    frames = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        x = nn.Sequential(*list(published.children())[:-1])(frames).flatten(1)
        found = loaded(frames[:, :, None])[:, 0]
    torch.testing.assert_close(found, x, rtol=1e-4, atol=1e-5)


def test_torchvisions_names_load_exactly_and_silently(published, tmp_path, caplog):
    loaded = load(tmp_path / "r18.pth", published.state_dict())
    same_features(loaded, published)
    assert not caplog.records


def test_safetensors_load_like_pth(published, tmp_path):
    from safetensors.torch import save_file

    save_file(published.state_dict(), tmp_path / "r18.safetensors")
    loaded = ENCODERS["resnet18"](weights=str(tmp_path / "r18.safetensors")).build().eval()
    same_features(loaded, published)


@pytest.mark.parametrize("entry", ["state_dict", "model_state"])
def test_a_contrastive_checkpoint_gives_its_query_encoder_and_a_report(
    published, tmp_path, caplog, entry
):
    state = published.state_dict()
    wrapped = {f"module.encoder_q.0.{k}": v for k, v in state.items() if k[:2] != "fc"}
    wrapped |= {f"module.encoder_k.0.{k}": v + 1 for k, v in state.items() if k[:2] != "fc"}
    wrapped |= {"module.encoder_q.1.weight": torch.zeros(128, 512), "module.queue": torch.zeros(9)}
    with caplog.at_level(logging.WARNING, "workbench"):
        loaded = load(tmp_path / "moco.pth", {"epoch": 3, entry: wrapped})
    same_features(loaded, published)
    assert "moco.pth" in caplog.text
    assert "100% of the parameter tensors" in caplog.text
    assert "not used: module.encoder_k.0.conv1.weight" in caplog.text


def test_the_frames_network_of_the_gru_is_filled(published, tmp_path):
    loaded = load(tmp_path / "r18.pth", published.state_dict(), "resnet18_gru", hidden=8)
    same_features(loaded.pretrained, published)


def test_an_encoder_starts_from_the_part_it_shares(published, caplog):
    torch.manual_seed(0)
    frames, whole = (ENCODERS[n]().build() for n in ("resnet18", "resnet18_gru"))
    before = whole.gru.weight_hh_l0.detach().clone()
    with caplog.at_level(logging.WARNING, "workbench"):
        start_from(whole, frames.state_dict(), "init: the encoder of run 'a'")
    for key, value in frames.state_dict().items():
        assert torch.equal(whole.pretrained.state_dict()[key], value)
    assert torch.equal(whole.gru.weight_hh_l0, before)
    assert "init: the encoder of run 'a' into FrameGRU" in caplog.text
    assert "left as they were (random): gru.weight_ih_l0" in caplog.text


def test_the_same_network_starts_exactly_and_silently(caplog):
    a, b = (ENCODERS["tiny3d"](width=4).build() for _ in range(2))
    start_from(b, a.state_dict(), "a")
    assert all(torch.equal(v, b.state_dict()[k]) for k, v in a.state_dict().items())
    assert not caplog.records


def test_another_width_is_refused_with_both_shapes():
    a, b = (ENCODERS["tiny3d"](width=w).build() for w in (4, 8))
    with pytest.raises(WeightsError, match=r"run 'a' does not fit Tiny3DNet") as error:
        start_from(b, a.state_dict(), "init: the encoder of run 'a'")
    assert "(8, 3, 3, 5, 5)" in str(error.value)
    assert "(4, 3, 3, 5, 5)" in str(error.value)


@pytest.mark.parametrize(
    "name", ["resnet18", "resnet50", "r3d_18", "r2plus1d_18", "mc3_18", "s3d", "resnet18_gru"]
)
def test_weights_that_cannot_be_had_name_the_file_and_the_option(name, monkeypatch, tmp_path):
    def offline(*args, **kwargs):
        raise URLError("Temporary failure in name resolution")

    monkeypatch.setattr("torch.hub.urlopen", offline)
    monkeypatch.setattr("torch.hub._hub_dir", str(tmp_path))
    with torch.device("meta"), pytest.raises(WeightsError, match=r"\.pth") as error:
        ENCODERS[name](weights="default").build()
    assert str(tmp_path / "checkpoints") in str(error.value)
    assert "encoder.weights" in str(error.value)


@pytest.mark.parametrize("entry", ["IMAGENET1K_V1", "IMAGENET1K_V2"])
def test_an_entry_of_torchvision_is_taken_by_its_name(entry, monkeypatch, tmp_path):
    file = ResNet50_Weights[entry].url.rsplit("/", 1)[-1]
    state = resnet50(weights=None).state_dict()
    state["conv1.weight"].fill_(0.5)
    asked = []

    def cached(url, *args, **kwargs):
        asked.append(url.rsplit("/", 1)[-1])
        return state

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", cached)
    net = ENCODERS["resnet50"](weights=entry).build()
    assert asked == [file]
    assert (dict(net.named_parameters())["net.conv1.weight"] == 0.5).all()
    with (
        torch.device("meta"),
        pytest.raises(WeightsError, match=r"'IMAGENET1K_V1', .*_V2'"),
    ):
        ENCODERS["resnet50"](weights="IMAGENET1K_V3").build()


@pytest.mark.parametrize("name", ["x3d_xs", "slow_r50", "c3d"])
def test_networks_without_torchvision_weights_say_what_to_give(name):
    with torch.device("meta"), pytest.raises(WeightsError, match="torchvision has no weights"):
        ENCODERS[name](weights="default").build()


def test_weights_of_another_network_are_refused(tmp_path):
    with torch.device("meta"), pytest.raises(WeightsError, match="does not fit ResNet"):
        load(tmp_path / "a.pth", {"a": torch.zeros(2)})
    with torch.device("meta"), pytest.raises(WeightsError, match="no named tensors"):
        load(tmp_path / "e.pth", {"epoch": 3})
    for name in ("b.pth", "b.safetensors"):
        (tmp_path / name).write_bytes(b"no weights")
        with torch.device("meta"), pytest.raises(WeightsError, match="not a file of weights"):
            ENCODERS["resnet18"](weights=str(tmp_path / name)).build()
    with torch.device("meta"), pytest.raises(WeightsError, match="no file"):
        ENCODERS["resnet18"](weights=str(tmp_path / "c.pth")).build()
