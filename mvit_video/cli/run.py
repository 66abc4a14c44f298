"""``mvit-video train``, ``test`` and ``run``: what a configuration says, from data to numbers."""

import argparse
import warnings

from mvit_video.cli.parsing import Parser, add_config_flags, print_config, read_config

_OVERRIDES = """
KEY VALUE changes one value of the configuration; KEY=VALUE and --opts KEY VALUE mean the same.
Lists and tuples are written as in Python, in quotes where the shell would touch them:
  DATA.MEAN "[0.45, 0.45, 0.45]"   MVIT.PATCH_KERNEL "(3, 7, 7)"   SOLVER.BASE_LR 1e-4
"""

_VERBS = {
    "train": (
        "train a model",
        {"TRAIN.ENABLE": "True", "TEST.ENABLE": "False"},
        """examples:
  mvit-video train --cfg mine.yaml DATA.PATH_TO_DATA_DIR lists OUTPUT_DIR out
  mvit-video train --cfg mine.yaml --print-config
""",
    ),
    "test": (
        "measure a model's accuracy over several views of each video",
        {"TRAIN.ENABLE": "False", "TEST.ENABLE": "True"},
        """examples:
  mvit-video test --cfg K400/MVITv2_B_32x3 DATA.TEST_LIST val.csv TEST.CHECKPOINT_FILE_PATH weights.pyth
  mvit-video test --cfg mine.yaml TEST.NUM_ENSEMBLE_VIEWS 10 TEST.SAVE_RESULTS_PATH results.csv
""",
    ),
    "run": (
        "train if TRAIN.ENABLE, then test if TEST.ENABLE",
        {},
        """example:
  mvit-video run --cfg mine.yaml TRAIN.ENABLE True TEST.ENABLE True
""",
    ),
}


def add_parser(verbs: "argparse._SubParsersAction[Parser]") -> None:
    """Add the three verbs that take a configuration."""
    for name, (summary, fixed, examples) in _VERBS.items():
        parser = verbs.add_parser(
            name, help=summary, description=f"{summary.capitalize()}.\n{_OVERRIDES}", epilog=examples
        )
        add_config_flags(parser, required=True)
        parser.add_argument("--opts", action="store_true", help="may stand before KEY VALUE; changes nothing")
        parser.add_argument(
            "overrides", nargs="*", metavar="KEY VALUE", help="values that replace those of the files"
        )
        parser.set_defaults(run=run, fixed=fixed)


def run(args: argparse.Namespace) -> int:
    """Load the configuration and do what it says."""
    config = read_config(args.cfg, args.overrides, fixed=args.fixed)
    if args.print_config:
        return print_config(config)
    from mvit_video.data import DamagedVideoWarning
    from mvit_video.engine import run as run_engine

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DamagedVideoWarning)  # the log of the run names these videos
        result = run_engine(config)
    return 1 if result.test is not None and result.test.unreadable else 0
