import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvit_video.data.sampling.clips import ClipSpec, Duration, uniform_start

FACTS = json.loads((Path(__file__).parents[2] / "golden/views/sampling.json").read_text())
FPS = (12.5, 15.0, 23.976, 24.0, 25.0, 29.97, 30.0, 50.0, 60.0)


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
    fps=st.sampled_from(FPS),
    video_frames=st.integers(1, 600),
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


@settings(deadline=None)
@given(
    num_clips=st.integers(1, 12),
    fps=st.sampled_from(FPS),
    video_frames=st.integers(1, 600),
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


def test_a_clip_beyond_the_last_is_an_error():
    with pytest.raises(ValueError, match="clip 5 was asked for, but there are 5"):
        uniform_start(5, 5, 10, use_offset=True)
