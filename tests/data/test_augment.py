import numpy as np
import pytest
import torch
import torchvision.transforms.v2.functional as tv
from torchvision.transforms import InterpolationMode

from workbench.config import ConfigError
from workbench.data import colour, geometry
from workbench.data.augment import NORMAL, AugmentConfig, apply, evaluate_view
from workbench.data.draw import (
    Appearance,
    Geometry,
    descend,
    draw_appearance,
    draw_geometry,
    uniform,
)

NOTHING = {"flip": 0, "jitter": 0, "gray": 0, "blur": 0, "crop": (1, 1), "aspect": (1, 1)}
EVERYTHING = AugmentConfig(rotate=0.5, erase=0.5)
CPU = torch.device("cpu")


def pictures(count=1, frames=1, height=48, width=48, seed=0):
    """Smooth random pictures, as videos are: (B, T, H, W, 3) uint8, gray levels 26 ... 230."""
    rng = np.random.default_rng(seed)
    coarse = torch.from_numpy(rng.uniform(26, 230, (count * frames, 3, 6, 6))).float()
    fine = torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear")
    return fine.round().byte().permute(0, 2, 3, 1).reshape(count, frames, height, width, 3)


def where(box, angle=0.0, flip=False, erase=(0, 0, 0, 0)):
    return Geometry(
        np.array([box]), np.array([float(angle)]), np.array([flip]), np.array([erase], float)
    )


def look(brightness=1.0, contrast=1.0, saturation=1.0, hue=0.0, order=(0, 1, 2, 3), gray=False,
         sigma=0.0, solarise=False):  # fmt: skip
    return Appearance(
        np.array([[brightness, contrast, saturation, hue]]),
        np.array([order]),
        np.array([gray]),
        np.array([sigma]),
        np.array([solarise]),
    )


def levels(x, stream="rgb"):
    """Normalised (1, 3, 1, S, S) back to gray levels (3, S, S)."""
    mean, spread = (torch.tensor(v)[:, None, None] for v in NORMAL[stream])
    return (x[0, :, 0] * spread + mean) * 255


def ours(clip, geo, app=None, size=48):
    return levels(apply(clip, geo, app, size, CPU, "rgb"))


def theirs(clip):
    return clip[0].permute(0, 3, 1, 2).float() / 255  # (T, 3, H, W)


# --- each operation against torchvision's on the same parameters


@pytest.mark.parametrize("box", [(0, 0, 48, 48), (5, 9, 40, 30), (20, 3, 12, 17)])
@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("size", [24, 64])
def test_crop_resize_flip(box, flip, size):
    clip = pictures()
    expected = tv.resized_crop(theirs(clip), *box, [size, size], antialias=True)[0] * 255
    expected = tv.horizontal_flip(expected) if flip else expected
    found = ours(clip, where(box, flip=flip), size=size)
    torch.testing.assert_close(found, expected, rtol=0, atol=0.02)  # the same filter, in float32


@pytest.mark.parametrize("sigma", [0.1, 0.7, 2.0])
def test_blur(sigma):
    clip = pictures()
    expected = tv.gaussian_blur(theirs(clip), [13, 13], [sigma, sigma])[0] * 255
    found = ours(clip, where((0, 0, 48, 48)), look(sigma=sigma))
    torch.testing.assert_close(found, expected, rtol=0, atol=0.02)  # the same kernel, in float32


@pytest.mark.parametrize("angle", [-10, 4, 45, 90])
def test_rotation(angle):
    clip = pictures(height=49, width=49)
    expected = tv.rotate(theirs(clip), angle, InterpolationMode.BILINEAR)[0] * 255
    found = ours(clip, where((0, 0, 49, 49), angle=angle), size=49)
    y, x = np.mgrid[:49, :49] - 24
    inside = torch.from_numpy(y**2 + x**2 < 22**2)  # outside, torchvision shows black corners
    torch.testing.assert_close(found[:, inside], expected[:, inside], rtol=0, atol=0.1)


