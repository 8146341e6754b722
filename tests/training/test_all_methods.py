"""Every method and every sampler: one that is listed in the tables is tested by being there."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.training.boxes import curve, make_experiment, weights
from tests.training.turning import turning
from workbench.clock import Clock
from workbench.config import ConfigError
from workbench.data.augment import AugmentConfig
from workbench.data.video import ClipShape, VideoSource
from workbench.methods import METHODS
from workbench.sampling import SAMPLERS
from workbench.training.experiment import Experiment
from workbench.training.loader import class_names
from workbench.training.run import Run
from workbench.training.train import train
from workbench.training.trainer import Trainer
from workbench.workspace import Workspace

SMALL = {
    "queue": 16,
    "margin": 1.5,
    "dim": 16,
    "momentum": 0.9,
    "prototypes": 8,
    "frozen": 0.05,
    "freeze": False,
    "topk": 2,
}
"""Settings for eight clips of 16 pixels, for the methods that have them; see also `small`."""
OWN = {"iic": {"negatives": 8, "topk": 1, "stages": 3, "ratio": 0.9, "mine_from": 0.2}}
"""Further settings, for four recordings."""
STEPS = 16
RATES = {"uber-nce": {"lr": 0.01}}
"""For those that learn more than to tell eight examples apart."""
READS_LABELS = {"classify", "uber-nce"}
FOLLOWED = {"moco", "videomoco", "byol", "coclr", "uber-nce"}
FOLLOWS = ("key_", "target_")
"""Of FOLLOWED methods, the networks that follow another one and take no gradient."""


def small(method):
    """The settings of a method for tiny clips; what is wide by default becomes narrow."""
    fields = METHODS[method].model_fields
    chosen = {k: v for k, v in SMALL.items() if k in fields}
    wide = {k: 16 for k in fields if k in ("hidden", "bottleneck")}
    return METHODS[method](**wide | chosen | OWN.get(method, {}))


TWO = SAMPLERS["two-streams"](other="diff")


def pairs():
    """(method, sampler): all that fit, the sampler giving the views that the method takes.

    Methods that may have a teacher have one where the sampler gives two streams.
    """
    for m, method in METHODS.items():
        if method().taught_views:
            yield pytest.param(m, TWO, id=f"{m}, taught")
        for s, sampler in SAMPLERS.items():
            n = {"n": method().views} if "n" in sampler.model_fields else FOUR.get(s, {})
            fits = sampler.gives_triplets or not method.needs_triplets
            if fits and sampler(**n).views == method().views and not method.needs_teacher:
                yield pytest.param(m, sampler(**n), id=f"{m}, {s}")


FOUR = {
    "same-phase": {"triplets": 8, "every": 3, "negatives": "uniform", "whiten": 4},
    "time-contrast": {"triplets": 8, "near": 1, "far": 2},
    "same-cluster": {"every": 2, "warmup": 1, "flow": 0},
}
"""Settings of samplers for clips of four frames. What is mined before a stop serves after it."""
PAIRS = list(pairs())


def plain_sampler(method):
    """The simplest sampler that a method can do with."""
    if METHODS[method].needs_triplets:
        return SAMPLERS["time-contrast"](**FOUR["time-contrast"])
    if METHODS[method].needs_teacher:
        return TWO
    return SAMPLERS["same-video"](n=METHODS[method]().views)


@pytest.fixture(scope="module")
def turns():
    """Eight videos of a blob that turns, which is what repeats."""
    shape = ClipShape(length=4, stride=1, size=16)
    source = turning(8, frames=48, period=8, shape=shape, size=20, light=0.1)[0]
    videos = [replace(v, label="odd" if i % 2 else "even") for i, v in enumerate(source.videos)]
    return VideoSource(videos, source.shape, source.frames)


@pytest.fixture
def source(request, source, turns):
    """The videos of boxes; for what looks for repetitions those of turning blobs."""
    sampler = getattr(request.node, "callspec", None) and request.node.callspec.params.get(
        "sampler"
    )
    return turns if getattr(sampler, "name", "") == "same-phase" else source


def make(method, sampler, **settings):
    """What learns the eight videos of boxes in a second."""
    settings = {
        "evaluations": 0, "batch": 8, "lr": 0.003, "optimizer": "adam", "schedule": "constant",
        "steps": STEPS,
    } | settings  # fmt: skip
    update = {
        "method": small(method),
        "sampler": sampler,
        "augment": AugmentConfig(crop=(0.8, 1.0), flip=0, jitter=0, gray=0, blur=0),
        "teacher": "teacher" if sampler == TWO else None,
    }
    return Experiment.parse(make_experiment(**settings).model_copy(update=update).model_dump())


@pytest.fixture(autouse=True)
def teacher(request, tmp_path):
    """A run on the other stream, which nothing has been learned in; its weights."""
    sampler = getattr(request.node, "callspec", None) and request.node.callspec.params.get(
        "sampler"
    )
    method = getattr(request.node, "callspec", None) and request.node.callspec.params.get("method")
    if sampler != TWO and not (method and METHODS[method].needs_teacher):
        return None
    experiment = make_experiment()
    clip = experiment.data.clip.model_copy(update={"stream": "diff"})
    data = experiment.data.model_copy(update={"clip": clip})
    experiment = experiment.model_copy(update={"data": data, "method": small("moco")})
    state = experiment.build().state_dict()
    run = Run(tmp_path / "runs" / "teacher")
    run.folder.mkdir(parents=True)
    (run.folder / "config.yaml").write_text(experiment.to_yaml())
    run.save(state, {}, {"clock": {"step": 1}})
    return {k: v.clone() for k, v in state.items()}


def without_labels(source):
    videos = [replace(v, label=None, segments=()) for v in source.videos]
    return VideoSource(videos, source.shape, source.frames)


PROBE = pytest.param("classify", SAMPLERS["same-video"](n=1), {"freeze": True}, id="probe")


@pytest.mark.parametrize(
    ("method", "sampler", "settings"),
    [*(pytest.param(*pair.values, {}, id=pair.id) for pair in PAIRS), PROBE],
)
def test_the_loss_falls_and_what_is_frozen_stays(
    method, sampler, settings, source, tmp_path, teacher
):
    rate = {"lr": 0.03} if settings else RATES.get(method, {})  # a layer alone takes larger steps
    experiment = make(method, sampler, **rate).knowing(source)
    settings = experiment.method.model_copy(update=settings)
    built = experiment.model_copy(update={"method": settings}).build(Workspace(tmp_path))
    trainer = Trainer(built, sampler, source, experiment.augment, experiment.train)
    frozen = list(built.frozen())
    assert bool(frozen) == getattr(settings, "freeze", False)
    before = [{k: v.clone() for k, v in part.state_dict().items()} for part in frozen]
    eight = next(trainer.loader.batches(sampler.refresh(source, Clock(), trainer.embed), 0))
    built.train()
    losses = [trainer.step(eight).loss for _ in range(STEPS)]
    # a queue is full of keys, and no longer of random vectors, after the second step
    assert np.mean(losses[-4:]) < np.mean(losses[2:6]) - 0.05
    for part, state in zip(frozen, before, strict=True):
        assert all(torch.equal(v, state[k]) for k, v in part.state_dict().items())
    if teacher:
        its = built.teacher.method.state_dict()
        assert all(torch.equal(v, teacher[k]) for k, v in its.items())
    follows = [p for name, p in built.named_parameters() if name.startswith(FOLLOWS)]
    assert bool(follows) == (method in FOLLOWED)
    still = [p for part in frozen for p in part.parameters()] + follows
    assert not any(p.requires_grad for p in still)
    trainer.fabric.backward(built(trainer.batch(eight), Clock())[0])
    assert all(p.grad is None for p in built.parameters() if not p.requires_grad)
    assert any(p.grad is not None for p in built.parameters())


@pytest.mark.parametrize(("method", "sampler"), PAIRS)
def test_a_stopped_run_resumes_exactly_and_labels_change_nothing(method, sampler, source, tmp_path):
    experiment = make(method, sampler, steps=4)
    whole, parts, blind = (Run(tmp_path / "runs" / name) for name in ("whole", "parts", "blind"))
    losses = [r.loss for r in train(experiment, whole.folder, source)]
    reports = train(experiment, parts.folder, source)
    for _ in range(2):
        next(reports)
    reports.close()
    torch.manual_seed(99)  # what happens in between does not matter
    list(train(experiment, parts.folder, source))
    assert curve(parts) == curve(whole)
    left, right = weights(parts), weights(whole)
    assert left.keys() == right.keys()
    assert [k for k in left if not torch.equal(left[k], right[k])] == []

    unlabelled = train(experiment, blind.folder, without_labels(source))
    if method in READS_LABELS:
        with pytest.raises(ValueError, match="no labels"):
            next(unlabelled)
        assert not blind.folder.exists()
    else:
        assert [r.loss for r in unlabelled] == losses


@pytest.mark.parametrize("method", METHODS)
def test_a_finished_run_gives_its_method_back(method, source, tmp_path):
    run = Run(tmp_path / "runs" / "a")
    experiment = make(method, plain_sampler(method), steps=2)
    list(train(experiment, run.folder, source))
    built = run.method()
    assert not built.training
    clips = torch.randn(3, 3, 4, 16, 16)
    with torch.no_grad():
        z = built.project(clips)
        assert torch.equal(built.represent(clips), run.encoder()(clips))
    torch.testing.assert_close(z.norm(dim=1), torch.ones(3))


@pytest.mark.parametrize("method", METHODS)
def test_logs_are_plain_finite_numbers_and_change_no_weight_in_eval(method, source, tmp_path):
    settings = small(method).knowing(class_names(source), source.recordings)
    experiment = make(method, plain_sampler(method))
    experiment = experiment.model_copy(update={"method": settings})
    trainer = Trainer(experiment.build(Workspace(tmp_path)), experiment.sampler, source,
                      experiment.augment, experiment.train)  # fmt: skip
    loaded = next(trainer.loader.batches(experiment.sampler, 0))
    built = trainer.method.eval()
    before = {k: v.clone() for k, v in built.state_dict().items()}
    loss, logs = built(trainer.batch(loaded), Clock())
    assert torch.isfinite(loss)
    assert logs and all(type(v) is float and np.isfinite(v) for v in logs.values())
    assert all(torch.equal(v, before[k]) for k, v in built.state_dict().items())


@pytest.mark.parametrize("method", METHODS)
def test_too_many_views_are_refused_before_training(method):
    same, taught = {"name": "same-video", "n": 7}, METHODS[method].needs_teacher
    with pytest.raises(ConfigError, match=f"{method} takes"):
        Experiment.parse(
            {
                "data": {"name": "x"},
                "method": small(method).model_dump(),
                "sampler": {"name": "two-streams", "of": same} if taught else same,
                "teacher": "x" if taught else None,
                "train": {"batch": 8},
            }
        )


def test_small_crops_are_the_last_views_and_the_others_stay_the_same(source):
    plain = make("swav", SAMPLERS["same-video"]())
    look = plain.augment.model_copy(update={"small": 2, "small_side": 0.5})
    trainers = [
        Trainer(plain.build(), plain.sampler, source, augment, plain.train)
        for augment in (plain.augment, look)
    ]
    loaded = next(trainers[0].loader.batches(plain.sampler, 0))
    full, multi = (t.batch(loaded).views for t in trainers)
    assert [v.shape[-1] for v in multi] == [16, 16, 8, 8, 8, 8]
    assert all(torch.equal(a, b) for a, b in zip(full, multi[:2], strict=True))
    assert not torch.equal(multi[2], multi[4])  # of view 0 and of view 1
    reports = [trainers[1].step(loaded) for _ in range(12)]
    assert reports[-1].loss < reports[0].loss
