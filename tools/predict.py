"""Says what happens in videos: ``python tools/predict.py FILE ... (--model NAME | --cfg FILE)``."""

import sys

from mvit_video.cli import main

if __name__ == "__main__":
    sys.exit(main(["predict", *sys.argv[1:]]))
