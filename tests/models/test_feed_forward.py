"""The MLP branch in pieces, against torch's own layers one after the other."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from mvit_video.models import feed_forward
from mvit_video.models import linear as linear_module
from mvit_video.models.feed_forward import Mlp, add_mlp_branch, mlp_branch, runs_in_pieces
from mvit_video.models.linear import Linear

NUMBER_OF_PIECES = 3


@pytest.fixture(autouse=True)
def pieces(monkeypatch):
    """2 clips of 20 tokens in 3 pieces of 14, 14 and 12; the sizes of those that ran."""
    monkeypatch.setattr(feed_forward, "PIECE_ELEMENTS", 14 * 32)
    sizes = []
    whole = feed_forward._pieces

    def recorded(x_LC, hidden):
        for piece in whole(x_LC, hidden):
            sizes.append(x_LC[piece].shape[0])
            yield piece

    monkeypatch.setattr(feed_forward, "_pieces", recorded)
    return sizes


def layers(dtype=torch.float32, dim_out=8, dropout=0.0):
    torch.manual_seed(0)
    norm, mlp = nn.LayerNorm(8, eps=1e-6), Mlp(8, 32, dim_out, dropout)
    for parameter in (*norm.parameters(), *mlp.parameters()):
        nn.init.normal_(parameter)
    return norm.to(dtype), mlp.to(dtype)


def plain(x, norm, mlp):
    """The same parameters in torch's own modules."""
    first, second = nn.Linear(8, 32), nn.Linear(32, mlp.fc2.out_features)
    whole = nn.Sequential(nn.LayerNorm(8, eps=1e-6), first, nn.GELU(), second).to(x.dtype)
    sources = (*norm.parameters(), *mlp.parameters())
    for parameter, source in zip(whole.parameters(), sources, strict=True):
        parameter.data = source.detach().to(x.dtype)
    return whole(x), list(whole.parameters())


