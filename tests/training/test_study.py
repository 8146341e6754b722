import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tests.training.boxes import make_experiment
from tests.views.box_workspace import box_workspace
from workbench.methods.classify import ClassifyConfig
from workbench.sampling import SameVideo
from workbench.training.run import Run
from workbench.training.studies import judo
from workbench.training.study import (
    Cell,
    Finding,
    Stage,
    Study,
    agreed,
    conduct,
    load_scores,
    mean_and_deviation,
    table,
    told,
)
from workbench.views.report import table_html, write_report


def stage(name, steps=3, **changes):
    experiment = make_experiment(steps=steps, evaluations=0)
    return Stage(name, experiment.model_copy(update=changes))


def with_splits(experiment, *splits):
    data = experiment.data.model_copy(update={"splits": splits})
    return experiment.model_copy(update={"data": data})


def study(*cells):
    """Scores a cell with the step at which its last run stands."""

    def score(cell, workspace):
        run = Run(workspace.runs / cell.stages[-1].name)
        return {"steps": float(run.metrics()["step"].max())}

    def found(scores):
        ends = (scores["steps"] > 0).all()
        return [Finding("Runs end.", "repeats" if ends else "does not repeat", "they do")]

    return Study(
        "tiny", "Tiny", "boxes", "test", cells, {"steps": "steps"}, ("steps",), score, found
    )


@pytest.fixture
def workspace(tmp_path):
    return box_workspace(tmp_path)


def test_a_study_is_trained_scored_and_not_trained_again(workspace):
    shared, second = stage("first"), stage("second", init="first")
    plan = study(Cell("a", "x", 0, (shared,)), Cell("b", "x", 0, (shared, second)))
    steps = list(conduct(plan, workspace))
    assert [s.done for s in steps] == sorted(s.done for s in steps)
    assert (steps[-1].done, steps[-1].total) == (6, 6)  # the shared run counts once
    assert load_scores(plan, workspace)["steps"].tolist() == [3, 3]
    files = [workspace.runs / name / "metrics.jsonl" for name in ("first", "second")]
    written = [f.stat().st_mtime_ns for f in files]
    assert [s.done for s in conduct(plan, workspace)] == [6]
    assert [f.stat().st_mtime_ns for f in files] == written
    assert "**repeats**: they do" in told(plan, load_scores(plan, workspace))


def test_a_stopped_study_goes_on_where_it_was(workspace):
    plan = study(Cell("a", "x", 0, (stage("one"),)), Cell("b", "x", 0, (stage("two"),)))
    pulled = conduct(plan, workspace)
    for step in pulled:
        if step.done == 4:  # in the middle of the second run
            break
    pulled.close()
    assert len(load_scores(plan, workspace)) == 1
    assert [s.done for s in conduct(plan, workspace)] == [5, 6, 6]
    assert len(load_scores(plan, workspace)) == 2


def wild():
    """A run whose weights grow 99-fold by the step, and one that would begin with them."""
    experiment = make_experiment(
        steps=40, evaluations=0, optimizer="sgd", lr=100.0, weight_decay=1.0, warmup=0.0
    )
    stages = (Stage("wild", experiment), stage("probe", init="wild"))
    return Cell("wild", "x", 0, stages)


def test_several_runs_at_a_time_make_the_same_table(workspace, tmp_path_factory):
    shared, second = stage("first"), stage("second", init="first")
    plan = study(wild(), Cell("a", "x", 0, (shared,)), Cell("b", "x", 0, (shared, second)))
    steps = list(conduct(plan, workspace, workers=2))
    assert (steps[-1].done, steps[-1].total) == (49, 49)
    assert any("1 more at the same time" in step.message for step in steps)
    apart = box_workspace(tmp_path_factory.mktemp("apart"))
    list(conduct(plan, apart))
    pd.testing.assert_frame_equal(load_scores(plan, workspace), load_scores(plan, apart))
    for name in ("first", "second"):
        together, alone = (Run(w.runs / name).metrics()["loss"] for w in (workspace, apart))
        np.testing.assert_allclose(together, alone, rtol=1e-4)
    assert not (workspace.runs / "probe").exists()


def test_a_run_in_a_process_of_its_own_stops_with_the_study_and_goes_on(workspace):
    plan = study(Cell("a", "x", 0, (stage("one", 400),)))
    pulled = conduct(plan, workspace, workers=2)
    for step in pulled:
        if step.done > 10:
            break
    pulled.close()
    status = Run(workspace.runs / "one").status()
    assert status.state == "stopped" and 10 < status.done < 400
    assert next(conduct(plan, workspace)).done == status.done + 1


