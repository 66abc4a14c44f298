"""Fused attention against the written-out reference, and that it is the fused kernel which runs."""

import copy
from dataclasses import replace

import pytest
import torch
from kit.tiny_models import TINY_V1, TINY_V2
from torch.nn.attention import SDPBackend, sdpa_kernel

from mvit_video.models import ARCHITECTURES, MViT, attend
from mvit_video.models.pooling import PoolConv
from mvit_video.models.relative_positions import relative_terms

FUSED = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION]

SETTINGS = {
    "v1": TINY_V1,
    "v2": TINY_V2,
    "v2 without class token": replace(TINY_V2, cls_embed_on=False),
}


def random_model(numbers, seed=0, std=0.2):
    """A model whose every parameter matters: the initial tables are too small to show a mistake."""
    torch.manual_seed(seed)
    model = MViT(numbers)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1 or "bias" in name:
                parameter.normal_(std=std if "pool" in name else std / 2)
    return model


def both_ways(model, clip):
    """Logits and gradients, fused and written out."""
    results = []
    for reference in (False, True):
        model.use_reference_attention(reference)
        model.zero_grad()
        logits = model(clip)
        (logits * torch.linspace(-1, 1, logits.numel()).view_as(logits)).sum().backward()
        gradients = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
        results.append((logits.detach(), gradients))
    return results


@pytest.mark.parametrize("class_token", [0, 1])
@pytest.mark.parametrize("axes", ["", "t", "hw", "thw"])
@pytest.mark.parametrize("head_dim", [8, 13])
def test_fused_kernel_equals_written_out_attention(class_token, axes, head_dim):
    """In float64, where nothing but a mistake can differ; gradients of everything that goes in, too."""
    torch.manual_seed(0)
    grid_q, grid_k = (2, 5, 6), (2, 3, 2)
    q = torch.randn(2, 3, 60 + class_token, head_dim, dtype=torch.float64)
    k, v = torch.randn(2, 2, 3, 12 + class_token, head_dim, dtype=torch.float64)
    rows = {"t": 3, "h": 9, "w": 7}  # w: resized to 11
    tables = [torch.randn(rows[a], head_dim, dtype=torch.float64) if a in axes else None for a in "thw"]
    inputs = [x.requires_grad_() for x in (q, k, v, *tables) if x is not None]
    results = []
    for function in (attend.fused_attention, attend.reference_attention):
        terms = relative_terms(q[:, :, class_token:], grid_q, grid_k, *tables)
        out = function(q, k, v, terms, grid_k, head_dim**-0.5)
        weights = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view_as(out)
        results.append([out, *torch.autograd.grad((out * weights).sum(), inputs)])
    for ours, reference in zip(*results, strict=True):
        torch.testing.assert_close(ours, reference, atol=1e-12, rtol=1e-12)
    assert len(results[0]) == 4 + len(axes)


