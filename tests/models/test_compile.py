"""torch.compile takes the whole model in one graph, for one number of clips or any, in training too."""

import shutil
from dataclasses import replace

import pytest
import torch
from kit.small_models import SMALL_V1, SMALL_V2, small_clip, small_model

pytestmark = pytest.mark.timeout(1200)  # tracing takes long on a busy machine

# Two blocks hold all there is: pooling of each kind, a change of width, relative or absolute positions.
ARCHITECTURES = {
    "v1": replace(SMALL_V1, depth=2),
    "v2": replace(SMALL_V2, depth=2, pool_q_stride=SMALL_V2.pool_q_stride[:2]),
}
ARCHITECTURES["mean"] = replace(ARCHITECTURES["v2"], cls_embed_on=False, use_mean_pooling=True)
TOLERANCE = {"rtol": 1e-4, "atol": 1e-5}


@pytest.fixture(autouse=True)
def _fresh():
    """Each test compiles for itself."""
    torch.compiler.reset()
    yield
    torch.compiler.reset()


class Backend:
    """Runs a graph as it was recorded, and counts how many there were."""

    def __init__(self):
        self.graphs = []

    def __call__(self, graph, inputs):
        self.graphs.append(graph)
        return graph.forward


def clips(count):
    generator = torch.Generator().manual_seed(count)
    return torch.randn(count, *small_clip().shape[1:], generator=generator)


@pytest.mark.parametrize("generation", ARCHITECTURES)
def test_one_graph_for_one_number_of_clips(generation):
    model = small_model(ARCHITECTURES[generation])
    backend = Backend()
    compiled = torch.compile(model, fullgraph=True, dynamic=False, backend=backend)
    with torch.no_grad():
        torch.testing.assert_close(compiled(clips(2)), model(clips(2)), **TOLERANCE)
    assert len(backend.graphs) == 1


@pytest.mark.parametrize("generation", ["v1", "v2"])
def test_one_graph_for_any_number_of_clips(generation):
    model = small_model(ARCHITECTURES[generation])
    backend = Backend()
    compiled = torch.compile(model, fullgraph=True, backend=backend)
    with torch.no_grad():
        for count in (2, 5, 3):
            some = clips(count)
            torch._dynamo.mark_dynamic(some, 0)  # an error where anything depends on the number
            torch.testing.assert_close(compiled(some), model(some), **TOLERANCE)
    assert len(backend.graphs) == 1


def test_the_graph_has_ordinary_operators_alone():
    """No function of our own in it that a compiler could not look into."""
    backend = Backend()
    with torch.no_grad():
        torch.compile(small_model(ARCHITECTURES["v2"]), fullgraph=True, backend=backend)(clips(2))
    called = [str(node.target) for node in backend.graphs[0].graph.nodes if node.op == "call_function"]
    assert any("scaled_dot_product_attention" in name for name in called)
    assert any("conv3d" in name for name in called)
    assert not any("autograd" in name or "custom" in name for name in called)


@pytest.mark.slow
@pytest.mark.parametrize("checkpointing", [False, True])
def test_a_training_step_compiles_whole_and_gives_the_same_gradients(checkpointing):
    model = small_model(ARCHITECTURES["v2"]).train()
    model.set_activation_checkpointing(checkpointing)
    targets = torch.tensor([1, 4])

    def gradients(run):
        model.zero_grad(set_to_none=True)
        torch.nn.functional.cross_entropy(run(clips(2)), targets).backward()
        return {name: parameter.grad for name, parameter in model.named_parameters()}

    expected = gradients(model)
    found = gradients(torch.compile(model, fullgraph=True, backend="aot_eager"))
    assert len(expected) == len(found) > 20
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-3, atol=1e-5, msg=name)


@pytest.mark.slow
def test_autocast_to_bfloat16_compiles_whole():
    model = small_model(ARCHITECTURES["v2"])
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(compiled(clips(2)), model(clips(2)), rtol=0.05, atol=0.05)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("gcc") is None, reason="inductor needs a C++ compiler")
def test_inductor_gives_the_same_logits(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    model = small_model(ARCHITECTURES["v2"])
    compiled = torch.compile(model, fullgraph=True)
    with torch.no_grad():
        torch.testing.assert_close(compiled(clips(2)), model(clips(2)), **TOLERANCE)