@pytest.mark.parametrize(
    ("setting", "change"),
    [
        ({"brightness": 0.6}, lambda x: tv.adjust_brightness(x, 0.6)),
        ({"brightness": 1.1}, lambda x: tv.adjust_brightness(x, 1.1)),
        ({"contrast": 0.6}, lambda x: tv.adjust_contrast(x, 0.6)),
        ({"contrast": 1.1}, lambda x: tv.adjust_contrast(x, 1.1)),
        ({"saturation": 0.6}, lambda x: tv.adjust_saturation(x, 0.6)),
        ({"saturation": 1.1}, lambda x: tv.adjust_saturation(x, 1.1)),
        ({"gray": True}, lambda x: tv.rgb_to_grayscale(x, 3)),
    ],
)
def test_colour(setting, change):
    clip = pictures()
    expected = change(theirs(clip))[0] * 255
    found = ours(clip, where((0, 0, 48, 48)), look(**setting))
    # torchvision's luma weights have four digits and add up to 0.9999: 0.03 levels
    torch.testing.assert_close(found, expected, rtol=0, atol=0.1)


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (2, 0, 1, 3)])
def test_colour_changes_come_in_the_order_drawn(order):
    clip = pictures()
    changes = [
        lambda x: tv.adjust_brightness(x, 0.7),
        lambda x: tv.adjust_contrast(x, 0.8),
        lambda x: tv.adjust_saturation(x, 0.6),
        lambda x: x,
    ]
    expected = theirs(clip)
    for step in order:
        expected = changes[step](expected)
    found = ours(clip, where((0, 0, 48, 48)), look(0.7, 0.8, 0.6, order=order))
    torch.testing.assert_close(found, expected[0] * 255, rtol=0, atol=0.1)


@pytest.mark.parametrize("turns", [-0.1, 0.05, 0.1])
def test_hue_is_close_to_torchvision_and_keeps_the_gray(turns):
    """torchvision turns HSV's hexagon, here it is YIQ's circle: near, not equal."""
    clip = pictures()
    expected = tv.adjust_hue(theirs(clip), turns)[0] * 255
    found = ours(clip, where((0, 0, 48, 48)), look(hue=turns))
    before = theirs(clip)[0] * 255
    # The colours turn as torchvision's to 30 %; torchvision's HSV also moves the gray.
    assert _chroma_angle(found, expected) < 0.3 * _chroma_angle(before, expected)
    luma = torch.tensor(colour.LUMA)
    gray = torch.einsum("c,chw->hw", luma, found - before)
    assert gray.abs().quantile(0.95) < 0.5  # but for pixels that left the range


def _chroma_angle(a, b):
    """Mean angle between the colours of two pictures in the YIQ plane, degrees."""
    iq = torch.tensor(colour.YIQ)[1:]
    za, zb = (torch.complex(*torch.einsum("kc,chw->khw", iq, x)) for x in (a, b))
    strong = za.abs() > 20
    return (za * zb.conj())[strong].angle().rad2deg().abs().mean()


def test_what_leaves_the_range_is_clipped_as_in_torchvision():
    clip = pictures()
    expected = tv.adjust_brightness(theirs(clip), 1.4)[0] * 255
    assert (expected == 255).any()
    found = ours(clip, where((0, 0, 48, 48)), look(brightness=1.4))
    torch.testing.assert_close(found, expected, rtol=0, atol=0.1)


@pytest.mark.parametrize("change", [{}, {"brightness": 1.4}, {"gray": True, "contrast": 0.5}])
def test_solarise_comes_last(change):
    clip = pictures()
    before = ours(clip, where((0, 0, 48, 48)), look(**change))
    expected = tv.solarize(before / 255, 0.5) * 255
    found = ours(clip, where((0, 0, 48, 48)), look(**change, solarise=True))
    clear = (before - 127.5).abs() > 0.01  # where rounding does not tell the brighter half
    assert clear.float().mean() > 0.99 and (before > 127.5).any()
    torch.testing.assert_close(found[clear], expected[clear], rtol=0, atol=0.02)


