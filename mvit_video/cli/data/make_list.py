"""``mvit-video data make-list``: a clean list from what is on disk."""

import argparse
import os
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mvit_video.cli.parsing import Parser, UsageError, naming_flags

if TYPE_CHECKING:
    from mvit_video.data.lists.making import MadeList
    from mvit_video.data.lists.records import VideoList

KINETICS = ("kinetics400", "kinetics600", "kinetics700")
KINDS = (*KINETICS, "ssv2", "folders", "list")
_DEFAULT_SHARE = 0.2
_SHOWN = 5  # names of a kind in the summary
_FLAGS = {"MODEL.NUM_CLASSES": "--class-names", "DATA.CLASS_NAMES": "--class-names"}

_DESCRIPTION = """Write a list of the videos that are on disk, with their labels, and say what is missing.

KIND is what the videos come with:
  kinetics400, kinetics600, kinetics700
            the official csv file (label,youtube_id,time_start,time_end,split); the videos are
            ID_START_END.mp4, flat or in folders, with or without leading zeros, or just ID.mp4
  ssv2      train.json, validation.json or test.json of Something-Something-v2; the videos are
            ID.webm, or folders ID of frames
  folders   nothing: there is a folder of videos per class
  list      another list (SlowFast, PyTorchVideo, mmaction2, one of make-list), made elsewhere

Files are found by their names, however deep they lie below --videos, and not opened: for that
there is mvit-video data check."""

_EPILOG = """examples:
  mvit-video data make-list kinetics400 --annotations train.csv --videos k400/train --output train.list
  mvit-video data make-list ssv2 --annotations labels/validation.json --videos webm --output val.list
  mvit-video data make-list folders --videos clips --output train.list --val-output val.list
  mvit-video data make-list list --annotations old.csv --videos /new/place --output new.list

Labels count in the official order of a set's classes; those of folders are sorted by name. Where the
order is not an official one, class_names.txt is written beside the list, for DATA.CLASS_NAMES.
The exit status is 0 when the list is written, however many videos are missing: the summary says so.
"""


