"""``python -m mvit_video`` is ``mvit-video``."""

import sys

from mvit_video.cli import main

if __name__ == "__main__":  # data workers import this module too
    sys.exit(main())