def test_solarise_inverts_differences_too_and_only_the_clips_drawn():
    clips = torch.zeros(400, 1, 16, 16, 3, dtype=torch.uint8)
    x = AugmentConfig(**NOTHING, solarise=0.3).build(16)(clips + 250, np.arange(400), "diff")
    found = x[:, 0, 0, 0, 0] * NORMAL["diff"][1][0] * 255
    inverted = (found - 5).abs() < 0.01
    assert ((found - 250).abs() < 0.01).logical_or(inverted).all()
    assert abs(inverted.float().mean() - 0.3) < 0.07
    assert not AugmentConfig(solarise=1).build(16)(clips, np.arange(400), "diff").any()


def test_erase_paints_the_mean_colour_over_the_box():
    x = apply(pictures(frames=2), where((0, 0, 48, 48), erase=(0.25, 0.5, 0.5, 0.25)), None, 48,
              CPU, "rgb")  # fmt: skip
    zero = (x == 0).all(dim=1)[0]
    assert zero[:, 12:36, 24:36].all()
    assert zero[0].sum() == 24 * 12


def test_normalisation():
    x = evaluate_view(torch.full((1, 1, 32, 32, 3), 100, dtype=torch.uint8), 16)
    expected = tv.normalize(torch.full((3, 1, 1), 100 / 255), *NORMAL["rgb"])
    torch.testing.assert_close(x[0, :, 0, :1, :1], expected)


# --- clips, batches, streams


def test_every_frame_is_treated_alike():
    still = pictures(count=6).expand(-1, 5, -1, -1, -1).contiguous()
    x = EVERYTHING.build(32)(still, np.arange(6))
    torch.testing.assert_close(x, x[:, :, :1].expand_as(x), rtol=0, atol=1e-4)


def test_a_seed_gives_the_same_clip_in_any_batch():
    clips, augment = list(pictures(count=7, frames=2).numpy()), EVERYTHING.build(32)
    seeds = np.array([3, -5, 2**62, 0, 11, 12, 13])
    together = augment(clips, seeds)
    turned = augment(clips[::-1], seeds[::-1]).flip(0)
    alone = torch.cat([augment([c], [s]) for c, s in zip(clips, seeds, strict=True)])
    torch.testing.assert_close(together, turned, rtol=0, atol=1e-4)
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-4)
    assert torch.equal(together, augment(clips, seeds))
    assert not torch.allclose(together, augment(clips, seeds + 1), atol=0.1)


def test_arrays_and_a_tensor_give_the_same():
    clips, seeds = pictures(count=8, frames=2), np.arange(8)
    for config in (AugmentConfig(), EVERYTHING):
        a = config.build(32)(clips, seeds)
        b = config.build(32)(list(clips.numpy()), seeds)
        torch.testing.assert_close(a, b, rtol=0, atol=1e-3)


def test_clips_of_unequal_size():
    sizes = [(40, 60), (64, 32), (50, 50)]
    clips = [pictures(1, 3, h, w, seed=h)[0].numpy() for h, w in sizes]
    augment = EVERYTHING.build(32)
    together = augment(clips, np.arange(3))
    assert together.shape == (3, 3, 3, 32, 32)
    for i in range(3):
        alone = augment(clips[i : i + 1], np.arange(i, i + 1))
        torch.testing.assert_close(together[i : i + 1], alone, rtol=0, atol=1e-4)


def test_rgb_and_flow_share_their_geometry():
    """A clip whose pixels say where they are comes out at the same places in both streams."""
    y, x = np.mgrid[:48, :48]
    place = np.stack([x * 4, y * 4, 0 * x], axis=2).astype(np.uint8)[None].repeat(2, 0)
    rest = AugmentConfig(jitter=0, gray=0, blur=0, flip=0)
    seeds = np.arange(8)
    rgb = rest.build(32)([place] * 8, seeds, "rgb")
    flow = rest.build(32)([place] * 8, seeds, "flow")
    spread = torch.tensor(NORMAL["rgb"][1])[:, None, None, None]
    shift = torch.tensor(NORMAL["flow"][0]) - torch.tensor(NORMAL["rgb"][0])
    torch.testing.assert_close(
        rgb - flow, (shift[:, None, None, None] / spread).expand_as(rgb), rtol=0, atol=1e-3
    )


