import pickle

import pytest

from mvit_video.data import ListError, VideoList, VideoRecord, find_videos, read_list


def write(folder, text, name="list.csv"):
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def records(path, **settings):
    return [tuple(record) for record in read_list(path, **settings)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a.mp4 0\nb.mp4 1\n", [("a.mp4", 0, None), ("b.mp4", 1, None)]),
        ("\n  \na.mp4 0\n\n", [("a.mp4", 0, None)]),
        ("\ufeffa.mp4 0\r\nb.mp4\t7\r\n", [("a.mp4", 0, None), ("b.mp4", 7, None)]),
        ("my long name.mp4 3\n", [("my long name.mp4", 3, None)]),
        ("a,b, c.mp4 3\n", [("a,b, c.mp4", 3, None)]),
        ('"my long name.mp4" 3\n', [("my long name.mp4", 3, None)]),
        ("a.mp4 120 3\nb c.mp4 9 0\n", [("a.mp4", 3, 120), ("b c.mp4", 0, 9)]),
        ("a 12 3\nb.mp4 0\n", [("a 12", 3, None), ("b.mp4", 0, None)]),  # not every line has two
        ("a.mp4\nb c.mp4\n", [("a.mp4", None, None), ("b c.mp4", None, None)]),
        ("take 1 of a.mp4\n", [("take 1 of a.mp4", None, None)]),
        ("a.mp4,0\nb c.mp4,1\n", [("a.mp4", 0, None), ("b c.mp4", 1, None)]),
        ('"a, b.mp4",0\nc, d.mp4, 1\n', [("a, b.mp4", 0, None), ("c, d.mp4", 1, None)]),
        ("a.mp4,50,0\nb.mp4,60,1\n", [("a.mp4", 0, 50), ("b.mp4", 1, 60)]),
        ("odd\u2028\x85name.mp4 1\n", [("odd\u2028\x85name.mp4", 1, None)]),  # line breaks to Unicode alone
        ("ünï 視.mp4 1\n", [("ünï 視.mp4", 1, None)]),
    ],
)
def test_what_a_list_may_look_like(tmp_path, text, expected):
    assert records(write(tmp_path, text)) == expected


@pytest.mark.parametrize(
    ("text", "settings", "expected"),
    [
        ("a.mp4;0\nb;c.mp4;1\n", {"separator": ";"}, [("a.mp4", 0, None), ("b;c.mp4", 1, None)]),
        ("a.mp4|5|0\n", {"separator": "|"}, [("a.mp4", 0, 5)]),
        ("a.mp4 0\n", {"separator": " "}, [("a.mp4", 0, None)]),
        ("b c\t0\n", {"separator": "\t"}, [("b c", 0, None)]),
        ("a 12 3\n", {"list_format": "path_label"}, [("a 12", 3, None)]),
        ("a 12 3\n", {"list_format": "path"}, [("a 12 3", None, None)]),
        ("a 12 3\n", {"list_format": "path_frames_label"}, [("a", 3, 12)]),
        ("a.mp4 0\n/b.mp4 1\n", {"path_prefix": "/data"}, [("/data/a.mp4", 0, None), ("/b.mp4", 1, None)]),
    ],
)
def test_what_can_be_said_about_a_list(tmp_path, text, settings, expected):
    assert records(write(tmp_path, text), **settings) == expected


@pytest.mark.parametrize(
    ("text", "settings", "message"),
    [
        ("", {}, r"list\.csv: the list is empty"),
        ("\n \n", {}, r"list\.csv: the list is empty"),
        ("a.mp4 0\nb.mp4\n", {}, r"list\.csv:2: no label at the end of 'b\.mp4', but line 1 has one"),
        ("a.mp4 cat\nb.mp4 dog\n", {}, r"list\.csv:1: the label is 'cat', expected a whole number"),
        ("a.mp4 0\nb.mp4 dog\n", {}, r"list\.csv:2: no label at the end of 'b\.mp4 dog', but line 1 has one"),
        ("\na.mp4 -1\n", {}, r"list\.csv:2: the label is '-1', expected a whole number from 0 up"),
        ("a.mp4 99999999999\n", {}, r"list\.csv:1: the label is '99999999999', expected a whole number"),
        ("a.mp4 0 1\n", {}, r"list\.csv:1: the number of frames is '0', expected a whole number from 1 up"),
        (
            "a.mp4 x\n",
            {"list_format": "path_label"},
            r"list\.csv:1: the label is 'x', expected a whole number",
        ),
        ("a.mp4\n", {"list_format": "path_label"}, r"list\.csv:1: found 1 columns, expected path label"),
        (
            "a.mp4 1\n",
            {"list_format": "path_frames_label"},
            r"list\.csv:1: found 2 columns, expected path number of frames label",
        ),
        (
            "a.mp4 0\n",
            {"list_format": "paths"},
            "list format is 'paths', expected one of auto, path, path_label",
        ),
        (
            "a.mp4 0\n",
            {"list_format": "folders"},
            r"list\.csv: is a file, but a folder with one folder per class",
        ),
    ],
)
def test_what_a_list_may_not_look_like(tmp_path, text, settings, message):
    with pytest.raises(ListError, match=message) as caught:
        read_list(write(tmp_path, text), **settings)
    assert "\n" not in str(caught.value)


