"""From a video file to a batch: lists, exact decoding, sampling, transforms, datasets and loaders.

Names load what they need when they are first used: importing this package costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mvit_video.data.augment.erasing import Erasure, RandomErasing
    from mvit_video.data.augment.finishing import finish_batch
    from mvit_video.data.augment.mixing import Mix, Mixing, soft_targets
    from mvit_video.data.augment.normalising import normalise, subsample
    from mvit_video.data.augment.rand_augment import RandAugment
    from mvit_video.data.augment.transform import TrainTransform
    from mvit_video.data.lists.files import find_videos
    from mvit_video.data.lists.reading import LIST_FORMATS, read_list
    from mvit_video.data.lists.records import ListError, VideoList, VideoRecord
    from mvit_video.data.loading.bad_videos import BadVideo, BadVideoCount, BadVideosError
    from mvit_video.data.loading.batches import Batch
    from mvit_video.data.loading.datasets import TestSample, TestVideos, TrainClips, TrainSample
    from mvit_video.data.loading.loader import TrainLoader, test_loader
    from mvit_video.data.loading.pytorchvideo_lists import read_pytorchvideo
    from mvit_video.data.loading.pytorchvideo_samplers import SampledClips, SampledViews, sampled_views
    from mvit_video.data.loading.pytorchvideo_transform import SampleTransform
    from mvit_video.data.loading.reading import SampleKey
    from mvit_video.data.loading.shards import merge_shards
    from mvit_video.data.loading.views import ClipTimes, Views, decode_views, iter_clips
    from mvit_video.data.sampling.clip_samplers import RandomClips, SegmentClips, UniformClips
    from mvit_video.data.sampling.clips import ClipSpec
    from mvit_video.data.sampling.segments import SegmentSpec
    from mvit_video.data.sampling.train_sampling import TrainSampling
    from mvit_video.data.sampling.view_plan import ViewPlan
    from mvit_video.data.video.errors import Damage, DamagedVideoWarning, IndexContradicted, VideoError
    from mvit_video.data.video.opening import Decoding, open_reader
    from mvit_video.data.video.pytorch_video import Video, VideoPathHandler, open_video
    from mvit_video.data.video.reader import VideoReader

_HOMES = {
    "augment.erasing": ("Erasure", "RandomErasing"),
    "augment.finishing": ("finish_batch",),
    "augment.mixing": ("Mix", "Mixing", "soft_targets"),
    "augment.normalising": ("normalise", "subsample"),
    "augment.rand_augment": ("RandAugment",),
    "augment.transform": ("TrainTransform",),
    "lists.files": ("find_videos",),
    "lists.reading": ("LIST_FORMATS", "read_list"),
    "lists.records": ("ListError", "VideoList", "VideoRecord"),
    "loading.bad_videos": ("BadVideo", "BadVideoCount", "BadVideosError"),
    "loading.datasets": ("TestSample", "TestVideos", "TrainClips", "TrainSample"),
    "loading.batches": ("Batch",),
    "loading.loader": ("TrainLoader", "test_loader"),
    "loading.pytorchvideo_lists": ("read_pytorchvideo",),
    "loading.pytorchvideo_samplers": ("SampledClips", "SampledViews", "sampled_views"),
    "loading.pytorchvideo_transform": ("SampleTransform",),
    "loading.reading": ("SampleKey",),
    "loading.shards": ("merge_shards",),
    "loading.views": ("ClipTimes", "Views", "decode_views", "iter_clips"),
    "sampling.clip_samplers": ("RandomClips", "SegmentClips", "UniformClips"),
    "sampling.clips": ("ClipSpec",),
    "sampling.segments": ("SegmentSpec",),
    "sampling.train_sampling": ("TrainSampling",),
    "sampling.view_plan": ("ViewPlan",),
    "video.errors": ("Damage", "DamagedVideoWarning", "IndexContradicted", "VideoError"),
    "video.opening": ("Decoding", "open_reader"),
    "video.pytorch_video": ("Video", "VideoPathHandler", "open_video"),
    "video.reader": ("VideoReader",),
}
_MODULE_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [  # noqa: RUF022 -- in the order of a clip's journey
    "read_list", "LIST_FORMATS", "find_videos", "VideoList", "VideoRecord", "ListError",
    "open_video", "Video", "VideoReader", "VideoPathHandler", "VideoError",
    "open_reader", "Decoding", "Damage", "DamagedVideoWarning", "IndexContradicted",
    "ClipSpec", "SegmentSpec", "TrainSampling", "RandomClips", "UniformClips", "SegmentClips",
    "ViewPlan", "Views", "ClipTimes", "decode_views", "iter_clips",
    "TrainTransform", "RandAugment", "RandomErasing", "Erasure", "Mixing", "Mix",
    "finish_batch", "soft_targets", "normalise", "subsample",
    "SampleKey", "TrainClips", "TrainSample", "TestVideos", "TestSample",
    "TrainLoader", "Batch", "test_loader", "merge_shards",
    "BadVideo", "BadVideoCount", "BadVideosError",
    "read_pytorchvideo", "SampledClips", "SampledViews", "sampled_views", "SampleTransform",
]  # fmt: skip


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'mvit_video.data' has no attribute {name!r}")
    return getattr(import_module(f"mvit_video.data.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
