import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvit_video.data import SegmentSpec, ViewPlan

FACTS = json.loads((Path(__file__).parents[2] / "golden/views/sampling.json").read_text())["ssv2_frames"]
LENGTHS = st.one_of(st.integers(1, 200), st.integers(1, 2**40))


@pytest.mark.parametrize("fact", FACTS)
def test_test_frames_and_training_ranges_are_the_official_ones(fact):
    spec = SegmentSpec(fact["num_frames"])
    assert spec.frame_indices(fact["video_length"]).tolist() == fact["test_index"]
    first, last = spec.bounds(fact["video_length"])
    assert [[int(a), int(b)] for a, b in zip(first, last, strict=True)] == fact["train_ranges"]
    assert spec.train_indices(np.zeros(len(first)), fact["video_length"], 30).tolist() == first.tolist()
    almost_one = np.full(len(first), np.nextafter(1, 0))
    assert spec.train_indices(almost_one, fact["video_length"], 30).tolist() == last.tolist()


def test_halves_are_rounded_to_even():
    # Segments of 2.5 frames: edges 0, 2.5, 5, 7.5, 10.
    first, last = SegmentSpec(4).bounds(11)
    assert (first.tolist(), last.tolist()) == ([0, 2, 5, 8], [2, 5, 8, 10])


def test_training_takes_every_frame_of_a_segment_equally_often():
    spec, generator = SegmentSpec(4), np.random.default_rng(0)
    found = np.stack([spec.train_indices(spec.draw(generator), 11, 12.5) for _ in range(4000)])
    for column, expected in zip(found.T, ([0, 1, 2], [2, 3, 4, 5], [5, 6, 7, 8], [8, 9, 10]), strict=True):
        values, counts = np.unique(column, return_counts=True)
        assert values.tolist() == expected
        assert counts == pytest.approx(np.full(len(expected), 4000 / len(expected)), rel=0.15)


@settings(deadline=None)
@given(num_frames=st.integers(1, 64), video_frames=LENGTHS, seed=st.integers(0, 2**32), fps=st.floats(1, 240))
def test_training_frames_lie_in_their_segments_in_order(num_frames, video_frames, seed, fps):
    spec = SegmentSpec(num_frames)
    draw = spec.draw(np.random.default_rng(seed))
    found = spec.train_indices(draw, video_frames, fps)
    first, last = spec.bounds(video_frames)
    assert (found.shape, found.dtype) == ((num_frames,), np.int64)
    assert (first <= found).all()
    assert (found <= last).all()
    assert (np.diff(found) >= 0).all()
    assert found[0] >= 0
    assert found[-1] < video_frames
    assert (found == spec.train_indices(draw, video_frames, fps)).all()


@settings(deadline=None)
@given(num_frames=st.integers(1, 64), video_frames=LENGTHS)
def test_segments_cover_the_video_and_are_equally_long(num_frames, video_frames):
    first, last = SegmentSpec(num_frames).bounds(video_frames)
    assert (first[0], last[-1]) == (0, video_frames - 1)
    assert (first[1:] == last[:-1]).all()
    if video_frames < 2**40:
        assert np.ptp(last - first) <= 2


@settings(deadline=None)
@given(num_frames=st.integers(1, 64), video_frames=LENGTHS, num_clips=st.integers(1, 12))
def test_several_test_clips_really_differ(num_frames, video_frames, num_clips):
    spec = SegmentSpec(num_frames)
    clips = np.stack([spec.frame_indices(video_frames, clip, num_clips) for clip in range(num_clips)])
    first, last = spec.bounds(video_frames)
    assert (first <= clips).all()
    assert (clips <= last).all()
    assert (np.diff(clips, axis=1) >= 0).all()  # in order within a clip,
    assert (np.diff(clips, axis=0) >= 0).all()  # and from clip to clip
    assert (clips[(num_clips - 1) // 2] == (first + last) // 2).all()
    for segment in np.flatnonzero(last - first + 1 >= num_clips):
        assert len(set(clips[:, segment].tolist())) == num_clips
    for segment in range(num_frames):  # no frame of a segment is taken much more often than another
        counts = np.unique(clips[:, segment], return_counts=True)[1]
        assert np.ptp(counts) <= 1


def test_three_clips_of_a_usual_length():
    # 45 frames: segments of 3 or 4 frames, so three clips share no place.
    clips = [SegmentSpec(16).frame_indices(45, clip, 3).tolist() for clip in range(3)]
    assert clips[0][:6] == [0, 3, 6, 8, 11, 14]
    assert clips[1] == FACTS[0]["test_index"]
    assert clips[2][:6] == [3, 6, 8, 11, 14, 16]


def test_two_clips_of_a_short_video_differ():
    assert [SegmentSpec(4).frame_indices(5, clip, 2).tolist() for clip in range(2)] == [
        [0, 1, 2, 3],
        [1, 2, 3, 4],
    ]


@pytest.mark.parametrize("frames", [1, 2, 5])
def test_videos_shorter_than_the_clip_repeat_frames(frames):
    found = SegmentSpec(8).frame_indices(frames)
    assert found.tolist() == {1: [0] * 8, 2: [0] * 5 + [1] * 3, 5: [0, 0, 1, 2, 2, 2, 3, 4]}[frames]


def test_draws_do_not_depend_on_the_video():
    spec = SegmentSpec(16)
    left, right = np.random.default_rng(5), np.random.default_rng(5)
    draw = spec.draw(left)
    assert (draw == spec.draw(right)).all()
    assert draw.shape == (16,)
    assert left.random() == right.random()  # what is drawn next is the same too
    shares = (spec.train_indices(draw, 1001, 30) - spec.bounds(1001)[0]) / 63
    assert shares == pytest.approx(draw, abs=0.03)  # the same places in a video of another length


def test_a_plan_of_segments():
    plan = ViewPlan(16, 4, 3, 3, 224, 224, sampling="segments")
    assert plan.num_views == 9
    found = plan.frame_indices(45, 12.0)
    assert [clip.tolist() for clip in found] == [
        SegmentSpec(16).frame_indices(45, i, 3).tolist() for i in range(3)
    ]
    assert plan.window_indices(30).tolist() == SegmentSpec(16).frame_indices(64).tolist()
    assert plan.window_indices(15).tolist() == SegmentSpec(16).frame_indices(32).tolist()


def test_what_cannot_be():
    with pytest.raises(ValueError, match="num_frames is 0, expected more than 0"):
        SegmentSpec(0)
    with pytest.raises(ValueError, match="clip 2 was asked for, but there are 2"):
        SegmentSpec(4).frame_indices(10, 2, 2)
    with pytest.raises(ValueError, match="video_frames is 0, expected at least 1"):
        SegmentSpec(4).frame_indices(0)
    with pytest.raises(ValueError, match="sampling is 'tsn', expected dense or segments"):
        ViewPlan(16, 4, 1, 1, 224, 224, sampling="tsn")
