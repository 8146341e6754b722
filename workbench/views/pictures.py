"""Single frames as pictures that can be put into a page."""

from __future__ import annotations

import base64
import html
import io

import numpy as np
from PIL import Image

from workbench.data.manifest import DataSet


def jpeg_url(rgb: np.ndarray) -> str:
    """A (H, W, 3) uint8 picture as a data URL, JPEG."""
    out = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(rgb)).save(out, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()


def frame_url(dataset: DataSet, video: int, frame: int) -> str:
    """The stored picture of a video at a frame of its *recording*, nearest one at the ends."""
    frames = dataset.frames(video)
    k = frame + dataset.videos[video].offset
    return jpeg_url(frames[min(max(k, 0), len(frames) - 1)])


def moment(dataset: DataSet, recording: str, frame: int, color: str, name: str) -> str:
    """HTML: what all cameras of a recording show at one frame, under a coloured heading."""
    videos = dataset.cameras(recording)
    seconds = frame / dataset.videos[videos[0]].fps
    pictures = "".join(
        f'<figure style="margin:0;min-width:0"><img src="'
        f'{frame_url(dataset, v, frame)}" alt="{_safe(dataset.videos[v].camera)}, frame {frame}" '
        'style="width:100%;max-height:230px;object-fit:contain;background:#14171c;'
        'border-radius:6px;display:block"><figcaption '
        f'style="font-size:11px;opacity:.7">{_safe(dataset.videos[v].camera)}</figcaption></figure>'
        for v in videos
    )
    columns = 2 if len(videos) in (2, 4) else min(3, len(videos))
    return (
        f'<section data-frame="{frame}"><div style="display:flex;align-items:center;gap:8px;'
        f'margin:6px 0;font-size:13px"><i style="width:14px;height:4px;border-radius:2px;'
        f'background:{color}"></i><b>{_safe(name)}</b>'
        f'<span style="opacity:.75;font-variant-numeric:tabular-nums">frame {frame} · '
        f"{seconds:.2f} s</span></div>"
        f'<div style="display:grid;grid-template-columns:repeat({columns},minmax(0,230px));'
        f'gap:6px 8px">{pictures}</div></section>'
    )


def _safe(text: str) -> str:
    return html.escape(str(text))
