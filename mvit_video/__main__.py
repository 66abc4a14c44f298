"""``python -m mvit_video`` is ``mvit-video``."""

import sys

from mvit_video.cli import main

sys.exit(main())
