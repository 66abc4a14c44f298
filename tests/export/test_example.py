"""The example's frames and pictures are the package's, though it shares no line with it."""

import runpy
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from kit.real_clips import real_frames

from mvit_video.data import ViewPlan
from mvit_video.data.augment.placements import place_test_crop
from mvit_video.data.augment.resampling import Resampler

EXAMPLE = runpy.run_path(str(Path(__file__).parents[2] / "examples" / "onnx_predict.py"))


@pytest.mark.parametrize("fps", [30.0, 25.0, 29.97002997002997, 12.5, 60.0])
@pytest.mark.parametrize(
    ("num_frames", "sampling_rate", "clips", "sampling", "offset"),
    [
        (16, 4, 5, "dense", True),
        (16, 4, 5, "dense", False),
        (40, 3, 1, "dense", True),
        (32, 3, 3, "segments", True),
    ],
)
def test_frames(num_frames, sampling_rate, clips, sampling, offset, fps):
    plan = ViewPlan(num_frames, sampling_rate, clips, 1, 224, 256, offset, sampling=sampling)
    for video_frames in (1, 7, 63, 64, 65, 100, 250, 299, 300, 1001, 7919):
        expected = [list(clip) for clip in plan.frame_indices(video_frames, fps)]
        found = [EXAMPLE["frame_indices"](asdict(plan), clip, video_frames, fps) for clip in range(clips)]
        assert found == expected


@pytest.mark.parametrize(("height", "width"), [(272, 480), (272, 200), (240, 240)])
@pytest.mark.parametrize("crop", [0, 1, 2])
def test_pictures(height, width, crop):
    (picture,) = real_frames(1, height=height, width=width)
    expected = Resampler(place_test_crop(height, width, short_side=128, crop_size=112, crop=crop))(picture)
    scaled_CTHW = EXAMPLE["shrink"](picture, 128).transpose(2, 0, 1)[:, None]
    found_HWC = EXAMPLE["cut"](scaled_CTHW, 112, crop)[:, 0].transpose(1, 2, 0)
    assert np.abs(found_HWC.astype(int) - expected.numpy()).max() <= 1
