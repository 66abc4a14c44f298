"""Opening a video with the reader that fits: a backend for files, another reader for folders of images.

Apart from the readers because workers read through this: it imports no more than what is asked for.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from os import PathLike
from pathlib import Path
from typing import Literal, get_args

from mvit_video.data.video.errors import VideoError
from mvit_video.data.video.reader import ON_DAMAGE, OnDamage, VideoReader
from mvit_video.data.video.sources import Source, is_address, name_of, open_source

Backend = Literal["auto", "pyav", "decord", "torchcodec"]
BACKENDS: tuple[Backend, ...] = get_args(Backend)

# Called as Reader(source, threads=, on_damage=); a folder as Reader(folder, fps=, on_damage=).
_READERS = {
    "pyav": ("pyav_reader", "PyavReader"),
    "decord": ("decord_reader", "DecordReader"),
    "torchcodec": ("torchcodec_reader", "TorchcodecReader"),
    "frame_folder": ("frame_folder", "FrameFolderReader"),
}
_PACKAGES = {"pyav": "av", "decord": "decord", "torchcodec": "torchcodec"}


@dataclass(frozen=True, slots=True)
class Decoding:
    """How videos are decoded.

    Attributes:
        backend: "auto" (PyAV), "pyav", "decord" or "torchcodec"; the latter two must be installed.
        on_damage: "keep" ends a damaged video before the damage, with a DamagedVideoWarning; "refuse" makes
            it a VideoError.
        threads: Decoder threads per video; 0 lets the decoder choose.
        frames_fps: Frames per second of folders of images, which do not say.
    """

    backend: Backend = "auto"
    on_damage: OnDamage = "keep"
    threads: int = 1
    frames_fps: float = 30.0

    def __post_init__(self) -> None:
        if self.backend not in BACKENDS:
            raise ValueError(f"backend is {self.backend!r}, expected one of {', '.join(BACKENDS)}")
        if self.on_damage not in ON_DAMAGE:
            raise ValueError(f"on_damage is {self.on_damage!r}, expected one of {', '.join(ON_DAMAGE)}")
        if self.threads < 0:
            raise ValueError(f"threads is {self.threads}, expected 0 (the decoder chooses) or more")
        if not self.frames_fps > 0:
            raise ValueError(f"frames_fps is {self.frames_fps}, expected a number above 0")


def open_reader(source: Source, decoding: Decoding = Decoding()) -> VideoReader:
    """Opens a video file, or a folder of images, for reading frames by index.

    Args:
        source: A path; an address that iopath's PathManager opens; a seekable binary file object, which stays
            the caller's to close; the bytes themselves; or a folder of images.
        decoding: How.

    Raises:
        VideoError: It is missing, empty, no video, its first frame does not decode, or the backend is not
            installed.
    """
    if isinstance(source, str | PathLike) and _is_folder(source):
        return _reader_class("frame_folder")(source, fps=decoding.frames_fps, on_damage=decoding.on_damage)
    backend = "pyav" if decoding.backend == "auto" else decoding.backend
    try:
        reader = _reader_class(backend)
    except (ImportError, OSError, RuntimeError) as error:  # a library that does not load may be any of these
        raise VideoError(
            f"{name_of(source)}: backend {backend!r} is asked for, but it cannot be imported "
            f"({_first_line(error)}); pip install {_PACKAGES[backend]}, or take backend 'auto'"
        ) from error
    if backend != "pyav" and isinstance(source, str) and is_address(source):
        found = open_source(source)  # other backends know files only
        source = found.path or found.cursor()
    return reader(source, threads=decoding.threads, on_damage=decoding.on_damage)


def _reader_class(kind: str) -> Callable[..., VideoReader]:
    module, name = _READERS[kind]
    found: Callable[..., VideoReader] = getattr(import_module(f"mvit_video.data.video.{module}"), name)
    return found


def _is_folder(path: str | PathLike[str]) -> bool:
    try:
        return Path(path).is_dir()
    except (OSError, ValueError):
        return False


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
