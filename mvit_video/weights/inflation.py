"""Weights of an image model made into those of a video model: kernels gain an axis of time.

Source: SlowFast slowfast/utils/checkpoint.py, load_checkpoint: ``image_init`` (TRAIN.CHECKPOINT_IN_INIT)
repeats kernels over time as they are, ``inflation`` (TRAIN.CHECKPOINT_INFLATE) also divides them by their new
length. The tables of absolute positions and the classifier are this module's own: SlowFast leaves the former
alone, and loads a classifier whose shape happens to fit.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Literal

import torch
from torch import Tensor

from mvit_video.weights.errors import WeightsError
from mvit_video.weights.naming import HEAD_KEYS
from mvit_video.weights.resizing import Grid, resize_joint_positions

Inflation = Literal["mean", "repeat"]

_KERNEL = re.compile(r"patch_embed\.proj\.weight|blocks\.\d+\.attn\.pool_[qkv]\.weight")
# What an image does not have, or has for other classes: the video model's own stays.
NEW_IN_VIDEO = re.compile(
    r"cls_token|pos_embed_(temporal|class)|blocks\.\d+\.attn\.rel_pos_t|"
    + "|".join(map(re.escape, HEAD_KEYS))
)


@dataclass(frozen=True)
class Inflated:
    """Image weights by the names and shapes of a video model, as far as an image knows them.

    Attributes:
        state_dict: parameter name -> tensor; tables of positions may still have another length.
        kernels: names of the kernels that gained an axis of time.
    """

    state_dict: dict[str, Tensor]
    kernels: tuple[str, ...]


def inflate(
    state_dict: Mapping[str, Tensor],
    own: Mapping[str, Tensor],
    how: Inflation,
    *,
    grid: Grid | None,
    source: str,
) -> Inflated:
    """Make image weights into weights for a video model.

    Kernels of the patch embedding and of the pooling, (C, I, h, w) or (C, I, 1, h, w), become
    (C, I, T, h, w), the same at each time. A table of absolute positions becomes spatial ones (the class
    token's apart), or is repeated over time where the model has one table for all. The classifier is left
    out.

    Args:
        state_dict: the image model's, by our names.
        own: the video model's.
        how: "mean" divides kernels by T, so that frames that are all alike give what the image gives;
            "repeat" does not.
        grid: the video model's grid of tokens (t, h, w), where it is known.
        source: where the weights come from, for the message.

    Raises:
        WeightsError: they are of a video model already.
    """
    tensors = {name: tensor for name, tensor in state_dict.items() if name not in HEAD_KEYS}
    kernels = [name for name in tensors if _KERNEL.fullmatch(name) and name in own and own[name].ndim == 5]
    flat = [
        name
        for name in kernels
        if is_flat(tuple(tensors[name].shape)) and tensors[name].shape != own[name].shape
    ]
    if not flat:
        raise WeightsError(
            f"{source}: holds no image weights, whose kernels have no axis of time; set "
            "TRAIN.CHECKPOINT_INFLATE and TRAIN.CHECKPOINT_IN_INIT False to start from video weights"
        )
    for name in flat:
        tensors[name] = _repeated(tensors[name], own[name].shape[2], how)
    if "pos_embed" in tensors:
        tensors |= _positions(tensors.pop("pos_embed"), own, grid)
    return Inflated(tensors, tuple(flat))


def is_flat(shape: tuple[int, ...]) -> bool:
    """Whether a kernel of this shape knows no time."""
    return len(shape) == 4 or (len(shape) == 5 and shape[2] == 1)


def _repeated(kernel: Tensor, length: int, how: Inflation) -> Tensor:
    flat_CI1HW = kernel.unsqueeze(2) if kernel.ndim == 4 else kernel
    repeated = flat_CI1HW.float().expand(-1, -1, length, -1, -1)
    return repeated / length if how == "mean" else repeated


def _positions(image_1NC: Tensor, own: Mapping[str, Tensor], grid: Grid | None) -> dict[str, Tensor]:
    """The tables of a video model for one of an image, whose class token (if any) comes first."""
    first = image_1NC.shape[1] - _square(image_1NC.shape[1])
    class_1FC, places_1NC = image_1NC[:, :first], image_1NC[:, first:]
    if "pos_embed_spatial" in own:
        tables = {"pos_embed_spatial": places_1NC}
        if first and "pos_embed_class" in own:
            tables["pos_embed_class"] = class_1FC
        return tables
    if "pos_embed" not in own or grid is None:
        return {}
    if own["pos_embed"].shape[1] == prod(grid):  # no class token here
        class_1FC = class_1FC[:, :0]
    repeated = torch.cat((class_1FC, places_1NC.repeat(1, grid[0], 1)), dim=1)
    table = resize_joint_positions(repeated, tuple(own["pos_embed"].shape), grid)
    return {"pos_embed": repeated if table is None else table}


def _square(rows: int) -> int:
    """Rows of a table that are places of a square picture: all of them, or all but the class token's."""
    side = int(rows**0.5)
    return rows if side**2 == rows else rows - 1
