import subprocess
import sys
from fractions import Fraction

import pytest
import pytorchvideo.data.video
import torch
from kit.videos import read_numbers, write_video
from pytorchvideo.data.clip_sampling import RandomClipSampler, UniformClipSampler
from pytorchvideo.data.encoded_video import EncodedVideo
from pytorchvideo.data.labeled_video_dataset import LabeledVideoDataset

from mvit_video.data import (
    ClipSpec,
    RandomClips,
    UniformClips,
    VideoError,
    VideoPathHandler,
    open_video,
    subsample,
)

CLIP = ClipSpec(8, 2)


def clip_numbers(clip_CTHW):
    return read_numbers(clip_CTHW.permute(1, 2, 3, 0).numpy())


@pytest.mark.parametrize("fps", [30, 25, Fraction(30000, 1001), Fraction(24000, 1001), Fraction(25, 2)])
def test_seconds_come_back_to_the_frame_they_were_made_from(tmp_path, fps):
    with open_video(write_video(tmp_path / "v.mp4", 40, fps=fps)) as video:
        for first, last in ((0, 0), (7, 7), (3, 21), (39, 39)):
            for seconds in (Fraction, float):
                clip = video.get_clip(seconds(first / Fraction(fps)), seconds((last + 1) / Fraction(fps)))
                assert clip_numbers(clip["video"]) == list(range(first, last + 1))
                assert clip["audio"] is None
        for first in range(40):
            clip = video.get_clip(first / video.fps, (first + 1) / video.fps)
            assert clip_numbers(clip["video"]) == [first]


def test_clips_are_those_of_pytorchvideo(tmp_path):
    path = write_video(tmp_path / "v.mp4", 60, width=80, height=48)
    theirs = EncodedVideo.from_path(str(path), decode_audio=False)
    with open_video(path) as ours:
        assert isinstance(ours, pytorchvideo.data.video.Video)
        assert ours.duration == pytest.approx(float(theirs.duration))
        for start, end in (
            (Fraction(0), Fraction(1)),
            (Fraction(1, 2), Fraction(3, 2)),
            (Fraction(3, 2), Fraction(5)),
        ):
            expected = theirs.get_clip(start, end)["video"]
            found = ours.get_clip(start, end)["video"]
            assert found.dtype == torch.float32
            torch.testing.assert_close(found, expected, atol=0, rtol=0)
        assert found.max() > 1  # 0-255
    theirs.close()


def test_beyond_the_end_there_are_no_frames(tmp_path):
    with open_video(write_video(tmp_path / "v.mp4", 30)) as video:
        assert clip_numbers(video.get_clip(0.9, float("inf"))["video"]) == [27, 28, 29]
        assert clip_numbers(video.get_clip(-1, 0.05)["video"]) == [0, 1]
        assert video.get_clip(1.0, 2.0) == {"video": None, "audio": None}
        assert video.get_clip(0.5, 0.5) == {"video": None, "audio": None}


def dataset(paths, sampler, **settings):
    found = LabeledVideoDataset(
        [(str(path), {"label": label}) for label, path in enumerate(paths)],
        sampler,
        video_sampler=torch.utils.data.SequentialSampler,
        decode_audio=False,
        **settings,
    )
    found.video_path_handler = VideoPathHandler()
    return found


@pytest.fixture(scope="module")
def two_videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    variable = [i * 40 + (i % 3) * 7 for i in range(70)]
    return [
        write_video(folder / "a.mp4", 60, fps=25),
        write_video(folder / "b.avi", 60, codec="mpeg4", fps=Fraction(30000, 1001)),
        write_video(folder / "c.mkv", 70, pts=variable),
    ]


@pytest.mark.parametrize("use_offset", [True, False])
def test_test_positions_in_a_pytorchvideo_dataset(two_videos, use_offset):
    samples = list(dataset(two_videos, UniformClips(CLIP, 4, use_offset=use_offset)))
    assert [sample["clip_index"] for sample in samples] == [0, 1, 2, 3] * 3
    assert [sample["label"] for sample in samples] == [0] * 4 + [1] * 4 + [2] * 4
    rates = [25, 30000 / 1001, 1000 * 69 / (69 * 40)]
    for sample in samples:
        fps, frames = rates[sample["label"]], 70 if sample["label"] == 2 else 60
        slack = max(frames - 16 * fps / 30, 0)
        step = sample["clip_index"]
        start = step * (slack // 3) if use_offset else slack * step / 4
        numbers = clip_numbers(sample["video"])
        assert numbers == list(range(int(start), int(start + 16 * fps / 30 - 1 + 1e-6) + 1))
        picked = clip_numbers(subsample(sample["video"], 8))
        assert (len(picked), picked[0], picked[-1]) == (8, numbers[0], numbers[-1])
        if use_offset:
            official = sample["video"][:, CLIP.frame_indices(0, fps, len(numbers))]
            assert clip_numbers(official) == CLIP.frame_indices(start, fps, frames).tolist()


def test_random_positions_in_a_pytorchvideo_dataset(two_videos):
    import random

    seen = set()
    for seed in range(8):
        samples = list(dataset(two_videos, RandomClips(CLIP, generator=random.Random(seed))))
        assert len(samples) == 3
        for sample in samples:
            numbers = clip_numbers(sample["video"])
            assert numbers == list(range(numbers[0], numbers[-1] + 1))
            assert 13 <= len(numbers) <= 17
            seen.add(numbers[0])
    assert len(seen) > 8


def test_pytorchvideos_own_samplers_work_on_our_videos(two_videos):
    uniform = dataset(two_videos[:1], UniformClipSampler(Fraction(1)))
    assert [clip_numbers(sample["video"]) for sample in uniform] == [list(range(25)), list(range(25, 50))]
    (sample,) = dataset(two_videos[:1], RandomClipSampler(Fraction(1)))
    assert len(clip_numbers(sample["video"])) == 25


def test_our_samplers_work_on_pytorchvideos_own_videos(two_videos):
    found = dataset(two_videos[:1], UniformClips(CLIP, 2, fps=25))
    found.video_path_handler = pytorchvideo.data.video.VideoPathHandler()
    numbers = [clip_numbers(sample["video"]) for sample in found]
    with open_video(two_videos[0]) as video:
        sampler = UniformClips(CLIP, 2)
        for clip in numbers:
            start, end, *_ = sampler(0, video.duration, {})
            assert clip == clip_numbers(video.get_clip(start, end)["video"])


def test_what_does_not_open_is_left_to_pytorchvideos_retries(tmp_path):
    (tmp_path / "bad.mp4").write_bytes(b"no video" * 100)
    with pytest.raises(RuntimeError, match="Failed to load video"):
        next(dataset([tmp_path / "bad.mp4"] * 12, RandomClips(CLIP)))
    with pytest.raises(VideoError, match=r"bad\.mp4: not a video"):
        VideoPathHandler().video_from_path(tmp_path / "bad.mp4")


def test_workers_need_no_pytorchvideo():
    code = (
        "import sys, mvit_video.data.loading.loader, mvit_video.data.loading.datasets\n"
        "print(sorted({m.split('.')[0] for m in sys.modules} & {'pytorchvideo', 'torchvision', 'pydantic'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_package_itself_imports_nothing_heavy():
    code = (
        "import sys, mvit_video.data\n"
        "print(sorted({m.split('.')[0] for m in sys.modules} & {'torch', 'av', 'numpy', 'pytorchvideo'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_is_there():
    import mvit_video.data

    for name in mvit_video.data.__all__:
        assert getattr(mvit_video.data, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'open_vide'"):
        _ = mvit_video.data.open_vide
