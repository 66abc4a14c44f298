"""What this machine's CPU has instructions for, as far as it decides how the models compute."""

from functools import cache
from pathlib import Path

import torch
from torch import Tensor

CPUINFO = Path("/proc/cpuinfo")
AMX, AVX512_BF16, ARM_BF16 = "AMX", "AVX512-BF16", "ARM BF16"


@cache
def bfloat16_instructions() -> str | None:
    """What this CPU multiplies bfloat16 matrices with: AMX, AVX512_BF16, ARM_BF16, or None for nothing."""
    listed = _listed()
    if _torch_says("_is_amx_tile_supported") or "amx_bf16" in listed:
        return AMX
    if _torch_says("_is_avx512_bf16_supported") or "avx512_bf16" in listed:
        return AVX512_BF16
    return ARM_BF16 if "bf16" in listed else None


def has_fast_bfloat16() -> bool:
    """Whether it has any such instructions."""
    return bfloat16_instructions() is not None


@cache
def is_made_by_amd() -> bool:
    """Whether this CPU is AMD's: MKL, which torch multiplies float32 matrices with, is not made for those."""
    return "AuthenticAMD" in _listed()


def computing_dtype(x: Tensor) -> torch.dtype:
    """What to compute with `x` in: float32 for what a CPU has no good arithmetic for, else its own dtype."""
    if x.device.type != "cpu":
        return x.dtype
    slow = x.dtype == torch.float16 or (x.dtype == torch.bfloat16 and not has_fast_bfloat16())
    return torch.float32 if slow else x.dtype


def _torch_says(name: str) -> bool:
    """What torch knows of it; nothing on processors, or in versions, without this question."""
    return bool(getattr(torch.cpu, name, bool)())


def _listed() -> set[str]:
    """The words that Linux describes processors with, instruction sets too; elsewhere none, which is safe."""
    try:
        return set(CPUINFO.read_text(encoding="utf-8", errors="replace").split())
    except OSError:
        return set()
