"""Watching a made-up machine: what is strange is known, and where pictures come from."""

import csv
import math
from functools import cache

import av
import numpy as np
import pytest
import torch
from torch import nn

from tests.training.boxes import make_experiment
from workbench.analysis import anomaly
from workbench.data.live import Watched, watch
from workbench.data.video import ClipShape, Video, VideoSource
from workbench.training import reference as reference_module
from workbench.training.embed import embed
from workbench.training.record import Record
from workbench.training.reference import (
    VigilConfig,
    choose_threshold,
    normal_pictures,
    read_reference,
)
from workbench.training.sight import PlainSight, RunSight, Tick, ticks
from workbench.training.vigil import Vigil, judge_whole

CYCLE = 2.0
FPS = 20


def picture(phase, strange=False, rng=None):
    """(48, 64, 3) uint8: a bar goes round on a table; strange: it is not there."""
    rgb = np.full((48, 64, 3), 90, np.uint8)
    rgb[40:] = 30
    if not strange:
        x = round(26 + 20 * math.cos(2 * math.pi * phase))
        y = round(18 + 12 * math.sin(2 * math.pi * phase))
        rgb[y : y + 8, x : x + 8] = 240
    if rng is not None:
        rgb = np.clip(rgb + rng.integers(-3, 4, rgb.shape), 0, 255).astype(np.uint8)
    return rgb


def pictures(seconds, fps=FPS, strange=(), seed=0):
    """Pictures of the machine, without the bar within [a, b) seconds of each of `strange`."""
    rng = np.random.default_rng(seed)
    for k in range(round(seconds * fps)):
        t = k / fps
        yield picture(t / CYCLE % 1, any(a <= t < b for a, b in strange), rng)


def write(path, frames, fps=FPS):
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=fps, options={"preset": "veryfast", "crf": "18"})
        stream.pix_fmt = "yuv420p"
        frames = list(frames)
        stream.height, stream.width = frames[0].shape[:2]
        for rgb in frames:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        file.mux(stream.encode())
    return path


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    """normal.mp4 and other.mp4 without, strange.mp4 with the bar gone in seconds 5 to 6.5."""
    folder = tmp_path_factory.mktemp("machine")
    write(folder / "normal.mp4", pictures(12))
    write(folder / "other.mp4", pictures(12, seed=1))
    write(folder / "strange.mp4", pictures(10, strange=[(5, 6.5)], seed=2))
    return folder


@cache
def reference(place, config):
    """What is normal in a video, read once, and how it was looked at."""
    sight = PlainSight()
    return read_reference([place], sight, config), sight


def judged(machine, name, config=None, threshold=None, normal=()):
    config = config or VigilConfig()
    usual, sight = reference(machine / "normal.mp4", config)
    others = judge_whole(Vigil(usual, sight, config), normal)
    limit = choose_threshold(usual, config, others)
    vigil = Vigil(usual, sight, config, limit.value if threshold is None else threshold)
    (video,) = watch(str(machine / name), sight.side)
    found = vigil.start(video)
    news = list(vigil.judge(video, found))
    return usual, limit, found, news


def test_what_is_missing_is_an_alarm_and_nothing_else(machine):
    usual, limit, found, news = judged(machine, "strange.mp4")
    (alarm,) = found.alarms
    assert 94 <= alarm.start <= 102 and 128 <= alarm.stop <= 136  # frames 100 to 130
    assert alarm.start_seconds == pytest.approx(alarm.start / FPS)
    assert alarm.stop_seconds == pytest.approx(alarm.stop / FPS)
    assert 100 <= alarm.peak_frame < 130 and alarm.peak > limit.value
    assert alarm.normal_video == "normal.mp4"
    assert alarm.picture.shape == (48, 64, 3) and alarm.picture[:40].max() < 130  # no bar
    assert found.whole and found.done == found.total == 200
    assert [tick.frame for item in news for tick in item.began] == [alarm.start]
    assert [a for item in news for a in item.ended] == [alarm]
    assert usual.period * usual.row_seconds == pytest.approx(CYCLE, rel=0.05)
    assert "other repetitions" in limit.how


def test_normal_video_has_no_alarm_and_its_cycles_are_counted(machine):
    _, _, found, _ = judged(machine, "other.mp4", normal=[machine / "other.mp4"])
    assert len(found.alarms) <= 1  # its own highest score is the threshold
    _, limit, found, _ = judged(machine, "other.mp4", VigilConfig(alarms_per_hour=10))
    assert not found.alarms
    assert limit.budget.extrapolated and "guess" in limit.how
    assert found.period == pytest.approx(CYCLE, rel=0.05)
    assert found.repetitions == pytest.approx(6, abs=0.4)


