"""Fused attention against the written-out reference, and that it is the fused kernel which runs."""

import copy
import math
import types
from dataclasses import replace

import pytest
import torch
from kit.tiny_models import TINY_V1, TINY_V2, random_model
from torch.nn.attention import SDPBackend, sdpa_kernel

from mvit_video.models import ARCHITECTURES, MViT, attend, blocked, processor, relative_positions
from mvit_video.models.attend import Layout
from mvit_video.models.pooling import PoolConv
from mvit_video.models.processor import AMX, ARM_BF16, AVX512_BF16
from mvit_video.models.relative_positions import relative_vectors

LIMITS = 0.003, 0.03, 0.0065, 0.003  # relative errors of what comes out and of the gradients of q, k, v
FUSED = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION]

SETTINGS = {
    "v1": TINY_V1,
    "v2": TINY_V2,
    "v2 without class token": replace(TINY_V2, cls_embed_on=False),
}


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


WAYS = {"blocks": attend._by_blocks, "fused": attend.fused_attention}


def tokens(head_dim, class_token, axes, dtype=torch.float64, grid_q=(2, 5, 6), grid_k=(2, 3, 2)):
    """Queries, keys, values and tables that want gradients, and how the tokens lie."""
    torch.manual_seed(0)
    layout = Layout(grid_q, grid_k, bool(class_token))
    q = torch.randn(2, math.prod(grid_q) + class_token, 3, head_dim, dtype=dtype)
    k, v = torch.randn(2, 2, math.prod(grid_k) + class_token, 3, head_dim, dtype=dtype)
    rows = {"t": 3, "h": 9, "w": 7}  # w: resized to 11
    tables = [torch.randn(rows[a], head_dim, dtype=dtype) if a in axes else None for a in "thw"]
    for x in (q, k, v, *tables):
        if x is not None:
            x.requires_grad_()
    return q, k, v, tables, layout


def with_gradients(way, inputs, add_queries, weight=1.0):
    """What a way of attention gives, and the gradients of everything that goes in."""
    q, k, v, tables, layout = inputs
    out = way(
        q, k, v, relative_vectors(tables, layout.grid_q, layout.grid_k), layout, add_queries=add_queries
    )
    weights = torch.linspace(-weight, weight, out.numel(), dtype=out.dtype).view_as(out)
    wanted = [x for x in (q, k, v, *tables) if x is not None]
    return [out, *torch.autograd.grad((out * weights).sum(), wanted)]


def make_blocks_small(monkeypatch, cache_bytes):
    """Blocks of so many bytes of scores, however few queries that is."""
    for name, value in {"CACHE_BYTES": cache_bytes, "LEAST_QUERIES": 1, "QUERY_STEP": 1}.items():
        monkeypatch.setattr(blocked, name, value)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("add_queries", [False, True])
