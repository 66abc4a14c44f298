"""``mvit-video data make-list``: a clean list from what is on disk."""

import argparse

from mvit_video.cli.parsing import Parser, UsageError


def add_parser(verbs: "argparse._SubParsersAction[Parser]") -> None:
    """Add the verb ``make-list``."""
    parser = verbs.add_parser("make-list", help="write a clean list of the videos that are on disk")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the list."""
    raise UsageError("make-list is not there yet")
