"""Does every camera show exactly the frame that was asked for, and how soon?

    python -m tests.benchmarks.player [--seeks 200]

Four cameras per kind of file: random seeks, read off the pixels of each <video>; then playing for
ten seconds, the spread of the frames that the four show. Needs Chromium and playwright.
"""

import argparse
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import numpy as np

from tests.browser.conftest import FLAGS, NAMES
from tests.browser.numbered import KINDS, loaded, make_dataset, make_files, numbers, seek, settled

APP = """
import panel as pn
from workbench.data.manifest import DataSet
from workbench.views.player import Player
from workbench.views.selection import Cursor

pn.extension()
args = pn.state.session_args
recording = args.get("recording", [b""])[0].decode()
Player(DataSet("{folder}"), Cursor(recording=recording)).servable()
"""


def serve(script, **environment):
    """A running `panel serve` of an app, and the address of its page."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    command = [sys.executable, "-m", "panel", "serve", str(script), "--port", str(port)]
    env = {**os.environ, **environment}
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, env=env)
    url = f"http://localhost:{port}/{script.stem}"
    while True:
        try:
            urllib.request.urlopen(url, timeout=30).close()
            return process, url
        except OSError:
            if process.poll() is not None:
                raise RuntimeError("the server did not start") from None
            time.sleep(0.2)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeks", type=int, default=200)
    seeks = parser.parse_args().seeks
    from playwright.sync_api import sync_playwright

    browser_path = next(filter(None, map(shutil.which, NAMES)))
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder, length = Path(name), 600
        cameras = [
            make_files(folder / f"camera{c}", length, size=(640, 360), gop=30) for c in range(4)
        ]
        recordings = {kind: {f"{c}": cameras[c][kind] for c in range(4)} for kind in KINDS}
        recordings["one of each"] = cameras[0]
        make_dataset(folder / "data", recordings)
        (folder / "app.py").write_text(APP.format(folder=folder / "data"))
        server, url = serve(folder / "app.py")
        browser = playwright.chromium.launch(executable_path=browser_path, args=FLAGS)
        print(f"{seeks} random seeks x 4 cameras of 640 x 360, {length} frames")
        print("kind          exact              seek ms: median   p95   spread playing: median p95")
        try:
            for kind in recordings:
                page = browser.new_page(viewport={"width": 1280, "height": 800})
                page.goto(f"{url}?recording={kind}")
                loaded(page, 4)
                rng, exact, spent = np.random.default_rng(7), 0, []
                for k in rng.integers(0, length, seeks).tolist():
                    spent.append(seek(page, k))
                    exact += sum(shown == k for shown in numbers(page))
                seek(page, 0)
                page.locator(".player").focus()
                page.keyboard.press("Space")
                page.wait_for_timeout(500)
                seen, until = [], time.monotonic() + 10
                while time.monotonic() < until:
                    seen.append(numbers(page))
                    page.wait_for_timeout(50)
                page.keyboard.press("Space")
                settled(page)
                spread = np.ptp(np.array(seen), 1)
                print(
                    f"{kind:12} {exact:5} of {4 * seeks} ({exact / (4 * seeks):.1%}) "
                    f"{np.median(spent):14.0f} {np.quantile(spent, 0.95):6.0f} "
                    f"{np.median(spread):20.0f} {np.quantile(spread, 0.95):5.0f}",
                    flush=True,
                )
                page.close()
        finally:
            browser.close()
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
