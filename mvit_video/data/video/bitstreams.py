"""Reading bits: of one header, or of the headers of many packets at once.

Axes: M headers, K bytes of each.
"""

import numpy as np
from numpy.typing import NDArray

from mvit_video.data.video.packets import Flags, Integers

Bytes = NDArray[np.uint8]

_WORD_BYTES = 8
_LONGEST_CODE = 20  # leading zeros; the values read here have no more than 16 bits


class BitstreamProblem(Exception):  # noqa: N818 -- a reason not to trust a file, nothing is wrong with reading it
    """Bytes that are broken, or of a kind that nothing is proven about; the text says what."""


class Bits:
    """One header, read from its first bit on."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "big")
        self._left = 8 * len(data)

    def read(self, count: int) -> int:
        """The next ``count`` bits as an unsigned number.

        Raises:
            BitstreamProblem: The header ends before.
        """
        self._left -= count
        if self._left < 0:
            raise BitstreamProblem("a header ends too early")
        return self._value >> self._left & ((1 << count) - 1)

    def read_golomb(self) -> int:
        """The next unsigned Exp-Golomb code."""
        zeros = 0
        while not self.read(1):
            zeros += 1
            if zeros > 32:
                raise BitstreamProblem("a header holds no sensible number")
        return (1 << zeros) - 1 + self.read(zeros)

    def read_signed_golomb(self) -> int:
        """The next signed Exp-Golomb code."""
        code = self.read_golomb()
        return (code + 1) // 2 if code % 2 else -(code // 2)


class ManyBits:
    """The same field of many headers at once; each header has a reading position of its own.

    Reading beyond a header's K bytes gives zeros.
    """

    def __init__(self, headers_MK: Bytes) -> None:
        count, self._length = headers_MK.shape
        padded_MK = np.zeros((count, self._length + _WORD_BYTES), np.uint8)
        padded_MK[:, : self._length] = headers_MK
        places = max(0, padded_MK.size - _WORD_BYTES + 1)
        self._words = np.ndarray((places,), ">u8", padded_MK, strides=(1,))  # one from each byte on
        self._rows_M = np.arange(count, dtype=np.int64) * padded_MK.shape[1]
        self._bit_M = np.zeros(count, np.int64)

    def read(self, count: int, where_M: Flags | None = None) -> Integers:
        """The next ``count`` (at most 32) bits of each header, or of those in ``where_M`` (the others: 0)."""
        value_M = (self._peek() >> np.uint64(64 - count)).astype(np.int64)
        if where_M is None:
            self._bit_M += count
            return value_M
        self._bit_M += count * where_M
        return value_M * where_M

    def read_golomb(self, where_M: Flags | None = None) -> Integers:
        """The next unsigned Exp-Golomb code of each header; -1 where it is longer than any sensible one."""
        word_M = self._peek()
        top_M = (word_M >> np.uint64(32)).astype(np.float64)
        _, exponents_M = np.frexp(top_M)  # how many bits are left without the leading zeros
        zeros_M = 32 - exponents_M.astype(np.int64)
        is_sane_M = zeros_M <= _LONGEST_CODE
        zeros_M *= is_sane_M
        value_M = (word_M >> (63 - 2 * zeros_M).astype(np.uint64)).astype(np.int64) - 1
        value_M[~is_sane_M] = -1
        length_M = 2 * zeros_M + 1
        if where_M is None:
            self._bit_M += length_M
            return value_M
        self._bit_M += length_M * where_M
        return value_M * where_M

    def _peek(self) -> NDArray[np.uint64]:
        """The next bits of each header, from the top of a word of 64; at least 57 of them."""
        byte_M = self._rows_M + np.minimum(self._bit_M >> 3, self._length)
        shift_M = (self._bit_M & 7).astype(np.uint64)
        word_M: NDArray[np.uint64] = self._words[byte_M].astype(np.uint64) << shift_M
        return word_M


def take_windows(data: Bytes, starts_M: Integers, length: int) -> Bytes:
    """The ``length`` bytes from each start on: (M, length) uint8; zeros beyond the end of ``data``."""
    places_MK = starts_M[:, None] + np.arange(length)
    found_MK: Bytes = data[np.minimum(places_MK, len(data) - 1)]
    found_MK[places_MK >= len(data)] = 0
    return found_MK
