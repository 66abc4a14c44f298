"""A run of ``mvit-video`` harmed from within; words: harm, when (JSON), rank, and those of the run."""

import json
import os
import sys

from kit import sittings

if __name__ == "__main__":
    import torch

    from mvit_video.cli import main

    torch.set_num_threads(1)
    harm, when, rank, *words = sys.argv[1:]
    if harm and os.environ.get("RANK") == rank:
        getattr(sittings, f"harm_{harm}")(json.loads(when))
    sys.exit(main(words))
