"""How soon the explorer shows something: first paint on a warm server, similarity click to frames.

    python -m tests.benchmarks.explorer [--workspace FOLDER WITH THE JUDO DEMO] [--rounds 20]

First paint is from the start of the navigation until the first recording's card is on the page;
once in a fresh browser profile, then in the same profile again. A click is from the mouse button
until the pictures of both its moments have changed: they are cut out of the sheet of thumbnails,
which in the demo holds every frame at the size that is stored.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from tests.benchmarks.player import serve
from tests.browser.conftest import FLAGS
from tests.browser.test_explorer import APP, INNER
from workbench.training.demo import make_judo
from workbench.workspace import Workspace

CARD = """() => {
  const look = root => [...root.querySelectorAll('.card .name')].some(
    e => e.textContent === 'judo-000' && e.clientHeight > 0)
    || [...root.querySelectorAll('*')].some(e => e.shadowRoot && look(e.shadowRoot))
  return look(document)
}"""
CLICK = """() => {
  const shown = () => window.__all(document)
    .filter(e => e.matches('section[data-frame]')).map(e => e.dataset.frame).join()
  const pictures = () => window.__all(document)
    .filter(e => e.matches('section[data-frame] .picture')).every(e =>
      e.style.backgroundImage && [...e.children].every(i => i.complete))
  window.__clicked = new Promise(done => {
    const before = shown()
    addEventListener('pointerup', () => {
      const start = performance.now()
      const look = () => shown() !== before && pictures()
        ? requestAnimationFrame(() => done(performance.now() - start))
        : requestAnimationFrame(look)
      look()
    }, {once: true, capture: true})
  })
}"""
ALL = """() => { window.__all = r => [...r.querySelectorAll('*')].flatMap(
  e => [e, ...(e.shadowRoot ? window.__all(e.shadowRoot) : [])]) }"""


def first_paint(page, url):
    """Milliseconds until the first card."""
    start = time.perf_counter()
    page.goto(url, wait_until="commit")
    page.wait_for_function(CARD, polling=20)
    took = 1000 * (time.perf_counter() - start)
    page.wait_for_timeout(2000)  # drawers and pictures come, the server is idle again
    return took


def clicks(page, url, rounds):
    """Milliseconds of clicks all over the similarity matrix."""
    page.goto(url + "?page=Similarity&recording=judo-000")
    page.locator(".bk-Canvas").first.wait_for()
    page.wait_for_timeout(3000)
    page.evaluate(ALL)
    frame = page.evaluate(INNER)
    took = []
    for k in range(rounds):
        u, v = (0.1 + 0.8 * ((k * step) % rounds) / rounds for step in (7, 11))
        page.evaluate(CLICK)
        page.mouse.click(frame["x"] + u * frame["w"], frame["y"] + v * frame["h"])
        took.append(page.evaluate("window.__clicked"))
        page.wait_for_timeout(400)
    return took


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--workspace", type=Path)
    parser.add_argument("--rounds", type=int, default=20)
    chosen = parser.parse_args()
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as scratch:
        workspace = Workspace(chosen.workspace or Path(scratch))
        for _ in make_judo(workspace):
            pass
        process, url = serve(APP, WORKBENCH_WORKSPACE=str(workspace.root))
        try:
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(
                    executable_path="/usr/bin/chromium", args=FLAGS
                )
                page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
                fresh = first_paint(page, url)
                again = [first_paint(page, url) for _ in range(5)]
                took = clicks(page, url, chosen.rounds)
                browser.close()
        finally:
            process.terminate()
            process.wait(10)
    took.sort()
    print("what                                     ms     bar")
    print(f"first paint, fresh profile          {fresh:7.0f}")
    print(f"first paint, same profile, median   {statistics.median(again):7.0f}   < 1500")
    print(f"similarity click, median            {statistics.median(took):7.0f}   <  150")
    print(f"similarity click, 95th of 100       {took[int(0.95 * (len(took) - 1))]:7.0f}")


if __name__ == "__main__":
    main()
