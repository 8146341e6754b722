"""A study as one HTML file that needs no server and no network: table, findings, curves."""

from __future__ import annotations

from html import escape
from pathlib import Path

import numpy as np
import pandas as pd
from bokeh.layouts import column, gridplot
from bokeh.models import ColumnDataSource, Div, HoverTool, LayoutDOM, Legend
from bokeh.palettes import Category20_20
from bokeh.plotting import figure

from workbench.analysis.projection import tsne
from workbench.data.manifest import DataSet
from workbench.training.atomic import replacing
from workbench.training.evaluate_detection import evaluate_detection
from workbench.training.run import Run
from workbench.training.study import (
    Cell,
    Finding,
    Stage,
    Study,
    load_scores,
    mean_and_deviation,
    table,
)
from workbench.views.page import page
from workbench.workspace import Workspace

SMOOTH = 0.1
"""Share of a run that a point of its loss curve is the mean of."""
FEW = 20
"""Points up to which a curve is left as it is."""
STYLE = """<style>
table.study {border-collapse: collapse; font-variant-numeric: tabular-nums}
table.study th, table.study td {padding: 3px 10px; border-bottom: 1px solid #ddd; text-align: right}
table.study th {border-bottom: 2px solid #888}
table.study td.name {text-align: left}
table.study td.best {font-weight: 600}
dl.findings dt {font-weight: 600; margin-top: 10px}
</style>"""


def write_report(study: Study, workspace: Workspace) -> Path:
    """Write `report.html` beside the scores of a study, whole or in part; the file's path."""
    scores = load_scores(study, workspace)
    scored = scores.loc[scores["failed"] == "", ["row", "column", "seed"]]
    done = set(scored.itertuples(index=False, name=None))
    cells = [c for c in study.cells if (c.row, c.column, c.seed) in done]
    dataset = DataSet(workspace.data_folder(study.data))
    parts = [
        Div(text=f"<h1>{escape(study.title)}</h1>{_about(study, scores, dataset)}"),
        Div(text=f"{STYLE}<h2>Table</h2>" + table_html(study, scores)),
        Div(text=f"{STYLE}<h2>Findings</h2>" + _findings_html(study.findings(scores))),
        Div(text="<h2>Along training</h2>"),
        _curves(cells, workspace),
    ]
    classified = [c for c in cells if _ends(c) == "classify"]
    if classified or any(_ends(c) == "classify" for c in study.cells):
        words = "<h2>Confusion in the test recordings</h2><p>Rows: the truth. Seeds added.</p>"
        parts += [Div(text=words), _confusions(classified, workspace, dataset, study.split)]
    if study.features and (mapped := [c for c in firsts(cells) if c.row in study.mapped]):
        words = "<h2>Maps</h2><p>t-SNE of all recordings, first seed; a colour is a class.</p>"
        parts += [Div(text=words), _maps(study, mapped, workspace)]
    path = study.folder(workspace) / "report.html"
    with replacing(path) as temporary:
        temporary.write_text(page(column(*parts), study.title))
    return path


def table_html(study: Study, scores: pd.DataFrame) -> str:
    """Mean +- standard deviation over seeds of each score; the best of a column is bold."""
    found = table(scores, list(study.scores))
    head = "".join(f"<th>{escape(words)}</th>" for words in study.scores.values())
    lines = []
    for (row, where), values in found.iterrows():
        cells = [f"<td class='name'>{escape(t)}</td>" for t in (row, where)]
        for name in study.scores:
            mean, std = values[(name, "mean")], values[(name, "std")]
            means = found[(name, "mean")]
            best = (name in study.higher and mean == means.max()) or (
                name in study.lower and mean == means.min()
            )
            cells.append(f"<td{' class=best' * bool(best)}>{mean_and_deviation(mean, std)}</td>")
        lines.append(f"<tr>{''.join(cells)}<td>{int(values[('seeds', '')])}</td></tr>")
    return (
        f"<table class='study'><tr><th></th><th>{escape(study.grouped)}</th>{head}"
        f"<th>seeds</th></tr>{''.join(lines)}</table>"
    )


def _about(study: Study, scores: pd.DataFrame, dataset: DataSet) -> str:
    failed = scores[scores["failed"] != ""]
    words = [
        f"Data set {escape(study.data)}: {len(dataset.recordings)} recordings. "
        f"{len(scores)} of {len(study.cells)} cells measured."
    ]
    words += [f"Failed: {escape(f'{r.row}, {r.column}: {r.failed}')}" for r in failed.itertuples()]
    return "".join(f"<p>{w}</p>" for w in words)


def _findings_html(findings: list[Finding]) -> str:
    lines = [
        f"<dt>{escape(f.claim)}</dt><dd><b>{f.verdict}</b>: {escape(f.measured)}</dd>"
        for f in findings
    ]
    return f"<dl class='findings'>{''.join(lines)}</dl>"


CURVES = (  # whether of the classifier, what is logged, title
    (False, "loss", "Loss of pre-training: compare it within one method only"),
    (False, "knn", "kNN accuracy of held-out windows, from the random network on"),
    (False, "nearest", "R@1 of held-out windows, from the random network on"),
    (False, "positives_changed", "Share of the mined positives that are new"),
    (False, "nmi", "Clusters that positives are taken from: NMI with the classes"),
    (False, "false_positives", "Share of the pairs of one cluster that are of two classes"),
    (False, "false_negatives", "Share of the pairs of two clusters that are of one class"),
    (True, "held_out_accuracy", "Accuracy of the classifier on recordings it does not train on"),
)


NAMES, ACROSS = 20, 230
"""Names in a column of a legend, and pixels that another column takes."""


