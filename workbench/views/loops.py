"""Short clips side by side that run over and over in step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import param
from panel.custom import JSComponent
from PIL import Image

from workbench.data.manifest import DataSet
from workbench.views.pictures import jpeg_url

HERE = Path(__file__).parent
PICTURES = 20
"""Pictures of a clip, at most."""
WIDE = 144
"""Most pixels of a picture's width."""
ACROSS = 5
"""Pictures side by side on a sheet."""
LEAST, LONGEST = 0.5, 4.0
"""Seconds of a clip: a shorter one is shown with what is around it, of a longer one its middle."""


class Moment(NamedTuple):
    """A clip of a video."""

    video: int
    first: int
    """Frame of the *video*."""
    last: int
    """Frame of the video, shown too."""


class Loops(JSComponent):
    """Clips that run in step. Each takes the same time from its first to its last picture.

    An item is a dict: id, title, and optionally caption, corner and note (texts over the picture),
    mark ("right", "wrong" or "query": its frame), chip and color (a label), and what `sheet` gives.
    """

    items = param.List(default=[], doc="One dict per clip.")
    selected = param.String(default="", doc="The id of the marked clip.")
    seconds = param.Number(default=1.0, bounds=(0.1, None), doc="How long a round takes.")
    clip_width = param.Integer(default=128, doc="Least width of a clip, pixels.")
    title = param.String(default="", doc="What the clips are, for screen readers.")
    empty = param.String(default="Nothing to show.", doc="Shown where there is no clip.")

    _bundle = HERE / "loops.js"  # plain JavaScript: the browser takes it as it is
    _stylesheets = [(HERE / "loops.css").read_text()]  # noqa: RUF012 (Panel's own convention)

    def __init__(self, on_choose: Callable[[str], None], **params: object) -> None:
        super().__init__(**{"sizing_mode": "stretch_width", "margin": (4, 8), **params})
        self._on_choose = on_choose

    def _handle_msg(self, data: dict) -> None:
        if data.get("choose"):
            self._on_choose(str(data["choose"]))


def sheet(dataset: DataSet, moment: Moment) -> dict:
    """What `Loops` shows of a clip: src (a data URL), n, columns and aspect; {} of lost frames."""
    path = dataset.video_folder(moment.video) / "frames.npy"
    return dict(_sheet(path, dataset.fingerprint, moment))


@lru_cache(maxsize=512)
def _sheet(path: Path, version: str, moment: Moment) -> tuple:
    try:
        stored = np.load(path, mmap_mode="r")
    except OSError:
        return ()
    last = min(moment.last, len(stored) - 1)
    first = min(max(0, moment.first), last)
    n = min(PICTURES, last - first + 1)
    tall, wide = stored.shape[1:3]
    size = min(WIDE, wide), max(1, round(tall * min(1, WIDE / wide)))
    lines = -(-n // ACROSS)
    whole = Image.new("RGB", (ACROSS * size[0], lines * size[1]))
    for k, frame in enumerate(np.linspace(first, last, n).round().astype(int)):
        picture = Image.fromarray(np.asarray(stored[frame])).resize(size, Image.Resampling.BOX)
        whole.paste(picture, (k % ACROSS * size[0], k // ACROSS * size[1]))
    aspect = size[0] / size[1]
    return ("src", jpeg_url(np.asarray(whole))), ("n", n), ("columns", ACROSS), ("aspect", aspect)


def window(dataset: DataSet, index: pd.DataFrame, row: int) -> Moment:
    """The clip of a row of the embeddings; a single frame with what is around it.

    The index tells where a window starts and where its middle is, hence how long it is.
    """
    video, start = int(index["video"].iloc[row]), int(index["start"].iloc[row])
    about = dataset.videos[video]
    half = max(int(index["frame"].iloc[row]) + about.offset - start, round(LEAST * about.fps / 2))
    middle = int(index["frame"].iloc[row]) + about.offset
    return Moment(video, max(0, middle - half), min(about.n_frames - 1, middle + half))


def whole(dataset: DataSet, video: int) -> Moment:
    """All of a video, or of a long one the middle."""
    about = dataset.videos[video]
    spare = max(0, about.n_frames - round(LONGEST * about.fps))
    return Moment(video, spare // 2, about.n_frames - 1 - (spare - spare // 2))


def seconds(dataset: DataSet, moments: Sequence[Moment]) -> float:
    """How long the clips take, the middle one of them."""
    took = [(m.last - m.first + 1) / dataset.videos[m.video].fps for m in moments]
    return float(max(0.4, np.median(took))) if took else 1.0
