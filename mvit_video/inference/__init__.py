"""From a video file to an answer."""

from importlib import import_module
from typing import TYPE_CHECKING

from mvit_video.inference.results import ClassScore, ClipPrediction, Prediction

if TYPE_CHECKING:
    from mvit_video.inference.predictor import Predictor

__all__ = ["ClassScore", "ClipPrediction", "Prediction", "Predictor"]


def __getattr__(name: str) -> object:
    if name != "Predictor":
        raise AttributeError(f"module 'mvit_video.inference' has no attribute {name!r}")
    return import_module("mvit_video.inference.predictor").Predictor


def __dir__() -> list[str]:
    return sorted(__all__)
