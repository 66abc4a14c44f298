"""``mvit-video models``: which models there are, how large, and how good."""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from mvit_video.cli.parsing import Parser, UsageError

if TYPE_CHECKING:
    from mvit_video.weights import ZooEntry

_EPILOG = """examples:
  mvit-video models
  mvit-video models mvitv2_b_32x3.k400
  mvit-video models --format json

GFLOPs are multiply-adds of one view. Accuracy is in percent, as the source of the weights states it, over
its views (clips x crops).
"""


def add_parser(verbs: "argparse._SubParsersAction[Parser]") -> None:
    """Add the verb ``models``."""
    parser = verbs.add_parser(
        "models",
        help="list the models: parameters, GFLOPs, published weights, accuracy, licence",
        description="List the architectures and the published weights for them, or say all about one.",
        epilog=_EPILOG,
    )
    parser.add_argument(
        "name", nargs="?", metavar="NAME", help="an architecture, or the name of published weights"
    )
    parser.add_argument("--format", choices=("table", "json"), default="table")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print all models, or one."""
    described = describe_models(args.name)
    if args.format == "json":
        print(json.dumps(described, indent=2))
    elif args.name is None:
        _print_overview(described)
    else:
        for model in described:
            _print_details(model)
    return 0


def describe_models(name: str | None = None) -> list[dict[str, Any]]:
    """The architectures with their published weights, as plain values.

    Args:
        name: an architecture, or the name of published weights; None for all.

    Raises:
        UsageError: There is no such name.
    """
    from mvit_video.models import ARCHITECTURES
    from mvit_video.weights import ZOO

    if name is not None and name not in ARCHITECTURES and name not in ZOO:
        close = get_close_matches(name, [*ARCHITECTURES, *ZOO], n=1)
        raise UsageError(
            f"there is no model {name!r}; "
            + (f"did you mean {close[0]}?" if close else "mvit-video models lists them")
        )
    entries = [entry for entry in ZOO.values() if name in (None, entry.name, entry.architecture)]
    wanted = list(ARCHITECTURES) if name is None else [ZOO[name].architecture if name in ZOO else name]
    return [
        _describe(architecture, [e for e in entries if e.architecture == architecture])
        for architecture in wanted
    ]


def _describe(name: str, entries: Sequence["ZooEntry"]) -> dict[str, Any]:
    from mvit_video.models import ARCHITECTURES, count_flops, count_parameters

    architecture = ARCHITECTURES[name]
    return {
        "name": name,
        "num_frames": architecture.num_frames,
        "crop_size": architecture.crop_size,
        "num_parameters": count_parameters(architecture),
        "gflops": count_flops(architecture).multiply_adds / 1e9,
        "weights": [_weights(entry) for entry in entries],
    }


def _weights(entry: "ZooEntry") -> dict[str, Any]:
    described = asdict(entry)
    return {key: value for key, value in described.items() if key not in ("architecture",)}


def _print_overview(described: Sequence[dict[str, Any]]) -> None:
    rows = [("architecture", "frames", "pixels", "Mparams", "GFLOPs")]
    for model in described:
        size = f"{model['num_parameters'] / 1e6:.1f}"
        rows.append(
            (model["name"], str(model["num_frames"]), str(model["crop_size"]), size, f"{model['gflops']:.1f}")
        )
    _print_table(rows)
    print()
    weights = [("weights", "top-1", "top-5", "views", "measured by", "licence")]
    for model in described:
        weights += [
            (
                entry["name"],
                _percent(entry["top1"]),
                _percent(entry["top5"]),
                _views(entry),
                entry["source"],
                entry["licence"],
            )
            for entry in model["weights"]
        ]
    _print_table(weights)


def _print_details(model: dict[str, Any]) -> None:
    print(
        f"{model['name']}: {model['num_frames']} frames of {model['crop_size']} pixels, "
        f"{model['num_parameters'] / 1e6:.1f} M parameters, {model['gflops']:.1f} GFLOPs a view"
    )
    for entry in model["weights"]:
        recipe = entry["recipe"]
        accuracy = (
            f"top-1 {_percent(entry['top1'])}, top-5 {_percent(entry['top5'])}, as {entry['source']} states"
        )
        print(f"\n{entry['name']}: {entry['num_classes']} classes of {entry['dataset']}")
        lines = {
            "accuracy": accuracy,
            "validation": f"{entry['num_videos'] or 'not known how many'} videos in the whole set",
            "views": f"{_views(entry)} (clips x crops) of {recipe['num_frames']}x{recipe['sampling_rate']}, "
            f"{recipe['sampling']}; short side {recipe['short_side']}, crop {recipe['crop_size']} pixels",
            "mean, std": f"{list(recipe['mean'])}, {list(recipe['std'])}",
            "from": entry["url"],
            "licence": entry["licence"],
            "note": entry["note"],
        }
        for title, text in lines.items():
            if text:
                print(f"  {title:<10} {text}")


def _print_table(rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"


def _views(entry: dict[str, Any]) -> str:
    return f"{entry['recipe']['temporal_views']}x{entry['recipe']['spatial_crops']}"
