import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tests.training.cycles import ANOMALIES, FRAMES, cycles_workspace
from workbench.data.manifest import DataSet
from workbench.data.video import ClipShape
from workbench.models.parts import WeightsError
from workbench.training.run import Run
from workbench.training.studies import DATA, STUDIES, bottling
from workbench.training.study import Cell, conduct, load_scores, told
from workbench.views.report import table_html, write_report

TINY = bottling.Size(1, 2, ClipShape(length=16, stride=2, size=24), 2)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    return cycles_workspace(tmp_path_factory.mktemp("cycles"), frames=True)


def chosen(monkeypatch, *rows):
    monkeypatch.setattr(bottling, "QUICK", TINY)
    plan = bottling.bottling_study("cycles", quick=True)
    return replace(plan, cells=tuple(c for c in plan.cells if c.row in rows))


def test_every_table_of_the_supplement_is_planned():
    plan = bottling.bottling_study("bottling", quick=True)
    rows = [c.row for c in plan.cells]
    assert len(rows) == len(set(rows)) and plan.name == "bottling-quick"
    assert set(bottling.PAPER) <= set(rows)
    assert {bottling.CHANCE, bottling.PLAIN, bottling.RANDOM, bottling.TCN} <= set(rows)
    whole = bottling.bottling_study("mine", seeds=2)
    assert whole.name == "bottling-full-mine" and {c.seed for c in whole.cells} == {0, 1}
    names = [s.name for c in whole.cells for s in c.stages]
    assert len(names) == len(set(names))
    for c in whole.cells:
        assert (c.stages == ()) == (c.row in bottling.FIXED)
    stages = {c.row: c.stages[0].experiment for c in plan.cells if c.stages}
    paper = stages[bottling.CYCLECL]
    assert (paper.encoder.dim, paper.encoder.pool, paper.encoder.over_time) == (128, "max", True)
    assert stages[bottling.amount(10)].data.share == 0.1
    assert not stages[bottling.UNNORMALISED].encoder.normalise
    still = stages.pop(bottling.RANDOM).train
    assert still.lr < 1e-9 and len({e.train.steps for e in stages.values()}) == 1
    sights = {e.train.batch * e.data.clip.length for e in stages.values()}
    assert len(sights) == 1  # as many pictures in every step
    with pytest.raises(ValueError, match="at least 1 seed; found 0"):
        bottling.bottling_study("bottling", True, 0)


def test_each_study_names_the_demo_it_is_on():
    assert DATA.keys() == STUDIES.keys()
    assert DATA["bottling"](True) == ("bottling", "small", 0)
    assert DATA["bottling"](False)[:2] == ("bottling-full", "full")


