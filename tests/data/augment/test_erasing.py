import math
import pickle

import numpy as np
import pytest
import torch

from mvit_video.data import Erasure, RandomErasing
from mvit_video.data.augment.placements import Box


def drawn(erasing, count, size=(224, 224)):
    generator = np.random.default_rng(0)
    return [erasing.draw(generator, 16, *size) for _ in range(count)]


def test_a_share_of_clips_is_erased():
    erased = [erasure is not None for erasure in drawn(RandomErasing(0.25), 2000)]
    assert sum(erased) == pytest.approx(500, abs=60)
    assert drawn(RandomErasing(0.0), 50) == [None] * 50
    assert None not in drawn(RandomErasing(1.0), 50)


def test_boxes_have_the_official_areas_and_aspects():
    boxes = [box for erasure in drawn(RandomErasing(1.0), 4000, (2000, 2000)) for box in erasure.boxes]
    assert len(boxes) == 4000
    for box in boxes:
        assert 0 <= box.top <= 2000 - box.height
        assert 0 <= box.left <= 2000 - box.width
    areas = [box.height * box.width / 2000**2 for box in boxes]
    assert np.quantile(areas, [0, 0.5, 1]) == pytest.approx([0.02, (0.02 + 1 / 3) / 2, 1 / 3], abs=0.01)
    logs = np.log([box.height / box.width for box in boxes])
    extreme = math.log(1 / 0.3)
    assert np.quantile(logs, [0, 0.25, 0.5, 0.75, 1]) == pytest.approx(
        [-extreme, -extreme / 2, 0, extreme / 2, extreme], abs=0.06
    )


def test_several_boxes_share_the_area():
    erasures = drawn(RandomErasing(1.0, count=3), 600, (500, 500))
    counts = [len(erasure.boxes) for erasure in erasures]
    assert [counts.count(number) for number in (1, 2, 3)] == pytest.approx([200] * 3, abs=50)
    for erasure in erasures:
        for box in erasure.boxes:
            assert box.height * box.width <= 500**2 / 3 / len(erasure.boxes) + 1000


def test_in_a_picture_too_small_for_any_box_nothing_is_erased():
    assert drawn(RandomErasing(1.0), 20, (1, 1)) == [None] * 20


def test_one_box_of_all_frames_becomes_noise_and_nothing_else_changes():
    erasure = Erasure((Box(20, 30, 40, 50),), "pixel", 7)
    clip = torch.full((3, 8, 100, 100), 9.0)
    erasure.apply_(clip)
    inside = clip[:, :, 20:60, 30:80].clone()
    assert inside.mean() == pytest.approx(0, abs=0.02)
    assert inside.std() == pytest.approx(1, abs=0.02)
    assert (inside[:, 0] != inside[:, 1]).all()  # new noise in every frame
    assert (inside[0] != inside[1]).all()
    clip[:, :, 20:60, 30:80] = 9.0
    assert (clip == 9.0).all()


def test_one_colour_per_box_and_frame():
    clip = torch.full((3, 8, 60, 60), 9.0)
    Erasure((Box(0, 0, 10, 10), Box(30, 30, 20, 20)), "rand", 7).apply_(clip)
    colours = torch.cat([clip[:, :, 0, 0].flatten(), clip[:, :, 30, 30].flatten()])
    assert len(colours.unique()) == 48
    assert torch.equal(clip[:, :, :10, :10], clip[:, :, :1, :1].expand(3, 8, 10, 10))
    assert torch.equal(clip[:, :, 30:50, 30:50], clip[:, :, 30:31, 30:31].expand(3, 8, 20, 20))


def test_zeros():
    clip = torch.full((3, 2, 20, 20), 9.0)
    Erasure((Box(5, 5, 10, 10),), "const", 7).apply_(clip)
    assert (clip == 0).sum() == 3 * 2 * 100


def test_the_same_again_from_its_seed_and_after_a_journey_between_processes():
    erasure = drawn(RandomErasing(1.0), 1)[0]
    clips = [torch.zeros(3, 4, 224, 224) for _ in range(3)]
    erasure.apply_(clips[0])
    pickle.loads(pickle.dumps(erasure)).apply_(clips[1])
    Erasure(erasure.boxes, erasure.mode, erasure.seed + 1).apply_(clips[2])
    assert torch.equal(clips[0], clips[1])
    assert not torch.equal(clips[0], clips[2])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"prob": 1.5}, r"prob is 1\.5, expected a probability, 0 to 1"),
        ({"prob": 1, "mode": "noise"}, "mode is 'noise', expected 'pixel', 'rand' or 'const'"),
        ({"prob": 1, "count": 0}, "count is 0, expected 1 or more boxes"),
    ],
)
def test_settings_that_cannot_be(settings, message):
    with pytest.raises(ValueError, match=message):
        RandomErasing(**settings)