def test_flow_turns_and_flips_with_the_picture():
    """A uniform flow to the right: mirrored it goes left, turned by 90 degrees it goes up."""
    right = torch.full((1, 1, 32, 32, 3), 128, dtype=torch.uint8)
    right[..., 0] = 228
    box = (0, 0, 32, 32)
    scale = 100 / 255 / torch.tensor(NORMAL["flow"][1])

    def vector(geo):
        return (apply(right, geo, None, 16, CPU, "flow")[0, :, 0, 8, 8] / scale).round(decimals=3)

    assert vector(where(box)).tolist() == [1, 0, 0]
    assert vector(where(box, flip=True)).tolist() == [-1, 0, 0]
    assert vector(where(box, angle=90)).tolist() == [0, -1, 0]  # v counts downwards


def test_flow_has_no_colour_changes():
    seeds = np.arange(20)
    flow = pictures(20)
    plain = AugmentConfig(jitter=0, gray=0, blur=0).build(24)(flow, seeds, "flow")
    assert torch.equal(AugmentConfig().build(24)(flow, seeds, "flow"), plain)


def test_difference_keeps_zero_at_zero():
    still = torch.zeros(4, 2, 32, 32, 3, dtype=torch.uint8)
    assert not AugmentConfig().build(16)(still, np.arange(4), "diff").any()


def test_evaluation_is_the_middle_square():
    clip = pictures(height=40, width=60)
    expected = tv.resized_crop(theirs(clip), 0, 10, 40, 40, [20, 20], antialias=True)[0] * 255
    found = evaluate_view(clip, 20)
    torch.testing.assert_close(levels(found), expected, rtol=0, atol=0.02)
    assert torch.equal(found, evaluate_view(list(clip.numpy()), 20))


def test_nothing_random_left_is_the_evaluation():
    clips = pictures(3)
    x = AugmentConfig(**NOTHING).build(32)(clips, np.arange(3))
    torch.testing.assert_close(x, evaluate_view(clips, 32), rtol=0, atol=1e-4)


# --- parameters


def test_uniform_numbers_are_uniform_and_independent():
    u = uniform(np.arange(20_000), 3, stream=1)
    assert u.min() >= 0
    assert u.max() < 1
    histogram = np.histogram(u[:, 0], 20, (0, 1))[0]
    assert ((histogram - 1000) ** 2 / 1000).sum() < 43.8  # chi squared, 19 degrees, p = 0.001
    neighbours = np.corrcoef(
        [u[:-1, 0], u[1:, 0], u[:-1, 1], uniform(np.arange(19_999), 1, 2)[:, 0]]
    )
    assert np.abs(neighbours - np.eye(4)).max() < 0.03


def test_parameters_follow_the_settings():
    seeds, sizes = np.arange(4000), np.tile([90, 120], (4000, 1))
    geo, app = draw_geometry(EVERYTHING, seeds, sizes), draw_appearance(EVERYTHING, seeds)
    top, left, height, width = geo.box.T
    assert (top >= 0).all() and (left >= 0).all()
    assert (top + height <= 90).all() and (left + width <= 120).all()
    area = height * width / (90 * 120)
    assert area.min() > 0.19 and area.max() < 1.01
    assert (width / height).min() > 0.73 and (width / height).max() < 1.37
    assert abs(geo.flip.mean() - 0.5) < 0.03
    assert abs((geo.angle != 0).mean() - 0.5) < 0.03
    assert np.abs(geo.angle).max() <= 10
    assert abs((app.sigma > 0).mean() - 0.5) < 0.03
    assert abs(app.gray.mean() - 0.2) < 0.03
    assert abs((app.factors[:, 0] != 1).mean() - 0.8) < 0.03
    assert np.abs(app.factors[:, :3] - 1).max() <= 0.4
    assert np.abs(app.factors[:, 3]).max() <= 0.1
    painted = geo.erase[:, 2] * geo.erase[:, 3]
    assert painted[painted > 0].min() > 0.019 and painted.max() < 0.34


