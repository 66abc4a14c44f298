"""Seeds, and the random states that a checkpoint carries."""

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and PyTorch (every device)."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def seed_step(seed: int, step: int, part: int = 0) -> None:
    """Seed what is random inside a training step (dropout, drop path) by (seed, step, part) alone.

    What a step draws then depends neither on the steps before it, nor on evaluations between them, nor on
    what data loading draws, so a resumed run draws what an uninterrupted one would have drawn.

    Args:
        seed: the run's.
        step: optimiser steps before this one.
        part: which part of the global batch; the passes of several processes count on from each other.
    """
    # PyTorch's generator spreads one 64-bit number; SeedSequence makes unrelated ones of neighbouring steps.
    mixed = np.random.SeedSequence([seed % 2**64, step, part]).generate_state(1, np.uint64)
    torch.manual_seed(int(mixed[0]))


def random_states() -> dict[str, Any]:
    """The states of all generators, in types that ``torch.load(weights_only=True)`` reads."""
    name, keys, position, has_gauss, cached = _numpy_state()
    return {
        "python": random.getstate(),
        "numpy": (name, torch.from_numpy(keys.astype(np.int64)), position, has_gauss, cached),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def _numpy_state() -> tuple[Any, ...]:
    state = np.random.get_state(legacy=True)
    assert isinstance(state, tuple)
    return state


def restore_random_states(states: Mapping[str, Any]) -> None:
    """Set all generators to what :func:`random_states` returned; GPUs only where their number is the same."""
    version, internal, gauss = states["python"]
    random.setstate((version, tuple(internal), gauss))
    name, keys, position, has_gauss, cached = states["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), position, has_gauss, cached))
    torch.set_rng_state(states["torch"])
    if states["cuda"] and torch.cuda.is_available() and len(states["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(states["cuda"])
