"""Data sets of videos whose frames carry their numbers, and reading them off the page."""

import io

import av
import numpy as np
import pandas as pd
from PIL import Image

from tests.barcode import read_barcode, write_barcode_video
from workbench.data.manifest import COLUMNS, write_dataset


def varied(n):
    """Times of a variable-rate video: frames of 1/60 to 1/12 second."""
    steps = np.random.default_rng(5).choice([1 / 60, 1 / 30, 1 / 24, 1 / 12], n)
    return np.concatenate([[0], np.cumsum(steps)[:-1]])


KINDS = {
    "constant": lambda n: {"fps": 30},
    "offset": lambda n: {"fps": 30, "pts": 0.5 + np.arange(n) / 30},
    "ntsc": lambda n: {"fps": 30000 / 1001},
    "variable": lambda n: {"fps": 30, "pts": varied(n)},
}


def container_times(path):
    """Seconds at which the container shows each frame, sorted."""
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        times = [float(p.pts * p.time_base) for p in file.demux(stream) if p.pts is not None]
    return np.sort(times)


def make_dataset(folder, recordings):
    """A data set of {recording: {camera: file}}; only what the player needs is written."""
    rows = []
    for recording, cameras in recordings.items():
        for camera, path in cameras.items():
            row = dict.fromkeys(COLUMNS)
            key = f"{recording}-{camera}"
            times = container_times(path)
            store = folder / "videos" / key
            store.mkdir(parents=True)
            np.save(store / "pts.npy", times)
            row |= {"key": key, "path": str(path), "recording": recording, "camera": camera}
            row |= {"offset": 0, "n_frames": len(times), "fps": 30.0, "tags": "", "note": ""}
            row |= {"width": 320, "height": 180, "codec": "h264", "reader": "pyav"}
            rows.append({**row, "proxy": False, "proxy_pts": False})
    segments = pd.DataFrame({"recording": [], "start": [], "stop": [], "label": []})
    return write_dataset(folder, folder.name, 96, pd.DataFrame(rows), segments, [])


def make_files(folder, n, kinds=KINDS, **options):
    """One video of n frames of each kind: {kind: path}."""
    folder.mkdir(parents=True, exist_ok=True)
    return {
        kind: write_barcode_video(folder / f"{kind}.mp4", n, **{**KINDS[kind](n), **options})
        for kind in kinds
    }


# The bars of tests/barcode.py, read in the page from what each <video> shows; -1: unclear
READ = """
videos => videos.map(v => {
  if (!v.videoWidth) return -1
  const c = document.createElement('canvas'); c.width = 320; c.height = 180
  const g = c.getContext('2d', {willReadFrequently: true})
  g.drawImage(v, 0, 0, 320, 180)
  const row = g.getImageData(0, 45, 320, 1).data
  let n = 0
  for (let b = 0; b < 10; b++) {
    const level = row[4 * (32 * b + 16)]
    if (level > 64 && level < 192) return -1
    n = 2 * n + (level > 128)
  }
  return n
})
"""

# Moves the scrubber to a frame, waits until the player is at rest, gives milliseconds
SEEK = """
(slider, frame) => new Promise(done => {
  const root = slider.getRootNode().querySelector('.player')
  const begin = performance.now()
  const rested = () => { watch.disconnect(); done(performance.now() - begin) }
  const watch = new MutationObserver(() => {
    if (root.getAttribute('aria-busy') === 'false') rested()
  })
  watch.observe(root, {attributes: true, attributeFilter: ['aria-busy']})
  slider.value = frame
  slider.dispatchEvent(new Event('input'))
})
"""


def numbers(page):
    """The frame number that each video on the page shows."""
    return page.locator(".player video").evaluate_all(READ)


def on_screen(page):
    """The frame number of each video in a screenshot: what a person sees; -1: unclear."""
    shot = np.array(Image.open(io.BytesIO(page.screenshot())).convert("RGB"))
    found = []
    for video in page.locator(".player video").all():
        box = {side: round(length) for side, length in video.bounding_box().items()}
        rows = slice(box["y"], box["y"] + box["height"])
        try:
            found.append(read_barcode(shot[rows, box["x"] : box["x"] + box["width"]]))
        except ValueError:
            found.append(-1)
    return found


def seek(page, frame):
    """Drags the scrubber to a frame; milliseconds until all cameras show it."""
    return page.locator(".player input[type=range]").evaluate(SEEK, frame)


def settled(page, frame=None):
    """Waits until the player rests (at a frame)."""
    at = "" if frame is None else f'[data-frame="{frame}"]'
    page.wait_for_selector(f'.player{at}[aria-busy="false"]')


def loaded(page, count):
    """Waits until that many cameras have a picture."""
    page.wait_for_function(
        """count => {
          const find = r => [...r.querySelectorAll('*')].flatMap(
            e => e.tagName === 'VIDEO' ? [e] : e.shadowRoot ? find(e.shadowRoot) : [])
          const videos = find(document)
          return videos.length === count && videos.every(v => v.readyState >= 2)
        }""",
        arg=count,
    )
    settled(page)
