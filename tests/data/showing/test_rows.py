import numpy as np
import pytest
import torch
from kit.videos import read_numbers, write_video

from mvit_video.data import (
    ClipSpec,
    DamagedVideoWarning,
    Erasure,
    Mix,
    Mixing,
    RandomErasing,
    TestVideos,
    TrainClips,
    TrainLoader,
    TrainTransform,
    VideoList,
    VideoRecord,
    ViewPlan,
    finish_batch,
    normalise,
    soft_targets,
    test_loader,
)
from mvit_video.data.augment.placements import Box
from mvit_video.data.loading.bad_videos import BadVideo
from mvit_video.data.loading.batches import Batch
from mvit_video.data.showing.rows import Names, denormalise, test_section, train_sections

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
WHOLE = TrainTransform(64, (64, 64), area=None, aspect=None, flip=False)  # numbers stay readable
CLASSES = ("archery", "bowling", "climbing")


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    records = []
    for number in range(3):
        write_video(folder / f"{number}.mp4", 40 + number)
        records.append(VideoRecord(str(folder / f"{number}.mp4"), number))
    return VideoList(records)


def texts(sections):
    return [(section.heading, [row.text for row in section.rows]) for section in sections]


def a_batch(labels, indices, **fields):
    clips = torch.zeros((len(labels), 3, 4, 10, 10), dtype=torch.uint8)
    return Batch(clips, torch.tensor(labels), torch.tensor(indices), **fields)


def sections_of(batch, *, smoothing=0.0, repeats=1, classes=CLASSES, num_frames=2):
    names = Names([VideoRecord(f"some/{index}.mp4", 0) for index in range(9)], classes)
    targets = soft_targets(
        batch.labels, 3, smoothing=smoothing, mixes=batch.mixes, group_size=batch.group_size
    )
    pictures = batch.clips.permute(0, 2, 3, 4, 1).numpy()
    return train_sections(batch, pictures, targets, names, repeats=repeats, num_frames=num_frames)


def test_pictures_are_those_that_were_normalised():
    clips = torch.randint(0, 256, (2, 3, 4, 5, 6), dtype=torch.uint8)
    found = denormalise(normalise(clips, MEAN, STD), MEAN, STD)
    assert np.array_equal(found, clips.permute(0, 2, 3, 4, 1).numpy())
    beyond = denormalise(torch.tensor([-9.0, 9.0]).view(1, 1, 2, 1, 1).expand(1, 3, 2, 1, 1), MEAN, STD)
    assert beyond.flatten().tolist() == [0] * 3 + [255] * 3


def test_a_plain_batch_in_words():
    assert texts(sections_of(a_batch([2, 0], [5, 1]))) == [
        ("train: 5.mp4, 'climbing'", ["label: 1.00 'climbing'"]),
        ("train: 1.mp4, 'archery'", ["label: 1.00 'archery'"]),
    ]
    assert texts(sections_of(a_batch([2], [5]), classes=None))[0][1] == ["label: 1.00 class 2"]


def test_repeats_erasures_mixes_and_soft_labels_in_words():
    batch = a_batch(
        [2, 2, 0, 0],
        [5, 5, 1, 1],
        erasures=[None, Erasure((Box(0, 0, 5, 4),), "pixel", 0), None, None],
        mixes=[Mix(0.7)],
        group_size=4,
    )
    assert texts(sections_of(batch, smoothing=0.3, repeats=2)) == [
        (
            "train: 5.mp4, 'climbing'",
            [
                "repeat 0 · label: 0.59 'climbing', 0.31 'archery', 0.1 each other class · "
                "mixup: 0.70 of itself, 0.30 of 1.mp4, repeat 1",
                "repeat 1 · label: 0.59 'climbing', 0.31 'archery', 0.1 each other class · "
                "mixup: 0.70 of itself, 0.30 of 1.mp4, repeat 0 · 20% erased",
            ],
        ),
        (
            "train: 1.mp4, 'archery'",
            [
                "repeat 0 · label: 0.59 'archery', 0.31 'climbing', 0.1 each other class · "
                "mixup: 0.70 of itself, 0.30 of 5.mp4, repeat 1 (20% erased)",
                "repeat 1 · label: 0.59 'archery', 0.31 'climbing', 0.1 each other class · "
                "mixup: 0.70 of itself, 0.30 of 5.mp4, repeat 0",
            ],
        ),
    ]


def test_cut_and_unmixed_groups_in_words():
    batch = a_batch([2, 0, 1, 1], [5, 1, 2, 3], mixes=[Mix(0.76, Box(0, 0, 4, 6)), Mix()], group_size=2)
    assert [rows[0] for _, rows in texts(sections_of(batch))] == [
        "label: 0.76 'climbing', 0.24 'archery' · CutMix: 24% of the area from 1.mp4",
        "label: 0.76 'archery', 0.24 'climbing' · CutMix: 24% of the area from 5.mp4",
        "label: 1.00 'bowling' · not mixed",
        "label: 1.00 'bowling' · not mixed",
    ]
    alike = sections_of(a_batch([0], [0]), smoothing=1.0)
    assert texts(alike)[0][1] == ["label: all classes alike"]