@pytest.mark.parametrize(("dtype", "limit"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@pytest.mark.parametrize("dim_out", [8, 12])
@pytest.mark.parametrize("keep_hidden", [False, True])
def test_gives_what_the_layers_give_with_gradients(pieces, dtype, limit, dim_out, keep_hidden):
    norm, mlp = layers(dtype, dim_out)
    x = torch.randn(2, 20, 8, dtype=dtype, requires_grad=True)
    out = mlp_branch(x, norm, mlp, keep_hidden=keep_hidden)
    weights = torch.randn_like(out)
    ours = [out, *torch.autograd.grad(out, [x, *norm.parameters(), *mlp.parameters()], weights)]
    assert pieces == [14, 14, 12] * 2  # forward and backward
    expected, parameters = plain(x, norm, mlp)
    theirs = [expected, *torch.autograd.grad(expected, [x, *parameters], weights)]
    for got, wanted in zip(ours, theirs, strict=True):
        torch.testing.assert_close(got, wanted, rtol=limit, atol=limit * float(wanted.detach().abs().max()))


@pytest.mark.parametrize("keep_hidden", [False, True])
def test_gradcheck(keep_hidden):
    norm, mlp = layers(torch.float64)
    x = torch.randn(2, 20, 8, dtype=torch.float64, requires_grad=True)
    inputs = (x, norm.eps, keep_hidden, *feed_forward._parameters(norm, mlp))
    assert torch.autograd.gradcheck(feed_forward._Branch.apply, inputs, fast_mode=True)


@pytest.mark.parametrize("dim_out", [8, 12])
def test_inference_gives_the_same_and_writes_to_the_skip(pieces, dim_out):
    """Of the input's width: the input itself."""
    norm, mlp = layers(dim_out=dim_out)
    x = torch.randn(2, 20, 8)
    skip = x if dim_out == 8 else torch.randn(2, 20, dim_out)
    wanted = skip + plain(x, norm, mlp)[0]
    with torch.no_grad():
        torch.testing.assert_close(skip + mlp_branch(x, norm, mlp), wanted)
        scattered = skip.transpose(0, 1).contiguous().transpose(0, 1)
        torch.testing.assert_close(add_mlp_branch(scattered, x, norm, mlp), wanted)
        torch.testing.assert_close(scattered, skip)
        given = skip.clone()
        source = given if dim_out == 8 else x
        assert add_mlp_branch(given, source, norm, mlp) is given
    torch.testing.assert_close(given, wanted)
    assert len(pieces) == 3 * NUMBER_OF_PIECES


@pytest.mark.parametrize(
    ("keep_hidden", "autocast", "shapes"),
    [
        (False, False, [(2, 20, 8)]),
        (True, False, [(2, 20, 8), (40, 32)]),
        (True, True, [(2, 20, 8)]),  # float32 stands in for bfloat16 here
    ],
)
def test_training_keeps_the_input_and_what_it_is_asked_to(monkeypatch, keep_hidden, autocast, shapes):
    monkeypatch.setattr(linear_module, "has_fast_bfloat16", lambda: False)
    norm, mlp = layers()
    x = torch.randn(2, 20, 8, requires_grad=True)
    parameters = {id(parameter) for parameter in (*norm.parameters(), *mlp.parameters())}
    kept = []

    def keep(tensor):
        kept.append(tensor)
        return tensor

    with (
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
        torch.autocast("cpu", torch.bfloat16, enabled=autocast),
    ):
        mlp_branch(x, norm, mlp, keep_hidden=keep_hidden)
    assert [tuple(tensor.shape) for tensor in kept if id(tensor) not in parameters] == shapes


def test_nothing_is_kept_where_nothing_needs_a_gradient(monkeypatch):
    """As in frozen layers in front of others."""
    norm, mlp = (layer.requires_grad_(False) for layer in layers())
    given = []
    monkeypatch.setattr(feed_forward, "_forward", lambda *_, hidden_LH, **__: given.append(hidden_LH))
    mlp_branch(torch.randn(2, 20, 8), norm, mlp, keep_hidden=True)
    assert given == [None]


@pytest.mark.parametrize("fast", [False, True], ids=["without bf16 instructions", "with bf16 instructions"])
@pytest.mark.parametrize("how", ["weights", "autocast", "autocast of a bf16 stream"])
@pytest.mark.parametrize("keep_hidden", [False, True])
def test_bfloat16(monkeypatch, pieces, fast, how, keep_hidden):
    monkeypatch.setattr(linear_module, "has_fast_bfloat16", lambda: fast)
    norm, mlp = layers(torch.bfloat16 if how == "weights" else torch.float32)
    exact_x = torch.randn(2, 20, 8).bfloat16().double().requires_grad_()
    x = exact_x.detach().to(torch.float32 if how == "autocast" else torch.bfloat16).requires_grad_()
    inputs = [x, *norm.parameters(), *mlp.parameters()]
    with torch.autocast("cpu", torch.bfloat16, enabled=how != "weights"):
        out = mlp_branch(x, norm, mlp, keep_hidden=keep_hidden)
    weights = torch.randn(2, 20, 8).bfloat16()
    ours = [out, *torch.autograd.grad(out, inputs, weights)]
    expected, parameters = plain(exact_x, norm, mlp)
    theirs = [expected, *torch.autograd.grad(expected, [exact_x, *parameters], weights.double())]
    assert pieces == [14, 14, 12] * 2
    assert [t.dtype for t in ours] == [torch.bfloat16, *(t.dtype for t in inputs)]
    for got, wanted in zip(ours, theirs, strict=True):
        # Without the instructions only the result is rounded; with them hidden activations are, too.
        limit = 0.03 if fast else 2**-8
        assert (got.double() - wanted).abs().max() <= limit * wanted.abs().max()


@pytest.mark.parametrize("where", ["norm", "mlp", "fc1", "fc2", "backward"])
def test_hooks_see_whole_layers(pieces, where):
    norm, mlp = layers()
    modules = {"norm": norm, "mlp": mlp, "fc1": mlp.fc1, "fc2": mlp.fc2, "backward": mlp.fc1}
    seen = []
    if where == "backward":
        mlp.fc1.register_full_backward_hook(lambda *_: seen.append(None))
    else:
        modules[where].register_forward_hook(lambda _module, _args, out: seen.append(out.shape[:2]))
    mlp_branch(torch.randn(2, 20, 8, requires_grad=True), norm, mlp).sum().backward()
    assert len(seen) == 1
    assert not pieces


def test_replaced_layers_count():
    """As adapters and quantisation put theirs in the place of ours."""
    norm, mlp = layers()
    x = torch.randn(2, 20, 8)
    before = mlp_branch(x, norm, mlp)
    old = mlp.fc2
    mlp.fc2 = nn.Sequential(old, nn.Linear(8, 8))
    torch.testing.assert_close(mlp_branch(x, norm, mlp), mlp.fc2[1](before))


def test_dropout_acts_in_training_alone(pieces):
    norm, mlp = layers(dropout=0.5)
    x = torch.randn(2, 20, 8)
    assert not torch.equal(mlp_branch(x, norm, mlp), mlp_branch(x, norm, mlp))
    assert not pieces
    torch.testing.assert_close(mlp_branch(x, norm, mlp.eval()), plain(x, norm, mlp)[0])
    assert len(pieces) == NUMBER_OF_PIECES


def test_pieces_in_training_are_for_cpus():
    norm, mlp = layers()
    elsewhere = SimpleNamespace(device=torch.device("cuda"))
    assert not runs_in_pieces(elsewhere, norm, mlp)
    with torch.no_grad():
        assert runs_in_pieces(elsewhere, norm, mlp)


def test_no_tokens():
    norm, mlp = layers()
    x = torch.randn(0, 20, 8, requires_grad=True)
    mlp_branch(x, norm, mlp).sum().backward()
    assert x.grad.shape == (0, 20, 8)
    assert isinstance(mlp.fc1, Linear)
    assert not mlp.fc1.weight.grad.any()
