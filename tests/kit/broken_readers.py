"""Readers that crash or hang at some videos; worker processes import them."""

import ctypes
import dataclasses
import time
from pathlib import Path

from mvit_video.data.loading.reading import ClipReader, ViewReader


def _misbehave(reader, path):
    if Path(path).name in reader.segfault_at:
        ctypes.string_at(0)
    if Path(path).name in reader.sleep_at:
        time.sleep(1000)


@dataclasses.dataclass(frozen=True)
class BrokenClipReader(ClipReader):
    segfault_at: tuple[str, ...] = ()
    sleep_at: tuple[str, ...] = ()

    def read(self, path, key):
        _misbehave(self, path)
        return super().read(path, key)


@dataclasses.dataclass(frozen=True)
class BrokenViewReader(ViewReader):
    segfault_at: tuple[str, ...] = ()
    sleep_at: tuple[str, ...] = ()

    def __call__(self, task):
        _misbehave(self, task.path)
        return super().__call__(task)


def break_reader(dataset, **where):
    """Makes a data set crash or hang: ``segfault_at`` or ``sleep_at`` files of these names."""
    kind = BrokenClipReader if isinstance(dataset.reader, ClipReader) else BrokenViewReader
    fields = {field.name: getattr(dataset.reader, field.name) for field in dataclasses.fields(dataset.reader)}
    dataset.reader = kind(**{**fields, **where})
    return dataset