def test_a_run_that_diverges_is_a_result(workspace):
    plan = study(wild(), Cell("calm", "x", 0, (stage("calm"),)))
    last = list(conduct(plan, workspace))[-1]
    scores = load_scores(plan, workspace).set_index("row")
    assert "diverged" in scores.loc["wild", "failed"]
    assert math.isnan(scores.loc["wild", "steps"])
    assert scores.loc["calm", "steps"] == 3
    assert last.done == last.total


def test_other_settings_under_the_same_name_are_refused(workspace):
    list(conduct(study(Cell("a", "x", 0, (stage("one"),))), workspace))
    with pytest.raises(ValueError, match="other settings"):
        list(conduct(study(Cell("a", "x", 0, (stage("one", 4),))), workspace))


def test_the_table_has_mean_and_deviation_over_seeds_in_the_order_of_the_study():
    rows = [("b", "x", 0, 1.0), ("a", "x", 0, 5.0), ("b", "x", 1, 3.0), ("a", "x", 1, math.nan)]
    scores = pd.DataFrame(rows, columns=["row", "column", "seed", "v"])
    scores["failed"] = ["", "", "", "diverged"]
    found = table(scores, ["v"])
    assert list(found.index) == [("b", "x"), ("a", "x")]
    assert found[("v", "mean")].tolist() == [2.0, 5.0]
    np.testing.assert_allclose(found[("v", "std")], [math.sqrt(2), math.nan])
    assert found[("seeds", "")].tolist() == [2, 1]
    texts = [mean_and_deviation(*v) for v in ((2, 0.5), (2, math.nan), (math.nan, math.nan))]
    assert texts == ["2.000 ± 0.500", "2.000", "-"]


@pytest.mark.parametrize(
    ("differences", "sign"),
    [([0.1, 0.2], 1), ([-1, -2, -3], -1), ([1, -1], 0), ([1], 0), ([1, math.nan], 0), ([0, 0], 0)],
)
def test_seeds_agree_where_all_of_two_or_more_have_one_sign(differences, sign):
    assert agreed(pd.Series(differences)) == sign


def planted(seeds=2, noise=0.0, **accuracy):
    """Scores of the judo study of nothing but accuracies, per method (same, other).

    noise goes up at every second seed and down at the others, in the rows of other cameras only.
    """
    rows = [
        (judo.RANDOM, judo.NONE, 0.4),
        (judo.SUPERVISED, judo.NONE, 0.9),
        ("MoCo v2, 3 x longer", judo.OTHER, 0.7),
    ]
    for name, (same, other) in accuracy.items():
        rows += [
            (name.replace("_", " "), judo.SAME, same),
            (name.replace("_", " "), judo.OTHER, other),
        ]
    tables = []
    for seed in range(seeds):
        table = pd.DataFrame(rows, columns=["row", "column", "accuracy"])
        table["accuracy"] += (table["column"] == judo.OTHER) * noise * (-1) ** seed
        rest = {"loss": table["accuracy"], "boundary": 1 - table["accuracy"], "projected": 1.0}
        tables.append(table.assign(**rest, commonest=0.3, seed=seed, failed=""))
    return pd.concat(tables, ignore_index=True)


def verdicts(scores):
    names = ("accuracy", "loss", "boundary", "collapse", "start", "commonest", "labels", "longer")
    return dict(zip(names, (f.verdict for f in judo.findings(scores)), strict=True))


def test_the_claims_of_the_judo_study_follow_planted_scores():
    scores = planted(MoCo_v2=(0.5, 0.6), SimCLR=(0.5, 0.4), BYOL=(0.5, 0.6))
    assert verdicts(scores) == {
        "accuracy": "repeats",
        "loss": "repeats",
        "boundary": "repeats",
        "collapse": "does not repeat",
        "start": "repeats",
        "commonest": "repeats",
        "labels": "does not repeat",
        "longer": "repeats",
    }
    assert "in 2 of 3, the other way round in 1" in judo.findings(scores)[0].measured
    worse = judo.findings(planted(MoCo_v2=(0.6, 0.5), BYOL=(0.6, 0.5)))
    assert [worse[k].verdict for k in (0, 2)] == ["does not repeat"] * 2
    assert "MoCo v2 0.600 -> 0.500" in worse[0].measured
    best = verdicts(planted(MoCo_v2=(0.95, 0.6)))
    assert best["labels"] == "repeats" and best["longer"] == "repeats"


