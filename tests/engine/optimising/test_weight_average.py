"""The average of the weights, against its definition written out in float64."""

import pytest
import torch
from kit.tiny_models import TINY_V2
from torch import nn

from mvit_video.engine.optimising.weight_average import WeightAverage
from mvit_video.models import MViT


def whole_state(model):
    return model.state_dict()


def load_whole(model, weights):
    model.load_state_dict(weights)


def set_all(model, value):
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(value)


def average_of(average):
    return {name: float(t.double().mean()) for name, t in average.state_dict(whole_state)["weights"].items()}


def test_it_follows_the_weights_as_defined():
    torch.manual_seed(0)
    model = nn.Linear(1, 1, bias=False)
    average = WeightAverage(model, 0.5)
    expected = float(model.weight.detach())
    generator = torch.Generator().manual_seed(1)
    for n in range(1, 21):
        value = float(torch.randn((), generator=generator))
        set_all(model, value)
        average.update()
        # 2/11, 3/12, ...: n = 8 is the first with (1 + n) / (10 + n) >= 0.5
        decay = 0.5 if n >= 8 else (1 + n) / (10 + n)
        expected = decay * expected + (1 - decay) * value
        assert average_of(average) == {"weight": pytest.approx(expected, abs=1e-6)}
    assert average.num_updates == 20


def test_the_random_weights_of_the_start_are_soon_forgotten():
    model = nn.Linear(2, 1)
    set_all(model, 1000.0)
    average = WeightAverage(model, 0.9999)
    set_all(model, 1.0)
    for _ in range(100):
        average.update()
    assert average_of(average)["weight"] < 1.01  # with 0.9999 from the first step on it would be 990


def test_in_the_model_and_out_again_bitwise():
    torch.manual_seed(0)
    model = MViT(TINY_V2)
    average = WeightAverage(model, 0.9)
    at_first = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    optimiser = torch.optim.AdamW(model.parameters(), lr=0.1)
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)
    optimiser.step()
    trained = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    average.update()
    with average.in_model():
        for name, tensor in model.state_dict().items():
            expected = at_first[name].double() * 2 / 11 + trained[name].double() * 9 / 11
            torch.testing.assert_close(tensor.double(), expected, rtol=1e-5, atol=1e-7)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, trained[name]), name


def test_the_weights_come_back_after_an_error():
    model = nn.Linear(2, 1)
    average = WeightAverage(model, 0.9)
    set_all(model, 3.0)
    with pytest.raises(KeyboardInterrupt), average.in_model():
        raise KeyboardInterrupt
    assert model.weight.tolist() == [[3.0, 3.0]]


def test_what_was_saved_goes_on_bitwise():
    def step(model, average, n):
        set_all(model, 0.1 * n**2)
        average.update()

    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    average = WeightAverage(model, 0.8)
    for n in range(4):
        step(model, average, n)
    saved = average.state_dict(whole_state)
    kept = {name: tensor.clone() for name, tensor in saved["weights"].items()}
    for n in range(4, 8):
        step(model, average, n)
    for name, tensor in kept.items():
        assert torch.equal(saved["weights"][name], tensor)  # what is saved does not change with the run
    other = nn.Linear(3, 2)
    resumed = WeightAverage(other, 0.8)
    resumed.load_state_dict(saved, load_whole)
    for n in range(4, 8):
        step(other, resumed, n)
    assert resumed.num_updates == average.num_updates == 8
    ours, theirs = (a.state_dict(whole_state)["weights"] for a in (resumed, average))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


@pytest.mark.parametrize("decay", [0.0, 1.0, -0.5])
def test_a_decay_that_is_none_is_refused(decay):
    with pytest.raises(ValueError, match=rf"TRAIN.EMA_DECAY is {decay}, expected a number between 0 and 1"):
        WeightAverage(nn.Linear(1, 1), decay)


def test_it_begins_again_with_the_weights_of_now():
    model = nn.Linear(2, 1)
    average = WeightAverage(model, 0.9)
    average.update()
    set_all(model, 7.0)
    average.restart()
    assert average.num_updates == 0
    assert average_of(average) == {"weight": 7.0, "bias": 7.0}
