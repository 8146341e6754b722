"""Which repetition it is, and the same phase of all of them, followed in the browser."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import numpy as np
import param
from bokeh.models import ColumnDataSource, CustomJS, Plot, Span
from panel.custom import JSComponent
from PIL import Image

from workbench.data.manifest import DataSet
from workbench.views.cycle import Cycle
from workbench.views.pictures import jpeg_url
from workbench.views.playhead import TELL
from workbench.views.plots import ANOMALY, CURSOR

HERE = Path(__file__).parent
MOST = 60
"""Repetitions that are shown at once: those around the present one."""
BINS = 48
"""Phases at which pictures are made; each is asked for once and then kept by the browser."""
WIDE = 128
"""Most pixels of a picture's width."""
ACROSS = 10
"""Pictures side by side on a sheet."""


class Repeats(JSComponent):
    """The number of the present repetition, and what every repetition looks like at its phase.

    A player of the same clock moves it without Python; a click on a picture sets `frame`. Pictures
    of a phase are asked for when it comes for the first time, one phase after another.
    """

    frame = param.Integer(default=0, doc="Of the recording.")
    series = param.List(default=[], doc="(T,) arrays: frame, phase, number, and those of VALUES.")
    value = param.Integer(default=0, doc="Which of VALUES the plot over the cycle shows.")
    seconds = param.List(default=[], doc="How long each repetition takes, None: unfinished.")
    usual = param.Number(default=1.0, doc="A usual distance to the mean at a phase.")
    mean = param.String(default="", doc="The mean period with its spread, in words.")
    fps = param.Number(default=30.0)
    bins = param.Integer(default=BINS, doc="Phases at which there are pictures.")
    most = param.Integer(default=MOST, constant=True)
    across = param.Integer(default=ACROSS, constant=True)
    aspect = param.Number(default=4 / 3, doc="Width to height of the pictures.")
    colors = param.List(default=[CURSOR, ANOMALY], doc="Of the present one, of the strangest.")
    version = param.Integer(default=0, doc="Counts what was shown; changes last.")
    channel = param.String(doc="Where the plot over the cycle tells the page of clicks.")
    clock = param.String(doc="Where a player tells the page of its frames.")

    _bundle = HERE / "repeats.js"
    _stylesheets = [(HERE / "repeats.css").read_text()]  # noqa: RUF012 (Panel's own convention)

    VALUES = ("curve", "distance")

    def __init__(self, clock: str, **params: object) -> None:
        params.setdefault("sizing_mode", "stretch_width")
        super().__init__(channel=uuid4().hex, clock=clock, **params)
        self._cycle: Cycle | None = None

    def show(
        self, dataset: DataSet, video: int, cycle: Cycle, distance: np.ndarray, frame: int
    ) -> None:
        """Other repetitions. distance: (T,) of each row to the mean at its phase."""
        self._dataset, self._video, self._cycle = dataset, video, cycle
        about = dataset.videos[video]
        length, height, width = dataset.frames(video).shape[:3]
        self._size = min(width, WIDE), round(height * min(width, WIDE) / width)
        pts = dataset.pts(video)
        edges = np.interp(cycle.frame(cycle.spans) + about.offset, np.arange(length), pts)
        seconds = edges[:, 1] - edges[:, 0]
        values = {"curve": cycle.curve, "distance": distance}
        usual = float(np.nanmedian(distance)) if cycle.repeats else 1.0
        self.param.update(
            series=[
                np.asarray(x, np.float32)
                for x in (cycle.frames, cycle.phase, cycle.number, *map(values.get, self.VALUES))
            ],
            seconds=[s if w else None for s, w in zip(seconds.tolist(), cycle.whole, strict=True)],
            usual=usual or 1.0,
            mean=spoken(seconds[cycle.whole]),
            fps=float(about.fps),
            bins=int(np.clip(round(cycle.period), 4, BINS)) if cycle.repeats else 4,
            aspect=width / height,
            frame=frame,
            version=self.version + 1,
        )

    def draw(self, plot: Plot, present: ColumnDataSource) -> None:
        """Move a line in the plot over the cycle, and set the source of its present repetition."""
        style = {"dimension": "height", "line_color": CURSOR, "line_width": 2, "level": "overlay"}
        plot.add_layout(Span(name=f"{self.channel}-at", **style))
        present.name = f"{self.channel}-now"
        plot.js_on_event("tap", CustomJS(args={"channel": self.channel}, code=TELL))

    def sheet(self, bin: int, block: int) -> dict:
        """The frames of a block of repetitions at a phase (-1: none), and their pictures."""
        rows = self._cycle.at((bin + 0.5) / self.bins)[block * MOST : (block + 1) * MOST]
        frames = np.where(rows < 0, -1, self._cycle.frames[rows])
        wide, tall = self._size
        lines = max(1, -(-len(rows) // ACROSS))
        sheet = Image.new("RGB", (ACROSS * wide, lines * tall))
        stored, offset = self._dataset.frames(self._video), self._dataset.videos[self._video].offset
        for k, frame in enumerate(frames):
            if frame >= 0:
                rgb = np.asarray(stored[min(max(int(frame) + offset, 0), len(stored) - 1)])
                picture = Image.fromarray(rgb).resize(self._size, Image.Resampling.BOX)
                sheet.paste(picture, (k % ACROSS * wide, k // ACROSS * tall))
        key = {"bin": bin, "block": block, "version": self.version}
        return {**key, "frames": frames.tolist(), "rows": rows.tolist(), "src": jpeg_url(sheet)}

    def _handle_msg(self, data: dict) -> None:
        if self._cycle is None or data.get("version") != self.version:
            return
        self._send_msg(self.sheet(int(data["bin"]), int(data["block"])))


def spoken(seconds: np.ndarray) -> str:
    """The mean of some durations with their spread, in words; "" of none."""
    if not len(seconds):
        return ""
    spread = f" ± {seconds.std(ddof=1):.2f}" if len(seconds) > 1 else ""
    return f"{seconds.mean():.2f}{spread} s each"
