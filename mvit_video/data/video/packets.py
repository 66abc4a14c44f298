"""What is known of a video's packets without decoding: their times, and the pictures their bytes announce.

Arrays have one entry per packet, in the order of the file (which is decoding order).
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class PacketTable:
    """The container's word on the packets of one stream.

    Attributes:
        pts: Presentation times in ticks.
        dts: Decoding times in ticks.
        sizes: Bytes.
        is_key: What the container calls key packets.
        time_base: Seconds per tick.
        problem: What makes the table unreliable, in words: a missing time, an edit list that leaves packets
            out, a packet marked as damaged, a file that ends too early.
    """

    pts: Integers
    dts: Integers
    sizes: Integers
    is_key: Flags
    time_base: Fraction
    problem: str | None = None

    def __len__(self) -> int:
        return len(self.pts)


@dataclass(frozen=True)
class Pictures:
    """The bytes' word on the same packets, whatever the codec.

    Attributes:
        shown: How many pictures the packet makes the decoder give out.
        is_reset: Whether the packet begins with a picture after which nothing before it matters (an H.264
            IDR picture, a VP9 key frame).
        has_references: Whether none that others refer to is missing between this picture and the one before
            in the order of decoding, by the pictures' own numbers (True for codecs without).
        counts_on: Whether none is missing between this picture and the one before in the order of output, by
            the pictures' own numbers (True for codecs without).
        order: Where in the output a picture belongs, counted from the last reset.
        max_reordering: How many pictures the stream says can be waiting for an earlier one; None if it does
            not say (then decoders guess, and drop pictures while they guess wrong).
        is_numbered: Whether every picture missing between two resets would show there.
        is_disposable: Whether nothing else depends on the packet, so that decoders may leave it out.
        problem: What in the bytes is broken, or of a kind nothing is proven about, in words.
    """

    shown: Integers
    is_reset: Flags
    has_references: Flags
    counts_on: Flags
    order: Integers
    max_reordering: int | None
    is_numbered: bool = False
    is_disposable: Flags | None = None
    problem: str | None = None


class KnownDamage(NamedTuple):
    """What is known to be damaged before anything is decoded: from which time (ticks) on, and why."""

    time: int
    reason: str


@dataclass(frozen=True)
class PacketFacts:
    """All that the decision to trust the packets rests on.

    Attributes:
        container: FFmpeg's name of the container format.
        codec: FFmpeg's name of the codec.
        table: The container's word.
        pictures: The bytes' word; None where nobody looked.
        missing: Where a packet is that the container promises, and that lies behind the end of the file.
    """

    container: str
    codec: str
    table: PacketTable
    pictures: Pictures | None
    missing: KnownDamage | None = None
