"""The line at the cursor in a drawn timeline, moved in the browser by whoever plays."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import param
from bokeh.models import CustomJS, Plot, Span
from panel.custom import JSComponent

from workbench.views.plots import CURSOR

TELL = """
const {x} = cb_obj
if (x !== null) { dispatchEvent(new CustomEvent("plot-" + channel, {detail: {x}})) }
"""


class Playhead(JSComponent):
    """A line in one plot whose x axis is frames; it is put into the page beside the plot.

    A player of the same clock moves it without Python. A click in the plot sets `frame`; whoever
    moves the cursor otherwise sets it too.
    """

    frame = param.Integer(default=0, doc="Of the recording, where the line stands.")
    last = param.Integer(default=0, doc="The last frame that a click can mean.")
    channel = param.String(doc="Where the plot tells the page of clicks.")
    clock = param.String(doc="Where a player tells the page of its frames.")

    _bundle = Path(__file__).parent / "playhead.js"

    def __init__(self, clock: str) -> None:
        super().__init__(channel=uuid4().hex, clock=clock, width=0, height=0, margin=0)

    def draw(self, plot: Plot) -> None:
        """Add the line to a plot, and have the plot tell of clicks."""
        style = {"dimension": "height", "line_color": CURSOR, "line_width": 2}
        style["level"] = "overlay"  # moving it paints nothing else anew
        plot.add_layout(Span(location=self.frame, name=f"{self.channel}-line", **style))
        plot.js_on_event("tap", CustomJS(args={"channel": self.channel}, code=TELL))
