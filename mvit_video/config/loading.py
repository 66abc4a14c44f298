"""Files and overrides in, one checked `Config` out."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mvit_video.config import slowfast
from mvit_video.config.errors import COMMAND_LINE, ConfigError, Problem
from mvit_video.config.finding import find_config
from mvit_video.config.literals import expected, interpret
from mvit_video.config.overrides import parse_overrides
from mvit_video.config.reading import Setting, read_file
from mvit_video.config.schema import KEYS, SECTIONS, Config, Key, clashes

_logger = logging.getLogger("mvit_video.config")
_LONGEST_VALUE = 80  # characters of a value shown in a message


def load_config(
    files: Sequence[str | Path] | str | Path = (),
    overrides: Sequence[str] = (),
    *,
    fixed: Mapping[str, str] | None = None,
) -> Config:
    """Load a configuration: defaults, then each file in turn, then the overrides.

    What is ignored, renamed or given twice is logged to ``mvit_video.config``.

    Args:
        files: Paths, or names of packaged configurations such as ``K400/MVITv2_S_16x4``.
        overrides: ``KEY VALUE`` pairs, ``KEY=VALUE`` or ``--opts KEY VALUE ...``, as typed.
        fixed: Values by key that nothing overrides, such as TRAIN.ENABLE for ``mvit-video train``.

    Raises:
        ConfigError: With everything that is wrong, each with its place.
    """
    settings: list[Setting] = []
    problems: list[Problem] = []
    for file in [files] if isinstance(files, str | Path) else files:
        try:
            settings += read_file(find_config(file))
        except ConfigError as error:
            problems += error.problems
    try:
        settings += parse_overrides(overrides)
    except ConfigError as error:
        problems += error.problems
    settings += [Setting(key, value, COMMAND_LINE) for key, value in (fixed or {}).items()]
    try:
        settings = slowfast.add_sampling(settings)
    except ConfigError as error:
        problems += error.problems
    return _build(settings, problems)


def _build(settings: list[Setting], problems: list[Problem]) -> Config:
    ours: list[Setting] = []
    foreign: dict[str, Setting] = {}
    for setting in settings:
        if setting.key in KEYS:
            ours.append(slowfast.rename_value(setting))
        elif (
            setting.key.lower() not in SECTIONS or setting.value is not None
        ):  # an empty section says nothing
            foreign[setting.key] = setting  # the last one counts: an override can take a foreign key back
    found = list(_foreign_problems(foreign.values()))
    values: dict[str, tuple[Any, Setting]] = {}
    for setting in ours:
        key = KEYS[setting.key]
        value = interpret(setting.value, key.info.rebuild_annotation())
        problem = _check(key, value, setting)
        if problem:
            found.append(problem)
        else:
            values[setting.key] = (value, setting)
    wrong = {setting.key for setting in ours} - set(values)
    config = _assemble({key: value for key, (value, _) in values.items()})
    for clash in clashes(config):
        if not wrong.intersection(clash.keys):
            setters = [values[key][1] for key in clash.keys if key in values]
            found.append(Problem(setters[0].place if setters else None, clash.text))
    order = {setting.place: i for i, setting in enumerate(settings)}
    problems += sorted(found, key=lambda problem: order[problem.place] if problem.place else len(order))
    if problems:
        raise ConfigError(problems)
    return config


def _assemble(values: dict[str, Any]) -> Config:
    """A `Config` of values that are right one by one, whether or not they go together."""
    sections: dict[str, dict[str, Any]] = {}
    top: dict[str, Any] = {}
    for dotted, value in values.items():
        key = KEYS[dotted]
        (sections.setdefault(key.section, {}) if key.section else top)[key.field] = value
    built = {name: SECTIONS[name].model_validate(fields) for name, fields in sections.items()}
    return Config.model_construct(_fields_set={*built, *top}, **built, **top)


def _check(key: Key, value: Any, setting: Setting) -> Problem | None:
    try:
        key.model.model_validate({key.field: value})
    except ValidationError as error:
        first = error.errors()[0]
        steps = [step for step in first["loc"][1:] if isinstance(step, int)]
        if first["type"] == "missing":  # an entry that is too short: show the entry
            steps = steps[:-1]
        where = "".join(f"[{step}]" for step in steps)
        found = f"{_show(first['input'])} at {where}" if where else _show(setting.value)
        return Problem(setting.place, f"{key.dotted}: found {found}, expected {expected(key.info)}")
    return None


def _show(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}..."


def _foreign_problems(settings: Iterable[Setting]) -> Iterator[Problem]:
    """Refuse keys that are unknown, or SlowFast's and refused; log those that are SlowFast's and ignored."""
    ignored: dict[slowfast.Foreign, list[Setting]] = {}
    for setting in settings:
        entry = slowfast.lookup(setting.key)
        if entry is None:
            yield Problem(setting.place, _unknown(setting))
        elif entry.accepts(setting.value):
            continue
        elif entry.refused:
            text = (
                f"{setting.key}: found {_show(setting.value)}: {entry.reason}; {entry.way_out(setting.key)}"
            )
            yield Problem(setting.place, text)
        else:
            ignored.setdefault(entry, []).append(setting)
    for entry, group in ignored.items():
        _logger.warning("%s: ignored %s: %s", group[0].place, ", ".join(s.key for s in group), entry.reason)


def _unknown(setting: Setting) -> str:
    key = setting.key
    if key.lower() in SECTIONS:
        return f"{key}: found {_show(setting.value)}, expected keys below it, such as {_first_key(key)}"
    section, _, leaf = key.upper().rpartition(".")
    same_leaf = [known for known in KEYS if known.rpartition(".")[2] == leaf]
    close = get_close_matches(key.upper(), same_leaf, n=1, cutoff=0.0) or get_close_matches(
        key.upper(), KEYS, n=1
    )
    if not close:
        return f"unknown key {key}; --print-config shows every key"
    home = close[0].rpartition(".")[0]
    moved = same_leaf and section.lower() in SECTIONS and home != section
    hint = f" (it is in {home}, not in {section})" if moved and home else ""
    return f"unknown key {key}; did you mean {close[0]}{hint}?"


def _first_key(section: str) -> str:
    return next(key.dotted for key in KEYS.values() if key.section == section.lower())