@pytest.mark.parametrize("class_token", [0, 1])
@pytest.mark.parametrize("axes", ["", "t", "hw", "thw"])
@pytest.mark.parametrize("head_dim", [8, 13])
def test_every_way_equals_written_out_attention(monkeypatch, way, add_queries, class_token, axes, head_dim):
    """In float64, where nothing but a mistake can differ; gradients of everything that goes in, too."""
    make_blocks_small(monkeypatch, 8 * 25 * (12 + class_token))  # blocks of 25 queries at most
    monkeypatch.setattr(blocked, "KEYS", 5)
    inputs = tokens(head_dim, class_token, axes)
    ours, reference = (
        with_gradients(f, inputs, add_queries) for f in (WAYS[way], attend.reference_attention)
    )
    assert len(ours) == 4 + len(axes)
    for got, expected in zip(ours, reference, strict=True):
        torch.testing.assert_close(got, expected, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("class_token", [0, 1])
def test_gradients_written_by_hand_are_those_of_the_numbers(class_token):
    """Against differences, which know nothing of any implementation."""
    q, k, v, tables, layout = tokens(4, class_token, "thw", grid_q=(1, 2, 3), grid_k=(1, 2, 2))

    def blocks(q, k, v, *tables):
        vectors = relative_vectors(tables, layout.grid_q, layout.grid_k)
        return attend._by_blocks(q, k, v, vectors, layout, add_queries=True)

    assert torch.autograd.gradcheck(blocks, (q, k, v, *tables))


@pytest.mark.parametrize("size", [1e-3, 1.0, 200.0, -200.0])
def test_scores_beyond_the_range_of_exponentials(size):
    """Tiny, usual, so large that their exponentials overflow, and so small that they vanish."""
    q, k, v, tables, layout = tokens(13, 1, "thw", dtype=torch.float32)
    with torch.no_grad():
        k.copy_(torch.nn.functional.layer_norm(k, (13,)) * abs(size))
        q.copy_(torch.full_like(q, size / abs(size)) + q * 0.01)
        k.add_(size)  # all scores of one sign
    inputs = (q, k, v, tables, layout)
    ours = with_gradients(attend._by_blocks, inputs, False)
    doubles = [x.detach().double().requires_grad_() for x in (q, k, v)]
    double_tables = [x.detach().double().requires_grad_() for x in tables]
    exact = with_gradients(attend.reference_attention, (*doubles, double_tables, layout), False)
    for got, expected in zip(ours, exact, strict=True):
        largest = float(expected.detach().abs().max())
        torch.testing.assert_close(got.double(), expected, atol=2e-4 * largest, rtol=1e-3)


def test_queries_that_are_no_numbers_stay_so():
    q, k, v, tables, layout = tokens(8, 0, "")
    with torch.no_grad():
        q[0, 3, 1] = torch.nan
        out = attend._by_blocks(
            q, k, v, relative_vectors(tables, (2, 5, 6), (2, 3, 2)), layout, add_queries=False
        )
    assert out[0, 3, 1].isnan().all()
    assert out.isnan().sum() == 8


def test_gradients_of_gradients_are_refused():
    q, k, v, tables, layout = tokens(8, 0, "t")
    vectors = relative_vectors(tables, layout.grid_q, layout.grid_k)
    out = attend._by_blocks(q, k, v, vectors, layout, add_queries=False)
    (grad,) = torch.autograd.grad(out.square().sum(), k, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        grad.sum().backward()


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
    with pytest.MonkeyPatch.context() as patch, sdpa_kernel(FUSED), torch.inference_mode():
        patch.setattr(attend, "_prefers_blocks", lambda q, vectors: False)
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


def test_heads_too_wide_for_fused_kernels_go_by_blocks_on_gpus():
    """180 key coordinates and 96 head dims; the choice alone, as the tensors need not exist for it."""
    q = torch.empty(1, 5, 1, 96, device="meta")
    gpu = types.SimpleNamespace(device=torch.device("cuda"), shape=q.shape, dtype=torch.float32)
    narrow, wide = ((None, torch.empty(5, n, 96), torch.empty(5, n, 96)) for n in (80, 90))
    assert not attend._prefers_blocks(gpu, narrow)
    assert attend._prefers_blocks(gpu, wide)


@pytest.mark.parametrize(
    ("queries", "sizes"),
    [(200, [200]), (300, [160, 140]), (1000, [256, 256, 256, 232]), (8193, [272] * 30 + [33])],
)
def test_blocks_have_enough_queries_for_products(queries, sizes):
    """However many keys there are."""
    q = torch.empty(1, queries, 1, 8)
    space = blocked._Workspace(q, q.new_empty(1, queries, 1, 0), 1 << 16)
    assert [part.stop - part.start for part in space.blocks] == sizes


def test_blocks_hold_a_bounded_part_of_the_matrix(monkeypatch):
    make_blocks_small(monkeypatch, 8 * 13 * 25)
    q, k, _, _, _ = tokens(8, 1, "")
    space = blocked._Workspace(q, q.new_empty(2, 61, 3, 0), k.shape[1], backward=True)
    assert [part.stop - part.start for part in space.blocks] == [21, 21, 19]
    assert {x.shape[0] for x in (space.queries_RW, space.scores_RM, space.out_RW, space.grad_RM)} == {21}


@pytest.mark.parametrize("setting", ["v1", "v2"])
@pytest.mark.parametrize("how", ["autocast", "weights", "both"])
@pytest.mark.parametrize("by_blocks", [True, False], ids=["blocks", "fused"])
def test_bf16_stays_near_float32(monkeypatch, setting, how, by_blocks):
    monkeypatch.setattr(attend, "_prefers_blocks", lambda q, vectors: by_blocks)
    model = random_model(SETTINGS[setting], std=0.1).eval()
    clip = torch.randn(2, 3, 4, 32, 48)
    with torch.inference_mode():
        exact = model(clip)
        if how != "autocast":
            model, clip = model.bfloat16(), clip.bfloat16()
        with torch.autocast("cpu", torch.bfloat16, enabled=how != "weights"):
            found = model(clip)
            model.use_reference_attention(True)
            written = model(clip)
    assert found.dtype == torch.bfloat16
    spread = exact.std()
    assert (found.float() - exact).abs().max() < 0.15 * spread
    assert (found.float() - written.float()).abs().max() < 0.15 * spread


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


@pytest.mark.parametrize(
    ("instructions", "limit"),
    [
        (None, 0.02),  # only what goes in and out is rounded, in float32 stand-ins
        (AVX512_BF16, 0.03),  # so are scores and weights, as between any operators in bfloat16
    ],
)
@pytest.mark.parametrize("class_token", [0, 1])
def test_blocks_in_bfloat16(monkeypatch, class_token, instructions, limit):
    """Small blocks, so that sums over them count."""
    monkeypatch.setattr(processor, "has_fast_bfloat16", lambda: instructions is not None)
    make_blocks_small(monkeypatch, 4 * 13 * 5)
    inputs = tokens(13, class_token, "thw")
    *halves, tables, layout = inputs
    halves = [x.detach().bfloat16().requires_grad_() for x in halves]
    tables = [x.detach().bfloat16().requires_grad_() for x in tables]
    exact = [[x.detach().double().requires_grad_() for x in group] for group in (halves, tables)]
    ours = with_gradients(attend._by_blocks, (*halves, tables, layout), True)
    reference = with_gradients(attend.reference_attention, (*exact[0], exact[1], layout), True)
    for got, expected in zip(ours, reference, strict=True):
        assert got.dtype == torch.bfloat16
        # A table's gradient is added up from the rounded ones of its vectors.
        assert float((got.detach().double() - expected.detach()).abs().max()) < limit * float(
            expected.detach().abs().max()
        )


@pytest.mark.parametrize("shift", [0.0, 3.0])
def test_blocks_in_bfloat16_where_keys_and_gradients_have_much_in_common(monkeypatch, shift):
    """Many small blocks, whose sums would lose digits in bfloat16, as scores would with what keys share."""
    monkeypatch.setattr(processor, "has_fast_bfloat16", lambda: True)
    make_blocks_small(monkeypatch, 2 * 50 * 10)
    torch.manual_seed(0)
    common = shift * torch.randn(16)
    q, k, v = (
        torch.randn(1, 640, 2, 16) + common / 4,
        torch.randn(1, 50, 2, 16) + common,
        torch.rand(1, 50, 2, 16),
    )
    halves = [x.bfloat16().requires_grad_() for x in (q, k, v)]
    doubles = [x.detach().double().requires_grad_() for x in halves]
    layout, weights = Layout((10, 8, 8), (2, 5, 5), False), torch.rand(1, 640, 2, 16).bfloat16()
    results = []
    for way, inputs in ((attend._by_blocks, halves), (attend.reference_attention, doubles)):
        out = way(*inputs, (None, None, None), layout, add_queries=False)
        results.append([out, *torch.autograd.grad(out, inputs, weights.to(out.dtype))])
    for got, expected, limit in zip(*results, LIMITS, strict=True):
        error = (got.double() - expected).norm() / expected.norm()
        assert error < limit


@pytest.mark.parametrize(
    ("instructions", "by_blocks"), [(None, True), (AVX512_BF16, True), (AMX, False), (ARM_BF16, False)]
)
def test_which_cpus_take_bfloat16_by_blocks(monkeypatch, instructions, by_blocks):
    monkeypatch.setattr(attend, "bfloat16_instructions", lambda: instructions)
    q = torch.empty(1, 5, 1, 96)
    assert attend._prefers_blocks(q.bfloat16(), (None, None, None)) == by_blocks
    assert attend._prefers_blocks(q, (None, None, None))


def test_what_inference_keeps_serves_training():
    """Indices and indicators are made once; made in inference mode, autograd would refuse them."""
    attend._indicators.cache_clear()
    relative_positions._kept_index.cache_clear()
    model, clip = random_model(TINY_V2), torch.randn(1, 3, 4, 32, 48)
    with torch.inference_mode():
        expected = model.eval()(clip)
    logits = model(clip)
    logits.sum().backward()
    torch.testing.assert_close(logits, expected)
    assert attend._indicators.cache_info().hits > 0
    assert relative_positions._kept_index.cache_info().hits > 0
    assert model.blocks[0].attn.rel_pos_h.grad.abs().max() > 0


@pytest.mark.parametrize("size", [(4, 32, 48), (6, 64, 32), (2, 96, 96)])
@pytest.mark.parametrize("batch", [1, 3])
def test_any_size_and_number_of_clips_by_blocks(size, batch):
    model = random_model(TINY_V2).eval()
    clips = torch.randn(batch, 3, *size)
    with torch.inference_mode():
        together = model(clips)
        model.use_reference_attention(True)
        alone = torch.cat([model(clip[None]) for clip in clips])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


def test_gradients_of_each_clip_by_torch_func():
    """Its transforms know nothing of gradients written by hand: they get plain operators."""
    model, clips = random_model(TINY_V2).eval(), torch.randn(2, 3, 4, 32, 48)
    parameters = {name: parameter.detach() for name, parameter in model.named_parameters()}

    def loss(parameters, clip):
        return torch.func.functional_call(model, parameters, (clip[None],)).logsumexp(dim=1).sum()

    each = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))(parameters, clips)
    model(clips).logsumexp(dim=1).sum().backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(each[name].sum(0), parameter.grad, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("numbers", [TINY_V1, TINY_V2], ids=["v1", "v2"])
def test_projections_that_are_watched_or_replaced_count(numbers):
    model = random_model(numbers).eval()
    clip = torch.randn(1, 3, 8, 64, 64)
    seen = []
    with torch.inference_mode():
        before = model(clip)
        attention = model.blocks[0].attn
        handle = attention.qkv.register_forward_hook(lambda _module, _args, out: seen.append(out.shape[-1]))
        watched = model(clip)
        handle.remove()
        attention.qkv = torch.nn.Sequential(attention.qkv, torch.nn.Tanh())
        replaced = model(clip)
    assert seen == [attention.qkv[0].out_features]
    torch.testing.assert_close(watched, before, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(replaced, before, atol=1e-2)


@pytest.mark.parametrize("pool", ["pool_k", "pool_v"])
def test_poolings_that_are_watched_see_the_whole_grid(pool):
    model, seen = random_model(TINY_V2), []
    module = getattr(model.blocks[0].attn, pool)
    module.register_forward_hook(lambda _module, args, _out: seen.append(args[0].shape[2:]))
    model(torch.randn(1, 3, 8, 64, 64))
    assert seen == [(4, 16, 16)]
