"""A model out of Python: files that onnxruntime or ``torch.export.load`` run without this package.

Reading order: ``description`` (what stands in the file beside the network), ``tracing`` (a model to a program
of plain operators), ``onnx_file`` and ``torch_file`` (the program to a file), ``checking`` (the file against
the model).
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mvit_video.export.checking import compare
    from mvit_video.export.description import Description
    from mvit_video.export.errors import ExportError
    from mvit_video.export.files import FORMATS, export_model

_HOMES = {
    "Description": "description",
    "ExportError": "errors",
    "FORMATS": "files",
    "compare": "checking",
    "export_model": "files",
}

__all__ = ["FORMATS", "Description", "ExportError", "compare", "export_model"]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'mvit_video.export' has no attribute {name!r}")
    return getattr(import_module(f"mvit_video.export.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
