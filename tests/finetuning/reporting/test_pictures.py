"""The picture of a confusion matrix: darker where more of a row is."""

import numpy as np
import pytest

from mvit_video.finetuning.reporting.pictures import draw_confusion


def cells(picture, num):
    """The pixels, and where the matrix lies: 14 pixels from the right and the bottom, in squares of 34."""
    pixels = np.asarray(picture).astype(int)
    size = 34
    right, bottom = picture.width - 14, picture.height - 14
    left = right - num * size
    return pixels, left, bottom - num * size, size


def test_darkness_is_the_share_of_the_row():
    names = [f"a rather long class name {n}" for n in range(12)]  # so that the matrix decides the width
    counts = np.diag(np.arange(12))
    counts[3, 5] = 9  # of class 3, 3 right and 9 taken for class 5
    pixels, left, top, size = cells(draw_confusion(counts, names, "t"), 12)

    def colour(row, column):
        return tuple(pixels[top + row * size + 3, left + column * size + 3])

    assert colour(7, 7) == (21, 76, 121)
    assert colour(7, 2) == (255, 255, 255)
    assert colour(0, 0) == (255, 255, 255)  # of class 0 there is no video
    assert sum(colour(3, 5)) < sum(colour(3, 3)) < sum(colour(3, 4))


@pytest.mark.parametrize("num", [2, 40, 41, 400, 700])
def test_any_number_of_classes_fits(num):
    picture = draw_confusion(np.eye(num, dtype=int), ["x" * 300] * num, "accuracy")
    assert picture.width < 2100
    assert picture.height < 2100
    assert (np.asarray(picture) == (21, 76, 121)).all(axis=2).sum() >= num * 4
