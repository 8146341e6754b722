"""Watching made-up videos whose classes are known, by networks whose answers are known."""

import numpy as np
import pytest
import torch
from torch import nn

from tests.training.boxes import make_experiment
from workbench.data.manifest import DataSet
from workbench.data.video import ClipShape, Segment, Video, VideoSource
from workbench.methods import Method
from workbench.methods.classify import ClassifyConfig
from workbench.models.resnet_gru import ResNet18GRU
from workbench.sampling import SameVideo
from workbench.training.detect import Detector, classifier, default_overlap, detect
from workbench.training.evaluate_detection import (
    default_split,
    evaluate_detection,
    find_detections,
    frame_truth,
    judge,
)
from workbench.training.run import Run, RunError
from workbench.training.train import train


class Brightness(nn.Module):
    """(B, 3, T, H, W) -> (B, T, 1): how bright each picture is."""

    dim, time_stride = 1, 1

    def forward(self, clips):
        return clips.mean(dim=(1, 3, 4)).unsqueeze(-1)


class Memory(Brightness):
    """The sum of all pictures so far."""

    def forward(self, clips):
        return self.stream(clips, None)[0]

    def stream(self, clips, state):
        first = torch.zeros(len(clips), 1, 1) if state is None else state
        found = super().forward(clips).cumsum(dim=1) + first
        return found, found[:, -1:]


class Lamp(Method):
    """Is it light, from the mean over the pictures of a clip?"""

    classes = ("background", "bright")

    def __init__(self, encoder=None):
        super().__init__()
        self.encoder = encoder or Brightness()

    def classify(self, features):
        light = features.mean(dim=1)
        return torch.cat([-light, light], dim=-1)

    def predict(self, clips):
        return self.classify(self.encoder(clips)).log_softmax(dim=-1)


def shades(values):
    """(T, 16, 16, 3) uint8 pictures of one shade each."""
    return np.repeat(np.asarray(values, np.uint8), 16 * 16 * 3).reshape(-1, 16, 16, 3)


def lamp(shape, overlap=None, encoder=None):
    return Detector(Lamp(encoder), shape, overlap, device="cpu")


FOUR = ClipShape(length=4, stride=1, size=16)


def test_chunks_come_as_soon_as_their_last_frame_is_there():
    drawn = []

    def frames():
        for k, frame in enumerate(shades([0] * 6 + [255] * 6)):
            drawn.append(k)
            yield frame

    seen = []
    for chunk in lamp(FOUR, 2).watch(frames()):
        seen.append((chunk.start, chunk.stop, chunk.label))
        assert len(drawn) == chunk.stop  # no frame beyond the chunk was needed
    assert seen == [
        (0, 4, "background"), (2, 6, "background"), (4, 8, "bright"), (6, 10, "bright"),
        (8, 12, "bright"),
    ]  # fmt: skip


def test_probabilities_are_the_network_s():
    (chunk,) = lamp(FOUR).watch(shades([255] * 4))
    assert chunk.probabilities.sum() == pytest.approx(1) and chunk.probability > 0.9
    assert chunk.probability == chunk.probabilities[1]


def test_stride_and_diff_widen_what_a_chunk_covers():
    apart = ClipShape(length=3, stride=2, size=16)
    detector = lamp(apart, 1)
    assert (detector.span, detector.hop) == (5, 4)
    frames = shades(np.arange(12) * 20)
    assert [(c.start, c.stop) for c in detector.watch(frames)] == [(0, 5), (4, 9)]
    assert (detector.pictures(frames[:5]) == frames[[0, 2, 4]]).all()
    difference = lamp(ClipShape(length=3, stride=2, size=16, stream="diff"), 1)
    assert difference.span == 6
    assert [(c.start, c.stop) for c in difference.watch(frames)] == [(0, 6), (4, 10)]
    assert (difference.pictures(frames[:6]) == 20).all()
    assert list(difference.starts(10)) == [0, 4] and list(difference.starts(9)) == [0]


