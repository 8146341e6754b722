"""Waiting until a page has come to rest."""

import time


def still(page, script, *arg, seconds=60):
    """What a script finds, once it has twice found the same, half a second apart."""
    before, deadline = None, time.monotonic() + seconds
    while (found := page.evaluate(script, *arg)) is None or found != before:
        assert time.monotonic() < deadline, f"the page keeps moving: {before}, {found}"
        before = found
        page.wait_for_timeout(500)
    return found
