"""The demo's videos move as their labels say, and only the order of frames tells opposites apart."""

import numpy as np
import pytest
from motions import CLASSES, LOOKS, NUM_FRAMES, OPPOSITES, TEST, TRAIN, render


def centre_and_area(frames_THWC):
    """Centroid x, y and pixel count of the bright thing in each frame."""
    bright_THW = frames_THWC.max(axis=-1) > 150
    y, x = np.mgrid[0 : bright_THW.shape[1], 0 : bright_THW.shape[2]]
    area = bright_THW.sum(axis=(1, 2))
    return (bright_THW * x).sum(axis=(1, 2)) / area, (bright_THW * y).sum(axis=(1, 2)) / area, area


def turning(x, y):
    """Signed angle swept round the picture's centre; positive is clockwise, as y points down."""
    angles = np.unwrap(np.arctan2(y - y.mean(), x - x.mean()))
    return angles[-1] - angles[0]


@pytest.mark.parametrize("split", LOOKS)
@pytest.mark.parametrize("index", range(2))
def test_motion_is_what_the_label_says(split, index):
    measures = {label: centre_and_area(render(split, label, index)) for label in CLASSES}
    assert np.all(np.diff(measures["right"][0][::4]) > 0)
    assert np.all(np.diff(measures["left"][0][::4]) < 0)
    assert np.all(np.diff(measures["down"][1][::4]) > 0)
    assert np.all(np.diff(measures["up"][1][::4]) < 0)
    assert np.all(np.diff(measures["growing"][2][::4]) > 0)
    assert np.all(np.diff(measures["shrinking"][2][::4]) < 0)
    assert turning(*measures["clockwise"][:2]) > np.pi / 2
    assert turning(*measures["counter-clockwise"][:2]) < -np.pi / 2


@pytest.mark.parametrize(("one", "other"), OPPOSITES)
def test_opposites_show_the_same_places_and_sizes(one, other):
    """Over many videos, what single frames show has the same mean for both classes of a pair."""
    means = []
    for label in (one, other):
        rows = [np.stack(centre_and_area(render("train", label, i))[:3]).mean(axis=1) for i in range(24)]
        means.append((np.mean(rows, axis=0), np.std(rows, axis=0) / np.sqrt(len(rows))))
    (first, first_error), (second, second_error) = means
    assert np.all(np.abs(first - second) < 4 * np.hypot(first_error, second_error) + 1e-9)


def test_same_arguments_give_the_same_video():
    np.testing.assert_array_equal(render("test", "up", 3), render("test", "up", 3))
    assert render("test", "up", 3).shape == (NUM_FRAMES, 96, 96, 3)
    assert not np.array_equal(render("test", "up", 3), render("test", "up", 4))


def test_test_split_shows_nothing_of_the_training_split():
    assert not set(TRAIN.outlines) & set(TEST.outlines)
    assert not set(TRAIN.backgrounds) & set(TEST.backgrounds)
    assert not set(TRAIN.paths) & set(TEST.paths)
