import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvit_video.data.sampling.clips import ClipSpec, Duration, uniform_start

FACTS = json.loads((Path(__file__).parents[2] / "golden/views/sampling.json").read_text())
FPS = st.one_of(
    st.sampled_from(
        (12.5, 15.0, 23.976, 24000 / 1001, 25.0, 29.97, 30000 / 1001, 30.0, 59.94, 60000 / 1001, 60.0)
    ),
    st.floats(0.1, 240),
)
LENGTHS = st.one_of(st.integers(1, 600), st.integers(1, 2**40))


@pytest.mark.parametrize("fact", FACTS["clip_start_end"])
def test_test_clips_start_where_the_official_code_starts_them(fact):
    slack = max(fact["video_size"] - fact["clip_size"], 0)
    start = uniform_start(fact["clip_idx"], fact["num_clips"], slack, use_offset=fact["use_offset"])
    assert [start, start + fact["clip_size"] - 1] == pytest.approx(fact["start_end"], abs=1e-9)


@pytest.mark.parametrize("fact", FACTS["temporal_sampling"])
def test_frames_are_the_official_ones(fact):
    fps = 30 * (fact["end"] - fact["start"] + 1) / 64
    clip = ClipSpec(fact["num_samples"], 4)
    assert clip.frame_indices(fact["start"], fps, fact["num_decoded"]).tolist() == fact["index"]


def test_16x4_is_not_every_fourth_frame():
    indices = ClipSpec(16, 4).frame_indices(0, 30.0, 300)
    assert indices.tolist() == [0, 4, 8, 12, 16, 21, 25, 29, 33, 37, 42, 46, 50, 54, 58, 63]


def test_clip_size_follows_the_frame_rate_and_is_at_least_one_frame():
    assert ClipSpec(16, 4).size(30) == 64
    assert ClipSpec(16, 4).size(25) == pytest.approx(53 + 1 / 3)
    assert ClipSpec(16, 4, target_fps=15).size(30) == 128
    assert ClipSpec(1, 1).size(10) == 1
    assert ClipSpec(16, 4).seconds == pytest.approx(64 / 30)


@settings(deadline=None)
@given(
    num_frames=st.integers(1, 64),
    rate=st.integers(1, 8),
    fps=FPS,
    video_frames=LENGTHS,
    position=st.floats(0, 1, exclude_max=True),
)
def test_random_clips_lie_in_the_video_and_span_the_clip(num_frames, rate, fps, video_frames, position):
    clip = ClipSpec(num_frames, rate)
    start = clip.random_start(position, video_frames, fps)
    indices = clip.frame_indices(start, fps, video_frames)
    assert indices.dtype == np.int64
    assert len(indices) == num_frames
    assert indices.min() >= 0
    assert indices.max() <= video_frames - 1
    assert (np.diff(indices) >= 0).all()
    assert indices[-1] - indices[0] <= clip.size(fps)
    if video_frames >= clip.size(fps) and num_frames > 1:
        assert indices[-1] - indices[0] >= int(clip.size(fps) - 1)
    assert (indices == clip.frame_indices(start, fps, video_frames)).all()
    assert (indices == clip.train_indices(np.array([position]), video_frames, fps)).all()


@settings(deadline=None)
@given(num_frames=st.integers(1, 64), rate=st.integers(1, 8), fps=FPS, start=st.integers(0, 2**40))
def test_a_clip_is_the_same_anywhere_in_a_video(num_frames, rate, fps, start):
    clip = ClipSpec(num_frames, rate)
    assert (clip.frame_indices(start, fps, 2**41) - start == clip.frame_indices(0, fps, 2**41)).all()


@settings(deadline=None)
@given(fps=FPS, video_frames=LENGTHS, jitter=st.floats(0.1, 30), seed=st.integers(0, 2**32))
def test_jitter_shortens_clips_by_up_to_its_share(fps, video_frames, jitter, seed):
    clip, plain = ClipSpec(16, 4, jitter_fps=jitter), ClipSpec(16, 4)
    draw = clip.draw(np.random.default_rng(seed))
    found = clip.train_indices(draw, video_frames, fps)
    assert (found >= 0).all()
    assert (found < video_frames).all()
    assert (np.diff(found) >= 0).all()
    # By the rule itself: the target rate is 30 + jitter * u.
    size = max(1.0, 64 / (30 + jitter * draw[1]) * fps)
    assert found[-1] - found[0] <= size
    if video_frames > plain.size(fps):
        assert found[-1] - found[0] >= int(size - 1 - 1e-4 * size)
        assert found[0] == int(draw[0] * (video_frames - size))


