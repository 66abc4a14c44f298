import pytest
from kit.lists import write
from pytorchvideo.data.labeled_video_paths import LabeledVideoPaths

from mvit_video.data import ListError, read_list


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
        ("a;b.mp4;0\nc d.mp4;1\n", [("a;b.mp4", 0, None), ("c d.mp4", 1, None)]),
        ("a.mp4|0\nb.mp4|1\n", [("a.mp4", 0, None), ("b.mp4", 1, None)]),
        ("a.mp4:5:0\nb.mp4:6:1\n", [("a.mp4", 0, 5), ("b.mp4", 1, 6)]),
        ('"take 1" 7\n"take 2" 8\n', [("take 1", 7, None), ("take 2", 8, None)]),  # one number in quotes
        ('"take 1"\n"a, 2"\n', [("take 1", None, None), ("a, 2", None, None)]),
        ("'tis.mp4 1\n", [("'tis.mp4", 1, None)]),
        ('"a" b.mp4 1\n', [('"a" b.mp4', 1, None)]),
        ("some/folder 163 1\nother/folder 9 0\n", [("some/folder", 1, 163), ("other/folder", 0, 9)]),
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
        ("a.mp4 0\n", {"path_prefix": "s3://bucket"}, [("s3://bucket/a.mp4", 0, None)]),
        ("s3://b/a.mp4 0\n", {"path_prefix": "/data"}, [("s3://b/a.mp4", 0, None)]),
        ("take 1 163 3\n", {"list_format": "path_frames_label"}, [("take 1", 3, 163)]),
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
        (
            "a.mp4 0\nb.mp4 dog\n",
            {},
            r"list\.csv:2: the label is 'dog', expected .* a folder with a folder per",
        ),
        ("a.mp4,0\nb.mp4,dog\n", {}, r"list\.csv:2: the label is 'dog', expected a whole number"),
        ("a b.mp4,stand up\n", {}, r"list\.csv:1: the label is 'stand up', expected a whole number"),
        ("a.mp4|1\nb.mp4\n", {}, r"list\.csv:2: no label at the end of 'b\.mp4', but line 1 has one"),
        ("\na.mp4 -1\n", {}, r"list\.csv:2: the label is '-1', expected a whole number from 0 up"),
        ("a.mp4 99999999999\n", {}, r"list\.csv:1: the label is '99999999999', expected a whole number"),
        (f"a.mp4 {'9' * 5000}\n", {}, r"list\.csv:1: the label is '9999"),
        ("a.mp4 3000000000\n", {}, r"list\.csv:1: the label is '3000000000', expected a whole number"),
        # mmaction2's lists of several labels per video, and of parts of videos (with_offset)
        (
            "a.mp4 1\nb c.mp4 1 3 5\n",
            {},
            r"list\.csv:2: b c\.mp4 is followed by 1 3 5, expected 1 at most; several labels per",
        ),
        (
            "a.mp4 1 3 5\n",
            {},
            r"list\.csv:1: every line ends with three numbers or more, expected path, path",
        ),
        ("dir 12 163 3\nd 0 9 1\n", {}, r"list\.csv:1: every line ends with three .*; lists with offsets or"),
        (
            "a.mp4 1 3 5\n",
            {"list_format": "path_frames_label"},
            r"list\.csv:1: a\.mp4 is followed by 1 3 5, expected 2 at most; several labels",
        ),
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


def test_pytorchvideo_reads_the_same(tmp_path):
    """Its own lists: ``path label``, or paths alone."""
    labelled = write(tmp_path, "a.mp4 3\nmy own/b c.mp4 0\n/abs/d.avi 12\n")
    theirs = [(path, info["label"]) for path, info in LabeledVideoPaths.from_csv(str(labelled))]
    assert [(record.path, record.label) for record in read_list(labelled)] == theirs
    alone = write(tmp_path, "a.mp4\nb.mp4\n")
    theirs = [path for path, _ in LabeledVideoPaths.from_csv(str(alone))]
    assert [record.path for record in read_list(alone)] == theirs


def test_class_names_go_with_the_list(tmp_path):
    assert read_list(write(tmp_path, "a.mp4 0\n"), class_names=["x", "y"]).class_names == ("x", "y")
    assert read_list(write(tmp_path, "a.mp4 0\n")).class_names is None
