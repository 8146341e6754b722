from collections import Counter

import numpy as np
import pytest
from scipy.stats import chisquare

from workbench.clock import Clock
from workbench.config import ConfigError
from workbench.data.video import ClipShape, Video, VideoSource
from workbench.sampling import SAMPLERS, OtherCamera, SameVideo
from workbench.sampling.same_video import distance

SHAPE = ClipShape(length=4, stride=2, size=16)  # covers 7 frames


def source(*videos, shape=SHAPE):
    """Videos given as (recording, camera, frames, offset); pixels are never asked for."""
    made = [Video(f"{r}{c}.mp4", r, c, None, n, 30.0, o) for r, c, n, o in videos]
    return VideoSource(made, shape, lambda i: np.empty(0))


FOUR = source(("a", "1", 20, 0), ("a", "2", 25, 3), ("a", "3", 20, -2), ("b", "1", 9, 0))


def test_same_video_stays_in_the_video_and_reaches_every_start():
    rng = np.random.default_rng(0)
    examples = [SameVideo().sample(FOUR, 0, rng) for _ in range(300)]
    assert {v.video for e in examples for v in e.views} == {0}
    assert {v.start for e in examples for v in e.views} == set(range(14))  # 20 - 7 + 1
    starts = np.array([[v.start for v in e.views] for e in examples])
    assert abs(np.corrcoef(starts.T)[0, 1]) < 0.2  # drawn independently


def test_same_video_gives_n_clips():
    rng = np.random.default_rng(0)
    assert len(SameVideo(n=1).sample(FOUR, 3, rng).views) == 1
    assert len(SameVideo(n=3).sample(FOUR, 3, rng).views) == 3


def test_cameras_of_a_recording_are_one_group():
    rng = np.random.default_rng(0)
    groups = [SameVideo().sample(FOUR, i, rng).group for i in range(4)]
    assert groups[0] == groups[1] == groups[2] != groups[3]


def test_other_camera_shows_the_same_instant():
    rng = np.random.default_rng(0)
    data = source(("a", "1", 20, 0), ("a", "2", 25, 3), ("a", "3", 20, -2))
    for i in range(3):
        for _ in range(100):
            a, b = OtherCamera().sample(data, i, rng).views
            assert a.video == i != b.video
            assert a.start - data.videos[a.video].offset == b.start - data.videos[b.video].offset


def test_other_camera_draws_all_common_instants_and_only_those():
    rng = np.random.default_rng(0)
    data = source(("a", "1", 20, 0), ("a", "2", 25, 3))
    # frame k of the recording: 0 <= k <= 13 in camera 1, -3 <= k <= 15 in camera 2
    drawn = {OtherCamera().sample(data, 1, rng).views[0].start - 3 for _ in range(500)}
    assert drawn == set(range(14))


def test_ordered_pairs_of_cameras_are_uniform():
    rng = np.random.default_rng(0)
    data = source(*[("a", str(c), 20, 0) for c in range(4)])
    pairs = Counter(
        tuple(v.video for v in OtherCamera().sample(data, i % 4, rng).views) for i in range(2400)
    )
    assert len(pairs) == 12
    assert all(150 < n < 250 for n in pairs.values())  # 200 expected


def test_a_recording_of_one_camera_is_left_out_and_said(caplog):
    assert OtherCamera().usable(FOUR) == [0, 1, 2]
    assert "1 recordings have one camera and take no part, such as 'b'" in caplog.text


def test_one_camera_everywhere_is_refused():
    alone = source(("a", "1", 20, 0), ("b", "1", 20, 0))
    with pytest.raises(ValueError, match=r"'a' has one camera \('1'\).*Use SameVideo"):
        OtherCamera().usable(alone)


def test_a_camera_that_shares_no_instant_is_left_out():
    data = source(("a", "1", 20, 0), ("a", "2", 20, 0), ("a", "3", 20, 500))
    assert OtherCamera().usable(data) == [0, 1]
    with pytest.raises(ValueError, match="offsets"):
        OtherCamera().usable(source(("a", "1", 20, 0), ("a", "2", 20, 500)))


def test_short_videos_are_left_out():
    data = source(("a", "1", 20, 0), ("a", "2", 6, 0))
    assert SameVideo().usable(data) == [0]
    with pytest.raises(ValueError, match=r"covers 7 frames.*longest video has 6"):
        SameVideo().usable(source(("a", "2", 6, 0)))


