"""Random training clips: our reader against decord, torchcodec and PyTorchVideo, in turns in one run.

    python benchmarks/decoding.py [VIDEO ...] [--clips 8] [--rounds 5] [--minutes 10]

Each clip is 16x4 (64 frames) anywhere in the video: opened, the count found, 16 frames decoded, closed;
processor time on one thread. Without VIDEO, 300 frames of 340x256 H.264 in mp4 are rendered, with a key frame
every 12, 50 and 250 frames. Every way's frames are held against plain forward decoding; a way that gives
others is named and left out. ``floor`` is PyAV decoding forward to the last frame needed and converting those
needed. Then ``--minutes``: the same clips from a video that long against one of ten seconds.
"""

import argparse
import tempfile
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from measuring import Timing, as_text, take_turns
from numpy.typing import NDArray

from mvit_video.data import ClipSpec, open_reader

CLIP = ClipSpec(16, 4)
Way = Callable[[str, Sequence[int]], NDArray[np.uint8]]
_LARGEST_DIFFERENCE = 12  # of 255, of two libraries that convert colours each in its way


def render(path: Path, num_frames: int, gop: int) -> None:
    """A picture that moves, over blurred noise."""
    noise = np.random.default_rng(0).integers(60, 196, (16, 20, 3)).astype(np.uint8)
    texture = np.kron(noise, np.ones((32, 32, 1), np.uint8))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = 340, 256, "yuv420p"
        stream.codec_context.gop_size = gop
        for number in range(num_frames):
            x, y = 3 * number % 300, 2 * number % 256
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(texture[y:, x:][:256, :340]), "rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def ours(path: str, indices: Sequence[int]) -> NDArray[np.uint8]:
    with open_reader(path) as video:
        assert video.num_frames > indices[-1]
        return video.frames(indices)


def floor(path: str, indices: Sequence[int]) -> NDArray[np.uint8]:
    wanted, images = set(indices), {}
    reformatter = av.video.reformatter.VideoReformatter()
    with av.open(path) as container:
        stream = max(container.streams.video, key=lambda stream: stream.width * stream.height)
        stream.codec_context.thread_count = 1
        for number, frame in enumerate(container.decode(stream)):
            if number in wanted:
                images[number] = reformatter.reformat(frame, format="rgb24", threads=1).to_ndarray()
            if number == indices[-1]:
                break
    return np.stack([images[index] for index in indices])


def decord(path: str, indices: Sequence[int]) -> NDArray[np.uint8]:
    import decord

    video = decord.VideoReader(path, num_threads=1)
    assert len(video) > indices[-1]
    return video.get_batch(list(indices)).asnumpy()


def torchcodec(path: str, indices: Sequence[int]) -> NDArray[np.uint8]:
    from torchcodec.decoders import VideoDecoder

    video = VideoDecoder(path, dimension_order="NHWC", num_ffmpeg_threads=1)
    return video.get_frames_at(list(indices)).data.numpy()


def pytorchvideo(path: str, indices: Sequence[int]) -> NDArray[np.uint8]:
    from pytorchvideo.data.encoded_video import EncodedVideo

    video = EncodedVideo.from_path(path, decode_audio=False, decoder="pyav")
    rate = 30
    clip_CTHW = video.get_clip(indices[0] / rate, (indices[-1] + 1) / rate)["video"]
    video.close()
    places = [index - indices[0] for index in indices]
    return clip_CTHW[:, places].permute(1, 2, 3, 0).to(torch.uint8).numpy()


WAYS: dict[str, Way] = {
    "ours": ours,
    "floor": floor,
    "decord": decord,
    "torchcodec": torchcodec,
    "PyTorchVideo": pytorchvideo,
}


def draw_clips(num_frames: int, count: int) -> list[list[int]]:
    """Random clips, the same for everybody."""
    generator = np.random.default_rng(0)
    starts = [CLIP.random_start(generator.random(), num_frames, 30) for _ in range(count)]
    return [CLIP.frame_indices(start, 30, num_frames).tolist() for start in starts]


def compare(path: str, clips: list[list[int]], rounds: int) -> dict[str, Timing]:
    """Times of the ways that give the right frames."""
    right: dict[str, Callable[[], object]] = {}
    for name, way in WAYS.items():
        try:
            worst = max(np.abs(way(path, clip).astype(int) - floor(path, clip)).max() for clip in clips)
        except Exception as error:  # other libraries' errors are of many types
            print(f"  {name}: left out, {type(error).__name__}: {str(error).splitlines()[0]}")
            continue
        if worst > (0 if way is ours else _LARGEST_DIFFERENCE):
            print(f"  {name}: left out, other frames than asked for (difference {worst})")
            continue
        right[name] = lambda way=way: [way(path, clip) for clip in clips]
    return take_turns(right, rounds)


def main() -> None:
    """Prints a line per way and video."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("videos", nargs="*")
    parser.add_argument("--clips", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--minutes", type=float, default=10)
    arguments: Any = parser.parse_args()
    torch.set_num_threads(1)
    if find_spec("torchcodec") is None:
        del WAYS["torchcodec"]
    with tempfile.TemporaryDirectory() as folder:
        videos = [Path(video) for video in arguments.videos]
        if not videos:
            for gop in (12, 50, 250):
                videos.append(Path(folder) / f"key_every_{gop}.mp4")
                render(videos[-1], 300, gop)
        for path in videos:
            with open_reader(path) as video:
                clips = draw_clips(video.num_frames, arguments.clips)
                print(f"{path.name}: {video.width}x{video.height}, {video.num_frames} frames, ", end="")
                print("trusted" if video.is_trusted else "not trusted")
            times = compare(str(path), clips, arguments.rounds)
            for name, timing in times.items():
                ratio = as_text(timing.ratio_to(times["ours"]))
                print(f"  {name}: {1000 * timing.median / len(clips):.1f} ms per clip, {ratio} times ours")
        if arguments.minutes > 0:
            compare_lengths(Path(folder), arguments)


def compare_lengths(folder: Path, arguments: Any) -> None:
    """A clip of a long video costs no more than so many of a short one."""
    ways: dict[str, Callable[[], object]] = {}
    for name, frames in (("ten seconds", 300), ("long", round(1800 * arguments.minutes))):
        path = folder / f"{name}.mp4"
        render(path, frames, 250)
        clips = draw_clips(frames, arguments.clips)
        ways[name] = lambda path=str(path), clips=clips: [ours(path, clip) for clip in clips]
    times = take_turns(ways, arguments.rounds)
    print(
        f"{arguments.minutes:g} minutes: {1000 * times['long'].median / arguments.clips:.1f} ms per clip, ",
        end="",
    )
    print(f"{as_text(times['long'].ratio_to(times['ten seconds']))} times that of ten seconds")


if __name__ == "__main__":
    main()
