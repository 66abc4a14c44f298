"""``mvit-video data``: make lists of videos, check them, look at them."""

import argparse

from mvit_video.cli.data import check, make_list, show
from mvit_video.cli.parsing import Parser

_EPILOG = """examples:
  mvit-video data make-list folders --videos clips --output clips.list
  mvit-video data make-list kinetics400 --annotations train.csv --videos k400/train --output train.list
  mvit-video data check train.list --clip 16x4 --clean train.clean.list
  mvit-video data show train.list --cfg K400/MVITv2_S_16x4 --output train.png
"""


def add_parser(verbs: "argparse._SubParsersAction[Parser]") -> None:
    """Add the verb ``data`` and the verbs under it."""
    parser = verbs.add_parser(
        "data",
        help="make lists of videos, check them, look at what the network will see",
        description="Make lists of videos, check them, and look at what the network will see.",
        epilog=_EPILOG,
    )
    parser.add_verbs((make_list, check, show))
