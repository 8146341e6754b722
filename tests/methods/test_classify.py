import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from workbench.clock import Clock
from workbench.config import ConfigError
from workbench.data.batch import Batch
from workbench.methods.classify import ClassifyConfig, cross_entropy, majority
from workbench.models import ENCODERS
from workbench.training.experiment import Experiment

CLASSES = ("a", "b", "c")


def tiny(**settings):
    torch.manual_seed(0)
    encoder = ENCODERS["tiny3d"](width=4).build()
    return ClassifyConfig(classes=CLASSES, **settings).build(encoder).train()


def batch(label, n=3, frames=4):
    clips = torch.randn(n, 3, frames, 16, 16, generator=torch.Generator().manual_seed(1))
    return Batch((clips,), torch.arange(n), torch.as_tensor(label))


@pytest.mark.parametrize(
    ("frames", "length", "expected"),
    [
        ([0, 0, 1, 1, 1], 5, [1]),
        ([2, 1, 1, 2], 4, [2]),  # a tie: what occurs first, not what is smallest
        ([1, 0, 0, 1], 4, [1]),
        ([-1, -1, -1, 2], 4, [2]),  # unknown frames have no vote
        ([-1, -1, -1, -1], 4, [-1]),
        ([0, 1, 1, 2, 2], 2, [0, 1, 2]),  # the last part may be shorter
        ([0, 0, 0, 0, 1, 1, 1, 1, 2], 4, [0, 1, 2]),
        ([0, 1, 2], 1, [0, 1, 2]),
    ],
)
def test_the_majority_of_the_frames_is_the_label(frames, length, expected):
    assert majority(torch.tensor([frames, frames]), length).tolist() == [expected, expected]


def test_cross_entropy_is_torchs_on_what_is_labelled():
    scores, target = torch.randn(6, 3), torch.tensor([0, 1, -1, 0, 0, 2])
    known = target >= 0
    torch.testing.assert_close(
        cross_entropy(scores, target), F.cross_entropy(scores[known], target[known])
    )
    # three of class 0, one of each other: weights that torch averages by
    weight = torch.tensor([1 / 3, 1.0, 1.0])
    torch.testing.assert_close(
        cross_entropy(scores, target, balanced=True),
        F.cross_entropy(scores[known], target[known], weight=weight),
    )


@pytest.mark.parametrize("balanced", [False, True])
def test_a_batch_without_labels_has_zero_loss_and_zero_gradient(balanced):
    method = tiny(balanced=balanced)
    loss, logs = method(batch(torch.full((3, 4), -1)), Clock())
    loss.backward()
    assert loss.item() == 0
    assert logs == {"accuracy": 0, "share_labelled": 0}
    gradients = [p.grad for p in method.classifier.parameters()]
    assert all(torch.equal(g, torch.zeros_like(g)) for g in gradients)


@pytest.mark.parametrize("per_frame", [False, True])
def test_loss_and_logs_are_those_of_the_predictions(per_frame):
    method = tiny(per_frame=per_frame).eval()
    b = batch([[0, 0, 1, 1], [2, 2, 2, 2], [-1, -1, 1, 1]])
    log_p = method.predict(b.views[0])
    assert log_p.shape == ((3, 2, 3) if per_frame else (3, 3))
    torch.testing.assert_close(log_p.exp().sum(-1), torch.ones(log_p.shape[:-1]))
    target = torch.tensor([[0, 1], [2, 2], [-1, 1]] if per_frame else [0, 2, 1])
    known = target >= 0
    loss, logs = method(b, Clock())
    torch.testing.assert_close(loss, F.nll_loss(log_p[known], target[known]))
    hits = (log_p[known].argmax(-1) == target[known]).float().mean()
    assert logs["accuracy"] == pytest.approx(hits.item())
    assert logs["share_labelled"] == pytest.approx(known.float().mean().item())


def test_untrained_it_knows_nothing():
    loss, _ = tiny()(batch([[0] * 4, [1] * 4, [2] * 4]), Clock())
    assert loss.item() == pytest.approx(math.log(3), abs=0.1)


