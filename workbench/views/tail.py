"""The new lines of a growing file, read in small pieces."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

PIECE = 1 << 16  # bytes per read; parsing one takes about a millisecond
CHECK = 64  # bytes kept to notice that a file was cut and grew again


class Tail:
    """Follows a file that another process appends to.

    `read` gives complete new lines only. A file that was replaced, or cut and grown again, is
    read from its start: `restarted` then says so until the next `read`.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.restarted = False
        self._forget()

    def _forget(self) -> None:
        self._inode, self._offset, self._rest, self._last = -1, 0, b"", b""

    def read(self, seconds: float = 0.01) -> list[str]:
        """Complete lines that came since the last call; stops after about `seconds`."""
        self.restarted = False
        deadline = time.perf_counter() + seconds
        lines: list[str] = []
        try:
            with self.path.open("rb") as file:
                self._follow(file)
                while piece := file.read(PIECE):
                    self._offset += len(piece)
                    self._last = (self._last + piece)[-CHECK:]
                    *whole, self._rest = (self._rest + piece).split(b"\n")
                    lines += [line.decode("utf-8", "replace") for line in whole]
                    if time.perf_counter() > deadline:
                        break
        except FileNotFoundError:
            if self._offset:
                self._forget()
                self.restarted = True
        return lines

    def records(self, seconds: float = 0.01) -> list[dict]:
        """New lines that are JSON objects; others are passed over."""
        found = []
        for line in self.read(seconds):
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if isinstance(record, dict):
                found.append(record)
        return found

    @property
    def behind(self) -> bool:
        """True where the file holds more than was read."""
        try:
            return self.path.stat().st_size > self._offset
        except FileNotFoundError:
            return False

    def _follow(self, file) -> None:
        """Put the file where reading stopped, or at its start where it is not the same any more."""
        stat = os.fstat(file.fileno())
        file.seek(max(0, self._offset - len(self._last)))
        same = stat.st_ino == self._inode and stat.st_size >= self._offset
        if not same or file.read(len(self._last)) != self._last:
            self.restarted = self._offset > 0
            self._forget()
            self._inode = stat.st_ino
            file.seek(0)
