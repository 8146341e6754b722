"""Lists of videos out of folders, manifests and official split files."""

import pandas as pd
import pytest

from workbench.data.sources import (
    ListingError,
    from_class_folders,
    from_hmdb51,
    from_pattern,
    from_ucf101,
)
from workbench.data.tables import from_manifest, read_segments


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def short(entries, *fields):
    return [tuple(getattr(e, f) for f in fields) for e in entries]


@pytest.mark.parametrize(
    ("pattern", "name", "fields"),
    [
        ("{recording}_{camera}.mp4", "a_b_cam01.mp4", ("a_b", "cam01", None, None)),
        ("{camera}_{recording}.mp4", "cam01_a_b.mp4", ("a_b", "cam01", None, None)),
        ("{recording}.mp4", "a_b.mp4", ("a_b", "cam0", None, None)),
        ("{recording}.mp4", "A.MP4", ("A", "cam0", None, None)),
        ("{recording}/{camera}.mp4", "r1/left.mp4", ("r1", "left", None, None)),
        ("{split}/{label}/{recording}_*.mp4", "Train/ko/r_x.mp4", ("r", "cam0", "ko", "train")),
        ("{label}/{label}-{recording}.avi", "ko/ko-3.avi", ("3", "cam0", "ko", None)),
    ],
)
def test_pattern(pattern, name, fields, tmp_path):
    touch(tmp_path, name, "notes.txt", ".hidden/x_y.mp4")
    entries = from_pattern(tmp_path, pattern)
    assert short(entries, "recording", "camera", "label", "split") == [fields]
    assert entries[0].path == tmp_path / name


def test_a_pattern_that_fits_nothing_shows_what_is_there(tmp_path):
    touch(tmp_path, "day1/x.mov", "day1/y.mov", "readme.txt")
    with pytest.raises(
        ListingError, match=r"2 videos, such as day1/x\.mov.*'\*/\{recording\}\.mov'"
    ):
        from_pattern(tmp_path)
    assert len(from_pattern(tmp_path, "*/{recording}.mov")) == 2  # the advice holds
    with pytest.raises(ListingError, match=r"unknown \{cam\}.*'camera'"):
        from_pattern(tmp_path, "{recording}_{cam}.mp4")
    with pytest.raises(ListingError, match="recording"):
        from_pattern(tmp_path, "{camera}.mp4")
    with pytest.raises(ListingError, match="does not exist"):
        from_pattern(tmp_path / "nowhere")
    with pytest.raises(ListingError, match=r"no videos in it.*\.txt"):
        from_pattern(touch(tmp_path / "texts", "a.txt"))


def test_class_folders(tmp_path):
    touch(tmp_path, "run/1.mp4", "run/x/2.avi", "walk/1.mp4", "walk/notes.txt", "loose.mp4")
    rows = short(from_class_folders(tmp_path), "recording", "label", "split")
    assert rows == [("run_1", "run", None), ("2", "run", None), ("walk_1", "walk", None)]
    touch(tmp_path / "split", "training/run/a.mp4", "val/run/b.mp4", "test/walk/c.mp4")
    rows = short(from_class_folders(tmp_path / "split"), "recording", "label", "split")
    assert sorted(rows) == [("a", "run", "train"), ("b", "run", "val"), ("c", "walk", "test")]
    with pytest.raises(ListingError, match="no folder per class"):
        from_class_folders(touch(tmp_path / "flat", "a.mp4"))


def test_ucf101_official_split_files(tmp_path):
    touch(tmp_path / "v", "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi", "v_YoYo_g01_c02.avi")
    s = tmp_path / "s"
    s.mkdir()
    (s / "classInd.txt").write_text("1 ApplyEyeMakeup\r\n101 YoYo\r\n")
    (s / "trainlist02.txt").write_text("ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1\r\n")
    (s / "testlist02.txt").write_text("YoYo/v_YoYo_g01_c02.avi\r\n")
    train, test = from_ucf101(tmp_path / "v", s, split=2)
    assert (train.label, train.split, train.tags) == ("ApplyEyeMakeup", "train", ("g08",))
    assert (test.label, test.split, test.recording) == ("YoYo", "test", "v_YoYo_g01_c02")
    assert train.path.is_file() and test.path.is_file()  # in class folders, or all in one
    with pytest.raises(ListingError, match=r"trainlist01\.txt is missing"):
        from_ucf101(tmp_path / "v", s)
    (s / "testlist02.txt").write_text("YoYos/v_YoYo_g01_c02.avi\n")
    with pytest.raises(ListingError, match="no class"):
        from_ucf101(tmp_path / "v", s, split=2)


