"""Saving the offsets of cameras that a person found by eye."""

from __future__ import annotations

from collections.abc import Mapping

from workbench.data.manifest import DataSet, write_dataset


def save_offsets(dataset: DataSet, offsets: Mapping[int, int]) -> DataSet:
    """The data set with new offsets (video -> frames), written to its folder and opened again.

    The fingerprint follows the offsets, so back at the old ones what was computed then is found.
    """
    unknown = [v for v in offsets if not 0 <= v < len(dataset.table)]
    if unknown:
        raise KeyError(f"data set {dataset.name!r} has no video {unknown[0]}.")
    fresh = DataSet(dataset.folder)  # what others saved meanwhile stays
    table = fresh.table.copy()
    for video, offset in offsets.items():
        table.loc[table["key"] == dataset.table["key"].iloc[video], "offset"] = int(offset)
    return write_dataset(
        fresh.folder, fresh.name, fresh.side, table, fresh.segments, fresh.problems
    )
