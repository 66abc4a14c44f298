"""Trying one setting on a small model."""

import pytest
import torch
from kit.small_models import SMALL_V2

from mvit_video.engine.tuning.trials import Setting, Workbench
from mvit_video.models import MViT


@pytest.fixture(autouse=True)
def threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def workbench(**options):
    return Workbench(MViT(SMALL_V2), (4, 32, 32), seconds=0, **options)


def test_seconds_and_memory_of_a_setting():
    trial = workbench().try_setting(Setting(batch=2))
    assert trial.problem == ""
    assert trial.seconds > 0
    assert trial.extra_bytes >= 0
    assert torch.get_num_threads() == 1


@pytest.mark.parametrize("checkpointing", [False, True])
def test_a_training_step_leaves_no_gradients_and_the_weights_alone(checkpointing):
    bench = workbench(training=True)
    before = {name: value.clone() for name, value in bench.model.state_dict().items()}
    assert bench.try_setting(Setting(checkpointing=checkpointing)).problem == ""
    assert all(parameter.grad is None for parameter in bench.model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in bench.model.state_dict().items())


def test_what_does_not_run_says_why_and_costs_itself_alone():
    bench = workbench()
    trial = bench.try_setting(Setting(batch=10**9))
    assert trial.seconds is None
    assert "memory" in trial.problem
    assert "\n" not in trial.problem
    assert bench.try_setting(Setting()).problem == ""


def test_what_cannot_fit_is_not_tried():
    bench = workbench(training=True)
    assert bench.try_setting(Setting(batch=16)).extra_bytes > 0
    trial = bench.try_setting(Setting(batch=10**8))
    assert "GB are free" in trial.problem


def test_a_setting_compared_with_itself_gains_nothing_much():
    gain = workbench().compare(Setting(batch=2), Setting(batch=2), 3)
    assert gain.least <= gain.median <= gain.largest
    assert 0.02 < gain.median < 50
