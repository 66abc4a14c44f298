import json
from pathlib import Path

import pytest

from mvit_video.data.augment.placements import scale_short_side, uniform_crop_offset

FACTS = json.loads((Path(__file__).parents[2] / "golden/views/sampling.json").read_text())


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
