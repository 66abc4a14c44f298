"""``mvit-video status``: how a run on the cluster stands."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mvit_video.cli.parsing import Parser, UsageError

if TYPE_CHECKING:
    from mvit_video.launch.looking.state import RunState

_DESCRIPTION = """Say how a run that mvit-video submit handed in stands: whether it waits, runs, is done or
has failed and why, how far it is, how often it was queued again, and where its logs are.

Its own records are read, and squeue and sacct asked where they are there.
"""

_EPILOG = """examples:
  mvit-video status out
  mvit-video status out --logs -f
  mvit-video status out --retry
  mvit-video status out --wait

exit status: 0 it waits, runs or is done; 1 done, but some videos could not be read; 2 it has failed, was
cancelled, or is not known.
"""


def add_parser(verbs: "argparse._SubParsersAction[Parser]") -> None:
    """Add the verb ``status``."""
    parser = verbs.add_parser(
        "status", help="how a run on the cluster stands", description=_DESCRIPTION, epilog=_EPILOG
    )
    parser.add_argument(
        "folder", metavar="DIR", help="OUTPUT_DIR of the run; answers for a prediction into answers.json"
    )
    parser.add_argument(
        "--logs", action="store_true", help="show the last lines of what each process printed"
    )
    parser.add_argument("-f", "--follow", action="store_true", help="with --logs: go on with what is added")
    parser.add_argument("--lines", metavar="N", type=int, default=20, help="with --logs (default: 20)")
    parser.add_argument(
        "--retry", action="store_true", help="submit again what is not done: the run, or the missing parts"
    )
    parser.add_argument("--merge", action="store_true", help="join the parts, if all are done")
    parser.add_argument("--wait", action="store_true", help="wait until the run has ended, then say how")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Do one of these; say how the run stands otherwise."""
    folder = Path(args.folder)
    if args.follow and not args.logs:
        raise UsageError("-f follows the logs: it goes with --logs")
    from mvit_video.launch.looking.describing import describe
    from mvit_video.launch.looking.state import look
    from mvit_video.launch.looking.waiting import wait

    if args.retry:
        _retry(folder)
    if args.merge:
        _merge(folder)
    state = wait(folder) if args.wait else look(folder)
    if args.logs:
        _show_logs(state, args)
    else:
        print(describe(state))
    return exit_status(state)


def exit_status(state: "RunState") -> int:
    """0, 1 or 2, as ``--help`` says."""
    if state.state == "done":
        return state.status or 0
    return 2 if state.is_over or state.state == "unknown" else 0


def _retry(folder: Path) -> None:
    from mvit_video.launch.queueing.submitting import submit_again

    _, job, parts = submit_again(folder)
    what = f"parts {', '.join(map(str, parts))}" if parts else "the run, from its last checkpoint"
    print(f"job {job}: {what}", file=sys.stderr)


def _merge(folder: Path) -> None:
    from mvit_video.launch.array.parts import finish
    from mvit_video.launch.looking.state import look

    state = look(folder)
    if not state.request.parts:
        raise UsageError(f"{folder}: is no run in parts, so there is nothing to join")
    finish(state.submission, state.request)


def _show_logs(state: "RunState", args: argparse.Namespace) -> None:
    from mvit_video.launch.looking.logs import follow_logs, show_logs
    from mvit_video.launch.looking.state import look

    show_logs(state.submission, args.lines, sys.stdout.write)
    sys.stdout.flush()
    if args.follow:

        def write(text: str) -> None:
            sys.stdout.write(text)
            sys.stdout.flush()

        follow_logs(state.submission, write, lambda: not look(Path(args.folder)).is_over)
