"""Fine-tunes a model: ``python tools/finetune.py FOLDER_OR_LIST --model NAME --output DIR KEY VALUE ...``."""

import sys

from mvit_video.cli import main

if __name__ == "__main__":
    sys.exit(main(["finetune", *sys.argv[1:]]))
