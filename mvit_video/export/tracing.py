"""From a model to a program of plain operators, for any number of clips of one size.

Axes: B clips, C colours, T frames, H height, W width.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.export import Dim, ExportedProgram

from mvit_video.data import ViewPlan
from mvit_video.export.description import BATCH
from mvit_video.export.errors import ExportError
from mvit_video.models import MViT

_LARGEST_BATCH = 1 << 16  # a bound: without one, products of sizes may exceed what a graph's integers hold


def trace(model: MViT, views: ViewPlan) -> ExportedProgram:
    """Record what a model does to clips of the size that `views` cut, as it answers (not as it is trained).

    The weights are the model's own, not copies; no clip is computed.

    Args:
        model: Any model, on any device; its mode is left as it was.
        views: Give the frames and the side of a clip.

    Returns:
        A program of one input (B, C, T, H, W), where B is open and the rest fixed, and one output, the
        logits.

    Raises:
        ExportError: Clips of this size are too small for the model.
    """
    architecture, size = model.architecture, views.crop_size
    try:
        architecture.token_grid(views.num_frames, size, size)
    except ValueError as error:
        raise ExportError(str(error)) from None
    weight = model.patch_embed.proj.weight
    # Two clips, as sizes of 0 and 1 are taken for fixed; they are never filled, so they cost no memory.
    clips_BCTHW = torch.empty(
        (2, architecture.in_channels, views.num_frames, size, size), dtype=weight.dtype, device=weight.device
    )
    with _answering(model), torch.no_grad():
        program = torch.export.export(
            model,
            (clips_BCTHW,),
            dynamic_shapes={"x": {0: Dim(BATCH, min=1, max=_LARGEST_BATCH)}},
            strict=False,
        )
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # lines of code, with the paths of this machine
    return program


@contextmanager
def _answering(model: MViT) -> Iterator[None]:
    """Evaluation mode for a while; every module gets its own mode back."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
