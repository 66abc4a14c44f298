"""An exported file against the model it was made from, on one random clip."""

from importlib import import_module
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mvit_video.data import ViewPlan
from mvit_video.export.errors import ExportError
from mvit_video.models import MViT

TOLERANCE = 1e-3  # largest difference of a logit


def compare(model: MViT, path: str | PathLike[str], views: ViewPlan, *, file_format: str) -> float:
    """Show one random clip to a model and to the file made from it.

    Args:
        model: Whose answer is right.
        path: The file.
        views: Give the size of the clip.
        file_format: Of the file.

    Returns:
        The largest difference of their logits.

    Raises:
        ExportError: It is larger than `TOLERANCE`, or not a number.
    """
    weight, size = model.patch_embed.proj.weight, views.crop_size
    generator = torch.Generator().manual_seed(0)
    shape = (1, model.architecture.in_channels, views.num_frames, size, size)
    clips_BCTHW = torch.randn(shape, generator=generator).to(weight)
    training = model.training
    try:
        with torch.no_grad():
            expected_BK = model.eval()(clips_BCTHW).cpu()
            found_BK = (
                _run_onnx(path, clips_BCTHW) if file_format == "onnx" else _run_torch(path, clips_BCTHW)
            )
    finally:
        model.train(training)
    difference = float((found_BK - expected_BK).abs().max())
    if not difference <= TOLERANCE:
        raise ExportError(
            f"{path}: its logits differ from the model's by {difference:.2g}, expected at most "
            f"{TOLERANCE:g}; do not use it, and try another version of torch or onnxscript"
        )
    return difference


def _run_onnx(path: str | PathLike[str], clips_BCTHW: Tensor) -> Tensor:
    onnxruntime: Any = import_module("onnxruntime")
    session = onnxruntime.InferenceSession(str(Path(path)), providers=["CPUExecutionProvider"])
    (logits_BK,) = session.run(None, {session.get_inputs()[0].name: clips_BCTHW.cpu().numpy()})
    return torch.from_numpy(logits_BK)


def _run_torch(path: str | PathLike[str], clips_BCTHW: Tensor) -> Tensor:
    program = torch.export.load(Path(path)).module()
    logits_BK: Tensor = program(clips_BCTHW)
    return logits_BK.cpu()
