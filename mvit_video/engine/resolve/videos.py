"""Where the videos of a run are, and how they are decoded."""

from importlib import import_module
from pathlib import Path

from mvit_video.config import Config, ConfigError
from mvit_video.data.video.opening import Decoding

# In DATA.PATH_TO_DATA_DIR, best first. Something-Something-v2 has no labels for its test videos, so that its
# test is on the validation videos, in SlowFast too.
_FILES = {
    "train": ("train.csv", "something-something-v2-train.json", "train.json"),
    "val": ("val.csv", "something-something-v2-validation.json", "validation.json"),
}


def resolve_list(config: Config, split: str) -> str:
    """The list of one split, "train", "val" or "test": its own key, or a file in DATA.PATH_TO_DATA_DIR.

    Raises:
        ConfigError: When neither is given.
    """
    data, own = config.data, f"{split}_list"
    if getattr(data, own):
        return str(getattr(data, own))
    if not data.path_to_data_dir:
        raise ConfigError(
            f"DATA.{own.upper()} is not set: give a list file or a folder per class, or "
            f"DATA.PATH_TO_DATA_DIR, a folder with {split}.csv"
        )
    folder = data.path_to_data_dir.rstrip("/") or "/"
    names = [f"{split}.csv"]
    if data.sampling == "segments":
        names += _FILES["val" if split == "test" else split]
    paths = [f"{folder.rstrip('/')}/{name}" for name in names]
    return next((path for path in paths if Path(path).is_file()), paths[0])


def resolve_decoding(config: Config) -> Decoding:
    """Which decoder reads the files, and what it does about damaged ones.

    Raises:
        ConfigError: The decoder is not installed, or does not load.
    """
    backend = config.data.decoding_backend
    if backend not in ("auto", "pyav"):
        try:
            import_module(f"mvit_video.data.video.{backend}_reader")
        except (ImportError, OSError, RuntimeError) as error:  # a library that does not load may be any
            reason = str(error).strip().splitlines()[0]
            raise ConfigError(
                f"DATA.DECODING_BACKEND is {backend!r}, which cannot be imported ({reason}): "
                f"pip install {backend}, or set it to auto"
            ) from error
    return Decoding(backend, config.data.on_damage, frames_fps=config.data.frames_fps)
