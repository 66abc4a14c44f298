"""PyTorchVideo's clip samplers inside our datasets: the frames that its own dataset would give."""

import pickle
import random
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.videos import read_numbers, write_video
from pytorchvideo.data import LabeledVideoDataset, make_clip_sampler
from pytorchvideo.data.clip_sampling import ClipInfo, ClipSampler
from torch.utils.data import SequentialSampler

from mvit_video.data import (
    SampledClips,
    SampleKey,
    TestVideos,
    TrainClips,
    TrainLoader,
    TrainTransform,
    VideoPathHandler,
    VideoRecord,
    ViewPlan,
    sampled_views,
)

WHOLE = TrainTransform(64, jitter_scales=(64, 64), area=None, aspect=None, flip=False)  # 64 x 64 as it is
SAMPLERS = {
    "random": ("random", 0.5),
    "uniform": ("uniform", 0.5),
    "uniform with overlap": ("uniform", 0.5, 0.25, True),
    "constant": ("constant_clips_per_video", 0.5, 3),
    "constant, two views each": ("constant_clips_per_video", 0.5, 3, 2),
    "random multi": ("random_multi", 0.5, 4),
}


def numbers(clip_CTHW):
    return read_numbers(clip_CTHW.permute(1, 2, 3, 0).numpy())


def theirs(path, sampler, seed, num_frames):
    """What its dataset gives, after its uniform subsampling: the numbers of T frames per clip."""
    dataset = LabeledVideoDataset([(str(path), {})], sampler, SequentialSampler, decode_audio=False)
    dataset.video_path_handler = VideoPathHandler()
    random.seed(seed)
    clips = []
    for sample in dataset:
        videos = sample["video"] if isinstance(sample["video"], list) else [sample["video"]]
        if isinstance(sample["video"], list) or sample["aug_index"] == 0:
            for video in videos:
                points = torch.linspace(0, video.shape[1] - 1, num_frames)
                clips.append(numbers(video[:, points.clamp(0, video.shape[1] - 1).long()]))
    return clips


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    return [
        write_video(folder / "a.mp4", 60, fps=30),
        write_video(folder / "b.mp4", 52, fps=Fraction(24000, 1001)),
        write_video(folder / "c.mp4", 7, fps=25),
    ]


@pytest.mark.parametrize("kind", SAMPLERS)
def test_test_views_are_the_clips_of_their_dataset(videos, kind):
    plan = sampled_views(make_clip_sampler(*SAMPLERS[kind]), 8, crop_size=64, short_side=64, seed=5)
    samples = TestVideos([VideoRecord(str(path)) for path in videos], plan)
    for index, path in enumerate(videos):
        found = samples[index]
        assert found.error is None
        expected = theirs(path, make_clip_sampler(*SAMPLERS[kind]), 5, 8)
        assert [numbers(view) for view in found.views] == expected
        assert [list(clip.frame_indices) for clip in found.clips] == expected


@pytest.mark.parametrize("kind", SAMPLERS)
def test_training_clips_are_those_of_their_dataset(videos, kind):
    sampling = SampledClips(make_clip_sampler(*SAMPLERS[kind]), 8)
    seen = set()
    for seed in range(4):
        clips = theirs(videos[0], make_clip_sampler(*SAMPLERS[kind]), seed, 8)
        for number in range(4):
            draw = np.array([seed / 2**53, number / 4])
            found = sampling.train_indices(draw, 60, 30.0).tolist()
            assert found == clips[int(number / 4 * len(clips))]
            seen.add(tuple(found))
    assert len(seen) >= 3


def test_a_training_sample_depends_on_its_key_alone(videos):
    records = [VideoRecord(str(path), label) for label, path in enumerate(videos)]
    dataset = TrainClips(records, SampledClips(make_clip_sampler("random", 0.5), 8), WHOLE, seed=3)
    keys = [SampleKey(epoch, index) for epoch in range(5) for index in range(3)]
    random.seed(1)
    expected = [dataset[key].clips for key in keys]
    again = pickle.loads(pickle.dumps(dataset))
    random.seed(2)
    for key, clips in zip(reversed(keys), reversed(expected), strict=True):
        assert torch.equal(again[key].clips, clips)
    assert len({numbers(clips[0])[0] for clips in expected[::3]}) >= 4  # epochs differ
    other = TrainClips(records, dataset.reader.sampling, WHOLE, seed=4)
    assert not all(torch.equal(other[key].clips, clips) for key, clips in zip(keys, expected, strict=True))


