"""The learning rate as a function of the fractional epoch: linear warm-up, then half a cosine."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule:
    """A learning rate for every moment of a training run; epochs are fractional and count from 0.

    Attributes:
        base_lr: the cosine's top.
        max_epoch: the run's length in epochs, where the cosine reaches ``cosine_end_lr``.
        warmup_epochs: length of the linear warm-up; 0 for none.
        warmup_start_lr: the learning rate at epoch 0 when there is a warm-up.
        cosine_end_lr: the cosine's bottom.
        cosine_after_warmup: start the cosine at the end of the warm-up; otherwise it starts at epoch 0 and
            the warm-up merely hides its beginning.

    Raises:
        ValueError: a length is not positive, the warm-up is longer than the run, or a rate is negative.
    """

    base_lr: float
    max_epoch: float
    warmup_epochs: float = 0.0
    warmup_start_lr: float = 0.0
    cosine_end_lr: float = 0.0
    cosine_after_warmup: bool = False

    def __post_init__(self) -> None:
        if not self.max_epoch > 0:
            raise ValueError(f"SOLVER.MAX_EPOCH is {self.max_epoch}: expected more than 0 epochs")
        if not 0 <= self.warmup_epochs <= self.max_epoch:
            raise ValueError(
                f"SOLVER.WARMUP_EPOCHS is {self.warmup_epochs}, "
                f"expected 0 to SOLVER.MAX_EPOCH ({self.max_epoch})"
            )
        for key in ("base_lr", "warmup_start_lr", "cosine_end_lr"):
            value = getattr(self, key)
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"SOLVER.{key.upper()} is {value}, expected a finite number of at least 0")

    def learning_rate(self, epoch: float) -> float:
        """The learning rate at a fractional epoch: 2.25 is a quarter into the third epoch.

        The warm-up aims at what the cosine says at its end, so the two always meet.

        Source: SlowFast, slowfast/utils/lr_policy.py.
        """
        if epoch >= self.warmup_epochs:
            return self._cosine(epoch)
        target = self._cosine(self.warmup_epochs)
        return self.warmup_start_lr + (target - self.warmup_start_lr) * epoch / self.warmup_epochs

    def _cosine(self, epoch: float) -> float:
        offset = self.warmup_epochs if self.cosine_after_warmup else 0.0
        length = self.max_epoch - offset
        # A warm-up as long as the run leaves the cosine no room: it stays at its top.
        progress = (epoch - offset) / length if length > 0 else 0.0
        return self.cosine_end_lr + (self.base_lr - self.cosine_end_lr) * 0.5 * (
            1 + math.cos(math.pi * progress)
        )