def test_streaming_gives_what_the_whole_would(machine):
    config = VigilConfig(smooth=0.7)
    usual, limit, found, _ = judged(machine, "strange.mp4", config)
    sight = PlainSight()
    (video,) = watch(str(machine / "strange.mp4"), sight.side)
    rows = list(sight.rows(ticks(video.frames, video.fps), usual.hop, 10**6))
    raw, nearest = anomaly.anomaly_scores(usual.express(rows[0].z), usual.z)
    np.testing.assert_allclose(found.raw, raw, atol=1e-5)
    np.testing.assert_array_equal(found.nearest, nearest)
    smoothed = anomaly.smooth(raw, 7)
    np.testing.assert_allclose(found.scores, smoothed, atol=1e-5)
    spans = anomaly.alarms(smoothed, limit.value, join=9)
    assert [a.start for a in found.alarms] == [found.frame[a] for a, _ in spans]
    assert found.frame == [t.frame for t in rows[0].ticks] == list(range(0, 200, 2))


@pytest.mark.parametrize("threshold", [0.0, 0.05, 0.1])
def test_alarms_are_those_of_the_whole_at_any_threshold(machine, threshold):
    _, _, found, _ = judged(machine, "strange.mp4", threshold=threshold)
    spans = anomaly.alarms(found.scores, threshold, join=9)
    assert [a.start for a in found.alarms] == [found.frame[a] for a, _ in spans]
    assert [a.peak for a in found.alarms] == [found.scores[a:b].max() for a, b in spans]


def test_a_video_left_half_way_keeps_what_was_scored(machine):
    config = VigilConfig()
    usual, sight = reference(machine / "normal.mp4", config)
    (video,) = watch(str(machine / "strange.mp4"), sight.side)
    vigil = Vigil(usual, sight, config, threshold=0.0)
    found = vigil.start(video)
    going = vigil.judge(video, found)
    next(going)
    going.close()
    assert not found.whole and 0 < len(found.smoothed) == len(found.raw) < 100
    assert len(found.alarms) == 1  # what was open is closed


def test_a_live_stream_is_judged_row_by_row(machine):
    config = VigilConfig(smooth=0.3)
    usual, sight = reference(machine / "normal.mp4", config)
    (stored,) = watch(str(machine / "strange.mp4"), sight.side)
    drawn = []

    def frames():
        for rgb, seconds in stored.frames:
            drawn.append(seconds)
            yield rgb, 100 + seconds

    video = Watched("camera 0", None, frames())
    vigil = Vigil(usual, sight, config, choose_threshold(usual, config).value)
    found, began = vigil.start(video), []
    for news in vigil.judge(video, found):
        began += [(len(drawn), tick.frame) for tick in news.began]
    ((seen, first),) = began
    assert 94 <= first <= 102 and seen - first < 10  # half a second later at most
    assert found.seconds[0] == 0 and found.seconds[-1] == pytest.approx(9.9, abs=0.11)


def test_other_rates_are_compared_by_time_and_said(machine, tmp_path):
    write(tmp_path / "slow.mp4", pictures(8, fps=10, strange=[(3, 5)]), 10)
    config = VigilConfig()
    usual, sight = reference(machine / "normal.mp4", config)
    limit = choose_threshold(usual, config)
    (video,) = watch(str(tmp_path / "slow.mp4"), sight.side)
    vigil = Vigil(usual, sight, config, limit.value)
    found = vigil.start(video)
    list(vigil.judge(video, found))
    assert any("10.00 frames per second" in n and "20.00" in n for n in found.notes)
    (alarm,) = found.alarms
    assert 27 <= alarm.start <= 32 and 48 <= alarm.stop <= 53  # its own frames, 30 to 50
    assert alarm.start_seconds == pytest.approx(alarm.start / 10)


def test_ticks_are_the_newest_picture_and_long_gaps_stay():
    frames = [(np.full((1, 1, 3), k), t) for k, t in enumerate([5.0, 5.1, 5.15, 5.4, 9.0, 9.1])]
    got = list(ticks(iter(frames), None, rate=10))
    assert [t.frame for t in got] == [0, 1, 2, 2, 3, 4, 5] or [t.frame for t in got] == [
        0, 2, 2, 2, 3, 4, 5,
    ]  # fmt: skip
    untimed = list(ticks(iter([(frames[0][0], math.nan)] * 3), 30, rate=10))
    assert [t.frame for t in untimed] == [0, 1, 2] and untimed[2].seconds == pytest.approx(2 / 30)


