"""One stream of random numbers for our code and for code that draws from the modules random and np.random."""

import types
from collections.abc import Sequence
from typing import Any

import numpy as np


class LikeRandom:
    """Python's module ``random`` as far as timm calls it, fed from a numpy generator."""

    def __init__(self, generator: np.random.Generator) -> None:
        self.random = generator.random
        self.gauss = generator.normal
        self.uniform = generator.uniform
        self._generator = generator

    def choice(self, values: Sequence[Any]) -> Any:
        return values[int(self._generator.integers(len(values)))]


def numpy_drawing_from(generator: np.random.Generator) -> types.SimpleNamespace:
    """The module numpy, but ``np.random`` is fed from ``generator``."""

    def choice(values, size, replace=True, p=None):
        return [values[index] for index in generator.choice(len(values), size, replace=replace, p=p)]

    def randint(low, high, size=None):
        return generator.integers(low, high, size)

    random = types.SimpleNamespace(choice=choice, rand=generator.random, beta=generator.beta, randint=randint)
    return types.SimpleNamespace(**{**vars(np), "random": random})
