"""A container that FFmpeg opens, through PyAV, and its video stream.

On opening, FFmpeg decodes the first frames of H.264 until it believes to know how far pictures are reordered:
up to seven, where the stream does not say it (10 of 230 ms of a 720p clip). Movies (mp4, mov) tell by their
tables, so that they can do without (``may_skip_probing``); whoever does holds every frame's time against the
packets, as a decoder that knows less might give frames in another order.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import av

from mvit_video.data.video.errors import VideoError
from mvit_video.data.video.sources import OpenSource
from mvit_video.data.video.trust import MOVIE

ERRORS = (av.FFmpegError, OSError, ValueError, EOFError)
_STILL_IMAGES = ("image2", "_pipe")  # FFmpeg reads a picture as a video of one frame
# FFmpeg reads one packet (of more bytes than these) and does not decode its picture: 1 ms of 176x144.
_UNPROBED = {"probesize": "32", "skip_frame": "all"}


class OpenContainer(NamedTuple):
    """A container and the stream of it that is read.

    Attributes:
        is_probed: Whether FFmpeg decoded first frames.
    """

    container: Any
    stream: Any
    is_probed: bool


def open_container(source: OpenSource, *, may_skip_probing: bool) -> OpenContainer:
    """Opens a source and chooses its largest video stream that is no cover picture.

    Raises:
        VideoError: It is no video, or there is no such stream.
    """
    if may_skip_probing and _begins_as_movie(source):
        container = _open(source, _UNPROBED)
        with _closed_on_error(container):
            if _needs_no_probing(container):
                return OpenContainer(container, container.streams.video[0], is_probed=False)
        container.close()
    container = _open(source, {})
    with _closed_on_error(container):
        return OpenContainer(container, _choose_stream(container, source.name), is_probed=True)


def reason_of(error: BaseException) -> str:
    """FFmpeg's reason on one line, without its error number and the path.

    And without what it may have logged: it logs where some other library asks it to, and nothing twice.
    """
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(text.split())


def _open(source: OpenSource, options: dict[str, str]) -> Any:
    try:
        container = av.open(source.target(), metadata_errors="ignore", options=options)
    except ERRORS as error:
        raise VideoError(f"{source.name}: not a video, or damaged: {reason_of(error)}") from error
    kind = container.format.name
    problem = "is text" if kind == "tty" else "is a still image" if kind.endswith(_STILL_IMAGES) else None
    if problem:
        container.close()
        raise VideoError(f"{source.name}: {problem}, expected a video")
    return container


@contextmanager
def _closed_on_error(container: Any) -> Iterator[None]:
    try:
        yield
    except BaseException:
        container.close()
        raise


def _begins_as_movie(source: OpenSource) -> bool:
    try:
        with source.cursor() as file:
            return file.read(8)[4:] == b"ftyp"
    except ERRORS:  # FFmpeg will come across it too, and say what it was doing
        return False


def _needs_no_probing(container: Any) -> bool:
    """Whether it is a movie with one stream of pictures, of H.264, all of whose parameters are known."""
    streams = container.streams.video
    if container.format.name != MOVIE or len(streams) != 1 or streams[0].codec_context is None:
        return False
    context, cover = streams[0].codec_context, av.stream.Disposition.attached_pic
    is_known = context.extradata and context.width and context.height
    return context.name == "h264" and bool(is_known) and not streams[0].disposition & cover


def _choose_stream(container: Any, name: str) -> Any:
    """The largest video stream that is no cover picture."""
    cover = av.stream.Disposition.attached_pic
    streams = [stream for stream in container.streams.video if not stream.disposition & cover]
    if streams and all(stream.codec_context is None for stream in streams):
        raise VideoError(f"{name}: its codec is not known; re-encode it, to H.264 for example")
    streams = [stream for stream in streams if stream.codec_context is not None]
    if not streams:
        found = sorted({stream.type for stream in container.streams}) or ["nothing"]
        if container.streams.video:
            found[found.index("video")] = "a cover picture"
        raise VideoError(f"{name}: has no video stream, only {' and '.join(found)}")
    return max(streams, key=lambda stream: (stream.width or 0) * (stream.height or 0))
