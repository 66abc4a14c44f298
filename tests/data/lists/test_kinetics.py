"""Kinetics' official csv files, with the videos as copies of the data set have them."""

import logging

import pytest
from kit.lists import KINETICS_HEADER, paths_in, touch, write, write_kinetics

from mvit_video.data import ListError, read_list
from mvit_video.data.lists.kinetics import read_kinetics
from mvit_video.weights import class_names

ROWS = (
    "air drumming,-3B32lodo2M,59,69,train,0",
    '"abseiling",--_dbcJuKJQ,4,14,train,0',  # quoted, as some names are
    "zumba,aaaaaaaaaaa,1000,1010,train,1",
)
NAMES = ("-3B32lodo2M_000059_000069", "--_dbcJuKJQ_000004_000014", "aaaaaaaaaaa_001000_001010")
LABELS = [1, 0, 399]


@pytest.mark.parametrize(
    "files",
    [
        [f"{name}.mp4" for name in NAMES],
        [f"air drumming/{NAMES[0]}.mp4", f"abseiling/{NAMES[1]}.mp4", f"zumba/{NAMES[2]}.mp4"],
        [f"air_drumming/{NAMES[0]}.mp4", f"abseiling/{NAMES[1]}.mp4", f"zumba/{NAMES[2]}.mp4"],
        [f"part_{number}/deep/{name}.mp4" for number, name in enumerate(NAMES)],
        [f"{name}.{suffix}" for suffix, name in zip(("mkv", "webm", "MP4"), NAMES, strict=True)],
        ["-3B32lodo2M.mp4", "--_dbcJuKJQ.mp4", "aaaaaaaaaaa.mp4"],  # ids alone
        ["-3B32lodo2M_59_69.mp4", "--_dbcJuKJQ_4_14.mp4", "aaaaaaaaaaa_1000_1010.mp4"],  # no leading zeros
        ["-3B32lodo2M_59_69.mp4", "zumba/--_dbcJuKJQ.avi", f"{NAMES[2]}.mp4"],  # all at once
        [f"{name}/000001.jpg" for name in NAMES],  # folders of frames
    ],
)  # fmt: skip
def test_videos_are_found_by_their_names(tmp_path, files, caplog):
    videos = touch(tmp_path / "videos", *files, "other_000001_000011.mp4", "notes/readme.txt")
    found = read_list(
        write_kinetics(tmp_path, *ROWS), path_prefix=str(videos), class_names=class_names("kinetics400")
    )
    assert paths_in(videos, found) == [name.removesuffix("/000001.jpg") for name in files]
    assert [record.label for record in found] == LABELS
    assert found.class_names == class_names("kinetics400")
    assert caplog.text == ""


def test_videos_that_are_not_there_keep_their_place_and_are_said(tmp_path, caplog):
    videos = touch(tmp_path / "videos", f"abseiling/{NAMES[1]}.mp4")
    with caplog.at_level(logging.WARNING, "mvit_video.data"):
        found = read_list(
            write_kinetics(tmp_path, *ROWS), path_prefix=str(videos), class_names=class_names("kinetics400")
        )
    assert paths_in(videos, found) == [f"{NAMES[0]}.mp4", f"abseiling/{NAMES[1]}.mp4", f"{NAMES[2]}.mp4"]
    assert [record.label for record in found] == LABELS
    assert "train.csv: 2 of its 3 videos are not in" in caplog.text
    assert "mvit-video data make-list writes a list without them" in caplog.text


def test_of_copies_the_replacement_and_the_official_name_go_first(tmp_path):
    videos = touch(
        tmp_path / "videos",
        f"train/{NAMES[0]}.mp4", f"replacement/replacement_for_corrupted_k400/{NAMES[0]}.mp4",
        "a/--_dbcJuKJQ.mp4", f"b/{NAMES[1]}.mp4", f"c/{NAMES[1]}.mp4",
        f"z/{NAMES[2]}.mkv",
    )  # fmt: skip
    found = read_list(
        write_kinetics(tmp_path, *ROWS), path_prefix=str(videos), class_names=class_names("kinetics400")
    )
    assert paths_in(videos, found) == [
        f"replacement/replacement_for_corrupted_k400/{NAMES[0]}.mp4", f"b/{NAMES[1]}.mp4", f"z/{NAMES[2]}.mkv"
    ]  # fmt: skip


def test_two_clips_of_one_video_need_their_times(tmp_path):
    rows = ("run,aaaaaaaaaaa,0,10,train,0", "walk,aaaaaaaaaaa,20,30,train,0")
    videos = touch(tmp_path / "videos", "aaaaaaaaaaa.mp4", "aaaaaaaaaaa_20_30.mp4")
    found = read_list(write_kinetics(tmp_path, *rows), path_prefix=str(videos), class_names=["run", "walk"])
    assert paths_in(videos, found) == ["aaaaaaaaaaa_000000_000010.mp4", "aaaaaaaaaaa_20_30.mp4"]


def test_a_place_that_is_no_local_folder_is_not_looked_into(tmp_path):
    found = read_list(
        write_kinetics(tmp_path, ROWS[0]), path_prefix="s3://bucket/k400", class_names=["air drumming"]
    )
    assert found[0].path == f"s3://bucket/k400/{NAMES[0]}.mp4"


