"""Weights: reading, renaming, resizing and loading them, the published ones, and fetching those.

Reading order: ``zoo`` (what is published), ``downloading`` (a URL to a file), ``files`` (a file to tensors),
``naming`` (foreign names to ours), ``inflation`` (weights of images for videos), ``resizing`` (tables for
another clip size), ``loading`` (into a model).
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mvit_video.weights.downloading import cache_path, download
    from mvit_video.weights.errors import MismatchError, WeightsError
    from mvit_video.weights.files import (
        Checkpoint,
        read_checkpoint,
        read_torch_file,
        write_safetensors,
    )
    from mvit_video.weights.inflation import Inflation
    from mvit_video.weights.labels import CLASS_SETS, class_names
    from mvit_video.weights.loading import LoadReport, fetch_weights, load_weights, loaded_from, weights_fit
    from mvit_video.weights.zoo import ZOO, TestRecipe, ZooEntry

_HOMES = {
    "CLASS_SETS": "labels",
    "Checkpoint": "files",
    "Inflation": "inflation",
    "LoadReport": "loading",
    "MismatchError": "errors",
    "TestRecipe": "zoo",
    "WeightsError": "errors",
    "ZOO": "zoo",
    "ZooEntry": "zoo",
    "cache_path": "downloading",
    "class_names": "labels",
    "download": "downloading",
    "fetch_weights": "loading",
    "load_weights": "loading",
    "loaded_from": "loading",
    "read_checkpoint": "files",
    "read_torch_file": "files",
    "weights_fit": "loading",
    "write_safetensors": "files",
}

__all__ = [
    "CLASS_SETS",
    "ZOO",
    "Checkpoint",
    "Inflation",
    "LoadReport",
    "MismatchError",
    "TestRecipe",
    "WeightsError",
    "ZooEntry",
    "cache_path",
    "class_names",
    "download",
    "fetch_weights",
    "load_weights",
    "loaded_from",
    "read_checkpoint",
    "read_torch_file",
    "weights_fit",
    "write_safetensors",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'mvit_video.weights' has no attribute {name!r}")
    return getattr(import_module(f"mvit_video.weights.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
