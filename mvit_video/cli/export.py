"""``mvit-video export``: a model as a file that runs without this package."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mvit_video.cli.parsing import Parser, UsageError, add_config_flags, print_config, read_config

if TYPE_CHECKING:
    from mvit_video.config import Config
    from mvit_video.export import Description
    from mvit_video.models import MViT

_FORMATS = {"onnx": ".onnx", "torch-export": ".pt2"}  # those of mvit_video.export, which costs to import

_DESCRIPTION = """Write a model to one file that runs without this package: ONNX for onnxruntime and others,
or a program for torch.export.load. The number of clips is left open, their size is fixed. What a reader must
know (frames, colours, class names) stands in the file. Afterwards the file is held to the model."""

_EPILOG = """examples:
  mvit-video export --model mvitv2_s_16x4.k400 --output mvitv2_s.onnx
  mvit-video export --model mvitv2_b_32x3 --checkpoint mine.pyth --format torch-export --output mine.pt2
  mvit-video export --model mvitv2_l_40x3 --weights none --output speed_test.onnx
  mvit-video export --cfg mine.yaml --checkpoint checkpoint_epoch_00010.pyth --output mine.onnx

ONNX needs the extra: pip install 'mvit_video[export]'. docs/export.md says how to use the files.
"""


def add_parser(verbs: "argparse._SubParsersAction[Parser]") -> None:
    """Add the verb ``export``."""
    parser = verbs.add_parser(
        "export",
        help="write a model as ONNX or for torch.export.load",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    model = parser.add_argument_group("model (one of --model and --cfg)")
    model.add_argument("--model", metavar="NAME", help="a name of mvit-video models")
    add_config_flags(model, required=False)
    model.add_argument(
        "--opts", nargs="+", metavar="KEY VALUE", default=[], help="values that replace those of --cfg"
    )
    weights = model.add_mutually_exclusive_group()
    weights.add_argument(
        "--checkpoint", metavar="FILE", help="the weights: a file, a URL or a name of published weights"
    )
    weights.add_argument(
        "--weights", choices=("none",), help="none: random ones, to try what runs the file or how fast"
    )
    model.add_argument(
        "--class-names",
        metavar="FILE",
        help="a text file with one name per line, or a known set such as kinetics400",
    )
    file = parser.add_argument_group("file")
    file.add_argument("--output", metavar="FILE", help="the file to write; it appears when it is complete")
    file.add_argument("--format", choices=tuple(_FORMATS), help="default: by the ending of --output")
    file.add_argument("--force", action="store_true", help="replace a file that is there")
    file.add_argument(
        "--no-check", action="store_true", help="do not compare the file's answer with the model's"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the file and hold it to the model."""
    _check(args)
    config = read_config(args.cfg, args.opts) if args.cfg else None
    if args.print_config:
        if config is None:
            raise UsageError("--print-config shows a configuration: give --cfg")
        return print_config(config)
    from mvit_video.export.files import check_target, export_model

    path, file_format = Path(args.output), _format(args)
    check_target(path, file_format, force=args.force)
    model, description = _trained(args, config) if args.weights is None else _untrained(args, config)
    views = description.views
    print(
        f"{description.model}: clips of {views.num_frames} frames, {views.crop_size} x {views.crop_size} "
        f"pixels; weights: {description.weights}",
        file=sys.stderr,
    )
    export_model(model, path, description, file_format=file_format, force=args.force)
    names = description.class_names
    print(
        f"{path}: written, {path.stat().st_size / 1e6:.0f} MB, "
        + (f"{len(names)} class names included" if names else "without class names")
    )
    if not args.no_check:
        from mvit_video.export.checking import compare

        try:
            difference = compare(model, path, views, file_format=file_format)
        except KeyboardInterrupt:
            print(f"{path}: complete, but not compared with the model yet", file=sys.stderr)
            raise
        print(f"{path}: its logits differ from the model's by {difference:.1g} at most, on one random clip")
    return 0


def _trained(args: argparse.Namespace, config: "Config | None") -> "tuple[MViT, Description]":
    """A model with its weights, as ``predict`` puts them together."""
    from mvit_video.export import Description
    from mvit_video.inference.sources import recogniser_of
    from mvit_video.weights import loaded_from

    source = recogniser_of(args.model if config is None else config, args.checkpoint)
    report = loaded_from(source.model)
    description = Description(
        model=args.model or _name(args, config),
        weights="given" if report is None else report.source,
        views=source.views,
        mean=tuple(source.mean),
        std=tuple(source.std),
        class_names=_class_names(args) or source.class_names,
        ensemble=source.ensemble,
    )
    return source.model, description


def _untrained(args: argparse.Namespace, config: "Config | None") -> "tuple[MViT, Description]":
    """A model with random weights, as its packaged Kinetics-400 configuration has it."""
    from mvit_video.engine.resolve import resolve_architecture, resolve_statistics, resolve_views
    from mvit_video.export import Description
    from mvit_video.models import MViT

    config = config or _packaged(args.model)
    mean, std = resolve_statistics(config)
    description = Description(
        model=args.model or _name(args, config),
        weights="none",
        views=resolve_views(config),
        mean=mean,
        std=std,
        class_names=_class_names(args),
        ensemble=config.data.ensemble_method,
    )
    return MViT(resolve_architecture(config)), description


def _packaged(name: str) -> "Config":
    from mvit_video.cli.models import describe_models
    from mvit_video.config import load_config, packaged_configs
    from mvit_video.weights import ZOO

    if name in ZOO:
        raise UsageError(
            f"--model {name} has weights; with --weights none, give --model {ZOO[name].architecture}"
        )
    configs = (load_config([file]) for file in packaged_configs() if file.startswith("K400/"))
    for config in configs:
        if config.model.name == name:
            return config
    describe_models(name)  # says that there is no such model
    raise AssertionError(f"{name} has no configuration in K400")


def _class_names(args: argparse.Namespace) -> tuple[str, ...] | None:
    from mvit_video.engine.inputs import read_class_names

    return tuple(read_class_names(args.class_names)) if args.class_names else None


def _name(args: argparse.Namespace, config: "Config | None") -> str:
    """What a configuration calls its model, or else the name of its file; of a config.yaml, its folder."""
    assert config is not None
    file = Path(args.cfg[-1]).absolute()
    by_file = (file.parent.name if file.stem == "config" else "") or file.stem
    return config.model.name.partition(".")[0] or by_file


def _check(args: argparse.Namespace) -> None:
    if bool(args.model) == bool(args.cfg):
        raise UsageError("give one of --model NAME and --cfg FILE (mvit-video models lists the names)")
    if args.opts and not args.cfg:
        raise UsageError("--opts changes a configuration: it goes with --cfg")
    if not args.output and not args.print_config:
        raise UsageError("where to? give --output FILE")


def _format(args: argparse.Namespace) -> str:
    if args.format:
        return str(args.format)
    for name, ending in _FORMATS.items():
        if args.output.endswith(ending):
            return name
    raise UsageError(
        f"--output {args.output}: say --format onnx or torch-export, or end the name in .onnx or .pt2"
    )
