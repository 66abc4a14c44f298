"""The models: plain numbers in, tensors out. They know no configuration, no data and no device.

Reading order, which follows the papers: ``architecture`` (the numbers), ``patch_embed``, ``positions``,
``pooling``, ``relative_positions``, ``attention``, ``block``, ``head``, ``mvit``; then ``registry`` and
``flops``.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from mvit_video.models.architecture import THW, Architecture, ArchitectureError, BlockSpec
from mvit_video.models.registry import ARCHITECTURES, architecture

if TYPE_CHECKING:
    from mvit_video.models.flops import FlopCount, count_flops, count_parameters
    from mvit_video.models.mvit import MViT

__all__ = [
    "ARCHITECTURES",
    "THW",
    "Architecture",
    "ArchitectureError",
    "BlockSpec",
    "FlopCount",
    "MViT",
    "architecture",
    "count_flops",
    "count_parameters",
]

_HOMES = {
    "FlopCount": "mvit_video.models.flops",
    "MViT": "mvit_video.models.mvit",
    "count_flops": "mvit_video.models.flops",
    "count_parameters": "mvit_video.models.flops",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'mvit_video.models' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
