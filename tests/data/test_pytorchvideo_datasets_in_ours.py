"""PyTorchVideo's datasets inside ours: their videos and labels, read by our readers."""

import json
import shutil

import pytest
from kit.videos import numbered_frame, read_numbers, write_video
from PIL import Image
from pytorchvideo.data import (
    Charades,
    Hmdb51,
    Kinetics,
    LabeledVideoDataset,
    SSv2,
    Ucf101,
    labeled_video_dataset,
    make_clip_sampler,
)
from pytorchvideo.data.hmdb51 import Hmdb51LabeledVideoPaths
from pytorchvideo.data.json_dataset import clip_recognition_dataset, video_only_dataset
from pytorchvideo.data.labeled_video_paths import LabeledVideoPaths

from mvit_video.data import (
    ListError,
    SampledClips,
    SampleKey,
    SegmentSpec,
    TestVideos,
    TrainClips,
    TrainLoader,
    TrainTransform,
    VideoError,
    ViewPlan,
    read_pytorchvideo,
    sampled_views,
)

WHOLE = TrainTransform(64, jitter_scales=(64, 64), area=None, aspect=None, flip=False)  # 64 x 64 as it is
SEGMENTS = ViewPlan(8, 4, 1, 1, 64, 64, sampling="segments")
FRAMES = {"10": 20, "9": 12, "77": 5}
HEADER = "original_vido_id video_id frame_id path labels"


def sampler():
    return make_clip_sampler("random", 0.5)


def numbers(clip_CTHW):
    return read_numbers(clip_CTHW.permute(1, 2, 3, 0).numpy())


def rows_of(videos):
    return [tuple(record)[:2] for record in videos]


@pytest.fixture(scope="module")
def classes(tmp_path_factory):
    """Two classes of two videos each, whose pictures count from 100 times the place in the list."""
    folder = tmp_path_factory.mktemp("classes")
    for place, name in enumerate(("run/a.mp4", "run/b.avi", "walk/a.mp4", "walk/c.mp4")):
        (folder / name).parent.mkdir(exist_ok=True)
        codec = "mpeg4" if name.endswith("avi") else "libx264"
        write_video(
            folder / name, 40, codec=codec, picture=lambda i, place=place: numbered_frame(100 * place + i)
        )
    return folder


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    """Videos as folders of pictures, and the manifest of their frames."""
    folder = tmp_path_factory.mktemp("frames")
    rows = [HEADER]
    for place, (name, count) in enumerate(FRAMES.items()):
        (folder / name).mkdir()
        for number in range(count):
            path = f"{name}/{name}_{number + 1}.png"
            Image.fromarray(numbered_frame(100 * place + number)).save(folder / path)
            rows.append(f'{name} {place} {number} {path} "{place},{7 + number // 10}"')
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.mark.parametrize("make", [Kinetics, Ucf101, labeled_video_dataset])
def test_folders_of_classes(classes, make):
    videos = read_pytorchvideo(make(str(classes), sampler()), class_names=["run", "walk"])
    names = ["run/a.mp4", "run/b.avi", "walk/a.mp4", "walk/c.mp4"]
    assert rows_of(videos) == [
        (str(classes / name), label) for name, label in zip(names, [0, 0, 1, 1], strict=True)
    ]
    assert videos.class_names == ("run", "walk")
    videos.check_labels(2)


@pytest.mark.parametrize("make", [Kinetics, Ucf101, labeled_video_dataset])
def test_lists_with_a_prefix(classes, tmp_path, make):
    (tmp_path / "list.csv").write_text("walk/a.mp4 1\nrun/b.avi 0\nrun/a.mp4\n")
    videos = read_pytorchvideo(make(str(tmp_path / "list.csv"), sampler(), video_path_prefix=str(classes)))
    found = [("walk/a.mp4", 1), ("run/b.avi", 0), ("run/a.mp4", None)]  # a line without a label has none
    assert rows_of(videos) == [(str(classes / name), label) for name, label in found]
    assert (videos.class_names, videos.source) == (None, "LabeledVideoDataset")


