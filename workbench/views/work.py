"""A background job on the page: bar, time left, log, and what to do when it fails."""

from __future__ import annotations

from collections.abc import Callable
from html import escape

import panel as pn
import panel_material_ui as pmui
import param

from workbench.training.jobs import Job
from workbench.views.ticking import Ticker
from workbench.views.watch import duration, plain_error

ENDED = ("failed", "interrupted", "stopped")


class JobView(pn.viewable.Viewer):
    """Starts a job, or joins the one that runs, shows how far it is, calls `done` at its end.

    Any number of pages may show one job: whoever comes first starts it.
    argv: the command; it writes the status of the job's folder itself.
    """

    state = param.String(default="none", doc="The job's state, as last seen.")

    def __init__(
        self, job: Job, argv: list[str], title: str, why: str, done: Callable[[], None]
    ) -> None:
        super().__init__()
        self.job, self.argv, self._done = job, argv, done
        self.bar = pmui.LinearProgress(
            value=0, variant="indeterminate", sizing_mode="stretch_width", margin=(8, 8)
        )
        self.facts = pmui.Typography("starting", variant="body2", margin=(0, 8))
        self.trouble = pmui.Alert(
            severity="error", visible=False, sizing_mode="stretch_width", margin=(8, 8)
        )
        self.retry = pmui.Button(label="Try again", icon="refresh", visible=False, margin=(4, 8))
        self.retry.on_click(lambda _: self.start())
        self.log = pn.pane.HTML("", sizing_mode="stretch_width", margin=(8, 8))
        self._view = pn.Column(
            pmui.Typography(escape(title), variant="h5", margin=(8, 8, 2, 8)),
            pmui.Typography(why, variant="body2", margin=(0, 8)),
            self.bar, self.facts, self.trouble, self.retry, self.log,
            sizing_mode="stretch_width", max_width=760,
            styles={"margin-inline": "auto"},
        )  # fmt: skip
        self._ticker = Ticker(self.tick, lambda: self._view, lambda: not self._over, 300)
        self._over = False
        if job.status().state not in ("pending", "running"):
            self.start()
        self.tick()

    def start(self) -> None:
        """Start the job, unless another page was faster."""
        self.retry.visible = self.trouble.visible = False
        try:
            self.job.start(self.argv)
        except RuntimeError:
            pass  # it runs already
        except OSError as error:
            self.trouble.param.update(
                object=f"**It did not start.** {escape(str(error))}", visible=True
            )
            self.retry.visible = True

    def tick(self) -> None:
        """Look how far it is."""
        if self._over:
            return
        status = self.job.status()
        self.state = status.state
        parts = [status.message or "starting"]
        if status.eta is not None:
            parts.append(f"{duration(status.eta)} left")
        self.facts.object = escape(" · ".join(parts))
        self.bar.param.update(
            variant="determinate" if status.total else "indeterminate",
            value=round(100 * status.done / status.total) if status.total else 0,
            visible=status.busy or status.state == "finished",
        )
        if lines := self.job.log(12):
            self.log.object = (
                '<pre style="margin:0;padding:8px 10px;border-radius:8px;font-size:11.5px;'
                'max-height:220px;overflow:auto;opacity:.8;background:rgba(128,128,128,.12)">'
                f"{escape(chr(10).join(lines))}</pre>"
            )
        if status.state in ENDED:
            said = escape(plain_error(status) if status.state == "failed" else status.message)
            text = f"**It ended too early** ({status.state}). {said} What is done already is kept."
            self.trouble.param.update(object=text, visible=True)
        self.retry.visible = status.state in ENDED
        if status.state == "finished":
            self._over = True
            self._ticker.stop()
            self._done()

    def __panel__(self) -> pn.viewable.Viewable:
        """The job; from here on it is looked at."""
        if not self._over:
            self._ticker.start()
        return self._view
