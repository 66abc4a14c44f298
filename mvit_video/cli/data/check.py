"""``mvit-video data check``: decode everything in a list and say what is wrong with it."""

import argparse
import os
import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mvit_video.cli.parsing import Parser, UsageError, naming_flags

if TYPE_CHECKING:
    from mvit_video.data.checking.journal import Journal
    from mvit_video.data.checking.report import Kind, Report
    from mvit_video.data.lists.records import VideoList
    from mvit_video.data.sampling.clips import ClipSpec
    from mvit_video.data.video.opening import Decoding

_DROPPED = "unreadable,label,duplicate"
_SHOWN = 3  # examples of a kind
_FLAGS = {
    "DATA.PATH_PREFIX": "--path-prefix",
    "DATA.LIST_FORMAT": "--list-format",
    "DATA.LABELS_PATH": "--labels",
    "DATA.CLASS_NAMES": "--class-names",
}

_DESCRIPTION = """Decode every frame of every video of a list, with all cores, and report

  unreadable  what cannot be opened or has not one good frame, or crashes or hangs the decoder
  damaged     what is cut off or broken somewhere; the good frames before that are counted
  short       what has fewer frames than a clip spans (with --clip)
  duplicate   the same bytes, or the same path, listed again
  label       no label, or one that is not below the number of classes
  odd         another frame rate or size than nine in ten of the videos have

LIST is whatever DATA.TRAIN_LIST may be: a list file, a folder of videos or of one folder per class, or an
official file of Kinetics or Something-Something-v2. What is found is noted as it comes in a file beside the
report: after a stop the same command goes on, and videos that have not changed are not decoded again.
The exit status is 1 when something was found."""

_EPILOG = """examples:
  mvit-video data check train.list --clip 16x4 --num-classes 400
  mvit-video data check train.list --clean train.clean.list
  mvit-video data check folder/of/videos --report check.csv
"""


