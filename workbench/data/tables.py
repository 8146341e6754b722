"""Tables that people write: the manifest of videos, and the segments of recordings."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from workbench.config import closest
from workbench.data.manifest import Problem
from workbench.data.sources import Entry, ListingError

MANIFEST = {
    "recording": "default: the file's name without suffix",
    "camera": "default: cam0",
    "path": "relative to the manifest, or absolute; the only column that must be there",
    "label": "class, may be empty",
    "split": "train, val, test, or empty",
    "offset_frames": "frame k of the recording is frame k + offset of the video; default 0",
    "start_frame": "first frame to take; default 0",
    "end_frame": "first frame not to take; default: the end",
    "tags": "comma-separated",
}
SEGMENTS = ("recording", "start", "stop", "label")


def from_manifest(file: str | Path) -> list[Entry]:
    """The videos that a .csv or .parquet manifest lists; columns: MANIFEST."""
    path = Path(file).expanduser().absolute()
    table = _read(path)
    for name in table.columns:
        if name not in MANIFEST:
            raise ListingError(f"{path}: unknown column {name!r}.{closest(str(name), [*MANIFEST])}")
    if "path" not in table.columns:
        raise ListingError(f"{path} has no column 'path'; its columns: {', '.join(table.columns)}.")
    if table.empty:
        raise ListingError(f"{path} lists no videos.")
    return [_entry(path, line, row) for line, row in _rows(table)]


def _entry(file: Path, line: int, row: dict) -> Entry:
    if "path" not in row:
        raise ListingError(f"{file}, line {line}: no path.")
    video = file.parent / Path(str(row["path"])).expanduser()
    start = _whole(file, line, row, "start_frame", 0)
    end = _whole(file, line, row, "end_frame", None)
    if start < 0 or (end is not None and end <= start):
        raise ListingError(
            f"{file}, line {line}: frames {start} to {end} are none; "
            "start_frame must be 0 or more, end_frame larger than it."
        )
    return Entry(
        path=video,
        recording=str(row.get("recording", video.stem)),
        camera=str(row.get("camera", "cam0")),
        label=str(row["label"]) if "label" in row else None,
        split=str(row["split"]) if "split" in row else None,
        offset=_whole(file, line, row, "offset_frames", 0),
        start=start,
        end=end,
        tags=tuple(t for t in (t.strip() for t in str(row.get("tags", "")).split(",")) if t),
    )


def _whole(file: Path, line: int, row: dict, column: str, default: int | None) -> int | None:
    if column not in row:
        return default
    try:
        value = float(row[column])
    except ValueError:
        value = 0.5
    if not value.is_integer() or abs(value) >= 2**31:  # infinite is not an integer
        raise ListingError(
            f"{file}, line {line}: {column} is {row[column]!r}, expected a whole number."
        )
    return int(value)


def _rows(table: pd.DataFrame) -> Iterable[tuple[int, dict]]:
    """Each row as a dict without its empty cells, with its line in the file."""
    for i, row in enumerate(table.to_dict("records")):
        yield i + 2, {k: v for k, v in row.items() if not pd.isna(v) and str(v).strip()}


def read_segments(file: str | Path) -> pd.DataFrame:
    """The rows of a segments file: recording, start, stop (frames [start, stop)), label, line."""
    path = Path(file).expanduser().absolute()
    table = _read(path)
    missing = [c for c in SEGMENTS if c not in table.columns]
    if missing:
        raise ListingError(
            f"{path} has no column {missing[0]!r}; expected {', '.join(SEGMENTS)}, "
            f"found {', '.join(map(str, table.columns))}."
        )
    rows = []
    for line, row in _rows(table):
        if empty := [c for c in SEGMENTS if c not in row]:
            raise ListingError(f"{path}, line {line}: no {empty[0]}.")
        rows.append(
            {
                "recording": str(row["recording"]),
                "start": _whole(path, line, row, "start", 0),
                "stop": _whole(path, line, row, "stop", 0),
                "label": str(row["label"]),
                "line": f"{path}, line {line}",
            }
        )
    return pd.DataFrame(rows, columns=[*SEGMENTS, "line"])


def check_segments(
    segments: pd.DataFrame, lengths: dict[str, int]
) -> tuple[pd.DataFrame, list[Problem]]:
    """The segments that can be used, cut to their recording, and what is wrong with the others.

    lengths: frames of each recording; segments may carry a `line` to name in a problem.
    """
    kept, problems = [], []
    for row in segments.to_dict("records"):
        name, start, stop = row["recording"], int(row["start"]), int(row["stop"])
        where, length = row.get("line", f"segment of {name}"), lengths.get(name)
        if length is None:
            known = closest(name, list(lengths)[:1000])
            problems.append(
                Problem(where, f"recording {name!r} is not in the data set", known.strip())
            )
        elif start >= stop or start < 0:
            found = f"frames {start} to {stop} of {name!r} are none"
            problems.append(
                Problem(where, found, "start must be 0 or more, stop larger than start.")
            )
        elif start >= length:
            found = f"it starts at frame {start}; {name!r} has {length}"
            problems.append(Problem(where, found, "Count frames from 0, at the video's own rate."))
        else:
            if stop > length:
                found = f"it stops at frame {stop}; {name!r} has {length}"
                problems.append(Problem(where, found, f"It is cut to {length}.", usable=True))
            kept.append((name, start, min(stop, length), str(row["label"])))
    return pd.DataFrame(kept, columns=list(SEGMENTS)), problems


def _read(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise ListingError(f"{path} is missing.")
    try:
        if path.suffix.lower() == ".parquet":
            return pd.read_parquet(path)
        return pd.read_csv(
            path, dtype=str, encoding="utf-8-sig", skipinitialspace=True, keep_default_na=False
        )
    except (ValueError, OSError) as error:  # what pandas' and pyarrow's parsers raise
        raise ListingError(f"{path} cannot be read as a table: {error}") from None