def test_a_list_that_is_not_there_or_no_text(tmp_path):
    with pytest.raises(ListError, match=r"none\.csv: no such list file or folder"):
        read_list(tmp_path / "none.csv")
    (tmp_path / "v.mp4").write_bytes(bytes(range(256)))
    with pytest.raises(ListError, match=r"v\.mp4: cannot be read as a text file: "):
        read_list(tmp_path / "v.mp4")


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_a_folder_per_class(tmp_path):
    touch(
        tmp_path, "run/b.mp4", "run/deep/a.AVI", "run/notes.txt", "jump up/c.webm", ".hidden/x.mp4", "top.mp4"
    )
    (tmp_path / "empty class").mkdir()
    found = read_list(tmp_path)
    assert found.class_names == ("empty class", "jump up", "run")
    assert [(record.path.removeprefix(f"{tmp_path}/"), record.label) for record in found] == [
        ("jump up/c.webm", 1),
        ("run/b.mp4", 2),
        ("run/deep/a.AVI", 2),
    ]
    known = read_list(tmp_path, class_names=["run", "walk", "jump up", "empty class"])
    assert [record.label for record in known] == [2, 0, 0]
    assert known.num_classes == 4
    with pytest.raises(ListError, match="folder 'empty class' is none of the 2 known classes"):
        read_list(tmp_path, class_names=["run", "jump up"])


def test_a_folder_of_videos_is_a_list_without_labels(tmp_path):
    touch(tmp_path, "b.mp4", "a.mkv", "x.txt")
    found = read_list(tmp_path)
    assert [record.path for record in found] == [str(tmp_path / "a.mkv"), str(tmp_path / "b.mp4")]
    assert found.class_names is None
    assert not found.is_labelled
    touch(tmp_path, "deep/c.mp4")
    assert len(read_list(tmp_path, list_format="path")) == 3
    assert find_videos(tmp_path)[-1].endswith("deep/c.mp4")


@pytest.mark.parametrize(
    ("list_format", "message"),
    [
        ("auto", "no videos; video files end in .3gp"),
        ("folders", r"no folder with videos in it \(one folder per class\); video files end in"),
        ("path_label", "is a folder, but a list file of format path_label is expected"),
    ],
)
def test_a_folder_without_videos(tmp_path, list_format, message):
    touch(tmp_path, "class/notes.txt")
    with pytest.raises(ListError, match=message):
        read_list(tmp_path, list_format=list_format)


def test_labels_are_checked_against_the_classes(tmp_path):
    found = read_list(write(tmp_path, "a.mp4 0\nb.mp4 7\nc.mp4 9\n"))
    assert found.is_labelled
    assert found.num_classes == 10
    found.check_labels(10)
    with pytest.raises(
        ListError, match=r"list\.csv: b\.mp4 has label 7, expected 0 to 4 \(2 of 3 videos are wrong\)"
    ):
        found.check_labels(5)
    with pytest.raises(ListError, match=r"the list: a\.mp4 has no label, expected 0 to 4"):
        VideoList([VideoRecord("a.mp4")]).check_labels(5)


def test_a_list_is_a_flat_sequence(tmp_path):
    rows = [VideoRecord(f"class {i % 7}/ü {i}.mp4", i % 7, i + 1 if i % 2 else None) for i in range(10000)]
    found = VideoList(rows, tuple("abcdefg"), "here")
    assert list(found) == rows
    assert found[-1] == rows[-1]
    assert list(found[5:20:3]) == rows[5:20:3]
    assert found[5:20:3].class_names == tuple("abcdefg")
    with pytest.raises(IndexError):
        found[10000]
    assert repr(found) == "VideoList(10000 videos from here)"
    data = pickle.dumps(found)
    assert len(data) < 10000 * 40  # packed, not objects
    assert list(pickle.loads(data)) == rows