@pytest.mark.parametrize(
    ("n", "length", "overlap", "expected"),
    [
        (23, 8, 3, [0, 5, 10, 15]),  # the last chunk ends with the video
        (22, 8, 3, [0, 5, 10]),  # frames 18 ... 21 are a tail
        (10, 4, 2, [0, 2, 4, 6]),
        (11, 4, 2, [0, 2, 4, 6]),
        (8, 8, 0, [0]),
    ],
)
def test_chunks_are_complete_and_a_hop_apart(n, length, overlap, expected):
    detector = lamp(ClipShape(length=length, stride=1, size=16), overlap)
    assert list(detector.starts(n)) == expected
    assert [c.start for c in detector.watch(shades([0] * n))] == expected


def test_what_cannot_be_is_said():
    with pytest.raises(ValueError, match="3 frames; a chunk of 4 pictures needs 4"):
        list(lamp(FOUR).watch(shades([0] * 3)))
    with pytest.raises(ValueError, match="Give an overlap of 0 to 3"):
        lamp(FOUR, 4)
    with pytest.raises(ValueError, match="optical flow"):
        lamp(ClipShape(length=4, stream="flow"))
    with pytest.raises(ValueError, match="carries no state"):
        list(lamp(FOUR).stream(shades([0] * 9)))


def test_default_overlaps_are_the_thesis_s():
    assert (default_overlap(8), default_overlap(4)) == (3, 2)


def test_streaming_carries_the_state_and_watching_does_not():
    frames = shades([255] * 4 + [100] * 8)  # 100 is a little darker than the middle grey
    detector = lamp(FOUR, 2, Memory())
    assert [c.label for c in detector.watch(frames)][2:] == ["background"] * 3
    streamed = list(detector.stream(frames))
    assert [c.label for c in streamed] == ["bright"] * 5
    assert [(c.start, c.stop) for c in streamed] == [
        (c.start, c.stop) for c in detector.watch(frames)
    ]
    # the same as one look at everything: the features of the last four pictures
    whole = detector._views([frames])
    features = detector.method.encoder(whole)
    for chunk in streamed:
        scores = detector.method.classify(features[:, chunk.start : chunk.stop])
        expected = scores.softmax(dim=-1)[0].numpy()
        np.testing.assert_allclose(chunk.probabilities, expected, rtol=1e-4)


def test_the_recurrent_network_streams_what_it_says_of_the_whole_video():
    torch.manual_seed(0)
    encoder = ResNet18GRU().build()
    method = ClassifyConfig(freeze=False).knowing(("background", "bright")).build(encoder).eval()
    detector = Detector(method, ClipShape(length=4, stride=1, size=32), 2, device="cpu")
    frames = np.random.default_rng(0).integers(0, 256, (12, 32, 32, 3), dtype=np.uint8)
    with torch.inference_mode():
        features = encoder(detector._views([frames]))
        streamed = list(detector.stream(frames))
        for chunk in streamed:
            scores = method.classify(features[:, chunk.start : chunk.stop])
            expected = scores.softmax(dim=-1)[0].numpy()
            np.testing.assert_allclose(chunk.probabilities, expected, rtol=1e-3)
        alone = [chunk.probabilities for chunk in detector.watch(frames)]
    assert len(streamed) == len(alone) == 5
    np.testing.assert_allclose(alone[0], streamed[0].probabilities, rtol=1e-3)
    assert not np.allclose(alone[-1], streamed[-1].probabilities, rtol=1e-3)


@pytest.mark.parametrize("stream", ["rgb", "diff"])
def test_streaming_feeds_each_picture_once(stream):
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 255, (25, 16, 16, 3), dtype=np.uint8)
    detector = lamp(ClipShape(length=4, stride=3, size=16, stream=stream), 2, Memory())
    watched, streamed = list(detector.watch(frames)), list(detector.stream(frames))
    assert [c.stop for c in watched] == [c.stop for c in streamed] and len(streamed) == 3
    # the first chunk has no past
    np.testing.assert_allclose(watched[0].probabilities, streamed[0].probabilities, rtol=1e-5)
    last = streamed[-1]
    pictures = np.arange(0, last.start + 12, 3)
    shown = frames[pictures]
    if stream == "diff":
        shown = np.abs(frames[pictures + 1].astype(int) - shown).astype(np.uint8)
    features = detector.method.encoder(detector._views([shown]))[:, -4:]
    expected = detector.method.classify(features).softmax(dim=-1)[0].numpy()
    np.testing.assert_allclose(last.probabilities, expected, rtol=1e-4)


