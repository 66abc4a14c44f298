"""Operations one after the other, each on no more than the following ones read of it.

As PIL does them to a picture, the same for all frames of a clip: those that change each value by itself are
tables (``tones``), colour and sharpness blend two pictures (``blends``), the rest move pixels (``affine``).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mvit_video.data.augment import affine, blends, tones
from mvit_video.data.augment.operation import Operation, Part
from mvit_video.data.augment.placements import Box

# Which module does an operation.
KINDS = {name: kind for kind in (tones, blends, affine) for name in kind.NAMES}


def apply_operations(
    operations: Sequence[Operation],
    frames_THWC: Sequence[NDArray[np.uint8]] | NDArray[np.uint8],
    box: Box | None = None,
) -> NDArray[np.uint8]:
    """The frames after all operations in order.

    Args:
        operations: With their strengths.
        frames_THWC: T frames of one size, each uint8 (H, W, 3). They are not changed.
        box: The part of the result that is wanted; the whole by default.

    Returns:
        That part: uint8 (T, height, width, 3).

    Raises:
        ValueError: There is no operation of this name.
    """
    unknown = next((operation.name for operation in operations if operation.name not in KINDS), None)
    if unknown is not None:
        raise ValueError(f"there is no operation {unknown!r}, expected one of {', '.join(KINDS)}")
    height, width = frames_THWC[0].shape[:2]
    made = [box or Box(0, 0, height, width)]
    for operation in reversed(operations):
        made.append(KINDS[operation.name].reads(operation, made[-1], (height, width)))
    part = Part.of(frames_THWC, made.pop())
    for operation in operations:
        part = KINDS[operation.name].apply(operation, part, made.pop())
    return part.frames()