def test_a_probe_leaves_the_encoder_as_it_is():
    method = tiny(freeze=True)
    before = {k: v.clone() for k, v in method.encoder.state_dict().items()}
    assert not method.encoder.training
    assert method.classifier.training
    (weights,) = (g.weights for g in method.weight_groups())
    optimizer = torch.optim.SGD(weights, 1.0)
    loss, _ = method(batch([[0] * 4, [1] * 4, [2] * 4]), Clock())
    loss.backward()
    assert all(p.grad is None for p in method.encoder.parameters())
    optimizer.step()
    assert all(torch.equal(v, before[k]) for k, v in method.encoder.state_dict().items())


def test_the_whole_learns_at_two_rates():
    method = tiny(freeze=False, encoder_rate=0.1)
    assert method.encoder.training
    head, encoder = method.weight_groups()
    assert (head.rate, encoder.rate) == (1.0, 0.1)
    assert {*map(id, head.weights)} == {*map(id, method.classifier.parameters())}
    assert {*map(id, encoder.weights)} == {*map(id, method.encoder.parameters())}
    loss, _ = method(batch([[0] * 4, [1] * 4, [2] * 4]), Clock())
    loss.backward()
    assert all(p.grad is not None for p in method.parameters())


class Recurrent(nn.Module):
    """A pretrained net per frame, and memory on top that nothing has taught yet."""

    dim, time_stride = 5, 1

    def __init__(self):
        super().__init__()
        self.pretrained = nn.Sequential(nn.Linear(3, 5), nn.LayerNorm(5))
        self.memory = nn.GRU(5, 5, batch_first=True)

    def forward(self, clips):
        return self.memory(self.pretrained(clips.mean(dim=(3, 4)).transpose(1, 2)))[0]


def test_a_probe_of_a_recurrent_encoder_still_teaches_its_memory():
    encoder = Recurrent()
    method = ClassifyConfig(classes=CLASSES).build(encoder).train()
    assert not encoder.pretrained.training
    assert encoder.memory.training
    (group,) = method.weight_groups()
    learns = [*encoder.memory.parameters(), *method.classifier.parameters()]
    assert {*map(id, group.weights)} == {*map(id, learns)}
    assert not any("pretrained." in k and "encoder" not in k for k in method.state_dict())
    fine = ClassifyConfig(classes=CLASSES, freeze=False, encoder_rate=0.5).build(Recurrent())
    assert [len(g.weights) for g in fine.weight_groups()] == [4 + 2, 4]


def test_the_normalised_probe_sees_unit_length_and_unit_variance():
    method = tiny(normalise=True)
    features = torch.randn(64, 2, 32) * 100
    seen = []
    method.classifier[-1].register_forward_pre_hook(lambda _, x: seen.append(x[0]))
    small, large = method.classify(features / 1000), method.classify(features)
    torch.testing.assert_close(small, large, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(seen[0].mean(0), torch.zeros(32), atol=1e-4, rtol=0)
    torch.testing.assert_close(seen[0].std(0, correction=0), torch.ones(32), atol=1e-2, rtol=0)


def test_project_gives_unit_features():
    method = tiny().eval()
    z = method.project(batch([[0] * 4] * 3).views[0])
    assert z.shape == (3, 32)
    torch.testing.assert_close(z.norm(dim=1), torch.ones(3))


def test_classes_come_from_the_data_or_from_the_settings():
    assert ClassifyConfig().knowing(["x", "y"]).classes == ("x", "y")
    assert ClassifyConfig(classes=("y", "x")).knowing(["x", "y", "z"]).classes == ("y", "x")
    with pytest.raises(ValueError, match=r"throw, which the training videos do not show.*x, y"):
        ClassifyConfig(classes=("x", "throw")).knowing(["x", "y"])
    for known in ([], ["x"]):
        with pytest.raises(ValueError, match="two classes to tell apart"):
            ClassifyConfig().knowing(known)


def test_one_view_is_asked_of_the_sampler():
    with pytest.raises(ConfigError, match=r"classify takes 1.*sampler\.n: 1"):
        Experiment.parse({"data": {"name": "x"}, "method": {"name": "classify"}})
