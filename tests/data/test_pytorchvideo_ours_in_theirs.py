"""Our samplers, videos and transforms inside PyTorchVideo's datasets."""

import random
import warnings
from fractions import Fraction

import numpy as np
import pytest
import pytorchvideo.data.video
import torch
from kit.videos import numbered_frame, read_numbers, write_video
from PIL import Image
from pytorchvideo.data import Kinetics, LabeledVideoDataset, labeled_video_dataset
from pytorchvideo.data.clip_sampling import RandomMultiClipSampler
from torch.utils.data import DataLoader, SequentialSampler

from mvit_video.data import (
    ClipSpec,
    DamagedVideoWarning,
    RandomClips,
    SampleTransform,
    SegmentClips,
    SegmentSpec,
    TrainTransform,
    UniformClips,
    VideoPathHandler,
    normalise,
    open_video,
)

CLIP = ClipSpec(8, 2)
WHOLE = TrainTransform(64, jitter_scales=(64, 64), area=None, aspect=None, flip=False)  # 64 x 64 as it is


def numbers(clip_CTHW):
    return read_numbers(clip_CTHW.permute(1, 2, 3, 0).numpy())


def dataset(paths, sampler, video_sampler=SequentialSampler, **settings):
    pairs = [(str(path), {"label": label}) for label, path in enumerate(paths)]
    found = LabeledVideoDataset(pairs, sampler, video_sampler, decode_audio=False, **settings)
    found.video_path_handler = VideoPathHandler()
    return found


def as_loaded(samples):
    return samples


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    return [
        write_video(folder / "a.mp4", 45, fps=12),
        write_video(folder / "b.avi", 61, codec="mpeg4", fps=Fraction(30000, 1001)),
        write_video(folder / "c.webm", 5, codec="libvpx-vp9"),
        write_video(folder / "d.mkv", 33, pts=[i * 40 + (i % 3) * 7 for i in range(33)]),
    ]


LENGTHS = [45, 61, 5, 33]


def test_test_clips_of_segments(videos):
    spec = SegmentSpec(8)
    samples = list(dataset(videos, SegmentClips(spec, 3), transform=SampleTransform(WHOLE)))
    assert [sample["label"] for sample in samples] == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3
    for place, sample in enumerate(samples):
        expected = spec.frame_indices(LENGTHS[sample["label"]], place % 3, 3).tolist()
        assert sample["clip_index"] == [place % 3] * 8
        assert numbers(sample["video"]) == expected


def test_without_a_transform_segments_come_as_a_list(videos):
    sample = next(iter(dataset(videos, SegmentClips(SegmentSpec(8), 1))))
    assert [tuple(frame.shape) for frame in sample["video"]] == [(3, 1, 64, 64)] * 8
    assert [numbers(frame)[0] for frame in sample["video"]] == SegmentSpec(8).frame_indices(45).tolist()


def test_training_clips_of_segments(videos):
    spec = SegmentSpec(8)
    seen = set()
    for seed in range(6):
        sampler = SegmentClips(spec, generator=random.Random(seed))
        samples = list(dataset(videos, sampler, transform=SampleTransform(WHOLE)))
        assert [sample["label"] for sample in samples] == [0, 1, 2, 3]
        for sample in samples:
            first, last = spec.bounds(LENGTHS[sample["label"]])
            found = np.array(numbers(sample["video"]))
            assert (first <= found).all()
            assert (found <= last).all()
        seen.add(tuple(numbers(samples[1]["video"])))
    assert len(seen) == 6


def test_other_videos_are_taken_at_the_rate_given(videos):
    found = dataset(videos[:1], SegmentClips(SegmentSpec(8), 1, fps=12), transform=SampleTransform(WHOLE))
    found.video_path_handler = pytorchvideo.data.video.VideoPathHandler()
    (sample,) = found
    assert numbers(sample["video"]) == SegmentSpec(8).frame_indices(45).tolist()


def test_the_training_transform_on_samples(videos):
    torch.manual_seed(0)
    transform = SampleTransform(TrainTransform(32), num_frames=8)
    samples = [next(iter(dataset(videos[1:2], UniformClips(CLIP, 1), transform=transform))) for _ in range(4)]
    for sample in samples:
        assert (sample["video"].dtype, tuple(sample["video"].shape)) == (torch.uint8, (3, 8, 32, 32))
        assert (sample["label"], sample["video_name"], sample["clip_index"]) == (0, str(videos[1]), 0)
    assert len({sample["video"].numpy().tobytes() for sample in samples}) == 4  # drawn anew each time
    torch.manual_seed(0)
    again = next(iter(dataset(videos[1:2], UniformClips(CLIP, 1), transform=transform)))
    assert torch.equal(again["video"], samples[0]["video"])


def test_the_transform_gets_the_exact_pixels_and_t_of_the_frames(videos):
    plain = next(iter(dataset(videos[:1], UniformClips(CLIP, 1))))["video"]
    sample = next(iter(dataset(videos[:1], UniformClips(CLIP, 1), transform=SampleTransform(WHOLE, 4))))
    assert torch.equal(sample["video"], plain[:, torch.linspace(0, plain.shape[1] - 1, 4).long()].byte())
    mean, std = (0.4, 0.5, 0.6), (0.2, 0.3, 0.1)
    floats = SampleTransform(WHOLE, 4, mean=mean, std=std)
    found = next(iter(dataset(videos[:1], UniformClips(CLIP, 1), transform=floats)))["video"]
    assert torch.equal(found, normalise(sample["video"], mean, std))
    with pytest.raises(ValueError, match=r"mean is None and std is \[1\]; give both, or neither"):
        SampleTransform(WHOLE, std=[1])


