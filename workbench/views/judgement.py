"""What a protocol found about a run, as one HTML file that needs no server and no network."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from pathlib import Path

import numpy as np
import pandas as pd
from bokeh.layouts import column
from bokeh.models import ColumnDataSource, Div, HoverTool, LayoutDOM, Span
from bokeh.palettes import Colorblind
from bokeh.plotting import figure

from workbench.analysis.prototypes import UNKNOWN, by_class
from workbench.training.atomic import replacing
from workbench.training.protocols.base import Judgement
from workbench.views.page import page

BLUE, GREY = "#0072b2", "#9aa0a6"
LINES = [Colorblind[7][k] for k in (0, 5, 3, 6, 1, 4, 2)]
MOST = 120
"""Rows or columns of a matrix that are drawn, at most."""
STYLE = """<style>
.judged {font-family: system-ui, sans-serif; max-width: 980px; line-height: 1.45}
.judged table {border-collapse: collapse; font-variant-numeric: tabular-nums}
.judged th, .judged td {padding: 3px 12px; border-bottom: 1px solid #ddd; text-align: right}
.judged th:first-child, .judged td:first-child {text-align: left}
.judged .note {border-left: 4px solid #e69f00; padding: 2px 10px; margin: 6px 0}
</style>"""


def write_judgement(found: Judgement) -> Path:
    """Write `report.html` beside the numbers; the file's path."""
    title = f"{found.protocol}: {found.about['run']}"
    title += f" with {found.about['with']}" * bool(found.about["with"])
    parts = [Div(text=f"{STYLE}<div class='judged'>{_words(found, title)}</div>")]
    path = found.folder / "report.html"
    with replacing(path) as temporary:
        temporary.write_text(page(column(*parts, *FIGURES[found.protocol](found)), title))
    return path


def retrieval_figure(found: Judgement) -> list[LayoutDOM]:
    """R@k of every way and run beside chance, and R@1 of the classes."""
    scores, classes = found.scores, found.tables["classes"]
    k = [int(name.partition("@")[2]) for name in scores["score"]]
    plot = figure(
        width=760, height=380, title="How often one of the k nearest is of the same class",
        x_axis_label="k", y_axis_label="share of videos", x_axis_type="log", y_range=(0, 1.03),
        tools="save",
    )  # fmt: skip
    lines = [c for c in scores.columns if c not in ("score", "value", "chance")]
    _line(plot, k, scores["chance"], "chance", GREY, dash="dashed")
    for name, color in zip(lines, LINES, strict=False):
        both = "both, " * bool(found.about["with"] and name in lines[:2])
        _line(plot, k, scores[name], both + name, color)
    plot.xaxis.ticker = k
    plot.legend.location = "bottom_right"
    first = classes.columns[2]
    chance = float(scores["chance"].iloc[0])
    return [plot, class_bars(classes["label"], classes[first], first, chance)]


def classification_figure(found: Judgement) -> list[LayoutDOM]:
    """Recall of the classes, and who is taken for whom."""
    classes, table = found.tables["classes"], found.tables["confusion"].set_index("truth")
    chance = float(found.scores.set_index("score")["chance"]["mean of classes"])
    return [
        class_bars(classes["label"], classes["recall"], "share of its videos told right", chance),
        matrix(table, "Rows: the truth; columns: what is said", "said", "truth"),
    ]


def few_shot_figure(found: Judgement) -> list[LayoutDOM]:
    """Every draw as a dot, their mean as a line."""
    draws = found.tables["draws"]
    order = list(found.scores["score"])
    plot = figure(
        width=760, height=360, x_range=order, y_range=(0, 1.03), tools="save",
        title="Accuracy with a few labelled examples per class; a dot per draw of these",
        y_axis_label="share of videos told right",
    )  # fmt: skip
    names = [
        f"{s} shot{'s' * (s != 1)}, {b}" for s, b in zip(draws["shots"], draws["by"], strict=True)
    ]
    plot.scatter(names, draws["accuracy"], size=7, alpha=0.4, color=BLUE)
    means = found.scores["value"]
    plot.scatter(order, means, marker="dash", size=60, line_width=3, color=BLUE)
    _chance(plot, float(found.scores["chance"].iloc[0]))
    return [plot]


def clusters_figure(found: Judgement) -> list[LayoutDOM]:
    """Scores beside chance, clusters against classes, how often prototypes are used and follow."""
    table = found.tables["classes"].set_index("cluster")
    order = by_class(table.drop(columns=UNKNOWN, errors="ignore"))
    order = [k for k in order if table.iloc[k].sum()]
    table = table.iloc[order].T
    table.columns = table.columns.astype(str)
    parts = [matrix(table, "Videos of each class (rows) in each cluster", "cluster", "class")]
    if "usage" not in found.tables:
        return parts
    use = found.tables["usage"].sort_values("videos", ascending=False)
    plot = figure(
        width=980, height=280, x_range=[str(p) for p in use["prototype"]], tools="save",
        title="How many videos each prototype is nearest to", y_axis_label="videos",
    )  # fmt: skip
    plot.vbar(x=[str(p) for p in use["prototype"]], top=use["videos"], width=0.8, color=BLUE)
    plot.xaxis.major_label_orientation = 1.2
    plot.y_range.start = 0
    if "exemplars" in found.tables:
        parts.append(Div(text=_exemplars(found.tables["exemplars"])))
    moves = found.tables["transitions"].head(2000)
    square = moves.pivot_table("share", "source", "target", fill_value=0.0)
    square.columns, square.index = square.columns.astype(str), square.index.astype(str)
    if square.size:
        note = "What comes after each prototype (rows), from window to window"
        return [*parts, plot, matrix(square, note, "next", "prototype", whole=False)]
    return [*parts, plot]


def _exemplars(table: pd.DataFrame) -> str:
    """Which videos a prototype stands for, in words: names, first frames, cosines."""
    lines = "".join(
        f"<p>Prototype {prototype}: "
        + ", ".join(
            f"{escape(str(e.recording))} from frame {e.start} ({e.score:.2f})"
            for e in of.itertuples()
        )
        + "</p>"
        for prototype, of in table.groupby("prototype")
    )
    return f"<h3>Exemplars: the videos nearest to each prototype</h3>{lines}"


def mining_figure(found: Judgement) -> list[LayoutDOM]:
    """The scores along training, and the recall of each class."""
    epochs, parts = found.tables["epochs"], []
    plot = figure(
        width=980, height=380, title="Along training", x_axis_label="epoch", tools="save",
        y_range=(0, 1.03),
    )  # fmt: skip
    lines = [c for c in epochs.columns if c not in ("epoch", "classes at 100 %")]
    for name, color in zip(lines, 2 * LINES, strict=False):
        known = epochs[["epoch", name]].dropna()
        _line(plot, known["epoch"], known[name], name, color)
    plot.add_layout(plot.legend[0], "right")
    parts.append(plot)
    if "classes" in found.tables:
        classes = found.tables["classes"]
        chance = float(classes["chance"].median())
        parts.append(class_bars(classes["label"], classes["recall"], "class mining recall", chance))
    return parts


FIGURES: dict[str, Callable[[Judgement], list[LayoutDOM]]] = {
    "retrieval": retrieval_figure,
    "probe": classification_figure,
    "linear": classification_figure,
    "finetune": classification_figure,
    "ten-crop": classification_figure,
    "few-shot": few_shot_figure,
    "clusters": clusters_figure,
    "mining": mining_figure,
}


def class_bars(labels: pd.Series, values: pd.Series, what: str, chance: float) -> figure:
    """A bar per class, best first, and the chance level of all as a line."""
    bars = pd.DataFrame({"label": labels.astype(str), "value": values}).sort_values(
        "value", ascending=False, kind="stable"
    )
    plot = figure(
        width=980, height=320, x_range=list(bars["label"]), y_range=(0, 1.03), tools="save",
        title=f"{what[:1].upper()}{what[1:]}, by class; dashed: chance", y_axis_label=what,
    )  # fmt: skip
    data = ColumnDataSource(bars.fillna(0))
    plot.vbar(x="label", top="value", width=0.8, source=data, color=BLUE)
    plot.add_tools(HoverTool(tooltips=[("", "@label"), (what, "@value{0.000}")]))
    plot.xaxis.major_label_orientation = 0.9
    plot.xgrid.visible = False
    _chance(plot, chance)
    return plot


def matrix(table: pd.DataFrame, title: str, across: str, down: str, whole: bool = True) -> figure:
    """A table as squares, darker for a larger share of their row; whole: of counts, written in."""
    table = table.iloc[:MOST, :MOST]
    values = table.to_numpy(float)
    share = values / np.maximum(values.sum(axis=1, keepdims=True), 1e-12) if whole else values
    rows, columns = [str(r) for r in table.index], [str(c) for c in table.columns]
    side = max(12, min(34, 900 // max(1, len(columns))))
    plot = figure(
        width=max(560, 170 + side * len(columns)), height=120 + side * len(rows), tools="save",
        x_range=columns, y_range=rows[::-1], x_axis_label=across, y_axis_label=down, title=title,
    )  # fmt: skip
    i, j = np.indices(values.shape).reshape(2, -1)
    cells = ColumnDataSource({
        "row": [rows[k] for k in i], "column": [columns[k] for k in j], "share": share[i, j],
        "value": values[i, j], "ink": ["white" if s > 0.5 else "#333" for s in share[i, j]],
        "text": [f"{v:.0f}" if v and whole and side > 20 else "" for v in values[i, j]],
    })  # fmt: skip
    plot.rect("column", "row", 1, 1, source=cells, color=BLUE, alpha="share", line_color=None)
    plot.text(
        "column", "row", "text", source=cells, text_align="center", text_baseline="middle",
        text_font_size="8pt", text_color="ink",
    )  # fmt: skip
    plot.xaxis.major_label_orientation = 1.1
    plot.grid.visible = False
    tips = [(down, "@row"), (across, "@column"), ("", "@value{0.[000]}"), ("share", "@share{0%}")]
    plot.add_tools(HoverTool(tooltips=tips))
    return plot


def _line(plot: figure, x: object, y: object, name: str, color: str, dash: str = "solid") -> None:
    plot.line(x, y, legend_label=name, color=color, line_width=2, line_dash=dash)
    if dash == "solid":
        plot.scatter(x, y, legend_label=name, color=color, size=6)


def _chance(plot: figure, chance: float) -> None:
    line = Span(location=chance, dimension="width", line_color=GREY, line_dash="dashed")
    plot.add_layout(line)


def _number(value: float) -> str:
    if not np.isfinite(value):
        return "-"
    return f"{value:.0f}" if value > 1 and value == round(value) else f"{value:.3f}"


def _words(found: Judgement, title: str) -> str:
    about = found.about
    where = f"Data set {about['data']}" + f", split {about['split']}" * bool(about["split"]) + "."
    notes = "".join(f"<p>{escape(note)}.</p>" for note in [where.rstrip("."), *about["notes"]])
    if not about["held_out"]:
        notes += "<p class='note'>The run was trained on recordings that it is judged by here.</p>"
    head = "".join(f"<th>{escape(str(c))}</th>" for c in found.scores.columns)
    lines = "".join(
        f"<tr><td>{escape(str(row[0]))}</td>"
        + "".join(f"<td>{_number(float(v))}</td>" for v in row[1:])
        + "</tr>"
        for row in found.scores.itertuples(index=False)
    )
    settings = ", ".join(f"{k} {v}" for k, v in about["settings"].items() if v is not None)
    return (
        f"<h1>{escape(title)}</h1>{notes}<table><tr>{head}</tr>{lines}</table>"
        + f"<p style='opacity:.7'>Settings: {escape(settings)}.</p>" * bool(settings)
    )
