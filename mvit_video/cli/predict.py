"""``mvit-video predict``: what happens in these videos?"""

import argparse
import sys
import warnings
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from mvit_video.cli.parsing import (
    DEVICES,
    PRECISIONS,
    Parser,
    UsageError,
    add_config_flags,
    print_config,
    read_config,
)

if TYPE_CHECKING:
    from mvit_video.config import Config
    from mvit_video.inference.predictor import Predictor
    from mvit_video.inference.reports import Report

_DESCRIPTION = """Say what happens in videos: class names and probabilities, the mean over several views.

A folder stands for all videos in it and below; one that holds images and no videos is a video itself, as
its frames; a list (.csv, .txt, .list) stands for the paths in it."""

_EPILOG = """examples:
  mvit-video predict holiday.mp4 --model mvitv2_s_16x4.k400
  mvit-video predict clips/ --model mvitv2_b_32x3.k400 --views 1x1 --format csv --output answers.csv
  mvit-video predict long.mkv --model mvitv2_s_16x4.k400 --every 2 --top-k 1
  mvit-video predict held_out.mp4 --cfg mine.yaml --checkpoint out/checkpoints/checkpoint_epoch_00010.pyth

Scores are probabilities: percent in a table, 0 to 1 in JSON and CSV.
The exit status is 1 when some video could not be read; the others have been answered nevertheless.
"""


