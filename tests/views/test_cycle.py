import gc
from dataclasses import replace

import numpy as np
import pytest

from tests.views.swing_workspace import HOP, PERIOD, features
from workbench.views import cycle
from workbench.views.cycle import SOON, Cycle


@pytest.fixture
def found(store):
    return Cycle.of(features(store.dataset), "take01", "left")


def test_a_planted_cycle_is_found(found):
    assert found.hop == HOP and found.repeats and found.confidence > 0.9
    assert found.period == pytest.approx(PERIOD / HOP, abs=0.1)
    assert found.frames.tolist() == list(range(4, 56, 2))
    steps = np.diff(np.unwrap(found.phase, period=1))
    np.testing.assert_allclose(steps, HOP / PERIOD, atol=0.04)
    assert found.row(33) in (14, 15) and found.frame(14.5) == 33


def test_repetitions_are_counted_from_where_they_begin(found):
    phase = np.concatenate([
        np.full(5, np.nan), (np.arange(53) / 10 + 0.33) % 1,  # 5.3 cycles
        np.full(7, np.nan), (np.arange(36) / 9 + 0.8) % 1, [np.nan],  # 4 cycles
    ])  # fmt: skip
    counted = replace(found, rows=np.arange(len(phase)), phase=phase)
    assert len(counted.spans) == 9
    np.testing.assert_allclose(
        counted.spans[[0, 4, 5, 8]], [[5, 15], [45, 58], [65, 74], [92, 101]]
    )
    assert counted.number[[0, 5, 14, 15, 57, 58, 65, 100, 101]].tolist() == [
        -1, 0, 0, 1, 4, -1, 5, 8, -1,
    ]  # fmt: skip
    assert counted.whole.tolist() == [True] * 4 + [False] + [True] * 4
    assert counted.turned[5] == 0 and counted.turned[65] == 5


def test_the_same_phase_in_every_repetition(found):
    sets = (np.arange(46) / 10 + 0.3) % 1, [np.nan], (np.arange(30) / 10 + 0.05) % 1
    phase = np.concatenate(sets)
    counted = replace(found, rows=np.arange(len(phase)), phase=phase)
    for value in (0.1, 0.3, 0.5, 0.95):
        rows = counted.at(value)
        assert len(rows) == len(counted.spans)
        known = rows[rows >= 0]
        apart = np.abs((phase[known] - value + 0.5) % 1 - 0.5)
        assert len(known) >= 6 and apart.max() < 0.101 and (np.diff(known) > 5).all()


def test_it_is_found_once_and_forgotten_with_the_embeddings(store):
    embeddings = features(store.dataset)
    once = Cycle.of(embeddings, "take01", "left")
    assert Cycle.of(embeddings, "take01", "left") is once
    assert Cycle.of(embeddings, "nobody", "left") is None
    before = len(cycle._found)
    del embeddings
    gc.collect()
    assert len(cycle._found) == before - 1


def test_a_long_recording_is_for_a_thread_until_it_is_found(store, monkeypatch):
    embeddings = features(store.dataset)
    assert Cycle.ready(embeddings, "take01", "left") and SOON > 26
    monkeypatch.setattr(cycle, "SOON", 10)
    embeddings = features(store.dataset)
    assert not Cycle.ready(embeddings, "take01", "left")
    Cycle.of(embeddings, "take01", "left")
    assert Cycle.ready(embeddings, "take01", "left")
