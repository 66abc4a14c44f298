"""Steps that two processes take together, beside the same steps of one: DDP and FSDP2, cut in every way."""

import dataclasses
from functools import cache

import pytest
import torch
from kit.many_steps import CASES, take_steps
from kit.processes import KIT, torchrun
from kit.tiny_runs import tiny_config

from mvit_video.engine.processes.group import ALONE
from mvit_video.engine.processes.parallel import (
    accumulating,
    distribute,
    full_model_state,
    full_optimiser_state,
    whole,
    whole_model,
)
from mvit_video.engine.resolve import resolve_architecture
from mvit_video.models import MViT

pytestmark = pytest.mark.timeout(1200)  # of starting processes, mostly


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """What two processes found, by case."""
    folder = tmp_path_factory.mktemp("together")
    status, text = torchrun(KIT / "many_steps.py", folder)
    assert status == 0, text
    return torch.load(folder / "results.pt", weights_only=False)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """What one process finds that keeps its activations, in one pass unless dropout is drawn by pass."""

    @cache
    def results(case):
        return take_steps(tmp_path_factory.mktemp("alone"), case)

    def plain(case):
        micro = case.micro if case.dropout else 8
        return results(dataclasses.replace(case, strategy="ddp", checkpointing="", micro=micro))

    return plain


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_two_processes_take_the_steps_of_one(together, alone, name):
    case, found = CASES[name], together[name]
    alone = alone(case)
    # 16-bit products are rounded by clip and layer, and their sums over clips are cut otherwise.
    exact = case.precision == "fp32"
    losses, expected = ([loss for loss, _ in result["steps"]] for result in (found, alone))
    assert losses == pytest.approx(expected, rel=2e-6 if exact else 5e-3)
    norms, expected = ([norm for _, norm in result["steps"]] for result in (found, alone))
    assert norms == pytest.approx(expected, rel=1e-5 if exact else 5e-2)
    assert found["weights"].keys() == alone["weights"].keys()
    # AdamW makes whole steps (1e-3) of gradients that are nothing but rounding, as those of what is added to
    # all keys alike are altogether: in four steps two weights get four or eight apart.
    for key, tensor in alone["weights"].items():
        far = (found["weights"][key] - tensor).abs()
        only_rounding = key.endswith("norm_k.bias") and not exact
        assert far.max() < (8.2e-3 if only_rounding else 4.1e-3), key
        assert only_rounding or far.mean() < (2e-4 if exact else 2e-3), key
    torch.testing.assert_close(found["logits"], alone["logits"], rtol=0, atol=1e-4 if exact else 2e-2)
    assert found["moments"].keys() == alone["moments"].keys()
    if exact:
        for index, values in alone["moments"].items():
            torch.testing.assert_close(found["moments"][index], values, rtol=1e-3, atol=1e-6)
    assert found["restores"]


@pytest.mark.slow
def test_the_cases_are_not_all_the_same(together):
    losses = {
        name: tuple(loss for loss, _ in result["steps"]) for name, result in together.items() if name in CASES
    }
    for strategy in ("ddp", "fsdp"):
        plain = losses[strategy]
        for other in ("clipped by value", "with dropout in passes", "in fp16", "with a frozen block"):
            assert losses[f"{strategy} {other}"] != pytest.approx(plain, rel=1e-6), other


@pytest.mark.slow
def test_a_shard_that_overflows_leaves_the_step_out_in_all(together):
    assert together["overflow"] == [(True, 4.0), (True, 4.0)]  # weights as they were, half the scale


def test_a_process_alone_is_given_its_model_back(tmp_path):
    model = MViT(resolve_architecture(tiny_config(tmp_path)))
    assert distribute(model, ALONE, "fsdp") is model
    assert whole_model(model) is model
    optimiser = torch.optim.AdamW(model.parameters())
    assert full_model_state(model).keys() == model.state_dict().keys()
    assert full_optimiser_state(model, optimiser) == optimiser.state_dict()
    weight = model.head.projection.weight
    assert whole(weight) is weight
    with accumulating(model, more_follows=True):
        pass
