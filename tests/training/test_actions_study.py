"""The study of actions: what is planned, that it runs and is told, and claims on planted scores."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.training.boxes import FRAMES, pixels
from workbench.data.flow import flow
from workbench.data.manifest import COLUMNS, DataSet, write_dataset
from workbench.data.video import ClipShape
from workbench.training.run import Run
from workbench.training.studies import actions
from workbench.training.studies.actions import (
    DIFF,
    DIFF_FLOW,
    FLOW,
    ONE,
    RANDOM,
    RGB,
    RGB_FLOW,
    TWO,
    name,
)
from workbench.training.study import conduct, load_scores, told
from workbench.views.report import write_report
from workbench.workspace import Workspace

TINY = actions.Size(seeds=1, first=3, turn=3, batch=4, evaluations=0)
ROWS = (name(RANDOM, FLOW), name(RANDOM, DIFF_FLOW), name("CPR", DIFF), actions.WHOLE)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """Boxes that move left or right, of 8 training and 4 test recordings, with their flow."""
    root = tmp_path_factory.mktemp("boxes")
    folder, rows = root / "data" / "boxes", []
    for r in range(12):
        frames, place = pixels(r % 4, r // 4), folder / "videos" / f"r{r}"
        place.mkdir(parents=True)
        np.save(place / "frames.npy", frames)
        np.save(place / "flow.npy", flow(frames))
        (place / "flow.json").write_text(json.dumps({"algorithm": "dis", "bound": 20}))
        row = {"key": f"r{r}", "path": f"r{r}.mp4", "recording": f"r{r}", "camera": "cam0"}
        row |= {"split": "train" if r < 8 else "test", "label": "right" if r % 2 else "left"}
        row |= {"tags": "", "offset": 0, "fps": 30.0, "n_frames": FRAMES, "note": ""}
        rows.append(dict.fromkeys(COLUMNS) | row)
    nothing = pd.DataFrame(columns=["recording", "start", "stop", "label"])
    write_dataset(folder, "boxes", 20, pd.DataFrame(rows), nothing, [])
    return Workspace(root)


def tiny(monkeypatch, rows):
    small = {"dim": 8, "hidden": 8}
    changes = {"topk": 2, "stages": 3, "queue": 8, **small}
    monkeypatch.setattr(actions, "QUICK", TINY)
    monkeypatch.setattr(actions, "CLIP", ClipShape(length=4, stride=1, size=16))
    monkeypatch.setattr(actions, "QUEUES", (actions.KEPT,))
    monkeypatch.setattr(actions, "CPR", actions.COCLR.model_copy(update=changes))
    for method in ("INFONCE", "SLIC"):
        monkeypatch.setattr(actions, method, getattr(actions, method).model_copy(update=small))
    vicc = {"prototypes": 4, "queue": 0, **small}
    for method in ("VICC", "TAUGHT"):
        monkeypatch.setattr(actions, method, getattr(actions, method).model_copy(update=vicc))
    plan = actions.actions_study("boxes", quick=True)
    cells = [c for c in plan.cells if c.row in rows]  # and of two turns a half of the first
    return replace(plan, cells=tuple(replace(c, stages=c.stages[:3]) for c in cells))


def test_the_tables_of_the_papers_are_planned():
    plan = actions.actions_study("actions-full", quick=True)
    rows = [c.row for c in plan.cells]
    assert len(rows) == len(set(rows)) and plan.name == "actions-quick"
    streams = (*actions.STREAMS, *actions.FUSIONS)
    assert {name(w, s) for w in (RANDOM, ONE, TWO) for s in streams} <= set(rows)
    assert set(actions.ABLATION) | set(plan.mapped) <= set(rows)
    assert "Diff-2, queue 0" in rows and "CPR, Flow" in rows and "InfoNCE, Diff" in rows
    stages = {s.name: s.experiment for c in plan.cells for s in c.stages}
    cells = {c.row: c for c in plan.cells}
    for row in (name(TWO, RGB), name(TWO, DIFF), name(TWO, FLOW), "CoCLR, Diff", "CPR, Flow"):
        last = cells[row].stages[-1].experiment
        steps, chain = cells[row].stages[-1].steps, last
        while chain.init:
            assert stages[chain.init].data.clip.stream == chain.data.clip.stream
            if chain.teacher:
                assert stages[chain.teacher].data.clip.stream != chain.data.clip.stream
            steps += next(s.steps for s in cells[row].stages if s.name == chain.init)
            chain = stages[chain.init]
        assert steps == actions.QUICK.whole  # as many as those that stay alone
    second = cells[name(TWO, FLOW)].stages[-1].experiment
    assert second.teacher == cells[name(TWO, DIFF)].stages[-1].name  # flow learns from the newer
    pictures = [s.experiment.teacher for s in cells[name(TWO, RGB)].stages[-2:]]
    assert pictures == [
        "actions-quick-vicc-flow-first-0", "actions-quick-vicc-queue-56-flow-turn-1-0"
    ]  # fmt: skip
    for row, streams in {name(TWO, RGB_FLOW): ("rgb", "flow"), name(TWO, DIFF): ("diff",)}.items():
        judged = [
            stages[run.name] for run in actions.judged(cells[row], Workspace(Path("nowhere")))
        ]
        assert tuple(e.data.clip.stream for e in judged) == streams
    whole = actions.actions_study("mine", seeds=2)
    assert whole.name == "actions-full-mine" and {c.seed for c in whole.cells} == {0, 1}
    with pytest.raises(ValueError, match="at least 1 seed; found 0"):
        actions.actions_study("mine", True, 0)


def test_rows_are_trained_scored_and_told(workspace, monkeypatch):
    plan = tiny(monkeypatch, ROWS)
    list(conduct(plan, workspace))
    scores = load_scores(plan, workspace).set_index("row")
    assert (scores["failed"] == "").all() and np.isfinite(scores[["r1", "r5", "finch_nmi"]]).all(
        axis=None
    )
    of_prototypes = scores[list(actions.TABLE1)].notna().all(axis=1)
    assert set(scores.index[of_prototypes]) == {name(RANDOM, FLOW)}
    assert list(scores.index[scores["mined_recall"].notna()]) == ["CPR, Diff"]
    assert np.isfinite(scores.loc[actions.WHOLE, ["first_nmi", "last_false_positives"]]).all()
    fused = next(c for c in plan.cells if c.row == name(RANDOM, DIFF_FLOW))
    streams = [run.config.data.clip.stream for run in actions.judged(fused, workspace)]
    assert sorted(streams) == ["diff", "flow"]
    z, labels = actions.features(fused, workspace)
    assert z.shape == (12, 2 * 128) and labels == [v.label for v in _data(workspace).videos]
    run = Run(workspace.runs / "actions-quick-boxes-cpr-diff-turn-1-0")
    assert run.config.init == "actions-quick-boxes-infonce-diff-first-0" and run.mined_epochs()
    text = told(plan, load_scores(plan, workspace))
    assert "| Diff-2" not in text and "| CPR, Diff | CoCLR, CPR |" in text
    page = write_report(plan, workspace).read_text()
    assert "Maps" in page and "NMI with the classes" in page
    assert "random weights, Flow, nothing learned" in page
    assert "random weights, D+F, nothing learned" not in page  # its curve is that of flow


def _data(workspace):
    return DataSet(workspace.data_folder("boxes"))


def planted(seeds=2, **changes):
    """Scores in which all claims hold, but for those that no number of seeds can show."""
    rows = {name(RANDOM, s): 0.1 for s in actions.STREAMS}
    rows |= {name(ONE, s): 0.4 for s in actions.STREAMS}
    rows |= {name(TWO, s): 0.6 for s in actions.STREAMS}
    rows |= {name(TWO, fused): 0.65 for fused in actions.FUSIONS}
    rows |= {"Diff-2, queue 0": 0.6, "Diff-2, queue 112": 0.6}
    rows |= {name(w, s): v for w, v in (("InfoNCE", 0.3), ("CoCLR", 0.5), ("CPR", 0.6))
             for s in (DIFF, FLOW)}  # fmt: skip
    paper = (45.0, 54.7, 59.9, 59.2, 66.7)
    rows |= {row: r1 / 100 for row, r1 in zip(actions.ABLATION, paper, strict=True)} | changes
    lines = [
        {"row": row, "column": "", "seed": seed, "failed": "", "r1": r1 + 0.01 * seed}
        for row, r1 in rows.items()
        for seed in range(seeds)
    ]
    found = pd.DataFrame(lines)
    for key in ("accuracy", "nmi", "ari", "purity", "mined_recall", "last_nmi"):
        found[key] = found["r1"]
    for key in ("first_nmi", "last_false_positives", "entropy"):
        found[key] = 1 - found["r1"] - (key == "first_nmi")
    return found.assign(mined_complete=10 * found["r1"], first_false_positives=1.0)


def test_claims_repeat_fail_or_stay_open_by_planted_scores():
    found = actions.findings(planted())
    verdicts = [f.verdict for f in found]
    assert verdicts.count("repeats") == len(found) - 1
    assert [f.claim for f in found if f.verdict == "not told apart"] == [
        f.claim for f in found if "queue" in f.claim
    ]
    assert (
        "R@1 CPR, Diff 0.605, CoCLR, Diff 0.505"
        in next(f for f in found if f.claim.startswith("CPR retrieves")).measured
    )
    worse = actions.findings(planted(**{name(TWO, DIFF): 0.2, "Diff-2, queue 0": 0.1}))
    claims = {f.claim[:7]: f.verdict for f in worse}
    assert claims["Table 1"] == "repeats"  # of flow, the last one of that name
    assert [f.verdict for f in worse[:6]] == 2 * ["repeats", "does not repeat", "repeats"]
    assert claims["The siz"] == "does not repeat" and claims["SLIC's "] == "repeats"
    single = {f.verdict for f in actions.findings(planted(seeds=1))}
    assert single == {"not told apart"}
    scores = planted()
    for n in (3, 20):
        assert len(actions.findings(scores[:n])) == len(found)
    assert {f.verdict for f in actions.findings(scores[:1])} == {"not measured"}


def test_a_row_that_failed_is_told():
    scores = planted()
    here = scores["row"] == "CPR, Diff"
    scores.loc[here, "failed"] = "it diverged"
    found = next(f for f in actions.findings(scores) if f.claim.startswith("CPR retrieves"))
    assert found.verdict == "not measured" and "it diverged" in found.measured
