"""Two streams: the same windows, only where both streams have them."""

from pathlib import Path

import numpy as np
import pytest

from workbench.data.video import ClipShape, Video, VideoSource
from workbench.sampling import SameVideo, TwoStreams


def source(*frames, stream="rgb", flow=True, missing=1):
    """Videos of so many frames, whose flow has `missing` fields less; pixels tell their frame."""
    videos = [Video(Path(f"{k}.mp4"), f"r{k}", "0", None, n, 30.0) for k, n in enumerate(frames)]
    rgb = [np.arange(n, dtype=np.uint8)[:, None, None, None].repeat(3, 3) for n in frames]
    fields = [r[: len(r) - missing, ..., :2] + 100 for r in rgb]
    shape = ClipShape(length=3, stride=2, size=16, stream=stream)  # covers 5 frames
    return VideoSource(videos, shape, rgb.__getitem__, fields.__getitem__ if flow else None)


def test_both_streams_show_the_same_windows_in_order():
    data, rng = source(30), np.random.default_rng(0)
    for _ in range(20):
        a, b, c, d = TwoStreams().sample(data, 0, rng).views
        assert [v.stream for v in (a, b, c, d)] == ["rgb", "rgb", "flow", "flow"]
        assert (a.start, b.start) == (c.start, d.start)
        assert (data.pixels(c)[..., 0] == data.pixels(a)[..., 0] + 100).all()


def test_windows_are_drawn_as_the_inner_sampler_draws_them():
    data = source(31)  # motion looks one frame ahead, so pictures alone would have one start more
    rows = [s.sample(d, 0, np.random.default_rng(5)).views[:2]
            for s, d in ((TwoStreams(), data), (SameVideo(), source(30)))]  # fmt: skip
    assert rows[0] == rows[1]
    near = TwoStreams(of=SameVideo(n=3, within=0)).sample(data, 0, np.random.default_rng(0))
    assert len(near.views) == TwoStreams(of=SameVideo(n=3, within=0)).views == 6
    assert len({v.start for v in near.views}) == 1


def test_a_clip_is_left_out_where_the_last_frame_has_no_motion():
    data = source(5, 6)
    assert SameVideo().usable(data) == [0, 1]
    assert TwoStreams().usable(data) == [1]


@pytest.mark.parametrize(
    ("main", "other", "both"),
    [("rgb", None, ("rgb", "flow")), ("flow", None, ("flow", "rgb")), ("rgb", "diff", None)],
)
def test_the_other_stream_is_the_one_that_the_clips_are_not_of(main, other, both):
    data = source(30, stream=main)
    views = TwoStreams(other=other).sample(data, 0, np.random.default_rng(0)).views
    assert (views[0].stream, views[-1].stream) == (both or (main, other))


def test_one_stream_twice_is_refused():
    with pytest.raises(ValueError, match=r"both are rgb.*Set sampler.other"):
        TwoStreams(other="rgb").usable(source(30))


def test_missing_flow_is_told():
    with pytest.raises(ValueError, match="without optical flow"):
        TwoStreams().usable(source(30, flow=False))


def test_streams_of_unequal_length_are_told():
    with pytest.raises(ValueError, match=r"30 frames .* and 27 fields of optical flow"):
        TwoStreams().usable(source(30, missing=3))
