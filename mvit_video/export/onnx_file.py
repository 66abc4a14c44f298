"""A program of plain operators as an ONNX file."""

import logging
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.export import ExportedProgram

from mvit_video.export.description import BATCH, INPUT, OUTPUT, Description
from mvit_video.export.errors import ExportError

if TYPE_CHECKING:
    from onnxscript import ir

OPSET = 18  # what every onnxruntime since 1.14 runs
LARGEST_SCORES = 1 << 26  # attention weights of a clip that are computed at a time: 256 MB of float32
NEEDED = ("onnx", "onnxscript", "onnxruntime")


def write_onnx(program: ExportedProgram, path: Path, description: Description) -> None:
    """Translate a program to ONNX and write it as one file, the description as its metadata.

    Args:
        program: Of `trace`.
        path: Where to write.
        description: What is written beside the network, each value as JSON.

    Raises:
        OSError: The file cannot be written.
    """
    from onnxscript.optimizer import fold_constants, remove_unused_nodes

    with _quiet():
        translated = torch.onnx.export(
            program,
            dynamo=True,
            verbose=False,
            input_names=[INPUT],
            output_names=[OUTPUT],
            opset_version=OPSET,
            optimize=False,
            custom_translation_table={torch.ops.aten.scaled_dot_product_attention.default: _attention},
        )
        assert translated is not None
        # What depends on nothing is folded first: two of three nodes go at once, which patterns would be
        # looked for in, for minutes in a large model.
        fold_constants(translated.model)
        remove_unused_nodes(translated.model)
        translated.optimize()
        _name_the_batch(translated.model)
        _forget_origins(translated.model)
        translated.model.producer_name = "mvit_video"
        translated.model.metadata_props.update(description.texts())
        translated.save(str(path), external_data=False)


def _attention(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    """Scaled dot product attention in three operators; many queries are taken in parts, to bound memory.

    ONNX has had no fused one until lately, and runtimes hold the whole matrix of weights. The arguments are
    those of the operator in torch.
    """
    import onnxscript

    op: Any = onnxscript.opset18

    assert attn_mask is None
    assert not is_causal
    assert scale is not None
    heads, num_queries, num_keys = query.shape[1], query.shape[2], key.shape[2]
    query = op.Mul(query, op.Constant(value_float=scale))
    key = op.Transpose(key, perm=[0, 1, 3, 2])
    parts = math.ceil(heads * num_queries * num_keys / LARGEST_SCORES)
    size = math.ceil(num_queries / parts)
    answers = []
    for start in range(0, num_queries, size):
        part = query
        if parts > 1:
            part = op.Slice(query, [start], [min(start + size, num_queries)], [2])
        answers.append(op.MatMul(op.Softmax(op.MatMul(part, key), axis=-1), value))
    return answers[0] if parts == 1 else op.Concat(*answers, axis=2)


def _name_the_batch(model: "ir.Model") -> None:
    """Call the open size by its name, wherever it stands as torch named it."""
    from onnxscript import ir

    given = model.graph.inputs[0]
    assert given.shape is not None
    symbol = str(given.shape[0])
    values = [given, *(output for node in model.graph for output in node.outputs)]
    for value in values:
        if value.shape is not None and any(str(size) == symbol for size in value.shape):
            value.shape = ir.Shape([BATCH if str(size) == symbol else size for size in value.shape])


def _forget_origins(model: "ir.Model") -> None:
    """Drop what the exporter noted about every operator: lines of code, with the paths of this machine."""
    for node in model.graph:
        node.metadata_props.clear()
        for output in node.outputs:
            output.metadata_props.clear()
    for value in (*model.graph.inputs, *model.graph.initializers.values()):
        value.metadata_props.clear()


def require_onnx() -> None:
    """Check that what ONNX files need is installed.

    Raises:
        ExportError: A package is missing; says how to get it.
    """
    from importlib.util import find_spec

    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise ExportError(
            f"ONNX files need {', '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not "
            f"installed; run: pip install 'mvit_video[export]' (or: pip install {' '.join(missing)})"
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's progress and advice, meant for who exports a new network, to itself."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
