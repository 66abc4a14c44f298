"""Names that moved to placements, resampling, normalising and transform."""

from mvit_video.data.augment.normalising import normalise, subsample
from mvit_video.data.augment.placements import (
    Box,
    Placement,
    place_test_crop,
    scale_short_side,
    uniform_crop_offset,
)
from mvit_video.data.augment.resampling import Resampler
from mvit_video.data.augment.transform import TrainTransform

__all__ = [
    "Box",
    "Placement",
    "Resampler",
    "TrainTransform",
    "normalise",
    "place_test_crop",
    "scale_short_side",
    "subsample",
    "uniform_crop_offset",
]