def test_frames_between_segments_are_background_where_that_is_a_class():
    segments = (Segment(2, 4, "bright"), Segment(4, 5, "other"))
    video = Video(None, "a", "1", "bright", 8, 30.0, offset=1, segments=segments)
    source = VideoSource([video], FOUR, lambda i: None)
    classes = ("background", "bright")
    assert frame_truth(source, 0, classes).tolist() == [0, 0, 0, 1, 1, -1, 0, 0]
    assert frame_truth(source, 0, ("bright", "dim")).tolist() == [-1, -1, -1, 0, 0, -1, -1, -1]
    whole = VideoSource([Video(None, "a", "1", "bright", 3, 30.0)], FOUR, lambda i: None)
    assert frame_truth(whole, 0, classes).tolist() == [1, 1, 1]


def test_scores_of_a_video_counted_by_hand():
    """12 frames, chunks of 4 every 2; the action is [4, 10); the answer is right but late."""
    import pandas as pd

    video = Video(None, "a", "1", None, 12, 30.0, offset=2, segments=(Segment(2, 8, "bright"),))
    source = VideoSource([video], FOUR, lambda i: None)
    classes = ("background", "bright")
    truth = frame_truth(source, 0, classes)
    assert truth.tolist() == [0] * 4 + [1] * 6 + [0] * 2
    said = ["background", "background", "background", "bright", "bright"]
    starts = np.array([0, 2, 4, 6, 8]) - 2  # in frames of the recording
    right = ["background", "background", "bright", "bright", "bright"]
    straddles = [False, True, False, False, True]
    chunks = pd.DataFrame({"video": 0, "start": starts, "stop": starts + 4, "straddles": straddles})
    chunks = chunks.assign(truth=right, predicted=said)
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.6, 0.4], [0.3, 0.7], [0.1, 0.9]])
    found = judge(classes, chunks, probabilities, source, {0: truth})
    assert found["accuracy"] == 4 / 5 and found["chunks"] == 5 and found["not_judged"] == 0
    assert found["balanced_accuracy"] == pytest.approx((1 + 2 / 3) / 2)
    # the action starts at frame 4 of the video; the chunk [6, 10) is the first right one
    assert found["latency"] == {"actions": 1, "undetected": 0, "median": 6.0, "mean": 6.0}
    assert found["errors"]["missed"] == 1 and found["errors"]["straddling"] == 0
    bright = found["per_class"][1]
    assert bright["label"] == "bright" and bright["precision"] == 1 and bright["recall"] == 2 / 3
    # frames 3 ... 11 are worth .1 .1 .2 .2 .4 .4 .7 .7 .9, and 4 ... 9 are bright
    expected = (1 / 6) * (1 / 3) + (2 / 6) * (3 / 5) + (2 / 6) * (5 / 7) + (1 / 6) * (6 / 9)
    assert bright["average_precision"] == pytest.approx(expected)


@pytest.fixture
def run(workspace):
    folder = workspace / "runs" / "plain"
    list(train(make_experiment(steps=1, evaluations=0), folder))
    return Run(folder)


@pytest.fixture
def probe(workspace):
    """A classifier that has hardly learned anything."""
    experiment = make_experiment(steps=2, evaluations=0)
    data = experiment.data.model_copy(update={"splits": ("train",)})
    changes = {"method": ClassifyConfig(), "sampler": SameVideo(n=1), "data": data}
    folder = workspace / "runs" / "probe"
    list(train(experiment.model_copy(update=changes), folder))
    return Run(folder)


@pytest.fixture
def boxes(workspace):
    return DataSet(workspace / "data" / "boxes")


def test_a_run_without_classes_says_how_to_train_one(run):
    with pytest.raises(RunError, match="workbench train classify --data boxes --init plain"):
        classifier(run)


