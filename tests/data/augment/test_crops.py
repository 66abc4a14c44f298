import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mvit_video.data import TrainTransform, normalise, subsample
from mvit_video.data.augment.crops import (
    Box,
    Resampler,
    place_test_crop,
    scale_short_side,
    uniform_crop_offset,
)

FACTS = json.loads((Path(__file__).parents[2] / "golden/views/sampling.json").read_text())
sizes = st.integers(9, 80)


@pytest.mark.parametrize("fact", FACTS["uniform_crop"])
def test_test_crops_lie_where_the_official_ones_do(fact):
    offset = uniform_crop_offset(fact["H"], fact["W"], fact["size"], fact["spatial_idx"])
    assert offset == (fact["y0"], fact["x0"])


@pytest.mark.parametrize("fact", FACTS["short_side"])
def test_the_short_side_is_scaled_as_officially(fact):
    assert list(scale_short_side(fact["H"], fact["W"], fact["short_side"])) == fact["new_hw"]


def test_there_are_three_crops():
    with pytest.raises(ValueError, match="crop is 3, expected 0, 1 or 2"):
        uniform_crop_offset(10, 10, 5, 3)


def picture(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_pixels_that_need_no_scaling_are_copied():
    frame = picture(40, 60)
    placement = place_test_crop(40, 60, short_side=40, crop_size=32, crop=2)
    np.testing.assert_array_equal(Resampler(placement)(frame), frame[4:36, 28:60])


@settings(deadline=None)
@given(height=st.integers(16, 400), width=st.integers(16, 400), seed=st.integers(0, 2**32))
def test_resized_crops_are_inside_and_of_the_asked_area_and_aspect(height, width, seed):
    transform = TrainTransform(32, area=(0.2, 0.9), aspect=(0.75, 4 / 3))
    placement = transform.draw(height, width, np.random.default_rng(seed))
    box = placement.region
    assert box.top >= 0
    assert box.left >= 0
    assert box.top + box.height <= height
    assert box.left + box.width <= width
    assert placement.scaled == (32, 32)
    assert placement.window == Box(0, 0, 32, 32)
    if 0.75 <= width / height <= 4 / 3:  # else the central fallback may be used
        assert 0.75 - 2 / box.height <= box.width / box.height <= 4 / 3 + 2 / box.height
        assert 0.15 * height * width - 40 <= box.height * box.width <= height * width
    assert placement == transform.draw(height, width, np.random.default_rng(seed))


def test_area_is_uniform_and_aspect_log_uniform():
    transform = TrainTransform(32, area=(0.1, 0.5), aspect=(0.5, 2.0))
    generator = np.random.default_rng(0)
    boxes = [transform.draw(1000, 1000, generator).region for _ in range(4000)]
    areas = np.array([box.height * box.width for box in boxes]) / 1e6
    logs = np.log([box.width / box.height for box in boxes])
    assert np.quantile(areas, [0, 0.25, 0.5, 0.75, 1]) == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5], abs=0.012)
    expected = np.array([-1, -0.5, 0, 0.5, 1]) * math.log(2)
    assert np.quantile(logs, [0, 0.25, 0.5, 0.75, 1]) == pytest.approx(expected, abs=0.04)


@pytest.mark.parametrize(
    ("height", "width", "region"),
    [(100, 20, Box(36, 0, 27, 20)), (20, 100, Box(0, 36, 20, 27)), (50, 60, Box(0, 0, 50, 60))],
)
def test_what_never_fits_falls_back_to_the_centre(height, width, region):
    transform = TrainTransform(32, area=(4.0, 9.0), aspect=(3 / 4, 4 / 3))
    assert transform.draw(height, width, np.random.default_rng(0)).region == region


@pytest.mark.parametrize("aspect", [(3.0, 4.0), (0.25, 0.3)])
def test_a_single_pixel_can_be_cut_to_any_aspect(aspect):
    transform = TrainTransform(8, area=(0.08, 1.0), aspect=aspect)
    clip = transform([np.full((1, 1, 3), 77, np.uint8)] * 2, np.random.default_rng(0))
    assert clip.shape == (3, 2, 8, 8)
    assert (clip == 77).all()


def test_jittered_crops_reach_every_scale_and_place():
    transform = TrainTransform(32, jitter_scales=(36, 40), area=None, aspect=None, flip=False)
    generator = np.random.default_rng(0)
    drawn = [transform.draw(50, 100, generator) for _ in range(600)]
    assert {placement.scaled[0] for placement in drawn} == {36, 37, 38, 39, 40}
    assert all(placement.scaled[1] == 2 * placement.scaled[0] for placement in drawn)
    smallest = [placement for placement in drawn if placement.scaled[0] == 36]
    assert {placement.window.top for placement in smallest} == {0, 1, 2, 3, 4}
    for placement in drawn:
        assert placement.window.top + 32 <= placement.scaled[0]
        assert placement.window.left + 32 <= placement.scaled[1]
        assert not placement.flip


def test_half_of_the_clips_are_mirrored_and_all_frames_alike():
    transform = TrainTransform(16)
    flips = [transform.draw(20, 20, np.random.default_rng(seed)).flip for seed in range(400)]
    assert 150 < sum(flips) < 250
    seed = flips.index(True)
    frames = [picture(20, 20)] * 3
    plain = TrainTransform(16, flip=False)(frames, np.random.default_rng(seed))
    mirrored = transform(frames, np.random.default_rng(seed))
    assert mirrored.shape == (3, 3, 16, 16)
    assert torch.equal(mirrored, plain.flip(3))
    assert torch.equal(mirrored[:, 0], mirrored[:, 2])


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({"area": None}, "area is None and aspect is .*; give both, or neither"),
        ({"area": (0.5, 0.1)}, "area is .*, expected two ascending numbers above 0"),
        ({"aspect": (0, 1)}, "aspect is .*, expected two ascending numbers above 0"),
        (
            {"area": None, "aspect": None, "jitter_scales": (100, 200)},
            "jitter_scales are 100 to 200, expected ascending, from crop_size 224 up",
        ),
    ],
)
def test_transform_settings_that_cannot_be(settings_, message):
    with pytest.raises(ValueError, match=message):
        TrainTransform(224, **settings_)


def test_normalise():
    clips = torch.randint(0, 256, (2, 3, 4, 5, 6), dtype=torch.uint8)
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    found = normalise(clips, mean, std)
    for colour in range(3):
        expected = (clips[:, colour].double() / 255 - mean[colour]) / std[colour]
        torch.testing.assert_close(found[:, colour].double(), expected, atol=1e-6, rtol=0)
    assert found.dtype == torch.float32
    low = normalise(clips[0], mean, std, dtype=torch.bfloat16)
    assert torch.equal(low, found[0].bfloat16())


@pytest.mark.parametrize("clips", [torch.zeros(3, 2, 4, 4), torch.zeros(2, 4, 4, 3, dtype=torch.uint8)])
def test_normalise_takes_uint8_clips_only(clips):
    with pytest.raises(
        ValueError, match=r"clips are torch\.\w+ \(.*\), expected uint8 \(\.\.\., 3, T, H, W\)"
    ):
        normalise(clips, (0.45,) * 3, (0.225,) * 3)


def test_subsample_spreads_over_the_whole_clip():
    clip = torch.arange(64).view(1, 64, 1, 1)
    assert subsample(clip, 16).flatten().tolist() == [
        0,
        4,
        8,
        12,
        16,
        21,
        25,
        29,
        33,
        37,
        42,
        46,
        50,
        54,
        58,
        63,
    ]
