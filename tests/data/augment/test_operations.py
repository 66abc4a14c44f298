"""Every operation against PIL, called as timm calls it, on real pictures."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.real_clips import real_frames
from PIL import Image
from timm.data import auto_augment

from mvit_video.data import RandAugment
from mvit_video.data.augment.operation import GEOMETRIC, Operation
from mvit_video.data.augment.operations import apply_operations
from mvit_video.data.augment.placements import Box

FILL = (128, 128, 128)
SAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}

# Ours -> timm's.
THEIRS = {
    "auto_contrast": auto_augment.auto_contrast,
    "equalize": auto_augment.equalize,
    "invert": auto_augment.invert,
    "posterize": auto_augment.posterize,
    "solarize": auto_augment.solarize,
    "solarize_add": auto_augment.solarize_add,
    "colour": auto_augment.color,
    "contrast": auto_augment.contrast,
    "brightness": auto_augment.brightness,
    "sharpness": auto_augment.sharpness,
    "rotate": auto_augment.rotate,
    "shear_x": auto_augment.shear_x,
    "shear_y": auto_augment.shear_y,
    "translate_x": auto_augment.translate_x_rel,
    "translate_y": auto_augment.translate_y_rel,
}
TABLES_AND_BLENDS = {
    "auto_contrast": [0],
    "equalize": [0],
    "invert": [0],
    "posterize": [1, 2, 3, 4, 7, 8],
    "solarize": [0, 1, 77, 128, 255, 256],
    "solarize_add": [0, 1, 40, 77, 110, 128],
    "colour": [0.0, 0.1, 0.37, 0.63, 1.0, 1.37, 1.63, 1.9],
    "contrast": [0.0, 0.1, 0.37, 0.63, 1.0, 1.37, 1.63, 1.9],
    "brightness": [0.0, 0.1, 0.37, 0.63, 1.0, 1.37, 1.63, 1.9],
    "sharpness": [0.0, 0.1, 0.37, 0.63, 1.0, 1.37, 1.63, 1.9],
}
MOVES = {
    "rotate": [-30, -21, -7.3, -0.1, 0, 3, 21, 30, 90, 180],
    "shear_x": [-0.3, -0.21, -0.013, 0, 0.1, 0.21, 0.3],
    "shear_y": [-0.3, -0.21, -0.013, 0, 0.1, 0.21, 0.3],
    "translate_x": [-0.45, -0.315, -0.013, 0, 0.1, 0.315, 0.45],
    "translate_y": [-0.45, -0.315, -0.013, 0, 0.1, 0.315, 0.45],
}
SETS = {
    "real": real_frames(3, height=256, width=340),
    "real, odd and upright": real_frames(2, height=271, width=135),
    "noise": np.random.default_rng(0).integers(0, 256, (2, 33, 47, 3), dtype=np.uint8),
    "narrow values": np.random.default_rng(1).integers(90, 140, (2, 40, 30, 3), dtype=np.uint8),
    "one colour": np.full((2, 20, 30, 3), (200, 3, 77), np.uint8),
    "black and white": np.full((2, 20, 30, 3), 255, np.uint8)
    * (np.arange(20)[:, None, None] > 9).astype(np.uint8),
}


def ours(name, value, frames_THWC, interpolation="bicubic"):
    found = apply_operations([Operation(name, value, interpolation)], frames_THWC)
    assert found.dtype == np.uint8
    return found.astype(int)


def theirs(name, value, frames_THWC, interpolation="bicubic"):
    values = [] if name in ("auto_contrast", "equalize", "invert") else [value]
    pictures = [
        THEIRS[name](Image.fromarray(frame), *values, fillcolor=FILL, resample=SAMPLING[interpolation])
        for frame in frames_THWC
    ]
    return np.stack([np.asarray(picture) for picture in pictures]).astype(int)


@pytest.mark.parametrize("frames", SETS.values(), ids=SETS.keys())
@pytest.mark.parametrize("name", TABLES_AND_BLENDS)
def test_values_are_changed_exactly_as_pil_does(name, frames):
    for value in TABLES_AND_BLENDS[name]:
        np.testing.assert_array_equal(ours(name, value, frames), theirs(name, value, frames), f"{value}")


@pytest.mark.parametrize("interpolation", SAMPLING)
@pytest.mark.parametrize("frames", SETS.values(), ids=SETS.keys())
@pytest.mark.parametrize("name", MOVES)
def test_pixels_are_moved_as_pil_does(name, frames, interpolation):
    for value in MOVES[name]:
        found = ours(name, value, frames, interpolation)
        difference = np.abs(found - theirs(name, value, frames, interpolation))
        assert difference.max() <= 1, value
        assert (difference > 0).mean() < 0.05, value


@settings(deadline=None, max_examples=150)
@given(
    name=st.sampled_from([*TABLES_AND_BLENDS, *MOVES]),
    strength=st.floats(-1, 1),
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    interpolation=st.sampled_from([*SAMPLING]),
    seed=st.integers(0, 2**32),
)
def test_any_strength_and_size(name, strength, height, width, interpolation, seed):
    choices = (MOVES | TABLES_AND_BLENDS)[name]
    low, high = min(choices), max(choices)
    value = low + (strength + 1) / 2 * (high - low)
    if isinstance(choices[-1], int) and name in TABLES_AND_BLENDS:
        value = round(value)
    frames = np.random.default_rng(seed).integers(0, 256, (2, height, width, 3), dtype=np.uint8)
    difference = np.abs(ours(name, value, frames, interpolation) - theirs(name, value, frames, interpolation))
    assert difference.max() <= (1 if name in GEOMETRIC else 0)


def test_what_comes_from_outside_is_grey():
    frames = np.zeros((1, 20, 40, 3), np.uint8)
    found = ours("translate_x", 0.25, frames)[0]
    assert (found[:, :30] == 0).all()
    assert (found[:, 30:] == 128).all()


def test_operations_follow_one_another_and_leave_their_input_alone():
    frames = SETS["noise"]
    before = frames.copy()
    found = apply_operations([Operation("solarize_add", 40), Operation("invert")], frames)
    expected = theirs("invert", 0, theirs("solarize_add", 40, frames).astype(np.uint8))
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(apply_operations([], list(frames)), before)
    np.testing.assert_array_equal(frames, before)


@settings(deadline=None, max_examples=200)
@given(
    seed=st.integers(0, 2**32),
    count=st.integers(0, 5),
    height=st.integers(1, 50),
    width=st.integers(1, 50),
    data=st.data(),
)
def test_a_part_is_made_as_in_the_whole(seed, count, height, width, data):
    tall, wide = data.draw(st.integers(1, height)), data.draw(st.integers(1, width))
    box = Box(data.draw(st.integers(0, height - tall)), data.draw(st.integers(0, width - wide)), tall, wide)
    generator = np.random.default_rng(seed)
    changes = RandAugment(10, count, prob=1, magnitude_std=5, increasing=True, interpolation="random")
    operations = changes.draw(generator)
    frames = generator.integers(0, 256, (2, height, width, 3), dtype=np.uint8)
    whole = apply_operations(operations, frames)
    part = apply_operations(operations, frames, box)
    np.testing.assert_array_equal(
        part, whole[:, box.top : box.top + box.height, box.left : box.left + box.width]
    )


def test_no_bits_left_is_black():
    assert (ours("posterize", 0, SETS["noise"]) == 0).all()


def test_each_frame_has_its_own_contrast():
    dark, light = np.full((4, 4, 3), 10, np.uint8), np.full((4, 4, 3), 200, np.uint8)
    found = ours("contrast", 0.1, np.stack([dark, light]))
    assert (found[0] == 10).all()
    assert (found[1] == 200).all()


def test_operations_that_do_not_exist():
    with pytest.raises(ValueError, match=r"there is no operation 'blur', expected one of auto_contrast, .*"):
        apply_operations([Operation("blur")], SETS["noise"])