def _ends(cell: Cell) -> str:
    """The method of the last stage, "" where nothing is trained."""
    return cell.stages[-1].experiment.method.name if cell.stages else ""


def _stage(cell: Cell, classifier: bool) -> Stage | None:
    """The classifier that is trained last, or else the last stage that is none."""
    kinds = [s for s in cell.stages if (s.experiment.method.name == "classify") == classifier]
    return kinds[-1] if kinds else None


def _curves(cells: list[Cell], workspace: Workspace) -> LayoutDOM:
    """Every line of the table at its first seed; a click on a name in the legend hides it.

    A run that ends several lines is drawn once.
    """
    named = {f"{cell.row}, {cell.column}": cell for cell in firsts(cells)}
    plots = []
    for classifier, key, title in CURVES:
        plot = figure(
            width=980, height=460, title=title, x_axis_label="step", tools="pan,reset,save"
        )
        lines, drawn = [], set()
        for k, (label, cell) in enumerate(named.items()):
            stage = _stage(cell, classifier)
            if stage is None or stage.name in drawn:
                continue
            drawn.add(stage.name)
            curve = _curve(Run(workspace.runs / stage.name).metrics(), key)
            data = ColumnDataSource({"x": curve.index, "y": curve, "run": [label] * len(curve)})
            style = {"color": Category20_20[k % 20], "line_width": 2}
            style["line_dash"] = "solid" if k < 20 else "dashed"
            if len(curve):
                lines.append((label, [plot.line("x", "y", source=data, **style)]))
        if not lines:
            continue
        plot.add_tools(HoverTool(tooltips=[("", "@run"), ("step", "@x"), (key, "@y{0.000}")]))
        legend = Legend(items=lines, click_policy="hide", label_text_font_size="8pt")
        legend.ncols = 1 + (len(lines) - 1) // NAMES
        plot.width += ACROSS * (legend.ncols - 1)
        plot.add_layout(legend, "right")
        plots.append(plot)
    return column(*plots) if plots else Div(text="Nothing was logged.")


def firsts(cells: list[Cell]) -> list[Cell]:
    """Of every line of the table its first seed."""
    found = {(cell.row, cell.column): cell for cell in reversed(cells)}
    return [cell for cell in cells if found[(cell.row, cell.column)] is cell]


def _maps(study: Study, cells: list[Cell], workspace: Workspace) -> LayoutDOM:
    """A small t-SNE of each cell's features."""
    plots = []
    for cell in cells:
        z, labels = study.features(cell, workspace)  # type: ignore[misc]
        x, y = tsne(z).T
        classes = sorted(set(labels))
        plot = figure(width=320, height=320, title=f"{cell.row}, {cell.column}", tools="save")
        for k, label in enumerate(classes):
            here = np.array(labels) == label
            data = ColumnDataSource({"x": x[here], "y": y[here], "label": [label] * here.sum()})
            plot.scatter("x", "y", source=data, color=Category20_20[2 * k % 20], size=5)
        plot.add_tools(HoverTool(tooltips=[("", "@label")]))
        plot.axis.visible = plot.grid.visible = False
        plots.append(plot)
    return gridplot(plots, ncols=3, toolbar_location=None)


def _curve(metrics: pd.DataFrame, key: str) -> pd.Series:
    """What was logged by step; what comes at each step is averaged, kNN begins at random."""
    if key not in metrics:
        return pd.Series(dtype=float)
    values = metrics.set_index("step")[key]
    if f"{key}_random" in metrics:
        values = values.fillna({0: metrics[f"{key}_random"].iloc[0]})
    values = values.dropna()
    span = max(1, round(SMOOTH * len(values))) if len(values) > FEW else 1
    return values.rolling(span, min_periods=1).mean()


def _confusions(cells: list[Cell], workspace: Workspace, dataset: DataSet, split: str) -> LayoutDOM:
    """One small matrix per line of the table, its colours the share of a true class."""
    counts: dict[tuple[str, str], np.ndarray] = {}
    classes: tuple[str, ...] = ()
    for cell in cells:
        run = Run(workspace.runs / cell.stages[-1].name)
        found = evaluate_detection(run, dataset, split)  # kept from when the cell was scored
        classes = found.classes
        before = counts.get((cell.row, cell.column), 0)
        counts[(cell.row, cell.column)] = before + found.confusion
    plots = []
    for (row, where), matrix in counts.items():
        share = matrix / np.maximum(1, matrix.sum(axis=1, keepdims=True))
        plot = figure(
            width=300, height=300, title=f"{row}, {where}", tools="save",
            x_range=list(classes), y_range=list(reversed(classes)),
        )  # fmt: skip
        i, j = np.indices(matrix.shape).reshape(2, -1)
        cells_data = ColumnDataSource({
            "truth": [classes[k] for k in i], "said": [classes[k] for k in j],
            "n": matrix[i, j], "share": share[i, j], "text": [str(n) for n in matrix[i, j]],
            "ink": ["white" if s > 0.5 else "#333" for s in share[i, j]],
        })  # fmt: skip
        plot.rect(
            "said", "truth", 1, 1, source=cells_data, color="#0072b2", alpha="share",
        )  # fmt: skip
        plot.text(
            "said", "truth", "text", source=cells_data, text_align="center",
            text_baseline="middle", text_font_size="8pt", text_color="ink",
        )  # fmt: skip
        plot.xaxis.major_label_orientation = 0.9
        plot.title.text_font_size = "8pt"
        plot.grid.visible = False
        tips = [("true", "@truth"), ("said", "@said"), ("chunks", "@n"), ("share", "@share{0%}")]
        plot.add_tools(HoverTool(tooltips=tips))
        plots.append(plot)
    return gridplot(plots, ncols=4, toolbar_location=None) if plots else Div(text="None yet.")
