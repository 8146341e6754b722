from dataclasses import replace

import numpy as np
import pytest

from tests.training.boxes import FRAMES
from workbench.data.video import Clip, Segment, VideoSource
from workbench.sampling import Example, SameVideo
from workbench.training.loader import Loader, _view_seeds, class_names, frame_labels


def same(a, b):
    assert a.examples == b.examples
    assert np.array_equal(a.seeds, b.seeds)
    assert all(np.array_equal(x, y) for u, v in zip(a.pixels, b.pixels, strict=True)
               for x, y in zip(u, v, strict=True))  # fmt: skip


def test_an_epoch_takes_every_video_and_epochs_differ(source):
    loader = Loader(source, list(range(8)), batch=4, seed=0, clips_per_video=2)
    assert len(loader) == 4
    epochs = [[e.views[0].video for b in loader.batches(SameVideo(), k) for e in b.examples]
              for k in range(2)]  # fmt: skip
    assert sorted(epochs[0]) == sorted(epochs[1]) == sorted(list(range(8)) * 2)
    assert epochs[0] != epochs[1]


def test_a_batch_larger_than_the_data_goes_round_several_times(source):
    loader = Loader(source, [0, 1, 2], batch=8, seed=0)
    assert len(loader) == 1
    assert len(next(loader.batches(SameVideo(), 0)).examples) == 8


def test_starting_in_the_middle_gives_the_same_batches(source):
    loader = Loader(source, list(range(8)), batch=2, seed=3)
    whole = list(loader.batches(SameVideo(), 1))
    for a, b in zip(loader.batches(SameVideo(), 1, first=2), whole[2:], strict=True):
        same(a, b)


def test_ranks_share_the_batch(source):
    whole = next(Loader(source, list(range(8)), 4, 0).batches(SameVideo(), 0))
    parts = [next(Loader(source, list(range(8)), 4, 0, rank=r, ranks=2).batches(SameVideo(), 0))
             for r in range(2)]  # fmt: skip
    assert [parts[0].examples[0], parts[1].examples[0]] == whole.examples[:2]
    with pytest.raises(ValueError, match="cannot share"):
        Loader(source, [0], 3, 0, ranks=2)


def test_views_of_a_window_in_two_streams_share_their_seed():
    views = tuple(Clip(0, k, 4, 1, s) for s in ("rgb", "flow") for k in (0, 5))
    a, b, c, d = _view_seeds(Example(views, 0), np.random.default_rng(0))
    assert a == c != b == d
    views = (Clip(0, 0, 4, 1), Clip(0, 0, 4, 1), Clip(0, 7, 4, 1, "flow"))
    assert len(set(_view_seeds(Example(views, 0), np.random.default_rng(0)))) == 3


def test_labels_are_the_segments(source):
    assert class_names(source) == ["background", "left", "right"]
    assert frame_labels(source, source.clip(2, 1)) == ["background"] * 2 + ["right"] * 2
    loaded = next(Loader(source, [2], 2, 0).batches(SameVideo(n=1), 0))
    assert set(loaded.label.ravel()) <= {0, 2}


def altered(source, change):
    return VideoSource([change(v) for v in source.videos], source.shape, source.frames)


def test_frames_that_no_segment_names_are_background(source):
    """Segments of actions are enough; nobody has to label what is not one."""

    def bare(v):
        return replace(v, label=None, segments=v.segments[1:], offset=0)

    actions = altered(source, bare)
    assert class_names(actions) == ["background", "left", "right"]
    assert frame_labels(actions, actions.clip(2, 1)) == ["background"] * 2 + ["right"] * 2
    loaded = next(Loader(actions, [2], 2, 0).batches(SameVideo(n=1), 0))
    assert set(loaded.label.ravel()) <= {0, 2}
    some = altered(source, lambda v: bare(v) if v.recording == "r1" else replace(v, segments=()))
    assert class_names(some) == ["background", "left", "right"]
    assert frame_labels(some, some.clip(0, 1)) == ["left"] * 4  # a video's label holds throughout
    nothing = altered(some, lambda v: replace(v, label=None))
    assert frame_labels(nothing, nothing.clip(0, 1)) == ["background"] * 4


def test_where_nothing_is_background_it_is_no_class(source):
    whole = altered(source, lambda v: replace(v, segments=()))
    assert class_names(whole) == ["left", "right"]
    assert frame_labels(whole, whole.clip(0, 0)) == ["left"] * 4
    bare = altered(whole, lambda v: replace(v, label=None))
    assert class_names(bare) == [] and frame_labels(bare, bare.clip(0, 0)) == [None] * 4
    halves = Segment(9, FRAMES, "b"), Segment(0, 9, "a")
    covered = altered(source, lambda v: replace(v, label=None, segments=halves))
    assert class_names(covered) == ["a", "b"]
    late = altered(covered, lambda v: replace(v, offset=1))
    assert class_names(late) == ["a", "b", "background"]  # frame 0 is before the recording
