"""Thumbnails of a video on one sheet, for pictures that play under the pointer."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

THUMBNAILS = 100  # at most
COLUMNS = 10
WIDE, NARROW = 128, 96  # pixels, landscape and portrait


def write_sprite(frames: np.ndarray, folder: Path) -> None:
    """sprite.jpg and sprite.json: up to 100 thumbnails, evenly spread over (T, H, W, 3) frames."""
    total, height, width = frames.shape[:3]
    wide = min(width, WIDE if width >= height else NARROW)
    tall = max(1, round(height * wide / width))
    picks = np.unique(np.linspace(0, total - 1, THUMBNAILS).round().astype(int))
    columns = min(COLUMNS, len(picks))
    sheet = Image.new("RGB", (columns * wide, -(-len(picks) // columns) * tall))
    for j, k in enumerate(picks):
        thumb = Image.fromarray(np.asarray(frames[k])).resize((wide, tall), Image.Resampling.BOX)
        sheet.paste(thumb, (j % columns * wide, j // columns * tall))
    sheet.save(folder / "sprite.jpg", quality=80)
    about = {"width": wide, "height": tall, "columns": columns, "frames": [int(k) for k in picks]}
    (folder / "sprite.json").write_text(json.dumps(about))
