"""What the processes of a run tell each other once in every step, and agree on."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from mvit_video.engine.processes.group import Group
from mvit_video.engine.stopping import signal_seen
from mvit_video.engine.training.video_troubles import VideoTroubles


@dataclass
class Boundary:
    """The one exchange of a step: the loss, and whether to stop or to save.

    It lies between the gradients and the optimiser's step: a loss that is no number has to be known to all by
    then. What a signal asks for is acted upon after that step, when nothing is half done; one that comes
    later, in the optimiser's step itself, is seen in the exchange of the next.

    Attributes:
        group: the processes.
        save_minutes: TRAIN.CHECKPOINT_MINUTES.
        signal_number: the signal that asked one of the processes to leave, known to all alike.
        save_due: whether the last checkpoint is too old, likewise.
        num_right: clips of the step that were told right, by all processes; None where that is not known.
    """

    group: Group
    save_minutes: float
    signal_number: int | None = None
    save_due: bool = False
    num_right: int | None = None
    _saved_at: float = field(default_factory=time.monotonic)

    def meet(self, loss: float, troubles: VideoTroubles, num_right: int | None = None) -> float:
        """Exchange what this process knows; all of them have to call this in every step.

        Args:
            loss: this process's share of it.
            troubles: is told what all processes have met with since the last exchange.
            num_right: this process's share of the clips that were told right.

        Returns:
            The loss.

        Raises:
            RunError: too many videos cannot be read; in all processes alike.
        """
        minutes = (time.monotonic() - self._saved_at) / 60
        is_due = self.save_minutes > 0 and minutes >= self.save_minutes
        told = self.group.gather((loss, signal_seen(), is_due, troubles.news(), num_right))
        losses, signals, dues, news, rights = zip(*told, strict=True)
        self.signal_number = _first(signals)
        self.save_due = any(dues)
        self.num_right = None if None in rights else sum(rights)
        troubles.take(trouble for part in news for trouble in part)
        return float(sum(losses))

    def saved(self) -> None:
        """A checkpoint was written just now."""
        self.save_due = False
        self._saved_at = time.monotonic()


def _first(signals: Sequence[int | None]) -> int | None:
    return next((number for number in signals if number is not None), None)
