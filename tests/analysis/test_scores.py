import numpy as np
import pandas as pd
import pytest

from workbench.analysis.embeddings import Embeddings
from workbench.analysis.scores import alignment_error, cross_view_alignment, knn_accuracy


def clusters(noise, rng):
    label = np.arange(400) % 4
    return np.eye(4, 16)[label] + noise * rng.normal(size=(400, 16)), label


def test_knn_accuracy_of_planted_clusters_is_one():
    z, label = clusters(0.02, np.random.default_rng(0))
    score = knn_accuracy(z, label, np.arange(400) // 20)
    assert score.value == 1 and score.chance == 0.25


def test_knn_accuracy_of_noise_is_about_chance():
    rng = np.random.default_rng(0)
    score = knn_accuracy(rng.normal(size=(400, 16)), np.arange(400) % 4, np.arange(400) // 20)
    assert abs(score.value - score.chance) < 0.08


def test_votes_come_from_other_recordings_only():
    # a recording is one point; the nearest other recording bears the other label
    z = np.repeat(np.array([[1, 0], [1, 0.1], [0, 1], [0.1, 1]]), 10, axis=0)
    label = np.repeat(["x", "y", "x", "y"], 10)
    assert knn_accuracy(z, label, np.repeat(np.arange(4), 10), k=5).value == 0
    assert knn_accuracy(z, label, np.arange(40), k=5).value == 1


def test_unknown_labels_are_neither_judged_nor_vote():
    z, label = clusters(0.02, np.random.default_rng(0))
    label = np.array(list("abcd"), dtype=object)[label]
    label[::3] = None
    z[::3] = z[1]
    assert knn_accuracy(z, label, np.arange(400) // 20).value == 1


def test_splits_say_who_is_judged_and_who_votes():
    z, label = clusters(0.02, np.random.default_rng(0))
    test = np.arange(400) >= 300
    wrong = np.where(test, (label + 1) % 4, label)  # the test split is labelled otherwise
    recording = np.arange(400) // 20
    assert knn_accuracy(z, wrong, recording, queries=test, bank=~test).value == 0
    assert knn_accuracy(z, wrong, recording, queries=test, bank=test).value == 1


def test_a_label_that_the_bank_lacks_is_an_error_of_the_vote():
    z, label = clusters(0.02, np.random.default_rng(0))
    score = knn_accuracy(z, label, np.arange(400), bank=label < 2)
    assert score.value == 0.5


def test_knn_accuracy_says_what_is_missing():
    z = np.eye(4)
    with pytest.raises(ValueError, match="needs labels"):
        knn_accuracy(z, np.array([None] * 4), np.arange(4))
    with pytest.raises(ValueError, match="between recordings"):
        knn_accuracy(z, np.array(list("aabb")), np.zeros(4))


def test_identical_views_are_aligned():
    z, t = np.random.default_rng(0).normal(size=(50, 16)), np.arange(50) * 4
    assert alignment_error(z, t, z, t, 200).value == 0


def test_known_shift():
    z, t = np.random.default_rng(0).normal(size=(50, 16)), np.arange(50) * 4
    assert alignment_error(z, t, z, t + 10, 200).value == pytest.approx(10 / 200)


def test_permuted_views_are_at_chance():
    rng = np.random.default_rng(0)
    z, t = rng.normal(size=(2000, 16)), np.arange(2000)
    score = alignment_error(z, t, z[rng.permutation(2000)], t, 2000)
    assert score.chance == pytest.approx(1 / 3, abs=1e-3)
    assert score.value == pytest.approx(score.chance, rel=0.05)


def test_chance_is_the_mean_over_all_pairs():
    rng = np.random.default_rng(0)
    t_a, t_b = rng.uniform(0, 90, 30), rng.choice(100, 17)
    score = alignment_error(rng.normal(size=(30, 4)), t_a, rng.normal(size=(17, 4)), t_b, 100)
    assert score.chance == pytest.approx(np.abs(t_a[:, None] - t_b).mean() / 100)
    drawn = np.abs(rng.choice(t_a, 100_000) - rng.choice(t_b, 100_000)).mean() / 100
    assert score.chance == pytest.approx(drawn, rel=0.02)


def scene(cameras):
    """Embeddings of recordings whose cameras all see the same; cameras: recording -> names."""
    rng = np.random.default_rng(0)
    z, rows = [], []
    for recording, names in cameras.items():
        view = rng.normal(size=(20, 16))
        for camera in names:
            z.append(view)
            for frame in range(0, 40, 2):
                rows.append((len(z), frame, frame, recording, camera, None, None))
    columns = ["video", "start", "frame", "recording", "camera", "label", "split"]
    return Embeddings(np.concatenate(z).astype(np.float32), pd.DataFrame(rows, columns=columns))


def test_alignment_over_recordings_skips_single_cameras():
    alignment = cross_view_alignment(scene({"a": "123", "b": "12", "c": "1"}))
    assert alignment.error == 0
    assert (alignment.recordings, alignment.skipped) == (2, 1)
    assert alignment.chance == pytest.approx(
        np.abs(np.subtract.outer(range(20), range(20))).mean() / 19
    )


def test_alignment_takes_given_lengths():
    half = cross_view_alignment(scene({"a": "12"}), {"a": 76.0})
    assert half.chance == pytest.approx(cross_view_alignment(scene({"a": "12"})).chance / 2)


def test_alignment_of_single_cameras_says_what_to_do():
    with pytest.raises(ValueError, match="pattern that names the cameras"):
        cross_view_alignment(scene({"a": "1", "b": "1"}))
