"""A real browser against a real server. Errors on the page's console are failures."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.views.detected import write_detection
from tests.views.swing_workspace import swing_workspace

ROOT = Path(__file__).parents[2]
APP = ROOT / "apps" / "explorer.py"
NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="module")
def chromium():
    """The system's Chromium, driven by playwright, with a fresh profile.

    One per module: while playwright's loop is there, nothing else in this thread may run asyncio.
    """
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        reason = f"no browser: none of {', '.join(NAMES)} is on the PATH (apt-get install chromium)"
        (pytest.fail if os.environ.get("CI", "").lower() in ("1", "true") else pytest.skip)(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def new_page(chromium):
    """Opens pages: new_page(url, **context options); console and page errors fail the test.

    `page.errors` is the list of them: a test that provokes some empties it.
    """
    pages = []

    def open_page(url=None, **options):
        context = chromium.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
        page = context.new_page()
        page.set_default_timeout(60_000)  # a busy machine is no failure
        page.errors = []

        def note(message):  # a server behind a prefix looks for its icon in the wrong place
            if message.type == "error" and "favicon.ico" not in message.location["url"]:
                page.errors.append(f"{message.text} {message.location}")

        page.on("console", note)
        page.on("pageerror", lambda e: page.errors.append(str(e)))
        pages.append(page)
        if url:
            page.goto(url)
        return page

    yield open_page
    errors = [text for page in pages for text in page.errors]
    for page in pages:
        page.context.close()
    assert not errors, "\n".join(errors)


@pytest.fixture
def page(new_page):
    """One empty page."""
    return new_page()


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """Starts servers: served(script, *flags, **environment) -> URL of the page.

    script: the path or the text of an app for `panel serve`, or a program that takes the port as
    its only argument (`served(text, program=True)`). `served.log(url)` is what a server said.
    """
    with serving(tmp_path_factory) as start:
        yield start


@pytest.fixture(scope="session")
def swings_url(tmp_path_factory):
    """The explorer on the swings, for all tests that leave them as they are.

    A server's first page takes longest: it imports everything.
    """
    workspace = swing_workspace(tmp_path_factory.mktemp("swings"), videos=True)
    write_detection(workspace)
    with serving(tmp_path_factory) as start:
        yield start(APP, WORKBENCH_WORKSPACE=str(workspace.root))


@contextmanager
def serving(tmp_path_factory):
    """See `served`."""
    running = {}

    def start(script, *flags, program=False, path=None, **environment):
        folder = tmp_path_factory.mktemp("served")
        if not isinstance(script, Path):
            (folder / "app.py").write_text(script)
            script = folder / "app.py"
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        command = [sys.executable, "-m", "panel", "serve", str(script), "--port", str(port), *flags]
        if program:
            command = [sys.executable, str(script), str(port)]
        log = folder / "server.log"
        env = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
        with log.open("w") as out:
            process = subprocess.Popen(command, stdout=out, stderr=out, env=env, cwd=folder)
        url = f"http://localhost:{port}/{script.stem if path is None else path}"
        running[url] = (process, log)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and process.poll() is None:
            try:
                urllib.request.urlopen(f"http://localhost:{port}/favicon.ico", timeout=5).close()
                return url
            except urllib.error.HTTPError as error:
                error.close()
                return url  # it speaks
            except OSError:
                time.sleep(0.1)
        pytest.fail(f"the server did not start:\n{log.read_text()}")

    start.log = lambda url: running[url][1].read_text()
    try:
        yield start
    finally:
        for process, _ in running.values():
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
