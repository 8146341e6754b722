import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from tests.training.cycles import ANOMALIES, FRAMES, cycles_workspace, features
from workbench.analysis.anomaly import anomaly_scores
from workbench.analysis.embeddings import Embeddings
from workbench.cli import main
from workbench.data.manifest import DataSet
from workbench.data.video import ClipShape
from workbench.models.frame_net import FrameNet
from workbench.training import evaluate_periodic
from workbench.training.evaluate_periodic import (
    evaluate_anomaly,
    evaluate_repetition,
    judge_anomaly,
    judge_repetition,
    meant,
)
from workbench.training.experiment import DataConfig
from workbench.training.recipes import cyclecl
from workbench.training.reference import VigilConfig
from workbench.training.run import Run
from workbench.training.train import train


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return DataSet(cycles_workspace(tmp_path_factory.mktemp("cycles")).data_folder("cycles"))


@pytest.fixture
def perfect(dataset):
    return Embeddings(*features(dataset))


@pytest.fixture
def nothing(perfect):
    z = np.random.default_rng(0).standard_normal((len(perfect), 16)).astype(np.float32)
    return Embeddings(z, perfect.index)


SHARE = sum(stop - start for _, start, stop in ANOMALIES) / FRAMES


def test_perfect_features_find_every_anomaly(perfect, dataset):
    rows, scores = judge_anomaly(perfect, dataset, "test")
    assert scores["average_precision"] == scores["auroc"] == scores["best_f1"] == 1
    assert scores["abnormal"] == pytest.approx(SHARE)
    assert (scores["events"], scores["noticed"], scores["event_recall"]) == (4, 4, 1)
    assert scores["delay"] <= 0.3 and scores["recall"] > 0.95 and scores["threshold_held_out"]
    assert scores["knn_f1"]["1"] == {"macro": pytest.approx(1), "abnormal": pytest.approx(1)}
    assert [k["kind"] for k in scores["kinds"]] == ["flash", "stain"]
    for kind in scores["kinds"]:
        assert (kind["events"], kind["noticed"], kind["average_precision"]) == (2, 2, 1)
    assert len(rows) == FRAMES and set(rows["recording"]) == {"f0", "f1"}
    assert rows.loc[rows["abnormal"], "score"].min() > rows.loc[~rows["abnormal"], "score"].max()


def test_features_of_nothing_are_near_chance(nothing, dataset):
    scores = judge_anomaly(nothing, dataset, "test")[1]
    assert scores["average_precision"] == pytest.approx(SHARE, abs=0.12)
    assert scores["auroc"] == pytest.approx(0.5, abs=0.1)
    assert scores["knn_f1"]["1"]["abnormal"] < 0.45
    scores = judge_repetition(nothing, dataset, "test")[1]
    assert scores["nearest_phase_error"] == pytest.approx(0.25, abs=0.03)
    assert scores["mae"] > 3 and scores["off_by_one"] == 0


def test_perfect_features_count_and_tell_the_phase(perfect, dataset):
    rows, scores = judge_repetition(perfect, dataset, "test")
    assert scores["mae"] < 0.2 and scores["relative_mae"] < 0.02 and scores["off_by_one"] == 1
    assert scores["phase_error"] < 0.02 and scores["nearest_phase_error"] < 0.01
    assert scores["phased"] == 1
    assert rows["normal"].mean() == pytest.approx(1 - SHARE)
    for r in scores["recordings"]:
        of = dataset.truth.query("recording == @r['recording']")
        turned = of["repetition"].iloc[-1] + of["phase"].iloc[-1] - of["phase"].iloc[0]
        assert r["true_count"] == pytest.approx(turned, abs=0.1)


def test_what_is_normal_where_phases_are_judged_is_what_the_truth_says(perfect, dataset):
    exercises = Embeddings(perfect.z, perfect.index.assign(label="squat"))
    assert judge_repetition(exercises, dataset, "test")[1]["phase_error"] < 0.05


def test_without_val_the_training_recordings_judge_each_other(perfect, dataset):
    index = perfect.index.assign(split=perfect.index["split"].replace("val", "dev"))
    videos = [v for v in dataset.videos if v.split != "val"]

    class Without:
        name, truth, segments, table = dataset.name, dataset.truth, None, dataset.table

    keep = (perfect.index["split"] != "val").to_numpy()
    other = Without()
    other.videos = videos
    index["video"] = index["video"].map({0: 0, 1: 1, 3: 2, 4: 3})
    some = Embeddings(perfect.z[keep], index[keep].astype({"video": int}).reset_index(drop=True))
    scores = judge_anomaly(some, other, "test")[1]
    assert not scores["threshold_held_out"] and scores["event_recall"] == 1


def test_how_rows_are_compared_can_be_chosen(perfect, dataset):
    def judged(**settings):
        return judge_anomaly(perfect, dataset, "test", VigilConfig(**settings))

    euclidean, cosine = judged(), judged(metric="cosine")
    assert cosine[0]["score"].to_numpy() == pytest.approx(
        euclidean[0]["score"].to_numpy() ** 2 / 2, abs=1e-5
    )
    assert (judged(k=5)[0]["score"] >= euclidean[0]["score"] - 1e-6).all()
    given = judged(threshold=0.7)[1]
    assert given["threshold"] == 0.7 and given["threshold_given"] and "budget" not in given
    assert judged(threshold=9.0)[1]["noticed"] == 0
    aware = judged(phase_aware=True)
    assert aware[1]["phased"] > 0.9 and aware[1]["average_precision"] > 0.95
    assert (aware[0]["score"] >= euclidean[0]["score"] - 1e-5).all()
    with pytest.raises(ValueError, match=r"k is 100000 and a camera has \d+ normal rows"):
        judged(k=100_000)
    mean = judge_repetition(perfect, dataset, "test", k=5)[1]
    assert mean["nearest_phase_error"] < 0.01
    with pytest.raises(ValueError, match="k is 100000"):
        judge_repetition(perfect, dataset, "test", k=100_000)


