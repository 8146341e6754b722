"""All cameras of a recording, played in step and to the frame."""

from __future__ import annotations

from html import escape
from pathlib import Path

import numpy as np
import panel as pn
import param
from panel.custom import JSComponent
from panel.models.esm import DataEvent

from workbench.data.manifest import DataSet
from workbench.data.offsets import save_offsets
from workbench.views import media
from workbench.views.selection import Cursor

MOST_BYTES = 20 * 2**20
"""Most that is sent as bytes, all cameras of a recording together, where no server can be asked."""


class SyncPlayer(JSComponent):
    """Videos side by side that show the same frame of a recording; a frame number is the clock.

    Frame k of the recording is frame k + shift[i] of video i, and `pts[i]` says when the container
    shows each frame of video i. The five lists have one entry per camera. A camera with a path (one
    of another recording, matched moment by moment) shows frame paths[i][k] + shift[i], ascending.
    """

    srcs = param.List(doc="URLs, or the bytes of the files; '' shows the note instead.")
    pts = param.List(doc="(T,) float64 seconds each: the container's own PTS table.")
    shift = param.List(doc="Frames; the page changes it with the offset buttons.")
    paths = param.List(doc="Frame shown at each frame of the recording, per camera; none: itself.")
    labels = param.List(doc="Names of the cameras.")
    notes = param.List(doc="What to say in the place of a camera that has no source.")
    saved = param.List(doc="The offsets on disk; where shift differs, the page offers to save.")
    frame = param.Integer(0, doc="Of the recording; the page tells it at most 10 times a second.")
    playing = param.Boolean(False)
    rate = param.Number(1.0, bounds=(0.0625, 16), doc="1 is the speed of the recording.")
    has_flow = param.Boolean(False, doc="Whether there is a picture of motion to switch to.")
    flow = param.Boolean(False, doc="Pictures of motion are asked for.")
    loop = param.List(doc="[first, last] frame to repeat, both shown; empty: play to the end.")
    channel = param.String(doc="Where the page hears of every frame, without Python.")
    message = param.String("Choose a recording.", doc="What to say where there is no camera.")

    _bundle = Path(__file__).parent / "sync_player.js"  # the browser takes it as it is

    def __init__(self, **params: object) -> None:
        super().__init__(**{"sizing_mode": "stretch_width", "margin": (5, 10), **params})
        self.before_show = lambda: None

    def _get_model(self, *args: object, **kwargs: object) -> object:
        self.before_show()  # only now is it known which server, if any, shows it
        return super()._get_model(*args, **kwargs)


