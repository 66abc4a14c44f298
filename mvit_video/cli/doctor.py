"""``mvit-video doctor``: what is installed here, what this machine can do, and what is wrong."""

import argparse
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from mvit_video.cli.parsing import Parser

if TYPE_CHECKING:
    from mvit_video.cli.checks import Finding


def add_parser(verbs: "argparse._SubParsersAction[Parser]") -> None:
    """Add the verb ``doctor``."""
    parser = verbs.add_parser(
        "doctor",
        help="versions, devices, decoders, bf16 support, the cache, and what is wrong with them",
        description="Print versions, devices, decoders, bf16 support and the cache, and what is wrong.\n"
        "The exit status is 1 when something is wrong. Nothing is changed, nothing is downloaded.",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print every check; 1 when one of them found something wrong."""
    from mvit_video.cli.checks import CHECKS, Finding

    problems: list[Finding] = []
    for title, check in CHECKS.items():
        print(title)
        for finding in _guarded(check):
            print(f"  {finding.subject:<14} {finding.text}{'' if finding.ok else '   <-- wrong'}")
            if not finding.ok:
                problems.append(finding)
    print()
    if not problems:
        print("nothing wrong found")
        return 0
    print("1 thing is wrong:" if len(problems) == 1 else f"{len(problems)} things are wrong:")
    for finding in problems:
        print(f"  {finding.subject}: {finding.remedy or finding.text}")
    return 1


def _guarded(check: "Callable[[], Sequence[Finding]]") -> "Sequence[Finding]":
    from mvit_video.cli.checks import Finding

    try:
        return check()
    except Exception as error:  # one broken package must not hide what the other checks find
        return [Finding("check", f"failed: {type(error).__name__}: {error}", ok=False)]
