"""Whether the model is being run to write down its operators, not for what they give."""

import torch


def is_captured() -> bool:
    """True under torch.compile, torch.export, the ONNX exporter, torch.jit.trace and torch.func's transforms.

    They want plain operators and choose themselves how to run them: no functions with gradients of their own,
    no loops over pieces.
    """
    traced: bool = torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
    if torch.compiler.is_compiling() or torch.onnx.is_in_onnx_export() or traced:
        return True
    transformed: bool = torch._C._are_functorch_transforms_active()
    return transformed
