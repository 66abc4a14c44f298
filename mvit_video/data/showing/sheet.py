"""A contact sheet: sections with a heading, in them rows of frames under a line of text.

Axes: N frames, H height, W width, C = 3 colours.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

_MARGIN, _GAP = 12, 3
_PAPER, _INK, _SOFT_INK, _BAR = (255, 255, 255), (20, 20, 20), (90, 90, 90), (232, 236, 241)
_LARGE, _SMALL = 15, 13
_LINE = 19


@dataclass(frozen=True)
class Row:
    """Frames side by side, uint8 (N, H, W, 3), and what is said about them."""

    text: str
    frames: NDArray[np.uint8]


@dataclass(frozen=True)
class Section:
    """Rows that belong together; none where there is nothing to see but the text."""

    heading: str
    rows: Sequence[Row] = ()


def draw_sheet(title: str, sections: Sequence[Section], *, frame_height: int = 128) -> Image.Image:
    """The sheet; text that is too long for it ends in an ellipsis.

    Args:
        title: One line at the top.
        sections: From top to bottom.
        frame_height: That all frames are scaled to, in pixels.
    """
    strips = [[_strip(row.frames, frame_height) for row in section.rows] for section in sections]
    width = max([strip.width for section in strips for strip in section], default=0)
    width = max(width, 6 * frame_height) + 2 * _MARGIN
    rows = sum(len(section) for section in strips)
    height = (
        3 * _MARGIN + _LINE + len(sections) * (_LINE + 2 * _MARGIN) + rows * (_LINE + frame_height + _GAP)
    )
    sheet = Image.new("RGB", (width, height), _PAPER)
    pen = _Pen(ImageDraw.Draw(sheet), width - 2 * _MARGIN)
    pen.write(title, _MARGIN, _LARGE, _INK)
    top = 2 * _MARGIN + _LINE
    for section, images in zip(sections, strips, strict=True):
        pen.bar(top, width)
        pen.write(section.heading, top + _GAP, _LARGE, _INK)
        top += _LINE + _MARGIN
        for row, image in zip(section.rows, images, strict=True):
            pen.write(row.text, top, _SMALL, _SOFT_INK)
            sheet.paste(image, (_MARGIN, top + _LINE))
            top += _LINE + frame_height + _GAP
        top += _MARGIN
    return sheet


def _strip(frames_NHWC: NDArray[np.uint8], height: int) -> Image.Image:
    """The frames in one picture of this height."""
    pictures = [Image.fromarray(np.ascontiguousarray(frame)) for frame in frames_NHWC]
    sizes = [(max(1, round(picture.width * height / picture.height)), height) for picture in pictures]
    strip = Image.new("RGB", (sum(width + _GAP for width, _ in sizes) - _GAP, height), _PAPER)
    left = 0
    for picture, size in zip(pictures, sizes, strict=True):
        strip.paste(picture.resize(size, Image.Resampling.BICUBIC), (left, 0))
        left += size[0] + _GAP
    return strip


class _Pen:
    """Writes lines that fit."""

    def __init__(self, draw: ImageDraw.ImageDraw, width: int) -> None:
        self._draw = draw
        self._width = width

    def bar(self, top: int, width: int) -> None:
        self._draw.rectangle((0, top, width, top + _LINE + _GAP), fill=_BAR)

    def write(self, text: str, top: int, size: int, colour: tuple[int, int, int]) -> None:
        font = ImageFont.load_default(size)
        line = " ".join(text.split())
        if font.getlength(line) > self._width:
            ends = range(len(line))
            fitting = bisect_left(ends, self._width, key=lambda end: int(font.getlength(f"{line[:end]}…")))
            line = f"{line[: max(fitting - 1, 0)].rstrip()}…"
        self._draw.text((_MARGIN, top), line, fill=colour, font=font)