def test_lists_of_longer_clips_stay_lists(videos):
    sampler = RandomMultiClipSampler(Fraction(1, 2), 3)
    sample = next(iter(dataset(videos[:1], sampler, transform=SampleTransform(WHOLE, 4))))
    assert len(sample["video"]) == 3
    for clip in sample["video"]:
        found = numbers(clip)
        assert found[-1] - found[0] == 5  # half a second of 12 fps


@pytest.mark.parametrize(
    "sampler", [RandomClips(CLIP), SegmentClips(SegmentSpec(8))], ids=["dense", "segments"]
)
def test_workers_share_the_videos_and_draw_differently(videos, sampler):
    found = dataset([videos[1]] * 4, sampler, transform=SampleTransform(WHOLE, 8))
    loader = DataLoader(
        found,
        batch_size=None,
        num_workers=2,
        collate_fn=as_loaded,
        generator=torch.Generator().manual_seed(1),
    )
    epochs = [list(loader), list(loader)]
    clips = []
    for samples in epochs:
        assert sorted(sample["video_index"] for sample in samples) == [0, 1, 2, 3]
        clips += [tuple(numbers(sample["video"])) for sample in samples]
    assert len(set(clips)) >= 7  # 8 draws, of two workers in two epochs: alike only by chance


def test_kinetics_with_everything_of_ours(videos, tmp_path):
    (tmp_path / "train.csv").write_text(
        "".join(f"{path.name} {label}\n" for label, path in enumerate(videos))
    )
    for make in (Kinetics, labeled_video_dataset):
        found = make(
            str(tmp_path / "train.csv"),
            UniformClips(CLIP, 2),
            SequentialSampler,
            SampleTransform(WHOLE, 8),
            video_path_prefix=str(videos[0].parent),
            decode_audio=False,
        )
        found.video_path_handler = VideoPathHandler()
        samples = list(found)
        assert [sample["label"] for sample in samples] == [0, 0, 1, 1, 2, 2, 3, 3]
        assert all(sample["video"].shape == (3, 8, 64, 64) for sample in samples)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("v.avi", {"codec": "mpeg4", "gop": 15}),
        ("v.ts", {"gop": 15}),
        ("v.mpg", {"codec": "mpeg2video", "gop": 15, "options": {}, "fps": 25}),
    ],
)
def test_clips_are_exact_where_seeking_is_not(tmp_path, name, settings):
    path = write_video(tmp_path / name, 120, **settings)
    fps = settings.get("fps", 30)
    samples = list(dataset([path], UniformClips(CLIP, 5)))
    size = 16 * fps / 30
    starts = [int(i * ((120 - size) // 4)) for i in range(5)]
    assert [numbers(sample["video"]) for sample in samples] == [
        list(range(start, int(start + size - 1) + 1)) for start in starts
    ]


def test_folders_of_images_need_no_opencv(tmp_path):
    for number in range(40):
        Image.fromarray(numbered_frame(number)).save(tmp_path / f"{number}.png")
    samples = list(dataset([tmp_path], SegmentClips(SegmentSpec(8), 2), transform=SampleTransform(WHOLE)))
    for index, sample in enumerate(samples):
        assert numbers(sample["video"]) == SegmentSpec(8).frame_indices(40, index, 2).tolist()
    (dense,) = dataset([tmp_path], UniformClips(CLIP, 1))
    assert numbers(dense["video"]) == list(range(12, 28))


def test_what_cannot_be_decoded_is_tried_elsewhere(videos, tmp_path):
    text = tmp_path / "text.mp4"
    text.write_text("no video " * 50)
    paths = [text, tmp_path / "missing.mp4", videos[0], text, videos[1]]
    samples = list(dataset(paths, UniformClips(CLIP, 2)))
    assert [sample["label"] for sample in samples] == [2, 2, 4, 4]
    with pytest.raises(RuntimeError, match="Failed to load video after 10 retries"):
        next(iter(dataset([text] * 10 + [videos[0]], UniformClips(CLIP, 1))))


def test_of_a_damaged_video_the_good_part_is_sampled(videos, tmp_path):
    small, large = write_video(tmp_path / "a.ts", 40), write_video(tmp_path / "b.ts", 20, width=96, height=80)
    (tmp_path / "v.ts").write_bytes(small.read_bytes() + large.read_bytes())
    with pytest.warns(DamagedVideoWarning, match="damaged at frame 40"):
        samples = list(
            dataset([tmp_path / "v.ts"], UniformClips(CLIP, 3), transform=SampleTransform(WHOLE, 8))
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DamagedVideoWarning)
        with open_video(tmp_path / "v.ts") as video:
            assert video.num_frames == 40
            step = int((40 - 16 * video.fps / 30) // 2)
    assert [numbers(sample["video"])[0] for sample in samples] == [0, step, 2 * step]
    assert max(numbers(samples[2]["video"])) <= 39


def test_clips_beyond_the_end_are_tried_elsewhere(videos):
    class Late(UniformClips):
        def __call__(self, last, duration, annotation):
            clip = super().__call__(last, duration, annotation)
            return clip._replace(clip_start_sec=clip.clip_start_sec + 2, clip_end_sec=clip.clip_end_sec + 2)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        samples = list(dataset([videos[2], videos[0]], Late(CLIP, 1)))
    assert [sample["label"] for sample in samples] == [1]
    assert numbers(samples[0]["video"]) == list(range(43, 45))
