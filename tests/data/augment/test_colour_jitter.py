import numpy as np
import pytest
from kit.real_clips import real_frames
from PIL import Image
from torchvision.transforms import functional

from mvit_video.data.augment.colour_jitter import draw_colour_jitter
from mvit_video.data.augment.operations import apply_operations

# torchvision's ColorJitter does these to a PIL picture, in the order that it drew.
THEIRS = {
    "brightness": functional.adjust_brightness,
    "contrast": functional.adjust_contrast,
    "colour": functional.adjust_saturation,
}


@pytest.mark.parametrize("strength", [0.1, 0.4, 1.0, 1.5])
def test_pictures_are_torchvisions_of_the_same_draw(strength):
    frames = real_frames(2, height=120, width=161)
    for seed in range(8):
        operations = draw_colour_jitter(strength, np.random.default_rng(seed))
        found = apply_operations(operations, frames)
        for frame, picture in zip(frames, found, strict=True):
            expected = Image.fromarray(frame)
            for operation in operations:
                expected = THEIRS[operation.name](expected, operation.value)
            np.testing.assert_array_equal(picture, np.asarray(expected))


@pytest.mark.parametrize(("strength", "low", "high"), [(0.4, 0.6, 1.4), (1.5, 0.0, 2.5)])
def test_every_order_and_the_whole_range(strength, low, high):
    generator = np.random.default_rng(0)
    draws = [draw_colour_jitter(strength, generator) for _ in range(600)]
    orders = [tuple(operation.name for operation in draw) for draw in draws]
    assert sorted(orders.count(order) for order in set(orders)) == pytest.approx([100] * 6, abs=35)
    for name in THEIRS:
        values = [operation.value for draw in draws for operation in draw if operation.name == name]
        assert np.quantile(values, [0, 0.5, 1]) == pytest.approx([low, (low + high) / 2, high], abs=0.15)
        assert min(values) >= low
        assert max(values) <= high
