"""SlowFast's own files, the shipped ones, and the error of a function that takes a configuration."""

from pathlib import Path

import pytest

from mvit_video.config import ConfigError, load_config, packaged_configs

SLOWFAST_FILES = Path(__file__).parents[1] / "golden" / "slowfast_configs"
PUBLISHED = [name for name in packaged_configs() if not name.startswith("demo/")]


def message(function, *overrides, files=(), more=()):
    """What the function says is wrong with this configuration."""
    with pytest.raises(ConfigError) as caught:
        function(load_config(files, list(overrides)), *more)
    return str(caught.value)
