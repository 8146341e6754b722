"""A grid of cards with thumbnails that play when hovered; the gallery and the neighbour list."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import param
from panel.custom import JSComponent

from workbench.views import media

if TYPE_CHECKING:
    from collections.abc import Callable

    from workbench.data.manifest import DataSet

HERE = Path(__file__).parent
MOST_BYTES = 20 * 2**20
"""Most that is sent as bytes where no server can be asked."""


class Cards(JSComponent):
    """Cards to choose from. Only what is on the screen is built, so thousands are fine.

    An item is a dict: id, title, and optionally caption, badge, corner (texts over the picture),
    chips ([{text, color}]), sheet (see `sheet`) and at (the thumbnail shown at rest).
    """

    items = param.List(default=[], doc="One dict per card.")
    shown = param.List(default=None, allow_None=True, doc="Item numbers shown; None: all.")
    selected = param.String(default="", doc="The id of the marked card.")
    card_width = param.Integer(default=190, doc="Least width of a card, pixels.")
    title = param.String(default="", doc="What the list is, for screen readers.")
    empty = param.String(default="Nothing here.", doc="Shown when there is no card.")
    report_hover = param.Boolean(default=False, doc="Whether Python hears of hovered cards.")

    _bundle = HERE / "cards.js"  # plain JavaScript: the browser takes it as it is
    _stylesheets = [(HERE / "cards.css").read_text()]  # noqa: RUF012 (Panel's own convention)

    def __init__(self, on_choose: Callable[[str], None], on_hover=None, **params) -> None:
        params.setdefault("sizing_mode", "stretch_width")
        super().__init__(report_hover=on_hover is not None, **params)
        self._on_choose, self._on_hover = on_choose, on_hover

    def _handle_msg(self, data: dict) -> None:
        if data.get("choose"):
            self._on_choose(str(data["choose"]))
        elif "hover" in data and self._on_hover is not None:
            self._on_hover(str(data["hover"]))


class Sheets:
    """Where the browser finds the thumbnails of the videos of a data set.

    With a server it is a URL. In a notebook cell the pictures are sent along with the cards, up to
    `MOST_BYTES`; cards beyond that show none.
    """

    def __init__(self, dataset: DataSet) -> None:
        self.dataset = dataset
        self._known: dict[int, dict | None] = {}
        self._sent = 0

    def __call__(self, video: int) -> dict | None:
        """src (URL or bytes), w, h (pixels), columns, n; None where there is no picture."""
        if video not in self._known:
            self._known[video] = self._look(video)
        return self._known[video]

    def thumbnail(self, video: int, frame: int) -> int:
        """Which thumbnail of a video is nearest to one of its frames."""
        frames = np.asarray(self.dataset.sprite(video).frames)
        return int(np.abs(frames - frame).argmin())

    def _look(self, video: int) -> dict | None:
        try:
            sprite = self.dataset.sprite(video)
            src = media.link(sprite.path)
            if src is None and self._sent < MOST_BYTES:
                src = sprite.path.read_bytes()
                self._sent += len(src)
        except FileNotFoundError:
            return None
        if src is None:
            return None
        size = {"w": sprite.width, "h": sprite.height}
        return {"src": src, **size, "columns": sprite.columns, "n": len(sprite.frames)}
