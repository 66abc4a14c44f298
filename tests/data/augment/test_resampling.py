import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from mvit_video.data.augment import resampling
from mvit_video.data.augment.placements import Box, Placement, place_test_crop
from mvit_video.data.augment.resampling import Resampler


def exact(frame, placement):
    """The window in float64, out of torch's interpolation of the whole region."""
    region, window = placement.region, placement.window
    part = frame[region.top : region.top + region.height, region.left : region.left + region.width]
    pixels = torch.from_numpy(part).permute(2, 0, 1)[None].double()
    scaled = F.interpolate(pixels, placement.scaled, mode="bilinear", align_corners=False)[0].permute(1, 2, 0)
    found = scaled[window.top : window.top + window.height, window.left : window.left + window.width]
    return found.flip(1) if placement.flip else found


@st.composite
def within(draw, length):
    """A (first, count) inside ``length``."""
    count = draw(st.integers(1, length))
    return draw(st.integers(0, length - count)), count


@st.composite
def cases(draw):
    height, width = draw(st.integers(1, 90)), draw(st.integers(1, 90))
    (top, tall), (left, wide) = draw(within(height)), draw(within(width))
    scaled = draw(st.integers(1, 120)), draw(st.integers(1, 120))
    rows, columns = draw(within(scaled[0])), draw(within(scaled[1]))
    window = Box(rows[0], columns[0], rows[1], columns[1])
    return (height, width), Placement(Box(top, left, tall, wide), scaled, window, draw(st.booleans()))


def noise(height, width):
    return np.random.default_rng(height * 1000 + width).integers(0, 256, (height, width, 3), np.uint8)


@given(cases())
@settings(max_examples=300, deadline=None)
def test_any_window_of_any_region_is_within_1_of_255_of_the_exact_picture(case):
    size, placement = case
    found = Resampler(placement)(noise(*size))
    assert found.dtype == torch.uint8
    assert found.shape == (placement.window.height, placement.window.width, 3)
    # 1.01: the kernel's weights have 14 to 15 bits.
    assert float((found.double() - exact(noise(*size), placement)).abs().max()) <= 1.01


@given(cases())
@settings(max_examples=150, deadline=None)
def test_in_float_it_is_the_exact_picture_rounded(case):
    size, placement = case
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resampling, "_has_fixed_point", lambda: False)
        found = Resampler(placement)(noise(*size))
    assert float((found.double() - exact(noise(*size), placement)).abs().max()) <= 0.501


@pytest.mark.parametrize("has_fixed_point", [True, False])
@given(case=cases(), count=st.integers(1, 3))
@settings(max_examples=100, deadline=None)
def test_pictures_come_out_together_as_they_do_alone(has_fixed_point, case, count):
    size, placement = case
    pictures = [np.roll(noise(*size), number, axis=2) for number in range(count)]
    with pytest.MonkeyPatch.context() as patch:
        if not has_fixed_point:
            patch.setattr(resampling, "_has_fixed_point", lambda: False)
        resampler = Resampler(placement)
    found = resampler.of_parts(np.stack([resampler.part_of(picture) for picture in pictures]))
    assert found.shape == (count, placement.window.height, placement.window.width, 3)
    for picture, window in zip(pictures, found, strict=True):
        assert float((window.double() - exact(picture, placement)).abs().max()) <= 1.01


def test_a_centre_crop_reads_and_makes_little_more_than_it_keeps():
    placement = place_test_crop(720, 1280, short_side=256, crop_size=224, crop=1)
    columns = resampling._span(1280, 455, placement.window.left, 224)
    assert columns.start > 200
    assert columns.total < 260
