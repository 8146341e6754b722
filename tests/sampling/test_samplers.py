from collections import Counter

import numpy as np
import pytest

from workbench.clock import Clock
from workbench.data.video import ClipShape, Video, VideoSource
from workbench.sampling import SAMPLERS, OtherCamera, SameVideo

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


def test_one_camera_is_refused_by_name():
    with pytest.raises(ValueError, match=r"'b' has one camera \('1'\).*Use SameVideo"):
        OtherCamera().usable(FOUR)


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


@pytest.mark.parametrize("sampler", SAMPLERS.values())
def test_the_same_seed_draws_the_same(sampler):
    data = source(("a", "1", 20, 0), ("a", "2", 25, 3))
    draws = [sampler().sample(data, 0, np.random.default_rng(7)) for _ in range(2)]
    assert draws[0] == draws[1]
    assert sampler().refresh(data, Clock(), None) == sampler()


@pytest.mark.parametrize("name", SAMPLERS)
def test_the_table_agrees_with_the_names(name):
    assert SAMPLERS[name]().name == name
