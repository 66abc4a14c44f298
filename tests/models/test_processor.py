"""What the CPU is taken to have, from what torch and the system say of it."""

import pytest
import torch

from mvit_video.models import processor
from mvit_video.models.processor import (
    AMX,
    ARM_BF16,
    AVX512_BF16,
    bfloat16_instructions,
    has_fast_bfloat16,
    is_made_by_amd,
)


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A made-up machine: what Linux lists, and what torch says yes to."""

    def pretend(listed, torch_knows=()):
        cpuinfo = tmp_path / "cpuinfo"
        if listed is not None:
            cpuinfo.write_text(f"processor : 0\nflags : fpu {listed} ht\n")
        monkeypatch.setattr(processor, "CPUINFO", cpuinfo)
        for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"):
            monkeypatch.setattr(torch.cpu, name, lambda name=name: name in torch_knows, raising=False)
        forget()

    def forget():
        bfloat16_instructions.cache_clear()
        is_made_by_amd.cache_clear()

    yield pretend
    forget()


@pytest.mark.parametrize(
    ("listed", "torch_knows", "instructions"),
    [
        ("avx2", (), None),
        ("avx512f", (), None),
        ("avx512f avx512_bf16", (), AVX512_BF16),
        ("avx512f avx512_bf16 amx_tile amx_bf16", (), AMX),
        ("asimd i8mm bf16", (), ARM_BF16),
        ("avx2", ("_is_avx512_bf16_supported",), AVX512_BF16),
        ("avx2", ("_is_avx512_bf16_supported", "_is_amx_tile_supported"), AMX),
        (None, (), None),  # not Linux
        (None, ("_is_amx_tile_supported",), AMX),
    ],
)
def test_the_best_of_what_the_system_lists_or_torch_knows(machine, listed, torch_knows, instructions):
    machine(listed, torch_knows)
    assert bfloat16_instructions() == instructions
    assert has_fast_bfloat16() == (instructions is not None)


def test_torch_without_these_questions(machine, monkeypatch):
    machine("avx512_bf16")
    monkeypatch.delattr(torch.cpu, "_is_amx_tile_supported")
    monkeypatch.delattr(torch.cpu, "_is_avx512_bf16_supported")
    assert bfloat16_instructions() == AVX512_BF16


def test_this_machine_is_asked_once():
    bfloat16_instructions.cache_clear()
    assert bfloat16_instructions() == bfloat16_instructions()
    assert bfloat16_instructions.cache_info().misses == 1


@pytest.mark.parametrize(
    ("listed", "is_amd"), [("GenuineIntel avx2", False), ("AuthenticAMD avx2", True), (None, False)]
)
def test_who_made_it(machine, listed, is_amd):
    machine(listed)
    assert is_made_by_amd() == is_amd