def add_parser(verbs: "argparse._SubParsersAction[Parser]") -> None:
    """Add the verb ``check``."""
    parser = verbs.add_parser(
        "check",
        help="decode everything in a list and report what is wrong with it",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    parser.add_argument("list", metavar="LIST", help="the videos")
    parser.add_argument("--path-prefix", metavar="DIR", default="", help="put before relative paths")
    parser.add_argument("--list-format", metavar="NAME", default="auto", help="as DATA.LIST_FORMAT (auto)")
    parser.add_argument("--separator", metavar="TEXT", help="between the columns of a text list")
    parser.add_argument("--labels", metavar="FILE", default="", help="Something-Something-v2's labels.json")
    parser.add_argument(
        "--class-names", metavar="FILE", help="one name per line, or a known set such as kinetics400"
    )
    parser.add_argument("--num-classes", metavar="N", type=int, help="labels must be below this")
    parser.add_argument("--clip", metavar="TxTAU", help="frames and their distance, such as 16x4")
    parser.add_argument("--report", metavar="FILE", help=".json or .csv (default: LIST.check.json)")
    parser.add_argument("--clean", metavar="FILE", help="write the list without what is bad into this file")
    parser.add_argument(
        "--drop",
        metavar="KINDS",
        default=_DROPPED,
        help=f"what is bad, by the words above (default: {_DROPPED}; of duplicates the first stays)",
    )
    parser.add_argument("--workers", metavar="N", type=int, help="processes (default: one per core)")
    parser.add_argument(
        "--timeout", metavar="S", type=float, default=60.0, help="seconds to wait for a decoder (60)"
    )
    parser.add_argument("--backend", metavar="NAME", default="auto", help="as DATA.DECODING_BACKEND (auto)")
    parser.add_argument("--fresh", action="store_true", help="decode again what is known already")
    parser.add_argument("--force", action="store_true", help="replace files that are there already")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Check the list, write the report, and say what was found."""
    from mvit_video.data.checking.journal import Journal
    from mvit_video.data.checking.report import make_report, without
    from mvit_video.data.checking.writing import check_report_path, write_report
    from mvit_video.data.lists.writing import check_output, write_list
    from mvit_video.data.video.opening import Decoding

    _check_numbers(args)
    dropped, clip = _read_kinds(args.drop), _read_clip(args.clip)
    decoding = Decoding(args.backend)
    videos = _read_list(args)
    report_file = args.report or f"{args.list.rstrip(os.sep)}.check.json"
    check_report_path(report_file, force=args.force)
    if args.clean:
        check_output(args.clean, force=args.force)
    with Journal(f"{os.path.splitext(report_file)[0]}.jsonl", decoding, fresh=args.fresh) as journal:
        _check(args, videos, journal, decoding)
        report = make_report(videos, journal.facts, clip=clip, num_classes=args.num_classes)
    write_report(report_file, report)
    _print(report, report_file)
    if args.clean:
        clean = without(videos, report, dropped)
        write_list(args.clean, clean)
        print(f"{args.clean}: {len(clean)} of {len(videos)} videos")
    return 1 if report.findings else 0


def _check_numbers(args: argparse.Namespace) -> None:
    if args.num_classes is not None and args.num_classes < 1:
        raise UsageError(f"--num-classes {args.num_classes}: expected 1 or more")
    if args.workers is not None and args.workers < 0:
        raise UsageError(f"--workers {args.workers}: expected 0 (this process alone) or more")
    if not args.timeout > 0:
        raise UsageError(f"--timeout {args.timeout:g}: expected more than 0")


def _read_kinds(text: str) -> "set[Kind]":
    from mvit_video.data.checking.report import KINDS

    words = [word.strip() for word in text.split(",") if word.strip()]
    unknown = next((word for word in words if word not in KINDS), None)
    if unknown is not None:
        raise UsageError(f"--drop {text}: {unknown!r} is none of {', '.join(KINDS)}")
    return {kind for kind in KINDS if kind in words}


def _read_clip(text: str | None) -> "ClipSpec | None":
    from mvit_video.data.sampling.clips import ClipSpec

    if text is None:
        return None
    found = re.fullmatch(r"([1-9][0-9]*)x([1-9][0-9]*)", text)
    if found is None:
        raise UsageError(f"--clip {text}: expected frames x distance, such as 16x4")
    return ClipSpec(int(found[1]), int(found[2]))


def _read_list(args: argparse.Namespace) -> "VideoList":
    from mvit_video.data.lists.content import read_names
    from mvit_video.data.lists.reading import read_list
    from mvit_video.weights import class_names

    names: tuple[str, ...] | None = None
    if args.class_names and os.path.isfile(args.class_names):
        names = read_names(args.class_names)
    elif args.class_names:
        names = class_names(args.class_names)
    with naming_flags(_FLAGS):
        return read_list(
            args.list,
            separator=args.separator,
            path_prefix=args.path_prefix,
            list_format=args.list_format,
            class_names=names,
            labels_path=args.labels,
        )


def _check(args: argparse.Namespace, videos: "VideoList", journal: "Journal", decoding: "Decoding") -> None:
    """Decodes what is not known yet."""
    from mvit_video.data.checking.running import check_videos, left_to_check
    from mvit_video.engine.machine import num_cpus
    from mvit_video.engine.records.display import counting

    paths = left_to_check([record.path for record in videos], journal)
    num_files = len({record.path for record in videos})
    if len(paths) < num_files:
        print(f"{num_files - len(paths)} of {num_files} are known from {journal.path}", file=sys.stderr)
    workers = num_cpus() if args.workers is None else args.workers
    done = 0
    try:
        with counting("checking", len(paths)) as report:
            for done, _ in enumerate(
                check_videos(
                    paths, journal, decoding=decoding, num_workers=workers, timeout_seconds=args.timeout
                ),
                1,
            ):
                report(done)
    except KeyboardInterrupt:
        print(f"stopped with {len(paths) - done} videos left; the same command goes on", file=sys.stderr)
        raise


def _print(report: "Report", report_file: str) -> None:
    from rich.filesize import decimal

    from mvit_video.data.checking.report import KINDS

    time = f"{report.hours:.2f} hours" if report.hours >= 1 else f"{report.hours * 60:.1f} minutes"
    print(
        f"{report.source}: {report.num_videos} videos, {report.num_frames} frames, {time}, "
        f"{decimal(report.num_bytes)}"
    )
    _print_counts("frames per second", [(f"{rate:g}", count) for rate, count in report.rates])
    _print_counts("sizes", report.sizes)
    _print_classes(report)
    for kind in KINDS:
        findings = report.of_kind(kind)
        examples = [f"{finding.path}: {finding.detail}" for finding in findings[:_SHOWN]]
        more = ["..."] if len(findings) > _SHOWN else []
        print("\n".join([f"{kind:12}{len(findings):8}", *(f"    {line}" for line in (*examples, *more))]))
    found = len({finding.row for finding in report.findings})
    print(f"{report_file}: {f'{found} videos with findings' if found else 'nothing was found'}")


def _print_counts(title: str, counts: Sequence[tuple[str, int]]) -> None:
    if counts:
        shown = ", ".join(f"{name} ({count})" for name, count in counts[:_SHOWN])
        more = f", and {len(counts) - _SHOWN} more" if len(counts) > _SHOWN else ""
        print(f"{title}: {shown}{more}")


def _print_classes(report: "Report") -> None:
    if not report.classes:
        return
    names, counts = report.class_names, report.classes

    def describe(label: int) -> str:
        videos = "1 video" if counts[label] == 1 else f"{counts[label]} videos"
        return f"{videos} ({names[label] if names and label < len(names) else f'class {label}'})"

    fewest, most = (choose(counts, key=counts.__getitem__) for choose in (min, max))
    spread = f"{describe(fewest)} to {describe(most)}"
    if counts[fewest] == counts[most]:
        spread = f"{describe(most).partition(' (')[0]} each"
    print(f"classes: {len(counts)}{f' of {len(names)}' if names else ''}, with {spread}")
