"""One of the processes that ``starting`` starts: ``python -m mvit_video.engine.processes.member FOLDER``."""

import logging
import os
import pickle
import signal
import sys
import threading
import warnings
from pathlib import Path

from mvit_video.data import DamagedVideoWarning
from mvit_video.engine.processes.joining import exit_status
from mvit_video.engine.processes.starting import JOB, OUTCOME, Raised


def main(folder: Path) -> int:
    """Do the job that lies in the folder; rank 0 leaves there what came of it."""
    job, config, level = pickle.loads((folder / JOB).read_bytes())
    if level is not None:
        logger = logging.getLogger("mvit_video")
        logger.addHandler(logging.StreamHandler())
        logger.setLevel(level)
    warnings.simplefilter("ignore", DamagedVideoWarning)  # the log of the run names these videos
    threading.Thread(target=_end_with_parent, daemon=True).start()
    is_main = os.environ["RANK"] == "0"
    try:
        outcome, status = job(config), 0
    except BaseException as error:
        found = exit_status(error)
        if found is None or not is_main:
            raise
        outcome, status = Raised(type(error), error.args, error.__dict__), found
    if is_main:
        (folder / OUTCOME).write_bytes(pickle.dumps(outcome))
    return status


def _end_with_parent() -> None:
    os.read(0, 1)  # not sys.stdin: its lock would be held at exit
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
