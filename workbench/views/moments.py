"""Two moments, of one recording or of two, drawn in the browser from thumbnails; sharp ones follow.

Where both are played in step, that is told to a player without Python (see `in_step`).
"""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import numpy as np
import param
from bokeh.models import ColumnDataSource, CustomJS, Plot
from panel.custom import JSComponent

from workbench.data.manifest import DataSet
from workbench.views.cards import Sheets
from workbench.views.pictures import frame_url
from workbench.views.plots import CURSOR, OTHER

HERE = Path(__file__).parent
TELL = """
const {x, y, event_name} = cb_obj
const image = source.data.image?.[0], [left, bottom, dw, dh] = ["x", "y", "dw", "dh"].map(
  name => source.data[name]?.[0])
let value = null
if (image && event_name !== "mouseleave") {
  const [rows, columns] = image.shape ?? [image.length, image[0].length]
  const i = Math.floor(rows * (y - bottom) / dh), j = Math.floor(columns * (x - left) / dw)
  if (i >= 0 && j >= 0 && i < rows && j < columns) {
    value = image.shape ? image[i * columns + j] : image[i][j]
  }
}
const kind = event_name === "mouseleave" ? "leave" : event_name
const moves = toolbar.gestures.pan.active !== null  // a drag moves the plot itself
dispatchEvent(new CustomEvent("plot-" + channel, {detail: {kind, x, y, value, moves}}))
"""


class Moments(JSComponent):
    """The moments at a column and a row of a similarity matrix, all cameras of the recording each.

    A click on the matrix sets both in the browser; a player of the same cursor moves the column
    there too. Where the thumbnails are smaller or fewer than the stored frames, those are asked for
    once the moments rest.

    A drag on the matrix moves both by the same number of frames, namely by the movement along the
    diagonal, or along the path where there is one. While that is going on, and while both are
    played, they are `running`: then the player on the channel `player` shows them.
    """

    column = param.Integer(default=0, doc="Frame of the recording.")
    row = param.Integer(default=0, doc="Frame of the (other) recording.")
    columns = param.List(default=[0], doc="Frames at the matrix's columns, ascending.")
    rows = param.List(default=[0], doc="Frames at the matrix's rows, ascending.")
    pair = param.List(default=["", ""], doc="Names of the cameras of the rows, of the columns.")
    scale = param.List(default=[0.0, 1.0], doc="Cosines that the darkest and brightest cell mean.")
    cameras = param.List(default=[], doc="name, offset (frames), sheet, exact: see `show`.")
    row_cameras = param.List(default=[], doc="Those of the rows' recording.")
    fps = param.List(default=[30.0, 30.0], doc="Of the recording of the columns, of the rows.")
    names = param.List(
        default=["", ""], doc="Recording of the columns, of the rows, if they differ."
    )
    lengths = param.List(default=[1, 1], doc="Frames of the recordings: columns, rows.")
    path = param.Array(default=np.zeros(0, int), doc="The row's frame at each frame; empty: none.")
    running = param.Boolean(default=False, doc="Whether both are dragged or played.")
    player = param.String(doc="Where a player hears what to show.")
    colors = param.List(default=[CURSOR, OTHER], doc="Of the column's line, of the row's.")
    channel = param.String(doc="Where the plot tells the page of clicks and of the pointer.")
    clock = param.String(doc="Where a player tells the page of its frames.")
    version = param.Integer(default=0, doc="Counts what was shown; changes last.")

    _bundle = HERE / "moments.js"
    _stylesheets = [(HERE / "moments.css").read_text()]  # noqa: RUF012 (Panel's own convention)

    def __init__(self, **params: object) -> None:
        params.setdefault("sizing_mode", "stretch_width")
        super().__init__(channel=uuid4().hex, **params)
        self._dataset: DataSet | None = None
        self._videos: list[list[int]] = [[], []]

    def show(
        self, dataset: DataSet, recording: str, other: str | None = None, **moments: object
    ) -> None:
        """Other pictures: those of a recording, and of another at the rows.

        moments: any of the parameters.
        """
        other = recording if other is None else other
        sides = [dataset.cameras(name) for name in (recording, other)]
        self._dataset, self._videos = dataset, sides
        sheets = Sheets(dataset)
        cameras = [[self._camera(v, sheets) for v in side] for side in sides]
        self.param.update(
            cameras=cameras[0],
            row_cameras=cameras[1],
            fps=[float(dataset.videos[side[0]].fps) for side in sides],
            lengths=[dataset.length(recording), dataset.length(other)],
            names=["", ""] if other == recording else [recording, other],
            running=False,
            version=self.version + 1,
            **moments,
        )

    def listen(self, plot: Plot, source: ColumnDataSource) -> None:
        """Have a drawn similarity matrix tell of clicks and of the pointer, in the browser."""
        shared = {"source": source, "channel": self.channel, "toolbar": plot.toolbar}
        tell = CustomJS(args=shared, code=TELL)
        for event in ("tap", "mousemove", "mouseleave", "panstart", "pan", "panend"):
            plot.js_on_event(event, tell)

    def _camera(self, video: int, sheets: Sheets) -> dict:
        about = self._dataset.videos[video]
        sheet, exact = sheets(video), False
        if sheet is not None:
            frames = [int(k) for k in self._dataset.sprite(video).frames]
            stored = self._dataset.frames(video).shape
            exact = len(frames) == stored[0] and sheet["w"] >= stored[2]
            sheet = {**sheet, "frames": frames}
        name = str(about.camera)
        return {"name": name, "offset": int(about.offset), "sheet": sheet, "exact": exact}

    def _handle_msg(self, data: dict) -> None:
        if self._dataset is None or "sharp" not in data:
            return
        column, row = (int(k) for k in data["sharp"])
        pictures = [
            [frame_url(self._dataset, v, k) for v in videos]
            for videos, k in zip(self._videos, (column, row), strict=True)
        ]
        self._send_msg({"column": column, "row": row, "pictures": pictures})


def nearest(frames: np.ndarray, frame: float) -> int:
    """The one of some frame numbers that is nearest to a frame."""
    return int(frames[np.abs(np.asarray(frames) - frame).argmin()])
