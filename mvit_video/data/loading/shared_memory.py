"""Memory that processes share, and objects whose large arrays travel through it.

The memory has no name: nothing is left behind however a process ends, and a small /dev/shm does not limit it.
"""

import io
import mmap
import os
import pickle
import tempfile
from collections.abc import Callable, Sequence
from multiprocessing.reduction import DupFd
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

_ALIGNMENT = 64
_SMALL = 4096  # bytes; arrays below travel with the rest

Span = tuple[int, int]  # offset and size, in bytes
Message = tuple[bytes, list[Span]]


class SharedBlock:
    """So many bytes, zeros at first, the same in this process and in those it is given to when they start."""

    def __init__(self, size: int, descriptor: int | None = None) -> None:
        self.size = size
        self._descriptor = _new_file(size) if descriptor is None else descriptor
        self.memory = memoryview(mmap.mmap(self._descriptor, size))

    def __reduce__(self) -> tuple[Callable[..., "SharedBlock"], tuple[Any, int]]:
        return _attach, (DupFd(self._descriptor), self.size)

    def __del__(self) -> None:
        os.close(self._descriptor)  # the memory goes with the last array that lies in it

    def numbers(self) -> NDArray[np.int64]:
        """The bytes as int64 numbers; one is read and written in one go."""
        return np.frombuffer(self.memory, np.int64)


def _attach(descriptor: Any, size: int) -> SharedBlock:
    return SharedBlock(size, descriptor.detach())


def _new_file(size: int) -> int:
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("mvit_video")
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, size)
    return descriptor


def pack(value: object, room: memoryview) -> Message:
    """Pickles a value, writing large arrays and tensors into ``room`` as long as they fit.

    An array that was made where it belongs (the first one at the beginning of ``room``) is not copied.

    Args:
        value: Whatever can be pickled.
        room: Bytes that the receiver sees too; they are its until it has used what ``unpack`` gives.
    """
    spans: list[Span] = []
    end = 0

    def place(buffer: pickle.PickleBuffer) -> bool:
        """Whether the array travels with the rest after all."""
        nonlocal end
        data = buffer.raw()
        if data.nbytes < _SMALL or end + data.nbytes > len(room):
            return True
        if _address(data) != _address(room) + end:
            room[end : end + data.nbytes] = data
        spans.append((end, data.nbytes))
        end = -(-(end + data.nbytes) // _ALIGNMENT) * _ALIGNMENT
        return False

    file = io.BytesIO()
    _Pickler(file, protocol=5, buffer_callback=place).dump(value)
    return file.getvalue(), spans


def unpack(message: Message, room: memoryview) -> Any:
    """The value that was packed; its large arrays lie in ``room``: copy them before that is reused."""
    data, spans = message
    return pickle.loads(data, buffers=[room[start : start + size] for start, size in spans])


def _address(memory: memoryview) -> int:
    return np.frombuffer(memory, np.uint8).ctypes.data


class _Pickler(pickle.Pickler):
    """Tensors are pickled as arrays, in the order their memory has: those need not be copied twice."""

    def reducer_override(self, value: object) -> Any:
        if type(value) is not torch.Tensor:
            return NotImplemented
        order = sorted(range(value.ndim), key=value.stride, reverse=True)
        array = np.ascontiguousarray(value.detach().permute(order).numpy())
        return _tensor, (array, [order.index(axis) for axis in range(value.ndim)])


def _tensor(array: NDArray[Any], order: Sequence[int]) -> torch.Tensor:
    return torch.from_numpy(array).permute(*order)
