"""The published weights: where each lies, how it was tested, what it reached, and under what licence.

Every figure is the one its own source states for its own file. None of the sources states a licence for the
weights (their code is Apache-2.0, torchvision's BSD-3-Clause), so none is claimed here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from mvit_video.weights.labels import class_names

_SLOWFAST = "https://dl.fbaipublicfiles.com/pyslowfast/model_zoo"
_MVITV2 = f"{_SLOWFAST}/mvitv2/pysf_video_models"
_PYTORCHVIDEO = "https://dl.fbaipublicfiles.com/pytorchvideo/model_zoo/kinetics"
_TORCHVISION = "https://download.pytorch.org/models"

# Of the copies that VideoMAEv2 and mmaction2 list (VideoMAEv2, docs/DATASET.md). SlowFast, PyTorchVideo and
# torchvision give no count for their figures; what can still be downloaded shrinks over the years.
_K400_VALIDATION_VIDEOS = 19796
_K600_VALIDATION_VIDEOS = 27935
_SSV2_VALIDATION_VIDEOS = 24777
NOT_STATED = "not stated"


@dataclass(frozen=True)
class TestRecipe:
    """How clips are cut out of a video and shown to the model, for the published accuracy.

    Attributes:
        num_frames: Frames a clip (T).
        sampling_rate: Frames from one to the next at `target_fps` (tau); unused with sampling "segments".
        temporal_views: Clips a video.
        spatial_crops: Crops a clip: 1 (centre) or 3 (along the longer side).
        crop_size: Side of a crop in pixels.
        short_side: Shorter side of the frame before cropping, in pixels.
        use_offset_sampling: SlowFast's key of that name: where the clips start.
        target_fps: Frame rate `sampling_rate` counts in.
        mean: Mean of the pixels on a scale of 0 to 1, in the order RGB.
        std: Standard deviation, likewise.
        sampling: "dense" (clips of T x tau frames) or "segments" (one frame of each of T equal parts).
    """

    __test__ = False  # not a test class, whatever its name makes pytest think

    num_frames: int
    sampling_rate: int
    temporal_views: int = 5
    spatial_crops: int = 1
    crop_size: int = 224
    short_side: int = 256
    use_offset_sampling: bool = True
    target_fps: float = 30.0
    mean: tuple[float, float, float] = (0.45, 0.45, 0.45)
    std: tuple[float, float, float] = (0.225, 0.225, 0.225)
    sampling: str = "dense"


@dataclass(frozen=True)
class ZooEntry:
    """One file of published weights.

    Attributes:
        name: Name in the zoo: architecture, a dot, data set.
        architecture: Name of the architecture it fits.
        dataset: Data set it was trained and tested on.
        num_classes: Width of its classifier.
        url: Where the file lies.
        num_bytes: Its exact size, where published.
        sha256: Its SHA-256 in hexadecimal, or the leading digits, where published.
        top1: Published accuracy in percent; None where the source gives none.
        top5: Likewise.
        recipe: How that accuracy was measured.
        num_videos: Videos in the whole validation set; sources seldom say how many of them they had.
        source: Who publishes it.
        licence: Licence of the weights, or "not stated".
        class_set: Set of class names in the order of the classifier; None if that was never published.
        note: What else one should know.
    """

    name: str
    architecture: str
    dataset: str
    num_classes: int
    url: str
    top1: float | None
    top5: float | None
    recipe: TestRecipe
    source: str
    num_bytes: int | None = None
    sha256: str | None = None
    num_videos: int | None = None
    licence: str = NOT_STATED
    class_set: str | None = None
    note: str = ""

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """Names of the classes by index, where their order is known."""
        return None if self.class_set is None else class_names(self.class_set)


_K400_16X4 = TestRecipe(16, 4)
_K400_32X3 = TestRecipe(32, 3)
_K400_L = TestRecipe(
    40,
    3,
    spatial_crops=3,
    crop_size=312,
    short_side=312,
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
)
_SSV2_S = TestRecipe(16, 4, temporal_views=1, spatial_crops=3, short_side=224, sampling="segments")
_SSV2_B = replace(_SSV2_S, num_frames=32, sampling_rate=3)
# SlowFast reads these frames as BGR, normalises them with the ImageNet numbers, and turns them into RGB only
# then: a red pixel meets the mean of blue.
_SSV2_L = replace(
    _SSV2_S,
    num_frames=40,
    sampling_rate=3,
    crop_size=312,
    short_side=312,
    mean=(0.406, 0.456, 0.485),
    std=(0.225, 0.224, 0.229),
)


def _k400(
    suffix: str, architecture: str, url: str, top1: float, top5: float, recipe: TestRecipe, **more: str
) -> ZooEntry:
    return ZooEntry(
        name=f"{architecture}.{suffix}",
        architecture=architecture,
        dataset="kinetics400",
        num_classes=400,
        url=url,
        top1=top1,
        top5=top5,
        recipe=recipe,
        source=more.get("source", "SlowFast"),
        sha256=more.get("sha256"),
        num_videos=_K400_VALIDATION_VIDEOS,
        class_set="kinetics400",
        note=more.get("note", ""),
    )


def _ssv2(architecture: str, file: str, top1: float, top5: float, recipe: TestRecipe) -> ZooEntry:
    return ZooEntry(
        name=f"{architecture}.ssv2",
        architecture=architecture,
        dataset="ssv2",
        num_classes=174,
        url=f"{_MVITV2}/{file}",
        top1=top1,
        top5=top5,
        recipe=recipe,
        source="SlowFast",
        num_videos=_SSV2_VALIDATION_VIDEOS,
        class_set="ssv2",
    )


_B24_NOTE = (
    "tested with SlowFast's MVIT_B_32x3_CONV file, which has 24 blocks; what the published file holds "
    "shows when it is loaded"
)
_TORCHVISION_NOTE = "accuracy as torchvision measured it, with its own clip sampling and resizing"

_ENTRIES = (
    _k400(
        "k400",
        "mvitv1_b_16x4",
        f"{_PYTORCHVIDEO}/MVIT_B_16x4.pyth",
        78.85,
        93.85,
        _K400_16X4,
        source="PyTorchVideo",
    ),
    _k400(
        "k400_torchvision",
        "mvitv1_b_16x4",
        f"{_TORCHVISION}/mvit_v1_b-dbeb1030.pth",
        78.477,
        93.582,
        _K400_16X4,
        source="torchvision",
        sha256="dbeb1030",
        note=_TORCHVISION_NOTE,
    ),
    _k400(
        "k400",
        "mvitv1_b_32x3",
        f"{_PYTORCHVIDEO}/MVIT_B_32x3_f294077834.pyth",
        80.30,
        94.69,
        _K400_32X3,
        source="PyTorchVideo",
    ),
    _k400("k400", "mvitv1_b24_32x3", f"{_SLOWFAST}/mvit/k400.pyth", 80.4, 94.8, _K400_32X3, note=_B24_NOTE),
    ZooEntry(
        name="mvitv1_b24_32x3.k600",
        architecture="mvitv1_b24_32x3",
        dataset="kinetics600",
        num_classes=600,
        url=f"{_SLOWFAST}/mvit/k600.pyth",
        top1=83.9,
        top5=96.5,
        recipe=_K400_32X3,
        source="SlowFast",
        num_videos=_K600_VALIDATION_VIDEOS,
        note=f"{_B24_NOTE}; the order of its classes was never published, so it has no class names",
    ),
    _k400("k400", "mvitv2_s_16x4", f"{_MVITV2}/MViTv2_S_16x4_k400_f302660347.pyth", 81.0, 94.6, _K400_16X4),
    _k400(
        "k400_torchvision",
        "mvitv2_s_16x4",
        f"{_TORCHVISION}/mvit_v2_s-ae3be167.pth",
        80.757,
        94.665,
        _K400_16X4,
        source="torchvision",
        sha256="ae3be167",
        note=_TORCHVISION_NOTE,
    ),
    _k400("k400", "mvitv2_b_32x3", f"{_MVITV2}/MViTv2_B_32x3_k400_f304025456.pyth", 82.9, 95.7, _K400_32X3),
    _k400("k400", "mvitv2_l_40x3", f"{_MVITV2}/MViTv2_L_40x3_k400_f306903192.pyth", 86.1, 97.0, _K400_L),
    _ssv2("mvitv2_s_16x4", "MViTv2_S_16x4_ssv2_f308341823.pyth", 68.2, 91.4, _SSV2_S),
    _ssv2("mvitv2_b_32x3", "MViTv2_B_32x3_ssv2_f305803282.pyth", 70.5, 92.7, _SSV2_B),
    _ssv2("mvitv2_l_40x3", "MViTv2_L_40x3_ssv2_f309603968.pyth", 73.3, 94.1, _SSV2_L),
)

ZOO: Mapping[str, ZooEntry] = MappingProxyType({entry.name: entry for entry in _ENTRIES})
