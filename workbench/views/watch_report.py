"""What a watch found, as one HTML file that needs no server and no network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np
from bokeh.layouts import column
from bokeh.models import BoxAnnotation, ColumnDataSource, Div, HoverTool, LayoutDOM, Span
from bokeh.plotting import figure

from workbench.training.atomic import replacing
from workbench.training.reference import Reference, Threshold, VigilConfig, normal_pictures
from workbench.training.sight import Sight
from workbench.training.vigil import PICTURES, Alarm, Judged
from workbench.views.page import page
from workbench.views.pictures import jpeg_url

RED, BLUE = "#d32f2f", "#0072b2"
POINTS = 4000
"""Points of a score curve, at most; of more, the lowest and the highest of neighbours are drawn."""
STYLE = """<style>
.watch {font-family: system-ui, sans-serif; max-width: 1080px; line-height: 1.45}
.watch table {border-collapse: collapse}
.watch td {padding: 2px 14px 2px 0; vertical-align: top}
.watch td:first-child {color: #555; white-space: nowrap}
.watch .note {border-left: 4px solid #e69f00; padding: 2px 10px; margin: 6px 0}
.alarms {display: flex; flex-wrap: wrap; gap: 14px}
.alarm {border: 1px solid #ddd; border-top: 3px solid #d32f2f; padding: 8px; border-radius: 4px}
.alarm figure {display: inline-block; margin: 4px 6px 0 0}
.alarm img {display: block; height: 130px; min-width: 60px; background: #eee}
.alarm figcaption {font-size: 12px; color: #555}
</style>"""


def write_watch_report(
    path: Path,
    judged: Sequence[Judged],
    reference: Reference,
    sight: Sight,
    config: VigilConfig,
    threshold: Threshold,
) -> Path:
    """Write the report of one or several judged videos; the file's path."""
    alarms = [alarm for one in judged for alarm in one.alarms]
    shown = {id(a) for a in sorted(_pictured(alarms), key=lambda a: -a.peak)[:PICTURES]}
    wanted = {_normal(a, reference) for a in alarms if id(a) in shown}
    normal = normal_pictures(reference, wanted, sight.side)
    title = f"{len(alarms)} alarm{'s' * (len(alarms) != 1)} in " + (
        judged[0].name if len(judged) == 1 else f"{len(judged)} videos"
    )
    parts: list[LayoutDOM] = [
        _text(f"<h1>{escape(title)}</h1>{_settings(reference, sight, config, threshold)}")
    ]
    for one in judged:
        parts.append(_text(f"<h2>{escape(one.name)}</h2>{_summary(one)}"))
        if one.smoothed:
            parts.append(score_plot(one, threshold.value))
        cards = [_card(a, reference, normal) for a in one.alarms if id(a) in shown]
        parts.append(_text(_cards(cards, len(one.alarms))))
    with replacing(path) as temporary:
        temporary.write_text(page(column(*parts), title))
    return path


def score_plot(judged: Judged, threshold: float) -> figure:
    """The score of a video over time, its threshold, and its alarms in red."""
    seconds, scores = np.array(judged.seconds[: len(judged.smoothed)]), judged.scores
    keep = envelope(scores)
    data = ColumnDataSource(
        {"x": seconds[keep], "y": scores[keep], "frame": np.array(judged.frame)[keep]}
    )
    top = max([*scores[np.isfinite(scores)], threshold if math.isfinite(threshold) else 0.0])
    plot = figure(
        width=1080, height=280, tools="xpan,xwheel_zoom,xbox_zoom,reset,save",
        title="How far each moment is from the nearest normal one; red: alarms",
        x_axis_label="seconds", y_axis_label="score", y_range=(0, 1.08 * top or 1.0),
    )  # fmt: skip
    for alarm in judged.alarms:
        plot.add_layout(
            BoxAnnotation(
                left=alarm.start_seconds, right=alarm.stop_seconds, fill_color=RED, fill_alpha=0.25
            )
        )
    line = plot.line("x", "y", source=data, color=BLUE, line_width=1.5)
    if len(keep) == 1:
        line = plot.scatter("x", "y", source=data, color=BLUE, size=8)
    if math.isfinite(threshold):
        plot.add_layout(
            Span(location=threshold, dimension="width", line_color=RED, line_dash="dashed")
        )
    tips = [("second", "@x{0.00}"), ("frame", "@frame"), ("score", "@y{0.000}")]
    plot.add_tools(HoverTool(renderers=[line], tooltips=tips, mode="vline"))
    return plot


def envelope(scores: np.ndarray) -> np.ndarray:
    """Which points to draw: all, or of each bin the lowest and the highest, so that peaks stay."""
    if len(scores) <= POINTS:
        return np.arange(len(scores))
    bins = np.array_split(np.arange(len(scores)), POINTS // 2)
    known = np.nan_to_num(scores)
    return np.array([k for b in bins for k in sorted({b[known[b].argmin()], b[known[b].argmax()]})])


def _settings(reference: Reference, sight: Sight, config: VigilConfig, threshold: Threshold) -> str:
    cycle = (
        "no repetition found"
        if math.isnan(reference.period)
        else f"a cycle of {reference.period * reference.row_seconds:.2f} s "
        f"(confidence {reference.confidence:.2f})"
    )
    aware = (
        f"with normal moments at the same phase (within {config.width:g} of a cycle)"
        if reference.phase is not None
        else "with all normal moments"
    )
    value = f"{threshold.value:.3f}, " if math.isfinite(threshold.value) else ""
    rows = [
        ("threshold", f"{value}{threshold.how}."),
        ("reference", f"{', '.join(reference.names)}: {reference.length:.1f} s, {cycle}"),
        ("seen by", sight.about),
        (
            "compared",
            f"{1 / reference.row_seconds:.3g} times a second, {aware}; {config.metric} distance "
            f"to nearest moment number {config.k}, averaged over {config.smooth:g} s",
        ),
    ]
    lines = "".join(f"<tr><td>{n}</td><td>{escape(text)}</td></tr>" for n, text in rows)
    return f"<table>{lines}</table>{_notes(reference.notes)}"


def _summary(judged: Judged) -> str:
    known = judged.scores[np.isfinite(judged.scores)]
    words = []
    if judged.seconds:
        words.append(f"{judged.done} frames, {_time(judged.seconds[-1] + judged.row_seconds)}")
    if len(known):
        words.append(f"scores from {known.min():.3f} to {known.max():.3f}")
    if judged.repetitions is not None:
        words.append(
            f"{judged.repetitions:.1f} repetitions of {judged.period:.2f} s "
            f"(confidence {judged.confidence:.2f})"
        )
    else:
        words.append("no repetition found")
    return f"<p>{escape('; '.join(words))}.</p>{_notes(judged.notes)}"


def _cards(cards: list[str], alarms: int) -> str:
    if not alarms:
        return "<p>No alarm.</p>"
    more = "" if len(cards) == alarms else (
        f"<p>The {len(cards)} highest of {alarms} alarms are shown; alarms.csv has all.</p>"
    )  # fmt: skip
    return f"{more}<div class='alarms'>{''.join(cards)}</div>"


def _card(alarm: Alarm, reference: Reference, normal: dict[tuple[int, int], np.ndarray]) -> str:
    other = normal.get(_normal(alarm, reference))
    pictures = [
        _figure(alarm.picture, f"peak, frame {alarm.peak_frame}"),
        _figure(other, f"nearest normal: {alarm.normal_video}, frame {alarm.normal_frame}"),
    ]
    lasting = alarm.stop_seconds - alarm.start_seconds
    return (
        f"<div class='alarm'><b>{_time(alarm.start_seconds)}</b> for {lasting:.1f} s "
        f"(frames {alarm.start} to {alarm.stop - 1}), score {alarm.peak:.3f}<br>"
        f"{''.join(pictures)}</div>"
    )


def _figure(picture: np.ndarray | None, caption: str) -> str:
    image = "" if picture is None else f"<img src='{jpeg_url(picture)}'>"
    return f"<figure>{image}<figcaption>{escape(caption)}</figcaption></figure>"


def _normal(alarm: Alarm, reference: Reference) -> tuple[int, int]:
    return reference.names.index(alarm.normal_video), alarm.normal_frame


def _pictured(alarms: list[Alarm]) -> list[Alarm]:
    return [alarm for alarm in alarms if alarm.picture is not None]


def _notes(notes: Sequence[str]) -> str:
    return "".join(f"<p class='note'>{escape(note[:1].upper() + note[1:])}</p>" for note in notes)


def _text(html: str) -> Div:
    return Div(text=f"{STYLE}<div class='watch'>{html}</div>", width=1080)


def _time(seconds: float) -> str:
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{seconds % 60:05.2f}"
