"""The learning rate against the official code's figures and closed forms."""

import json
import math
from pathlib import Path

import pytest

from mvit_video.engine.optimising.schedule import Schedule

GOLDEN = json.loads((Path(__file__).parents[2] / "golden/slowfast_schedule/lr.json").read_text())


@pytest.mark.parametrize(("epoch", "expected"), list(zip(GOLDEN["epochs"], GOLDEN["lr"], strict=True)))
def test_equals_the_official_figures(epoch, expected):
    assert Schedule(**GOLDEN["schedule"]).learning_rate(epoch) == pytest.approx(expected, rel=1e-12)


COS_36 = (1 + math.sqrt(5)) / 4  # cos(pi / 5)


@pytest.mark.parametrize(
    ("after_warmup", "epoch", "expected"),
    [
        (True, 0, 0.01),
        (True, 1, (0.01 + 0.1) / 2),
        (True, 2, 0.1),
        (True, 6, 0.05),
        (True, 10, 0.0),
        (False, 0, 0.01),
        (False, 1, (0.01 + 0.05 * (1 + COS_36)) / 2),
        (False, 2, 0.05 * (1 + COS_36)),
        (False, 5, 0.05),
        (False, 10, 0.0),
    ],
)
def test_the_cosine_starts_at_epoch_0_or_after_the_warmup(after_warmup, epoch, expected):
    schedule = Schedule(
        base_lr=0.1, max_epoch=10, warmup_epochs=2, warmup_start_lr=0.01, cosine_after_warmup=after_warmup
    )
    assert schedule.learning_rate(epoch) == pytest.approx(expected, abs=1e-15)


def test_a_warmup_as_long_as_the_run_ends_at_the_top():
    schedule = Schedule(base_lr=0.1, max_epoch=3, warmup_epochs=3, cosine_after_warmup=True)
    assert [schedule.learning_rate(epoch) for epoch in (0, 1.5, 3)] == pytest.approx([0, 0.05, 0.1])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"max_epoch": 0}, r"SOLVER.MAX_EPOCH is 0: expected more than 0 epochs"),
        ({"warmup_epochs": 11}, r"SOLVER.WARMUP_EPOCHS is 11, expected 0 to SOLVER.MAX_EPOCH \(10\)"),
        ({"base_lr": -1}, r"SOLVER.BASE_LR is -1, expected a finite number of at least 0"),
        ({"cosine_end_lr": math.nan}, r"SOLVER.COSINE_END_LR is nan"),
    ],
)
def test_impossible_schedules_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        Schedule(**({"base_lr": 0.1, "max_epoch": 10} | wrong))
