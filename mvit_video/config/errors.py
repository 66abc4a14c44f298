"""The error of this room: everything wrong with a configuration, at once."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Place:
    """Where something stands: a file and, where known, its line (counted from 1)."""

    source: str
    line: int | None = None

    def __str__(self) -> str:
        return self.source if self.line is None else f"{self.source}:{self.line}"


COMMAND_LINE = Place("command line")


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: where, and what (the key, what was found, what was expected)."""

    place: Place | None
    text: str

    def __str__(self) -> str:
        return self.text if self.place is None else f"{self.place}: {self.text}"


class ConfigError(ValueError):
    """A configuration that cannot be used.

    Its text is one line for one problem; for several, a line that counts them and one line each.

    Attributes:
        problems: what is wrong, in the order of files, lines and then the command line.
    """

    def __init__(self, problems: Iterable[Problem] | str) -> None:
        self.problems = (Problem(None, problems),) if isinstance(problems, str) else tuple(problems)
        lines = [str(problem) for problem in self.problems]
        if len(lines) > 1:
            lines.insert(0, f"{len(lines)} problems in the configuration:")
        super().__init__("\n  ".join(lines))
