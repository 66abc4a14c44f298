"""RandAugment in timm's dialect, ``rand-m7-n4-mstd0.5-inc1``: which operations, and how strong.

Numbers are drawn in timm's order, so that timm's own code, fed the same stream, draws the same operations:
the names of all operations; then for each whether it is applied, its strength, its sign, its interpolation.

Source: timm data/auto_augment.py (rand_augment_transform), which SlowFast slowfast/datasets/rand_augment.py
is a copy of; weights (``w0``) from the latter. RandAugment (arXiv 1909.13719).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from mvit_video.data.augment.operation import GEOMETRIC, Interpolation, Operation

_LEVELS = 10  # magnitudes are tenths of an operation's range

# In timm's order, which the weights share.
_WEIGHTS = {
    "auto_contrast": 0.025, "equalize": 0.005, "invert": 0.0, "rotate": 0.3, "posterize": 0.0,
    "solarize": 0.005, "solarize_add": 0.005, "colour": 0.025, "contrast": 0.005, "brightness": 0.005,
    "sharpness": 0.025, "shear_x": 0.2, "shear_y": 0.2, "translate_x": 0.1, "translate_y": 0.1,
}  # fmt: skip
_NAMES = tuple(_WEIGHTS)

_SIGNED_RANGES = {"rotate": 30.0, "shear_x": 0.3, "shear_y": 0.3, "translate_x": 0.45, "translate_y": 0.45}
_FACTORS = ("colour", "contrast", "brightness", "sharpness")

# Name of a section of the text -> field, what its number looks like, how it is read.
_SECTIONS: dict[str, tuple[str, str, Callable[[str], Any]]] = {
    "m": ("magnitude", r"\d+", int),
    "n": ("num_operations", r"\d+", int),
    "p": ("prob", r"\d+(\.\d+)?", float),
    "mstd": ("magnitude_std", r"\d+(\.\d+)?", float),
    "mmax": ("magnitude_max", r"\d+", int),
    "inc": ("increasing", r"[01]", lambda number: number == "1"),
    "w": ("weighted", r"0", lambda number: True),
}


@dataclass(frozen=True)
class RandAugment:
    """Draws random operations for a clip.

    Args:
        magnitude: How strong: tenths of each operation's range.
        num_operations: How many are drawn; the same may come twice.
        prob: Probability that a drawn operation is applied.
        magnitude_std: Standard deviation of the magnitude; above 100, it is uniform from 0 to ``magnitude``.
        magnitude_max: Largest magnitude after that.
        increasing: Make every operation stronger with the magnitude; otherwise posterize and solarize grow
            weaker, and the factors of colour, contrast, brightness and sharpness go from 0.1 to 1.9.
        weighted: Prefer geometric operations (``w0``); none is then drawn twice.
        interpolation: Of the geometric operations; "random": one of the two each time.
    """

    magnitude: float = _LEVELS
    num_operations: int = 2
    prob: float = 0.5
    magnitude_std: float = 0.0
    magnitude_max: float = _LEVELS
    increasing: bool = False
    weighted: bool = False
    interpolation: Literal["bilinear", "bicubic", "random"] = "bicubic"

    def __post_init__(self) -> None:
        if self.interpolation not in ("bilinear", "bicubic", "random"):
            raise ValueError(
                f"interpolation is {self.interpolation!r}, expected 'bilinear', 'bicubic' or 'random'"
            )
        possible = sum(weight > 0 for weight in _WEIGHTS.values())
        if self.weighted and self.num_operations > possible:
            raise ValueError(f"num_operations is {self.num_operations}, expected {possible} at most with w0")

    @classmethod
    def parse(
        cls, text: str, *, interpolation: Literal["bilinear", "bicubic", "random"] = "bicubic"
    ) -> "RandAugment":
        """Reads a text such as ``rand-m7-n4-mstd0.5-inc1``.

        Args:
            text: ``rand``, then in any order ``m`` (magnitude), ``n`` (operations), ``p`` (probability),
                ``mstd``, ``mmax``, ``inc0`` or ``inc1``, ``w0``.
            interpolation: Of the geometric operations.

        Raises:
            ValueError: Some part of it means nothing.
        """
        first, *sections = text.split("-")
        fields: dict[str, Any] = {}
        wrong = [] if first == "rand" else [first]
        for section in sections:
            name = section.rstrip("0123456789.")
            field, pattern, read = _SECTIONS.get(name, ("", r"(?!)", str))
            number = section[len(name) :]
            if re.fullmatch(pattern, number):
                fields[field] = read(number)
            else:
                wrong.append(section)
        if wrong:
            raise ValueError(
                f"RandAugment {text!r}: found {wrong[0]!r}, expected rand, then m7 (magnitude), n4 "
                "(operations), p0.5, mstd0.5, mmax10, inc1 or w0, joined by '-'"
            )
        return cls(**fields, interpolation=interpolation)

    def draw(self, generator: np.random.Generator) -> tuple[Operation, ...]:
        """Draws the operations of one clip, in the order in which they are applied."""
        weights = None
        if self.weighted:
            weights = np.array([_WEIGHTS[name] for name in _NAMES])
            weights /= weights.sum()
        chosen = generator.choice(len(_NAMES), self.num_operations, replace=weights is None, p=weights)
        drawn = (self._draw_one(_NAMES[index], generator) for index in chosen)
        return tuple(operation for operation in drawn if operation is not None)

    def _draw_one(self, name: str, generator: np.random.Generator) -> Operation | None:
        if self.prob < 1 and generator.random() > self.prob:
            return None
        magnitude = self.magnitude
        if self.magnitude_std > 100:
            magnitude = generator.uniform(0, magnitude)
        elif self.magnitude_std > 0:
            magnitude = generator.normal(magnitude, self.magnitude_std)
        level = max(0.0, min(magnitude, self.magnitude_max)) / _LEVELS
        value = self._value(name, level, generator)
        if name not in GEOMETRIC:
            return Operation(name, value)
        return Operation(name, value, self._draw_interpolation(generator))

    def _value(self, name: str, level: float, generator: np.random.Generator) -> float:
        if name in _SIGNED_RANGES:
            return _random_sign(generator) * level * _SIGNED_RANGES[name]
        if name in _FACTORS:
            if not self.increasing:
                return level * 1.8 + 0.1
            return max(0.1, 1 + _random_sign(generator) * level * 0.9)
        if name == "posterize":
            bits = int(level * 4)
            return 4 - bits if self.increasing else bits
        if name == "solarize":
            threshold = min(256, int(level * 256))
            return 256 - threshold if self.increasing else threshold
        return min(128, int(level * 110)) if name == "solarize_add" else 0

    def _draw_interpolation(self, generator: np.random.Generator) -> Interpolation:
        if self.interpolation == "random":
            return "bicubic" if generator.integers(2) else "bilinear"
        return self.interpolation


def _random_sign(generator: np.random.Generator) -> int:
    return -1 if generator.random() > 0.5 else 1
