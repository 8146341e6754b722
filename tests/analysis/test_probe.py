import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression

from workbench.analysis.probe import few_shot, grouped_mean, linear_probe


def planted(n, classes=4, dim=16, noise=0.3, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    centres = np.random.default_rng(9).standard_normal((classes, dim))
    return (centres[labels] + noise * rng.standard_normal((n, dim))).astype(np.float32), labels


def test_it_trains_as_the_same_network_in_torch():
    z, y = planted(40)
    found = linear_probe(z, y, 4, epochs=12, batch=16, seed=3)
    rng = np.random.default_rng(3)
    weight = torch.from_numpy((0.01 * rng.standard_normal((16, 4))).astype(np.float32))
    weight, bias = weight.requires_grad_(), torch.zeros(4, requires_grad=True)
    norm, speed = torch.nn.BatchNorm1d(16, affine=False), [torch.zeros(16, 4), torch.zeros(4)]
    x, y = F.normalize(torch.from_numpy(z)), torch.from_numpy(y)
    for epoch in range(12):
        lr = 0.1 ** sum(epoch >= s * 12 for s in (0.6, 0.8))
        order = rng.permutation(40)
        for first in (0, 16):
            rows = order[first : first + 16]
            loss = F.cross_entropy(norm(x[rows]) @ weight + bias, y[rows])
            slopes = torch.autograd.grad(loss, (weight, bias))
            with torch.no_grad():
                for w, g, v in zip((weight, bias), slopes, speed, strict=True):
                    v.mul_(0.9).add_(g + 1e-3 * w)
                    w -= lr * v
    assert found.weight == pytest.approx(weight.detach().numpy(), abs=2e-4)
    with torch.no_grad():
        expected = (norm.eval()(x) @ weight + bias).softmax(1).numpy()
    assert found.probabilities(z) == pytest.approx(expected, abs=1e-3)


def test_it_tells_apart_what_logistic_regression_does():
    (z, y), (new, truth) = planted(200), planted(100, seed=1)
    found = linear_probe(z, y, 4, batch=64).probabilities(new).argmax(1)
    theirs = LogisticRegression(max_iter=1000).fit(z, y).predict(new)
    assert np.mean(theirs == truth) == np.mean(found == truth) == 1
    (z, y), (new, truth) = planted(400, noise=2.0), planted(400, noise=2.0, seed=1)
    found = linear_probe(z, y, 4, batch=64).probabilities(new).argmax(1)
    theirs = LogisticRegression(max_iter=1000).fit(z, y).predict(new)
    assert np.mean(found == truth) == pytest.approx(np.mean(theirs == truth), abs=0.04)


def test_it_is_deterministic_and_takes_little_data():
    z, y = planted(10)
    one, two = (linear_probe(z, y, 4, epochs=5) for _ in range(2))
    assert (one.weight == two.weight).all() and (one.mean == two.mean).all()
    assert (linear_probe(z, y, 4, epochs=5, seed=1).weight != one.weight).any()
    assert linear_probe(z, y, 7).probabilities(z).shape == (10, 7)
    assert one.probabilities(z[:0]).shape == (0, 4)


def test_what_cannot_be_learned_is_said():
    z, y = planted(8)
    with pytest.raises(ValueError, match="8 rows of 1 classes"):
        linear_probe(z, 0 * y, 2)
    with pytest.raises(ValueError, match="labels must lie in 0"):
        linear_probe(z, y, 3)
    with pytest.raises(ValueError, match="8 rows of features and 7 labels"):
        linear_probe(z, y[1:], 4)


def test_few_shots_of_separable_classes_are_enough():
    (z, y), (new, truth) = planted(80), planted(40, seed=1)
    found = few_shot(z, y, new, truth, 5, draws=3)
    assert found.nearest.tolist() == found.linear.tolist() == [1, 1, 1]
    rng = np.random.default_rng(0)
    nothing = few_shot(rng.standard_normal((80, 8)), y, rng.standard_normal((400, 8)),
                       np.arange(400) % 4, 1, draws=8)  # fmt: skip
    assert nothing.nearest.mean() == pytest.approx(0.25, abs=0.06)
    again = few_shot(z, y, new, truth, 1, draws=3), few_shot(z, y, new, truth, 1, draws=3)
    assert (again[0].linear == again[1].linear).all()


def test_few_shot_needs_enough_of_each_class():
    z, y = planted(8)
    with pytest.raises(ValueError, match="3 shots need 3 examples of each class; one class has 2"):
        few_shot(z, y, z, y, 3)
    with pytest.raises(ValueError, match="at least 1; found 0"):
        few_shot(z, y, z, y, 0)
    with pytest.raises(ValueError, match="two classes"):
        few_shot(z, 0 * y, z, y, 1)


def test_windows_are_averaged_by_video():
    values = np.array([[1.0, 0], [0, 1], [0, 1]])
    found = grouped_mean(values, np.array([0, 0, 2]), 3)
    assert (
        found[0].tolist() == [0.5, 0.5] and found[2].tolist() == [0, 1] and np.isnan(found[1]).all()
    )
