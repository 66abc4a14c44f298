"""How much more memory a piece of work takes, at its worst moment, than there was in use before it."""

import ctypes
import gc
import re
from pathlib import Path
from typing import Self

import torch

_STATUS = Path("/proc/self/status")
_CLEAR_REFS = Path("/proc/self/clear_refs")
_RESET_HIGH_WATER = "5"


class PeakMemory:
    """Measures the work done inside a ``with`` block.

    On the CPU it is the process's high-water mark above its resident size before, as Linux counts them; on a
    GPU, what PyTorch's tensors occupied at most above what they did before. Memory that the allocator keeps
    for later from work before makes the CPU's figure smaller: it is exact in a process that has only loaded
    what it needs.

    Attributes:
        extra_bytes: the result, after the block; None where the system does not tell.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.extra_bytes: int | None = None
        self._before: int | None = None

    def __enter__(self) -> Self:
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
            torch.cuda.reset_peak_memory_stats(self.device)
            self._before = torch.cuda.memory_allocated(self.device)
        else:
            _give_back_freed_memory()
            self._before = _kilobytes("VmRSS") if _reset_high_water_mark() else None
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is None:
            return
        if self.device.type == "cuda":
            self.extra_bytes = torch.cuda.max_memory_allocated(self.device) - self._before
            return
        highest = _kilobytes("VmHWM")
        self.extra_bytes = None if highest is None else max(highest - self._before, 0) * 1024


def available_bytes(device: torch.device) -> int | None:
    """Memory that is free for more work, of the machine or the GPU; None where the system does not tell."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return free + kept
    kilobytes = _kilobytes("MemAvailable", Path("/proc/meminfo"))
    return None if kilobytes is None else kilobytes * 1024


def _kilobytes(key: str, path: Path = _STATUS) -> int | None:
    try:
        matched = re.search(rf"^{key}:\s*(\d+) kB", path.read_text(encoding="ascii"), re.MULTILINE)
    except OSError:  # not Linux
        return None
    return int(matched[1]) if matched else None


def _reset_high_water_mark() -> bool:
    try:
        _CLEAR_REFS.write_text(_RESET_HIGH_WATER, encoding="ascii")
    except OSError:  # not Linux, or not allowed
        return False
    return True


def _give_back_freed_memory() -> None:
    """Ask the C library to return what has been freed; other allocators than glibc's may not know how."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
