import numpy as np
import pytest

from tests.sampling.test_samplers import source
from workbench.config import ConfigError
from workbench.data.video import ClipShape
from workbench.sampling import TimeContrast

SHAPE = ClipShape(length=16, stride=2, size=16)
ONE = source(("a", "1", 60, 0), ("b", "1", 60, 0), shape=SHAPE)
TWO = source(("a", "1", 60, 0), ("a", "2", 70, 3), shape=SHAPE)


def drawn(sampler, data, n=60):
    """Examples, and frames (N, 3) and views (N, 3) of all their triplets."""
    rng = np.random.default_rng(0)
    examples = [sampler.sample(data, 0, rng) for _ in range(n)]
    views, steps = np.divmod(np.concatenate([e.triplets for e in examples]), SHAPE.length)
    return examples, SHAPE.stride * steps, views


def test_one_camera():
    examples, frames, views = drawn(TimeContrast(), ONE)
    assert all(a == b for a, b in (e.views for e in examples))
    assert {e.views[0].start for e in examples} <= set(range(30))
    assert len({e.views[0].start for e in examples}) > 15
    assert set(map(tuple, views)) == {(0, 1, 0)}  # the positive is in the second look
    a, p, n = frames.T
    assert set(np.abs(a - p)) == {0, 2, 4, 6}
    assert np.abs(a - n).min() == 14 and np.abs(a - n).max() == 30
    assert set(a) == set(range(0, 32, 2))


def test_two_cameras():
    examples, frames, views = drawn(TimeContrast(other_camera=True), TWO)
    for a, b in (e.views for e in examples):
        assert (a.video, b.video) == (0, 1) and a.start == b.start - 3
    assert set(map(tuple, views)) == {(0, 1, 0)}
    a, p, n = frames.T
    assert np.array_equal(a, p) and np.abs(a - n).min() == 14
    assert {e.group for e in examples} == {0}


def test_the_numbers_are_settings():
    _, frames, _ = drawn(TimeContrast(near=2, far=4, triplets=7), ONE, 100)
    assert len(frames) == 700
    a, p, n = frames.T
    assert set(np.abs(a - p)) == {0, 2} and np.abs(a - n).min() == 6


def test_what_cannot_work_is_told():
    with pytest.raises(ConfigError, match="near is 20 and far 12"):
        TimeContrast.parse({"near": 20})
    with pytest.raises(ValueError, match=r"at most 30 frames apart.*sampler\.far \(30\).*Raise"):
        TimeContrast(far=30).usable(ONE)
    with pytest.raises(ValueError, match=r"one camera.*Set sampler.other_camera to false"):
        TimeContrast(other_camera=True).usable(ONE)
    with pytest.raises(ValueError, match="longest video has 60"):
        TimeContrast().usable(source(("a", "1", 60, 0), shape=ClipShape(length=64, stride=2)))
    assert TimeContrast().usable(ONE) == [0, 1] == TimeContrast(other_camera=True).usable(TWO)
