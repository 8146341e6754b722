"""A data set on disk is whole at every moment, and its tables are found."""

import json
import os
import threading

import pandas as pd
import pytest

from workbench.data import manifest
from workbench.data.manifest import COLUMNS, DataSet, write_dataset

SEGMENTS = pd.DataFrame([("r", 0, 5, "x")], columns=["recording", "start", "stop", "label"])


def write(folder, offset):
    """A data set of one video, with frames nobody looks at; its label says its offset."""
    row = dict.fromkeys(COLUMNS) | {
        "key": "k", "path": "/v/r.mp4", "recording": "r", "camera": "a", "label": str(offset),
        "tags": "", "offset": offset, "n_frames": 10, "fps": 30.0,
    }  # fmt: skip
    segments = SEGMENTS.assign(label=str(offset))
    return write_dataset(folder, "d", 64, pd.DataFrame([row]), segments, [])


def test_back_at_the_old_content_the_fingerprint_is_the_old_one(tmp_path):
    first, second, third = (write(tmp_path, k).fingerprint for k in (0, 1, 0))
    assert first == third != second


def test_a_reader_beside_a_writer_finds_one_data_set_or_the_other(tmp_path, monkeypatch):
    monkeypatch.setattr(manifest, "GRACE", -1.0)  # old tables go at once: the worst case
    write(tmp_path, 0)
    ended = threading.Event()

    def rewrite():
        for k in range(1, 60):
            write(tmp_path, k)
        ended.set()

    writer = threading.Thread(target=rewrite)
    writer.start()
    seen = set()
    while not ended.is_set():
        data = DataSet(tmp_path)
        said = {str(data.videos[0].offset), data.videos[0].label, data.segments["label"][0]}
        assert len(said) == 1
        seen |= said
    writer.join()
    assert len(seen) > 1


def test_a_write_that_fails_leaves_the_old_data_set(tmp_path, monkeypatch):
    before = write(tmp_path, 0).fingerprint
    real = os.replace

    def full(source, target):
        if target.name in {"problems.json", "dataset.json"}:
            raise OSError(28, "No space left on device")
        real(source, target)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        write(tmp_path, 1)
    assert DataSet(tmp_path).fingerprint == before
    assert DataSet(tmp_path).videos[0].offset == 0
    assert not list(tmp_path.glob(".*"))


def test_old_tables_go_when_they_are_old(tmp_path):
    for k in (0, 1):
        write(tmp_path, k)
    assert len(list(tmp_path.glob("*.parquet"))) == 4  # someone may be about to read the first
    for path in tmp_path.glob("*.parquet"):
        os.utime(path, (0, 0))
    write(tmp_path, 2)
    assert len(list(tmp_path.glob("*.parquet"))) == 2
    assert DataSet(tmp_path).videos[0].offset == 2


def test_tables_without_the_fingerprint_in_their_names_are_found(tmp_path):
    about = write(tmp_path, 3).about
    for kind, name in about.pop("tables").items():
        (tmp_path / name).rename(tmp_path / f"{kind}.parquet")
    (tmp_path / "dataset.json").write_text(json.dumps(about))
    assert DataSet(tmp_path).videos[0].segments[0].label == "3"
    (tmp_path / "segments.parquet").unlink()
    assert DataSet(tmp_path).videos[0].segments == ()
    (tmp_path / "videos.parquet").unlink()
    with pytest.raises(FileNotFoundError, match="videos"):
        DataSet(tmp_path)
