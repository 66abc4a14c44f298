"""Submits to a Slurm cluster: ``python tools/submit.py --cfg FILE --nodes N --gpus-per-node G KEY VALUE``."""

import sys

from mvit_video.cli import main

if __name__ == "__main__":
    sys.exit(main(["submit", *sys.argv[1:]]))