@pytest.mark.parametrize(
    "sampler", [s for n, s in SAMPLERS.items() if n not in ("same-phase", "same-cluster")]
)
def test_the_same_seed_draws_the_same(sampler):
    shape = ClipShape(length=9, stride=2, size=16)
    data = source(("a", "1", 20, 0), ("a", "2", 25, 3), shape=shape)
    if len(sampler().streams("rgb")) > 1:
        data.flows = data.frames
    draws = [sampler().sample(data, 0, np.random.default_rng(7)) for _ in range(2)]
    assert draws[0] == draws[1]
    assert sampler().refresh(data, Clock(), None) == sampler()


@pytest.mark.parametrize("name", SAMPLERS)
def test_the_table_agrees_with_the_names(name):
    assert SAMPLERS[name]().name == name


# --- CVRL's distances


def share_below(x, power):
    """F of the paper: the share of distances up to x of the longest one."""
    return -(x ** (power + 1)) / power + x * (power + 1) / power


@pytest.mark.parametrize("power", [0.1, 0.5, 1, 2, 3.7, 100])
def test_distances_are_the_inverse_of_the_papers_distribution(power):
    u = np.linspace(0, 1, 1001)[:-1]
    x = distance(u, power)
    assert (x >= 0).all() and (x < 1).all() and (np.diff(x) > 0).all()
    np.testing.assert_allclose(share_below(x, power), u, rtol=0, atol=1e-14 * (1 + 1 / power))
    assert distance(0.25, power) == x[250]


def test_the_linear_case_in_closed_form_is_the_root_that_is_searched_for():
    u = np.linspace(0, 0.999, 500)
    np.testing.assert_allclose(distance(u, 1), distance(u, 1 + 1e-12), rtol=0, atol=1e-9)


@pytest.mark.parametrize("power", [1, 2.5])
def test_intervals_between_clips_follow_the_distribution(power):
    data, rng = source(("a", "1", 16, 0)), np.random.default_rng(0)  # 10 places to start
    sampler, n = SameVideo(decay=power), 1000
    starts = np.array([[v.start for v in sampler.sample(data, 0, rng).views] for _ in range(n)])
    assert starts.min() == 0 and starts.max() == 9
    apart = np.abs(starts[:, 1] - starts[:, 0])
    expected = n * np.diff(share_below(np.arange(11) / 10, power))
    assert chisquare(np.bincount(apart, minlength=10), expected).pvalue > 0.01
    later = (starts[:, 1] > starts[:, 0]).sum()  # either clip comes first
    assert abs(later - (apart > 0).sum() / 2) < 2 * np.sqrt(n)


def test_the_first_of_two_clips_may_start_wherever_the_second_one_fits():
    data, rng = source(("a", "1", 16, 0)), np.random.default_rng(0)  # 10 places
    starts = [
        tuple(sorted(v.start for v in SameVideo(decay=1.0).sample(data, 0, rng).views))
        for _ in range(6_000)
    ]
    pairs = Counter(starts)
    three_apart = [pairs[first, first + 3] for first in range(7)]
    assert chisquare(three_apart).pvalue > 0.01
    assert (0, 9) in pairs


def test_a_video_of_one_clip_gives_it_twice():
    data, rng = source(("a", "1", 7, 0)), np.random.default_rng(0)
    views = SameVideo(decay=1.0).sample(data, 0, rng).views
    assert [v.start for v in views] == [0, 0]


def test_decay_is_about_pairs():
    with pytest.raises(ConfigError, match="n is 3"):
        SameVideo.parse({"n": 3, "decay": 1})


def test_without_decay_the_draws_are_those_of_before():
    starts = [v.start for v in SameVideo().sample(FOUR, 0, np.random.default_rng(5)).views]
    assert starts == np.random.default_rng(5).integers(0, 14, 2).tolist()


def test_within_keeps_clips_near_and_reaches_every_distance():
    rng = np.random.default_rng(0)
    same = [SameVideo(within=0, n=3).sample(FOUR, 0, rng).views for _ in range(100)]
    assert all(len({v.start for v in views}) == 1 for views in same)
    assert {views[0].start for views in same} == set(range(14))
    near = [SameVideo(within=2).sample(FOUR, 0, rng).views for _ in range(500)]
    assert {b.start - a.start for a, b in near} == {-2, -1, 0, 1, 2}


def test_within_and_decay_exclude_each_other():
    with pytest.raises(ConfigError, match="decay and within"):
        SameVideo.parse({"decay": 1, "within": 0})
