"""Files of the kit: pixel formats, colours, sizes, orientation."""

from pathlib import Path

import av
import numpy as np
from kit.media_codecs import AV1
from kit.media_colours import Colours, write_colours
from kit.media_file import MediaFile, video, x264, x265
from kit.media_numbers import grey_frame, read_grey
from kit.videos import add_video_stream, numbered_frame

_LOSSLESS = {"preset": "ultrafast", "qp": "0"}
_HEVC = x265(keyint=12, min_keyint=12, open_gop=0)
_VP9_444 = {"deadline": "realtime", "cpu-used": "8", "profile": "1"}
_VP9_LOSSLESS = {"deadline": "realtime", "cpu-used": "8", "lossless": "1"}


def _colours(
    name: str, colours: Colours, codec: str = "libx264", pix_fmt: str = "yuv420p", **options: str
) -> MediaFile:
    def write(path: Path) -> None:
        settings = _VP9_LOSSLESS if codec == "libvpx-vp9" else _LOSSLESS if codec == "libx264" else options
        write_colours(path, colours, codec=codec, pix_fmt=pix_fmt, options=settings)

    return MediaFile(name, "colours", write, tuple(range(10)), read=colours.reader())


def _seen_through(frame: np.ndarray, alpha: int) -> np.ndarray:
    return np.dstack([frame, np.full(frame.shape[:2], alpha, np.uint8)])


def _with_alpha(name: str, codec: str, pix_fmt: str, **options: str) -> MediaFile:
    """Half transparent pictures; their colours are those of the pictures, whatever lies behind them."""

    def write(path: Path) -> None:
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=25, options=options)
            stream.width, stream.height, stream.pix_fmt = 64, 48, pix_fmt
            for number in range(12):
                picture = _seen_through(numbered_frame(number, 64, 48), 128)
                frame = av.VideoFrame.from_ndarray(picture, format="rgba")
                frame.pts = number
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))

    return MediaFile(name, "alpha", write, tuple(range(12)))


