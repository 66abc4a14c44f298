"""The confusion matrix as a picture. Axes: K classes, true in rows, given in columns."""

from collections.abc import Sequence

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
    font = ImageFont.load_default(_FONT)
    labels = [_shortened(name, font) for name in names] if is_written else [""] * num
    room = round(max(font.getlength(label) for label in labels)) + _GAP
    left, top = _MARGIN + room, _MARGIN + 2 * _TITLE + room
    width = max(left + num * cell + _MARGIN, round(font.getlength(title)) + 2 * _MARGIN, 360)
    picture = Image.new("RGB", (width, top + num * cell + _MARGIN), _PAPER)
    draw = ImageDraw.Draw(picture)
    draw.text((_MARGIN, _MARGIN), title, _INK, font)
    draw.text((_MARGIN, _MARGIN + _TITLE), "rows: what it is; columns: what was said", _SOFT_INK, font)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    for row in range(num):
        for column in range(num):
            _draw_cell(draw, (left + column * cell, top + row * cell), cell, shares[row, column])
            if is_written and counts[row, column]:
                _write_count(
                    draw,
                    (left + column * cell, top + row * cell),
                    cell,
                    counts[row, column],
                    shares[row, column],
                )
    for index, label in enumerate(labels):
        draw.text((left - _GAP, top + index * cell + cell // 2), label, _INK, font, anchor="rm")
        if label:
            _write_upwards(picture, label, (left + index * cell, top - _GAP), cell)
    return picture


def _draw_cell(draw: ImageDraw.ImageDraw, corner: tuple[int, int], cell: int, share: float) -> None:
    colour = tuple(int(value) for value in np.round(255 + (_FULL - 255) * share))
    x, y = corner
    draw.rectangle((x, y, x + cell - 1, y + cell - 1), fill=colour, outline=_LINE if cell > 8 else None)


def _write_count(
    draw: ImageDraw.ImageDraw, corner: tuple[int, int], cell: int, count: int, share: float
) -> None:
    font = ImageFont.load_default(_FONT if count < 1000 else _FONT - 3)
    ink = _PAPER if share > 0.5 else _INK
    draw.text((corner[0] + cell / 2, corner[1] + cell / 2), str(count), ink, font, anchor="mm")


def _write_upwards(picture: Image.Image, label: str, foot: tuple[int, int], cell: int) -> None:
    """Write a label that is read from below, above a column whose left end is at ``foot``."""
    font = ImageFont.load_default(_FONT)
    strip = Image.new("RGB", (round(font.getlength(label)) + 2, cell - 2), _PAPER)
    ImageDraw.Draw(strip).text((0, (cell - 2) / 2), label, _INK, font, anchor="lm")
    turned = strip.rotate(90, expand=True)
    picture.paste(turned, (foot[0] + 1, foot[1] - turned.height))


def _shortened(name: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    label = " ".join(name.split())
    if font.getlength(label) <= _LONGEST:
        return label
    while label and font.getlength(f"{label}…") > _LONGEST:
        label = label[:-1]
    return f"{label.rstrip()}…"
