import json
import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.training.boxes import SHAPE
from workbench.analysis.mining import class_mining_recall
from workbench.analysis.retrieval import centred
from workbench.cli import main
from workbench.config import ConfigError
from workbench.data.augment import AugmentConfig
from workbench.data.manifest import COLUMNS, DataSet
from workbench.data.video import Clip, ClipShape
from workbench.methods.moco import MoCoConfig
from workbench.methods.swav import SwAVConfig
from workbench.models.tiny3d import Tiny3D
from workbench.sampling import SameVideo
from workbench.training.experiment import DataConfig, Experiment, TrainConfig
from workbench.training.protocols import PROTOCOLS, Clusters, Finetune, Linear, Mining, Retrieval
from workbench.training.protocols import base as protocols_base
from workbench.training.protocols.base import Outcome, find_judgements
from workbench.training.protocols.cached import FewShots, Probe
from workbench.training.protocols.classification import fused_predictions, judged, predictions
from workbench.training.protocols.trained import TenCrop
from workbench.training.run import Run, RunError
from workbench.training.train import train
from workbench.training.video_features import Filled, classify_videos, spread, video_windows
from workbench.views.judgement import write_judgement
from workbench.workspace import Workspace

SHORT = 3
TRAIN, TEST = 8, 6


def frames_of(k, n=12):
    """A bright field whose side tells the class, as even an untrained network sees."""
    rng = np.random.default_rng(k)
    frames = np.repeat(rng.integers(0, 60, (1, 20, 24, 3), np.uint8), n, axis=0)
    for t in range(n):
        if k % 2:
            frames[t, :, 12:] = 150 + 8 * t
        else:
            frames[t, :10] = 240 - 8 * t
    return frames


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    root = tmp_path_factory.mktemp("protocols")
    folder, rows = root / "data" / "fields", []
    for k in range(TRAIN + TEST):
        n = SHORT if k == TRAIN else 12
        (folder / "videos" / str(k)).mkdir(parents=True)
        np.save(folder / "videos" / str(k) / "frames.npy", frames_of(k, n))
        rows.append(dict.fromkeys(COLUMNS) | {
            "key": str(k), "path": f"v{k}.mp4", "recording": f"v{k}", "camera": "0",
            "label": "right" if k % 2 else "top", "split": "train" if k < TRAIN else "test",
            "tags": "", "offset": 0, "n_frames": n, "fps": 25.0,
        })  # fmt: skip
    pd.DataFrame(rows).to_parquet(folder / "videos.parquet")
    (folder / "dataset.json").write_text(
        json.dumps({"name": "fields", "side": 20, "fingerprint": "f"})
    )
    runs = {
        "plain": (MoCoConfig(queue=8, hidden=8, dim=6, momentum=0.9), "rgb"),
        "grouped": (SwAVConfig(prototypes=4, hidden=8, dim=6), "diff"),
    }
    for name, (method, stream) in runs.items():
        clip = ClipShape(**{**SHAPE.model_dump(), "stream": stream})
        experiment = Experiment(
            data=DataConfig(name="fields", splits=("train",), clip=clip),
            encoder=Tiny3D(width=4),
            sampler=SameVideo(),
            method=method,
            augment=AugmentConfig(blur=0.0),
            train=TrainConfig(
                steps=2, batch=4, evaluations=0, device="cpu", precision="fp32", lr=1e-4
            ),
        )
        list(train(experiment, root / "runs" / name))
    return Workspace(root)


@pytest.fixture
def data(place):
    return DataSet(place.data / "fields")


@pytest.fixture
def plain(place):
    return Run(place.runs / "plain")


@pytest.fixture
def grouped(place):
    return Run(place.runs / "grouped")


