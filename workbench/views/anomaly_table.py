"""How right alarms are, as HTML."""

from __future__ import annotations

from workbench.views.anomaly_judge import Found, Judgement
from workbench.views.score_table import CELL, NAME, number


def score_table(judgement: Judgement, found: Found) -> str:
    """What is found at a threshold, beside what does not depend on it.

    Where nothing is labelled abnormal: how many alarms there are, and that this says little.
    """
    n, hours, false = len(found.alarms), judgement.hours, found.false_alarms
    often = f"{false / hours:.1f}" if hours else "-"
    length = f"{60 * hours:.1f} min" if hours < 1 else f"{hours:.1f} h"
    if not judgement.abnormal.any():
        return _table(
            [
                ("Alarms", str(n), f"in {length} of video"),
                ("False alarms per hour", often, "if nothing there is wrong"),
            ],
            "Nothing that is judged is labelled abnormal, so precision and recall do not exist: "
            "look at the alarms. A rate per hour is all that can be said.",
        )
    rates, best = found.rates, judgement.best
    share = float(judgement.abnormal.mean())
    return _table(
        [
            ("Precision", number(rates.precision), "of the alarmed moments are abnormal"),
            ("Recall", number(rates.recall), "of the abnormal moments are alarmed"),
            ("F1", number(rates.f1), f"at best {best[0]:.3f}, at {best[1]:.3f}"),
            ("Events noticed", f"{found.noticed} of {found.events}", "with an alarm in them"),
            ("Mean delay", number(found.delay, 2), "s, from their start to the alarm"),
            ("False alarms per hour", often, f"{false} in {length} of normal video"),
            ("Average precision", number(judgement.average_precision), f"chance {share:.3f}"),
            ("AUROC", number(judgement.auroc), "chance 0.5"),
        ]
    )


def _table(rows: list[tuple[str, str, str]], remark: str = "") -> str:
    body = "".join(
        f"<tr><td {NAME}>{name}</td><td {CELL}><b>{value}</b></td><td {NAME}><span "
        f'style="opacity:.7">{what}</span></td></tr>'
        for name, value, what in rows
    )
    return (
        '<div class="judged" style="font-size:13px;font-variant-numeric:tabular-nums">'
        f'<table style="border-collapse:collapse">{body}</table>'
        f'<p style="opacity:.75;margin:8px 0 0">{remark}</p></div>'
    )
