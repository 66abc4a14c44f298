"""Tables of positions, resized for clips of another size.

Source: SlowFast slowfast/utils/checkpoint.py, load_checkpoint: relative and temporal positions linearly along
their rows, spatial positions bicubically over their square grid; ``align_corners`` is False everywhere. Joint
positions it leaves out there; they are resized as its model resizes them for a clip of another size
(slowfast/models/video_model_builder.py, MViT._get_pos_embed): trilinearly, the class token's kept.
"""

from math import isqrt, prod

import torch
from torch import Tensor
from torch.nn.functional import interpolate

Grid = tuple[int, int, int]  # tokens along time, height and width


def resize_table(name: str, table: Tensor, shape: tuple[int, ...]) -> Tensor | None:
    """Resize a table of positions.

    Args:
        name: Parameter name: it says what kind of table this is.
        table: (rows, C) relative positions, or (1, rows, C) absolute ones.
        shape: Shape to reach.

    Returns:
        The table in the shape asked for, float32; None where no rule applies: not a table, another width, or
        spatial positions of a grid that is not square.
    """
    axis = _row_axis(name)
    if axis is None or table.ndim != len(shape):
        return None
    if any(a != b for i, (a, b) in enumerate(zip(table.shape, shape, strict=True)) if i != axis):
        return None
    rows, wanted = table.shape[axis], shape[axis]
    if rows == 0:
        return None
    columns_1CL = table.float().reshape(rows, -1).T[None]
    if name != "pos_embed_spatial":
        return interpolate(columns_1CL, size=wanted, mode="linear").squeeze(0).T.reshape(shape)
    side, wanted_side = isqrt(rows), isqrt(wanted)
    if side**2 != rows or wanted_side**2 != wanted:
        return None
    grid_1CHW = columns_1CL.reshape(1, -1, side, side)
    resized_1CHW = interpolate(grid_1CHW, size=(wanted_side, wanted_side), mode="bicubic")
    return resized_1CHW.flatten(2).squeeze(0).T.reshape(shape)


def resize_joint_positions(table: Tensor, shape: tuple[int, ...], grid: Grid) -> Tensor | None:
    """Resize one table of positions for all tokens.

    The table does not say for which grid it was made: it is taken to have as many times as the new one and a
    square for each, else the same places and another number of times.

    Args:
        table: (1, rows, C); a first row for the class token where ``shape`` has one.
        shape: Shape to reach.
        grid: Its grid (t, h, w).

    Returns:
        The table in the shape asked for, float32; None where the rows make no such grid.
    """
    if table.ndim != 3 or (table.shape[0], table.shape[2]) != (shape[0], shape[2]):
        return None
    first = shape[1] - prod(grid)
    made_for = _grid_of(table.shape[1] - first, grid)
    if made_for is None:
        return None
    table_1NC = table.float()
    places_1CTHW = torch.unflatten(table_1NC[:, first:].transpose(1, 2), 2, made_for)
    resized_1CTHW = interpolate(places_1CTHW, size=grid, mode="trilinear")
    return torch.cat((table_1NC[:, :first], resized_1CTHW.flatten(2).transpose(1, 2)), dim=1)


def _grid_of(rows: int, like: Grid) -> Grid | None:
    t, h, w = like
    side = isqrt(max(rows, 0) // t)
    if side and t * side**2 == rows:
        return t, side, side
    return (rows // (h * w), h, w) if rows > 0 and rows % (h * w) == 0 else None


def _row_axis(name: str) -> int | None:
    if name.rsplit(".", 1)[-1] in ("rel_pos_h", "rel_pos_w", "rel_pos_t"):
        return 0
    return 1 if name in ("pos_embed_temporal", "pos_embed_spatial") else None
