"""Trains if TRAIN.ENABLE, then tests if TEST.ENABLE: ``python tools/run_net.py --cfg FILE KEY VALUE ...``."""

import sys

from mvit_video.cli import main

if __name__ == "__main__":
    sys.exit(main(["run", *sys.argv[1:]]))