@pytest.mark.slow
def test_a_training_batch_is_the_same_in_a_worker(videos):
    records = [VideoRecord(str(path), label) for label, path in enumerate(videos)]
    dataset = TrainClips(records, SampledClips(make_clip_sampler("random", 0.5), 8), WHOLE, seed=3)
    batches = {}
    for num_workers in (0, 1):
        random.seed(num_workers)
        loader = TrainLoader(dataset, batch_size=3, num_workers=num_workers)
        batches[num_workers] = [batch for epoch in range(3) for batch in loader.epoch(epoch)]
    for alone, shared in zip(batches[0], batches[1], strict=True):
        assert alone.indices.tolist() == shared.indices.tolist()
        assert torch.equal(alone.clips, shared.clips)


def test_a_sampler_that_shuffles_everything_is_seeded_too_and_disturbs_nobody():
    class Everywhere(ClipSampler):
        """Draws from all the places that random numbers come from."""

        def __call__(self, last, duration, annotation):
            start = (random.random() + np.random.rand() + float(torch.rand(()))) / 3 * float(duration - 1)
            return ClipInfo(start, start + 1, 0, 0, True)

    sampling = SampledClips(Everywhere(1), 4)
    draws = [sampling.draw(np.random.default_rng(seed)) for seed in range(5)]
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    before = [sampling.train_indices(draw, 3000, 30).tolist() for draw in draws]
    after = (random.random(), np.random.rand(), float(torch.rand(())))
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    assert after == (random.random(), np.random.rand(), float(torch.rand(())))
    assert [sampling.train_indices(draw, 3000, 30).tolist() for draw in draws] == before
    assert len({clip[0] for clip in before}) == 5


@settings(deadline=None, max_examples=60)
@given(
    kind=st.sampled_from(list(SAMPLERS)),
    num_frames=st.integers(1, 32),
    video_frames=st.one_of(st.integers(1, 400), st.integers(1, 20_000)),
    fps=st.one_of(st.sampled_from((23.976, 24000 / 1001, 29.97, 30000 / 1001, 59.94)), st.floats(1, 120)),
    seed=st.integers(0, 2**32),
)
def test_frames_lie_in_the_video_in_order(kind, num_frames, video_frames, fps, seed):
    sampler = make_clip_sampler(*SAMPLERS[kind])
    sampling = SampledClips(sampler, num_frames)
    draw = sampling.draw(np.random.default_rng(seed))
    assert draw.shape == (2,)
    clip = sampling.train_indices(draw, video_frames, fps)
    assert (clip == sampling.train_indices(draw, video_frames, fps)).all()
    views = sampled_views(sampler, num_frames, seed=seed).frame_indices(video_frames, fps)
    assert len(views) >= 1
    for found in (clip, *views):
        assert (found.shape, found.dtype) == ((num_frames,), np.int64)
        assert (np.diff(found) >= 0).all()
        assert found[0] >= 0
        assert found[-1] < video_frames
        assert found[-1] - found[0] <= np.ceil(0.5 * fps)


def test_views_of_a_sampler_are_a_plan():
    plan = sampled_views(make_clip_sampler("uniform", 1.0), 4, crop_size=32, short_side=40, spatial_crops=3)
    assert isinstance(plan, ViewPlan)
    assert (plan.crop_size, plan.short_side, plan.spatial_crops) == (32, 40, 3)
    assert [clip.tolist() for clip in plan.frame_indices(75, 25.0)] == [
        [0, 8, 16, 24],
        [25, 33, 41, 49],
        [50, 58, 66, 74],
    ]
    with pytest.raises(ValueError, match="crop_size is 300, expected 1 to short_side 256"):
        sampled_views(make_clip_sampler("uniform", 1.0), 4, crop_size=300)


def test_a_video_may_have_more_clips_than_frames():
    sampler = make_clip_sampler("uniform", 0.5, 1 / 32)  # 32 clips a second, and a frame in 16 of them
    views = sampled_views(sampler, 1).frame_indices(330, 1.0)
    assert [view.item() for view in views] == [0, *(frame for frame in range(1, 330) for _ in range(16))]


def test_a_sampler_without_a_last_clip_is_an_error():
    class Endless(ClipSampler):
        def __call__(self, last, duration, annotation):
            return ClipInfo(0, 1, 0, 0, False)

    with pytest.raises(ValueError, match="Endless says of no clip that it is the last"):
        SampledClips(Endless(1), 4).train_indices(np.zeros(2), 60, 30)


def test_num_frames_is_checked():
    with pytest.raises(ValueError, match="num_frames is 0, expected more than 0"):
        SampledClips(make_clip_sampler("random", 1.0), 0)
