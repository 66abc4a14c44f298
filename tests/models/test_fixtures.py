"""The official outputs, from the official weights under the official names."""

import numpy as np
import pytest
import torch
from kit import fixtures
from kit.fixture_fill import summary

from mvit_video.models import MViT, architecture

SMALL = [name for name in fixtures.SLOWFAST if "_run_" in name]
NATIVE = [name for name in fixtures.SLOWFAST if "_run_" not in name]


def build(fixture, dtype=torch.float32):
    with torch.device("meta"):
        model = MViT(architecture(fixture.architecture, **fixture.overrides))
    model.load_state_dict(fixture.state_dict, strict=True, assign=True)
    return model.eval().to(dtype)


def run_recording(model, fixture):
    """Logits, and what each recorded stage of the model gave."""
    stages = {
        "patch_embed": model.patch_embed,
        "block_first": model.blocks[0],
        "block_mid": model.blocks[fixture.meta["mid_block"]],
        "block_last": model.blocks[fixture.meta["last_block"]],
        "norm": model.norm,
    }
    seen, hooks = {}, []
    for stage, module in stages.items():

        def record(_module, _args, output, stage=stage):
            seen[stage] = output[0] if isinstance(output, tuple) else output

        hooks.append(module.register_forward_hook(record))
    with torch.no_grad():
        logits = model(fixture.clip.to(model.norm.weight.dtype))
    for hook in hooks:
        hook.remove()
    return logits, seen


def check(name):
    fixture = fixtures.load(name)
    logits, seen = run_recording(build(fixture), fixture)
    difference = np.abs(logits.numpy() - fixture.expected["logits"]).max()
    print(f"PARITY {name} logits {difference:.1e}")
    for stage, output in seen.items():
        ours = summary(output)
        assert ours["shape"].tolist() == fixture.expected[f"{stage}/shape"].tolist(), stage
        gaps = [np.abs(ours[part] - fixture.expected[f"{stage}/{part}"]).max() for part in ("first", "last")]
        print(f"PARITY {name} {stage} {max(gaps):.1e}")
        assert max(gaps) < 1e-4, stage
        np.testing.assert_allclose(ours["stats"], fixture.expected[f"{stage}/stats"], rtol=1e-5, atol=1e-6)
    assert difference < 1e-4
    probabilities = logits.softmax(dim=-1).numpy()
    assert np.abs(probabilities - fixture.expected["output"]).max() < 1e-6


@pytest.mark.parametrize("name", SMALL)
def test_gives_the_official_output_at_another_size_than_built(name):
    check(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", NATIVE)
def test_gives_the_official_output_at_the_native_size(name):
    check(name)


@pytest.mark.parametrize("name", ["slowfast_mvitv2_s_16x4_run_8x160x128"])
def test_float64_shows_that_every_norm_has_the_official_eps(name):
    """A wrong eps (1e-5) moves these logits by 2.8e-5, which the tolerance above would let through."""
    fixture = fixtures.load(name)
    logits, _ = run_recording(build(fixture, torch.float64), fixture)
    assert np.abs(logits.numpy() - fixture.expected["logits"]).max() < 5e-6
