"""What a run is: typed, frozen, spelled in YAML as SlowFast spells it."""

from mvit_video.config.dumping import dump_config
from mvit_video.config.errors import ConfigError, Place, Problem
from mvit_video.config.finding import find_config, packaged_configs
from mvit_video.config.loading import load_config
from mvit_video.config.schema import Config, set_keys

__all__ = [
    "Config",
    "ConfigError",
    "Place",
    "Problem",
    "dump_config",
    "find_config",
    "load_config",
    "packaged_configs",
    "set_keys",
]
