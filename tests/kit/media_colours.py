"""Pictures made of flat patches whose YUV values are known, and the RGB they stand for, computed here.

A board of light and dark cells (kit.videos) whose four rows have four tints: a reader that takes another
matrix (BT.601, BT.709, BT.2020) or range is off by 8 or more somewhere, and finds no number.
"""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from kit.media_numbers import read_board
from kit.videos import CELLS, numbered_frame

TOLERANCE = 4  # of 255: what rounding of YUV, chroma and RGB adds up to
_LUMA = (60, 190)
_TINTS = ((128, 128), (90, 150), (160, 100), (120, 80))  # Cb, Cr of the four rows
# Kr and Kb of the standards; everything else follows.
_WEIGHTS = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020": (0.2627, 0.0593)}
_COLORSPACES = {"": 2, "bt601": 6, "bt709": 1, "bt2020": 9}  # ISO/IEC 23091-2 matrix coefficients


@dataclass(frozen=True)
class Colours:
    """How the YUV of a file is meant: the matrix, the range, and whether the file says so."""

    matrix: str = "bt601"
    full_range: bool = False
    tagged: bool = True

    def reader(self) -> Callable[[np.ndarray], int]:
        """Reads a picture's number; AssertionError when a colour is off."""

        def read(frame_HWC: np.ndarray) -> int:
            number = read_board(frame_HWC)
            height, width = frame_HWC.shape[:2]
            expected = self._rgb(*_cells(number))
            for row in range(CELLS):
                for column in range(CELLS):
                    y, x = (2 * row + 1) * height // (2 * CELLS), (2 * column + 1) * width // (2 * CELLS)
                    found = frame_HWC[y - 1 : y + 1, x - 1 : x + 1].reshape(-1, 3).mean(0)
                    off = np.abs(found - expected[row, column]).max()
                    assert off <= TOLERANCE, f"{found} for {expected[row, column]}"
            return number

        return read

    def _rgb(self, y: np.ndarray, cb: np.ndarray, cr: np.ndarray) -> np.ndarray:
        kr, kb = _WEIGHTS[self.matrix]
        if self.full_range:
            luma, blue, red = y / 255, (cb - 128) / 255, (cr - 128) / 255
        else:
            luma, blue, red = (y - 16) / 219, (cb - 128) / 224, (cr - 128) / 224
        r, b = luma + 2 * (1 - kr) * red, luma + 2 * (1 - kb) * blue
        g = (luma - kr * r - kb * b) / (1 - kr - kb)
        return np.clip(np.stack([r, g, b], -1), 0, 1) * 255


def write_colours(
    path: Path, colours: Colours, num_frames: int = 10, *, codec: str, pix_fmt: str, options: dict[str, str]
) -> None:
    """Encodes 4:2:0 pictures of known YUV values (64 x 48), 8 bits or 10."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=Fraction(25), options=options)
        stream.width, stream.height, stream.pix_fmt = 64, 48, pix_fmt
        stream.codec_context.thread_count = 1
        if colours.tagged:
            stream.codec_context.colorspace = _COLORSPACES[colours.matrix]
            stream.codec_context.color_range = 2 if colours.full_range else 1
        for number in range(num_frames):
            y, cb, cr = (np.repeat(np.repeat(cell, 12, 0), 16, 1) for cell in _cells(number))
            frame = av.VideoFrame(64, 48, pix_fmt)
            for plane, values in zip(frame.planes, (y, cb[::2, ::2], cr[::2, ::2]), strict=True):
                _fill(plane, values, deep=pix_fmt.endswith("10le"))
            frame.pts, frame.time_base = number, Fraction(1, 25)
            if colours.tagged:
                frame.colorspace = _COLORSPACES[colours.matrix]
                frame.color_range = 2 if colours.full_range else 1
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _fill(plane: Any, values: np.ndarray, *, deep: bool) -> None:
    """Writes the values (8 bits, or that times 4 for 10) into a plane, whose rows may be longer."""
    rows = (values * 4).astype("<u2").view(np.uint8) if deep else values.astype(np.uint8)
    buffer = np.zeros((plane.height, plane.line_size), np.uint8)
    buffer[:, : rows.shape[1]] = rows
    plane.update(buffer)


def _cells(number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Y, Cb and Cr of the 4 x 4 cells of the picture that says ``number``."""
    light = numbered_frame(number, CELLS, CELLS)[..., 0] > 128
    tints = np.array(_TINTS)
    shape = (CELLS, CELLS)
    return (
        np.where(light, _LUMA[1], _LUMA[0]),
        np.broadcast_to(tints[:, :1], shape),
        np.broadcast_to(tints[:, 1:], shape),
    )