def test_every_video_is_seen_also_a_short_one(data, plain):
    source = data.source(plain.config.data.clip)
    assert [c.start for c in spread(source, 0)] == list(range(9))
    assert [c.start for c in spread(source, 0, 3)] == [0, 4, 8]
    (short,) = spread(source, TRAIN)
    pixels, frames = Filled(source).pixels(short), frames_of(TRAIN, SHORT)
    assert (pixels == frames[[0, 0, 1, 2]]).all()
    motion = data.source(ClipShape(**{**SHAPE.model_dump(), "stream": "diff"}))
    filled = Filled(motion).pixels(Clip(TRAIN, 0, 4, 1, "diff"))
    step = frames[1].astype(int) - frames[0]
    assert (filled[:3] == np.abs(step)).all() and len(filled) == 4
    windows = video_windows(plain, data, "test")
    assert windows.videos.tolist() == list(range(TRAIN, TRAIN + TEST))
    assert len(windows.z) == 9 * (TEST - 1) + 1
    mean = windows.per_video(windows.z, unit_windows=False)
    assert mean[1] == pytest.approx(windows.z[1:10].mean(0), abs=1e-5)


def test_retrieval_is_kept_and_is_what_the_features_say(data, plain, monkeypatch):
    found = Retrieval().evaluate(plain, data)
    assert list(found.scores["score"]) == ["R@1", "R@5"]  # a bank of 8 has no 10 nearest
    assert "too small for k of 10, 20, 50" in " ".join(found.about["notes"])
    assert found.about["held_out"] and found.about["split"] == "test"
    new, known = (video_windows(plain, data, s) for s in ("test", "train"))
    q, b = (centred(w.per_video(w.z)) for w in (new, known))
    nearest = (q @ b.T).argmax(1)
    classes = np.array([v.label for v in data.videos])
    assert found.score("R@1") == np.mean(classes[:TRAIN][nearest] == classes[TRAIN:])
    assert found.score("R@1", "chance") == pytest.approx(0.5)
    first = found.tables["neighbours"].query("rank == 1")
    assert list(first["recording"]) == [f"v{k}" for k in nearest]
    assert first["right"].tolist() == (first["label"] == first["query_label"]).tolist()
    monkeypatch.setattr(Retrieval, "find", None)
    again = Retrieval().evaluate(plain, data)
    pd.testing.assert_frame_equal(again.scores, found.scores)
    assert find_judgements(plain, data, "retrieval") == [found.folder]
    with pytest.raises(TypeError):
        Retrieval(k=(2,)).evaluate(plain, data)


def test_two_runs_are_judged_together(data, plain, grouped):
    found = Retrieval(k=(1, 2)).evaluate(plain, data, grouped)
    assert list(found.scores.columns[-2:]) == ["plain", "grouped"]
    alone = Retrieval(k=(1, 2)).evaluate(plain, data)
    assert found.score("R@1", "plain") == alone.score("R@1")
    both = Probe(epochs=30).evaluate(plain, data, grouped)
    each = [Probe(epochs=30).evaluate(r, data) for r in (plain, grouped)]
    mean = sum(p.tables["predictions"][["right", "top"]] for p in each) / 2
    pd.testing.assert_frame_equal(both.tables["predictions"][["right", "top"]], mean)
    assert list(both.scores.columns) == ["score", "value", "chance", "plain", "grouped"]
    with pytest.raises(ValueError, match="judges one run at a time"):
        Clusters(by="finch").evaluate(plain, data, grouped)


def test_predictions_are_matched_by_name(data):
    classes = ("right", "top")
    one = predictions(data, [8, 9, 10], np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]]), classes)
    two = predictions(data, [10, 8, 9], np.array([[0.1, 0.9], [0.7, 0.3], [0.2, 0.8]]), classes)
    found = fused_predictions(one, two[["recording", "camera", "top", "right"]])
    assert found["right"].tolist() == pytest.approx([0.8, 0.2, 0.3])
    with pytest.raises(ValueError, match="different videos: 3 and 2"):
        fused_predictions(one, two[:2])
    with pytest.raises(ValueError, match="different classes: right, top; and right, left"):
        fused_predictions(one, two.rename(columns={"top": "left"}))


