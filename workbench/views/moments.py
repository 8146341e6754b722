"""Two moments of a recording, drawn in the browser from thumbnails; sharp ones follow."""

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
dispatchEvent(new CustomEvent("plot-" + channel, {detail: {kind, x, y, value}}))
"""


class Moments(JSComponent):
    """The moments at a column and a row of a similarity matrix, all cameras of the recording each.

    A click on the matrix sets both in the browser; a player of the same cursor moves the column
    there too. Where the thumbnails are smaller or fewer than the stored frames, those are asked for
    once the moments rest.
    """

    column = param.Integer(default=0, doc="Frame of the recording.")
    row = param.Integer(default=0, doc="Frame of the recording.")
    columns = param.List(default=[0], doc="Frames at the matrix's columns, ascending.")
    rows = param.List(default=[0], doc="Frames at the matrix's rows, ascending.")
    pair = param.List(default=["", ""], doc="Names of the cameras of the rows, of the columns.")
    scale = param.List(default=[0.0, 1.0], doc="Cosines that the darkest and brightest cell mean.")
    cameras = param.List(default=[], doc="name, offset (frames), sheet, exact: see `show`.")
    fps = param.Number(default=30.0)
    colors = param.List(default=[CURSOR, OTHER], doc="Of the column's line, of the row's.")
    channel = param.String(doc="Where the plot tells the page of clicks and of the pointer.")
    clock = param.String(doc="Where a player tells the page of its frames.")

    _bundle = HERE / "moments.js"
    _stylesheets = [(HERE / "moments.css").read_text()]  # noqa: RUF012 (Panel's own convention)

    def __init__(self, **params: object) -> None:
        params.setdefault("sizing_mode", "stretch_width")
        super().__init__(channel=uuid4().hex, **params)
        self._dataset: DataSet | None = None
        self._videos: list[int] = []

    def show(self, dataset: DataSet, recording: str, **moments: object) -> None:
        """Other pictures: those of a recording. moments: any of the parameters."""
        self._dataset, self._videos = dataset, dataset.cameras(recording)
        sheets = Sheets(dataset)
        self.param.update(
            cameras=[self._camera(v, sheets) for v in self._videos],
            fps=float(dataset.videos[self._videos[0]].fps),
            **moments,
        )

    def listen(self, plot: Plot, source: ColumnDataSource) -> None:
        """Have a drawn similarity matrix tell of clicks and of the pointer, in the browser."""
        tell = CustomJS(args={"source": source, "channel": self.channel}, code=TELL)
        plot.js_on_event("tap", tell)
        plot.js_on_event("mousemove", tell)
        plot.js_on_event("mouseleave", tell)

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
        pictures = [[frame_url(self._dataset, v, k) for v in self._videos] for k in (column, row)]
        self._send_msg({"column": column, "row": row, "pictures": pictures})


def nearest(frames: np.ndarray, frame: float) -> int:
    """The one of some frame numbers that is nearest to a frame."""
    return int(frames[np.abs(np.asarray(frames) - frame).argmin()])
