"""One block: what its residual path keeps, and what it writes to."""

import pytest
import torch
from kit.tiny_models import TINY_V1, TINY_V2, random_model

from mvit_video.models.pooling import pool_tokens

GRID = (4, 16, 16)


def pooling_block(numbers=TINY_V2):
    """The first block that pools its queries, its grid, and tokens for it."""
    block = next(block for block in random_model(numbers).blocks if block.pool_skip is not None)
    return block, torch.randn(2, 1 + 4 * 16 * 16, block.spec.dim_in)


@pytest.mark.parametrize("stream", [torch.bfloat16, torch.float32], ids=str)
@pytest.mark.parametrize("weights", [torch.bfloat16, torch.float32], ids=str)
def test_autocast_pools_the_residual_path_as_torch_does(stream, weights):
    """On CPUs: in float32; here without a float32 copy of what was pooled."""
    block, x = pooling_block()
    block, x = block.to(weights), x.to(stream).requires_grad_()
    kept = []
    with torch.autocast("cpu", torch.bfloat16):
        with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
            ours = block._pool_skip(x, GRID)
        theirs, _ = pool_tokens(x, GRID, block.pool_skip, has_class_token=True)
    assert theirs.dtype == torch.float32
    assert torch.equal(ours.float(), theirs)
    assert ours.dtype == (stream if weights == torch.bfloat16 else torch.float32)
    assert {t.dtype for t in kept if t.is_floating_point()} <= {stream}
    outer = torch.randn_like(theirs)
    (grad,) = torch.autograd.grad(ours, x, outer.to(ours.dtype))
    (expected,) = torch.autograd.grad(theirs, x, outer)
    limit = 2**-6 if torch.bfloat16 in (stream, weights) else 0  # up to four outer gradients, summed narrow
    torch.testing.assert_close(
        grad.float(), expected.float(), rtol=limit, atol=limit * float(outer.abs().max())
    )


def test_without_autocast_the_path_keeps_its_dtype():
    block, x = pooling_block()
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        assert block._pool_skip(x.to(dtype), GRID).dtype == dtype


@pytest.mark.parametrize("numbers", [TINY_V1, TINY_V2], ids=["v1", "v2"])
def test_inference_gives_what_training_gives_and_leaves_its_input_alone(numbers):
    """In every block, those that widen too; without gradients the MLP's sum is written over its skip."""
    model = random_model(numbers).eval()
    x, grid = torch.randn(2, 1 + 4 * 16 * 16, numbers.embed_dim), GRID
    for block in model.blocks:
        expected, next_grid = block(x, grid)
        given = x.detach().clone()
        with torch.no_grad():
            got, _ = block(given, grid)
        assert torch.equal(given, x)
        x, grid = expected.detach(), next_grid
        torch.testing.assert_close(got, x, rtol=1e-5, atol=1e-5 * float(x.abs().max()))


def test_what_a_hook_saw_is_not_written_over():
    """Of the projection in the block of MViT that widens in its MLP."""
    block = next(block for block in random_model(TINY_V1).eval().blocks if block.proj is not None)
    seen = []
    block.proj.register_forward_hook(lambda module, args, out: seen.append((out, out.clone())))
    with torch.no_grad():
        block(torch.randn(2, 1 + 4 * 16 * 16, block.spec.dim_in), GRID)
    assert torch.equal(*seen[0])
