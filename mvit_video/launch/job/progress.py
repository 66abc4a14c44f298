"""Whether starts of a job leave anything behind."""

from collections.abc import Sequence
from pathlib import Path

from mvit_video.engine.checkpoints.names import list_checkpoints
from mvit_video.launch.submission import Event


def newest_checkpoint(run_folder: Path) -> str | None:
    """The name of the newest checkpoint of a run: it changes with everything that is saved."""
    found = list_checkpoints(run_folder)
    return found[0].name if found else None


def starts_without_progress(events: Sequence[Event], saved: str | None, part: int | None = None) -> int:
    """How many starts in a row, up to now, began with what is still the newest checkpoint.

    Args:
        events: of the submission; submitting again starts the count anew.
        saved: the newest checkpoint now.
        part: of which part, if the work is in parts.
    """
    count = 0
    for event in reversed(events):
        if event["event"] == "submitted":
            break
        if event["event"] == "started" and event.get("part") == part:
            if event.get("saved") != saved:
                break
            count += 1
    return count