def test_classes_are_judged_by_hand(data):
    said = np.array([[0.9, 0.1], [0.6, 0.4], [0.3, 0.7]])  # truth: top, right, top
    found = judged(data, [8, 9, 10], {"it": predictions(data, [8, 9, 10], said, ("right", "top"))})
    scores = found.scores.set_index("score")
    assert scores.loc["top-1", "value"] == pytest.approx(2 / 3)
    assert scores.loc["top-1", "chance"] == pytest.approx(2 / 3)
    assert scores.loc["mean of classes", "value"] == pytest.approx((1 / 2 + 1) / 2)
    assert found.tables["confusion"].to_numpy().tolist() == [["right", 1, 0], ["top", 1, 1]]
    with pytest.raises(ValueError, match="the run tells apart a, b: none of them"):
        judged(data, [8], {"it": predictions(data, [8], said[:1], ("a", "b"))})


def test_features_of_planted_classes_are_told_apart(data, plain):
    assert Probe(epochs=60).evaluate(plain, data).score("top-1") == 1
    found = FewShots(shots=(1, 3), draws=4).evaluate(plain, data)
    assert list(found.scores["score"]) == [
        "1 shot, nearest", "1 shot, linear", "3 shots, nearest", "3 shots, linear"
    ]  # fmt: skip
    assert found.score("3 shots, nearest") > 0.8 and found.score("3 shots, linear", "chance") == 0.5
    assert len(found.tables["draws"]) == 16


def test_classifiers_are_trained_from_a_run_and_found_again(data, place, plain, grouped):
    settings = Linear(epochs=1, batch=4)
    found = settings.evaluate(plain, data, grouped)
    for name in ("plain", "grouped"):
        made = Run(place.runs / f"{name}-linear")
        assert (
            made.config.init == name and made.config.method.freeze and made.config.train.epochs == 1
        )
        assert made.config.data.clip == Run(place.runs / name).config.data.clip
        assert made.config.method.classes == ("right", "top") and made.config.data.splits == (
            "train",
        )
    before = made.model_path.stat().st_mtime_ns
    settings.model_copy(update={"clips": 2}).evaluate(grouped, data)
    assert made.model_path.stat().st_mtime_ns == before
    assert list(found.scores.columns) == [
        "score",
        "value",
        "chance",
        "plain-linear",
        "grouped-linear",
    ]

    ten = TenCrop().evaluate(Run(place.runs / "plain-linear"), data)
    assert {"top-1", "mean of classes"} == set(ten.scores["score"]) and "middle crop" in ten.scores
    videos, said = classify_videos(Run(place.runs / "plain-linear"), data, "test", ten=True)
    assert videos.tolist() == list(range(8, 14)) and said.sum(1) == pytest.approx(
        np.ones(6), abs=1e-4
    )
    assert ten.tables["predictions"][["right", "top"]].to_numpy() == pytest.approx(said, abs=1e-6)
    with pytest.raises(RunError, match="run 'plain' is no classifier"):
        TenCrop().evaluate(plain, data)


def test_the_papers_numbers_can_be_had(plain):
    whole = Finetune(paper=True).experiment(plain)
    assert (whole.train.epochs, whole.train.lr, whole.train.batch) == (500, 0.1, 128)
    assert whole.method.dropout == 0.9 and not whole.method.freeze
    assert [round(d * 500) for d in whole.train.drops] == [200, 300, 400, 450]
    linear = Linear(paper=True).experiment(plain)
    assert (linear.train.epochs, linear.train.lr, linear.train.drops) == (100, 0.1, (0.6, 0.8))
    assert linear.method.normalise and linear.train.weight_decay == 1e-3
    coclr = Finetune(optimizer="adam", lr=1e-3, encoder_rate=0.1, drops=(0.8, 0.9), epochs=3)
    assert coclr.experiment(plain).train.optimizer == "adam" and coclr.length == 3


