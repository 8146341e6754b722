import numpy as np
import pytest

from workbench.data.augment import evaluate_view
from workbench.data.crops import CROPS, ten_crops


@pytest.fixture
def clip():
    """Every pixel its own: red tells the row, green the column."""
    frames = np.zeros((2, 30, 40, 3), np.uint8)
    frames[..., 0], frames[..., 1] = 5 * np.arange(30)[:, None], 5 * np.arange(40)
    return frames


def seen(view):
    """Mean row and column that a (1, 3, T, S, S) view shows, and whether it is mirrored."""
    mean, spread = np.array([0.485, 0.456]), np.array([0.229, 0.224])
    red, green = (
        view[0, :2].numpy() * spread[:, None, None, None] + mean[:, None, None, None]
    ) * 51
    return red.mean(), green.mean(), green[0, 0, 0] > green[0, 0, -1]


def test_ten_crops_are_the_middle_and_the_corners_and_mirrored(clip):
    views = list(ten_crops([clip], 20, share=2 / 3))  # 20 x 20 pixels of 30 x 40
    assert len(views) == CROPS and views[0].shape == (1, 3, 2, 20, 20)
    rows, columns, mirrored = zip(*map(seen, views), strict=True)
    top, bottom, left, right = 9.5, 19.5, 9.5, 29.5
    assert rows[::2] == pytest.approx([14.5, top, top, bottom, bottom], abs=0.05)
    assert columns[::2] == pytest.approx([19.5, left, right, left, right], abs=0.05)
    assert rows[1::2] == pytest.approx(rows[::2]) and columns[1::2] == pytest.approx(columns[::2])
    assert mirrored == (False, True) * 5
    assert views[1].flip(-1) == pytest.approx(views[0], abs=1e-4)


def test_a_crop_of_the_whole_is_the_middle_square(clip):
    square = clip[:, :, 5:35]
    for view in list(ten_crops([square], 24, share=1.0))[::2]:
        assert view == pytest.approx(evaluate_view([square], 24), abs=1e-5)


def test_clips_of_unequal_size_go_together(clip):
    small = clip[:, :15, :20]
    together = list(ten_crops([clip, small], 12))
    alone = list(ten_crops([small], 12))
    for both, one in zip(together, alone, strict=True):
        assert both[1:] == pytest.approx(one, abs=1e-4)


def test_mirrored_flow_runs_the_other_way(clip):
    flow = np.full((2, 20, 20, 3), 128, np.uint8)
    flow[..., 0] = 160
    plain, mirrored = list(ten_crops([flow], 16, stream="flow"))[:2]
    assert mirrored[:, 0] == pytest.approx(-plain[:, 0], abs=1e-4) and plain[:, 0].min() > 0


def test_colours_change_only_where_that_is_asked_for(clip):
    clips = [clip[:, :20, :20]] * 12
    still = next(ten_crops(clips, 16))
    changed = next(ten_crops(clips, 16, jitter_seeds=np.arange(12)))
    again = next(ten_crops(clips, 16, jitter_seeds=np.arange(12)))
    other = [not np.allclose(a, b) for a, b in zip(still, changed, strict=True)]
    assert 1 <= sum(other) <= 8 and (changed == again).all()
    assert all((a == still[0]).all() for a in still)
