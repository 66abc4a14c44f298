"""Files of the kit: codecs and containers, each with the structures that make decoders go wrong."""

from pathlib import Path

from kit.media_file import MediaFile, video, x264, x265
from kit.media_packing import pack_b_frames, rewrite_packets
from kit.videos import write_video

_VPX = {"deadline": "realtime", "cpu-used": "8"}
AV1 = {"preset": "8", "crf": "15", "svtav1-params": "lp=1:keyint=12"}
_X265_CLOSED = x265(keyint=12, min_keyint=12, open_gop=0, bframes=3)
_X265_OPEN = x265(keyint=12, min_keyint=12, open_gop=1, bframes=3)


def _h264(name: str, group: str = "h264 in mp4", num_frames: int = 40, **settings: object) -> MediaFile:
    return video(name, group, num_frames, **({"options": x264(keyint=12, bframes=2)} | settings))


def _movflags(flags: str) -> dict[str, object]:
    return {"container_options": {"movflags": flags}}


def _vp8_hidden(path: Path) -> None:
    """Every tenth frame is decoded and never shown, as alternative references are."""

    def hide(number: int, data: bytes) -> list[bytes]:
        return [bytes([data[0] & ~0x10]) + data[1:]] if number % 10 == 5 else [data]

    plain = write_video(
        path.with_name(f"plain_{path.name}"), 40, width=64, height=48, codec="libvpx", options=_VPX
    )
    rewrite_packets(plain, path, hide)
    plain.unlink()


def _vp9_hidden(path: Path) -> None:
    """Key frames are decoded without being shown, and shown by a packet of one byte after them."""
    show_first_reference = bytes([0b10001000])

    def hide(number: int, data: bytes) -> list[bytes]:
        is_key = not data[0] & 0b0100
        return [bytes([data[0] & ~0b0010]) + data[1:], show_first_reference] if is_key else [data]

    plain = write_video(
        path.with_name("plain.webm"), 40, width=64, height=48, codec="libvpx-vp9", options=_VPX
    )
    rewrite_packets(plain, path, hide)
    plain.unlink()


def _packed_avi(path: Path, b_frames: int) -> None:
    plain = path.with_name(f"plain_{path.name}")
    write_video(plain, 60, width=64, height=48, fps=25, codec="mpeg4", b_frames=b_frames, options=_B_FRAMES)
    pack_b_frames(plain, path)
    plain.unlink()


_B_FRAMES = {"q:v": "4", "b_strategy": "0", "sc_threshold": "1000000000"}
_FIXED = {"q:v": "4", "sc_threshold": "1000000000"}