def test_the_same_video_twice_is_two_sections():
    assert [heading for heading, _ in texts(sections_of(a_batch([1, 1], [4, 4])))] == [
        "train: 4.mp4, 'bowling'"
    ] * 2


def test_unreadable_and_damaged_videos_are_named():
    batch = a_batch([0], [0], bad=(BadVideo("a/b.mp4", "no video"),), damaged=(BadVideo("c.mp4", "cut"),))
    assert texts(sections_of(batch))[1:] == [
        ("train: damaged: c.mp4: cut", []),
        ("train: another video stands in for a/b.mp4: no video", []),
    ]


def test_rows_show_the_clips_of_the_loader(videos):
    clips = TrainClips(videos, ClipSpec(8, 2), WHOLE, seed=3, repeats=2)
    batch = next(iter(TrainLoader(clips, batch_size=3, seed=3).epoch(1)))
    finished = finish_batch(batch.clips, mean=MEAN, std=STD)
    pictures = denormalise(finished, MEAN, STD)
    targets = soft_targets(batch.labels, 3)
    sections = train_sections(batch, pictures, targets, Names(videos), repeats=2, num_frames=4)
    assert len(sections) == 3
    for number, section in enumerate(sections):
        expected = read_numbers(batch.clips[2 * number].permute(1, 2, 3, 0).numpy())
        assert [read_numbers(row.frames) for row in section.rows] == [[expected[i] for i in (0, 2, 4, 7)]] * 2


def test_noise_shows_where_a_clip_was_erased(videos):
    erasing = RandomErasing(1.0)
    clips = TrainClips(videos, ClipSpec(8, 2), WHOLE, seed=3, erasing=erasing)
    loader = TrainLoader(clips, batch_size=2, seed=3, mixing=Mixing(prob=0.0))
    batch = next(iter(loader.epoch(0)))
    finished = finish_batch(
        batch.clips, mean=MEAN, std=STD, erasures=batch.erasures, mixes=batch.mixes, group_size=2
    )
    pictures = denormalise(finished, MEAN, STD)
    sections = train_sections(
        batch, pictures, soft_targets(batch.labels, 3), Names(videos), repeats=1, num_frames=8
    )
    for section, erasure, clip in zip(sections, batch.erasures, batch.clips, strict=True):
        (box,) = erasure.boxes
        shown = section.rows[0].frames.astype(int)
        original = clip.permute(1, 2, 3, 0).numpy().astype(int)
        changed = (shown != original).any(axis=(0, 3))
        inside = np.zeros((64, 64), bool)
        inside[box.top : box.top + box.height, box.left : box.left + box.width] = True
        assert not changed[~inside].any()
        assert changed[inside].mean() > 0.99
        assert "erased" in section.rows[0].text


def views_of(videos, plan, num_frames):
    samples = test_loader(TestVideos(videos, plan), num_workers=0)
    return [test_section(sample, plan, Names(videos, CLASSES), num_frames=num_frames) for sample in samples]


def test_one_frame_of_each_temporal_view(videos):
    plan = ViewPlan(8, 2, 3, 1, crop_size=64, short_side=64)
    section = views_of(videos, plan, 5)[1]
    assert section.heading == "test: 1.mp4, 'bowling'"
    (row,) = section.rows
    clips = next(sample for sample in test_loader(TestVideos(videos[1:2], plan), num_workers=0)).clips
    assert read_numbers(row.frames) == [clip.frame_indices[4] for clip in clips]
    assert row.text.startswith("centre · the middle frame of each clip: 0.00-0.5")


def test_several_frames_and_three_crops(videos):
    plan = ViewPlan(8, 2, 1, 3, crop_size=64, short_side=64)
    section = views_of(videos, plan, 4)[0]
    assert [row.text.split(" · ")[0] for row in section.rows] == ["left or top", "centre", "right or bottom"]
    for row in section.rows:
        assert len(row.frames) == 4
        assert " · clip: 0." in row.text
    plan = ViewPlan(8, 2, 2, 1, crop_size=64, short_side=64)
    (row,) = views_of(videos, plan, 4)[0].rows
    assert len(row.frames) == 4
    assert "2 frames of each clip: 0.00-" in row.text


def test_a_video_without_views(tmp_path):
    (tmp_path / "x.mp4").write_text("no video")
    videos = VideoList([VideoRecord(str(tmp_path / "x.mp4"), None)])
    (section,) = views_of(videos, ViewPlan(8, 2, 1, 1, crop_size=64, short_side=64), 4)
    assert section.heading.startswith("test: x.mp4: left out: not a video")
    assert not section.rows


def test_views_of_a_damaged_video_say_so(tmp_path):
    write_video(tmp_path / "x.mp4", 120, container_options={"movflags": "faststart"})
    whole = (tmp_path / "x.mp4").read_bytes()
    (tmp_path / "x.mp4").write_bytes(whole[: len(whole) * 2 // 3])
    videos = VideoList([VideoRecord(str(tmp_path / "x.mp4"), 0)])
    with pytest.warns(DamagedVideoWarning):
        (section,) = views_of(videos, ViewPlan(8, 2, 1, 1, crop_size=64, short_side=64), 4)
    assert section.heading.startswith("test: x.mp4, 'archery': damaged: good up to frame ")
    assert len(section.rows) == 1
