"""From what the user calls a configuration to its file."""

from difflib import get_close_matches
from importlib import resources
from importlib.util import find_spec
from pathlib import Path

from mvit_video.config.errors import ConfigError

BASE_FOLDER = "base"  # what the shipped files inherit from; not configurations by themselves


def config_folder() -> Path:
    """The folder of the configurations that come with the package.

    Where Python runs at the top of a checkout, it imports the package from there: configs/ lies beside it.
    """
    if find_spec("mvit_video.configs") is None:
        return Path(__file__).parents[2] / "configs"
    return Path(str(resources.files("mvit_video.configs")))


def packaged_configs() -> tuple[str, ...]:
    """Names of the configurations that come with the package, such as ``K400/MVITv2_S_16x4``."""
    folder = config_folder()
    names = (path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.yaml"))
    return tuple(sorted(name for name in names if not name.startswith(f"{BASE_FOLDER}/")))


def find_config(name: str | Path) -> Path:
    """The file that ``name`` means: a path first, then a packaged name with or without ``.yaml``.

    Raises:
        ConfigError: When there is neither; names the closest packaged configuration.
    """
    path = Path(name).expanduser()
    if path.is_file():
        return path
    packaged = packaged_configs()
    wanted = path.as_posix().removesuffix(".yaml")
    if wanted in packaged:
        return config_folder() / f"{wanted}.yaml"
    if path.is_dir():
        raise ConfigError(f"{name}: is a folder, expected a YAML file or one of {', '.join(packaged)}")
    by_lower = {known.lower(): known for known in packaged}
    close = get_close_matches(wanted.lower(), list(by_lower), n=1, cutoff=0.5)
    hint = f"did you mean {by_lower[close[0]]}?" if close else f"packaged are {', '.join(packaged)}"
    raise ConfigError(f"{name}: no such file, and no packaged configuration; {hint}")
