"""Saving the offsets of cameras that a person found by eye.

`offsets.json` in the folder of the data set remembers them by video key, each beside the offset
that the list of videos gave then: indexing again keeps what was saved for as long as the list says
the same, and a list that changed its mind wins.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from workbench.data.manifest import DataSet, put, write_dataset


def save_offsets(dataset: DataSet, offsets: Mapping[int, int]) -> DataSet:
    """The data set with new offsets (video -> frames), written to its folder and opened again.

    The fingerprint follows the offsets, so back at the old ones what was computed then is found.
    """
    unknown = [v for v in offsets if not 0 <= v < len(dataset.table)]
    if unknown:
        raise KeyError(f"data set {dataset.name!r} has no video {unknown[0]}.")
    fresh = DataSet(dataset.folder)  # what others saved meanwhile stays
    table, known = fresh.table.copy(), _known(fresh.folder)
    for video, offset in offsets.items():
        key = dataset.table["key"].iloc[video]
        rows = table["key"] == key
        if not rows.any():
            continue  # indexed without it meanwhile
        listed = known[key]["listed"] if key in known else int(table.loc[rows, "offset"].iloc[0])
        known[key] = {"listed": listed, "saved": int(offset)}
        table.loc[rows, "offset"] = int(offset)
    _remember(fresh.folder, known)
    return write_dataset(
        fresh.folder, fresh.name, fresh.side, table, fresh.segments, fresh.problems
    )


def keep_offsets(
    folder: Path, listed: Sequence[int], keys: Sequence[str], before: Sequence[str]
) -> list[int]:
    """The offset of each video: the one saved by hand where it still holds, else the listed one.

    keys: the videos' keys from now on; before: in the data set that is there (another short side
    gives other keys).
    """
    known, offsets = _known(folder), []
    for offset, key, old in zip(listed, keys, before, strict=True):
        found = known.get(old) or known.get(key)
        if found and found["listed"] == offset:
            known[key] = found
            offsets.append(found["saved"])
        else:
            known.pop(key, None)
            known.pop(old, None)
            offsets.append(offset)
    _remember(folder, known)
    return offsets


def _known(folder: Path) -> dict[str, dict[str, int]]:
    path = folder / "offsets.json"
    return json.loads(path.read_text()) if path.is_file() else {}


def _remember(folder: Path, known: dict[str, dict[str, int]]) -> None:
    by_hand = {key: found for key, found in known.items() if found["saved"] != found["listed"]}
    if by_hand != _known(folder):
        put(folder / "offsets.json", lambda path: path.write_text(json.dumps(by_hand, indent=1)))
