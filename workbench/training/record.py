"""The tables of a watch, each row of which can be read as soon as it is there.

alarms.csv    an alarm per line: frames [start, stop), seconds since the first picture
scores.csv    a line per row: its score averaged over time, and by itself
"""

from __future__ import annotations

import csv
from dataclasses import fields
from pathlib import Path
from types import TracebackType

from workbench.training.reference import Reference
from workbench.training.vigil import Alarm, Judged

ALARM = [f.name for f in fields(Alarm) if f.name != "picture"]
SCORE = ["video", "frame", "seconds", "score", "raw", "normal_video", "normal_frame"]


class Record:
    """Writes what is known of videos into a folder as it comes."""

    def __init__(self, folder: Path, reference: Reference) -> None:
        self.folder, self.reference = folder, reference
        folder.mkdir(parents=True, exist_ok=True)
        self._files = [(folder / n).open("w", newline="") for n in ("alarms.csv", "scores.csv")]
        self._alarms, self._scores = (csv.writer(file) for file in self._files)
        self._alarms.writerow(ALARM)
        self._scores.writerow(SCORE)
        self._written: tuple[Judged | None, int, int] = (None, 0, 0)

    def add(self, judged: Judged) -> None:
        """Write what is new of a video."""
        last, alarms, rows = self._written
        alarms, rows = (alarms, rows) if last is judged else (0, 0)
        for alarm in judged.alarms[alarms:]:
            self._alarms.writerow([_told(getattr(alarm, name)) for name in ALARM])
        r = self.reference
        for k in range(rows, len(judged.smoothed)):
            normal = judged.nearest[k]
            self._scores.writerow([
                judged.name, judged.frame[k], _told(judged.seconds[k]), _told(judged.smoothed[k]),
                _told(judged.raw[k]), r.names[r.video[normal]], int(r.frame[normal]),
            ])  # fmt: skip
        self._written = judged, len(judged.alarms), len(judged.smoothed)
        for file in self._files:
            file.flush()

    def __enter__(self) -> Record:
        return self

    def __exit__(
        self, kind: type | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in self._files:
            file.close()


def _told(value: object) -> object:
    return f"{value:.4f}" if isinstance(value, float) else value
