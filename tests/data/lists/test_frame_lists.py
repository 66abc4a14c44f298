"""SlowFast's lists of frames, read beside PyTorchVideo's reader of them."""

import json
import logging

import pytest
from kit.lists import write, write_ssv2
from pytorchvideo.data.ssv2 import SSv2

from mvit_video.data import ListError, read_list
from mvit_video.weights import class_names

HEADER = "original_vido_id video_id frame_id path labels\n"
OFFICIAL = class_names("ssv2")
VIDEOS = {
    "78687": "Holding [something]",
    "9": "Putting [something] into [something]",
    "41": "Closing [something]",
}


def rows_of(video, number, count, labels=""):
    return "".join(
        f'{video} {number} {frame} {video}/{video}_{frame + 1:06d}.jpg "{labels}"\n' for frame in range(count)
    )


def write_frame_list(folder, counts, name="train.csv", labels=""):
    rows = [rows_of(video, number, count, labels) for number, (video, count) in enumerate(counts.items())]
    return write(folder, HEADER + "".join(rows), name)


def write_official(folder):
    videos = list(VIDEOS.items())
    write_ssv2(folder, dict(videos[:2]), "something-something-v2-train.json")
    write_ssv2(folder, dict(videos[2:]), "something-something-v2-validation.json")
    labels = {name: str(index) for index, name in enumerate(OFFICIAL)}
    return write(folder, json.dumps(labels), "something-something-v2-labels.json")


def test_a_video_is_its_folder(tmp_path):
    write_official(tmp_path)
    found = read_list(write_frame_list(tmp_path, {"9": 3, "78687": 41, "41": 1}), path_prefix="/frames")
    assert list(found) == [
        ("/frames/9", OFFICIAL.index("Putting something into something"), 3),
        ("/frames/78687", OFFICIAL.index("Holding something"), 41),
        ("/frames/41", OFFICIAL.index("Closing something"), 1),
    ]
    assert found.class_names == OFFICIAL


def test_pytorchvideo_reads_the_same(tmp_path):
    labels = write_official(tmp_path)
    listed = write_frame_list(tmp_path, {"9": 3, "78687": 41})
    theirs = SSv2(
        str(labels),
        str(tmp_path / "something-something-v2-train.json"),
        str(listed),
        None,
        video_path_prefix="/f",
    )
    theirs = {
        paths[0].rpartition("/")[0]: (label, len(paths))
        for paths, label in zip(theirs._path_to_videos, theirs._labels, strict=True)
    }
    ours = read_list(listed, path_prefix="/f")
    assert {record.path: (record.label, record.num_frames) for record in ours} == theirs


@pytest.mark.parametrize(
    "text",
    [
        HEADER + rows_of("1", 0, 2) + rows_of("2", 1, 1),
        (HEADER + rows_of("1", 0, 2) + rows_of("2", 1, 1)).replace("\n", "\r\n"),
        (HEADER + rows_of("1", 0, 2) + rows_of("2", 1, 1)).replace(" ", "\t"),
        (HEADER + rows_of("1", 0, 2) + rows_of("2", 1, 1)).rstrip("\n"),
        HEADER + rows_of("1", 0, 2) + rows_of("2", 1, 1) + "\n\n",
    ],
)
def test_how_it_may_be_written(tmp_path, text, caplog):
    with caplog.at_level(logging.WARNING, "mvit_video.data"):
        assert list(read_list(write(tmp_path, text))) == [("1", None, 2), ("2", None, 1)]
    assert "list.csv: its rows hold no labels, and" in caplog.text
    assert "DATA.LABELS_PATH, or data check's --labels, says where those files are" in caplog.text


def test_labels_of_its_own(tmp_path):
    found = read_list(write_frame_list(tmp_path, {"a": 2, "b": 1}, labels="7"))
    assert list(found) == [("a", 7, 2), ("b", 7, 1)]
    assert found.class_names is None


def test_labels_lie_elsewhere_and_count_as_the_model_does(tmp_path):
    (tmp_path / "official").mkdir()
    labels = write_official(tmp_path / "official")
    listed = write_frame_list(tmp_path, {"9": 3})
    for place in (tmp_path / "official", labels):
        assert read_list(listed, labels_path=place)[0].label == OFFICIAL.index(
            "Putting something into something"
        )
    assert read_list(listed, labels_path=labels, class_names=OFFICIAL[::-1])[0].label == 173 - OFFICIAL.index(
        "Putting something into something"
    )
    labels.unlink()
    assert read_list(listed, labels_path=tmp_path / "official", class_names=OFFICIAL).is_labelled
    with pytest.raises(
        ListError, match=r"official: holds no labels\.json, which numbers the classes; add it, or"
    ):
        read_list(listed, labels_path=tmp_path / "official")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEADER, r"list\.csv: has a header, and no frames below it"),
        (
            HEADER + rows_of("1", 0, 3) + "2 1 0\n",
            r"list\.csv:5: found 3 columns, expected original_vido_id v",
        ),
        (HEADER + '1 0 0 1.jpg ""\n', r"list\.csv:2: found 5 columns, .*, the path with a folder in it"),
        (
            HEADER + rows_of("1", 0, 2) + rows_of("2", 1, 1) + rows_of("1", 0, 1),
            r"list\.csv:5: 1 occurs above already, with another folder or other labels, or not in the",
        ),
        (
            HEADER + '1 0 0 a/1.jpg ""\n1 0 1 b/2.jpg ""\n',
            r"list\.csv:3: 1 occurs above already, with another f",
        ),
        (
            HEADER + '1 0 0 a/1.jpg "3"\n1 0 1 a/2.jpg "4"\n',
            r"list\.csv:3: 1 occurs above already, .* other labels,",
        ),
        (
            HEADER + '1 0 0 a/1.jpg ""\n2 1 0 a/2.jpg ""\n',
            r"list\.csv:3: the folder a of 2 is that of 1 too; expected one folder per video",
        ),
        (
            HEADER + rows_of("1", 0, 2) + rows_of("2", 1, 2, "7,12"),
            r"list\.csv:4: the labels of 2 are '7,12', expected one whole number; .* \(Charades\)",
        ),
    ],
)
def test_a_list_that_does_not_fit(tmp_path, text, message):
    with pytest.raises(ListError, match=message) as caught:
        read_list(write(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_videos_whose_class_is_not_known(tmp_path):
    write_official(tmp_path)
    with pytest.raises(
        ListError, match=r"train\.csv:4: the video 5 is in neither train\.json nor validation\.json"
    ):
        read_list(write_frame_list(tmp_path, {"9": 2, "5": 1}))
    with pytest.raises(ListError, match=r"the class of video 9, 'Putting .*', is none of the 1 known ones"):
        read_list(write_frame_list(tmp_path, {"9": 2}), class_names=["Holding something"])
    with pytest.raises(
        ListError, match="nowhere: no such file or folder; expected Something-Something-v2's json"
    ):
        read_list(write_frame_list(tmp_path, {"9": 2}), labels_path=tmp_path / "nowhere")


def test_long_videos_are_one_record(tmp_path):
    found = read_list(write_frame_list(tmp_path, {"1": 5000, "2": 3000}, labels="1"))
    assert list(found) == [("1", 1, 5000), ("2", 1, 3000)]
