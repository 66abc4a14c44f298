"""Something-Something-v2's official json files, over webm files and over folders of frames."""

import json
import logging

import pytest
from kit.lists import paths_in, touch, write, write_ssv2

from mvit_video.data import ListError, read_list
from mvit_video.weights import class_names

OFFICIAL = class_names("ssv2")
VIDEOS = {
    "78687": "Holding [something]",
    "9": "Putting [something] into [something]",
    "1234": "Closing something",
}
LABELS = [OFFICIAL.index(name.replace("[", "").replace("]", "")) for name in VIDEOS.values()]


def write_labels(folder, name="labels.json", names=OFFICIAL):
    return write(folder, json.dumps({name: str(index) for index, name in enumerate(names)}), name)


@pytest.mark.parametrize("prefix", ["", "something-something-v2-"])
@pytest.mark.parametrize("name", ["train", "validation"])
@pytest.mark.parametrize(
    "files",
    [
        [f"{video}.webm" for video in VIDEOS],
        [f"20bn-something-something-v2/{video}.webm" for video in VIDEOS],
        [f"{video}.mp4" for video in VIDEOS],
        [f"{video}/000001.jpg" for video in VIDEOS],
        [f"{video}/{video}_000001.jpg" for video in VIDEOS],
    ],
)
def test_videos_are_read_from_the_official_files(tmp_path, prefix, name, files):
    videos = touch(tmp_path / "videos", *files, "5.webm")
    path = write_ssv2(tmp_path, VIDEOS, f"{prefix}{name}.json")
    write_labels(tmp_path, f"{prefix}labels.json")
    found = read_list(path, path_prefix=str(videos))
    assert paths_in(videos, found) == [file.rpartition("/")[0] if "jpg" in file else file for file in files]
    assert [record.label for record in found] == LABELS
    assert found.class_names == OFFICIAL


def test_the_test_file_has_ids_alone(tmp_path, caplog):
    videos = touch(tmp_path / "videos", "1.webm", "2.webm")
    path = write_ssv2(tmp_path, {"1": None, "2": None, "3": None}, "test.json")
    with caplog.at_level(logging.WARNING, "mvit_video.data"):
        found = read_list(path, path_prefix=str(videos))
    assert paths_in(videos, found) == ["1.webm", "2.webm", "3.webm"]
    assert not found.is_labelled
    assert "test.json: 1 of its 3 videos are not in" in caplog.text


def test_labels_lie_beside_elsewhere_or_in_the_class_names(tmp_path):
    videos = touch(tmp_path / "videos", *(f"{video}.webm" for video in VIDEOS))
    path = write_ssv2(tmp_path, VIDEOS)
    labels = write_labels(touch(tmp_path / "labels"))
    for settings in (
        {"labels_path": labels},
        {"labels_path": tmp_path / "labels"},
        {"class_names": OFFICIAL},
    ):
        found = read_list(path, path_prefix=str(videos), **settings)
        assert [record.label for record in found] == LABELS
        assert found.class_names == OFFICIAL
    own_order = sorted(OFFICIAL, reverse=True)  # the model's order counts, not labels.json's
    found = read_list(path, path_prefix=str(videos), labels_path=labels, class_names=own_order)
    assert [own_order[record.label] for record in found] == [OFFICIAL[label] for label in LABELS]
    with pytest.raises(
        ListError,
        match=r"train\.json: names classes \('Holding something', \.\.\.\), and their numbers are not known: "
        "put labels.json beside it, set DATA.LABELS_PATH to that file, or DATA.CLASS_NAMES to ssv2",
    ):
        read_list(path, path_prefix=str(videos))


def test_a_class_that_is_none_of_the_known_ones(tmp_path):
    videos = touch(tmp_path / "videos", "1.webm", "2.webm")
    path = write_ssv2(tmp_path, {"1": "Holding [something]", "2": "Eating [something]"})
    with pytest.raises(
        ListError, match=r"train\.json:2: the class 'Eating something' is none of the 174 known"
    ):
        read_list(path, path_prefix=str(videos), class_names=OFFICIAL)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", r"train\.json: holds no videos; expected a list of objects with an id each"),
        ('[{"id": "1"},\n{"id": ', r"train\.json:2: is no JSON \(Expecting value\); was the down"),
        ('{"Holding something": "0"}', r"is labels\.json, which numbers the classes; expected .*train\.json"),
        ('{"abc": {"annotations": {"label": "run"}}}', r"is a single object; .* \(of Kinetics, take the csv"),
        ('[{"id": "1"}, {"name": "2"}]', r'train\.json: entry 2 is \{"name": "2"\}, expected an object wi'),
        ('[{"id": "1"}, 7]', r'train\.json: entry 2 is 7, expected an object with an "id"'),
        ('[{"id": "../1"}]', r'train\.json: entry 1 is \{"id": "\.\./1"\}, expected an object with an "id"'),
        ('[{"id": ""}]', r'entry 1 is \{"id": ""\}, expected an object with an "id"'),
        ('[{"id": "1", "template": 7}]', r"train\.json: entry 1: the template is 7, expected a text"),
        (f'[{{"name": "{"x" * 100}"}}]', r'entry 1 is \{"name": "x+\.\.\., expected an object'),
    ],
)  # fmt: skip
def test_a_file_that_does_not_fit(tmp_path, text, message):
    with pytest.raises(ListError, match=message) as caught:
        read_list(write(tmp_path, text, "train.json"), path_prefix=str(tmp_path), list_format="ssv2")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ('{"a": "0", "b": "2"}', r"labels\.json: numbers 2 classes, but not each once from 0 to 1"),
        ('{"a": "0", "b": "0"}', r"labels\.json: numbers 2 classes, but not each once from 0 to 1"),
        (
            '{"a": "zero"}',
            r"labels\.json: expected classes with their numbers, \{\"Holding something\": \"16\"",
        ),
        ("{}", r"labels\.json: expected classes with their numbers"),
        ('["a", "b"]', r"labels\.json: expected classes with their numbers"),
        ("a", r"labels\.json:1: is no JSON"),
    ],
)
def test_labels_that_do_not_number_the_classes(tmp_path, labels, message):
    write(tmp_path, labels, "labels.json")
    with pytest.raises(ListError, match=message):
        read_list(write_ssv2(tmp_path, VIDEOS), path_prefix=str(tmp_path))


def test_files_that_are_not_there(tmp_path):
    path = write_ssv2(tmp_path, VIDEOS)
    with pytest.raises(
        ListError, match=r"none\.json: no such file or folder; expected Something-Something-v2's l"
    ):
        read_list(path, path_prefix=str(tmp_path), labels_path=tmp_path / "none.json")
    with pytest.raises(ListError, match=r"holds none of the 3 videos of .*train\.json, .* like 78687\.webm"):
        read_list(path, path_prefix=str(touch(tmp_path / "empty")), class_names=OFFICIAL)
