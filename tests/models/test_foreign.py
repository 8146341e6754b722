import pytest
import torch
from torch import nn

from workbench.models.foreign import WeightsError, fill, match
from workbench.models.slow import SlowR50
from workbench.models.x3d import X3DXS


def small():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)),
        nn.Sequential(nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 6, 3)),
    )


def named(prefix, state):
    return {prefix + k: v for k, v in state.items()}


@pytest.mark.parametrize(
    "prefix", ["", "module.", "encoder_q.0.", "module.encoder.net.", "backbone.", "online.net.x."]
)
def test_any_prefix_is_seen_through(prefix):
    net, state = small(), {k: v + 1 for k, v in small().state_dict().items()}
    found = fill(net, named(prefix, state), "a file")
    assert found.share == 1
    assert found.left == found.unused == found.misfits == found.by_shape == ()
    assert all(torch.equal(v, state[k]) for k, v in net.state_dict().items())


def test_of_two_copies_the_first_is_taken():
    net, state = small(), small().state_dict()
    both = named("q.", state) | named("k.", {k: v + 1 for k, v in state.items()})
    found = fill(net, both, "a file")
    assert all(name.startswith("q.") for name in found.taken.values())
    assert len(found.unused) == len(state)


def test_a_tensor_of_another_shape_is_told_with_both_shapes():
    state = small().state_dict() | {"0.0.weight": torch.zeros(4, 3, 5, 5)}
    found = match(small(), named("m.", state))
    assert found.misfits == (("0.0.weight", (4, 3, 3, 3), "m.0.0.weight", (4, 3, 5, 5)),)
    assert found.left == ("0.0.weight",)
    assert "does not fit: 0.0.weight (4, 3, 3, 3)" in found.report()
    assert "m.0.0.weight (4, 3, 5, 5)" in found.report()


def test_a_missing_tensor_is_told_and_keeps_its_value():
    net = small()
    state = {k: v + 1 for k, v in net.state_dict().items() if k != "1.2.bias"}
    before = net.state_dict()["1.2.bias"].clone()
    found = fill(net, state, "a file")
    assert found.left == ("1.2.bias",)
    assert torch.equal(net.state_dict()["1.2.bias"], before)


def test_what_no_prefix_explains_is_found_by_its_ending():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.trunk = small()
            self.tail = nn.ModuleDict({"spread": nn.BatchNorm1d(6)})

    net = Net()
    state = named("encoder.", small().state_dict())
    state |= named(
        "heads.last.spread.", {k: v + 2 for k, v in nn.BatchNorm1d(6).state_dict().items()}
    )
    found = fill(net, state, "a file")
    assert found.share == 1
    assert found.taken["tail.spread.weight"] == "heads.last.spread.weight"
    assert torch.equal(net.tail["spread"].bias, torch.full((6,), 2.0))


def test_other_names_are_matched_by_order_and_shape_and_said_to_be():
    net, state = small(), {k: v + 1 for k, v in small().state_dict().items()}
    renamed = {f"part{i}.{k.split('.')[-1]}": v for i, (k, v) in enumerate(state.items())}
    found = fill(net, renamed, "a file")
    assert found.share == 1
    assert set(found.by_shape) == set(found.taken)
    assert "by order and shape alone" in found.report()
    assert all(torch.equal(v, state[k]) for k, v in net.state_dict().items())


def test_names_of_batch_norms_alone_do_not_decide_which_is_which():
    """A scheme of other names whose parts share endings with ours, as all batch norms do."""
    net, state = small(), {k: v + 1 for k, v in small().state_dict().items()}
    parts = {"0.0": "stem", "0.1": "stem_bn", "1.0": "deep", "1.1": "deep_bn", "1.2": "last"}
    renamed = {f"{parts[k[:3]]}.{k[4:]}": v for k, v in state.items()}
    found = fill(net, renamed, "a file")
    assert found.share == 1
    assert all(torch.equal(v, state[k]) for k, v in net.state_dict().items())


def test_unequally_many_of_a_shape_are_not_guessed():
    found = match(small(), {"x.weight": torch.zeros(4, 4, 3, 3), "y.weight": torch.zeros(4)})
    assert set(found.taken) == {"1.0.weight"}


def test_too_little_changes_nothing_and_says_what_was_found():
    net = small()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    with pytest.raises(WeightsError, match=r"a file does not fit Sequential: 10% of its"):
        fill(net, {"1.0.weight": torch.zeros(4, 4, 3, 3), "fc.weight": torch.zeros(9)}, "a file")
    with pytest.raises(WeightsError, match=": 0% of its"):
        fill(net, {}, "a file")
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())


def norm(name, channels):
    kinds = ("weight", "bias", "running_mean", "running_var")
    return {f"{name}.{kind}": (channels,) for kind in kinds}