def test_the_held_out_split_is_judged_once(probe, boxes, monkeypatch):
    told = []
    found = evaluate_detection(
        probe, boxes, progress=lambda done, total: told.append((done, total))
    )
    assert found.classes == ("background", "left", "right")
    assert default_split(boxes) == found.about["split"] == "test" and found.about["held_out"]
    # 20 frames, chunks of 4 with overlap 2: 9 of each of two cameras of one recording
    assert len(found.chunks) == 18 and set(found.chunks["recording"]) == {"r3"}
    assert told[-1] == (18, 18)
    assert found.chunks["start"].tolist()[:9] == list(range(0, 18, 2))
    assert found.chunks["truth"].tolist()[:3] == ["background", "right", "right"]
    assert found.chunks["straddles"].tolist()[:4] == [True, True, False, False]
    np.testing.assert_allclose(found.probabilities.sum(1), 1, rtol=1e-5)
    assert found.confusion.sum() == 18 and found.scores["speed"] > 0
    right = (found.chunks["truth"] == found.chunks["predicted"]).mean()
    assert found.scores["accuracy"] == pytest.approx(right)

    monkeypatch.setattr(Detector, "classify", None)  # it would fail if it worked again
    again = evaluate_detection(probe, boxes)
    assert again.chunks.equals(found.chunks) and again.about == found.about
    assert len(find_detections(probe, boxes)) == 1


def test_batches_say_what_watching_says(probe, boxes):
    found = evaluate_detection(probe, boxes, chunk=8, overlap=3)
    detector = Detector.of(probe, 8, 3)
    source = boxes.source(detector.shape)
    watched = [
        c for i in dict.fromkeys(found.chunks["video"]) for c in detector.watch(source.frames(i))
    ]
    assert [c.start for c in watched] == found.chunks["start"].tolist() == [0, 5, 10] * 2
    np.testing.assert_allclose([c.probabilities for c in watched], found.probabilities, rtol=1e-4)
    assert [c.label for c in detect(probe, source.frames(6), 8, 3)] == [
        c.label for c in watched[:3]
    ]


def test_other_weights_or_settings_are_judged_anew(probe, boxes):
    evaluate_detection(probe, boxes)
    evaluate_detection(probe, boxes, split="train")
    evaluate_detection(probe, boxes, overlap=0)
    assert len(find_detections(probe, boxes)) == 3
    assert not evaluate_detection(probe, boxes, split="all").about["held_out"]
    model, rest, about = probe.load()
    probe.save({k: v + 1 for k, v in model.items()}, rest, about)
    assert find_detections(probe, boxes) == []


def test_what_the_start_of_a_run_was_trained_on_is_not_held_out(run, workspace, boxes):
    """`run` has seen all of the data set, the probe on top of it only the split train."""
    data = run.config.data.model_copy(update={"splits": ("train",)})
    taught = {"method": ClassifyConfig(), "sampler": SameVideo(n=1), "data": data, "init": "plain"}
    folder = workspace / "runs" / "on-plain"
    list(train(make_experiment(steps=1, evaluations=0).model_copy(update=taught), folder))
    assert not evaluate_detection(Run(folder), boxes).about["held_out"]


def test_wrong_input_is_explained(probe, boxes, workspace):
    with pytest.raises(ValueError, match="no videos in split 'val'"):
        evaluate_detection(probe, boxes, split="val")
    with pytest.raises(ValueError, match="20 frames; a chunk of 32 pictures needs 32"):
        evaluate_detection(probe, boxes, chunk=32)
    with pytest.raises(ValueError, match="carries no state"):
        evaluate_detection(probe, boxes, streaming=True)
    blank = boxes.table.assign(label=None)
    blank.to_parquet(boxes.folder / "videos.parquet")
    boxes.segments[:0].to_parquet(boxes.folder / "segments.parquet")
    with pytest.raises(ValueError, match="has no labels"):
        evaluate_detection(probe, DataSet(boxes.folder), overlap=1)
    boxes.table.assign(label="up").to_parquet(boxes.folder / "videos.parquet")
    with pytest.raises(ValueError, match="Labels there: up; the run tells apart"):
        evaluate_detection(probe, DataSet(boxes.folder), overlap=1)


def test_a_torn_folder_is_made_again(probe, boxes):
    evaluate_detection(probe, boxes)
    (folder,) = find_detections(probe, boxes)
    (folder / "about.json").unlink()
    assert find_detections(probe, boxes) == []
    assert len(evaluate_detection(probe, boxes).chunks) == 18