def add_parser(verbs: "argparse._SubParsersAction[Parser]") -> None:
    """Add the verb ``make-list``."""
    parser = verbs.add_parser(
        "make-list",
        help="write a list of the videos that are on disk, and say what is missing",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    parser.add_argument("kind", metavar="KIND", choices=KINDS, help=f"one of {', '.join(KINDS)}")
    parser.add_argument("--videos", metavar="DIR", required=True, help="where the videos are")
    parser.add_argument(
        "--annotations", metavar="FILE", help="what names the videos and their classes (all but folders)"
    )
    parser.add_argument("--output", metavar="FILE", required=True, help="the list to write")
    parser.add_argument(
        "--class-names",
        metavar="FILE",
        help="the classes in the order of their labels: a text file with one name per line, a known set such "
        "as kinetics400, or (ssv2) labels.json",
    )
    parser.add_argument("--split", metavar="NAME", help="kinetics: only these rows of the csv file, as val")
    parser.add_argument(
        "--val-output", metavar="FILE", help="folders, list: put some videos of every class into this list"
    )
    parser.add_argument(
        "--val-share", metavar="PART", type=float, help=f"of each class (default: {_DEFAULT_SHARE})"
    )
    parser.add_argument("--seed", metavar="N", type=int, help="draws others into --val-output (default: 0)")
    parser.add_argument(
        "--relative",
        action="store_true",
        help="write paths relative to --videos, to be read with DATA.PATH_PREFIX (default: absolute paths)",
    )
    parser.add_argument(
        "--missing",
        metavar="FILE",
        help="where the missing videos are named (default: --output with the ending .missing.txt)",
    )
    parser.add_argument("--force", action="store_true", help="replace files that are there already")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Make the list, write it, and say what was found."""
    _check(args)
    from mvit_video.data.lists.making import split_off
    from mvit_video.data.lists.writing import check_output, write_lines, write_list

    outputs = [name for name in (args.output, args.val_output) if name]
    missing_file = args.missing or f"{os.path.splitext(args.output)[0]}.missing.txt"
    for name in (*outputs, missing_file):
        check_output(name, force=args.force)
    made, official = _make(args)
    names_file = _names_file(args, made.videos, official)
    parts: Sequence[VideoList] = (made.videos,)
    if args.val_output:
        share = _DEFAULT_SHARE if args.val_share is None else args.val_share
        parts = split_off(made.videos, share, args.seed or 0)
    for name, part in zip(outputs, parts, strict=True):
        write_list(name, part, relative_to=os.path.abspath(args.videos) if args.relative else None)
    unlisted = [*made.missing, *made.ambiguous]
    if unlisted:
        write_lines(missing_file, unlisted)
    elif os.path.exists(missing_file):
        os.unlink(missing_file)  # an older list's; --force allowed to replace it
    if names_file and made.videos.class_names:
        write_lines(names_file, made.videos.class_names)
    _summarise(made, list(zip(outputs, parts, strict=True)), missing_file if unlisted else None)
    _suggest(args, made, outputs, names_file, official)
    return 0


def _check(args: argparse.Namespace) -> None:
    if not os.path.isdir(args.videos):
        raise UsageError(f"--videos {args.videos}: there is no such folder")
    if args.kind == "folders" and args.annotations:
        raise UsageError("--annotations: folders need none, as their names are the classes")
    if args.kind != "folders" and not args.annotations:
        raise UsageError(f"{args.kind} needs --annotations FILE, which names the videos and their classes")
    if args.annotations and not os.path.isfile(args.annotations):
        raise UsageError(f"--annotations {args.annotations}: there is no such file")
    if args.split and args.kind not in KINETICS:
        raise UsageError("--split chooses rows of Kinetics' csv files; --val-output parts a list at random")
    if args.val_output and args.kind not in ("folders", "list"):
        raise UsageError(f"--val-output: {args.kind} has a validation file of its own: make a list of that")
    if not args.val_output and (args.val_share is not None or args.seed is not None):
        raise UsageError("--val-share and --seed go with --val-output FILE")
    if args.val_share is not None and not 0 < args.val_share < 1:
        raise UsageError(f"--val-share {args.val_share:g}: expected a part of 1, such as {_DEFAULT_SHARE}")
    places = [os.path.realpath(name) for name in (args.output, args.val_output, args.missing) if name]
    if len(set(places)) < len(places):
        raise UsageError("--output, --val-output and --missing: expected different files")


def _make(args: argparse.Namespace) -> "tuple[MadeList, str | None]":
    """The list, and the known set of class names that its labels count in, if it is one."""
    from mvit_video.data.lists import making
    from mvit_video.data.lists.content import read_text
    from mvit_video.data.lists.kinetics import read_kinetics
    from mvit_video.data.lists.ssv2 import read_ssv2
    from mvit_video.weights import CLASS_SETS, class_names

    videos, names = os.path.abspath(args.videos), _read_names(args.class_names)
    with _counting() as progress:
        if args.kind == "folders":
            made = making.make_from_folders(videos, names)
        elif args.kind == "list":
            made = making.make_from_list(_read_list(args.annotations, videos, names), videos, progress)
        elif args.kind == "ssv2":
            annotations = read_ssv2(read_text(args.annotations), args.annotations)
            names = names or annotations.class_names or class_names("ssv2")
            made = making.make_from_annotations(annotations, videos, names, progress)
        else:
            annotations = read_kinetics(read_text(args.annotations), args.annotations, args.split)
            names = names or class_names(args.kind)
            made = making.make_from_annotations(annotations, videos, names, progress)
    found = made.videos.class_names
    return made, next((known for known in CLASS_SETS if found == class_names(known)), None)


def _read_list(path: str, videos: str, names: tuple[str, ...] | None) -> "VideoList":
    from mvit_video.data.lists.content import read_bytes
    from mvit_video.data.lists.reading import detect_format, read_list

    kinds = {"kinetics": "kinetics400, kinetics600 or kinetics700", "ssv2": "ssv2"}
    kind = kinds.get(detect_format(read_bytes(path)))
    if kind:
        raise UsageError(f"{path}: is an official annotation file: its KIND is {kind}")
    with naming_flags(_FLAGS):
        listed = read_list(path, path_prefix=videos, class_names=names)
        if names is not None:
            listed.check_labels(len(names))
    return listed


def _read_names(name: str | None) -> tuple[str, ...] | None:
    from mvit_video.data.lists.content import read_names
    from mvit_video.data.lists.ssv2 import read_labels
    from mvit_video.weights import class_names

    if name is None:
        return None
    if not os.path.isfile(name):
        return class_names(name)
    if name.endswith(".json"):
        return read_labels(name)
    return read_names(name)


def _names_file(args: argparse.Namespace, videos: "VideoList", official: str | None) -> str | None:
    """Where class names go that are no known set's; None where nothing is to be written."""
    from mvit_video.data.lists.writing import check_output

    has_file = args.kind == "list" and args.class_names and not args.class_names.endswith(".json")
    if official or videos.class_names is None or has_file:
        return None
    place = os.path.join(os.path.dirname(args.output), "class_names.txt")
    if os.path.isfile(place) and not args.force and _read_names(place) != videos.class_names:
        raise UsageError(
            f"{place}: is there already, with other classes; put --output into another folder, or replace it "
            "with --force"
        )
    if not os.path.isfile(place):
        check_output(place, force=args.force)
    return place


def _summarise(
    made: "MadeList", written: "Sequence[tuple[str, VideoList]]", missing_file: str | None
) -> None:
    total = made.num_annotated
    for name, videos in written:
        classes = set(videos.labels.tolist()) - {-1}
        print(f"{name}: {len(videos)} videos" + (f" of {len(classes)} classes" if classes else ", no labels"))
    if missing_file:
        count = len(made.missing) + len(made.ambiguous)
        print(f"missing: {count} of {total} annotated videos ({count / total:.1%}), named in {missing_file}")
    print(f"on disk: {made.num_files} videos, {made.num_outside} of them not annotated")
    copies = [f"{other} (of {kept})" for kept, other in made.copies]
    _show("missing, as several files could be meant", made.ambiguous)
    _show("copies of a listed video, left out", copies)
    _show("annotated more than once, listed once", made.repeated)
    _show("annotated again with another class, listed with the first", made.contradicted)
    _show("names that a text file cannot hold, left out", [ascii(path) for path in made.unwritable])
    if made.videos.is_labelled:
        _show("classes without a video", made.empty_classes)


def _show(title: str, names: Sequence[str]) -> None:
    if names:
        more = f", and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        print(f"{title}: {len(names)}: {', '.join(names[:_SHOWN])}{more}")


def _suggest(
    args: argparse.Namespace,
    made: "MadeList",
    outputs: Sequence[str],
    names_file: str | None,
    official: str | None,
) -> None:
    outputs = [shlex.quote(name) for name in outputs]
    keys = [f"{key} {name}" for key, name in zip(("DATA.TRAIN_LIST", "DATA.VAL_LIST"), outputs, strict=False)]
    check = [outputs[0]]
    names = official or names_file or args.class_names
    if names:
        keys.append(f"DATA.CLASS_NAMES {shlex.quote(names)}")
        check.append(f"--class-names {shlex.quote(names)}")
    if args.relative:
        prefix = shlex.quote(os.path.abspath(args.videos))
        keys.append(f"DATA.PATH_PREFIX {prefix}")
        check.append(f"--path-prefix {prefix}")
    if names_file:
        print(f"the classes, in an order of their own, are in {names_file}")
    known = _known_set(made) if names_file else None
    if known:
        print(f"all of them are classes of {known}: --class-names {known} numbers them as its weights do")
    print(f"next: mvit-video data check {' '.join(check)}; then train with {' '.join(keys)}")


def _known_set(made: "MadeList") -> str | None:
    """The first known set that has all classes of a list, perhaps spelled otherwise."""
    from mvit_video.data.lists.annotations import spell_loosely
    from mvit_video.weights import CLASS_SETS, class_names

    found = set(map(spell_loosely, made.videos.class_names or ()))
    return next((known for known in CLASS_SETS if found <= set(map(spell_loosely, class_names(known)))), None)


@contextmanager
def _counting() -> Iterator[Callable[[int], None]]:
    """Shows how many videos have been seen: a live line on a terminal, else a line about every 30 seconds."""
    live, last, shown = sys.stderr.isatty(), time.monotonic(), False

    def report(count: int) -> None:
        nonlocal last, shown
        if live or time.monotonic() - last >= 30:
            print(f"{count} videos seen", end="\r" if live else "\n", file=sys.stderr, flush=True)
            last, shown = time.monotonic(), True

    yield report
    if live and shown:
        print(file=sys.stderr)