def pytorchvideo_x3d_xs():
    """Names and shapes of X3D_XS.pyth, without the counters of batch norm."""
    shapes = {
        "blocks.0.conv.conv_t.weight": (24, 3, 1, 3, 3),
        "blocks.0.conv.conv_xy.weight": (24, 1, 5, 1, 1),
        **norm("blocks.0.norm", 24),
    }
    before = 24
    plan = [(24, 54, 3, 8), (48, 108, 5, 8), (96, 216, 11, 16), (192, 432, 7, 32)]
    for s, (width, inner, depth, squeezed) in enumerate(plan, start=1):
        for b in range(depth):
            block = f"blocks.{s}.res_blocks.{b}"
            inputs = width if b else before
            if b == 0:
                shapes[f"{block}.branch1_conv.weight"] = (width, inputs, 1, 1, 1)
                if inputs != width:
                    shapes |= norm(f"{block}.branch1_norm", width)
            branch = f"{block}.branch2"
            shapes[f"{branch}.conv_a.weight"] = (inner, inputs, 1, 1, 1)
            shapes |= norm(f"{branch}.norm_a", inner)
            shapes[f"{branch}.conv_b.weight"] = (inner, 1, 3, 3, 3)
            shapes |= norm(f"{branch}.norm_b.0", inner)
            if b % 2 == 0:
                se = f"{branch}.norm_b.1.block"
                shapes[f"{se}.0.weight"] = (squeezed, inner, 1, 1, 1)
                shapes[f"{se}.0.bias"] = (squeezed,)
                shapes[f"{se}.2.weight"] = (inner, squeezed, 1, 1, 1)
                shapes[f"{se}.2.bias"] = (inner,)
            shapes[f"{branch}.conv_c.weight"] = (width, inner, 1, 1, 1)
            shapes |= norm(f"{branch}.norm_c", width)
        before = width
    shapes["blocks.5.pool.pre_conv.weight"] = (432, 192, 1, 1, 1)
    shapes |= norm("blocks.5.pool.pre_norm", 432)
    shapes["blocks.5.pool.post_conv.weight"] = (2048, 432, 1, 1, 1)
    return shapes | {"blocks.5.proj.weight": (400, 2048), "blocks.5.proj.bias": (400,)}


def pytorchvideo_slow_r50():
    """Names and shapes of SLOW_8x8_R50.pyth, without the counters of batch norm."""
    shapes = {"blocks.0.conv.weight": (64, 3, 1, 7, 7), **norm("blocks.0.norm", 64)}
    before = 64
    for s, (inner, depth, t) in enumerate([(64, 3, 1), (128, 4, 1), (256, 6, 3), (512, 3, 3)], 1):
        for b in range(depth):
            block = f"blocks.{s}.res_blocks.{b}"
            if b == 0:
                shapes[f"{block}.branch1_conv.weight"] = (4 * inner, before, 1, 1, 1)
                shapes |= norm(f"{block}.branch1_norm", 4 * inner)
            inputs = 4 * inner if b else before
            shapes[f"{block}.branch2.conv_a.weight"] = (inner, inputs, t, 1, 1)
            shapes |= norm(f"{block}.branch2.norm_a", inner)
            shapes[f"{block}.branch2.conv_b.weight"] = (inner, inner, 1, 3, 3)
            shapes |= norm(f"{block}.branch2.norm_b", inner)
            shapes[f"{block}.branch2.conv_c.weight"] = (4 * inner, inner, 1, 1, 1)
            shapes |= norm(f"{block}.branch2.norm_c", 4 * inner)
        before = 4 * inner
    return shapes | {"blocks.5.proj.weight": (400, 2048), "blocks.5.proj.bias": (400,)}


def test_pytorchvideos_x3d_fills_every_tensor_of_ours(tmp_path):
    generator = torch.Generator().manual_seed(0)
    shapes = pytorchvideo_x3d_xs()
    state = {k: torch.rand(shape, generator=generator) for k, shape in shapes.items()}
    torch.save({"model_state": state, "epoch": 1}, tmp_path / "X3D_XS.pyth")
    net = X3DXS(head=True, weights=str(tmp_path / "X3D_XS.pyth")).build()
    found = match(net, state)
    assert found.share == 1
    assert found.left == found.misfits == found.by_shape == ()
    assert set(found.unused) == {"blocks.5.proj.weight", "blocks.5.proj.bias"}
    block = "blocks.3.res_blocks.4.branch2"
    for ours, theirs in {
        "stem.space.weight": "blocks.0.conv.conv_t.weight",
        "stem.time.weight": "blocks.0.conv.conv_xy.weight",
        "stage3.4.conv_b.weight": f"{block}.conv_b.weight",
        "stage3.4.norm_b.running_var": f"{block}.norm_b.0.running_var",
        "stage3.4.attend.squeeze.weight": f"{block}.norm_b.1.block.0.weight",
        "stage3.4.attend.excite.bias": f"{block}.norm_b.1.block.2.bias",
        "stage2.0.skip.norm.weight": "blocks.2.res_blocks.0.branch1_norm.weight",
        "head.widen.weight": "blocks.5.pool.post_conv.weight",
    }.items():
        assert found.taken[ours] == theirs
        assert torch.equal(net.state_dict()[ours], state[theirs])


def test_x3d_without_the_head_leaves_the_files_head():
    with torch.device("meta"):
        net = X3DXS().build()
        state = {f"module.{k}": torch.empty(s) for k, s in pytorchvideo_x3d_xs().items()}
        found = match(net, state)
    assert found.share == 1
    assert found.left == ()
    assert all(name.startswith("module.blocks.5.") for name in found.unused)


@pytest.mark.parametrize("frames", [1, 5])
def test_pytorchvideos_slow_r50_fits_but_for_a_longer_stem(frames):
    with torch.device("meta"):
        net = SlowR50(stem_frames=frames).build()
        found = match(net, {k: torch.empty(s) for k, s in pytorchvideo_slow_r50().items()})
    assert set(found.unused) == {"blocks.5.proj.weight", "blocks.5.proj.bias"}
    if frames == 1:
        assert found.share == 1 and found.left == ()
    else:
        assert found.left == ("stem.conv.weight",)
        assert found.misfits[0][1:] == ((64, 3, 5, 7, 7), "blocks.0.conv.weight", (64, 3, 1, 7, 7))
