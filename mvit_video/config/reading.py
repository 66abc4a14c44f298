"""YAML files as a list of settings, each with the line it stands on."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mvit_video.config.errors import ConfigError, Place, Problem
from mvit_video.config.finding import config_folder, packaged_configs

BASE_KEY = "_BASE_"

_logger = logging.getLogger("mvit_video.config")
_MERGE_TAG = "tag:yaml.org,2002:merge"


@dataclass(frozen=True)
class Setting:
    """One key given a value somewhere; the value is as YAML or the command line has it."""

    key: str
    value: Any
    place: Place


def read_file(
    path: Path, inherited_by: tuple[Path, ...] = (), named_at: Place | None = None
) -> list[Setting]:
    """Read a file and, before it, the files that its ``_BASE_`` names (relative to it, or packaged ones).

    Of a key given twice in one mapping the last counts, which is logged.

    Args:
        path: The YAML file.
        inherited_by: The files that led here, to refuse a circle.
        named_at: Where the last of those names this one.

    Returns:
        The settings, the ones that count later in the list.

    Raises:
        ConfigError: When a file cannot be read, is not a mapping in YAML, or inherits from itself.
    """
    chain = (*inherited_by, path)
    if path.resolve() in {earlier.resolve() for earlier in inherited_by}:
        circle = " -> ".join(str(step) for step in chain)
        raise ConfigError([Problem(named_at, f"{BASE_KEY} goes round in a circle: {circle}")])
    settings: list[Setting] = []
    problems: list[Problem] = []
    own = _parse(path)
    for base in (setting for setting in own if setting.key == BASE_KEY):
        for name in _base_names(base):
            try:
                settings += read_file(_base_path(name, path, base.place), chain, base.place)
            except ConfigError as error:
                problems += error.problems
    if problems:
        raise ConfigError(problems)
    return settings + [setting for setting in own if setting.key != BASE_KEY]


def _base_names(base: Setting) -> list[str]:
    names = base.value if isinstance(base.value, list) else [base.value]
    if not names or not all(isinstance(name, str) and name for name in names):
        text = f"{BASE_KEY}: found {base.value!r}, expected the path of a YAML file, or a list of paths"
        raise ConfigError([Problem(base.place, text)])
    return names


def _base_path(name: str, path: Path, place: Place) -> Path:
    base = path.parent / Path(name).expanduser()
    packaged = Path(name).as_posix().removesuffix(".yaml")
    if base.is_file():
        return base
    if packaged in packaged_configs():
        return config_folder() / f"{packaged}.yaml"
    text = (
        f"{BASE_KEY}: no file {base}; expected a path relative to the file that names it, or a packaged "
        "configuration such as K400/MVITv2_S_16x4"
    )
    raise ConfigError([Problem(place, text)])


def _parse(path: Path) -> list[Setting]:
    try:
        loader = yaml.SafeLoader(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(
            [Problem(Place(str(path)), f"cannot be read as YAML text: {_one_line(error)}")]
        ) from error
    try:
        root = loader.get_single_node()
        if root is None:
            return []
        if not isinstance(root, yaml.MappingNode):
            place = Place(str(path), root.start_mark.line + 1)
            raise ConfigError(
                [Problem(place, "found no keys, expected lines such as 'DATA:' and '  NUM_FRAMES: 16'")]
            )
        return list(_flatten(loader, root, str(path), "", ()))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(str(path), mark.line + 1 if mark else None)
        raise ConfigError([Problem(place, f"not valid YAML: {error.problem}")]) from error
    except yaml.YAMLError as error:
        raise ConfigError([Problem(Place(str(path)), f"not valid YAML: {_one_line(error)}")]) from error
    finally:
        loader.dispose()


def _flatten(
    loader: yaml.SafeLoader, node: yaml.MappingNode, source: str, prefix: str, above: tuple[yaml.Node, ...]
) -> Iterator[Setting]:
    if node in above:
        raise ConfigError([Problem(Place(source, node.start_mark.line + 1), "an alias that contains itself")])
    _warn_of_duplicates(node, source, prefix)
    loader.flatten_mapping(node)
    last = {_name(key_node): (key_node, value_node) for key_node, value_node in node.value}
    for name, (key_node, value_node) in last.items():
        key = prefix + name
        if isinstance(value_node, yaml.MappingNode):
            yield from _flatten(loader, value_node, source, f"{key}.", (*above, node))
        else:
            value = loader.construct_object(value_node, deep=True)
            yield Setting(key, value, Place(source, key_node.start_mark.line + 1))


def _warn_of_duplicates(node: yaml.MappingNode, source: str, prefix: str) -> None:
    lines: dict[str, int] = {}
    for key_node, _ in node.value:
        name, line = _name(key_node), key_node.start_mark.line + 1
        if name in lines and key_node.tag != _MERGE_TAG:
            _logger.warning(
                "%s:%d: %s is already set in line %d; the last one, line %d, counts",
                source, line, prefix + name, lines[name], line,
            )  # fmt: skip
        lines[name] = line


def _name(key_node: yaml.Node) -> str:
    return key_node.value if isinstance(key_node, yaml.ScalarNode) else "?"


def _one_line(error: Exception) -> str:
    # An OSError's text would repeat the path.
    return " ".join(str(getattr(error, "strerror", None) or error).split())
