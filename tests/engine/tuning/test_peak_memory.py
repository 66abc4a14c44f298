"""Extra memory at the worst moment, of a process."""

import pytest
import torch

from mvit_video.engine.tuning.peak_memory import PeakMemory, available_bytes

CPU = torch.device("cpu")
MEGABYTE = 1_000_000


def test_memory_that_is_freed_again_counts():
    with PeakMemory(CPU) as memory:
        torch.ones(50 * MEGABYTE)  # 4 bytes each
    assert 195 * MEGABYTE < memory.extra_bytes < 240 * MEGABYTE


def test_memory_in_use_before_does_not_count():
    held = torch.ones(50 * MEGABYTE)
    with PeakMemory(CPU) as memory:
        held += 1
    assert memory.extra_bytes < 40 * MEGABYTE


def test_nothing_is_known_before_the_end():
    memory = PeakMemory(CPU)
    assert memory.extra_bytes is None
    with memory, pytest.raises(ValueError, match="stop"):
        raise ValueError("stop")
    assert memory.extra_bytes is not None


def test_free_memory_shrinks_as_it_is_used():
    assert 0 < available_bytes(CPU) < 2**50
