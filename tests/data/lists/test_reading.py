"""What a list is, found out by looking into it."""

import json

import pytest
from kit.lists import touch, write, write_kinetics, write_ssv2
from kit.videos import write_video

from mvit_video.data import LIST_FORMATS, ListError, read_list
from mvit_video.data.lists.content import read_names
from mvit_video.data.lists.reading import detect_format

FRAMES = "original_vido_id video_id frame_id path labels\n"


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        ("label,youtube_id,time_start,time_end,split\n", "kinetics"),
        ('\ufeff"label","youtube_id","time_start"\r\n', "kinetics"),
        ("youtube_id,time_start,time_end,split\n", "kinetics"),
        (FRAMES, "frame_list"),
        ("original_video_id\tvideo_id\tframe_id\tpath\tlabels\n", "frame_list"),
        ('[{"id": "1"}]', "ssv2"),
        ('\n [\n {"id": "1"}]', "ssv2"),
        ("[]", "ssv2"),
        ('{"Holding something": "0"}', "ssv2"),
        ("[a].mp4 0\n", "auto"),
        ("{a}.mp4 0\n", "auto"),
        ("youtube_id.mp4 0\n", "auto"),
        ("my,youtube_id.mp4 0\n", "auto"),
        ("", "auto"),
    ],
)
def test_what_a_file_is_shows_at_its_beginning(start, expected):
    assert detect_format(start.encode()) == expected


def test_formats_have_names_that_choose_them(tmp_path):
    touch(tmp_path / "videos", "ab_000001_000011.mp4", "7.webm")
    prefix = str(tmp_path / "videos")
    kinetics = write_kinetics(tmp_path, "run,ab,1,11,train,0")
    ssv2 = write_ssv2(tmp_path, {"7": "Holding [something]"})
    write(tmp_path, json.dumps({"Holding something": "0"}), "labels.json")
    frames = write(tmp_path, f'{FRAMES}7 0 0 7/1.jpg ""\n', "frames.csv")
    for path, kind, names in (
        (kinetics, "kinetics", ["run"]),
        (ssv2, "ssv2", None),
        (frames, "frame_list", None),
    ):
        assert kind in LIST_FORMATS
        found = [
            read_list(path, list_format=how, path_prefix=prefix, class_names=names) for how in ("auto", kind)
        ]
        assert list(found[0]) == list(found[1])
        assert found[0].is_labelled
    with pytest.raises(
        ListError, match=r"list\.csv:1: no column youtube_id, expected the official header label,yo"
    ):
        read_list(write(tmp_path, "a.mp4 0\n"), list_format="kinetics")
    with pytest.raises(
        ListError, match=r"list\.csv:1: is no JSON \(Expecting value\); was the download cut off"
    ):
        read_list(write(tmp_path, "a.mp4 0\n"), list_format="ssv2")
    with pytest.raises(ListError, match=r"list\.csv: has a header, and no frames below it"):
        read_list(write(tmp_path, "a.mp4 0\n"), list_format="frame_list")


def test_a_list_that_is_not_there_or_no_text(tmp_path):
    with pytest.raises(ListError, match=r"none\.csv: no such list file or folder"):
        read_list(tmp_path / "none.csv")
    (tmp_path / "v.list").write_bytes(bytes(range(256)))
    with pytest.raises(ListError, match=r"v\.list: cannot be read as a text file: "):
        read_list(tmp_path / "v.list")


@pytest.mark.parametrize("suffix", ["mp4", "avi", "mkv", "webm", "ts", "mpg", "flv"])
def test_a_video_is_no_list(tmp_path, suffix):
    path = write_video(
        tmp_path / f"a b.{suffix}", 5, codec={"webm": "libvpx", "mpg": "mpeg1video"}.get(suffix, "libx264")
    )
    with pytest.raises(ListError) as caught:
        read_list(path)
    assert str(caught.value).startswith(f"{path}: is a video, expected a list of videos: a text file with ")
    assert f"mvit-video predict '{path}'" in str(caught.value)
    path.write_text(f"{path} 3\n")
    assert [record.label for record in read_list(path)] == [3]


def test_files_that_cannot_be_read_are_named_once(tmp_path):
    path = tmp_path / "names.txt"
    path.symlink_to("/proc/self/mem")  # a file whose beginning nobody can read
    for read in (read_list, read_names):
        with pytest.raises(ListError) as caught:
            read(path)
        assert str(caught.value) == f"{path}: cannot be read: Input/output error"


def test_names_stand_one_in_a_line(tmp_path):
    path = tmp_path / "names.txt"
    path.write_bytes("\ufeffa b\r\n\r\n  c\n".encode())
    assert read_names(path) == ("a b", "c")
