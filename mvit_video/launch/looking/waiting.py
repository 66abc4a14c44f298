"""Waiting for the end of a run, through whatever comes in between."""

import time
from pathlib import Path

from mvit_video.launch.array.parts import finish
from mvit_video.launch.looking.state import RunState, look

_LOOK_SECONDS = 10.0  # Slurm's controller answers everybody
_SURE_SECONDS = 15.0  # a node that fails ends the job for a moment, before it is queued again


def wait(run_folder: Path) -> RunState:
    """The state at the end, which no preemption, time limit or lost node is.

    Parts that are all there, and that nobody has joined by then, are joined.

    Raises:
        LaunchError: they cannot be joined.
    """
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
            return _join(state) if state.is_unjoined else state
        time.sleep(_LOOK_SECONDS)


def _join(state: RunState) -> RunState:
    finish(state.submission, state.request)
    return look(state.submission.run_folder)