def test_prototypes_are_judged_against_classes(data, grouped, plain):
    found = Clusters().evaluate(grouped, data)
    assert set(found.scores["score"]) >= {"accuracy", "NMI", "ARI", "purity", "bits"}
    assert found.tables["classes"][["right", "top"]].to_numpy().sum() == TEST
    assert found.tables["usage"]["videos"].sum() == TEST
    assert found.tables["usage"]["windows"].sum() == 8 * (TEST - 1) + 1
    assert list(found.tables["videos"]["recording"]) == [f"v{k}" for k in range(8, 14)]
    near = found.tables["exemplars"]
    assert near["score"].between(-1, 1).all() and set(near["recording"]) <= set(
        found.tables["videos"]["recording"]
    )
    for _, of in near.groupby("prototype"):
        assert of["recording"].is_unique and of["score"].is_monotonic_decreasing
        assert of["rank"].tolist() == list(range(1, len(of) + 1))
    assert "Exemplars" in write_judgement(found).read_text()
    by = Clusters(by="kmeans").evaluate(plain, data)
    assert by.tables["classes"]["cluster"].tolist() == [0, 1] and by.score("NMI") >= 0
    assert Clusters(by="finch", k=2).evaluate(plain, data).score("accuracy") >= 0.5
    with pytest.raises(RunError, match=r"'plain' .moco. has no prototypes.*--by finch"):
        Clusters().evaluate(plain, data)


def test_mining_is_judged_epoch_by_epoch(data, place, grouped, monkeypatch):
    with pytest.raises(RunError, match="kept neither mined positives nor clusters"):
        Mining().evaluate(grouped, data)
    names = [f"v{k}" for k in range(TRAIN)]
    pairs = {0: ([0, 1], [1, 2]), 2: ([0, 1, 2, 4], [2, 3, 4, 6])}
    clusters = [0, 1, 0, 1, 0, 1, 0, 0]
    for kind in ("mined", "clusters"):
        (grouped.folder / kind).mkdir()
    for epoch, (anchor, positive) in pairs.items():
        pd.DataFrame({
            "step": 0, "anchor": [names[k] for k in anchor],
            "positive": [names[k] for k in positive],
        }).to_parquet(grouped.folder / "mined" / f"{epoch}.parquet")  # fmt: skip
    pd.DataFrame({"recording": names, "cluster": clusters}).to_parquet(
        grouped.folder / "clusters" / "1.parquet"
    )
    found = Mining().evaluate(grouped, data)
    labels = ["right" if k % 2 else "top" for k in range(TRAIN)]
    expected = class_mining_recall(*pairs[2], labels)
    assert found.score("median class mining recall") == pytest.approx(expected.median)
    assert found.score("false positive rate, mined") == 0
    assert found.score("false positive rate, clusters") == pytest.approx(4 / (10 + 3))
    assert found.score("false negative rate, triplets") > 0
    assert found.tables["epochs"]["epoch"].tolist() == [0, 1, 2]
    assert found.tables["classes"]["recall"].max() == pytest.approx(3 / 4)
    early = Mining(epoch=1).evaluate(grouped, data)
    assert early.score("false positive rate, mined") == 1
    page = write_judgement(found).read_text()
    assert "class mining recall" in page and "Along training" in page
    with pytest.raises(ValueError, match="kept nothing up to epoch 0; the first is of epoch 1"):
        (grouped.folder / "mined" / "0.parquet").unlink()
        (grouped.folder / "mined" / "2.parquet").unlink()
        Mining(epoch=0).evaluate(grouped, data)