def test_paths_without_a_dataset(classes):
    paths = LabeledVideoPaths([("run/a.mp4", 3), ("walk/a.mp4", -1)])
    paths.path_prefix = str(classes)
    expected = [(str(classes / "run/a.mp4"), 3), (str(classes / "walk/a.mp4"), None)]
    assert rows_of(read_pytorchvideo(paths)) == expected
    pairs = [(classes / "run/a.mp4", {"label": 3, "more": "x"}), (classes / "walk/a.mp4", {"label": None})]
    assert rows_of(read_pytorchvideo(pairs)) == expected
    assert rows_of(read_pytorchvideo(LabeledVideoDataset(pairs, sampler()))) == expected


def test_hmdb51_names_its_classes(classes, tmp_path):
    for name, split in (("walk", 1), ("run", 1), ("run", 2)):
        lines = {"walk": "a.mp4 1 \nc.mp4 2 \n", "run": "a.mp4 1 \nb.avi 0 \n"}[name]
        (tmp_path / f"{name}_test_split{split}.txt").write_text(lines)
    videos = read_pytorchvideo(Hmdb51(tmp_path, sampler(), video_path_prefix=str(classes)))
    assert rows_of(videos) == [(str(classes / "run/a.mp4"), 0), (str(classes / "walk/a.mp4"), 1)]
    assert videos.class_names == ("run", "walk")
    test = Hmdb51(tmp_path, sampler(), video_path_prefix=str(classes), split_type="test")
    # Alone, this split would number its only class 0: the names say which is which.
    assert rows_of(read_pytorchvideo(test, class_names=videos.class_names)) == [
        (str(classes / "walk/c.mp4"), 1)
    ]
    with pytest.raises(ListError, match="the class 'walk' is none of the 1 class names"):
        read_pytorchvideo(test, class_names=["run"])
    with pytest.raises(ListError, match=r"PyTorchVideo: .*nowhere not found or is not a directory"):
        read_pytorchvideo(Hmdb51LabeledVideoPaths.from_dir(str(tmp_path / "nowhere")))


def something_something(folder, tmp_path, manifest="manifest.csv"):
    (tmp_path / "labels.json").write_text(json.dumps({"Lifting something": "4", "Moving something up": "2"}))
    videos = [
        {"id": "77", "template": "Moving [something] up"},
        {"id": "10", "template": "Lifting [something]"},
        {"id": "9", "template": "Moving [something] up"},
        {"id": "4711", "template": "Lifting [something]"},
    ]
    (tmp_path / "train.json").write_text(json.dumps(videos))
    return SSv2(
        str(tmp_path / "labels.json"),
        str(tmp_path / "train.json"),
        str(folder / manifest),
        sampler(),
        video_path_prefix=str(folder),
        frames_per_clip=8,
    )


def test_something_something_from_its_frame_manifest(frames, tmp_path):
    videos = read_pytorchvideo(something_something(frames, tmp_path))
    # As it does: in the order of the json, without what the manifest has no frames of.
    assert rows_of(videos) == [(str(frames / "77"), 2), (str(frames / "10"), 4), (str(frames / "9"), 2)]
    tested = TestVideos(videos, SEGMENTS)
    for index, (start, count) in enumerate(((200, 5), (0, 20), (100, 12))):
        expected = [start + i for i in SegmentSpec(8).frame_indices(count).tolist()]
        assert numbers(tested[index].views[0]) == expected
    dataset = TrainClips(videos, SegmentSpec(8), WHOLE)
    for index, (start, count) in enumerate(((200, 5), (0, 20), (100, 12))):
        first, last = SegmentSpec(8).bounds(count)
        found = [number - start for number in numbers(dataset[SampleKey(0, index)].clips[0])]
        assert all(low <= number <= high for low, number, high in zip(first, found, last, strict=True))


def test_charades_has_several_labels_per_video(frames):
    dataset = Charades(str(frames / "manifest.csv"), sampler(), video_path_prefix=str(frames))
    with pytest.raises(
        ListError, match=r"10: the label is \[0, \d, \d\], expected one number or name per video"
    ):
        read_pytorchvideo(dataset)
    folders = [str(frames / name) for name in FRAMES]
    unlabelled = read_pytorchvideo(dataset, label=None)
    assert rows_of(unlabelled) == [(folder, None) for folder in folders]
    assert numbers(TestVideos(unlabelled, SEGMENTS)[1].views[0])[0] == 100
    first = read_pytorchvideo(dataset, label=lambda info: max(info["label"]))
    assert rows_of(first) == [(folders[0], 8), (folders[1], 8), (folders[2], 7)]


