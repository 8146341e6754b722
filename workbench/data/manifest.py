"""A data set on disk: which videos, where their tables, pictures and frames lie.

A data set is a folder:

    dataset.json            name, short side of the stored frames, counts, fingerprint, tables
    videos-FP.parquet       one row per usable video (columns: COLUMNS)
    segments-FP.parquet     recording, start, stop, label (frames of the recording)
    problems.json           what could not be used: path, found, advice
    offsets.json            offsets saved by hand (see `offsets.py`)
    truth.parquet           demos: what is known of every frame (columns: TRUTH_COLUMNS)
    videos/KEY/             frames.npy (T, H, W, 3) uint8, pts.npy (T,) float64 seconds,
                            sprite.jpg, and proxy.mp4 where a browser cannot play the file itself;
                            where flow was asked for flow.npy (T - 1, H, W, 2) uint8, flow.json,
                            and flow.mp4 and flow_pts.npy to look at it

`dataset.json` names the tables (FP is the fingerprint; without names they are videos.parquet and
segments.parquet) and is replaced last, in one step: a folder that has it is complete, and who reads
while another writes finds the old data set or the new one, never half of each.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from workbench.data.video import ClipShape, Segment, Video, VideoSource

TABLES = {"videos": "videos.parquet", "segments": "segments.parquet"}
TRUTH = "truth.parquet"
FLOW, FLOW_ABOUT = "flow.npy", "flow.json"
FLOW_VIDEO, FLOW_PTS = "flow.mp4", "flow_pts.npy"
GRACE = 60.0  # seconds that a table nobody names any more stays, for who is about to read it

COLUMNS = {
    "key": "folder name below videos/",
    "path": "absolute path of the original file",
    "recording": "one real-world take",
    "camera": "one filming position",
    "label": "class of the recording, or null",
    "split": "train, val, test, or null",
    "tags": "comma-separated",
    "offset": "frame k of the recording is frame k + offset of the video",
    "n_frames": "frames that decode",
    "header_frames": "frames the header claims, or null",
    "fps": "average, from the container's PTS",
    "width": "pixels, as shown (rotation applied)",
    "height": "pixels, as shown",
    "codec": "video codec",
    "reader": "which decoder served: decord or pyav",
    "note": "why another decoder or a proxy was needed",
    "proxy": "true where proxy.mp4 is what a browser should play",
    "proxy_pts": "true where proxy_pts.npy holds the proxy's own PTS table",
}

TRUTH_COLUMNS = {
    "recording": "one real-world take",
    "frame": "of the recording",
    "phase": "where in its cycle a process is, [0, 1); NaN where it has no phase",
    "repetition": "number of the repetition, from 0; -1 in none",
    "action": "what is being done, or null",
    "anomaly": "what is wrong, or null",
}


@dataclass(frozen=True)
class Problem:
    """A file that cannot be used, or only partly."""

    path: str
    found: str
    advice: str
    usable: bool = False


@dataclass(frozen=True)
class Sprite:
    """A sheet of thumbnails: thumbnail j shows frame `frames[j]`, row-major, `columns` wide."""

    path: Path
    width: int
    height: int
    columns: int
    frames: tuple[int, ...] = field(repr=False)


class DataSet:
    """A complete data set, opened for reading; `FileNotFoundError` where there is none."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        about = self.folder / "dataset.json"
        if not about.is_file():
            raise FileNotFoundError(
                f"{self.folder} is not a data set (no dataset.json). "
                "Make one with: workbench index FOLDER."
            )
        while True:
            self.about: dict = json.loads(about.read_text())
            try:
                self.table, self.segments = self._tables()
                break
            except FileNotFoundError:  # replaced since it was named, or really missing
                if json.loads(about.read_text()) == self.about:
                    raise

    def _tables(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The videos, and the frame-level labels: recording, start, stop, label."""
        names = self.about.get("tables", TABLES)
        segments = self.folder / names["segments"]
        if names is TABLES and not segments.is_file():
            labels = pd.DataFrame({"recording": [], "start": [], "stop": [], "label": []})
        else:
            labels = pd.read_parquet(segments)
        return pd.read_parquet(self.folder / names["videos"]), labels

    @property
    def name(self) -> str:
        """The name given when it was indexed."""
        return self.about["name"]

    @property
    def fingerprint(self) -> str:
        """Changes whenever the videos, their frames, offsets or labels do."""
        return self.about["fingerprint"]

    @property
    def side(self) -> int:
        """Short side of the stored frames, pixels."""
        return self.about["side"]

    @cached_property
    def problems(self) -> list[Problem]:
        """What could not be used, and what to do about it."""
        path = self.folder / "problems.json"
        return [Problem(**p) for p in json.loads(path.read_text())] if path.is_file() else []

    @cached_property
    def truth(self) -> pd.DataFrame | None:
        """What is known of every frame of a demo, columns TRUTH_COLUMNS; None of other videos."""
        path = self.folder / TRUTH
        return pd.read_parquet(path) if path.is_file() else None

    @cached_property
    def videos(self) -> list[Video]:
        """The usable videos, in the order of the table."""
        labelled = {
            str(name): tuple(
                Segment(int(s.start), int(s.stop), str(s.label)) for s in rows.itertuples()
            )
            for name, rows in self.segments.groupby("recording")
        }
        return [
            Video(
                path=Path(row.path),
                recording=row.recording,
                camera=row.camera,
                label=None if pd.isna(row.label) else row.label,
                n_frames=int(row.n_frames),
                fps=float(row.fps),
                offset=int(row.offset),
                segments=labelled.get(row.recording, ()),
                split=None if pd.isna(row.split) else row.split,
                tags=tuple(t for t in str(row.tags or "").split(",") if t),
            )
            for row in self.table.itertuples()
        ]

    @property
    def recordings(self) -> list[str]:
        """Names of the recordings, in order of first appearance."""
        return list(dict.fromkeys(self.table["recording"]))

    def cameras(self, recording: str) -> list[int]:
        """The videos (row numbers) of a recording, by camera name."""
        rows = self.table[self.table["recording"] == recording].sort_values("camera")
        if rows.empty:
            raise KeyError(f"no recording {recording!r} in data set {self.name!r}.")
        return [int(i) for i in rows.index]

    def length(self, recording: str) -> int:
        """Frames of a recording that every one of its cameras shows, from frame 0."""
        videos = [self.videos[i] for i in self.cameras(recording)]
        return max(1, min(v.n_frames - v.offset for v in videos))

    def video_folder(self, video: int) -> Path:
        """Where the tables, pictures and frames of a video lie."""
        return self.folder / "videos" / self.table["key"].iloc[video]

    def frames(self, video: int) -> np.ndarray:
        """(T, H, W, 3) uint8, memory-mapped; short side `side`."""
        if video not in self._maps:
            self._maps[video] = np.load(self.video_folder(video) / "frames.npy", mmap_mode="r")
        return self._maps[video]

    def flows(self, video: int) -> np.ndarray:
        """(T - 1, H, W, 2) uint8, memory-mapped: motion to the next frame, as in `data/flow.py`."""
        key = ("flow", video)
        if key not in self._maps:
            self._maps[key] = np.load(self.video_folder(video) / FLOW, mmap_mode="r")
        return self._maps[key]

    def flow_of(self, video: int) -> str | None:
        """The algorithm of the flow that a video has, as it is now; None where it has none."""
        folder = self.video_folder(video)
        try:
            about = json.loads((folder / FLOW_ABOUT).read_text())
        except FileNotFoundError:
            return None
        return about["algorithm"] if (folder / FLOW).is_file() else None

    @property
    def flow(self) -> str | None:
        """The algorithm of its optical flow; None where not every video has it, by the same."""
        found = {self.flow_of(i) for i in range(len(self.table))}
        return found.pop() if len(found) == 1 else None

    def pts(self, video: int) -> np.ndarray:
        """(T,) seconds at which each frame of the *original file* is shown."""
        return np.load(self.video_folder(video) / "pts.npy")

    def playable(self, video: int, flow: bool = False) -> tuple[Path, np.ndarray]:
        """The file a browser should play, and its own (T,) PTS table, seconds.

        With `flow` the one that shows the motion, where the video has it.
        """
        if flow and self.flow_of(video):
            folder = self.video_folder(video)
            return folder / FLOW_VIDEO, np.load(folder / FLOW_PTS)
        row, folder = self.table.iloc[video], self.video_folder(video)
        path = folder / "proxy.mp4" if row["proxy"] else Path(row["path"])
        pts = folder / ("proxy_pts.npy" if row["proxy_pts"] else "pts.npy")
        return path, np.load(pts)

    def sprite(self, video: int) -> Sprite:
        """The thumbnails of a video."""
        folder = self.video_folder(video)
        about = json.loads((folder / "sprite.json").read_text())
        return Sprite(
            folder / "sprite.jpg",
            about["width"],
            about["height"],
            about["columns"],
            tuple(about["frames"]),
        )

    def source(self, shape: ClipShape, splits: Sequence[str] | None = None) -> VideoSource:
        """Clips of this data set; `splits` keeps those named (None keeps all).

        `ValueError` where the shape's stream is flow and there is none, or a split is unknown.
        """
        trouble = self._flow_trouble()
        flows = None if trouble else self.flows
        source = VideoSource(self.videos, shape, self.frames, flows, trouble)
        source.require(shape.stream)
        if splits is None:
            return source
        known = {v.split for v in self.videos} - {None}
        if missing := [s for s in splits if s not in known]:
            here = f"Its splits: {', '.join(sorted(known))}."
            if not known:
                here = (
                    "It has no splits: leave data.splits empty (None) to take every video, or "
                    "index it again with {split} in --pattern or a column split in its manifest."
                )
            raise ValueError(f"data set {self.name!r} has no split {missing[0]!r}. {here}")
        return source.select(lambda v: v.split in splits)

    def _flow_trouble(self) -> str:
        """Why clips of flow cannot be had; empty where they can."""
        known = range(len(self.table))
        found = [self.flow_of(i) for i in (known if self.flow_of(0) else known[:1])]
        names = sorted({a for a in found if a})
        if len(names) == 1 and None not in found:
            return ""
        what = "no optical flow"
        if names and None in found:
            what = f"optical flow of {len(found) - found.count(None)} of its {len(found)} videos"
        elif names:
            what = f"optical flow by different algorithms ({', '.join(names)})"
        return (
            f"data set {self.name!r} holds {what}; this run asks for stream flow. "
            f"Run `workbench flow {self.name}` first."
        )

    @cached_property
    def _maps(self) -> dict[object, np.ndarray]:
        return {}


def write_dataset(
    folder: Path,
    name: str,
    side: int,
    table: pd.DataFrame,
    segments: pd.DataFrame,
    problems: Sequence[Problem],
) -> DataSet:
    """Write the tables of a data set whose video folders are complete; what is the same is kept.

    table: one row per video, columns COLUMNS; segments: recording, start, stop, label.
    """
    what = [side, table.drop(columns="note").to_json(), segments.to_json()]
    fingerprint = hashlib.sha256(json.dumps(what).encode()).hexdigest()[:16]
    names = {kind: f"{kind}-{fingerprint}.parquet" for kind in TABLES}
    about = {
        "name": name,
        "side": side,
        "videos": len(table),
        "recordings": int(table["recording"].nunique()),
        "frames": int(table["n_frames"].sum()),
        "fingerprint": fingerprint,
        "tables": names,
    }
    listed = json.dumps([vars(p) for p in problems], indent=1)
    done, troubles = folder / "dataset.json", folder / "problems.json"
    same = done.is_file() and json.loads(done.read_text()) == about
    if same and troubles.is_file() and troubles.read_text() == listed:
        return DataSet(folder)
    put(folder / names["videos"], table.to_parquet)
    put(folder / names["segments"], segments.to_parquet)
    put(troubles, lambda path: path.write_text(listed))
    put(done, lambda path: path.write_text(json.dumps(about, indent=1)))
    _remove_old_tables(folder, set(names.values()))
    return DataSet(folder)


def put(path: Path, write: Callable[[Path], object]) -> None:
    """Make or replace a file in one step: whoever reads it finds the old one or the new one."""
    temp = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        write(temp)
        os.replace(temp, path)
    finally:
        temp.unlink(missing_ok=True)


def _remove_old_tables(folder: Path, named: set[str]) -> None:
    """Those that `dataset.json` no longer names; young ones may be about to be read, or named."""
    for pattern in ("videos*.parquet", "segments*.parquet", ".*.tmp"):
        for path in folder.glob(pattern):
            try:
                if path.name not in named and time.time() - path.stat().st_mtime > GRACE:
                    path.unlink()
            except OSError:  # another process removed it, or (on Windows) still reads it
                continue
