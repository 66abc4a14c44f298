"""The last block asked for the class token alone, against the whole block."""

from dataclasses import replace

import pytest
import torch
from kit.tiny_models import TINY_V1, TINY_V2, random_model

from mvit_video.models import MViT, mvit
from mvit_video.models import block as module
from mvit_video.models.feed_forward import Mlp

SETTINGS = {"v1": TINY_V1, "v2": TINY_V2, "v2, widening in the MLP": replace(TINY_V2, dim_mul_in_att=False)}
CLIP = (2, 3, 8, 32, 48)


@pytest.fixture
def tokens_of_last_mlp(monkeypatch):
    """How many tokens each feed-forward half saw."""
    seen, whole = [], module.MultiScaleBlock._feed_forward

    def feed_forward(block, x_BNC):
        seen.append(x_BNC.shape[1])
        return whole(block, x_BNC)

    monkeypatch.setattr(module.MultiScaleBlock, "_feed_forward", feed_forward)
    return seen


def whole_block(monkeypatch):
    monkeypatch.setattr(mvit, "may_leave_out_patches", lambda block: False)


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("training", [False, True])
def test_logits_are_the_same(monkeypatch, tokens_of_last_mlp, setting, training):
    """In float64; in training mode clips go without the same branches."""
    architecture = replace(SETTINGS[setting], droppath_rate=0.3)
    model = random_model(architecture).double().train(training)
    clips = torch.randn(*CLIP, dtype=torch.float64)
    results = []
    for _ in range(2):
        for seed in range(8):
            torch.manual_seed(seed)
            with torch.no_grad():
                results.append(model(clips))
        assert (tokens_of_last_mlp[-1] == 1) == (len(results) == 8)
        whole_block(monkeypatch)
    torch.testing.assert_close(results[:8], results[8:], atol=1e-11, rtol=1e-11)


def test_gradients_are_of_the_whole_block(tokens_of_last_mlp):
    """Parameters that only patches use get zeros."""
    model = random_model(TINY_V2)
    model(torch.randn(*CLIP)).square().sum().backward()
    assert tokens_of_last_mlp[-1] > 1
    assert all(parameter.grad is not None for parameter in model.parameters())
    assert not model.blocks[-1].attn.pool_q.weight.grad.any()


def test_embeddings_are_those_of_the_class_token(tokens_of_last_mlp):
    model = random_model(TINY_V2).eval()
    clips = torch.randn(*CLIP)
    with torch.inference_mode():
        embedding = model.forward_embedding(clips)
        tokens, _ = model.forward_features(clips)
        torch.testing.assert_close(model.head(embedding), model.forward_head(tokens))
    assert tokens_of_last_mlp[-1] == tokens.shape[1] > 1
    torch.testing.assert_close(embedding, tokens[:, 0])


class OtherMlp(Mlp):
    """One that somebody wrote."""


WATCHERS = {
    "a hook on the final norm": lambda model, hook: model.norm.register_forward_hook(hook),
    "a hook on the last block": lambda model, hook: model.blocks[-1].register_forward_hook(hook),
    "a hook within it": lambda model, hook: model.blocks[-1].norm1.register_forward_pre_hook(hook),
    "dropout": lambda model, hook: setattr(model.blocks[-1].mlp.drop, "p", 0.1),
    "dropout after attention": lambda model, hook: setattr(model.blocks[-1].attn.proj_drop, "p", 0.1),
    "another dropout": lambda model, hook: setattr(model.blocks[-1].attn, "proj_drop", torch.nn.Identity()),
    "a forward of its own": lambda model, hook: setattr(
        model.blocks[-1].attn, "forward", model.blocks[-1].attn.forward
    ),
    "another MLP": lambda model, hook: setattr(model.blocks[-1].mlp, "__class__", OtherMlp),
    "reference attention": lambda model, hook: model.use_reference_attention(True),
}


@pytest.mark.parametrize("watcher", WATCHERS)
@torch.no_grad()
def test_who_watches_sees_all_tokens(tokens_of_last_mlp, watcher):
    model = random_model(TINY_V2).train()
    model(torch.randn(*CLIP))
    assert tokens_of_last_mlp[-1] == 1
    WATCHERS[watcher](model, lambda *_: None)
    model(torch.randn(*CLIP))
    assert tokens_of_last_mlp[-1] > 1


@torch.no_grad()
def test_hooks_on_everything_see_all_tokens(tokens_of_last_mlp):
    model = random_model(TINY_V2).eval()
    handle = torch.nn.modules.module.register_module_forward_hook(lambda *_: None)
    try:
        model(torch.randn(*CLIP))
    finally:
        handle.remove()
    assert tokens_of_last_mlp[-1] > 1


def test_subclasses_are_asked():
    class Other(MViT):
        def forward_features(self, x):
            tokens, grid = super().forward_features(x)
            return tokens * 0, grid

    model = Other(TINY_V2).eval()
    torch.nn.init.ones_(model.head.projection.bias)
    assert torch.equal(model(torch.randn(*CLIP)), torch.ones(2, 11))


@pytest.mark.parametrize("setting", SETTINGS)
def test_no_clips_at_all(setting):
    model = random_model(SETTINGS[setting]).eval()
    for context in (torch.no_grad(), torch.enable_grad()):
        with context:
            assert model(torch.empty(0, *CLIP[1:])).shape == (0, 11)


@pytest.mark.parametrize("setting", SETTINGS)
@torch.no_grad()
def test_what_comes_out_for_a_clip_does_not_depend_on_its_neighbours(setting):
    """To the last bit: the parts of a test join into the file of one process."""
    model = random_model(SETTINGS[setting]).eval()
    clips = torch.randn(6, *CLIP[1:])
    assert torch.equal(model(clips), torch.cat([model(clips[:4]), model(clips[4:])]))
    assert torch.equal(model(clips), torch.cat([model(clip[None]) for clip in clips]))


@torch.no_grad()
def test_the_mean_is_of_all_tokens(tokens_of_last_mlp):
    model = random_model(replace(TINY_V2, use_mean_pooling=True)).eval()
    model(torch.randn(*CLIP))
    assert tokens_of_last_mlp[-1] > 1
