import json
from pathlib import Path

import numpy as np
import pytest
import torch

from mvit_video.models.positions import resize_positions, separate_positions
from mvit_video.models.relative_positions import axis_vectors, relative_index

OFFICIAL = json.loads(
    (Path(__file__).parents[1] / "golden" / "variants" / "relative_positions.json").read_text()
)


@pytest.mark.parametrize("case", OFFICIAL["rel_pos_index"], ids=lambda case: f"{case['q']} by {case['k']}")
def test_rows_of_the_table_are_the_official_ones(case):
    """Ratios that are no whole numbers among them: cut, not rounded."""
    assert relative_index(case["q"], case["k"]).tolist() == case["index"]


@pytest.mark.parametrize(
    "case", OFFICIAL["rel_pos_interp"], ids=lambda case: f"{case['rows']} to {case['to']}"
)
def test_tables_are_resized_as_the_official_ones(case):
    size = (case["to"] + 1) // 2
    vectors = axis_vectors(torch.tensor(case["table"]), size, size)
    resized = torch.tensor(case["resized"])
    torch.testing.assert_close(vectors, resized[relative_index(size, size)], atol=1e-6, rtol=0)


def linear(values, size, axis):
    """Linear interpolation along one axis, pixel centres aligned, in numpy."""
    length = values.shape[axis]
    places = np.clip((np.arange(size) + 0.5) * length / size - 0.5, 0, length - 1)
    below = np.floor(places).astype(int)
    above = np.minimum(below + 1, length - 1)
    weight = (places - below).reshape([-1 if i == axis else 1 for i in range(values.ndim)])
    return np.take(values, below, axis) * (1 - weight) + np.take(values, above, axis) * weight


@pytest.mark.parametrize("grid", [(4, 5, 3), (2, 7, 6), (3, 4, 4), (1, 1, 1)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_positions_are_resized_along_each_axis(grid, dtype):
    built = (3, 4, 4)
    table = torch.randn(1, 48, 5, generator=torch.Generator().manual_seed(0)).to(dtype)
    expected = table.float().numpy().reshape(*built, 5)
    for axis, size in enumerate(grid):
        expected = linear(expected, size, axis)
    resized = resize_positions(table, built, grid)
    assert resized.dtype == dtype
    tolerance = 1e-5 if dtype == torch.float32 else 2e-2
    np.testing.assert_allclose(resized[0].float().numpy(), expected.reshape(-1, 5), atol=tolerance)


def test_separate_positions_add_the_place_to_the_time():
    spatial, temporal = torch.randn(1, 6, 4), torch.randn(1, 3, 4)
    positions = separate_positions(spatial, temporal)
    assert positions.shape == (1, 18, 4)
    torch.testing.assert_close(positions[0, 2 * 6 + 5], spatial[0, 5] + temporal[0, 2])
