"""What `workbench detect` and `workbench evaluate` print."""

import csv
from dataclasses import replace

import av
import numpy as np
import pytest

from tests.barcode import write_barcode_video
from tests.training.test_detect import FOUR, lamp
from tests.views.detected import write_detection
from tests.views.swing_workspace import swing_workspace
from workbench.data.live import watch
from workbench.training.evaluate_detection import load_detection
from workbench.views.score_table import score_table
from workbench.watching import print_detections, print_scores


def write_lamp(path, dark, bright):
    """A video that is dark for some frames, then bright."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for value in [0] * dark + [255] * bright:
            rgb = np.full((48, 64, 3), value, np.uint8)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        file.mux(stream.encode())


def test_a_line_per_chunk_and_a_mark_where_the_class_changes(tmp_path, capsys):
    write_lamp(tmp_path / "a.mp4", 6, 6)
    table = tmp_path / "out.csv"
    print_detections(lamp(FOUR, 2), watch(str(tmp_path / "a.mp4"), 48), False, False, table)
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "a.mp4" and "time" in said[1] and "times real time" in said[-2]
    chunks = [line.split() for line in said[2:-2]]
    assert [line[0] == ">" for line in chunks] == [True, False, True, False, False]
    assert [line[-2] for line in chunks] == ["background"] * 2 + ["bright"] * 3
    assert chunks[0][1:4] == ["0.12", "s", "3"]  # frame 3 at 25 per second
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert [int(row["stop"]) for row in rows] == [4, 6, 8, 10, 12]
    assert [row["class"] for row in rows] == [line[-2] for line in chunks]
    each = [float(rows[0][f"p {name}"]) for name in ("background", "bright")]
    assert sum(each) == pytest.approx(1, abs=1e-4) and max(each) == float(rows[0]["probability"])


def test_a_bad_video_is_told_and_passed_over(tmp_path, capsys):
    write_barcode_video(tmp_path / "a.mp4", 3, size=(96, 64))
    (tmp_path / "b.mp4").write_bytes(b"none")
    with pytest.raises(ValueError, match="nothing could be watched"):
        print_detections(lamp(FOUR), watch(str(tmp_path), 48), False, False, None)
    said = capsys.readouterr().err
    assert (
        "a.mp4: the video has 3 frames; a chunk of 4 pictures needs 4" in said and "b.mp4" in said
    )
    write_lamp(tmp_path / "c.mp4", 5, 0)
    print_detections(lamp(FOUR), watch(str(tmp_path), 48), False, False, None)
    assert "background" in capsys.readouterr().out


def test_scores_as_a_table(tmp_path, capsys):
    print_scores(load_detection(write_detection(swing_workspace(tmp_path))))
    said = capsys.readouterr().out
    for text in ("balanced accuracy", "frame mAP", "latency", "0 of 4", "12.5 x", "jump", "true"):
        assert text in said
    assert "0 missed, 0 invented" in said


def test_without_a_background_class_nothing_can_be_missed_or_invented(tmp_path, capsys):
    found = load_detection(write_detection(swing_workspace(tmp_path)))
    names = ("rest", *found.classes[1:])
    chunks = found.chunks.replace("background", "rest")
    found = replace(found, classes=names, chunks=chunks)
    print_scores(found)
    said = capsys.readouterr().out
    assert "- missed, - invented" in said and "0%" not in said
    assert "Boundary</td>" in score_table(found)
    assert "<b>-</b>" in score_table(found).partition("Boundary")[2].partition("</tr>")[0]
