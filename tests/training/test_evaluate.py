from dataclasses import replace

import numpy as np
import pytest
import torch

from workbench.data.video import VideoSource
from workbench.training.embed import describe
from workbench.training.evaluate import Examination, collapse

CLASS = {"left": (1.0, 0.0), "right": (0.0, 1.0)}


def altered(source, change):
    return VideoSource([change(v) for v in source.videos], source.shape, source.frames)


def splits_of(exam):
    table = describe(exam.source, exam.labelled)
    return table, table[exam.queries], table[exam.bank]


def test_held_out_windows_ask_and_the_training_split_votes(source):
    table, queries, bank = splits_of(Examination(source))
    assert set(queries["split"]) == {"test"}
    assert set(bank["split"]) == {"train"}
    assert not set(queries["recording"]) & set(bank["recording"])
    assert "background" not in set(table["label"])
    assert len(queries) + len(bank) == len(table)


def test_the_start_of_a_video_is_background_and_takes_no_part(source):
    exam = Examination(source)
    shown = describe(source, [source.clip(0, 0)])
    assert list(shown["label"]) == ["background"]
    assert all(clip.start > 0 for clip in exam.labelled)


@pytest.mark.parametrize("split", [None, "train", "test"])
def test_without_two_sides_each_recording_is_held_out_in_turn(source, split):
    exam = Examination(altered(source, lambda v: replace(v, split=split)))
    assert exam.labelled
    assert exam.queries.all() and exam.bank.all()


def test_segments_are_asked_for_where_no_window_shows_what_its_video_is_labelled(source):
    exam = Examination(altered(source, lambda v: replace(v, label="a morning")))
    table, queries, _ = splits_of(exam)
    assert {"left", "right"} <= set(table["label"])
    assert set(queries["split"]) == {"test"}


@pytest.mark.parametrize("label", ["whole", None])
def test_what_no_segment_names_takes_no_part_either(source, label):
    def actions(v):
        return replace(v, label=v.label if label else None, segments=v.segments[1:])

    exam = Examination(altered(source, actions))
    table, _, _ = splits_of(exam)
    assert set(table["label"]) == {"left", "right"}
    assert all(clip.start > 0 for clip in exam.labelled)


def test_one_action_is_told_from_background(source):
    def swings(v):
        return replace(v, label=None, segments=(replace(v.segments[1], start=9, label="swing"),))

    _, queries, bank = splits_of(Examination(altered(source, swings)))
    assert set(queries["label"]) == set(bank["label"]) == {"background", "swing"}


@pytest.mark.parametrize("known", ["nothing", "one class", "one recording"])
def test_nothing_is_asked_where_nobody_can_vote(source, known):
    change = {
        "nothing": lambda v: replace(v, label=None, segments=()),
        "one class": lambda v: replace(v, label="left", segments=()),
        "one recording": lambda v: replace(v, recording="r0"),
    }[known]
    exam = Examination(altered(source, change))
    assert exam.labelled == []
    assert "knn" not in exam.judge(lambda x: torch.zeros(len(x), 1, 2))


@pytest.mark.parametrize("right", [True, False])
def test_the_score_is_that_of_the_held_out_recording(source, right):
    """Features that tell the class but in the held-out recording, where they may lie."""
    exam = Examination(source)
    told = []
    for clip, asked in zip(exam.labelled, exam.queries, strict=True):
        z = np.array(CLASS[source.videos[clip.video].label])
        told.append(z if right or not asked else z[::-1])
    rows = iter(torch.tensor(np.array(told), dtype=torch.float32))

    def encoder(views):
        return torch.stack([next(rows) for _ in views])[:, None]

    exam.moments = []
    scores = exam.judge(encoder)
    assert scores["knn"] == float(right)
    assert scores["knn_chance"] == 0.0  # the training split has more of left, the rest is right


def test_positives_are_the_same_moment_of_two_cameras(source):
    exam = Examination(source)
    clips = exam.labelled + exam.moments
    for a, b in zip(*exam.positives, strict=True):
        first, second = (source.videos[clips[k].video] for k in (a, b))
        assert first.recording == second.recording and first.camera != second.camera
        assert clips[a].start - first.offset == clips[b].start - second.offset


@pytest.mark.parametrize("labels", [True, False])
def test_with_one_camera_positives_follow_each_other(source, labels):
    def alone(v):
        bare = {} if labels else {"label": None, "segments": ()}
        return replace(v, recording=f"{v.recording}{v.camera}", **bare)

    exam = Examination(altered(source, alone))
    clips = exam.labelled + exam.others
    assert bool(exam.labelled) == labels and clips and not exam.moments
    for a, b in zip(*exam.positives, strict=True):
        assert clips[a].video == clips[b].video and clips[a].start < clips[b].start


def test_health_of_features_and_of_what_the_loss_sees(source):
    exam = Examination(source)

    rng = torch.Generator().manual_seed(0)

    def encoder(views):  # evenly spread
        return torch.randn(len(views), 1, 6, generator=rng)

    scores = exam.judge(encoder, project=lambda z: z * 0 + 1)
    assert scores["feature_std"] > 0.9 and scores["feature_rank"] > 5
    assert scores["projected_std"] == pytest.approx(0, abs=1e-6)
    assert scores["projected_rank"] == pytest.approx(1)
    assert scores["projected_alignment"] == 0
    assert scores["projected_uniformity"] == pytest.approx(0, abs=1e-5)
    assert "the vectors that the loss sees: every clip" in collapse(scores)
    alone = exam.judge(encoder)
    assert not any(name.startswith("projected") for name in alone)
    assert collapse(alone) == ""
    random = {f"{k}_random": v for k, v in scores.items()}
    assert collapse(scores | random)  # nothing at all is a collapse, whatever it is compared with
    assert collapse({}) == "" and collapse({"knn": 0.5}) == ""


def test_what_is_told_is_judged_on_videos_not_trained_on(source):
    exam = Examination(source, ("train",))
    truth = describe(source, exam.held_out)
    assert set(truth["split"]) == {"test"}

    def encoder(clips):
        return torch.zeros(len(clips), 1, 3)

    right = exam.judge(encoder, tell=lambda z: list(truth["label"]) if len(z) else [])
    assert right["held_out_accuracy"] == 1
    commonest = truth["label"].value_counts()
    constant = exam.judge(encoder, tell=lambda z: [commonest.index[0]] * len(z))
    assert constant["held_out_accuracy"] == constant["held_out_accuracy_chance"]
    assert constant["held_out_accuracy_chance"] == commonest.iloc[0] / len(truth)


@pytest.mark.parametrize("trained", [None, ("train", "test")])
def test_where_all_is_trained_on_nothing_is_held_out(source, trained):
    exam = Examination(source, trained)
    scores = exam.judge(lambda c: torch.zeros(len(c), 1, 3), tell=lambda z: ["left"] * len(z))
    assert not [k for k in scores if k.startswith("held_out")]


def test_what_no_other_recording_shows_is_not_asked(source):
    """Of two recordings with a label of their own and one in common, the one in common."""
    alone = {"r0": "one", "r1": "two"}

    def change(v):
        own = [replace(s, label=alone.get(v.recording, s.label)) for s in v.segments[1:]]
        return replace(v, label=None, segments=(v.segments[0], *own), split=None)

    exam = Examination(altered(source, change))
    _, queries, bank = splits_of(exam)
    assert not set(queries["label"]) & set(alone.values())
    assert set(alone.values()) <= set(bank["label"])
