"""A configuration as YAML text that loads again."""

from typing import Any

import yaml

from mvit_video.config.literals import interpret, takes_text
from mvit_video.config.schema import KEYS, Config, Key, set_keys, value_of


class _Dumper(yaml.SafeDumper):
    """Sections as blocks, lists on one line."""


_Dumper.add_representer(
    tuple, lambda dumper, value: dumper.represent_sequence("tag:yaml.org,2002:seq", value, flow_style=True)
)


def dump_config(config: Config, *, every_key: bool = False) -> str:
    """Write a configuration in SlowFast's spelling: the keys that were set, in the order of the schema.

    ``load_config`` of the result equals ``config``, and the same keys count as set.

    Args:
        config: The configuration.
        every_key: Write the defaults too; all keys then count as set when it is loaded.
    """
    tree: dict[str, Any] = {}
    for dotted in KEYS if every_key else set_keys(config):
        key = KEYS[dotted]
        home = tree.setdefault(key.section.upper(), {}) if key.section else tree
        home[key.field.upper()] = _plain(key, value_of(config, key))
    if not tree:
        return ""
    return yaml.dump(tree, Dumper=_Dumper, sort_keys=False, default_flow_style=False, width=110)


def _plain(key: Key, value: Any) -> Any:
    """A value as YAML shall hold it: text that would be read as something else is quoted as Python does."""
    if isinstance(value, str) and takes_text(key.info.annotation) and interpret(value, str) != value:
        return repr(value)
    return value
