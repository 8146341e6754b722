import numpy as np
import pandas as pd
import pytest

from workbench.analysis.embeddings import Embeddings
from workbench.views import matched
from workbench.views.matched import Change, DriftPlot, Match
from workbench.views.tsm_words import change_in_words, match_in_words

HOP, ROWS, PERIOD = 3, 160, 16.0
ONE, OTHER = ("one", "side"), ("other", "side")


def process(time, change=0.0):
    """(T, 6) a process whose cycle is PERIOD long; `change` alters it around phase 0.6."""
    turn = 2 * np.pi * time / PERIOD
    z = np.stack([np.sin(turn), np.cos(turn), np.sin(2 * turn), np.cos(2 * turn)], axis=1)
    odd = change * np.exp(-(((time / PERIOD) % 1 - 0.6) ** 2) / 0.005)
    still = np.ones(len(time))
    noise = 0.03 * np.random.default_rng(len(time)).normal(size=(len(time), 6))
    return np.column_stack([z, odd, still]) + noise


def both(time, change=0.0, rows=ROWS):
    """Embeddings of a recording at an even pace, and of another at other times of the process."""
    z = [process(np.arange(rows, dtype=float)), process(time, change)]
    tables = []
    for video, (name, part) in enumerate(zip(("one", "other"), z, strict=True)):
        frame = 7 + HOP * np.arange(len(part))
        table = pd.DataFrame({"video": video, "start": frame - 7, "frame": frame})
        tables.append(table.assign(recording=name, camera="side", label=None, split="train"))
    index = pd.concat(tables, ignore_index=True)
    return Embeddings(np.concatenate(z).astype(np.float32), index)


def test_the_path_follows_another_tempo():
    match = Match.of(both(np.arange(200) * 0.8), ONE, OTHER)
    way = match.along(ROWS * HOP + 14, 200 * HOP + 14)
    assert len(way) == ROWS * HOP + 14 and (np.diff(way) >= 0).all()
    k = np.arange(60, 400)
    assert np.abs(way[k] - (7 + (k - 7) / 0.8)).mean() < 2 * HOP
    assert match.every == (1, 1) and match.mean < 0.25


def test_before_the_first_window_both_go_on_at_one_pace():
    match = Match.of(both(np.arange(ROWS, dtype=float)), ONE, OTHER)
    way = match.along(ROWS * HOP + 14, ROWS * HOP + 14)
    np.testing.assert_array_equal(way[:8], np.arange(8))
    assert way[-1] == ROWS * HOP + 13


def test_drift_tells_tempo_and_phase_of_the_change():
    change = Change.of(both(np.arange(200) * 0.8, change=1.0), ONE, OTHER)
    assert change.drift.period_change == pytest.approx(0.25, abs=0.03)
    there = (change.worst - 7) / HOP / PERIOD % 1  # the true phase of where most has changed
    assert np.abs(there - 0.6).max() < 0.1
    words = change_in_words(change, ("one", "<b>"), (30, 30))
    assert f"({change.drift.period_change:+.1%})" in words and "&lt;b&gt;" in words
    assert "Most has changed" in words
    plot = DriftPlot()
    plot.show(change.drift)
    assert sum(c == matched.ANOMALY for c in plot.bars.data["color"]) == 1


def test_where_one_does_not_repeat_no_phases_are_compared():
    change = Change.of(both(np.full(60, 3.0)), ONE, OTHER)
    assert change.drift is None and not len(change.worst)
    assert "nothing repeats" in change_in_words(change, ONE, (30, 30))


def test_long_recordings_are_matched_among_means_first_and_that_is_said(monkeypatch):
    monkeypatch.setattr(matched, "MOST", 100)
    match = Match.of(both(np.arange(ROWS, dtype=float)), ONE, OTHER)
    assert match.every == (2, 2) and len(set(match.path.rows_a)) == ROWS
    assert match.frames[0][0] == 7
    assert "2 and 2 moments" in match_in_words(match)
    way = match.along(ROWS * HOP + 14, ROWS * HOP + 14)
    assert np.array_equal(way, np.arange(len(way)))
