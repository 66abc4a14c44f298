"""``mvit-video finetune``: from videos in folders to a model of one's own, and what it is worth."""

import argparse
import sys
import warnings

from mvit_video.cli.parsing import Parser

_DESCRIPTION = """Fine-tune a model on your own videos: split, train, choose, measure, report.

FOLDER_OR_LIST is a folder with one folder of videos per class, or a list with a path and a label
in each line. What measures the model is held out first, clips of one source on one side. Without
a GPU the backbone stays as it is and only the head is trained (--frozen), which takes minutes.
Run again, the same command goes on where it was stopped.

KEY VALUE changes one value of the plan; KEY=VALUE means the same.
"""

_EPILOG = """examples:
  mvit-video finetune clips --model mvitv2_s_16x4.k400 --output runs/mine
  mvit-video finetune clips --model mvitv2_s_16x4.k400 --output runs/mine --dry-run
  mvit-video finetune train.csv --val val.csv --model mvitv2_s_16x4 --weights weights.pyth --output runs/mine
  mvit-video finetune clips --model mvitv2_b_32x3.k400 --output runs/all --full SOLVER.MAX_EPOCH 30
  mvit-video predict holiday.mp4 --cfg runs/mine/config.yaml

--output has report.md (accuracy with its interval, classes), report.json, confusion.png and .csv,
per_class.csv, test_results.csv (every video), checkpoints/checkpoint_best.pyth and the lists.
The exit status is 1 when a video could not be read; what there is has been measured nevertheless.
"""


def add_parser(verbs: "argparse._SubParsersAction[Parser]") -> None:
    """Add the verb ``finetune``."""
    parser = verbs.add_parser(
        "finetune",
        help="train a published model on your own videos",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    parser.add_argument("videos", metavar="FOLDER_OR_LIST", help="the videos and their classes")
    parser.add_argument(
        "overrides", nargs="*", metavar="KEY VALUE", help="values that replace those of the plan"
    )
    parser.add_argument("--output", metavar="DIR", required=True, help="where everything is written")
    model = parser.add_argument_group("model (one of --model and --cfg)")
    model.add_argument(
        "--model", metavar="NAME", help="a name of mvit-video models, such as mvitv2_s_16x4.k400"
    )
    model.add_argument(
        "--cfg",
        metavar="FILE",
        action="append",
        default=[],
        help="a configuration that describes another model",
    )
    model.add_argument(
        "--weights",
        metavar="none|FILE",
        help="weights to start from: none (random), a file, a URL or a name (default: those of --model)",
    )
    trained = parser.add_argument_group("what is trained")
    choice = trained.add_mutually_exclusive_group()
    choice.add_argument(
        "--frozen",
        action="store_const",
        const="frozen",
        dest="mode",
        help="the head alone (default without a GPU)",
    )
    choice.add_argument(
        "--full", action="store_const", const="full", dest="mode", help="all weights (default with a GPU)"
    )
    held_out = parser.add_argument_group("what is measured")
    held_out.add_argument("--val", metavar="FOLDER_OR_LIST", help="videos that choose the best weights")
    held_out.add_argument("--test", metavar="FOLDER_OR_LIST", help="videos that measure them")
    held_out.add_argument(
        "--group-by",
        metavar="REGEX",
        help="what in a path says which source a clip comes of: its groups, or else all that it matches; "
        "none: "
        "every video is a source (default: the names are looked at)",
    )
    held_out.add_argument(
        "--no-copies", action="store_true", help="do not look into the videos for copies across the split"
    )
    parser.add_argument("--opts", action="store_true", help="may stand before KEY VALUE; changes nothing")
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="say what would be done (classes, split, plan), without opening a video, and stop",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Fine-tune; 1 when a video could not be read."""
    from mvit_video.cli.parsing import unshield
    from mvit_video.data import DamagedVideoWarning
    from mvit_video.finetuning.flow import finetune, show
    from mvit_video.finetuning.record import Request

    request = Request(
        videos=args.videos,
        output=args.output,
        model=args.model,
        cfg=tuple(args.cfg),
        weights=args.weights,
        val=args.val,
        test=args.test,
        group_by=args.group_by,
        mode=args.mode,
        overrides=tuple(unshield(word) for word in args.overrides),
        look_for_copies=not args.no_copies,
    )
    if args.dry_run:
        print("\n".join(show(request)))
        print("no video was opened: what cannot be read, and copies, may still change these numbers")
        return 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DamagedVideoWarning)  # the log of the run names these videos
        outcome = finetune(request)
    report = outcome.report
    if report is not None:
        print(f"accuracy {report.share}")
        if report.caveat:
            print(f"mind: {report.caveat}")
    print(f"report: {outcome.report_path}")
    print(f"use it: {outcome.predict}")
    sys.stdout.flush()
    unreadable = report is not None and bool(report.num_unreadable or report.facts["num_unreadable"])
    return 1 if unreadable else 0
