"""The only state that views share: what is selected, where the cursor is, what is hovered."""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

import param


class Selection(param.Parameterized):
    """Chosen rows of the embeddings. Views commit once per gesture with `choose`."""

    ids = param.ClassSelector(class_=tuple, default=(), doc="Row numbers of the embeddings' index.")
    source = param.String(default="", doc="Which view made the choice; it ignores its own echo.")

    def choose(self, ids: tuple[int, ...] | list[int], source: str) -> None:
        """Replace the selection, in one event."""
        self.param.update(ids=tuple(int(i) for i in ids), source=source)


class Cursor(param.Parameterized):
    """One moment of one recording, in frames of the recording."""

    recording = param.String(default="")
    frame = param.Integer(default=0, bounds=(0, None))
    source = param.String(default="", doc="Which view moved it; it ignores its own echo.")
    loop = param.List(default=[], doc="[first, last] frame that was asked to be played over again.")
    channel = param.String(constant=True, doc="Where the cursor's views in a browser meet.")

    def __init__(self, **params: object) -> None:
        super().__init__(channel=uuid4().hex, **params)

    def move(self, frame: int, source: str, recording: str | None = None) -> None:
        """Go to a frame (of another recording, if named), in one event."""
        here = self.recording if recording is None else recording
        self.param.update(recording=here, frame=max(0, int(frame)), source=source)

    def play(self, first: int, last: int, source: str, recording: str | None = None) -> None:
        """Go to frame `first` (of another recording, if named), and play to `last` in a loop."""
        self.move(first, source, recording)
        self.param.update(loop=[int(first), int(last)])


class Hover(param.Parameterized):
    """The row of the embeddings' index under the pointer; -1 for none."""

    id = param.Integer(default=-1)


class Filter(param.Parameterized):
    """Which recordings are shown, as a pandas query over the data set's table ('' shows all)."""

    expr = param.String(default="")


class Watching:
    """For views that follow the shared state: it outlives them, so whoever drops one closes it."""

    closed = False
    _watched: tuple = ()

    def close(self) -> None:
        """Follow the state no more."""
        self.closed = True
        for state, watcher in self._watched:
            state.param.unwatch(watcher)
        self._watched = ()

    def _watch(self, state: param.Parameterized, function: Callable, names: str | list) -> None:
        """Have a function called when the state changes, until the view is closed."""
        self._watched = (*self._watched, (state, state.param.watch(function, names)))
