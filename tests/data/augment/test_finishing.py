import pytest
import torch

from mvit_video.data import Erasure, Mix, finish_batch, normalise
from mvit_video.data.augment.placements import Box

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
LOOK = {"mean": MEAN, "std": STD}


def some_clips(number=4):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (number, 3, 5, 16, 16), dtype=torch.uint8, generator=generator)


def test_without_anything_to_do_clips_are_normalised():
    clips = some_clips()
    assert torch.equal(finish_batch(clips, **LOOK), normalise(clips, MEAN, STD))


def test_normalised_then_erased_then_mixed():
    clips = some_clips()
    erasure = Erasure((Box(2, 3, 6, 5),), "pixel", 11)
    mixes = [Mix(0.25), Mix(0.5, Box(0, 0, 8, 16))]
    found = finish_batch(clips, **LOOK, erasures=[None, erasure, None, None], mixes=mixes, group_size=2)
    expected = normalise(clips, MEAN, STD)
    erasure.apply_(expected[1])
    first, second, third, fourth = expected.clone()
    torch.testing.assert_close(found[0], 0.25 * first + 0.75 * second)
    torch.testing.assert_close(found[1], 0.25 * second + 0.75 * first)
    assert torch.equal(found[2, ..., :8, :], fourth[..., :8, :])
    assert torch.equal(found[3, ..., :8, :], third[..., :8, :])
    assert torch.equal(found[2:, ..., 8:, :], expected[2:, ..., 8:, :])
    assert found.dtype == torch.float32


def test_the_layout_of_the_clips_changes_nothing():
    clips = some_clips()
    settings = {
        **LOOK,
        "erasures": [Erasure((Box(2, 3, 6, 5),), mode, 5) for mode in ("pixel", "rand", "const", "pixel")],
        "mixes": [Mix(0.3), Mix(0.5, Box(1, 1, 4, 4))],
        "group_size": 2,
    }
    planar = finish_batch(clips, **settings)
    channels_last = clips.permute(0, 2, 3, 4, 1).contiguous().permute(0, 4, 1, 2, 3)
    assert torch.equal(finish_batch(channels_last, **settings), planar)


def test_a_part_of_the_batch_is_finished_as_in_the_whole():
    clips = some_clips(6)
    erasures = [Erasure((Box(2, 3, 6, 5),), "pixel", seed) for seed in range(6)]
    mixes = [Mix(0.3), Mix(0.6), Mix(0.9)]
    whole = finish_batch(clips, **LOOK, erasures=erasures, mixes=mixes, group_size=2)
    part = finish_batch(clips[2:], **LOOK, erasures=erasures[2:], mixes=mixes[1:], group_size=2)
    assert torch.equal(whole[2:], part)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"erasures": [None]}, "there are 1 erasures, expected 4, one per clip"),
        ({"mixes": [Mix()], "group_size": 2}, "there are 1 mixes of 2 clips each, expected 4 clips in all"),
    ],
)
def test_what_does_not_fit_the_batch(settings, message):
    with pytest.raises(ValueError, match=message):
        finish_batch(some_clips(), **LOOK, **settings)
