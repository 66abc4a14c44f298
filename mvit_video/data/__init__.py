"""From a video file to a batch: lists, exact decoding, sampling, transforms, datasets and loaders.

Names load what they need when they are first used: importing this package costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mvit_video.data.clip_samplers import RandomClips, UniformClips
    from mvit_video.data.datasets import SampleKey, TestSample, TestVideos, TrainClips, TrainSample
    from mvit_video.data.decode import VideoReader
    from mvit_video.data.lists import ListError, VideoList, VideoRecord, find_videos, read_list
    from mvit_video.data.loader import Batch, TrainLoader, test_loader
    from mvit_video.data.sampling import ClipSpec
    from mvit_video.data.sources import VideoError
    from mvit_video.data.transforms import TrainTransform, normalise, subsample
    from mvit_video.data.video import Video, VideoPathHandler, open_video
    from mvit_video.data.views import ClipTimes, ViewPlan, Views, decode_views, iter_clips

_HOMES = {
    "clip_samplers": ("RandomClips", "UniformClips"),
    "datasets": ("SampleKey", "TestSample", "TestVideos", "TrainClips", "TrainSample"),
    "decode": ("VideoReader",),
    "lists": ("ListError", "VideoList", "VideoRecord", "find_videos", "read_list"),
    "loader": ("Batch", "TrainLoader", "test_loader"),
    "sampling": ("ClipSpec",),
    "sources": ("VideoError",),
    "transforms": ("TrainTransform", "normalise", "subsample"),
    "video": ("Video", "VideoPathHandler", "open_video"),
    "views": ("ClipTimes", "ViewPlan", "Views", "decode_views", "iter_clips"),
}
_MODULE_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [  # noqa: RUF022 -- in the order of a clip's journey
    "read_list", "find_videos", "VideoList", "VideoRecord", "ListError",
    "open_video", "Video", "VideoReader", "VideoPathHandler", "VideoError",
    "ClipSpec", "RandomClips", "UniformClips",
    "ViewPlan", "Views", "ClipTimes", "decode_views", "iter_clips",
    "TrainTransform", "normalise", "subsample",
    "SampleKey", "TrainClips", "TrainSample", "TestVideos", "TestSample",
    "TrainLoader", "Batch", "test_loader",
]  # fmt: skip


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'mvit_video.data' has no attribute {name!r}")
    return getattr(import_module(f"mvit_video.data.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