def test_a_share_of_the_data_is_the_beginning_of_every_video(workspace):
    data = DataSet(workspace.data_folder("cycles"))
    stage = next(
        c.stages[0] for c in bottling.bottling_study("cycles", True).cells
        if c.row == bottling.amount(50)
    )  # fmt: skip
    source = stage.experiment.data.source(data)
    assert [v.n_frames for v in source.videos] == [FRAMES // 2] * 2
    assert source.videos[0].recording == "n0" and source.room(0) == FRAMES // 2 - 94


def test_rows_are_trained_scored_and_told(workspace, monkeypatch):
    rows = (bottling.CHANCE, bottling.PLAIN, bottling.MOCO, bottling.CYCLECL)
    plan = chosen(monkeypatch, *rows)
    list(conduct(plan, workspace))
    scores = load_scores(plan, workspace).set_index("row")
    assert list(scores.index) == [c.row for c in plan.cells] and (scores["failed"] == "").all()
    share = sum(stop - start for _, start, stop in ANOMALIES) / FRAMES
    assert scores.loc[bottling.CHANCE, "ap"] == pytest.approx(share)
    assert scores.loc[bottling.PLAIN, "ap"] > 0.9  # a white corner
    assert math.isnan(scores.loc[bottling.CHANCE, "knn_f1"])
    trained = scores.drop(bottling.CHANCE)[list(plan.scores)]
    assert np.isfinite(trained.drop(columns=["phase_error"]).to_numpy()).all()
    written = Run(workspace.runs / "bottling-quick-cycles-cyclecl-0").folder / "metrics.jsonl"
    before = written.stat().st_mtime_ns
    list(conduct(plan, workspace))
    assert written.stat().st_mtime_ns == before
    text = told(plan, load_scores(plan, workspace))
    assert "| table |" in text.splitlines()[0] and "**not told apart**" in text
    page = write_report(plan, workspace).read_text()
    assert "Loss of pre-training" in page and "Confusion" not in page
    best = table_html(plan, load_scores(plan, workspace))
    assert best.count("class=best") >= len(plan.scores)


def test_weights_that_cannot_be_had_are_a_row_that_says_so(workspace, monkeypatch):
    def missing(dataset, hop):
        raise WeightsError("the weights are not here\nand more")

    monkeypatch.setattr(bottling, "pretrained", missing)
    plan = chosen(monkeypatch, bottling.CHANCE, bottling.PRETRAINED)
    list(conduct(plan, workspace))
    scores = load_scores(plan, workspace)
    assert scores.set_index("row").loc[bottling.PRETRAINED, "failed"] == "the weights are not here"
    text = told(plan, scores)
    assert "the weights are not here" in text
    finding = plan.findings(scores)[1]
    assert finding.verdict == "not measured" and "the weights are not here" in finding.measured


def test_without_truth_anomalies_are_judged_alone(tmp_path, monkeypatch):
    place = cycles_workspace(tmp_path, frames=True, truth=False)
    plan = chosen(monkeypatch, bottling.CHANCE, bottling.PLAIN)
    list(conduct(plan, place))
    scores = load_scores(plan, place)
    assert np.isfinite(scores["ap"]).all() and scores["mae"].isna().all()


def planted(seeds=2, **changes):
    """Scores in which all claims hold, but for the rows that are changed."""
    paper = {row: ap / 100 for row, (ap, _) in bottling.PAPER.items()}
    rows = paper | {bottling.CHANCE: 0.3, bottling.PLAIN: 0.4, bottling.RANDOM: 0.35}
    rows |= {bottling.MOCO: 0.5, bottling.SIMCLR: 0.5, bottling.TCN: 0.5} | changes
    lines = []
    for row, ap in rows.items():
        for seed in range(1 if row in bottling.FIXED else seeds):
            f1 = bottling.PAPER.get(row, (0, 0))[1] / 100
            line = {"row": row, "column": "", "seed": seed, "failed": "", "ap": ap + 0.01 * seed}
            lines.append(line | {"knn_f1": f1, "mae": 2 - ap, "phase_error": 1 - ap})
    return pd.DataFrame(lines).assign(nearest_phase=lambda s: s["phase_error"])


def test_the_paper_s_own_figures_make_its_claims_repeat():
    found = bottling.findings(planted())
    assert {f.verdict for f in found} == {"repeats"}
    assert "(paper 61.35, 46.25)" in found[1].measured
    assert "CycleCL 0.619, plain pictures 0.400" in found[4].measured


def test_claims_fail_or_stay_open_by_planted_scores():
    worse = bottling.findings(planted(**{bottling.TCN: 0.7}))
    assert worse[2].verdict == "does not repeat" and worse[0].verdict == "repeats"
    assert {f.verdict for f in bottling.findings(planted(seeds=1))} == {"not told apart"}
    scores = planted()
    tcn = (scores["row"] == bottling.TCN) & (scores["seed"] == 1)
    scores.loc[tcn, "ap"] = 0.9  # the seeds do not agree
    assert bottling.findings(scores)[2].verdict == "not told apart"
    for n in range(0, len(scores), 7):
        assert len(bottling.findings(scores[:n])) == len(worse)
    assert {f.verdict for f in bottling.findings(scores[:1])} == {"not measured"}


def test_a_cell_without_stages_is_scored_as_it_is(workspace, monkeypatch):
    plan = chosen(monkeypatch, bottling.CHANCE)
    assert plan.cells == (Cell(bottling.CHANCE, bottling.BASELINE, 0, ()),)
    assert [step.total for step in conduct(plan, workspace)] == [0]
