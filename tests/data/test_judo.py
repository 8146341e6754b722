"""The judo demo: what is written as truth is what is filmed, and the throws are throws."""

import csv
from collections import Counter
from itertools import islice

import av
import numpy as np
import pytest

from workbench.data.demo import judo
from workbench.data.demo.skeleton import BONES, JOINTS
from workbench.data.demo.throws import THROWS

PELVIS, NECK, HEAD = (JOINTS.index(j) for j in ("pelvis", "neck", "head"))


@pytest.fixture(scope="module", params=list(THROWS))
def recordings(request):
    return [judo.stage(index, request.param, seed=3) for index in range(4)]


def test_the_same_seed_gives_the_same_pixels_and_another_seed_others():
    def pictures(seed):
        recording = judo.stage(1, "te", seed)
        film = recording.scene().film(
            recording.cameras[0], recording.shakes[0], judo.WIDTH, judo.HEIGHT
        )
        return np.stack(list(islice(film, 3)))

    first = pictures(0)
    assert first.shape == (3, judo.HEIGHT, judo.WIDTH, 3) and first.dtype == np.uint8
    assert np.array_equal(first, pictures(0))
    assert not np.array_equal(first, pictures(1))


def test_bones_keep_their_length(recordings):
    ends = np.array([[JOINTS.index(a), JOINTS.index(b)] for a, b in BONES.values()])
    for recording in recordings:
        bone = recording.joints[:, :, ends]
        length = np.linalg.norm(bone[..., 1, :] - bone[..., 0, :], axis=-1)  # (T, 2, B)
        assert np.ptp(length, axis=0).max() < 1e-6
        assert length.min() > 0.05


def test_uke_is_thrown_and_tori_ends_as_the_class_says(recordings):
    for recording in recordings:
        tori, uke = recording.joints[:, 0, :, 2], recording.joints[:, 1, :, 2]
        for person in (tori, uke):
            assert person[0, HEAD] > 1.3 and person[0, PELVIS] > 0.7
        assert uke[-1, PELVIS] < 0.3 and uke[-1, HEAD] < 0.6
        if recording.label in ("ashi", "te", "koshi"):
            assert tori[-1, PELVIS] > 0.7 and tori[-1, HEAD] > 1.1
        else:
            assert tori[-1, PELVIS] < 0.3 and tori[-1, HEAD] < 0.6


def test_nobody_sinks_into_the_mat_or_jumps(recordings):
    for recording in recordings:
        assert recording.joints[..., 2].min() > 0
        step = np.linalg.norm(np.diff(recording.joints, axis=0), axis=-1)
        assert step.max() < 0.75  # metres in a thirtieth of a second; the toes of a quick fall


def test_every_joint_is_in_the_picture_of_every_camera(recordings):
    for recording in recordings:
        place = np.concatenate([recording.joints, np.ones((*recording.joints.shape[:3], 1))], -1)
        seen = np.einsum("ctij,tpkj->ctpki", recording.projections, place)
        pixel = seen[..., :2] / seen[..., 2:]
        assert (seen[..., 2] > 1).all()
        assert (pixel > 0).all() and (pixel < [judo.WIDTH - 1, judo.HEIGHT - 1]).all()
        standing = pixel[:, 0, :, :, 1]
        tall = (standing.max(-1) - standing.min(-1)) / judo.HEIGHT
        assert 0.45 < tall.mean() < 0.65


def test_the_projected_joints_lie_on_the_drawn_figures():
    """The pelvis, seen from all sides, is covered by cloth: it differs from the empty hall."""
    recording = judo.stage(0, "ashi", seed=5)
    scene, hits = recording.scene(), []
    for k, camera in enumerate(recording.cameras):
        picture = next(scene.film(camera, recording.shakes[k], judo.WIDTH, judo.HEIGHT))
        empty = recording.hall.picture(camera, judo.WIDTH, judo.HEIGHT)
        for person in recording.joints[0]:
            x, y, w = recording.projections[k, 0] @ np.append(person[NECK], 1)
            u, v = round(x / w), round(y / w)
            hits.append(np.abs(picture[v, u] - empty[v, u]).max() > 12)
    assert np.mean(hits) >= 0.75  # a jacket may happen to have the colour of the wall


def test_first_and_last_fifteen_percent_are_background(recordings):
    for recording in recordings:
        n = len(recording.phase)
        assert 30 <= n <= 120
        assert recording.start == round(0.15 * n) == n - recording.stop
        assert (recording.phase[: recording.start] == 0).all()
        assert (recording.phase[recording.stop :] == 1).all()
        inside = recording.phase[recording.start : recording.stop]
        assert inside[0] == 0 and inside[-1] == 1 and (np.diff(inside) > 0).all()


@pytest.mark.parametrize("count", [12, 200])
def test_splits_are_stratified(count):
    labels = judo.classes(count)
    per_class = Counter(labels)
    assert set(per_class) == set(THROWS)
    assert max(per_class.values()) - min(per_class.values()) <= 1
    splits = judo.splits(labels)
    table = Counter(zip(labels, splits, strict=True))
    if count == 12:
        assert Counter(splits) == {"train": 7, "test": 5}
        assert all(table[c, "train"] and table[c, "test"] == 1 for c in THROWS)
    else:
        expected = {"train": 28, "val": 8, "test": 4}
        assert all(table[c, s] == n for c in THROWS for s, n in expected.items())


def test_what_make_leaves_in_the_folder(tmp_path, monkeypatch):
    monkeypatch.setitem(judo.SIZES, "small", 1)
    folder = tmp_path / "judo"
    assert list(judo.make(folder, "small", seed=2, workers=1)) == [(0, 4), (4, 4)]
    with (folder / "clips.csv").open() as file:
        clips = list(csv.DictReader(file))
    assert [c["camera"] for c in clips] == ["ne", "nw", "sw", "se"]
    with (folder / "segments.csv").open() as file:
        segments = [(int(r["start"]), int(r["stop"]), r["label"]) for r in csv.DictReader(file)]
    with np.load(folder / "truth" / "judo-000.npz") as truth:
        n, start, stop = len(truth["phase"]), int(truth["start"]), int(truth["stop"])
        assert truth["joints"].shape == (n, 2, len(JOINTS), 3)
        assert truth["projections"].shape == (4, n, 3, 4)
        assert truth["label"] == clips[0]["label"]
    background = [(0, start, "background"), (stop, n, "background")]
    assert segments == [background[0], (start, stop, clips[0]["label"]), background[1]]
    with av.open(folder / clips[0]["path"]) as video:
        stream = video.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
        assert (stream.average_rate, stream.width, stream.height) == (30, 320, 240)
        assert sum(1 for _ in video.decode(stream)) == n

    # Again: what is complete stays, what is gone comes back with the same bytes.
    kept, gone = folder / clips[1]["path"], folder / clips[0]["path"]
    before, stamp = gone.read_bytes(), kept.stat().st_mtime_ns
    gone.unlink()
    list(judo.make(folder, "small", seed=2, workers=1))
    assert gone.read_bytes() == before and kept.stat().st_mtime_ns == stamp
    assert not [p for p in folder.rglob("*") if p.name.startswith(".")]
    with pytest.raises(ValueError, match="seed 2"):
        next(judo.make(folder, "small", seed=3))
