"""Saving the offsets of cameras that a person found by eye."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

from workbench.data.manifest import DataSet


def save_offsets(dataset: DataSet, offsets: Mapping[int, int]) -> DataSet:
    """The data set with new offsets (video -> frames), written to its folder and opened again.

    The fingerprint follows the offsets; back at the offsets of the indexing, it is that of the
    indexing again, so what was computed then is found again.
    """
    unknown = [v for v in offsets if not 0 <= v < len(dataset.table)]
    if unknown:
        raise KeyError(f"data set {dataset.name!r} has no video {unknown[0]}.")
    fresh = DataSet(dataset.folder)  # what others saved meanwhile stays
    table, about = fresh.table.copy(), dict(fresh.about)
    before = about.setdefault(
        "indexed", {"fingerprint": fresh.fingerprint, "offset": table["offset"].tolist()}
    )
    for video, offset in offsets.items():
        table.loc[table["key"] == dataset.table["key"].iloc[video], "offset"] = int(offset)
    now = [int(offset) for offset in table["offset"]]
    if now == before["offset"]:
        about["fingerprint"] = before["fingerprint"]
    else:
        text = json.dumps([before["fingerprint"], now])
        about["fingerprint"] = hashlib.sha256(text.encode()).hexdigest()
    part = _part(fresh.folder / "videos.parquet")
    table.to_parquet(part)
    os.replace(part, fresh.folder / "videos.parquet")
    part = _part(fresh.folder / "dataset.json")
    part.write_text(json.dumps(about, indent=1))
    os.replace(part, fresh.folder / "dataset.json")
    return DataSet(dataset.folder)


def _part(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.part")