H264 = [
    _h264("h264.mp4"),
    _h264("h264_no_b_frames.mp4", options=x264(keyint=12, bframes=0)),
    _h264("h264_b_pyramid.mp4", options=x264(keyint=20, bframes=8, b_pyramid="normal", ref=4)),
    _h264("h264_one_key_frame.mp4", options=x264(keyint=1000, bframes=2)),
    _h264("h264_only_key_frames.mp4", options=x264(keyint=1, bframes=0)),
    _h264("h264_slices.mp4", options=x264(keyint=12, bframes=2, slices=3)),
    _h264("h264_interlaced.mp4", options=x264(keyint=12, bframes=2, interlaced=1)),
    _h264("h264_baseline.mp4", options=x264(keyint=12, bframes=0, cabac=0) | {"profile": "baseline"}),
    _h264("h264_faststart.mp4", **_movflags("faststart")),
    _h264("h264.mov"),
    _h264("h264_no_edit_list.mp4", container_options={"use_editlist": "0"}),
    _h264("h264_negative_offsets.mp4", **_movflags("negative_cts_offsets")),
    _h264("h264_fragmented.mp4", "h264 in fragmented mp4", **_movflags("frag_keyframe+empty_moov")),
    _h264("h264_fragment_per_frame.mp4", "h264 in fragmented mp4", **_movflags("frag_every_frame")),
    _h264("h264_dash.mp4", "h264 in fragmented mp4", **_movflags("dash+frag_keyframe+global_sidx")),
    _h264("h264.mkv", "h264 in mkv"),
    _h264("h264_no_cues.mkv", "h264 in mkv", container_options={"live": "1"}),
    _h264("h264.ts", "h264 in ts"),
    _h264("h264.m2ts", "h264 in ts"),
    _h264("h264.flv", "h264 in flv"),
    _h264("h264.avi", "h264 in avi", options=x264(keyint=12, bframes=0)),
    _h264("h264_b_frames.avi", "h264 in avi"),
    _h264("h264_raw.h264", "raw h264, hevc, av1, mpeg2"),
    _h264("h264_open_gop.mp4", "h264, open GOPs", options=x264(keyint=12, bframes=3, open_gop=1)),
    _h264("h264_open_gop.mkv", "h264, open GOPs", options=x264(keyint=12, bframes=3, open_gop=1)),
    _h264("h264_open_gop.ts", "h264, open GOPs", options=x264(keyint=12, bframes=3, open_gop=1)),
    _h264("h264_intra_refresh.mp4", "h264, intra refresh", 60, options=x264(keyint=12, intra_refresh=1)),
    _h264("h264_intra_refresh.mkv", "h264, intra refresh", 60, options=x264(keyint=12, intra_refresh=1)),
]
HEVC = [
    video("hevc.mp4", "hevc", codec="libx265", options=_X265_CLOSED),
    video("hevc_hvc1.mov", "hevc", codec="libx265", options=_X265_CLOSED),
    video("hevc.mkv", "hevc", codec="libx265", options=_X265_CLOSED),
    video("hevc.ts", "hevc in ts", codec="libx265", options=_X265_CLOSED),
    video("hevc_raw.hevc", "raw h264, hevc, av1, mpeg2", codec="libx265", options=_X265_CLOSED),
    video("hevc_open_gop.mp4", "hevc, open GOPs", codec="libx265", options=_X265_OPEN),
    video("hevc_open_gop.mkv", "hevc, open GOPs", codec="libx265", options=_X265_OPEN),
]
VPX_AND_AV1 = [
    video("vp8.webm", "vp8", codec="libvpx", options=_VPX),
    MediaFile("vp8_hidden.webm", "vp8", _vp8_hidden, tuple(n for n in range(40) if n % 10 != 5)),
    video("vp9.webm", "vp9", codec="libvpx-vp9", options=_VPX),
    MediaFile("vp9_hidden.webm", "vp9", _vp9_hidden, tuple(range(40))),
    MediaFile("vp9_hidden.mp4", "vp9", _vp9_hidden, tuple(range(40))),
    MediaFile("vp9_hidden.ivf", "vp9", _vp9_hidden, tuple(range(40))),
    video("vp9.ivf", "vp9", codec="libvpx-vp9", options=_VPX),
    video("av1.mp4", "av1", codec="libsvtav1", options=AV1, size=(64, 64)),
    video("av1.mkv", "av1", codec="libsvtav1", options=AV1, size=(64, 64)),
    video("av1_raw.obu", "raw h264, hevc, av1, mpeg2", codec="libsvtav1", options=AV1, size=(64, 64)),
]
MPEG4 = [
    video("mpeg4.mp4", "mpeg4 in mp4", codec="mpeg4", b_frames=0, options=_FIXED),
    video("mpeg4_b_frames.mp4", "mpeg4 in mp4", codec="mpeg4", options=_B_FRAMES),
    video("mpeg4.avi", "mpeg4 in avi", codec="mpeg4", b_frames=0, options=_FIXED),
    video("mpeg4_b_frames.avi", "mpeg4 in avi, B-frames", 60, codec="mpeg4", options=_B_FRAMES),
    video("mpeg4_one_key.avi", "mpeg4 in avi, B-frames", 60, codec="mpeg4", gop=300, options=_B_FRAMES),
    MediaFile(
        "mpeg4_packed.avi",
        "mpeg4 in avi, packed B-frames",
        lambda path: _packed_avi(path, 1),
        tuple(range(60)),
    ),
    MediaFile(
        "mpeg4_packed_2.avi",
        "mpeg4 in avi, packed B-frames",
        lambda path: _packed_avi(path, 2),
        tuple(range(60)),
    ),
    video("mpeg4_b_frames.mkv", "mpeg4 in mkv", codec="mpeg4", options=_B_FRAMES),
    video("msmpeg4.avi", "msmpeg4, h263", fps=25, codec="msmpeg4", options=_FIXED),
    video("h263.3gp", "msmpeg4, h263", fps=25, codec="h263", options=_FIXED, size=(176, 144)),
]
MPEG2 = [
    video("mpeg1.mpg", "mpeg1, mpeg2 in ps", fps=25, codec="mpeg1video", options=_FIXED),
    video("mpeg2.mpg", "mpeg1, mpeg2 in ps", fps=25, codec="mpeg2video", options=_B_FRAMES),
    video("mpeg2.vob", "mpeg1, mpeg2 in ps", fps=25, codec="mpeg2video", options=_B_FRAMES),
    video("mpeg2.ts", "mpeg2 in ts", fps=25, codec="mpeg2video", options=_B_FRAMES),
    video("mpeg2.mkv", "mpeg2 in mkv, mxf", fps=25, codec="mpeg2video", options=_B_FRAMES),
    video("mpeg2.mxf", "mpeg2 in mkv, mxf", fps=25, codec="mpeg2video", b_frames=0, options=_FIXED),
    video("mpeg2_raw.m2v", "raw h264, hevc, av1, mpeg2", fps=25, codec="mpeg2video", options=_B_FRAMES),
]
OTHERS = [
    video("mjpeg.avi", "mjpeg", codec="mjpeg", pix_fmt="yuvj420p"),
    video("mjpeg.mov", "mjpeg", codec="mjpeg", pix_fmt="yuvj420p"),
    video("wmv1.wmv", "wmv", fps=25, codec="wmv1", options=_FIXED),
    video("wmv2.wmv", "wmv", fps=25, codec="wmv2", options=_FIXED),
    video("flv1.flv", "flv1", fps=25, codec="flv", options=_FIXED),
    video("gif.gif", "gif", fps=25, codec="gif", pix_fmt="rgb8"),
    video("apng.apng", "apng", fps=25, codec="apng", pix_fmt="rgb24"),
    video("huffyuv.avi", "lossless and editing", codec="huffyuv", pix_fmt="yuv422p"),
    video("utvideo.avi", "lossless and editing", codec="utvideo", pix_fmt="yuv422p"),
    video("rawvideo.avi", "lossless and editing", codec="rawvideo", pix_fmt="yuv420p"),
    video("rawvideo.y4m", "lossless and editing", codec="rawvideo", pix_fmt="yuv420p"),
    video("ffv1.mkv", "lossless and editing", codec="ffv1", pix_fmt="yuv420p"),
    video("prores.mov", "lossless and editing", codec="prores_ks", pix_fmt="yuv422p10le"),
    video("qtrle.mov", "lossless and editing", codec="qtrle", pix_fmt="rgb24"),
    video("png.mov", "lossless and editing", codec="png", pix_fmt="rgb24"),
    video("rv20.rm", "old codecs", 30, fps=25, codec="rv20", size=(96, 64), options=_FIXED),
    video("cinepak.avi", "old codecs", 30, codec="cinepak", pix_fmt="rgb24"),
    video("svq1.mov", "old codecs", 30, fps=25, codec="svq1", pix_fmt="yuv410p"),
]
CODECS = [*H264, *HEVC, *VPX_AND_AV1, *MPEG4, *MPEG2, *OTHERS]