def add_parser(verbs: "argparse._SubParsersAction[Parser]") -> None:
    """Add the verb ``predict``."""
    parser = verbs.add_parser(
        "predict", help="say what happens in videos", description=_DESCRIPTION, epilog=_EPILOG
    )
    parser.add_argument("inputs", nargs="*", metavar="FILE|FOLDER|LIST", help="what to look at")
    model = parser.add_argument_group("model (one of --model and --cfg)")
    model.add_argument(
        "--model",
        metavar="NAME",
        help="a name of mvit-video models; without weights of its own it needs --checkpoint",
    )
    add_config_flags(model, required=False)
    model.add_argument(
        "--opts", nargs="+", metavar="KEY VALUE", default=[], help="values that replace those of --cfg"
    )
    model.add_argument(
        "--checkpoint", metavar="FILE", help="the weights: a file, a URL or a name of published weights"
    )
    model.add_argument(
        "--class-names",
        metavar="FILE",
        help="a text file with one name per line, or a known set such as kinetics400",
    )
    looking = parser.add_argument_group("looking")
    looking.add_argument(
        "--views", metavar="TxS", help="T clips along each video, S crops of each (1 or 3), such as 5x1"
    )
    looking.add_argument(
        "--every",
        metavar="SECONDS",
        type=float,
        help="one clip every so many seconds along the whole file, however long",
    )
    looking.add_argument(
        "--device", default=None, help=f"{', '.join(DEVICES)}, or one GPU such as cuda:1 (default: auto)"
    )
    looking.add_argument(
        "--precision",
        choices=PRECISIONS,
        default=None,
        help="number format (default: auto, bf16 on a GPU or CPU that has it in hardware, else fp32)",
    )
    looking.add_argument(
        "--views-per-batch",
        metavar="N",
        type=int,
        help="views the model sees at a time, of several videos too (default: 1 on the CPU, else 8)",
    )
    looking.add_argument(
        "--readers",
        metavar="N",
        type=int,
        help="videos decoded at a time while the model runs (default: 1 beside a model on the CPU, else 4)",
    )
    answer = parser.add_argument_group("answer")
    answer.add_argument(
        "--top-k", metavar="K", type=int, default=5, help="how many classes to name (default: 5)"
    )
    answer.add_argument(
        "--clips", action="store_true", help="answer for each clip, with its seconds, as well"
    )
    answer.add_argument(
        "--format", choices=("table", "json", "csv"), help="default: by the ending of --output, else table"
    )
    answer.add_argument(
        "--output", metavar="FILE", help="write the answers to a file, which appears when it is complete"
    )
    answer.add_argument("--force", action="store_true", help="replace a file that is there already")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Answer for every video; 1 when some could not be read."""
    check(args)
    config = read_config(args.cfg, [*args.opts, *_views_overrides(args)]) if args.cfg else None
    if args.print_config:
        if config is None:
            raise UsageError("--print-config shows a configuration: give --cfg")
        return print_config(config)
    from mvit_video.data.lists.writing import check_output
    from mvit_video.engine.records.display import counting
    from mvit_video.inference.reports import open_report
    from mvit_video.inference.videos import expand_inputs

    videos = expand_inputs(args.inputs)
    if not any(Path(path).exists() for path in videos):
        others = f", and none of the {len(videos)} named is there" if len(videos) > 1 else ""
        raise UsageError(f"{videos[0]}: no such file{others}")
    if args.output:
        check_output(args.output, force=args.force)
    predictor = _predictor(args, config)
    with (
        counting("predicting", len(videos), live=bool(args.output)) as progress,
        open_report(format_of(args), args.output) as report,
    ):
        num_failed = _answer(predictor, videos, report, args, progress)
    if args.output:
        print(f"{args.output}: {len(videos) - num_failed} of {len(videos)} videos answered", file=sys.stderr)
    return 1 if num_failed else 0


def _predictor(args: argparse.Namespace, config: "Config | None") -> "Predictor":
    from mvit_video.engine.device import choose_device
    from mvit_video.engine.inputs import read_class_names
    from mvit_video.inference.predictor import Predictor

    names = read_class_names(args.class_names) if args.class_names else None
    if config is None:
        return Predictor(
            args.model,
            checkpoint=args.checkpoint,
            views=_parse_views(args.views),
            class_names=names,
            device=args.device or "auto",
            precision=args.precision or "auto",
            top_k=args.top_k,
            views_per_batch=args.views_per_batch,
            readers=args.readers,
        )
    return Predictor(
        config,
        checkpoint=args.checkpoint,
        class_names=names,
        device=args.device or str(choose_device(config.device, config.num_gpus)),
        precision=args.precision or config.test.precision,
        top_k=args.top_k,
        views_per_batch=args.views_per_batch,
        readers=args.readers,
    )


def _answer(
    predictor: "Predictor",
    videos: Sequence[str],
    report: "Report",
    args: argparse.Namespace,
    progress: Callable[[int], None],
) -> int:
    """Report on every video; how many could not be read."""
    from mvit_video.data import DamagedVideoWarning, VideoError

    show_clips = args.clips or args.every is not None
    on_clip = report.clip if show_clips else _forget
    num_failed = 0
    with (
        warnings.catch_warnings(),
        closing(predictor.many(videos, every_seconds=args.every, on_clip=on_clip)) as answers,
    ):
        warnings.simplefilter("ignore", DamagedVideoWarning)  # the report says it
        for number, path in enumerate(videos, start=1):
            report.start(path)
            answer = next(answers)
            if isinstance(answer, VideoError):
                num_failed += 1
                report.fail(str(answer))
                print(f"mvit-video: {answer}", file=sys.stderr)
            else:
                report.finish(answer)
            progress(number)
    return num_failed


def _forget(clip: object) -> None:
    pass


def check(args: argparse.Namespace) -> None:
    """Refuse words that do not go together.

    Raises:
        UsageError: the text says which.
    """
    if bool(args.model) == bool(args.cfg):
        raise UsageError("give one of --model NAME and --cfg FILE (mvit-video models lists the names)")
    if not args.inputs and not args.print_config:
        raise UsageError("which videos? give files, folders or lists")
    if args.opts and not args.cfg:
        raise UsageError("--opts changes a configuration: it goes with --cfg")
    for flag in ("top_k", "views_per_batch", "readers"):
        number = getattr(args, flag)
        if number is not None and number < 1:
            raise UsageError(f"--{flag.replace('_', '-')} {number}: expected at least 1")
    if args.every is not None and not args.every > 0:
        raise UsageError(f"--every {args.every:g}: expected a number of seconds above 0")
    views = _parse_views(args.views)
    if views and args.every is not None and views[0] != 1:
        raise UsageError("--every decides how many clips there are: with it, --views is 1x1 or 1x3")


def _parse_views(text: str | None) -> tuple[int, int] | None:
    """``5x3`` -> 5 clips, 3 crops."""
    if text is None:
        return None
    clips, separator, crops = text.partition("x")
    if not separator or not clips.isdecimal() or crops not in ("1", "3") or int(clips) < 1:
        raise UsageError(f"--views {text}: expected clips x crops with 1 or 3 crops, such as 5x1 or 10x3")
    return int(clips), int(crops)


def _views_overrides(args: argparse.Namespace) -> list[str]:
    views = _parse_views(args.views)
    return (
        [] if views is None else [f"TEST.NUM_ENSEMBLE_VIEWS={views[0]}", f"TEST.NUM_SPATIAL_CROPS={views[1]}"]
    )


def format_of(args: argparse.Namespace) -> str:
    """table, json or csv."""
    if args.format:
        return str(args.format)
    ending = str(args.output or "").rpartition(".")[2].lower()
    return ending if ending in ("json", "csv") else "table"