def test_hmdb51_official_split_files(tmp_path):
    (tmp_path / "v").mkdir()
    s = tmp_path / "s"
    s.mkdir()
    (s / "brush_hair_test_split1.txt").write_text(
        "April_09_brush_hair_u_nm_np1_ba_goo_0.avi 1 \nB#1 (2).avi 2 \nunused.avi 0 \n"
    )
    (s / "wave_test_split1.txt").write_text("B#1 (2).avi 1 \n")
    rows = short(from_hmdb51(tmp_path / "v", s), "recording", "label", "split")
    assert rows == [
        ("April_09_brush_hair_u_nm_np1_ba_goo_0", "brush_hair", "train"),
        ("brush_hair_B#1 (2)", "brush_hair", "test"),
        ("wave_B#1 (2)", "wave", "train"),
    ]
    with pytest.raises(ListingError, match="test_split3"):
        from_hmdb51(tmp_path / "v", s, split=3)


def test_manifest_csv(tmp_path):
    (tmp_path / "clips.csv").write_text(
        "recording,camera,path,label,split,offset_frames,start_frame,end_frame,tags\n"
        "007,1,sub/a.mp4,ko,train,-3,10,90,\"night, rain\"\n"
        ",,b.mp4,,,,,,\n"
    )  # fmt: skip
    a, b = from_manifest(tmp_path / "clips.csv")
    assert (a.recording, a.camera, a.label, a.split) == ("007", "1", "ko", "train")
    assert (a.offset, a.start, a.end, a.tags) == (-3, 10, 90, ("night", "rain"))
    assert a.path == tmp_path / "sub" / "a.mp4"
    assert (b.recording, b.camera, b.label, b.split) == ("b", "cam0", None, None)
    assert (b.offset, b.start, b.end, b.tags) == (0, 0, None, ())


def test_manifest_parquet(tmp_path):
    rows = pd.DataFrame({"path": ["/x/a.mp4", "/x/b.mp4"], "end_frame": [5.0, None]})
    rows.to_parquet(tmp_path / "clips.parquet")
    a, b = from_manifest(tmp_path / "clips.parquet")
    assert (a.end, b.end) == (5, None) and str(a.path) == "/x/a.mp4"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("path,lable\na.mp4,x\n", "unknown column 'lable'. Did you mean 'label'"),
        ("recording\na\n", "no column 'path'"),
        ("path\n", "lists no videos"),
        ("path,camera\n,x\n", "line 2: no path"),
        ("path,start_frame\na.mp4,x\n", "line 2: start_frame is 'x'"),
        ("path,offset_frames\na.mp4,inf\n", "line 2: offset_frames is 'inf'"),
        ("path,offset_frames\na.mp4,1e300\n", "line 2: offset_frames is '1e300'"),
        ("path,start_frame,end_frame\na.mp4,9,9\n", "line 2: frames 9 to 9"),
        ("", "cannot be read"),
    ],
)
def test_manifest_errors_name_the_line_and_the_mistake(text, said, tmp_path):
    (tmp_path / "clips.csv").write_text(text)
    with pytest.raises(ListingError, match=said):
        from_manifest(tmp_path / "clips.csv")


def test_segments_file(tmp_path):
    (tmp_path / "segments.csv").write_text("recording,start,stop,label\n01,0,10,throw\n")
    (row,) = read_segments(tmp_path / "segments.csv").to_dict("records")
    assert (row["recording"], row["start"], row["stop"], row["label"]) == ("01", 0, 10, "throw")
    assert row["line"].endswith("line 2")
    (tmp_path / "segments.csv").write_text("recording,start,end,label\n")
    with pytest.raises(ListingError, match="no column 'stop'"):
        read_segments(tmp_path / "segments.csv")
    with pytest.raises(ListingError, match="missing"):
        read_segments(tmp_path / "none.csv")
