"""Reading bits: of one header, or of the headers of many packets at once.

Axes: M headers, K = 16 bytes of each.
"""

import numpy as np
from numpy.typing import NDArray

from mvit_video.data.video.packets import Flags, Integers

Bytes = NDArray[np.uint8]

HEADER_BYTES = 16  # what is read of headers is shorter
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

    Reading beyond a header's 16 bytes gives zeros.
    """

    def __init__(self, headers_MK: Bytes) -> None:
        words_M2 = np.ascontiguousarray(headers_MK).view(">u8")
        self._next_M, self._after_M = np.ascontiguousarray(words_M2.T, np.uint64)

    def read(self, count: int, where_M: Flags | None = None) -> Integers:
        """The next ``count`` (1 to 32) bits of each header, or of those in ``where_M`` (the others: 0)."""
        value_M: Integers = (self._next_M >> np.uint64(64 - count)).astype(np.int64)
        if where_M is None:
            self._skip(np.uint64(count))
            return value_M
        self._skip(count * where_M.astype(np.uint64))
        value_M *= where_M
        return value_M

    def read_golomb(self, where_M: Flags | None = None) -> Integers:
        """The next unsigned Exp-Golomb code of each header; -1 where it is longer than any sensible one."""
        _, exponents_M = np.frexp((self._next_M >> np.uint64(32)).astype(np.float64))
        zeros_M = 32 - exponents_M.astype(np.int64)  # before the first one
        is_sane_M = zeros_M <= _LONGEST_CODE
        zeros_M *= is_sane_M
        value_M: Integers = (self._next_M >> (63 - 2 * zeros_M).astype(np.uint64)).astype(np.int64) - 1
        value_M[~is_sane_M] = -1
        length_M = 2 * zeros_M + 1
        if where_M is not None:
            length_M *= where_M
            value_M *= where_M
        self._skip(length_M.astype(np.uint64))
        return value_M

    def _skip(self, count_M: "NDArray[np.uint64] | np.uint64") -> None:
        self._next_M = self._next_M << count_M | self._after_M >> (np.uint64(64) - count_M)
        self._after_M = self._after_M << count_M


def take_headers(data: Bytes, starts_M: Integers) -> Bytes:
    """The 16 bytes from each start on: (M, 16) uint8; zeros beyond the end of ``data``."""
    last = len(data) - HEADER_BYTES
    if last < 0:
        return take_headers(np.pad(data, (0, HEADER_BYTES)), starts_M)
    headers = np.ndarray((last + 1,), f"V{HEADER_BYTES}", data, strides=(1,))  # what any place begins with
    headers_MK = headers[np.minimum(starts_M, last)].view(np.uint8).reshape(-1, HEADER_BYTES)
    for row in np.flatnonzero(starts_M > last):
        rest = data[starts_M[row] :]
        headers_MK[row, : len(rest)], headers_MK[row, len(rest) :] = rest, 0
    return headers_MK
