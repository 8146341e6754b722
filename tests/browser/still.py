"""Waiting until a page has come to rest."""

import time


def still(page, script, *arg, seconds=60):
    """What a script finds, once it has twice found the same, half a second apart."""
    before, deadline = None, time.monotonic() + seconds
    while (found := page.evaluate(script, *arg)) is None or found != before:
        assert time.monotonic() < deadline, f"the page keeps moving: {before}, {found}"
        before = found
        time.sleep(0.5)
    return found