def _turned(name: str, degrees: int, size: tuple[int, int] = (64, 48), **flips: bool) -> MediaFile:
    """A file whose pictures stand upright only once its display matrix is applied.

    Args:
        degrees: Of the matrix, counter-clockwise.
        size: As shown.
        flips: The matrix mirrors as well (hflip, vflip), after it turned.
    """
    turned = degrees % 180 != 0
    width, height = size[::-1] if turned else size

    def stored(number: int) -> np.ndarray:
        picture = numbered_frame(number, *size)
        for flip, axis in (("hflip", 1), ("vflip", 0)):
            picture = np.flip(picture, axis) if flips.get(flip) else picture
        return np.rot90(picture, -degrees // 90)

    def write(path: Path) -> None:
        with av.open(str(path), "w") as container:
            encode = add_video_stream(
                container, 20, width=width, height=height, picture=stored, options=x264(keyint=12)
            )
            container.streams[0].set_display_rotation(degrees, **flips)
            encode()

    return MediaFile(name, "rotation", write, tuple(range(20)), size)


def _sized(name: str, size: tuple[int, int], num_frames: int = 20, **settings: object) -> MediaFile:
    return video(name, "odd sizes", num_frames, size=size, **settings)


def _tiny(name: str, size: tuple[int, int], **settings: object) -> MediaFile:
    def picture(number: int) -> np.ndarray:
        return grey_frame(number, *size)

    return video(name, "tiny sizes", 20, size=size, read=read_grey, picture=picture, **settings)


def _wide_pixels(path: Path) -> None:
    with av.open(str(path), "w") as container:
        encode = add_video_stream(container, 20, width=64, height=48, options=x264(keyint=12))
        container.streams[0].codec_context.sample_aspect_ratio = 2
        encode()


PIXELS = [
    video("h264_10_bit.mp4", "10 bit", pix_fmt="yuv420p10le", options=x264(keyint=12, bframes=2)),
    video("hevc_10_bit.mp4", "10 bit", codec="libx265", pix_fmt="yuv420p10le", options=_HEVC),
    video("av1_10_bit.mkv", "10 bit", size=(64, 64), codec="libsvtav1", pix_fmt="yuv420p10le", options=AV1),
    video("ffv1_16_bit.mkv", "10 bit", codec="ffv1", pix_fmt="yuv444p16le"),
    video("h264_444.mp4", "4:2:2, 4:4:4, RGB", pix_fmt="yuv444p", options=x264(keyint=12, bframes=2)),
    video("h264_422.mp4", "4:2:2, 4:4:4, RGB", pix_fmt="yuv422p", options=x264(keyint=12, bframes=2)),
    video("h264_rgb.mp4", "4:2:2, 4:4:4, RGB", codec="libx264rgb", pix_fmt="rgb24", options=_LOSSLESS),
    video("vp9_444.webm", "4:2:2, 4:4:4, RGB", codec="libvpx-vp9", pix_fmt="yuv444p", options=_VP9_444),
    video("hevc_444.mp4", "4:2:2, 4:4:4, RGB", codec="libx265", pix_fmt="yuv444p", options=_HEVC),
    video("h264_gray.mp4", "gray", pix_fmt="gray", options=x264(keyint=12, bframes=2)),
    video("hevc_gray.mp4", "gray", codec="libx265", pix_fmt="gray", options=_HEVC),
    video("ffv1_gray.mkv", "gray", codec="ffv1", pix_fmt="gray"),
    _with_alpha("vp9_alpha.webm", "libvpx-vp9", "yuva420p", deadline="realtime", **{"auto-alt-ref": "0"}),
    _with_alpha("prores_alpha.mov", "prores_ks", "yuva444p10le"),
    _with_alpha("qtrle_alpha.mov", "qtrle", "argb"),
    _with_alpha("png_alpha.mov", "png", "rgba"),
    _with_alpha("ffv1_alpha.mkv", "ffv1", "bgra"),
]  # fmt: skip
COLOURS = [
    _colours("colours_unsaid.mp4", Colours(tagged=False)),
    _colours("colours_bt601.mp4", Colours("bt601")),
    _colours("colours_bt709.mp4", Colours("bt709")),
    _colours("colours_bt709_full.mp4", Colours("bt709", full_range=True)),
    _colours("colours_bt601_full.mp4", Colours("bt601", full_range=True)),
    _colours("colours_bt2020_10_bit.mp4", Colours("bt2020"), pix_fmt="yuv420p10le"),
    _colours("colours_bt709.webm", Colours("bt709"), "libvpx-vp9"),
    _colours("colours_bt601.mkv", Colours("bt601"), "ffv1"),
    _colours("colours_mjpeg.avi", Colours("bt601", True, False), "mjpeg", "yuvj420p", qmin="1", qmax="1"),
]  # fmt: skip
SIZES = [
    _sized("vp9_341x255.webm", (341, 255), codec="libvpx-vp9"),
    _sized("mpeg4_341x255.avi", (341, 255), codec="mpeg4", b_frames=0),
    _sized("h264_341x255.mp4", (341, 255), pix_fmt="yuv444p", options=x264(keyint=12, bframes=2)),
    _sized("mjpeg_53x39.avi", (53, 39), codec="mjpeg", pix_fmt="yuvj420p"),
    _sized("h264_66x50.mp4", (66, 50), options=x264(keyint=12, bframes=2)),  # no whole number of blocks
    _sized("h264_4096x64.mp4", (4096, 64), 12, options=x264(keyint=6, bframes=2)),
    _sized("h264_64x4096.mp4", (64, 4096), 12, options=x264(keyint=6, bframes=2)),
    MediaFile("h264_wide_pixels.mp4", "odd sizes", _wide_pixels, tuple(range(20))),
    _tiny("h264_2x2.mp4", (2, 2), options=_LOSSLESS),
    _tiny("ffv1_1x1.mkv", (1, 1), codec="ffv1", pix_fmt="bgra"),
    _tiny("gif_3x1.gif", (3, 1), codec="gif", pix_fmt="gray"),
    video("h264_16x16.mp4", "tiny sizes", 20, size=(16, 16), options=x264(keyint=12, bframes=2)),
    video("mpeg4_24x18.avi", "tiny sizes", 20, size=(24, 18), codec="mpeg4", b_frames=0),
]
TURNS = [
    _turned("turned_90.mp4", 90),
    _turned("turned_180.mp4", 180),
    _turned("turned_270.mp4", 270),
    _turned("turned_90.mov", 90, (48, 128)),
    _turned("mirrored.mp4", 0, hflip=True),
    _turned("upside_down.mp4", 0, vflip=True),
    _turned("mirrored_and_turned.mp4", 90, hflip=True),
]
PICTURES = [*PIXELS, *COLOURS, *SIZES, *TURNS]
