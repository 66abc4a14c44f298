"""Which weights are kept: those that are numbers, however large."""

import pytest
import torch

from mvit_video.engine.errors import RunError
from mvit_video.engine.training.saving import _check_finite
from mvit_video.engine.training.state import TrainState


@pytest.fixture
def state():
    model = torch.nn.Linear(2, 2)
    return TrainState(model, torch.optim.SGD(model.parameters()), torch.amp.GradScaler("cpu"), step=7)


def test_weights_whose_sum_overflows_are_kept(state):
    _check_finite({"a": torch.ones(3), "b": torch.full((3,), 3e38)}, state)


@pytest.mark.parametrize(
    "bad", [[1.0, float("nan")], [float("inf"), float("-inf")], [3e38, 3e38, float("inf")]]
)
def test_weights_that_are_no_numbers_are_not(state, bad):
    with pytest.raises(RunError, match=r"^b is not finite after step 7 "):
        _check_finite({"a": torch.ones(3), "b": torch.tensor(bad)}, state)
