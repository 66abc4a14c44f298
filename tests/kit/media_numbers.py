"""Reading the numbers in pictures: fast, as there are many; and pictures too small for a board."""

from functools import cache

import numpy as np
from kit.videos import CELLS, DARK, LIGHT, numbered_frame

GREY_STEP = 4  # of 255: small pictures say their number by how light they are


def read_board(frame_HWC: np.ndarray) -> int:
    """The number a board says (kit.videos.read_number, twenty times as fast); AssertionError if none."""
    height, width = frame_HWC.shape[:2]
    cells = _middles(height) @ frame_HWC.mean(2) @ _middles(width).T
    bits = tuple((cells > (LIGHT + DARK) / 2).ravel().tolist())
    number = sum(bit << place for place, bit in enumerate(bits[:12]))
    assert bits == _board(number), f"no frame number in this picture: {bits}"
    return number


@cache
def _board(number: int) -> tuple[bool, ...]:
    return tuple((numbered_frame(number, CELLS, CELLS)[..., 0] == LIGHT).ravel().tolist())


@cache
def _middles(length: int) -> np.ndarray:
    """(CELLS, length): averages the middle half of each cell."""
    weights = np.zeros((CELLS, length))
    for cell, places in enumerate(np.array_split(np.arange(length), CELLS)):
        middle = places[len(places) // 4 : len(places) - len(places) // 4]
        weights[cell, middle] = 1 / len(middle)
    return weights


def grey_frame(number: int, width: int, height: int) -> np.ndarray:
    """A plain picture as light as its number (0 to 50)."""
    return np.full((height, width, 3), 16 + GREY_STEP * number, np.uint8)


def read_grey(frame_HWC: np.ndarray) -> int:
    """The number of a plain picture; AssertionError when it is not plain."""
    grey = np.asarray(frame_HWC, np.float32)
    assert np.ptp(grey) < GREY_STEP, grey
    return round((float(grey.mean()) - 16) / GREY_STEP)
