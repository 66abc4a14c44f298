"""One video of a list, and the list itself, packed."""

import copy
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Self, overload

import numpy as np
from numpy.typing import NDArray

Numbers = Sequence[int | None] | NDArray[np.int64]
_NONE = -1


class ListError(ValueError):
    """A list of videos cannot be read; the text names the file and line."""


class VideoRecord(NamedTuple):
    """One video: its path, and its label and (claimed) number of frames where the list has them."""

    path: str
    label: int | None = None
    num_frames: int | None = None


class VideoList(Sequence[VideoRecord]):
    """The records of a list, packed into a few arrays.

    Millions of small Python objects are copied into every worker as their reference counts change; arrays
    are not.
    """

    def __init__(
        self,
        records: Sequence[VideoRecord],
        class_names: tuple[str, ...] | None = None,
        source: str = "",
    ) -> None:
        paths, labels, num_frames = zip(*records, strict=True) if records else ((), (), ())
        self._pack(paths, labels, num_frames, class_names, source)

    @classmethod
    def from_columns(
        cls,
        paths: Sequence[str],
        labels: Numbers | None = None,
        num_frames: Numbers | None = None,
        *,
        class_names: Sequence[str] | None = None,
        source: str = "",
    ) -> Self:
        """The list of the videos at ``paths``, with labels and frame counts where there are any."""
        videos = cls.__new__(cls)
        videos._pack(paths, labels, num_frames, None if class_names is None else tuple(class_names), source)
        return videos

    def _pack(
        self,
        paths: Sequence[str],
        labels: Numbers | None,
        num_frames: Numbers | None,
        class_names: tuple[str, ...] | None,
        source: str,
    ) -> None:
        self.class_names = class_names
        self.source = source
        together = "".join(paths)
        self._paths = _encode(together)
        lengths = map(len, paths if together.isascii() else map(_encode, paths))
        self._ends = np.cumsum([0, *lengths], dtype=np.int64)
        self._labels = _packed(labels, len(paths))
        self._num_frames = _packed(num_frames, len(paths))

    def __len__(self) -> int:
        return len(self._labels)

    @overload
    def __getitem__(self, index: int) -> VideoRecord: ...
    @overload
    def __getitem__(self, index: slice) -> "VideoList": ...
    def __getitem__(self, index: int | slice) -> "VideoRecord | VideoList":
        if isinstance(index, slice):
            records = [self[number] for number in range(*index.indices(len(self)))]
            return VideoList(records, self.class_names, self.source)
        number = range(len(self))[index]
        path = self._paths[self._ends[number] : self._ends[number + 1]].decode("utf-8", "surrogateescape")
        return VideoRecord(path, _unpacked(self._labels[number]), _unpacked(self._num_frames[number]))

    def __iter__(self) -> Iterator[VideoRecord]:
        ends, labels, num_frames = (
            column.tolist() for column in (self._ends, self._labels, self._num_frames)
        )
        for start, end, label, count in zip(ends, ends[1:], labels, num_frames, strict=False):
            path = self._paths[start:end].decode("utf-8", "surrogateescape")
            yield VideoRecord(path, None if label == _NONE else label, None if count == _NONE else count)

    def __repr__(self) -> str:
        return f"VideoList({len(self)} videos from {self.source or 'memory'})"

    @property
    def labels(self) -> NDArray[np.int32]:
        """The label of every video; -1 where there is none."""
        return self._labels.copy()

    @property
    def is_labelled(self) -> bool:
        """Whether every video has a label."""
        return bool((self._labels != _NONE).all())

    @property
    def num_classes(self) -> int:
        """Number of class names, or one more than the largest label (0 without labels)."""
        if self.class_names is not None:
            return len(self.class_names)
        return int(self._labels.max(initial=_NONE)) + 1

    def renumbered(self, names: Sequence[str]) -> "VideoList":
        """The same videos, with labels that count in ``names``, among which are all of its class names."""
        places = {name: place for place, name in enumerate(names)}
        numbers = np.array([*(places[name] for name in self.class_names or ()), _NONE], np.int32)
        videos = copy.copy(self)
        videos.class_names = tuple(names)
        videos._labels = numbers[self._labels]  # -1, no label, finds the last
        return videos

    def check_labels(self, num_classes: int) -> None:
        """Checks that every video has a label below ``num_classes``.

        Raises:
            ListError: Naming the first video that has not.
        """
        wrong = np.flatnonzero((self._labels == _NONE) | (self._labels >= num_classes))
        if len(wrong) == 0:
            return
        record = self[int(wrong[0])]
        found = "has no label" if record.label is None else f"has label {record.label}"
        raise ListError(
            f"{self.source or 'the list'}: {record.path} {found}, expected 0 to {num_classes - 1} "
            f"({len(wrong)} of {len(self)} videos are wrong); check the list and MODEL.NUM_CLASSES"
        )


def _encode(path: str) -> bytes:
    """As ``os.fsencode`` does where file names are UTF-8, everywhere."""
    return path.encode("utf-8", "surrogateescape")


def _packed(numbers: Numbers | None, count: int) -> NDArray[np.int32]:
    if numbers is None:
        return np.full(count, _NONE, np.int32)
    if isinstance(numbers, np.ndarray):
        return numbers.astype(np.int32)
    return np.array([_NONE if number is None else number for number in numbers], np.int32)


def _unpacked(number: np.int32) -> int | None:
    return None if number == _NONE else int(number)
