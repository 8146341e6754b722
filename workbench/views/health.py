"""The Health page: do the features of a run still tell clips apart, and does it learn?"""

from __future__ import annotations

from html import escape

import numpy as np
import panel as pn
import panel_material_ui as pmui
from bokeh.models import ColumnDataSource, HoverTool, Span
from bokeh.plotting import figure

from workbench.analysis.health import channel_std, collapsed, effective_rank, health, spectrum
from workbench.analysis.similarity import unit
from workbench.training.evaluate import ADVICE, collapse, logged_health
from workbench.views import watch
from workbench.views.curves import COLOURS, GREY, CurvePlot, Smoother
from workbench.views.gate import with_embeddings
from workbench.views.store import Store
from workbench.views.tail import Tail
from workbench.views.ticking import Ticker

ROWS = 4000
"""Windows that the pictures of the embeddings are made of; more look the same."""
DEAD = 0.01
"""Share of the even deviation, 1 / sqrt(D), below which a channel is called dead."""
RED = "#d32f2f"
LEVELS = {"random network": "dashed", "chance": "dotted"}
PARTS = {"features": "feature", "the loss sees": "projected"}
MEASURES = {  # what is logged of both parts -> (title, unit)
    "alignment": ("Distance of positives: lower is more alike", "squared distance"),
    "uniformity": ("Uniformity: lower is more even, 0 is collapsed", "log potential"),
    "rank": ("Effective rank: 1 is collapsed", "directions"),
    "std": ("Relative deviation: 0 is collapsed, 1 healthy", "std x sqrt(D)"),
}