@pytest.mark.parametrize(("seeds", "noise"), [(1, 0.0), (2, 0.2), (3, 0.2)])
def test_what_one_seed_says_or_seeds_contradict_is_not_told_apart(seeds, noise):
    found = verdicts(planted(seeds, noise, MoCo_v2=(0.5, 0.6), BYOL=(0.5, 0.6)))
    for claim in ("accuracy", "loss", "boundary"):
        assert found[claim] == "not told apart"


def test_a_part_of_the_judo_study_has_no_verdict_where_rows_are_missing():
    scores = planted(MoCo_v2=(0.5, 0.6), BYOL=(0.5, 0.6))
    for n in range(1, len(scores)):
        assert len(judo.findings(scores[:n])) == 8
    assert set(verdicts(scores[:1]).values()) == {"not measured"}
    diverged = scores.assign(failed=["diverged" if r == "BYOL" else "" for r in scores["row"]])
    assert verdicts(diverged)["collapse"] == "repeats"
    assert "BYOL" not in judo.findings(diverged)[0].measured


def rows_of(plan):
    return {cell.row for cell in plan.cells}


def test_the_large_backbones_are_not_compared_with_the_small_one():
    scores = planted(MoCo_v2=(0.5, 0.6))
    big = scores[scores["row"] == "MoCo v2"].assign(row=f"MoCo v2, {judo.X3D}", accuracy=0.99)
    assert judo.findings(pd.concat([scores, big])) == judo.findings(scores)


def test_a_study_is_refused_before_it_trains(workspace):
    plan = study(Cell("a", "x", 0, (stage("one"),)))
    with pytest.raises(ValueError, match="split 'dev'"):
        next(conduct(replace(plan, split="dev"), workspace))
    with pytest.raises(ValueError, match="at least 1 seed; found 0"):
        judo.judo_study("data", True, 0)
    assert not (workspace.runs / "one").exists()


@pytest.mark.parametrize("panel", [False, True])
@pytest.mark.parametrize("cells", [1, 2])
def test_the_report_holds_the_table_the_findings_and_what_failed(workspace, cells, panel):
    if panel:  # which changes how Bokeh writes pages
        import panel_material_ui  # noqa: F401
    wild = make_experiment(steps=3, evaluations=0)
    wild = wild.model_copy(update={"train": wild.train.model_copy(update={"lr": 1e38})})
    method, pace = ClassifyConfig(), make_experiment(steps=3, evaluations=1).train
    taught = stage("calm", method=method, sampler=SameVideo(n=1), train=pace)
    taught = replace(taught, experiment=with_splits(taught.experiment, "train"))
    plan = study(Cell("calm <b>", "x", 0, (taught,)), Cell("wild", "x", 0, (Stage("w", wild),)))
    list(conduct(replace(plan, cells=plan.cells[:cells]), workspace))
    text = write_report(plan, workspace).read_text()
    assert "they do" in text and "calm <b>" not in text.replace("calm <b>, x", "")
    lines = table_html(plan, load_scores(plan, workspace))
    assert "calm &lt;b&gt;" in lines and ">3.000<" in lines
    assert ("diverged" in told(plan, load_scores(plan, workspace))) == (cells == 2)
    assert ("diverged" in text) == ("Failed:" in text) == (cells == 2)
    assert "Accuracy of the classifier on recordings it does not train on" in text
    assert f"{cells} of 2 cells measured" in text
    assert "<script src=" not in text


def test_the_judo_study_plans_every_method_with_and_without_other_cameras():
    plan = judo.judo_study("data", quick=True)
    rows = {(c.row, c.column) for c in plan.cells}
    for name in ("MoCo v2", "SimCLR", "BYOL", "SimSiam", "SwAV", "VideoMoCo"):
        assert {(name, judo.SAME), (name, judo.OTHER)} <= rows
    assert {("CVRL", judo.NEAR), (judo.SUPERVISED, judo.NONE)} <= rows
    names = [s.name for c in plan.cells for s in c.stages]
    assert len(names) == len(set(names))
    for cell in plan.cells:
        for before, after in zip(cell.stages, cell.stages[1:], strict=False):
            assert after.experiment.init == before.name
    whole = judo.judo_study("data", seeds=2)
    part = judo.backbones_study("data", seeds=2)
    large = {c.row for c in whole.cells} - rows_of(plan)
    assert rows_of(part) == large and len(part.cells) == len(large) * 2 + 4
    assert {c.seed for c in whole.cells} == {0, 1}
    assert any("X3D" in c.row for c in whole.cells) and any("GRU" in c.row for c in whole.cells)
