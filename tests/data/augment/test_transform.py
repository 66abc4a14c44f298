import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mvit_video.data import RandAugment, TrainTransform
from mvit_video.data.augment.operations import apply_operations
from mvit_video.data.augment.placements import Box, Placement
from mvit_video.data.augment.resampling import Resampler


def picture(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


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


def test_short_sides_whose_inverse_is_uniform():
    transform = TrainTransform(32, (50, 200), area=None, aspect=None, inverse_uniform=True)
    generator = np.random.default_rng(0)
    sides = np.array([transform.draw(300, 400, generator).scaled[0] for _ in range(4000)])
    inverse = np.quantile(1 / sides, [0, 0.25, 0.5, 0.75, 1])
    assert inverse == pytest.approx([0.005, 0.00875, 0.0125, 0.01625, 0.02], rel=0.03)


def test_pictures_are_scaled_down_changed_then_cut():
    frames = [picture(120, 90, seed) for seed in range(3)]
    changes = RandAugment(9, 3, prob=1, increasing=True)
    transform = TrainTransform(32, (60, 80), rand_augment=changes)
    found = transform(frames, np.random.default_rng(5))
    generator = np.random.default_rng(5)
    operations = changes.draw(generator)
    assert len(operations) == 3
    whole = Resampler(Placement(Box(0, 0, 120, 90), (80, 60), Box(0, 0, 80, 60)))
    changed_THWC = apply_operations(operations, [whole(frame).numpy() for frame in frames])
    resampler = Resampler(transform.draw(80, 60, generator))
    expected = torch.stack([resampler(frame) for frame in changed_THWC]).permute(3, 0, 1, 2)
    assert torch.equal(found, expected)


def test_small_pictures_are_not_enlarged_before_they_are_changed():
    frames = [picture(40, 50)] * 2
    transform = TrainTransform(32, (60, 80), rand_augment=RandAugment(prob=0), flip=False)
    plain = TrainTransform(32, (60, 80), flip=False)
    generators = np.random.default_rng(1), np.random.default_rng(1)
    transform.draw_operations(generators[1])
    assert torch.equal(transform(frames, generators[0]), plain(frames, generators[1]))


@pytest.mark.parametrize(
    "transform",
    [
        TrainTransform(32),
        TrainTransform(32, colour_jitter=0.4),
        TrainTransform(32, rand_augment=RandAugment.parse("rand-m7-n4-mstd0.5-inc1")),
    ],
)
def test_several_clips_of_the_same_frames_are_each_what_it_would_be_alone(transform):
    frames = np.stack([picture(60, 80, seed) for seed in range(3)])
    before = frames.copy()
    clips = transform.clips(frames, [np.random.default_rng(seed) for seed in (1, 2, 3)])
    for seed, clip in zip((1, 2, 3), clips, strict=True):
        assert torch.equal(clip, transform(frames, np.random.default_rng(seed)))
        assert clip.permute(1, 2, 3, 0).is_contiguous()
    assert not torch.equal(clips[0], clips[1])
    np.testing.assert_array_equal(frames, before)


def test_rand_augment_replaces_colour_jitter_as_officially():
    changes = RandAugment.parse("rand-m7-n4-mstd0.5-inc1")
    both = TrainTransform(32, rand_augment=changes, colour_jitter=0.4)
    alone = TrainTransform(32, rand_augment=changes)
    frames = [picture(60, 80)]
    for seed in range(5):
        generators = [np.random.default_rng(seed) for _ in range(2)]
        assert torch.equal(both(frames, generators[0]), alone(frames, generators[1]))


def test_colour_jitter_of_nothing_is_nothing():
    frames = [picture(60, 80)]
    found = TrainTransform(32, colour_jitter=0.0)(frames, np.random.default_rng(0))
    assert torch.equal(found, TrainTransform(32)(frames, np.random.default_rng(0)))


def test_colour_jitter_that_cannot_be():
    with pytest.raises(ValueError, match=r"colour_jitter is -0\.4, expected 0 or more"):
        TrainTransform(32, colour_jitter=-0.4)
