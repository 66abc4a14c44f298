"""Where a run computes, and in which number format."""

import contextlib
import logging
from contextlib import AbstractContextManager
from typing import Literal, cast, get_args

import torch

from mvit_video.engine.errors import RunError
from mvit_video.engine.machine import num_cpus
from mvit_video.engine.processes.group import ALONE, Group
from mvit_video.models.processor import has_fast_bfloat16

Precision = Literal["fp32", "bf16", "fp16"]

_logger = logging.getLogger("mvit_video.engine")
_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def choose_device(device: str = "auto", num_gpus: int | None = None, group: Group = ALONE) -> torch.device:
    """The device of a run: the GPU where there is one, unless told otherwise; each process has its own.

    Args:
        device: "auto", "cpu" or "cuda" (DEVICE), or one GPU by number, as "cuda:1".
        num_gpus: a ceiling on the GPUs used (NUM_GPUS); 0 means the CPU, None no ceiling.
        group: the processes of the run; its local rank is the number of the GPU.

    Raises:
        RunError: a GPU is asked for and there is none, or NUM_GPUS is 0 at the same time; or a node has fewer
            GPUs than processes.
    """
    if device == "cpu":
        return torch.device("cpu")
    if device.startswith("cuda"):
        if num_gpus == 0:
            raise RunError(f"DEVICE is {device} but NUM_GPUS is 0: set NUM_GPUS 1, or DEVICE cpu")
        if not torch.cuda.is_available():
            raise RunError(f"DEVICE is {device} but PyTorch sees no CUDA GPU: set DEVICE cpu, or auto")
        return _own_gpu(torch.device(device), group)
    if device != "auto":
        raise RunError(f"DEVICE is {device!r}, expected auto, cpu or cuda")
    use_gpu = num_gpus != 0 and torch.cuda.is_available()
    if num_gpus is not None and num_gpus > 1 and not use_gpu:
        _logger.info("NUM_GPUS is %d but PyTorch sees no CUDA GPU: computing on the CPU", num_gpus)
    return _own_gpu(torch.device("cuda"), group) if use_gpu else torch.device("cpu")


def _own_gpu(device: torch.device, group: Group) -> torch.device:
    """The GPU of this process of several; a launcher may have hidden those of the others."""
    if group.world_size == 1:
        return device
    count = torch.cuda.device_count()
    if group.local_rank >= count > 1:
        raise RunError(
            f"this is process {group.local_rank + 1} of {group.local_world_size} on this node, and PyTorch "
            f"sees {count} GPUs: start one process for each, or set DEVICE cpu"
        )
    return torch.device("cuda", group.local_rank if count > 1 else 0)


def choose_precision(
    precision: str, device: torch.device, *, training: bool, mixed_precision: bool = False
) -> Precision:
    """The number format of the forward pass; weights and optimiser are float32 in every case.

    "auto" means, in training: float32 unless TRAIN.MIXED_PRECISION asks for less, then bfloat16 where the GPU
    has it, else float16, and on the CPU float32; in testing and predicting: bfloat16 where the GPU or the CPU
    has it in hardware, else float32.

    Args:
        precision: "auto", "fp32", "bf16" or "fp16" (TRAIN.PRECISION, TEST.PRECISION).
        device: from :func:`choose_device`.
        training: whether gradients follow.
        mixed_precision: TRAIN.MIXED_PRECISION.

    Raises:
        RunError: another word.
    """
    if precision in get_args(Precision):
        return cast(Precision, precision)
    if precision != "auto":
        raise RunError(f"the precision is {precision!r}, expected auto, fp32, bf16 or fp16")
    if device.type == "cpu":
        return "bf16" if not training and has_fast_bfloat16() else "fp32"
    has_bf16 = torch.cuda.get_device_capability(device) >= (8, 0)
    if training:
        return ("bf16" if has_bf16 else "fp16") if mixed_precision else "fp32"
    return "bf16" if has_bf16 else "fp32"


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[object]:
    """A context whose matrix products and convolutions run in this precision."""
    if precision == "fp32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=_DTYPES[precision])


def grad_scaler(device: torch.device, precision: Precision) -> torch.amp.GradScaler:
    """A loss scaler, which does nothing unless the precision is fp16."""
    return torch.amp.GradScaler(device.type, enabled=precision == "fp16")


def cap_workers(num_workers: int, num_processes: int = 1) -> int:
    """The number of data workers of one process: what was asked for, but no more than its share of the CPUs.

    Args:
        num_workers: DATA_LOADER.NUM_WORKERS.
        num_processes: of the run on this node, each with its own workers.
    """
    cpus = num_cpus()
    most = max(cpus // num_processes, 1)
    if num_workers <= most:
        return num_workers
    shared = f" for {num_processes} processes" if num_processes > 1 else ""
    _logger.info(
        "DATA_LOADER.NUM_WORKERS is %d, and there are %d CPUs%s: using %d", num_workers, cpus, shared, most
    )
    return most


def describe_device(device: torch.device) -> str:
    """The device in words, for logs."""
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)} ({device})"
    return f"the CPU ({torch.get_num_threads()} threads)"
