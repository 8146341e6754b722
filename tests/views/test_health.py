import json

import numpy as np
import pytest

from workbench.views.curves import floor_of
from workbench.views.health import HealthView, channel_plot, page, spectrum_plot, verdict
from workbench.views.store import Store
from workbench.views.watch import verdict as learned
from workbench.workspace import Workspace

HEALTHY = {"alignment": 0.4, "uniformity": -2.0, "rank": 20.0, "std": 0.9}
RANDOM = {"alignment": 0.02, "uniformity": -0.1, "rank": 8.0, "std": 0.12}
DEAD = {"alignment": 0.0, "uniformity": 0.0, "rank": 1.0, "std": 0.001}


def scores(now, **more):
    found = {f"{p}_{k}": v for p in ("feature", "projected") for k, v in now.items()}
    found |= {f"{p}_{k}_random": v for p in ("feature", "projected") for k, v in RANDOM.items()}
    return found | more


def write(store, lines, mode="w"):
    with (store.workspace.runs / "steady" / "metrics.jsonl").open(mode) as file:
        file.writelines(json.dumps(x) + "\n" for x in lines)


def history(now=HEALTHY):
    lines = [{"step": 0, "epoch": 0, "knn_random": 0.4}]
    lines += [{"step": k, "epoch": 0, "loss": 5.0 - k / 10} for k in range(1, 20)]
    lines[10] |= scores(HEALTHY, knn=0.5, knn_random=0.4, knn_chance=0.3, collapsed=0.0)
    knn, fell = (0.8, 0.0) if now is HEALTHY else (0.3, 1.0)
    lines[19] |= scores(now, knn=knn, knn_random=0.4, knn_chance=0.3, collapsed=fell)
    return lines


@pytest.fixture
def view(store):
    write(store, history())
    return HealthView(store)


def texts(viewable):
    return " ".join(str(getattr(v, "object", "")) for v in viewable.select())


def xy(plot, name):
    return list(plot.sources[name].data["x"]), list(plot.sources[name].data["y"])


def test_curves_stand_beside_the_random_network(view):
    assert len(xy(view.loss, "smoothed")[0]) == 19
    assert xy(view.knn, "this run") == ([10, 19], [0.5, 0.8])
    assert xy(view.knn, "random network")[1] == [0.4, 0.4]
    assert xy(view.plots["rank"], "features") == ([10, 19], [20, 20])
    assert xy(view.plots["std"], floor_of("the loss sees"))[1] == [0.12, 0.12]
    view._view.get_root()


def test_the_verdict_of_a_run_that_learns(view):
    assert view._verdict.severity == "success"
    assert "Not collapsed" in view._verdict.object and "It learns" in view._verdict.object


def test_a_collapse_is_seen_as_it_happens(view, store):
    write(store, history(DEAD), "w")
    view.tick()
    assert view._verdict.severity == "error"
    assert "same feature" in view._verdict.object and "train.lr" in view._verdict.object
    assert len(xy(view.loss, "smoothed")[0]) == 19  # the file began again


def test_a_falling_loss_is_not_called_learning():
    said, severity = verdict(scores(HEALTHY, loss=0.1, knn=0.4, knn_random=0.4, knn_chance=0.3))
    assert severity == "warning" and "No better than a random network" in said


def test_dimensions_that_are_lost_are_named():
    said, severity = verdict(scores(HEALTHY | {"rank": 6.0}, knn=0.9, knn_random=0.4), most=20.0)
    assert severity == "warning" and "fallen from 20.0" in said


def test_without_labels_and_cameras_learning_is_not_claimed():
    said, severity = verdict(scores(HEALTHY))
    assert severity == "info" and "cannot be said" in said
    assert verdict({"knn": 0.5}) is None


def test_the_train_page_says_it_too():
    assert learned(scores(DEAD, collapsed=1.0, knn=0.9, knn_random=0.1))[1] == "error"
    assert learned(scores(HEALTHY, collapsed=0.0, knn=0.9, knn_random=0.1))[1] == "success"


def test_a_run_without_logged_health_is_judged_by_its_features(store):
    view = HealthView(store)
    assert "logged no health" in view._verdict.object and view._verdict.severity == "info"
    assert "swings as steady sees it now (312 windows)" in texts(view._now)


def test_what_is_missing_is_said_with_what_to_do(store, swings, tmp_path):
    assert "workbench index" in texts(page(Store(Workspace(tmp_path / "none"))))
    (swings.runs / "steady" / "checkpoints" / "model.safetensors").write_bytes(b"trained on")
    view = page(store)
    assert "has not looked at" in texts(view._now)
    assert "Nothing is known yet" in view._verdict.object
    (swings.runs / "steady" / "checkpoints" / "model.safetensors").unlink()
    assert "Train one" in texts(page(Store(swings)))


def test_dead_channels_are_red():
    z = np.random.default_rng(0).normal(size=(200, 8)) * (np.arange(8) != 3)
    plot = channel_plot(z)
    data = plot.renderers[0].data_source.data
    assert "1 of 8 channels are dead" in plot.title.text
    assert list(data["channel"][data["color"] == "#d32f2f"]) == [3]
    assert "dead" not in channel_plot(z[:, :3]).title.text


def test_the_spectrum_of_a_planted_rank():
    plot = spectrum_plot(np.tile(np.eye(9)[:4], (25, 1)))
    assert "effective rank 4.0 of 9" in plot.title.text
    assert list(plot.renderers[0].data_source.data["y"]) == pytest.approx([0.25] * 4)