def test_one_recording_with_anomalies_has_no_labelled_neighbours(perfect, dataset):
    keep = (perfect.index["recording"] != "f1").to_numpy()
    some = Embeddings(perfect.z[keep], perfect.index[keep].reset_index(drop=True))
    scores = judge_anomaly(some, dataset, "test")[1]
    assert math.isnan(scores["knn_f1"]["5"]["abnormal"]) and scores["average_precision"] == 1


def test_what_is_missing_is_said(perfect, nothing, dataset, tmp_path):
    with pytest.raises(ValueError, match=r"nothing in split 'val' .* is abnormal.*--segments"):
        judge_anomaly(perfect, dataset, "val")
    with pytest.raises(ValueError, match="split train is the normal reference"):
        judge_anomaly(perfect, dataset, "train")
    with pytest.raises(ValueError, match=r"nothing to judge in split 'dev'.*test, train, val"):
        judge_anomaly(perfect, dataset, "dev")
    with pytest.raises(ValueError, match="nothing to judge in split 'dev'"):
        judge_repetition(perfect, dataset, "dev")
    unsplit = Embeddings(perfect.z, perfect.index.assign(split="test"))
    with pytest.raises(ValueError, match="no videos of split train"):
        judge_anomaly(unsplit, dataset, "test")
    bad = perfect.index["split"] == "train"
    wrong = perfect.index.assign(label=perfect.index["label"].mask(bad, "jam"))
    with pytest.raises(ValueError, match=r"every moment of split train .* abnormal"):
        judge_anomaly(Embeddings(perfect.z, wrong), dataset, "test")
    plain = cycles_workspace(tmp_path, truth=False)
    with pytest.raises(ValueError, match="no truth of every frame"):
        judge_repetition(perfect, DataSet(plain.data_folder("cycles")), "test")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A workspace with pictures, and a run on them."""
    place = cycles_workspace(tmp_path_factory.mktemp("trained"), frames=True)
    recipe = cyclecl("cycles")
    clip = ClipShape(length=16, stride=2, size=24)
    pace = {"steps": 3, "batch": 2, "evaluations": 0, "device": "cpu", "precision": "fp32"}
    experiment = recipe.model_copy(
        update={
            "data": DataConfig(name="cycles", splits=("train",), clip=clip),
            "encoder": FrameNet(trunk="tiny2d", dim=8),
            "train": recipe.train.model_copy(update=pace),
        }
    )
    list(train(experiment, place.runs / "first"))
    return place


def test_a_run_is_judged_once(trained, monkeypatch):
    run, data = Run(trained.runs / "first"), DataSet(trained.data_folder("cycles"))
    first = evaluate_anomaly(run, data), evaluate_repetition(run, data)
    assert first[0].about["split"] == "test" and first[0].about["held_out"]
    assert 0 <= first[0].scores["average_precision"] <= 1
    for name in ("judge_anomaly", "judge_repetition"):
        monkeypatch.setattr(evaluate_periodic, name, None)
    again = evaluate_anomaly(run, data), evaluate_repetition(run, data)
    for a, b in zip(first, again, strict=True):
        pd.testing.assert_frame_equal(a.rows, b.rows)
        assert str(a.about) == str(b.about)
    with pytest.raises(TypeError):
        evaluate_anomaly(run, data, config=VigilConfig(alarms_per_hour=60))


def test_features_of_any_length_are_judged_by_their_lengths(perfect):
    def run(**settings):
        return SimpleNamespace(config=SimpleNamespace(encoder=SimpleNamespace(**settings)))

    for same in (run(), run(normalise=True)):
        assert meant(perfect, same) is perfect
    z = np.array([[1, 0], [3, 0], [0, 1]], np.float32)
    e = meant(Embeddings(z, perfect.index[:3]), run(normalise=False))
    far = anomaly_scores(e.z[1:], e.z[:1])[0]
    assert far[0] / far[1] == pytest.approx(np.sqrt(2), abs=0.05)  # the directions are the same


def test_the_command_prints_what_is_known(trained, monkeypatch, capsys):
    def said(*arguments):
        line = ["workbench", "evaluate", "first", *arguments, "--workspace", str(trained.root)]
        monkeypatch.setattr("sys.argv", line)
        try:
            main()
        except SystemExit as stop:
            assert stop.code == 2
        out = capsys.readouterr()
        return out.out + out.err

    anomaly, repetition = (said("--protocol", p) for p in ("anomaly", "repetition"))
    for words in ("AUROC", "5-NN F1", "stain", "false alarms", "split val"):
        assert words in anomaly
    for words in ("count, MAE", "within 1", "f1", "phase error"):
        assert words in repetition
    assert "--chunk is of --protocol detection" in said("--protocol", "anomaly", "--chunk", "4")
    assert "hop must be at least 1" in said("--protocol", "anomaly", "--hop", "0")
    chosen = ["--k", "3", "--metric", "cosine", "--phase-aware", "--threshold", "0.2"]
    chosen = said("--protocol", "anomaly", *chosen)
    for words in ("cosine distance to normal row number 3", "at the same phase", "given"):
        assert words in chosen
    assert "5 nearest rows of split train" in said("--protocol", "repetition", "--k", "5")
    assert "Not held out" in said("--protocol", "repetition", "--split", "train")
