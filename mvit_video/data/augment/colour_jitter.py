"""Random brightness, contrast and saturation in random order.

Source: timm create_transform, which replaces colour jitter by RandAugment where both are asked for;
torchvision ColorJitter.
"""

import numpy as np

from mvit_video.data.augment.operation import Operation


def draw_colour_jitter(strength: float, generator: np.random.Generator) -> tuple[Operation, ...]:
    """Three operations in random order, each with a factor of 1 - strength (at least 0) to 1 + strength."""
    order = generator.permutation(3)
    factors = [generator.uniform(max(0.0, 1 - strength), 1 + strength) for _ in range(3)]
    names = ("brightness", "contrast", "colour")
    return tuple(Operation(names[place], factors[place]) for place in order)