@pytest.mark.parametrize("setting", SETTINGS)
def test_fused_model_equals_written_out_model(setting):
    model = random_model(SETTINGS[setting]).eval()
    (fused, fused_grads), (written, written_grads) = both_ways(model, torch.randn(1, 3, 4, 32, 48))
    assert written.std() > 0.01
    torch.testing.assert_close(fused, written, atol=1e-5, rtol=1e-5)
    # Relative to the largest: the gradient of the keys' biases is nothing but rounding.
    largest = max(float(gradient.abs().max()) for gradient in written_grads.values())
    assert len(fused_grads) == len(list(model.parameters()))
    for name, gradient in fused_grads.items():
        torch.testing.assert_close(gradient, written_grads[name], atol=1e-5 * largest, rtol=1e-3)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_no_shipped_model_falls_back_to_the_unfused_kernel(name):
    """Half the frames, a quarter of the size: the head dims and columns of the real thing, fewer tokens."""
    numbers = ARCHITECTURES[name]
    size = 64 if numbers.crop_size == 224 else 96
    forbid_math(numbers, numbers.num_frames // 2, size)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_no_shipped_model_falls_back_at_its_own_size(name):
    numbers = ARCHITECTURES[name]
    forbid_math(numbers, numbers.num_frames, numbers.crop_size)


def forbid_math(numbers, num_frames, size):
    """One forward pass with only fused kernels allowed; where one refuses, torch raises.

    The blocks repeat within a stage, so the first two of each stage stand for all in the large model.
    """
    model = shortened(numbers).eval()
    with sdpa_kernel(FUSED), torch.inference_mode():
        logits = model(torch.randn(1, 3, num_frames, size, size))
    assert logits.isfinite().all()


def shortened(numbers):
    """The same stages with at most two blocks in each."""
    starts = [0, *(block for block, _ in numbers.dim_mul)]
    lengths = [min(2, b - a) for a, b in zip(starts, [*starts[1:], numbers.depth], strict=True)]
    new_starts = [sum(lengths[:i]) for i in range(len(lengths))]
    every = len(numbers.pool_q_stride) == numbers.depth
    blocks = range(sum(lengths)) if every else new_starts[1:]
    return MViT(
        replace(
            numbers,
            depth=sum(lengths),
            dim_mul=tuple((block, 2.0) for block in new_starts[1:]),
            head_mul=tuple((block, 2.0) for block in new_starts[1:]),
            pool_q_stride=tuple((b, 1, 2, 2) if b in new_starts[1:] else (b, 1, 1, 1) for b in blocks),
        )
    )


def test_the_math_kernel_would_be_noticed():
    """The guard itself: unequal widths of keys and values do make torch refuse."""
    q, v = torch.randn(1, 1, 8, 24), torch.randn(1, 1, 8, 16)
    with sdpa_kernel(FUSED), pytest.raises(RuntimeError, match=r"No (available kernel|viable backend)"):
        torch.nn.functional.scaled_dot_product_attention(q, q, v)


def wide(requires_grad=False):
    """Queries, keys and values whose 2 * 90 key coordinates and 96 head dims do not fit the fused kernel."""
    torch.manual_seed(1)
    grid_q, grid_k, head_dim = (1, 4, 5), (1, 3, 178), 96
    q = torch.randn(2, 2, 21, head_dim)
    k, v = torch.randn(2, 2, 3 * 178 + 1, head_dim), torch.randn(2, 2, 3 * 178 + 1, head_dim)
    tables = [torch.randn(rows, head_dim) * 0.1 for rows in (1, 7, 355)]
    terms = relative_terms(q[:, :, 1:], grid_q, grid_k, *tables)
    inputs = [q, k, v, *terms]
    for x in inputs:
        x.requires_grad_(requires_grad)
    return inputs, grid_k


def test_too_wide_for_the_fused_kernel_is_chunked_and_equal(monkeypatch):
    monkeypatch.setattr(attend, "CHUNK_ELEMENTS", 4 * 535 * 5)  # 5 of 21 queries at a time
    results = []
    for function in (attend.fused_attention, attend.reference_attention):
        inputs, grid_k = wide(requires_grad=True)
        q, k, v, *terms = inputs
        out = function(q, k, v, tuple(terms), grid_k, 96**-0.5)
        (out * torch.linspace(-1, 1, out.numel()).view_as(out)).sum().backward()
        results.append([out.detach(), *(x.grad for x in inputs)])
    for ours, reference in zip(*results, strict=True):
        torch.testing.assert_close(ours, reference, atol=1e-5, rtol=1e-5)


def test_chunks_hold_a_bounded_part_of_the_matrix(monkeypatch):
    monkeypatch.setattr(attend, "CHUNK_ELEMENTS", 4 * 535 * 5)
    sizes = []
    original = attend._attend_chunk

    def watched(q, *rest):
        sizes.append(q.shape[2])
        return original(q, *rest)

    monkeypatch.setattr(attend, "_attend_chunk", watched)
    (q, k, v, *terms), grid_k = wide()
    attend.fused_attention(q, k, v, tuple(terms), grid_k, 96**-0.5)
    assert sizes == [5, 5, 5, 5, 1]


@pytest.mark.parametrize("setting", ["v1", "v2"])
@pytest.mark.parametrize("how", ["autocast", "weights"])
def test_bf16_stays_near_float32(setting, how):
    model = random_model(SETTINGS[setting], std=0.1).eval()
    clip = torch.randn(2, 3, 4, 32, 48)
    with torch.inference_mode():
        exact = model(clip)
        if how == "weights":
            model, clip = model.bfloat16(), clip.bfloat16()
        with torch.autocast("cpu", torch.bfloat16, enabled=how == "autocast"):
            fused = model(clip)
            model.use_reference_attention(True)
            written = model(clip)
    assert fused.dtype == torch.bfloat16
    spread = exact.std()
    assert (fused.float() - exact).abs().max() < 0.15 * spread
    assert (fused.float() - written.float()).abs().max() < 0.15 * spread


def test_bf16_trains():
    model = random_model(TINY_V2).train()
    with torch.autocast("cpu", torch.bfloat16):
        loss = model(torch.randn(2, 3, 8, 64, 64)).float().logsumexp(dim=1).sum()
    loss.backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


@pytest.mark.parametrize("frames", [1, 2, 3, 4])
def test_bfloat16_pooling_has_the_exact_gradients(frames):
    """Of two time steps, channels last, the library's own are wrong by their whole size."""
    torch.manual_seed(0)
    pool = PoolConv(8, (3, 3, 3), (1, 2, 2))
    torch.nn.init.normal_(pool.weight)
    exact = copy.deepcopy(pool).double()
    x = torch.randn(2, 16, frames, 6, 6).bfloat16().contiguous(memory_format=torch.channels_last_3d)
    out = pool.bfloat16()(x)
    seed = torch.randn_like(out)
    out.backward(seed)
    exact.weight.data.copy_(pool.weight)
    exact(x.double()).backward(seed.double())
    torch.testing.assert_close(pool.weight.grad.double(), exact.weight.grad, rtol=0.02, atol=0.3)