def test_what_the_data_lacks_is_said(data, plain, place, tmp_path):
    for protocol, words in [
        (Retrieval(split="dev"), r"no videos in split 'dev'. Its splits: test, train"),
        (Retrieval(split="train"), r"8 videos .* both judged .* and known"),
        (Retrieval(bank="val"), r"no videos in split 'val'"),
        (Retrieval(k=(1, 99)), r"R@99 looks at the 99 nearest rows and the bank has 8"),
        (FewShots(shots=(9,)), r"9 shots need 9 examples of each class; one class has 4"),
    ]:
        with pytest.raises(ValueError, match=words):
            protocol.evaluate(plain, data)

    class Plain:
        name, fingerprint, flow, frames = "fields", "other", None, data.frames
        source, table, videos = data.source, data.table, data.videos

    unsplit = Plain()
    unsplit.table = data.table.assign(split=None)
    unsplit.videos = [type(v)(**{**vars(v), "split": None}) for v in data.videos]
    with pytest.raises(ValueError, match=r"no videos in split 'train'. It has no splits: index it"):
        Retrieval().evaluate(plain, unsplit)
    unnamed = Plain()
    unnamed.fingerprint = "third"
    unnamed.videos = [type(v)(**{**vars(v), "label": None}) for v in data.videos]
    with pytest.raises(ValueError, match=r"none of these 6 videos .* has a label to judge by"):
        Retrieval().evaluate(plain, unnamed)
    bare = plain.export(tmp_path / "runs" / "bare")
    with pytest.raises(RunError, match="holds the encoder alone"):
        Retrieval(features="head").evaluate(bare, data)
    assert Retrieval().evaluate(bare, data).score("R@1") == Retrieval().evaluate(plain, data).score(
        "R@1"
    )


def test_a_table_is_read_as_it_was_written(data, plain, monkeypatch):
    class Odd(Retrieval):
        def find(self, run, dataset, partner, progress):
            scores = pd.DataFrame({"score": ["NA"], "value": [0.5], "chance": [np.nan]})
            return Outcome(scores, {"empty": pd.DataFrame({"x": []})}, ("said",))

    found = Odd(clips=7).evaluate(plain, data)
    assert found.scores["score"].tolist() == ["NA"] and np.isnan(found.scores["chance"][0])
    assert len(found.tables["empty"]) == 0 and found.about["notes"] == ["said"]
    assert protocols_base.load_judgement(found.folder).score("NA") == 0.5


def test_the_command_judges_prints_and_draws(place, monkeypatch, capsys):
    def said(*arguments, code=0):
        line = ["workbench", "evaluate", *map(str, arguments), "--workspace", str(place.root)]
        monkeypatch.setattr(sys, "argv", line)
        try:
            main()
            ended = 0
        except SystemExit as stop:
            ended = stop.code
        out = capsys.readouterr()
        assert ended == code, out
        return out.out + out.err

    text = said(
        "plain", "--protocol", "retrieval", "--with", "grouped", "--k", 1, 3, "--no-centred"
    )
    for words in ("retrieval of plain with grouped", "chance", "R@3", "not centred", "figure:"):
        assert words in text
    figure = Path(re.search("figure: (.*)", text)[1])
    assert "How often one of the k nearest" in figure.read_text()
    for name, extra in [("probe", ["--epochs", 3]), ("few-shot", ["--draws", 2]),
                        ("clusters", ["--by", "kmeans"])]:  # fmt: skip
        assert "chance" in said("plain", "--protocol", name, *extra)
    assert "--shots is of --protocol few-shot, not of probe" in said(
        "plain", "--protocol", "probe", "--shots", 3, code=2
    )
    assert "epochs must be at least 1; found 0" in said(
        "plain", "--protocol", "probe", "--epochs", 0, code=2
    )
    assert "Did you mean 'retrieval'" in said("plain", "--protocol", "retreival", code=2)
    assert "has no prototypes" in said("plain", "--protocol", "clusters", code=1)
    assert "judges one run" in said("plain", "--protocol", "mining", "--with", "grouped", code=2)
    assert "--draws" in said("plain", "--protocol", "few-shot", "--help")
    assert "ten-crop" in said("--help")


def test_settings_have_bounds_and_words():
    for name, protocol in PROTOCOLS.items():
        assert protocol.name == name and protocol.__doc__
        assert all(f.description for f in protocol.model_fields.values()), name
    with pytest.raises(ConfigError, match="clips must be at least 1"):
        Retrieval.parse({"clips": 0})