def test_draws_do_not_depend_on_the_video():
    for clip, size in ((ClipSpec(16, 4), 1), (ClipSpec(16, 4, jitter_fps=2.0), 2)):
        left, right = np.random.default_rng(5), np.random.default_rng(5)
        draw = clip.draw(left)
        assert draw.tolist() == right.random(size).tolist()
        assert left.random() == right.random()  # what is drawn next is the same too
        starts = [clip.train_indices(draw, frames, 30)[0] for frames in (1064, 10064)]
        assert starts == [int(draw[0] * (frames - clip_frames(clip, draw))) for frames in (1064, 10064)]


def clip_frames(clip, draw):
    return 64 / (1 + clip.jitter_fps * draw[-1] / 30)


@pytest.mark.parametrize("frames", [1, 2, 5, 15, 16])
def test_training_clips_of_short_videos_are_the_whole_video(frames):
    clip = ClipSpec(8, 2)
    expected = [min(int(15 * i / 7 + 1e-4), frames - 1) for i in range(8)]
    for seed in range(5):
        draw = clip.draw(np.random.default_rng(seed))
        assert clip.train_indices(draw, frames, 30).tolist() == expected


def test_every_start_is_equally_likely():
    clip, generator = ClipSpec(8, 2), np.random.default_rng(0)
    starts = [int(clip.train_indices(clip.draw(generator), 26, 30)[0]) for _ in range(4000)]
    counts = np.bincount(starts)
    assert len(counts) == 10  # slack 10: starts 0 to 9.99
    assert counts == pytest.approx(np.full(10, 400), rel=0.2)


@settings(deadline=None)
@given(
    num_clips=st.integers(1, 12),
    fps=FPS,
    video_frames=LENGTHS,
    use_offset=st.booleans(),
)
def test_uniform_clips_are_in_order_and_in_the_video(num_clips, fps, video_frames, use_offset):
    clip = ClipSpec(16, 4)
    slack = clip.slack(video_frames, fps)
    starts = [uniform_start(i, num_clips, slack, use_offset=use_offset) for i in range(num_clips)]
    assert starts == sorted(starts)
    assert starts[0] >= 0
    assert starts[-1] <= slack
    if use_offset:
        assert all(start == int(start) for start in starts)
        if num_clips > 1:
            assert slack - starts[-1] < num_clips  # reaches the end, but for the rounding of the steps
    else:
        assert starts[-1] < slack or slack == 0


def test_short_videos_repeat_the_last_frame():
    indices = ClipSpec(8, 4).frame_indices(0, 30.0, 5)
    assert indices.tolist() == [0, 4, 4, 4, 4, 4, 4, 4]
    assert ClipSpec(8, 4).slack(5, 30.0) == 0


def test_a_duration_remembers_frames_and_rate():
    import pickle

    duration = pickle.loads(pickle.dumps(Duration(100, Fraction(30000, 1001))))
    assert duration == pytest.approx(100 * 1001 / 30000)
    assert (duration.num_frames, duration.frame_rate) == (100, Fraction(30000, 1001))


@pytest.mark.parametrize("field", ["num_frames", "sampling_rate", "target_fps"])
def test_a_clip_needs_positive_numbers(field):
    with pytest.raises(ValueError, match=f"{field} is 0, expected more than 0"):
        ClipSpec(**({"num_frames": 16, "sampling_rate": 4} | {field: 0}))
    with pytest.raises(ValueError, match="target_fps is nan, expected more than 0"):
        ClipSpec(16, 4, target_fps=float("nan"))
    with pytest.raises(ValueError, match=r"jitter_fps is -1\.0, expected 0 or more"):
        ClipSpec(16, 4, jitter_fps=-1.0)
    with pytest.raises(ValueError, match="video_frames is 0, expected at least 1"):
        ClipSpec(16, 4).frame_indices(0, 30, 0)


def test_a_clip_beyond_the_last_is_an_error():
    with pytest.raises(ValueError, match="clip 5 was asked for, but there are 5"):
        uniform_start(5, 5, 10, use_offset=True)