@pytest.mark.parametrize("seconds", [0.05, 0.4, 3.0])
def test_a_short_reference_is_told_and_scores_stand(machine, tmp_path, seconds):
    write(tmp_path / "short.mp4", pictures(seconds))
    sight, config = PlainSight(), VigilConfig(phase_aware=True)
    usual = read_reference([tmp_path / "short.mp4"], sight, config)
    assert "no repetition was found" in usual.notes[0] and "phases are left out" in usual.notes[0]
    limit = choose_threshold(usual, config)
    assert (limit.value == math.inf) == (seconds < 1)
    assert ("too short to judge" in limit.how) == (seconds < 1)
    (video,) = watch(str(machine / "strange.mp4"), sight.side)
    vigil = Vigil(usual, sight, config, limit.value)
    found = vigil.start(video)
    list(vigil.judge(video, found))
    assert len(found.scores) == 100 and np.isfinite(found.scores).all()
    told = " ".join(found.notes)
    assert ("a cycle lasts" in told) == (seconds < 2) and ("is a guess" in told) == (seconds > 2)


@pytest.mark.parametrize(("rate", "told"), [(FPS, False), (2 * FPS, True), (FPS // 2, True)])
def test_a_wrong_frame_rate_shows_in_the_length_of_a_cycle(machine, rate, told):
    write(machine / "rate.mp4", pictures(12, seed=3), rate)
    _, _, found, _ = judged(machine, "rate.mp4")
    assert any("frame rate is wrong" in note for note in found.notes) == told
    assert found.period == pytest.approx(CYCLE * FPS / rate, rel=0.1)


def test_a_video_of_one_frame_has_a_score(machine, tmp_path):
    write(tmp_path / "one.mp4", [picture(0, strange=True)])
    config = VigilConfig()
    usual, sight = reference(machine / "normal.mp4", config)
    (video,) = watch(str(tmp_path / "one.mp4"), sight.side)
    vigil = Vigil(usual, sight, config, choose_threshold(usual, config).value)
    found = vigil.start(video)
    list(vigil.judge(video, found))
    assert len(found.scores) == 1 and len(found.alarms) == 1
    assert (found.alarms[0].start, found.alarms[0].stop) == (0, 1)
    assert any("one moment was seen" in note for note in found.notes)


def test_pictures_of_another_shape_are_refused(machine, tmp_path):
    write(tmp_path / "wide.mp4", [np.zeros((48, 128, 3), np.uint8)] * 5)
    config = VigilConfig()
    usual, sight = reference(machine / "normal.mp4", config)
    (video,) = watch(str(tmp_path / "wide.mp4"), sight.side)
    with pytest.raises(ValueError, match=r"128 x 48.*64 x 48.*--run"):
        list((vigil := Vigil(usual, sight, config)).judge(video, vigil.start(video)))


def test_k_beyond_the_reference_is_refused(machine):
    with pytest.raises(ValueError, match="k is 500 and the reference has 120 rows"):
        read_reference([machine / "normal.mp4"], PlainSight(), VigilConfig(k=500))


def test_the_wrong_moment_is_found_by_its_phase_alone(tmp_path):
    write(tmp_path / "normal.mp4", (picture(k / FPS / CYCLE) for k in range(320)))
    wrong = {k: 0.4 for k in range(140, 150)}
    write(
        tmp_path / "strange.mp4", (picture(k / FPS / CYCLE + wrong.get(k, 0)) for k in range(240))
    )
    inside = {}
    for aware in (False, True):
        config = VigilConfig(phase_aware=aware, smooth=0)
        usual, _, found, _ = judged(tmp_path, "strange.mp4", config)
        assert (usual.phase is not None) == aware
        frame = np.array(found.frame)
        inside[aware] = np.median(found.scores[(frame >= 142) & (frame < 148)])
    assert inside[True] > inside[False] + 0.2


def test_long_references_are_thinned(machine, monkeypatch):
    monkeypatch.setattr(reference_module, "MOST", 70)
    usual = read_reference([machine / "normal.mp4"], PlainSight(), VigilConfig())
    assert usual.every == 2 and len(usual.z) == 60
    assert usual.frame.tolist() == list(range(0, 240, 4))
    assert usual.length == 12


def test_several_references_and_their_pictures(machine):
    places = [machine / "normal.mp4", machine / "other.mp4"]
    usual = read_reference(places, PlainSight(), VigilConfig(phase_aware=True))
    assert usual.names == ("normal.mp4", "other.mp4") and len(usual.z) == 240
    apart = np.abs((usual.phase[:120] - usual.phase[120:] + 0.5) % 1 - 0.5)
    assert np.nanmedian(apart) < 0.05  # phase 0 is the same moment in both
    found = normal_pictures(usual, [(0, 0), (1, 8)], 48)
    for (_, frame), rgb in found.items():
        off = np.abs(rgb.astype(int) - picture(frame / FPS / CYCLE % 1).astype(int))
        assert off.mean() < 6


def test_tables_can_be_read_while_they_grow(machine, tmp_path):
    config = VigilConfig()
    usual, sight = reference(machine / "normal.mp4", config)
    vigil = Vigil(usual, sight, config, choose_threshold(usual, config).value)
    lines = []
    with Record(tmp_path / "out", usual) as record:
        for name in ("strange.mp4", "other.mp4"):
            (video,) = watch(str(machine / name), sight.side)
            found = vigil.start(video)
            for _ in vigil.judge(video, found):
                record.add(found)
                lines.append(len((tmp_path / "out/scores.csv").read_text().splitlines()))
    assert lines == sorted(lines) and lines[0] > 1
    rows, alarms = (
        list(csv.DictReader((tmp_path / "out" / name).read_text().splitlines()))
        for name in ("scores.csv", "alarms.csv")
    )
    assert len(rows) == 220 and rows[-1]["video"] == "other.mp4"
    (alarm,) = alarms
    assert alarm["video"] == "strange.mp4" and alarm["normal_video"] == "normal.mp4"
    assert float(alarm["start_seconds"]) == pytest.approx(int(alarm["start"]) / FPS, abs=1e-3)


class Columns(nn.Module):
    """(B, 3, T, H, W) -> (B, T, W): the mean of each column; sees one picture to either side."""

    time_stride = 1

    def __init__(self, per_frame, dim=16):
        super().__init__()
        self.per_frame, self.dim = per_frame, dim

    def forward(self, clips):
        x = clips.mean(dim=(1, 3))
        before, after = torch.roll(x, 1, 1), torch.roll(x, -1, 1)
        before[:, 0], after[:, -1] = x[:, 0], x[:, -1]
        return x + 0.5 * before + 0.25 * after


class FakeRun:
    """What RunSight wants of a run."""

    name = "fake"

    def __init__(self, shape, per_frame):
        made = make_experiment()
        self.config = made.model_copy(update={"data": made.data.model_copy(update={"clip": shape})})
        self.per_frame = per_frame

    def encoder(self):
        return Columns(self.per_frame).eval()


@pytest.mark.parametrize("stream", ["rgb", "diff"])
@pytest.mark.parametrize("per_frame", [False, True])
@pytest.mark.parametrize("n", [5, 8, 9, 16, 31, 40])
def test_a_run_sees_what_it_embeds(stream, per_frame, n):
    shape = ClipShape(
        length=8 if per_frame else 4, stride=2 if n > 16 else 1, size=16, stream=stream
    )
    frames = np.stack(list(pictures(n / FPS)))
    sight = RunSight(FakeRun(shape, per_frame), 48, device="cpu")
    hop = sight.hop(FPS)
    source = VideoSource([Video("v.mp4", "v", "0", None, n, FPS)], shape, lambda _: frames)
    encoder = Columns(per_frame)
    want = embed(encoder, source, hop, time_stride=1 if per_frame else None)
    seen = [Tick(rgb, k, k / FPS) for k, rgb in enumerate(frames)]
    got = list(sight.rows(seen, hop, 3))
    np.testing.assert_allclose(np.concatenate([r.z for r in got]), want.z, atol=1e-5)
    assert [t.frame for r in got for t in r.ticks] == want.index["frame"].tolist()


def test_a_run_needs_a_window(machine, tmp_path):
    shape = ClipShape(length=8, stride=2, size=16)
    sight = RunSight(FakeRun(shape, False), 48, device="cpu")
    write(tmp_path / "short.mp4", pictures(0.5))
    with pytest.raises(ValueError, match=r"short.mp4 has 10 frames; what is compared needs 15"):
        read_reference([tmp_path / "short.mp4"], sight, VigilConfig())
    usual = read_reference([machine / "normal.mp4"], sight, VigilConfig())
    vigil = Vigil(usual, sight, VigilConfig())
    (video,) = watch(str(tmp_path / "short.mp4"), 48)
    with pytest.raises(ValueError, match=r"the video has 10 frames; what is compared needs 15"):
        list(vigil.judge(video, vigil.start(video)))


def test_flow_is_not_computed_while_watching():
    with pytest.raises(ValueError, match="optical flow"):
        RunSight(FakeRun(ClipShape(stream="flow"), False), 48, device="cpu")