@pytest.mark.parametrize("wrong", ["missing rows", "other order", "two folders"])
def test_frames_that_are_not_a_folder_are_an_error(frames, tmp_path, wrong):
    shutil.copytree(frames, tmp_path / "copy")
    header, *rows = (frames / "manifest.csv").read_text().splitlines()
    if wrong == "missing rows":
        rows = [row for number, row in enumerate(rows) if number != 3]
    if wrong == "other order":
        rows[3], rows[4] = rows[4], rows[3]
    if wrong == "two folders":
        rows[3] = rows[3].replace("10/10_4.png", "9/9_4.png")
    (tmp_path / "copy" / "manifest.csv").write_text("\n".join([header, *rows]))
    message = (
        "lie in several folders" if wrong == "two folders" else "which are not all its 20 images in the order"
    )
    with pytest.raises(ListError, match=message):
        read_pytorchvideo(something_something(tmp_path / "copy", tmp_path))


def test_a_folder_without_its_frames_is_an_error(frames, tmp_path):
    shutil.copytree(frames, tmp_path / "copy")
    shutil.rmtree(tmp_path / "copy/9")
    with pytest.raises(VideoError, match="copy/9: cannot be opened as a folder of frames"):
        read_pytorchvideo(something_something(tmp_path / "copy", tmp_path))


def test_other_datasets(classes, tmp_path):
    (tmp_path / "videos.json").write_text(json.dumps({"run/a.mp4": {}, "walk/c.mp4": {}}))
    dataset = video_only_dataset(str(tmp_path / "videos.json"), sampler(), video_path_prefix=str(classes))
    with pytest.raises(ListError, match=r"run/a\.mp4: has no 'label', only nothing; say which with label="):
        read_pytorchvideo(dataset)
    found = read_pytorchvideo(dataset, label=None)
    assert rows_of(found) == [(str(classes / "run/a.mp4"), None), (str(classes / "walk/c.mp4"), None)]
    part = {
        "critical_frame_selection_parent_start_sec": 1.0,
        "critical_frame_selection_parent_end_sec": 2.0,
        "taxonomy": {"noun": 3, "verb": 5, "verb_unsure": False, "noun_unsure": False},
    }
    annotations = {"run/a.mp4": {"benchmarks": {"forecasting_hands_objects": [part]}}}
    (tmp_path / "clips.json").write_text(json.dumps(annotations))
    with pytest.raises(ListError, match=r"run/a\.mp4: the dataset is about parts of videos"):
        read_pytorchvideo(clip_recognition_dataset(str(tmp_path / "clips.json"), sampler()))


def test_what_is_no_dataset():
    with pytest.raises(ListError, match="int: expected a LabeledVideoDataset, SSv2, Charades or pairs"):
        read_pytorchvideo(3)
    with pytest.raises(ListError, match="list: there are no videos in it"):
        read_pytorchvideo([])
    with pytest.raises(ListError, match=r"some labels are numbers and some are names \('run'\)"):
        read_pytorchvideo([("a.mp4", {"label": "run"}), ("b.mp4", {"label": 1})])
    with pytest.raises(ListError, match=r"a\.mp4: the label is 0\.5, expected one number or name"):
        read_pytorchvideo([("a.mp4", {"label": 0.5})])


def test_their_dataset_and_sampler_train_and_test_with_ours(classes):
    theirs = Kinetics(str(classes), make_clip_sampler("random", 0.5))
    videos = read_pytorchvideo(theirs)
    dataset = TrainClips(videos, SampledClips(make_clip_sampler("random", 0.5), 8), WHOLE, seed=1)
    seen = []
    for epoch in range(3):
        (batch,) = TrainLoader(dataset, batch_size=4).epoch(epoch)
        assert sorted(batch.indices.tolist()) == [0, 1, 2, 3]
        for clip, label, index in zip(
            batch.clips, batch.labels.tolist(), batch.indices.tolist(), strict=True
        ):
            found = numbers(clip)
            assert label == index // 2
            assert {number // 100 for number in found} == {index}
            assert found[-1] - found[0] == 14  # half a second has 15 frames
            seen.append(found[0])
    assert len(set(seen)) > 6
    tested = TestVideos(
        videos, sampled_views(make_clip_sampler("uniform", 0.5), 8, crop_size=64, short_side=64)
    )
    for index in range(4):
        starts = [numbers(view)[0] for view in tested[index].views]
        assert starts == [100 * index, 100 * index + 15]
