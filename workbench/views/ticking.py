"""Work beside the page: a regular look at files, and slow calls in a thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import panel as pn
from panel.io import PeriodicCallback

GRACE = 10  # ticks that a page may be in no browser, while it is being put there


class Ticker:
    """Calls a function every `period` milliseconds while the page that needs it is shown.

    view: what the page shows; once it is in no browser for a few ticks, the calls end, until
    `start` is called again (unless `busy` says that there is something to wait for). They also end
    with the session. Without a server or a running notebook nothing is called; then whoever holds
    the view calls the function.
    """

    def __init__(
        self,
        function: Callable[[], None],
        view: Callable[[], pn.viewable.Viewable],
        busy: Callable[[], bool] = lambda: False,
        period: int = 500,
    ) -> None:
        self._function, self._view, self._busy = function, view, busy
        self._absent = 0
        # `background`: a tick does not make the page look busy
        self.callback = PeriodicCallback(
            callback=self._tick, period=period, background=True, log=False
        )

    def start(self) -> None:
        """Begin, if it has not begun."""
        self._absent = 0
        if self.callback.running:
            return
        self.callback.start()
        if pn.state.curdoc and pn.state.curdoc.session_context:
            pn.state.on_session_destroyed(lambda _: self.stop())

    def stop(self) -> None:
        """End it."""
        if self.callback.running:
            self.callback.stop()

    @property
    def running(self) -> bool:
        """Whether it has begun and not ended."""
        return self.callback.running

    def _tick(self) -> None:
        if not pn.state.loaded:  # what is sent before the browser has the whole page gets lost
            return
        shown = bool(self._view()._models)
        self._absent = 0 if shown or self._busy() else self._absent + 1
        if self._absent > GRACE:
            self.stop()
        else:
            # Bokeh sends what is changed in a plot once this returns, Panel the rest at once: a
            # plot could be told of before it is there. Within this all is sent in order.
            with pn.io.unlocked(policy="collect"):
                self._function()


class Task:
    """A slow call in a thread; the page asks with `poll` whether it is done.

    The thread touches nothing of the page, so it needs no lock and cannot outlive it wrongly.
    """

    def __init__(self, function: Callable[[], Any]) -> None:
        self.result: Any = None
        self.error: Exception | None = None
        self._thread = threading.Thread(target=self._run, args=(function,), daemon=True)
        self._thread.start()

    def _run(self, function: Callable[[], Any]) -> None:
        try:
            self.result = function()
        except Exception as error:
            self.error = error

    @property
    def done(self) -> bool:
        """Whether the call has returned or failed."""
        return not self._thread.is_alive()

    def wait(self, seconds: float) -> bool:
        """Wait for the end; whether it has come."""
        self._thread.join(seconds)
        return self.done
