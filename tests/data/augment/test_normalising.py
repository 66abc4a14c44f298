import pytest
import torch

from mvit_video.data import normalise, subsample


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
