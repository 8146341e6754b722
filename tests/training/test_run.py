import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.training.boxes import make_experiment
from workbench.training.demo import CHECKPOINT, CYCLE, install_checkpoint
from workbench.training.run import Run, RunError
from workbench.training.train import train
from workbench.workspace import Workspace


@pytest.fixture
def run(source, tmp_path):
    folder = tmp_path / "runs" / "a"
    list(train(make_experiment(steps=2, evaluations=0), folder, source))
    return Run(folder)


def test_the_folder_tells_all(run):
    assert run.name == "a"
    assert run.config == make_experiment(steps=2, evaluations=0)
    assert list(run.metrics()["step"]) == [0, 1, 2]
    assert run.status().state == "finished"
    assert run.settings["train"]["batch"] == 4


def test_the_encoder_needs_only_its_own_weights(run):
    clips = torch.rand(2, 3, 4, 16, 16)
    whole = run.method().represent(clips)
    kept = {k: v for k, v in load_file(run.model_path).items() if k.startswith("encoder.")}
    save_file(kept, run.model_path)
    encoder = run.encoder()
    assert not encoder.training
    assert torch.equal(encoder(clips), whole)


def test_a_missing_checkpoint_is_explained(run):
    run.model_path.unlink()
    with pytest.raises(RunError, match="no checkpoint yet"):
        run.encoder()
    with pytest.raises(RunError, match=r"no config\.yaml"):
        _ = Run(run.folder / "nothing").config


@pytest.mark.parametrize("content", [b"", b"no such thing", None])
def test_a_damaged_checkpoint_is_explained(run, content):
    half = run.model_path.read_bytes()[:500]
    run.model_path.write_bytes(half if content is None else content)
    with pytest.raises(RunError, match=r"model\.safetensors cannot be read.*damaged"):
        run.encoder()
    with pytest.raises(RunError, match="damaged"):
        run.load()


def test_a_checkpoint_of_another_network_is_explained(run):
    save_file({"encoder.layers.0.0.weight": torch.zeros(1)}, run.model_path)
    with pytest.raises(RunError, match="does not fit"):
        run.encoder()


@pytest.mark.parametrize("reached", ["trainer.new", "model", "all"])
def test_killed_while_saving_the_checkpoint_stays_whole(run, reached, monkeypatch):
    model, rest, about = run.load()
    newer = {**about, "clock": {**about["clock"], "step": 3}}
    moved = [v + 1 if v.is_floating_point() else v for v in model.values()]
    stop_at = {"trainer.new": 1, "model": 2, "all": 3}[reached]
    calls = []

    import workbench.training.run as module

    replace = module.os.replace

    def dies(a, b):
        if len(calls) == stop_at:
            raise SystemExit("killed")
        calls.append(b)
        replace(a, b)

    monkeypatch.setattr(module.os, "replace", dies)
    try:
        run.save(dict(zip(model, moved, strict=True)), rest, newer)
    except SystemExit:
        assert reached != "all"
    monkeypatch.undo()
    found, _, found_about = run.load()
    new = found_about["clock"]["step"] == 3
    assert new == (reached != "trainer.new")
    for (_, got), old, moved_value in zip(found.items(), model.values(), moved, strict=True):
        assert torch.equal(got, moved_value if new else old)


def test_a_line_being_written_is_left_out(run):
    with (run.folder / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"step": 3})[:6])
    assert list(run.metrics()["step"]) == [0, 1, 2]


def test_the_sha_follows_the_weights(run):
    before = run.checkpoint_sha
    assert run.checkpoint_sha == before
    run.model_path.write_bytes(run.model_path.read_bytes() + b" ")
    assert run.checkpoint_sha != before


@pytest.mark.parametrize("content", [b"data: [", b"- a list", b"", b"\xff\xfe\x00"])
def test_damaged_settings_are_explained(tmp_path, content):
    (tmp_path / "config.yaml").write_bytes(content)
    with pytest.raises(RunError, match=r"config\.yaml is damaged"):
        _ = Run(tmp_path).settings


@pytest.mark.parametrize("name", [CHECKPOINT, CYCLE])
def test_the_checkpoints_that_ship_fit_the_code(tmp_path, name):
    run = install_checkpoint(Workspace(tmp_path), name)
    clip = run.config.data.clip
    with torch.inference_mode():
        z = run.encoder()(torch.rand(1, 3, clip.length, clip.size, clip.size))
    assert z.ndim == 3 and z.isfinite().all()
    assert install_checkpoint(Workspace(tmp_path), name).folder == run.folder
