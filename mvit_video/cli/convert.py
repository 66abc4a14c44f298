"""``mvit-video convert``: weights of other projects -> safetensors by our parameter names."""

import argparse

from mvit_video.cli.parsing import Parser, UsageError

_EPILOG = """examples:
  mvit-video convert MViTv2_S_16x4_k400.pyth --model mvitv2_s_16x4.k400 --output mvitv2_s.safetensors
  mvit-video convert checkpoint_epoch_00010.pyth --model mvitv2_s_16x4 --output mine.safetensors
  mvit-video convert checkpoint_epoch_00010.pyth --model mvitv2_s_16x4 --ema --output averaged.safetensors
"""


def add_parser(verbs: "argparse._SubParsersAction[Parser]") -> None:
    """Add the verb ``convert``."""
    parser = verbs.add_parser(
        "convert",
        help="turn weights of SlowFast, torchvision, PyTorchVideo or mmaction2 into safetensors",
        description="Turn weights of SlowFast, torchvision, PyTorchVideo, mmaction2 or mvit_video into a\n"
        "safetensors file with our parameter names, and the class names where they are known.\n"
        "The weights must fit the model.",
        epilog=_EPILOG,
    )
    parser.add_argument("source", metavar="SOURCE", help="a file, a URL or a name of published weights")
    parser.add_argument("--model", metavar="NAME", required=True, help="what the weights are for")
    parser.add_argument("--output", metavar="FILE.safetensors", required=True, help="the file to write")
    parser.add_argument(
        "--class-names",
        metavar="FILE",
        help="a text file with one name per line, or a known set such as kinetics400",
    )
    parser.add_argument(
        "--ema",
        action="store_true",
        help="take the averaged weights of a checkpoint that was trained with TRAIN.EMA_DECAY, rather than\n"
        "the last ones",
    )
    parser.add_argument("--force", action="store_true", help="replace a file that is there already")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Load the weights into the model, so that they are known to fit, and write them."""
    if not args.output.endswith(".safetensors"):
        raise UsageError(f"--output {args.output}: expected a name that ends in .safetensors")
    from mvit_video.api import create_model
    from mvit_video.data.lists.writing import check_output
    from mvit_video.engine.inputs import read_class_names
    from mvit_video.inference.sources import count_classes
    from mvit_video.weights import loaded_from, write_safetensors

    check_output(args.output, force=args.force)
    classes = count_classes(args.source)
    model = create_model(args.model, num_classes=classes, weights=args.source, averaged=args.ema)
    report = loaded_from(model)
    assert report is not None
    print(report)
    names = read_class_names(args.class_names) if args.class_names else report.class_names
    metadata = {"architecture": args.model.partition(".")[0], "source": args.source}
    write_safetensors(args.output, model.state_dict(), class_names=names, metadata=metadata)
    print(
        f"{args.output}: written, "
        + (f"{len(names)} class names included" if names else "without class names")
    )
    return 0
