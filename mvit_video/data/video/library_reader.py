"""What readers have in common that take frames one after the other from another library's decoder."""

import os
from abc import abstractmethod
from fractions import Fraction
from typing import BinaryIO, ClassVar

from mvit_video.data.video.errors import DamageFound, VideoError
from mvit_video.data.video.reader import FramePass, OnDamage, VideoReader
from mvit_video.data.video.sources import OpenSource, Source, open_source


class LibraryPass(FramePass):
    """A library's decoder, asked for one frame after the other.

    Attributes:
        library: What messages call it.
        count: How many frames the library says there are.
    """

    library: ClassVar[str]
    count: int

    @abstractmethod
    def __init__(self, source: OpenSource, threads: int) -> None:
        """Opens the source; raises whatever the library raises."""

    def advance_to(self, index: int) -> bool:  # noqa: D102
        while self.position < index:
            if self.position + 1 >= self.count:
                return False
            self._take_next()
            self.position += 1
        return True

    @abstractmethod
    def frame_rate(self) -> Fraction:
        """Frames per second; the average where the rate varies."""

    @abstractmethod
    def refusal(self) -> str | None:
        """At the first frame: why frames would be others than those asked for; None where nothing says so."""

    @staticmethod
    @abstractmethod
    def reason(error: BaseException) -> str:
        """The reason in an error of the library, on one line."""

    @abstractmethod
    def _take_next(self) -> None:
        """Decodes the frame behind the one it stands at.

        Raises:
            DamageFound: It cannot be decoded.
        """


class LibraryReader(VideoReader):
    """A video file decoded by another library, forward and counting."""

    pass_type: ClassVar[type[LibraryPass]]

    def __init__(self, source: Source, *, threads: int = 1, on_damage: OnDamage = "keep") -> None:
        """Opens ``source``, a path or a seekable binary file object, which stays the caller's to close.

        Raises:
            VideoError: Nothing there, no video that the library reads, or one that it is known to read
                wrongly.
        """
        self._source = open_source(source)
        super().__init__(self._source.name, on_damage=on_damage)
        self._threads = threads
        try:
            self._idle = first = self._open_pass()
            self._advance_to_first(first)
            self._count, self._frame_rate = first.count, first.frame_rate()
            self.height, self.width = first.image().shape[:2]
        except BaseException:
            self.close()
            raise

    @property
    def expected_frames(self) -> int:
        """How many packets the library counts."""
        return self._count

    @property
    def frame_rate(self) -> Fraction:
        """Frames per second; the average where the rate varies."""
        return self._frame_rate

    def close(self) -> None:
        """Frees the decoder; safe to call twice."""
        super().close()
        self._source.close()

    def _open_pass(self) -> LibraryPass:
        kind = self.pass_type
        try:
            return kind(self._source, self._threads)
        except Exception as error:  # such libraries raise errors of many types
            raise VideoError(
                f"{self.name}: {kind.library} cannot read it: {kind.reason(error)}; take backend auto"
            ) from error

    def _advance_to_first(self, first: LibraryPass) -> None:
        try:
            if not first.advance_to(0):
                raise VideoError(f"{self.name}: {first.library} finds no frame in it")
        except DamageFound as found:
            raise VideoError(f"{self.name}: damaged at frame 0: {found}") from found
        if refusal := first.refusal():
            raise VideoError(f"{self.name}: {refusal}")


def library_target(source: OpenSource) -> str | BinaryIO:
    """What to hand to a library: an absolute path, as FFmpeg takes ``a:b.mp4`` for a protocol, or a file."""
    return source.cursor() if source.path is None else os.path.abspath(source.path)
