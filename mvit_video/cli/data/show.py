"""``mvit-video data show``: a picture of what the network will see."""

import argparse
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from mvit_video.cli.parsing import Parser, UsageError, add_config_flags, print_config, read_config

if TYPE_CHECKING:
    from mvit_video.engine.inputs import Split

_DESCRIPTION = """Write a picture of what the network will see of a few videos of LIST:

  train  the clips of one batch of an epoch as the network gets them: cut, augmented, erased and mixed; a row
         for each repeat, with the label that is asked for
  test   the views: a row for each crop, with the times of the clips

LIST is whatever DATA.TRAIN_LIST may be: a list file, a folder of videos or of one folder per class, or an
official file of Kinetics or Something-Something-v2.
KEY VALUE changes one value of the configuration; KEY=VALUE means the same."""

_SPLITS: "Mapping[str, tuple[Split, ...]]" = {
    "train": ("train",),
    "test": ("test",),
    "both": ("train", "test"),
}

_EPILOG = """examples:
  mvit-video data show train.list --cfg K400/MVITv2_S_16x4 --output train.png
  mvit-video data show train.list --cfg K400/MVITv2_S_16x4 --split train --epoch 3 AUG.NUM_SAMPLE 2
  mvit-video data show folder/of/classes --split test DATA.NUM_FRAMES 16 DATA.TEST_CROP_SIZE 224
"""


def add_parser(verbs: "argparse._SubParsersAction[Parser]") -> None:
    """Add the verb ``show``."""
    parser = verbs.add_parser(
        "show",
        help="write a picture of what the network will see: augmented clips, labels, test views",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    parser.add_argument("list", metavar="LIST", help="the videos")
    add_config_flags(parser, required=False)
    parser.add_argument("--split", choices=tuple(_SPLITS), default="both", help="which clips (default: both)")
    parser.add_argument("--seed", metavar="N", type=int, help="of everything random (default: RNG_SEED)")
    parser.add_argument("--epoch", metavar="N", type=int, default=0, help="whose training clips (0)")
    parser.add_argument("--num-videos", metavar="N", type=int, default=3, help="of each split (3)")
    parser.add_argument("--num-frames", metavar="N", type=int, default=8, help="shown of each clip (8)")
    parser.add_argument("--output", metavar="FILE", default="show.png", help="the picture (show.png)")
    parser.add_argument("--force", action="store_true", help="replace a picture that is there already")
    parser.add_argument("overrides", nargs="*", metavar="KEY VALUE", help="values that replace the files'")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Draw the picture and write it."""
    for flag, least in (("seed", 0), ("epoch", 0), ("num_videos", 1), ("num_frames", 1)):
        number = getattr(args, flag)
        if number is not None and number < least:
            raise UsageError(f"--{flag.replace('_', '-')} {number}: expected {least} or more")
    output = Path(args.output)
    if output.suffix.lower() != ".png":
        raise UsageError(f"--output {args.output}: expected a name that ends in .png")
    config = read_config(args.cfg, args.overrides)
    lists = config.data.model_copy(update={"train_list": args.list, "test_list": args.list})
    config = config.model_copy(update={"data": lists})
    if args.seed is not None:
        config = config.model_copy(update={"rng_seed": args.seed})
    if args.print_config:
        return print_config(config)
    from mvit_video.data import DamagedVideoWarning
    from mvit_video.data.lists.writing import check_output
    from mvit_video.engine.showing import Shown, show

    if not os.path.exists(args.list):
        raise UsageError(f"{args.list}: no such list file or folder")
    check_output(output, force=args.force)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DamagedVideoWarning)  # the picture names these videos
        sheet = show(config, Shown(_SPLITS[args.split], args.num_videos, args.num_frames, args.epoch))
    sheet.picture.save(output)
    print(f"{output}: {sheet.picture.width} x {sheet.picture.height} pixels")
    return 1 if sheet.unreadable else 0
