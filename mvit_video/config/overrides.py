"""Values given on the command line, in any of three spellings."""

import re
from collections.abc import Iterator, Sequence

from mvit_video.config.errors import COMMAND_LINE, ConfigError, Problem
from mvit_video.config.reading import Setting

_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*(?:\.\w+)*)=(.*)", re.DOTALL)
_KEY = re.compile(r"[A-Za-z_]\w*(?:\.\w+)*")


def parse_overrides(words: Sequence[str]) -> list[Setting]:
    """Read ``KEY VALUE``, ``KEY=VALUE`` and ``--opts KEY VALUE ...``, mixed as they come.

    Raises:
        ConfigError: When a key has no value, or a word stands where a key should.
    """
    if isinstance(words, str):
        raise TypeError("expected a list of words, such as ['DATA.NUM_FRAMES', '16'], not one text")
    return list(_settings(iter(words)))


def _settings(words: Iterator[str]) -> Iterator[Setting]:
    for word in words:
        if word == "--opts":
            continue
        assignment = _ASSIGNMENT.fullmatch(word)
        if assignment:
            yield Setting(assignment[1], assignment[2], COMMAND_LINE)
            continue
        if not _KEY.fullmatch(word):
            text = f"found {word!r}, expected a key: KEY VALUE, KEY=VALUE or --opts KEY VALUE"
            raise ConfigError([Problem(COMMAND_LINE, text)])
        value = next(words, None)
        if value is None:
            text = f"{word} has no value; expected KEY VALUE, KEY=VALUE or --opts KEY VALUE"
            raise ConfigError([Problem(COMMAND_LINE, text)])
        yield Setting(word, value, COMMAND_LINE)
