"""How late the server's event loop is while a run trains and pages watch it.

    python tests/benchmarks/eventloop.py [seconds per row]

Bar: p99 below 25 ms while a run trains in a process of its own.
"""

import asyncio
import shutil
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import panel as pn
import panel_material_ui as pmui
from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.training.boxes import make_experiment
from tests.views.box_workspace import box_workspace
from workbench.training.jobs import Job
from workbench.training.train import launch
from workbench.views.monitor import TrainPage

EVERY = 0.005  # seconds between two looks at the clock


async def lateness(seconds):
    """(N,) milliseconds by which short sleeps on this loop came back too late."""
    late, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end:
        before = time.perf_counter()
        await asyncio.sleep(EVERY)
        late.append(1000 * (time.perf_counter() - before - EVERY))
    return np.array(late)


def main(seconds):
    workspace = box_workspace(Path(tempfile.mkdtemp()))
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    loop = asyncio.new_event_loop()

    def serve():
        asyncio.set_event_loop(loop)
        page = lambda: pmui.Page(title="workbench", main=[TrainPage(workspace)])  # noqa: E731
        pn.serve({"app": page}, port=port, show=False, verbose=False, start=False).start()
        loop.run_forever()

    threading.Thread(target=serve, daemon=True).start()

    def row(what):
        late = asyncio.run_coroutine_threadsafe(lateness(seconds), loop).result()
        p50, p99 = np.percentile(late, [50, 99])
        print(f"{what:<34} {p50:8.1f} {p99:8.1f} {late.max():8.1f}", flush=True)

    print(f"{'event loop lateness, ms':<34} {'p50':>8} {'p99':>8} {'max':>8}")
    time.sleep(2)
    row("no page")
    browser_path = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])

        def open_tab():
            tab = browser.new_page()
            tab.goto(f"http://localhost:{port}/app")
            tab.get_by_role("combobox", name="sampler").wait_for(timeout=90_000)
            tab.wait_for_timeout(3000)

        open_tab()
        row("a page, nothing trains")
        run = launch(make_experiment(steps=10**6), workspace.runs / "long")
        while not run.status().done:
            time.sleep(0.2)
        open_tab()
        row("2 pages, a run trains, is watched")
        browser.close()
    Job(run.folder).stop()


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 10)
