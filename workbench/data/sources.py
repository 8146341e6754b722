"""Lists of videos, out of folders, manifests and the split files of public data sets."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from workbench.config import closest

VIDEO_SUFFIXES = {
    ".mp4", ".m4v", ".mov", ".webm", ".mkv", ".avi", ".ts", ".mts", ".m2ts", ".mpg", ".mpeg",
    ".wmv", ".flv", ".3gp", ".ogv", ".mxf", ".vob",
}  # fmt: skip
SPLITS = {"train": "train", "training": "train", "val": "val", "valid": "val",
          "validation": "val", "test": "test", "testing": "test"}  # fmt: skip
FIELDS = ("recording", "camera", "label", "split")


class ListingError(ValueError):
    """A list of videos that cannot be read; the message says what was found and what to write."""


@dataclass(frozen=True)
class Entry:
    """A file to index: what it shows, and which of its frames [start, end) to take.

    Frame k of the recording is frame k + `offset` of the video.
    """

    path: Path
    recording: str
    camera: str = "cam0"
    label: str | None = None
    split: str | None = None
    offset: int = 0
    start: int = 0
    end: int | None = None
    tags: tuple[str, ...] = ()


def from_pattern(folder: str | Path, pattern: str = "{recording}_{camera}.mp4") -> list[Entry]:
    """The files below a folder whose relative path fits a pattern.

    Fields: {recording} (needed), {camera}, {label}, {split}; `*` is anything within one name, and
    `/` separates folders. What could belong to two fields belongs to the recording, so that
    a_b_cam01.mp4 is camera cam01 of a_b.
    """
    folder, fits = _existing(folder), _expression(pattern)
    files = _files(folder)
    found = [(p, m) for p in files if (m := fits.fullmatch(p.relative_to(folder).as_posix()))]
    if not found:
        raise ListingError(f"no file below {folder} fits {pattern!r}. {_shown(folder, files)}")
    return [Entry(path, **_known(match.groupdict())) for path, match in found]


def _known(fields: dict[str, str]) -> dict[str, str]:
    split = fields.get("split")
    return {**fields, "split": SPLITS.get(split.lower(), split)} if split else fields


def _expression(pattern: str) -> re.Pattern[str]:
    names = re.findall(r"\{(\w*)\}", pattern)
    for name in names:
        if name not in FIELDS:
            raise ListingError(
                f"pattern {pattern!r}: unknown {{{name}}}.{closest(name, [*FIELDS])}"
            )
    if "recording" not in names:
        raise ListingError(f"pattern {pattern!r} does not say where {{recording}} is in the path.")
    out, seen = "", set()
    for part in re.split(r"(\{\w+\}|\*)", pattern.lstrip("/")):
        name = part[1:-1] if part.startswith("{") else ""
        if part == "*":
            out += "[^/]*"
        elif not name:
            out += re.escape(part)
        elif name in seen:
            out += f"(?P={name})"
        else:
            out += f"(?P<{name}>[^/]+{'' if name == 'recording' else '?'})"
            seen.add(name)
    return re.compile(out, re.IGNORECASE)


def _existing(folder: str | Path) -> Path:
    path = Path(folder).expanduser().absolute()
    if not path.is_dir():
        what = "is a file" if path.exists() else "does not exist"
        raise ListingError(f"{path} {what}; name a folder of videos.")
    return path


def _files(folder: Path) -> list[Path]:
    parts = ((p, p.relative_to(folder).parts) for p in folder.rglob("*"))
    return sorted(p for p, names in parts if not any(n[0] == "." for n in names) and p.is_file())


def _shown(folder: Path, files: list[Path]) -> str:
    videos = [p.relative_to(folder) for p in files if p.suffix.lower() in VIDEO_SUFFIXES]
    if not videos:
        kinds = ", ".join(f"{n} {s or 'without suffix'}" for s, n in
                          Counter(p.suffix for p in files).most_common(4))  # fmt: skip
        return f"There are no videos in it ({kinds or 'it is empty'})."
    names = ", ".join(p.as_posix() for p in videos[:3])
    folders = "*/" * (len(videos[0].parts) - 1)
    return (
        f"It holds {len(videos)} videos, such as {names}. "
        f"Try --pattern '{folders}{{recording}}{videos[0].suffix}'."
    )


def from_class_folders(folder: str | Path) -> list[Entry]:
    """Videos in one folder per class, with or without train/val/test folders above the classes.

    A recording is named after its file; where two classes use a name, class and name.
    """
    folder = _existing(folder)
    files = [p for p in _files(folder) if p.suffix.lower() in VIDEO_SUFFIXES]
    rows = []
    for path in files:
        parents = path.relative_to(folder).parts[:-1]
        split = SPLITS.get(parents[0].lower()) if len(parents) > 1 else None
        if parents:
            rows.append((path, parents[1 if split else 0], split))
    if not rows:
        raise ListingError(
            f"{folder} has no folder per class with videos in it. {_shown(folder, files)}"
        )
    return _named_after_files(rows)


def _named_after_files(rows: list[tuple[Path, str, str | None]]) -> list[Entry]:
    """Entries of (path, label, split); where two files share a name, label and name."""
    uses = Counter(path.stem for path, _, _ in rows)
    return [
        Entry(p, p.stem if uses[p.stem] == 1 else f"{label}_{p.stem}", label=label, split=split)
        for p, label, split in rows
    ]


def from_ucf101(videos: str | Path, splits: str | Path, split: int = 1) -> list[Entry]:
    """UCF101 by its official trainlist0N.txt and testlist0N.txt; `split` is N.

    Videos lie in class folders or all in one folder. Tagged with the group (g01 ... g25) that the
    clips of one source share.
    """
    videos, splits = _existing(videos), _existing(splits)
    classes = {line.split()[1] for line in _lines(splits / "classInd.txt")}
    entries = []
    for name in ("train", "test"):
        file = splits / f"{name}list{split:02d}.txt"
        for line in _lines(file):
            label, _, clip = line.split()[0].partition("/")
            if label not in classes or not clip:
                raise ListingError(f"{file}: {line!r} names no class of classInd.txt.")
            group = re.search(r"_(g\d+)_c\d+", clip)
            entries.append(
                Entry(
                    _either(videos / label / clip, videos / clip),
                    Path(clip).stem,
                    label=label,
                    split=name,
                    tags=(group[1],) if group else (),
                )
            )
    return entries


def from_hmdb51(videos: str | Path, splits: str | Path, split: int = 1) -> list[Entry]:
    """HMDB51 by its official CLASS_test_splitN.txt: 1 is train, 2 is test, 0 is left out."""
    videos, splits = _existing(videos), _existing(splits)
    files = sorted(splits.glob(f"*_test_split{split}.txt"))
    if not files:
        raise ListingError(f"{splits} holds no CLASS_test_split{split}.txt; name the split folder.")
    rows = []
    for file in files:
        label = file.name.removesuffix(f"_test_split{split}.txt")
        for line in _lines(file):
            clip, _, mark = line.rpartition(" ")
            if mark not in {"0", "1", "2"}:
                raise ListingError(f"{file}: expected 'NAME 0, 1 or 2', found {line!r}.")
            if mark != "0":
                path = _either(videos / label / clip, videos / clip)
                rows.append((path, label, "train" if mark == "1" else "test"))
    return _named_after_files(rows)


def _either(path: Path, other: Path) -> Path:
    return other if other.exists() and not path.exists() else path


def _lines(file: Path) -> list[str]:
    if not file.is_file():
        raise ListingError(f"{file} is missing; name the folder of the official split files.")
    return [line.strip() for line in file.read_text().splitlines() if line.strip()]
