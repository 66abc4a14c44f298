"""The machine that figures were measured on, in words."""

import os
import platform
import re
from importlib import metadata
from pathlib import Path

import torch

from mvit_video.models.processor import bfloat16_instructions


def num_cpus() -> int:
    """CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def describe_machine(device: torch.device) -> str:
    """Processor, number of CPUs, bfloat16, the GPU if it is one, and the versions: one line."""
    instructions = bfloat16_instructions()
    bf16 = f"bf16 in hardware ({instructions})" if instructions else "no bf16 in hardware"
    parts = [f"{_processor()}, {num_cpus()} CPUs, {bf16}"]
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        parts.append(f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB")
    versions = f"Python {platform.python_version()}, torch {torch.__version__}"
    return "; ".join([*parts, f"{versions}, torchvision {metadata.version('torchvision')}"])


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    matched = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return matched[1] if matched else platform.machine()
