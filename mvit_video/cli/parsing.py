"""The parser the verbs share, and the flags several of them have in common."""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn, Protocol

if TYPE_CHECKING:
    from mvit_video.config import Config

DEVICES = ("auto", "cpu", "cuda")
PRECISIONS = ("auto", "fp32", "bf16", "fp16")


class UsageError(ValueError):
    """What was typed cannot be understood; the text is one line."""


class VerbModule(Protocol):
    """A module with a verb of the command line in it."""

    def add_parser(self, verbs: "argparse._SubParsersAction[Parser]") -> None:
        """Add the verb, with ``set_defaults(run=...)``: from the parsed words to an exit status."""


class Parser(argparse.ArgumentParser):
    """An ``ArgumentParser`` that raises `UsageError`, keeps its texts' layout and takes no abbreviations."""

    verbs: "Mapping[str, Parser]"  # none: this is the parser of a verb itself

    def __init__(
        self,
        *,
        prog: str | None = None,
        description: str | None = None,
        epilog: str | None = None,
        help: str | None = None,  # argparse hands it on from add_parser
    ) -> None:
        super().__init__(
            prog=prog,
            description=description,
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        self.verbs = {}

    def error(self, message: str) -> NoReturn:
        """Raise what argparse found wrong instead of printing the usage and leaving."""
        raise UsageError(f"{message} ({self.prog} --help explains)")

    def add_verbs(self, modules: Sequence[VerbModule]) -> None:
        """Give this parser the verbs of ``modules``; it takes one of them and nothing else then."""
        verbs: argparse._SubParsersAction[Parser] = self.add_subparsers(
            title="verbs", dest="verb", metavar="VERB", required=True
        )
        for module in modules:
            module.add_parser(verbs)
        self.verbs = verbs.choices

    def parse_words(self, words: Sequence[str]) -> argparse.Namespace:
        """Parse a whole command line, from the verb on.

        A verb's words may stand anywhere between its flags, which argparse only allows without sub-parsers;
        so the parser of the verb is looked up here.

        Raises:
            UsageError: The words cannot be understood, or the verb is missing.
        """
        if not self.verbs:
            return self.parse_intermixed_args(words)
        if not words:
            self.print_help()
            raise UsageError(f"which verb? ({self.prog} --help lists them)")
        verb = self.verbs.get(words[0])
        return self.parse_args(words) if verb is None else verb.parse_words(words[1:])


def shield_negative_numbers(words: Sequence[str]) -> list[str]:
    """Put a blank before ``-1e-3``, ``-inf`` and the like, so that argparse does not take them for flags."""
    return [f" {word}" if word.startswith("-") and _is_number(word) else word for word in words]


def unshield(word: str) -> str:
    """Take that blank away again."""
    return word[1:] if word.startswith(" -") else word


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


@contextmanager
def naming_flags(flags: Mapping[str, str]) -> Iterator[None]:
    """Errors in here speak of the flags of a verb, not of the configuration's keys that mean the same.

    Raises:
        UsageError: For a ``ValueError``, with every key of ``flags`` replaced by its flag.
    """
    try:
        yield
    except ValueError as error:
        text = str(error)
        for key, flag in flags.items():
            text = text.replace(key, flag)
        raise UsageError(text) from error


def add_config_flags(parser: argparse._ActionsContainer, *, required: bool) -> None:
    """Add ``--cfg`` and ``--print-config``."""
    parser.add_argument(
        "--cfg",
        metavar="FILE",
        action="append",
        default=[],
        required=required,
        help="a YAML file or a packaged one such as K400/MVITv2_S_16x4; repeat it to lay one over another",
    )
    parser.add_argument(
        "--print-config",
        action="store_true",
        help="print what would be used (values, blocks, parameters, GFLOPs, views, batch) and stop",
    )


def read_config(
    files: Sequence[str], words: Sequence[str], *, fixed: Mapping[str, str] | None = None
) -> "Config":
    """The configuration of ``files``, changed by the ``words`` typed, then by a verb's ``fixed`` keys."""
    from mvit_video.config import load_config

    overrides = [unshield(word) for word in words]
    return load_config(files, overrides, fixed=fixed)


def print_config(config: "Config") -> int:
    """Print what a run with ``config`` would use."""
    from mvit_video.engine.report import print_config as describe

    print(describe(config))
    return 0
