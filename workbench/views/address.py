"""The state of the explorer in the URL: page, data set, run, recording, frame."""

from __future__ import annotations

import panel as pn
import param

from workbench.views.shell import Shell, toast
from workbench.views.store import Store
from workbench.views.ticking import Ticker

FIELDS = ("page", "data", "run", "recording", "frame")


class Address(param.Parameterized):
    """Small names that lead back to the same view. Unknown ones are passed over, with a word."""

    page = param.String(default="")
    data = param.String(default="")
    run = param.String(default="")
    recording = param.String(default="")
    frame = param.Integer(default=0, bounds=(0, None))

    def __init__(self, store: Store, shell: Shell) -> None:
        super().__init__()
        self.store, self.shell = store, shell
        self.following = False

    def restore(self) -> None:
        """Go where the URL of the session points, as far as that exists."""
        asked = {k: v for k, v in pn.state.session_args.items() if k in FIELDS}
        text = {k: v[0].decode("utf-8", "replace") for k, v in asked.items()}
        text = {k: v.strip('"') for k, v in text.items()}
        store = self.store
        data, run = text.get("data", ""), text.get("run", "")
        if data and data not in store.workspace.data_names():
            toast(f"There is no data set {data!r} here; this is {store.data!r}.")
        elif data and data != store.data:
            store.open(data)
        if run and run not in store.runs:
            toast(f"There is no run {run!r} here.")
        elif run:
            store.look(run)
        self._restore_cursor(text)
        if text.get("page") and text["page"] not in self.shell.pages:
            toast(f"There is no page {text['page']!r}.")
        else:
            self.shell.page = text.get("page") or self.shell.page

    def _restore_cursor(self, text: dict[str, str]) -> None:
        store, name = self.store, text.get("recording", "")
        frame = int(f) if (f := text.get("frame", "")).isdecimal() else 0
        if store.dataset is None or not name:
            return
        if name not in store.dataset.recordings:
            toast(f"There is no recording {name!r} in {store.data!r}; this is the first one.")
            return
        store.cursor.move(min(frame, store.dataset.length(name) - 1), "", name)

    def follow(self) -> None:
        """Write the URL from now on; a playing video moves it once a second at most."""
        self.following = True
        self._look()
        if pn.state.location:
            pn.state.location.sync(self, list(FIELDS))
        self._ticker = Ticker(self._look, lambda: self.shell.view, period=1000)
        self._ticker.start()

    def _look(self) -> None:
        s = self.store
        self.param.update(
            page=self.shell.page, data=s.data, run=s.run,
            recording=s.cursor.recording, frame=s.cursor.frame,
        )  # fmt: skip
