"""Tables of positions, resized for clips of another size.

Source: SlowFast slowfast/utils/checkpoint.py, load_checkpoint: relative and temporal positions linearly along
their rows, spatial positions bicubically over their square grid; ``align_corners`` is False everywhere.
"""

from math import isqrt

from torch import Tensor
from torch.nn.functional import interpolate


def is_table(name: str) -> bool:
    """Whether a parameter is a table that another clip size makes longer or shorter."""
    return _row_axis(name) is not None


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
    columns_1CL = table.float().reshape(rows, -1).T[None]
    if name != "pos_embed_spatial":
        return interpolate(columns_1CL, size=wanted, mode="linear").squeeze(0).T.reshape(shape)
    side, wanted_side = isqrt(rows), isqrt(wanted)
    if side**2 != rows or wanted_side**2 != wanted:
        return None
    grid_1CHW = columns_1CL.reshape(1, -1, side, side)
    resized_1CHW = interpolate(grid_1CHW, size=(wanted_side, wanted_side), mode="bicubic")
    return resized_1CHW.flatten(2).squeeze(0).T.reshape(shape)


def _row_axis(name: str) -> int | None:
    if name.rsplit(".", 1)[-1] in ("rel_pos_h", "rel_pos_w", "rel_pos_t"):
        return 0
    return 1 if name in ("pos_embed_temporal", "pos_embed_spatial") else None