def test_the_draws_of_a_seed_stay_what_they_were():
    """Recorded before solarisation was added: runs of then must resume with the same views."""
    app = draw_appearance(AugmentConfig(blur=1), np.array([7, 8]))
    assert app.factors[:, 0] == pytest.approx([1.368332692671, 1.0])
    assert app.sigma == pytest.approx([1.759042174765, 0.255956212281])
    more = draw_appearance(AugmentConfig(blur=1, solarise=0.5), np.array([7, 8]))
    for name in ("factors", "order", "gray", "sigma"):
        assert np.array_equal(getattr(app, name), getattr(more, name))


def test_a_crop_that_never_fits_is_the_largest_allowed_one():
    sizes = np.array([[20, 200]])
    box = draw_geometry(AugmentConfig(crop=(1, 1)), np.array([0]), sizes).box
    assert box.tolist() == [[0, 86, 20, 27]]  # as wide as 4 / 3 allows, in the middle


def test_a_blur_wider_than_the_picture():
    rows = geometry.blur_matrix(torch.tensor([2.0]), 4)
    torch.testing.assert_close(rows.sum(dim=2), torch.ones(1, 4))


def test_settings_refuse_a_reversed_range():
    with pytest.raises(ConfigError, match=r"crop goes from 0\.9 to 0\.2"):
        AugmentConfig.parse({"crop": (0.9, 0.2)})
    assert all(f.description for f in AugmentConfig.model_fields.values())


def test_small_crops_are_further_views_and_leave_the_full_one_alone():
    clips, seeds = pictures(4, frames=2), np.arange(4)
    plain, multi = AugmentConfig(), AugmentConfig(small=2, small_side=0.5)
    assert torch.equal(plain.build(32)(clips, seeds), multi.build(32)(clips, seeds))
    assert plain.build(32).small_crops(clips, seeds) == []
    small = multi.build(32).small_crops(clips, seeds)
    assert [x.shape for x in small] == [(4, 3, 2, 16, 16)] * 2
    assert not torch.equal(*small)
    alone = multi.build(32).small_crops(clips[2:3], seeds[2:3])  # whatever the batch
    assert all(torch.equal(a[0], b[2]) for a, b in zip(alone, small, strict=True))


def test_small_crops_see_their_share_of_the_picture():
    ramp = torch.linspace(0, 255, 64).round().byte()
    clips = ramp.expand(200, 1, 64, 64).unsqueeze(-1).expand(-1, -1, -1, -1, 3)  # left to right
    nothing = {k: v for k, v in NOTHING.items() if k != "crop"}
    config = AugmentConfig(**nothing, small=1, small_side=0.5, small_crop=(0.05, 0.14))
    (small,) = config.build(64).small_crops(clips, np.arange(200))
    spread = NORMAL["rgb"][1][0] * 255
    x = small[:, 0, 0].mean(dim=1) * spread  # (B, 32) gray levels
    share = ((x[:, -1] - x[:, 0]) / 255 * 32 / 31).square()
    assert share.min() > 0.04 and share.max() < 0.15
    assert share.max() - share.min() > 0.07
    assert x[:, 0].std() > 30  # from anywhere


def test_descending_seeds_are_a_function_of_seed_and_number():
    seeds = np.array([0, 1, -5, 2**62])
    children = np.stack([descend(seeds, n) for n in range(50)])
    assert children.dtype == np.int64
    assert len(np.unique(children)) == 200
    assert np.array_equal(descend(seeds[2:], 7), children[7, 2:])
