"""The scores of online detection as HTML."""

from __future__ import annotations

import math
from html import escape

from workbench.training.evaluate_detection import Detection
from workbench.views.plots import palette

CELL = 'style="padding:2px 10px 2px 0;text-align:right;white-space:nowrap"'
NAME = 'style="padding:2px 10px 2px 0;text-align:left"'


def score_table(found: Detection) -> str:
    """All scores, then those of each class."""
    s, about = found.scores, found.about
    late, wrong = s["latency"], found.errors
    detected = late["actions"] - late["undetected"]
    rows = [
        ("Accuracy", number(s["accuracy"]), f"of {s['chunks']} chunks"),
        ("Balanced accuracy", number(s["balanced_accuracy"]), "mean recall of the classes"),
        ("Frame mAP", number(s["frame_map"]), "mean over classes"),
        ("Latency", number(late["median"], 0), "frames, median: action to first right chunk"),
        ("Detected", f"{detected} of {late['actions']}", "actions with a right chunk"),
        ("Boundary", _share(wrong["boundary"]), "of errors confuse background and action"),
        ("Speed", f"{s['speed']:.1f} x", "real time, one camera"),
    ]
    general = "".join(
        f"<tr><td {NAME}>{name}</td><td {CELL}><b>{value}</b></td><td {NAME}><span "
        f'style="opacity:.7">{what}</span></td></tr>'
        for name, value, what in rows
    )
    colors = palette(found.classes)
    each = "".join(
        f"<tr><td {NAME}>{_dot(colors[c['label']])}{escape(c['label'])}</td>"
        + "".join(
            f"<td {CELL}>{value}</td>"
            for value in (
                c["chunks"],
                *(number(c[k]) for k in ("precision", "recall", "average_precision")),
            )
        )
        + "</tr>"
        for c in s["per_class"]
    )
    titles = ("chunks", "precision", "recall", "AP")
    head = f"<th {NAME}>class</th>" + "".join(f"<th {CELL}>{t}</th>" for t in titles)
    return (
        '<div style="font-size:13px;font-variant-numeric:tabular-nums;overflow-x:auto">'
        f'<table style="border-collapse:collapse">{general}</table>'
        f'<table style="border-collapse:collapse;margin-top:12px"><tr>{head}</tr>{each}</table>'
        f'<p style="opacity:.75;margin:10px 0 0">{escape(_remark(about))}</p></div>'
    )


def _remark(about: dict) -> str:
    clip, scores = about["clip"], about["scores"]
    apart = f", {clip['stride']} frames apart" if clip["stride"] > 1 else ""
    parts = [f"Chunks of {clip['length']} pictures{apart}, overlap {about['overlap']}."]
    if about["streaming"]:
        parts.append("The state is carried from chunk to chunk.")
    if n := scores["not_judged"]:
        parts.append(f"{n} chunks of unknown class are not judged.")
    if n := about["too_short"]:
        parts.append(f"{n} videos are too short.")
    if not about["held_out"]:
        parts.append("The run was trained on recordings that it is judged by here.")
    return " ".join(parts)


def number(value: float, digits: int = 3) -> str:
    """A score in a table; - where there is none."""
    return "-" if math.isnan(value) else f"{value:.{digits}f}"


def _share(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.0%}"


def _dot(color: str) -> str:
    return (
        '<i style="display:inline-block;width:9px;height:9px;border-radius:50%;margin-right:5px;'
        f'background:{color}"></i>'
    )
