"""``mvit-video benchmark``: which settings run a model fastest here?"""

import argparse
import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from mvit_video.cli.parsing import DEVICES, Parser, UsageError

if TYPE_CHECKING:
    from mvit_video.engine.tuning.trials import Trial, Workbench

_DESCRIPTION = """Find the settings that run a model fastest on this machine: number format, threads, clips at
a time, and if asked for torch.compile; in training also what activation checkpointing costs and saves.

Random clips and weights: nothing is downloaded, and no video is read."""

_EPILOG = """examples:
  mvit-video benchmark
  mvit-video benchmark --model mvitv2_b_32x3 --batches 1 5 --compile
  mvit-video benchmark --train --device cuda

Memory is what the machine needs at most beyond the model and its clips. Do not use the machine meanwhile.
"""
_COLUMNS = ("precision", "threads", "clips", "compiled", "checkpointing", "seconds a clip", "extra MB")


def add_parser(verbs: "argparse._SubParsersAction[Parser]") -> None:
    """Add the verb ``benchmark``."""
    parser = verbs.add_parser(
        "benchmark",
        help="find the fastest settings on this machine",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    parser.add_argument(
        "--model", metavar="NAME", default="mvitv2_s_16x4", help="a name of mvit-video models (%(default)s)"
    )
    parser.add_argument("--train", action="store_true", help="training steps instead of predictions")
    parser.add_argument(
        "--device", default="auto", help=f"{', '.join(DEVICES)}, or one GPU such as cuda:1 (default: auto)"
    )
    parser.add_argument(
        "--precisions", nargs="+", choices=("fp32", "bf16", "fp16"), help="default: those of the device"
    )
    parser.add_argument("--threads", nargs="+", metavar="N", type=int, help="default: all CPUs, fewer")
    parser.add_argument(
        "--batches", nargs="+", metavar="N", type=int, help="clips at a time (default: 1, and more)"
    )
    parser.add_argument("--compile", action="store_true", help="try torch.compile too, which takes minutes")
    parser.add_argument(
        "--clip", metavar="TxP", help="T frames of P x P pixels, such as 16x224 (default: the model's own)"
    )
    parser.add_argument(
        "--seconds", type=float, default=3.0, metavar="S", help="for each setting (default: %(default)g)"
    )
    parser.add_argument("--format", choices=("table", "json"), default="table")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Try the settings, print a line for each, then what to type; 1 when none of them ran."""
    _check(args)
    from mvit_video.cli.settings_advice import advise
    from mvit_video.engine.device import choose_device
    from mvit_video.engine.machine import describe_machine
    from mvit_video.engine.tuning.tuning import choices_of, tune

    device = choose_device(args.device)
    given = {"precision": args.precisions, "threads": args.threads, "batch": args.batches}
    choices = choices_of(device, training=args.train, compiling=args.compile)
    choices |= {name: tuple(values) for name, values in given.items() if values}
    bench = _workbench(args, str(device))
    in_json = args.format == "json"
    output = sys.stderr if in_json else sys.stdout  # beside JSON, the table shows how far it is
    print(f"{describe_machine(device)}\n{'  '.join(_COLUMNS)}", file=output, flush=True)
    findings = tune(bench, choices, lambda trial: print(_line(trial), file=output, flush=True))
    if findings is None:
        print("mvit-video: none of these settings ran", file=sys.stderr)
        return 1
    lines = advise(findings, args.model, str(device), training=args.train)
    if in_json:
        described = {"model": args.model, "device": str(device), "training": args.train}
        print(json.dumps({**described, **asdict(findings), "advice": lines}, indent=2))
    else:
        print("\n".join(["", *lines]))
    return 0


def _workbench(args: argparse.Namespace, device: str) -> "Workbench":
    from mvit_video.engine.tuning.trials import Workbench
    from mvit_video.models import MViT, architecture
    from mvit_video.weights import ZOO

    numbers = architecture(ZOO[args.model].architecture if args.model in ZOO else args.model)
    frames, pixels = _clip(args.clip) or (numbers.num_frames, numbers.crop_size)
    numbers.token_grid(frames, pixels, pixels)  # raises where that is too small for the model
    model = MViT(numbers).to(device)
    return Workbench(model, (frames, pixels, pixels), training=args.train, seconds=args.seconds)


def _check(args: argparse.Namespace) -> None:
    for flag, values in (("--threads", args.threads), ("--batches", args.batches)):
        for value in values or ():
            if value < 1:
                raise UsageError(f"{flag} {value}: expected whole numbers of at least 1")
    if not args.seconds >= 0:
        raise UsageError(f"--seconds {args.seconds:g}: expected a number of at least 0")
    _clip(args.clip)


def _clip(text: str | None) -> tuple[int, int] | None:
    """``16x224`` -> 16 frames, 224 pixels."""
    if text is None:
        return None
    frames, _, pixels = text.partition("x")
    if not frames.isdecimal() or not pixels.isdecimal() or int(frames) < 1 or int(pixels) < 1:
        raise UsageError(f"--clip {text}: expected frames x pixels, such as 16x224")
    return int(frames), int(pixels)


def _line(trial: "Trial") -> str:
    setting = trial.setting
    cells = [setting.precision, str(setting.threads), str(setting.batch)]
    cells += ["yes" if flag else "no" for flag in (setting.compiled, setting.checkpointing)]
    if trial.seconds is None:
        cells.append(trial.problem)
    else:
        megabytes = "-" if trial.extra_bytes is None else f"{trial.extra_bytes / 1e6:.0f}"
        cells += [f"{trial.seconds:.3f}", megabytes]
    padded = [cell.ljust(len(title)) for cell, title in zip(cells, _COLUMNS, strict=False)]
    return "  ".join(padded).rstrip()
