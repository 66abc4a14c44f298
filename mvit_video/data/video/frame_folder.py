"""A folder of images as a video: one file per frame, in the order of the numbers in their names.

Every frame is a file of its own, so any frame is read directly, and their count is known without decoding.
That is trusted until a frame turns out damaged; from then on the frames are checked from the first one, as
the video ends before its first damage.
"""

import os
import re
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from mvit_video.data.video.errors import DamageFound, IndexContradicted, VideoError
from mvit_video.data.video.reader import FramePass, Image, OnDamage, VideoReader
from mvit_video.data.video.sources import name_of

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".webp")
_DIGITS = re.compile("([0-9]+)")
_FLOW = "flow_"  # optical flow, which mmaction2 keeps beside the frames

_Pattern = tuple[str, ...]  # what stands between the numbers of a name
_Numbers = tuple[int, ...]


class FrameFolderReader(VideoReader):
    """A folder of images whose frames are read by their index; a context manager.

    Gaps in the numbering are allowed: frames are counted, whatever number the first has and whichever are
    left out. Images are turned as their EXIF orientation says; grey, palette, CMYK, 16 bit and transparent
    ones (alpha is dropped) become 8 bit RGB.

    Args:
        folder: With jpg, jpeg, png, webp or bmp files and nothing else of that kind.
        fps: Frames per second, which images do not say. Something-Something-v2's are taken out at 30.
        on_damage: "keep": a video whose frame i cannot be read, or has another size, ends before i, with a
            DamagedVideoWarning; "refuse": a VideoError.

    Raises:
        VideoError: No such folder, no images, images that are not one sequence, or a first one that cannot be
            read.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        fps: int | float | Fraction = 30,
        on_damage: OnDamage = "keep",
    ) -> None:
        super().__init__(name_of(folder), on_damage=on_damage)
        if not fps > 0:
            raise VideoError(f"{self.name}: fps is {fps}, expected a number above 0")
        self._rate = Fraction(fps)
        self._paths = list_frames(folder)
        self._trusted = True
        try:
            first = _read_image(self._paths[0])
        except DamageFound as found:
            raise VideoError(f"{self.name}: damaged at frame 0: {found}") from found
        self.height, self.width = first.shape[:2]

    @property
    def frame_rate(self) -> Fraction:
        """Frames per second, as it was said on opening."""
        return self._rate

    @property
    def expected_frames(self) -> int:
        """How many images there are."""
        return len(self._paths)

    @property
    def is_trusted(self) -> bool:
        """Whether no damage was met yet."""
        return self._trusted

    def _open_pass(self) -> "_FilePass":
        return _FilePass(self)

    def _read(self, index: int) -> Image:
        """A frame of the size of the first.

        Raises:
            DamageFound: It cannot be read, or has another size.
        """
        image = _read_image(self._paths[index])
        height, width = image.shape[:2]
        if (height, width) != (self.height, self.width):
            raise DamageFound(
                f"{os.path.basename(self._paths[index])} is {width}x{height} pixels, and frame 0 is "
                f"{self.width}x{self.height}; bring all to one size"
            )
        return image

    def _distrust(self) -> None:
        self._trusted = False


class _FilePass(FramePass):
    """Reads any frame directly while the folder is trusted; after that one after the other."""

    def __init__(self, video: FrameFolderReader) -> None:
        self._video = video
        self._jumps = video.is_trusted
        self._image: Image | None = None

    def can_reach(self, index: int) -> bool:
        return self._jumps == self._video.is_trusted and (self._jumps or index >= self.position)

    def advance_to(self, index: int) -> bool:
        last = min(index, self._video.expected_frames - 1)
        if self._jumps:
            self._jump_to(last)
        while self.position < last:
            self._image = self._video._read(self.position + 1)
            self.position += 1
        return last == index

    def image(self) -> Image:
        assert self._image is not None
        return self._image

    def close(self) -> None:
        self._image = None

    def _jump_to(self, index: int) -> None:
        if index == self.position:
            return
        try:
            self._image = self._video._read(index)
        except DamageFound:
            if self._video._on_damage == "refuse":
                self.position = index - 1
                raise
            self._video._distrust()
            raise IndexContradicted(self._video.name) from None
        self.position = index


def list_frames(folder: str | os.PathLike[str]) -> list[str]:
    """The images of a folder in the order of the numbers in their names: 2.jpg before 10.jpg.

    Hidden files, files that are no images and mmaction2's optical flow (``flow_x_00001.jpg``) are passed
    over.

    Raises:
        VideoError: No such folder, no images, one without a number, two with the same numbers, or names that
            differ in more than their numbers.
    """
    name = name_of(folder)
    try:
        with os.scandir(folder) as entries:
            files = sorted(entry.name for entry in entries if _is_image(entry.name) and entry.is_file())
    except OSError as error:
        raise VideoError(f"{name}: cannot be opened as a folder of frames: {error.strerror}") from error
    named = [(file, *_take_apart(file)) for file in files]
    patterns = {pattern: file for file, pattern, _ in reversed(named)}
    if any(not pattern[0].startswith(_FLOW) for pattern in patterns):
        patterns = {key: file for key, file in patterns.items() if not key[0].startswith(_FLOW)}
    if len(patterns) != 1:
        raise VideoError(f"{name}: {_describe_names(list(patterns.values()))}")
    frames = sorted((numbers, file) for file, pattern, numbers in named if pattern in patterns)
    _check_numbers(frames, name)
    return [os.path.join(folder, file) for _, file in frames]


def _check_numbers(frames: Sequence[tuple[_Numbers, str]], name: str) -> None:
    if not frames[0][0]:
        raise VideoError(f"{name}: {frames[0][1]} has no number in its name to order the frames by")
    for (numbers, file), (others, other) in pairwise(frames):
        if numbers == others:
            raise VideoError(f"{name}: {file} and {other} have the same number; keep one of them")


def _describe_names(files: Sequence[str]) -> str:
    if not files:
        return f"no images in this folder; expected frames that end in {' '.join(IMAGE_SUFFIXES)}"
    return (
        f"the names of its images differ in more than their numbers ({', '.join(files[:3])}); expected the "
        "frames of one video, such as 000001.jpg or img_00001.jpg"
    )


def _is_image(name: str) -> bool:
    return name[0] != "." and os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES


def _take_apart(file: str) -> tuple[_Pattern, _Numbers]:
    """What stands between the numbers in a name, and the numbers."""
    parts = _DIGITS.split(os.path.splitext(file)[0])
    return tuple(parts[::2]), tuple(map(int, parts[1::2]))


def _read_image(path: str) -> Image:
    """A picture as uint8 (H, W, 3) RGB.

    Raises:
        DamageFound: It cannot be read.
    """
    import PIL.Image
    import PIL.ImageOps

    try:
        with PIL.Image.open(path) as picture:
            return _to_rgb(PIL.ImageOps.exif_transpose(picture))
    except MemoryError:
        raise
    except Exception as error:  # Pillow's decoders raise errors of many kinds
        reason = " ".join((getattr(error, "strerror", None) or str(error) or type(error).__name__).split())
        raise DamageFound(f"{os.path.basename(path)}: {reason}") from error


def _to_rgb(picture: "Picture") -> Image:
    if picture.mode.startswith("I"):  # 16 bit grey; convert() would cut off what is above 255
        grey = np.clip(np.asarray(picture).astype(np.int64), 0, 65535) // 257
        return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)
    return np.array(picture.convert("RGB"))