class HealthView(pn.viewable.Viewer):
    """The health of the chosen run along its training, and of its features as they are now."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        self.store = store
        self._tail = Tail(store.workspace.runs / store.run / "metrics.jsonl")
        self._verdict = pmui.Alert(
            severity="info", sizing_mode="stretch_width", margin=(4, 8), visible=False
        )
        self.loss = CurvePlot("Loss: it may fall while nothing is learned", "loss", ["smoothed"])
        self.knn = CurvePlot(
            "kNN accuracy: learning lifts it above random",
            "accuracy",
            ["this run"],
            levels=LEVELS,
            markers=True,
        )
        self.plots = {
            name: CurvePlot(title, unit, list(PARTS), markers=True, floors=True)
            for name, (title, unit) in MEASURES.items()
        }
        note = "Dashed: the same of the network before training, with random weights."
        self._now = pn.Column(sizing_mode="stretch_width")
        self._forget()
        self._view = pn.Column(
            self._verdict,
            pn.Column(
                self.loss,
                self.knn,
                *self.plots.values(),
                styles=watch.CURVES,
                sizing_mode="stretch_width",
            ),
            pmui.Typography(note, variant="body2", margin=(0, 12)),
            self._now,
            sizing_mode="stretch_width",
        )
        self._ticker = Ticker(self.tick, lambda: self._view, period=1000)
        self._show_now()
        self.tick(0.1)

    def _forget(self) -> None:
        self.scores: dict[str, float] = {}
        self.most = 0.0  # the highest rank of the features so far
        self._smooth = Smoother()

    def tick(self, seconds: float = 0.01) -> None:
        """Show what is new in the folder of the run."""
        records = self._tail.records(seconds)
        with pn.io.hold():
            if self._tail.restarted:  # a resumed run writes its last steps again
                self._forget()
                for plot in (self.loss, self.knn, *self.plots.values()):
                    plot.clear()
            for record in records:
                self._draw(record)
            self._say()

    def _draw(self, record: dict) -> None:
        step = record.get("step", 0)
        if record.get("loss") is not None:
            self.loss.add("smoothed", [(step, self._smooth(float(record["loss"])))])
        if "knn" in record or "feature_rank" in record:
            self.scores |= record
            self.most = max(self.most, record.get("feature_rank", 0.0))
        if "knn" in record:
            self.knn.add("this run", [(step, record["knn"])])
            for line, key in (("random network", "knn_random"), ("chance", "knn_chance")):
                if key in record:
                    self.knn.level(line, record[key])
        for name, plot in self.plots.items():
            for curve, part in PARTS.items():
                if (key := f"{part}_{name}") in record:
                    plot.add(curve, [(step, record[key])])
                    if f"{key}_random" in record:
                        plot.floor(curve, record[f"{key}_random"])

    def _say(self) -> None:
        text, severity = verdict(self.scores, self.most) or self._present
        if (text, severity) != (self._verdict.object, self._verdict.severity):
            self._verdict.param.update(object=text, severity=severity, visible=True)

    def _show_now(self) -> None:
        """The embeddings that the other pages show: their channels and their spectrum."""
        self._present = (
            "**Nothing is known yet.** Health is logged at every evaluation of a run: wait for "
            "the first one, or give it `train.evaluations` above 0.",
            "info",
        )
        built = with_embeddings(self.store, self._pictures)
        self._now[:] = [built]

    def _pictures(self) -> pn.viewable.Viewable:
        z = np.asarray(self.store.embeddings.z)
        z = z[np.linspace(0, len(z) - 1, min(ROWS, len(z))).astype(int)]
        why = collapsed(found := health(z))
        self._present = (
            (f"**The features look collapsed**: {why}. {ADVICE}", "error")
            if why
            else (
                f"**Not collapsed**: effective rank {found.rank:.1f}, relative deviation "
                f"{found.std:.2f}. This run logged no health while it trained, so there is "
                "nothing to compare that with.",
                "info",
            )
        )
        of = f"{escape(self.store.data)} as {escape(self.store.run)} sees it now"
        return pn.Column(
            pmui.Typography(f"{of} ({len(z):,} windows)", variant="subtitle1", margin=(8, 12)),
            pn.Column(
                *(
                    pn.pane.Bokeh(plot, sizing_mode="stretch_width", margin=(4, 4))
                    for plot in (channel_plot(z), spectrum_plot(z))
                ),
                styles=watch.CURVES,
                sizing_mode="stretch_width",
            ),
            sizing_mode="stretch_width",
        )

    def __panel__(self) -> pn.viewable.Viewable:
        """The page; from here on it follows a run that trains."""
        self._ticker.start()
        return self._view


def page(store: Store) -> pn.viewable.Viewable | pn.viewable.Viewer:
    """The health of the chosen run, or what to do where there is none."""
    if store.dataset is None or not store.run:
        return with_embeddings(store, lambda: None)
    return HealthView(store)


def verdict(scores: dict[str, float], most: float = 0.0) -> tuple[str, str] | None:
    """What the logged numbers say, in a few sentences, and how loud; None where none were logged.

    most: the highest effective rank of the features along the run.
    """
    now, random = logged_health(scores, "feature"), logged_health(scores, "feature", "_random")
    if now is None:
        return None
    if why := collapse(scores):
        return f"**Collapsed.** {why[:1].upper()}{why[1:]}. {ADVICE}", "error"

    def beside(value: float, before: float | None, digits: int) -> str:
        return f"{value:.{digits}f}" + ("" if before is None else f" (random {before:.{digits}f})")

    facts = (
        f"effective rank {beside(now.rank, random and random.rank, 1)}, relative deviation "
        f"{beside(now.std, random and random.std, 2)}, uniformity "
        f"{beside(now.uniformity, random and random.uniformity, 2)}"
    )
    parts, severity = [f"**Not collapsed**: {facts}."], "info"
    if now.rank < most / 2:
        parts.append(f"The effective rank has fallen from {most:.1f}: dimensions are being lost.")
        severity = "warning"
    if learned := watch.verdict({k: v for k, v in scores.items() if k != "collapsed"}):
        parts.append(learned[0])
        severity = learned[1] if severity == "info" else severity
    else:
        parts.append("Whether it learns cannot be said: there are no labels and one camera.")
    return "\n\n".join(parts), severity


def channel_plot(z: np.ndarray) -> figure:
    """A bar per channel of (N, D) features: its standard deviation, the largest first."""
    std = channel_std(z)
    order, even = np.argsort(-std), 1 / np.sqrt(len(std))
    dead = std[order] < DEAD * even
    title = "Deviation of each channel: the line is even"
    if dead.any():
        title += f"; {dead.sum()} of {len(std)} channels are dead (red)"
    plot = _plot(title, "channels, the most varied first", "std of unit vectors")
    source = {"x": np.arange(len(std)), "top": std[order], "channel": order}
    source["color"] = np.where(dead, RED, COLOURS[0])
    bars = plot.vbar(
        "x", 0.9, "top", fill_color="color", line_color=None, source=ColumnDataSource(source)
    )
    plot.y_range.start = 0
    tips = [("channel", "@channel"), ("std", "@top{0.0000}")]
    plot.add_tools(HoverTool(renderers=[bars], tooltips=tips))
    plot.add_layout(
        Span(location=even, dimension="width", line_color=GREY, line_dash="dashed", line_width=2)
    )
    return plot


def spectrum_plot(z: np.ndarray) -> figure:
    """The singular values of (N, D) features of unit length, as shares, on a logarithmic scale."""
    z = unit(z)
    shares = spectrum(z)
    rank = effective_rank(z)
    plot = _plot(
        f"Singular values: effective rank {rank:.1f} of {len(shares)}",
        "direction",
        "share of the sum",
        y_axis_type="log",
    )
    seen = shares > 0
    where = {"x": 1 + np.flatnonzero(seen), "y": shares[seen]}
    line = plot.line("x", "y", source=ColumnDataSource(where), line_width=2.5, color=COLOURS[1])
    plot.add_tools(
        HoverTool(
            renderers=[line],
            tooltips=[("direction", "@x"), ("share", "@y{0.0000}")],
            mode="vline",
        )
    )
    style = {"line_color": GREY, "line_dash": "dashed", "line_width": 2}
    plot.add_layout(Span(location=rank, dimension="height", **style))
    return plot


def _plot(title: str, x: str, y: str, **more) -> figure:
    plot = figure(
        height=230,
        sizing_mode="stretch_width",
        title=title,
        x_axis_label=x,
        y_axis_label=y,
        tools="pan,wheel_zoom,box_zoom,reset,save",
        active_drag=None,
        toolbar_location="above",
        min_border_right=16,
        **more,
    )
    plot.toolbar.logo = None
    plot.toolbar.autohide = True
    return plot