class Player(pn.viewable.Viewer):
    """All cameras of the cursor's recording, linked with the cursor both ways.

    Offsets that are adjusted while watching count at once; saving them writes the data set and
    replaces `dataset`: watch it to follow.
    """

    dataset = param.ClassSelector(class_=DataSet, allow_None=True)
    cursor = param.ClassSelector(class_=Cursor, allow_None=False)

    def __init__(self, dataset: DataSet | None, cursor: Cursor, **params: object) -> None:
        super().__init__(dataset=dataset, cursor=cursor, **params)
        self.sync = SyncPlayer(channel=cursor.channel)
        self.sync.before_show = self._locate
        self._shown = False
        self._load()
        self.cursor.param.watch(self._follow, ["recording", "frame"])
        self.cursor.param.watch(self._repeat, "loop", onlychanged=False)
        self.param.watch(self._reload, "dataset")
        self.sync.param.watch(self._lead, "frame")
        self.sync.param.watch(self._change_picture, "flow")
        self.sync.on_msg(self._save)

    def __panel__(self) -> SyncPlayer:
        """The player itself; its controls are part of it."""
        return self.sync

    @property
    def cameras(self) -> list[int]:
        """The videos on show."""
        if self.dataset is None or self.cursor.recording not in self.dataset.recordings:
            return []
        return self.dataset.cameras(self.cursor.recording)

    @property
    def offsets(self) -> dict[int, int]:
        """The offset of each video on show as it is seen now, saved or not."""
        return dict(zip(self.cameras, self.sync.shift, strict=False))

    def _load(self) -> None:
        videos = [self.dataset.videos[i] for i in self.cameras]
        offsets = [v.offset for v in videos]
        self.sync.param.update(
            has_flow=any(self.dataset.flow_of(i) for i in self.cameras),
            **self._pictures(),
            shift=offsets,
            saved=offsets,
            labels=[v.camera for v in videos],
            frame=self.cursor.frame,
            playing=False,
            loop=[],
            message=self._message(),
        )

    def _pictures(self) -> dict[str, list]:
        """What the cameras show: srcs, notes and pts of the videos, or of their motion."""
        if self._shown:
            srcs, notes = sources(self.dataset, self.cameras, self.sync.flow)
        else:
            srcs, notes = (["" for _ in self.cameras], ["loading" for _ in self.cameras])
        played = [self.dataset.playable(i, self.sync.flow) for i in self.cameras]
        return {"srcs": srcs, "notes": notes, "pts": [np.asarray(p, np.float64) for _, p in played]}

    def _message(self) -> str:
        if self.dataset is None:
            return "Choose a data set."
        if self.cursor.recording and not self.cameras:
            return f"Data set {self.dataset.name!r} has no recording {self.cursor.recording!r}."
        return "Choose a recording."

    def _locate(self) -> None:
        self._shown = True
        self.sync.param.update(**self._pictures())

    def _change_picture(self, event: param.parameterized.Event) -> None:
        self.sync.param.update(**self._pictures())

    def _reload(self, event: param.parameterized.Event) -> None:
        if event.old is not None and event.new is not None and _alike(event.old, event.new):
            self.sync.saved = [self.dataset.videos[i].offset for i in self.cameras]
        else:
            self._load()

    def _follow(self, *events: param.parameterized.Event) -> None:
        if any(e.name == "recording" for e in events):
            self._load()
        elif self.cursor.source != self.name:
            first, last = self.sync.loop or (0, self.cursor.frame)
            if not first <= self.cursor.frame <= last:  # somebody leaves what is played again
                self.sync.loop = []
            self.sync.frame = self.cursor.frame

    def _repeat(self, event: param.parameterized.Event) -> None:
        """Play what was asked for, over and over."""
        self.sync.param.update(loop=list(event.new), frame=self.cursor.frame)
        self.sync.playing = bool(event.new)

    def _lead(self, event: param.parameterized.Event) -> None:
        if event.new != self.cursor.frame:
            self.cursor.move(event.new, self.name)

    def _save(self, message: DataEvent) -> None:
        if message.data != "save" or self.dataset is None:
            return
        try:
            self.dataset = save_offsets(self.dataset, self.offsets)
        except OSError as error:
            if pn.state.notifications:
                text = escape(str(error), quote=False)
                pn.state.notifications.error(f"The offsets were not saved: {text}")


def sources(
    dataset: DataSet, videos: list[int], flow: bool = False
) -> tuple[list[str | bytes], list[str]]:
    """What a browser plays of some videos, and for those that it cannot get, why.

    It depends on the server that shows them, so ask once they are shown. flow: of those that have
    it, the motion.
    """
    paths = [dataset.playable(i, flow)[0] for i in videos]
    total = sum(path.stat().st_size for path in paths if path.is_file())
    srcs, notes = [], []
    for path in paths:
        gone = not path.is_file()
        src: str | bytes | None = None if gone else media.link(path)
        note = f"{path} is gone. Put it back, or index again." if gone else ""
        if src is None and not gone:
            if total <= MOST_BYTES:
                src = path.read_bytes()
            else:
                note = (
                    f"These videos have {total / 2**20:.0f} MB, and a notebook cell can be "
                    f"sent {MOST_BYTES / 2**20:.0f} MB. Watch them with: "
                    "panel serve apps/explorer.py"
                )
        srcs.append(src or "")
        notes.append(note)
    return srcs, notes


def _alike(a: DataSet, b: DataSet) -> bool:
    """True where at most the offsets differ."""
    tables = [d.table.drop(columns="offset") for d in (a, b)]
    return a.folder == b.folder and tables[0].equals(tables[1])
