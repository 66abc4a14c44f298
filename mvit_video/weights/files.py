"""Files of weights: what may be read from them, and writing our own.

A pickle can run any code when it is read, so files are read as tensors and plain values only. A few harmless
types that older training scripts left in their checkpoints are allowed; every other type is refused by name.
"""

import argparse
import json
import pickle
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy
import torch
from torch import Tensor

from mvit_video.weights.errors import WeightsError
from mvit_video.weights.naming import HEAD_WEIGHT, find_state_dict, to_native

_METADATA_KEY = "mvit_video"


@dataclass(frozen=True)
class Checkpoint:
    """The weights in a file, by our names.

    Attributes:
        state_dict: Parameter name -> tensor, on the CPU.
        class_names: Names of the classes by index, where the file has them.
        metadata: The plain values (text, numbers) that stood beside the weights, such as ``epoch``.
        naming: Who uses the names the file had ("SlowFast", "torchvision", ...); None when nobody known does.
        source: Where it was read from.
        averages: The averaged weights (EMA) that a training run of ours saved beside the last ones.
    """

    state_dict: dict[str, Tensor]
    class_names: tuple[str, ...] | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    naming: str | None = None
    source: str = "state dict"
    averages: dict[str, Tensor] | None = None

    def __post_init__(self) -> None:
        head = self.state_dict.get(HEAD_WEIGHT)
        if self.class_names is not None and head is not None and len(self.class_names) != len(head):
            raise WeightsError(
                f"{self.source}: {len(self.class_names)} class names for a classifier of {len(head)} "
                "classes; give one name for each class, in the order of their indices"
            )


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Read a file of weights: SlowFast's, torchvision's, PyTorchVideo's, mmaction2's or ours.

    Args:
        path: A torch pickle (.pyth, .pth, .pt) or a safetensors file; the content tells which, not the name.

    Raises:
        WeightsError: When the file is missing, damaged, no file of weights, or holds a type not allowed.
    """
    path = Path(path)
    if _is_safetensors(path):
        tensors, metadata = _read_safetensors(path)
        state_dict, naming = to_native(tensors, str(path))
        names = _class_names(metadata.pop("class_names", None), str(path))
        return Checkpoint(state_dict, names, metadata, naming, str(path))
    return unwrap(read_torch_file(path), str(path))


def unwrap(content: object, source: str = "state dict") -> Checkpoint:
    """The checkpoint in what a file held: tensors by name, plain or wrapped as training scripts wrap them.

    Args:
        content: What `read_torch_file` or ``torch.load`` gave.
        source: Where it comes from, for the messages.

    Raises:
        WeightsError: When there are no named tensors in it.
    """
    state_dict, naming = to_native(find_state_dict(content, source), source)
    names = _class_names(content.get("class_names"), source) if isinstance(content, Mapping) else None
    return Checkpoint(state_dict, names, _plain_values(content), naming, source, _averages(content, source))


def _averages(content: object, source: str) -> dict[str, Tensor] | None:
    state = content.get("ema_state") if isinstance(content, Mapping) else None
    if not isinstance(state, Mapping) or not isinstance(state.get("weights"), Mapping):
        return None
    return to_native(find_state_dict(state["weights"], source), source)[0]


def read_torch_file(path: str | Path) -> Any:
    """Read a torch pickle, all of it, as tensors and plain values; tensors come back on the CPU.

    Raises:
        WeightsError: When the file is missing or damaged, or holds a type not allowed, which is named.
    """
    _require_file(Path(path))
    allowed = [entry for entry in _harmless() if entry not in torch.serialization.get_safe_globals()]
    try:
        with torch.serialization.safe_globals(allowed):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        refused = re.search(r"(?:GLOBAL|[Uu]nsupported (?:class|type)) ([\w.]+\w)", str(error))
        if refused is None:
            # torch's own words advise to switch the safety off.
            raise WeightsError(_no_weights(path, "no pickle")) from None
        raise WeightsError(
            f"{path}: holds {refused[1]}, which is neither a tensor nor a plain value and could run code; "
            "save the weights alone: torch.save(model.state_dict(), FILE)"
        ) from None
    except Exception as error:  # whatever a damaged pickle makes torch stumble over
        raise WeightsError(_no_weights(path, _first_line(error))) from None


def _no_weights(path: str | Path, found: str) -> str:
    return (
        f"{path}: not a file of weights, or damaged (torch.load: {found}); expected what torch.save or "
        "safetensors wrote: choose another file, or fetch it again"
    )


def write_safetensors(
    path: str | Path,
    state_dict: Mapping[str, Tensor],
    *,
    class_names: Sequence[str] | None = None,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write weights as safetensors, whole or not at all.

    Args:
        path: File to write; an existing one is replaced.
        state_dict: Parameter name (ours) -> tensor.
        class_names: Names of the classes by index.
        metadata: More text to keep with them.

    Raises:
        WeightsError: When the names do not fit the classifier, or the file cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    path = Path(path)
    names = None if class_names is None else tuple(class_names)
    checked = Checkpoint(dict(state_dict), names, source=str(path))
    header = {"format": "pt", "written_by": _METADATA_KEY, **(metadata or {})}
    if checked.class_names is not None:
        header["class_names"] = json.dumps(checked.class_names)
    # safetensors refuses tensors that share memory: each gets its own.
    own = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in state_dict.items()
    }
    part = path.with_name(f".{path.name}.part")
    try:
        save_file(own, part, metadata=header)
        part.replace(path)
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path}: cannot be written ({_first_line(error)})") from None
    finally:
        part.unlink(missing_ok=True)


def _harmless() -> list[Any]:
    """Types allowed beside tensors and plain values: numpy's scalars and arrays, and argparse's Namespace.

    numpy moved the makers of its scalars and arrays from numpy.core to numpy._core; files have either name.
    """
    # Both makers are functions: they are asked for their module rather than imported from a private one.
    scalar = numpy.float64(0).__reduce__()[0]
    array = numpy.zeros(0).__reduce__()[0]
    makers = [
        (maker, f"{module}.{maker.__name__}")
        for maker in (scalar, array)
        if callable(maker)
        for module in ("numpy.core.multiarray", "numpy._core.multiarray")
    ]
    dtypes = {type(numpy.dtype(code)) for code in "?bhilqBHILQefdFDSU"}
    return [*makers, numpy.ndarray, numpy.dtype, *dtypes, argparse.Namespace]


def _is_safetensors(path: Path) -> bool:
    """A safetensors file starts with the length of its header, and the header with a brace."""
    _require_file(path)
    try:
        with path.open("rb") as file:
            start = file.read(9)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror})") from None
    return len(start) == 9 and start[8:] == b"{" and struct.unpack("<Q", start[:8])[0] < path.stat().st_size


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    from safetensors import safe_open

    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no dict)
            return tensors, dict(file.metadata() or {})
    except Exception as error:  # SafetensorError, and what torch says of a type or size it does not know
        raise WeightsError(f"{path}: a damaged safetensors file ({_first_line(error)})") from None


def _require_file(path: Path) -> None:
    if not path.exists():
        raise WeightsError(f"{path}: no such file of weights")
    if not path.is_file():
        found = "a folder" if path.is_dir() else "something else"
        raise WeightsError(f"{path}: expected a file of weights, found {found}")
    if path.stat().st_size == 0:
        raise WeightsError(f"{path}: not a file of weights: it is empty")


def _class_names(value: object, source: str) -> tuple[str, ...] | None:
    """The class names in a file: a list, which safetensors keep as JSON."""
    try:
        names = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        names = value
    if names is not None and not isinstance(names, list | tuple):
        raise WeightsError(f"{source}: class_names is {names!r:.40}, expected a list of one name per class")
    return None if names is None else tuple(str(name) for name in names)


def _plain_values(content: object) -> dict[str, Any]:
    if not isinstance(content, Mapping):
        return {}
    return {str(k): v for k, v in content.items() if isinstance(v, (str, int, float, bool))}


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0][:200] or type(error).__name__
