"""The confusion matrix as a picture. Axes: K classes, true in rows, given in columns."""

from bisect import bisect_left
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

_PAPER, _INK, _SOFT_INK, _LINE = (255, 255, 255), (20, 20, 20), (90, 90, 90), (225, 225, 225)
_FULL = np.array((21, 76, 121))  # the colour of "always"
_MARGIN, _GAP, _TITLE = 14, 6, 22
_FONT, _LONGEST = 13, 190  # pixels
_WRITTEN = 40  # most classes whose names and counts are written; a larger matrix is a pattern


def draw_confusion(counts: NDArray[np.int64], names: Sequence[str], title: str) -> Image.Image:
    """The matrix: the darker a cell, the larger the share of its row.

    Args:
        counts: int (K, K), how often each class was given as each.
        names: Of the classes.
        title: One line at the top.
    """
    num = len(names)
    is_written = num <= _WRITTEN
    cell = max(34 if is_written else 2, min(34, 1200 // num))
    font = _font()
    labels = [_shortened(name, font) for name in names] if is_written else [""] * num
    room = round(max(font.getlength(label) for label in labels)) + _GAP
    left, top = _MARGIN + room, _MARGIN + 2 * _TITLE + _GAP + room
    width = max(left + num * cell + _MARGIN, round(font.getlength(title)) + 2 * _MARGIN, 360)
    picture = Image.new("RGB", (width, top + num * cell + _MARGIN), _PAPER)
    draw = ImageDraw.Draw(picture)
    draw.text((_MARGIN, _MARGIN), title, _INK, font)
    draw.text((_MARGIN, _MARGIN + _TITLE), "rows: what it is; columns: what was said", _SOFT_INK, font)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    colours = np.round(255 + (_FULL - 255) * shares[..., None]).astype(np.uint8)
    squares = Image.fromarray(colours).resize((num * cell, num * cell), Image.Resampling.NEAREST)
    picture.paste(squares, (left, top))
    if is_written:
        _write_counts(draw, counts, shares, (left, top), cell)
    for index, label in enumerate(labels):
        draw.text((left - _GAP, top + index * cell + cell // 2), label, _INK, font, anchor="rm")
        if label:
            _write_upwards(picture, label, (left + index * cell, top - _GAP), cell)
    return picture


def _write_counts(
    draw: ImageDraw.ImageDraw,
    counts: NDArray[np.int64],
    shares: NDArray[np.float64],
    corner: tuple[int, int],
    cell: int,
) -> None:
    """A line around each square, and in it how many videos it stands for, unless none."""
    for row, column in np.ndindex(*counts.shape):
        x, y = corner[0] + int(column) * cell, corner[1] + int(row) * cell
        draw.rectangle((x, y, x + cell - 1, y + cell - 1), outline=_LINE)
        if count := int(counts[row, column]):
            ink = _PAPER if shares[row, column] > 0.5 else _INK
            draw.text((x + cell / 2, y + cell / 2), str(count), ink, _font(count >= 1000), anchor="mm")


def _write_upwards(picture: Image.Image, label: str, foot: tuple[int, int], cell: int) -> None:
    """Write a label that is read from below, above a column whose left end is at ``foot``."""
    font = _font()
    strip = Image.new("RGB", (round(font.getlength(label)) + 2, cell - 2), _PAPER)
    ImageDraw.Draw(strip).text((0, (cell - 2) / 2), label, _INK, font, anchor="lm")
    turned = strip.rotate(90, expand=True)
    picture.paste(turned, (foot[0] + 1, foot[1] - turned.height))


@cache
def _font(small: bool = False) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(_FONT - 3 if small else _FONT)


def _shortened(name: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    label = " ".join(name.split())
    if font.getlength(label) <= _LONGEST:
        return label
    fitting = bisect_left(range(len(label)), _LONGEST, key=lambda end: int(font.getlength(f"{label[:end]}…")))
    return f"{label[: max(fitting - 1, 0)].rstrip()}…"
