"""Waiting for the end of a run, through whatever comes in between."""

import time
from pathlib import Path

from mvit_video.launch.state import RunState, look

_LOOK_SECONDS = 3.0
_SURE_SECONDS = 15.0  # a node that fails ends the job for a moment, before it is queued again


def wait(run_folder: Path) -> RunState:
    """The state at the end, which no preemption, time limit or lost node is."""
    over_since: float | None = None
    while True:
        state = look(run_folder)
        if not state.is_over:
            over_since = None
        elif state.state == "done":
            return state
        elif over_since is None:
            over_since = time.monotonic()
        elif time.monotonic() - over_since > _SURE_SECONDS:
            return state
        time.sleep(_LOOK_SECONDS)