@pytest.mark.parametrize(
    "spelled", ["air_drumming", "Air Drumming", ' "air drumming" ', '"""air drumming"""', "air  drumming"]
)
def test_class_names_may_be_spelled_otherwise(tmp_path, spelled):
    videos = touch(tmp_path / "videos", f"{NAMES[0]}.mp4")
    rows = write_kinetics(tmp_path, f"{spelled},-3B32lodo2M,59,69,train,0")
    found = read_list(rows, path_prefix=str(videos), class_names=class_names("kinetics400"))
    assert [record.label for record in found] == [1]


def test_the_test_file_has_no_labels(tmp_path):
    videos = touch(tmp_path / "videos", f"{NAMES[0]}.mp4")
    rows = write(tmp_path, "youtube_id,time_start,time_end,split\n-3B32lodo2M,59,69,test\n", "test.csv")
    found = read_list(rows, path_prefix=str(videos))
    assert paths_in(videos, found) == [f"{NAMES[0]}.mp4"]
    assert not found.is_labelled


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_times_and_lines_may_be_written_otherwise(newline):
    text = newline.join(["youtube_id,label,time_start,time_end", "ab,run,59.0,69.0", "", "cd,run, 1 ,11", ""])
    found = read_kinetics(text, "x.csv")
    assert list(found.names) == ["ab_000059_000069", "cd_000001_000011"]
    assert list(found.lines) == [2, 4]


def test_one_split_is_taken_of_several():
    text = f"{KINETICS_HEADER}run,a,0,10,train,0\nrun,b,0,10,validate,0\nrun,c,0,10,val,0\n"
    assert list(read_kinetics(text, "x.csv", "val").names) == ["b_000000_000010", "c_000000_000010"]
    assert list(read_kinetics(text, "x.csv", "train").names) == ["a_000000_000010"]
    with pytest.raises(ListError, match=r"x\.csv: has no rows of the split 'test', only train, val"):
        read_kinetics(text, "x.csv", "test")
    with pytest.raises(ListError, match=r"x\.csv:3: the split is 'val', and 'train' above; .* --split"):
        read_kinetics(text, "x.csv")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (KINETICS_HEADER, r"x\.csv: has a header, and no videos below it"),
        (
            "label,youtube_id\nrun,ab\n",
            r"x\.csv:1: no column time_start, expected the official header label,",
        ),
        (f"{KINETICS_HEADER}run,ab,1,11,train\n", r"x\.csv:2: found 5 columns, expected 6 as in the header"),
        (f"{KINETICS_HEADER}a, b,ab,1,11,train,0\n", r"x\.csv:2: found 7 columns, .* a comma needs quotes"),
        (f"{KINETICS_HEADER}run,ab,one,11,train,0\n", r"x\.csv:2: the time_start is 'one', expected a whole"),
        (
            f"{KINETICS_HEADER}run,ab,1,,train,0\n",
            r"x\.csv:2: the time_end is '', expected a whole number of",
        ),
        (f"{KINETICS_HEADER}run,,1,11,train,0\n", r"x\.csv:2: the youtube_id is '', expected the name of a"),
        (f"{KINETICS_HEADER}run,a/b,1,11,train,0\n", r"x\.csv:2: the youtube_id is 'a/b', expected the name"),
    ],
)
def test_a_file_that_does_not_fit(text, message):
    with pytest.raises(ListError, match=message) as caught:
        read_kinetics(text, "x.csv")
    assert "\n" not in str(caught.value)


def test_classes_that_cannot_be_numbered(tmp_path):
    videos = touch(tmp_path / "videos", f"{NAMES[0]}.mp4")
    rows = write_kinetics(tmp_path, *ROWS)
    with pytest.raises(
        ListError,
        match=r"train\.csv: names classes \('air drumming', \.\.\.\), and their numbers are not known: set "
        "DATA.CLASS_NAMES to kinetics400, kinetics600, kinetics700 or a file",
    ):
        read_list(rows, path_prefix=str(videos))
    with pytest.raises(
        ListError,
        match=r"train\.csv:2: the class 'air drumming' is none of the 2 known ones; did you mean 'air",
    ):
        read_list(rows, path_prefix=str(videos), class_names=["abseiling", "air drums"])
    with pytest.raises(
        ListError, match="'air drumming' is none of the 2 known ones; are they those of another"
    ):
        read_list(rows, path_prefix=str(videos), class_names=["x", "y"])


def test_videos_that_cannot_be_found(tmp_path):
    rows = write_kinetics(tmp_path, *ROWS)
    names = class_names("kinetics400")
    with pytest.raises(
        ListError, match=r"train\.csv: names videos, not paths: set DATA\.PATH_PREFIX to the fold"
    ):
        read_list(rows, class_names=names)
    touch(tmp_path / "videos", "a.mp4", "b.mp4")
    with pytest.raises(
        ListError,
        match=r"videos: holds none of the 3 videos of .*train\.csv, only 2 others; expected names like "
        r"-3B32lodo2M_000059_000069\.mp4: set DATA\.PATH_PREFIX",
    ):
        read_list(rows, path_prefix=str(tmp_path / "videos"), class_names=names)
    with pytest.raises(ListError, match="nowhere: cannot be looked into: No such file or directory"):
        read_list(rows, path_prefix=str(tmp_path / "nowhere"), class_names=names)
