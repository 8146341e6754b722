"""How a browser gets a playable file from the running server, in the pieces it asks for.

`panel serve` takes its routes from the command line; an app that must need no flag adds one itself.
A Bokeh server is a Tornado application, whose table of routes may grow while it runs. The route
answers only for files that `link` was asked for in this process, under names that cannot be
guessed.
"""

from __future__ import annotations

import gc
import hashlib
import mimetypes
import secrets
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import panel as pn
from bokeh.server.views.auth_request_handler import AuthRequestHandler
from tornado.iostream import StreamClosedError
from tornado.web import HTTPError, authenticated

if TYPE_CHECKING:
    from bokeh.server.contexts import ApplicationContext
    from bokeh.server.tornado import BokehTornado

ROUTE = "workbench-media"
PIECE = 2 * 2**20
"""Most bytes in one partial answer. A browser asks for `bytes=0-` and then for what follows, so a
one-hour file is never sent whole, and no camera keeps one of the six connections for long."""
BLOCK = 256 * 2**10
"""Bytes read and sent at once; then others have their turn."""
DIGITS = 18
"""Most digits of a position in a Range: no file is that long, and int() has its limits."""

_SECRET = secrets.token_bytes(16)
_servers: WeakKeyDictionary[ApplicationContext, BokehTornado] = WeakKeyDictionary()


def link(path: Path) -> str | None:
    """A URL (relative to the page) of a file, or None where no server of ours shows the page.

    The URL changes with the file, so a browser may keep what it has. In a notebook cell there is
    no server: send the bytes instead.
    """
    server = _server()
    if server is None:
        return None
    files = server.settings.get(ROUTE)
    if files is None:
        files = server.settings[ROUTE] = {}
        pattern = rf"{server.prefix}/{ROUTE}/([0-9a-f]{{32}})/([^/]*)"
        server.add_handlers(r".*", [(pattern, MediaHandler)])
    path = Path(path).absolute()
    token = hashlib.blake2b(f"{path}|{_version(path)}".encode(), key=_SECRET, digest_size=16)
    files[token.hexdigest()] = path
    root = f"{pn.state.rel_path}/" if pn.state.rel_path else ""
    return f"{root}{ROUTE}/{token.hexdigest()}/{_called(path)}"


def _called(path: Path) -> str:
    """The only name that follows the token of a file; its own name is not told."""
    return f"video{path.suffix.lower()}"


def _server() -> BokehTornado | None:
    """The Tornado application that serves the current session; None outside of a session."""
    from bokeh.server.tornado import BokehTornado

    document = pn.state.curdoc
    session = document.session_context if document else None
    context = getattr(getattr(session, "server_context", None), "application_context", None)
    if context is None:
        return None
    if context not in _servers:
        # neither the session nor the document knows its server; a look at all objects (some tens
        # of milliseconds, once) finds it whoever started it: `panel serve`, `pn.serve`, a test
        for found in [o for o in gc.get_objects() if type(o) is BokehTornado]:
            if any(c is context for c in found._applications.values()):
                _servers[context] = found
    return _servers.get(context)


def _version(path: Path) -> str:
    """Changes whenever the file does."""
    about = path.stat()
    return f"{about.st_mtime_ns:x}-{about.st_size:x}"


class MediaHandler(AuthRequestHandler):
    """Answers GET and HEAD for one known file, in pieces (RFC 9110, sections 13 and 14)."""

    @authenticated
    async def get(self, token: str, name: str) -> None:
        """The file, or the piece of it that the Range header names.

        Without a Range the answer is the whole file (200), read and sent block by block.
        """
        path = self.application.settings[ROUTE].get(token)
        if path is None or name != _called(path):
            raise HTTPError(404, reason="no such video")
        try:
            etag, size = f'"{_version(path)}"', path.stat().st_size
        except OSError:
            raise HTTPError(404, reason="the video is gone") from None
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        self.set_header("Content-Type", kind)
        self.set_header("Accept-Ranges", "bytes")
        self.set_header("Cache-Control", "private, max-age=3600")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Etag", etag)
        if etag in self.request.headers.get("If-None-Match", ""):
            self.set_status(304)
            return
        asked = self.request.headers.get("Range")
        if asked and self.request.headers.get("If-Range", etag) == etag:
            piece = _piece(asked, size)
        else:
            piece = (0, size)
        if piece is None:
            self.set_status(416)
            self.set_header("Content-Range", f"bytes */{size}")
            return
        start, stop = piece
        if stop - start < size:
            self.set_status(206)
            self.set_header("Content-Range", f"bytes {start}-{stop - 1}/{size}")
        self.set_header("Content-Length", stop - start)
        if self.request.method != "HEAD":
            await self._send(path, start, stop)

    head = get

    def compute_etag(self) -> None:
        """Nothing: the tag is set from the file, not from what has been written."""

    async def _send(self, path: Path, start: int, stop: int) -> None:
        with path.open("rb") as file:
            file.seek(start)
            while start < stop and (block := file.read(min(BLOCK, stop - start))):
                start += len(block)
                self.write(block)
                try:
                    await self.flush()  # waits for a slow reader: little is held in memory
                except StreamClosedError:
                    return


def _piece(asked: str, size: int) -> tuple[int, int] | None:
    """Bytes [start, stop) to send for a Range header; None where there are no such bytes.

    Never more than PIECE of them, and of several ranges the first. What is no range of bytes counts
    as not asked (the whole).
    """
    unit, _, spans = asked.partition("=")
    first, dash, last = (part.strip() for part in spans.partition(",")[0].partition("-"))
    plain = all(part.isascii() and part.isdigit() for part in (first, last) if part)
    if unit.strip() != "bytes" or not dash or not plain or not (first or last):
        return 0, size
    if max(len(first), len(last)) > DIGITS:
        return None
    if not first:
        start, stop = max(0, size - int(last)), size
    else:
        start, stop = int(first), min(size, int(last) + 1) if last else size
        if last and int(last) < int(first):
            return 0, size
    return (start, min(stop, start + PIECE)) if start < stop else None
