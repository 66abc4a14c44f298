import math
from dataclasses import replace

import pytest
import torch
from kit.tiny_models import TINY_V1, TINY_V2
from torchvision.ops import StochasticDepth

from mvit_video.models import ARCHITECTURES, ArchitectureError, MViT, architecture
from mvit_video.models.block import DropPath
from mvit_video.models.checkpointing import checkpointed_blocks


@pytest.fixture(scope="module", params=["v1", "v2"])
def model(request):
    torch.manual_seed(0)
    return MViT({"v1": TINY_V1, "v2": TINY_V2}[request.param]).eval()


@pytest.mark.parametrize(
    ("size", "grid"),
    [
        ((8, 64, 64), (4, 4, 4)),
        ((8, 48, 80), (4, 3, 5)),
        ((2, 32, 36), (1, 2, 3)),
        ((13, 61, 67), (7, 4, 5)),  # what the patch stride does not divide is padded by the convolution
        ((20, 4, 4), (10, 1, 1)),
    ],
)
def test_takes_any_size(model, size, grid):
    with torch.inference_mode():
        clip = torch.randn(2, 3, *size)
        tokens, got_grid = model.forward_features(clip)
        assert got_grid == grid
        assert tokens.shape == (2, 1 + grid[0] * grid[1] * grid[2], 64)
        logits = model(clip)
        assert logits.shape == (2, 11)
        assert logits.isfinite().all()
        torch.testing.assert_close(model.forward_head(tokens), logits)


def test_takes_a_list_of_one_tensor(model):
    clip = torch.randn(1, 3, 8, 32, 32)
    with torch.inference_mode():
        assert torch.equal(model([clip]), model(clip))


def test_clips_of_a_batch_do_not_mix(model):
    clips = torch.randn(3, 3, 8, 32, 48)
    with torch.inference_mode():
        together = model(clips)
        alone = torch.cat([model(clip[None]) for clip in clips])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


def test_gives_logits_in_training_and_evaluation_alike(model):
    clip = torch.randn(2, 3, 8, 32, 32)
    with torch.no_grad():
        evaluated = model.eval()(clip)
        trained = model.train()(clip)  # no dropout or drop path in these
    model.eval()
    torch.testing.assert_close(trained, evaluated)
    assert (evaluated.sum(dim=1) - 1).abs().min() > 1e-3  # no softmax


@pytest.mark.parametrize(
    ("clip", "message"),
    [
        (
            torch.zeros(3, 8, 32, 32),
            r"expected clips \(batch, 3, frames, height, width\), got shape \(3, 8, 32, 32\)",
        ),
        (torch.zeros(1, 1, 8, 32, 32), r"expected clips \(batch, 3, .*, got shape \(1, 1, 8, 32, 32\)"),
        (
            torch.zeros(1, 3, 8, 32, 32, dtype=torch.uint8),
            "expected clips as normalised floats, got torch.uint8",
        ),
        (
            torch.zeros(1, 3, 1, 32, 32),
            "clip of 1 frames, 32 x 32 pixels: too small, .* 2 frames, 4 x 4 pixels",
        ),
        (torch.zeros(1, 3, 8, 32, 3), "clip of 8 frames, 32 x 3 pixels: too small"),
        (
            [torch.zeros(1, 3, 8, 32, 32)] * 2,
            "expected one tensor of clips, or a list of one, got a list of 2",
        ),
        ({"video": 1}, "expected one tensor of clips, or a list of one, got a dict"),
        (None, "expected one tensor of clips, or a list of one, got a NoneType"),
    ],
    ids=["4-D", "channels", "uint8", "frames", "width", "list", "dict", "nothing"],
)
def test_a_wrong_input_is_named(model, clip, message):
    with pytest.raises(ValueError, match=message):
        model(clip)


def test_dropout_and_drop_path_act_in_training_only():
    torch.manual_seed(0)
    clip = torch.randn(1, 3, 8, 32, 32).expand(6, -1, -1, -1, -1)
    for field in ("droppath_rate", "dropout_rate", "head_dropout_rate"):
        model = MViT(replace(TINY_V2, **{field: 0.5}))
        with torch.no_grad():
            trained, evaluated = model.train()(clip), model.eval()(clip)
        assert (trained - trained[:1]).abs().max() > 1e-3, field
        torch.testing.assert_close(evaluated, evaluated[:1].expand_as(evaluated), msg=field)


def test_drop_path_is_torchvisions_stochastic_depth():
    x = torch.randn(64, 5, 3)
    torch.manual_seed(0)
    ours = DropPath(0.3).train()(x)
    torch.manual_seed(0)
    theirs = StochasticDepth(0.3, "row").train()(x)
    torch.testing.assert_close(ours, theirs)
    assert (ours == 0).all(dim=(1, 2)).any()
    assert DropPath(0.3).eval()(x) is x


def test_drop_path_drops_whole_branches_of_single_clips():
    """The last block at a rate of one half: each branch of each clip is left out or doubled."""
    torch.manual_seed(0)
    model = MViT(replace(TINY_V2, droppath_rate=0.5)).train()
    assert [block.drop_path.rate for block in model.blocks] == pytest.approx([0, 1 / 6, 1 / 3, 1 / 2])
    branch = model.blocks[3].drop_path(torch.ones(400, 5, 2))
    kept = branch[:, 0, 0]
    assert torch.equal(branch, kept[:, None, None].expand_as(branch))
    assert set(kept.tolist()) == {0.0, 2.0}
    assert 0.4 < (kept > 0).float().mean() < 0.6


CHECKPOINTED = [False, True, "all", "stages:1,3", "every:3"]


@pytest.mark.parametrize("dropout", [0.0, 0.2])  # with dropout the MLP is one with the rest of its block
def test_activation_checkpointing_gives_the_same_gradients(dropout):
    torch.manual_seed(0)
    model = MViT(replace(TINY_V2, droppath_rate=0.3, dropout_rate=dropout)).train()
    clip = torch.randn(2, 3, 8, 32, 32)
    gradients = []
    for enabled in CHECKPOINTED:
        model.set_activation_checkpointing(enabled)
        model.zero_grad()
        torch.manual_seed(5)
        model(clip).logsumexp(dim=1).sum().backward()
        gradients.append([parameter.grad.clone() for parameter in model.parameters()])
    for others in gradients[1:]:
        for plain, checkpointed in zip(gradients[0], others, strict=True):
            torch.testing.assert_close(plain, checkpointed, atol=1e-6, rtol=1e-5)


def kept_elements(model, clip):
    """Of all tensors but parameters that the forward pass keeps for the backward pass, each counted once."""
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in parameters:
            kept[storage.data_ptr()] = (storage.nbytes() // tensor.element_size(), tensor)
        return tensor

    parameters = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model(clip)
    return sum(elements for elements, _ in kept.values())


def test_activation_checkpointing_keeps_only_what_enters_the_halves_of_blocks():
    model = MViT(TINY_V2).train()
    clip = torch.randn(1, 3, 8, 64, 64)
    kept = {}
    for setting in CHECKPOINTED:
        model.set_activation_checkpointing(setting)
        kept[setting] = kept_elements(model, clip)
    specs = model.architecture.block_specs()
    entering = sum(
        math.prod(spec.grid_in) * spec.dim_in + math.prod(spec.grid_out) * spec.att_dim for spec in specs
    )
    ends = 2 * clip.numel() + 4 * math.prod(specs[-1].grid_out) * specs[-1].dim_out
    assert kept["all"] == kept[True]
    assert entering < kept["all"] < 1.1 * entering + ends
    assert kept["all"] < kept["stages:1,3"] < kept[False]
    assert kept["all"] < kept["every:3"] < kept[False]
    hidden = sum(math.prod(spec.grid_out) * spec.mlp_hidden for spec in specs)
    assert kept[False] > kept["all"] + hidden


@pytest.mark.parametrize(
    ("setting", "blocks"),
    [
        ("all", range(16)),
        ("every:1", range(16)),
        ("every:4", [0, 4, 8, 12]),
        ("every:99", [0]),
        ("stages:1", [0]),
        ("stages:2", [1, 2]),
        ("stages:1,3", [0, *range(3, 14)]),
        ("stages:4", [14, 15]),
        ("stages:1,2,3,4", range(16)),
    ],
)
@pytest.mark.parametrize("name", ["mvitv1_b_16x4", "mvitv2_s_16x4"])
def test_blocks_to_checkpoint_are_chosen_by_stage_or_by_number(name, setting, blocks):
    assert checkpointed_blocks(ARCHITECTURES[name], setting) == frozenset(blocks)


@pytest.mark.parametrize(
    "setting", ["", "some", "every:0", "every:", "stages:", "stages:1,,2", "every:1.5", "ALL"]
)
def test_a_setting_of_checkpointing_that_cannot_be_is_named(setting):
    expected = rf'activation checkpointing: expected "all", "stages:1,2" or "every:2", got {setting!r}'
    with pytest.raises(ArchitectureError, match=expected):
        checkpointed_blocks(TINY_V2, setting)


@pytest.mark.parametrize("setting", ["stages:5", "stages:0,1"])
def test_a_stage_that_is_not_there_is_named(setting):
    message = f"'{setting}' names stage {setting[7]}, this model has stages 1 to 3"
    with pytest.raises(ArchitectureError, match=message):
        MViT(TINY_V2).set_activation_checkpointing(setting)


def test_the_head_can_be_swapped():
    model = MViT(replace(TINY_V2, head_init_scale=0.5)).bfloat16()
    before = model.norm.weight
    model.reset_head(5)
    assert model.head.projection.weight.shape == (5, 64)
    assert model.head.projection.weight.dtype == torch.bfloat16
    assert model.architecture.num_classes == 5
    assert model.norm.weight is before
    assert torch.all(model.head.projection.bias == 0.01)


def test_starts_as_the_official_code_does():
    torch.manual_seed(0)
    model = MViT(replace(TINY_V2, embed_dim=64, sep_pos_embed=True, use_abs_pos=True))
    for name, parameter in model.state_dict().items():
        if name == "patch_embed.proj.bias":
            continue  # torch's own start, as there
        if name.endswith("bias"):
            assert torch.all(parameter == 0.02), name
        elif parameter.ndim == 1:
            assert torch.all(parameter == 1), name
        else:
            few = parameter.numel() < 1000
            assert parameter.std() == pytest.approx(0.02, rel=0.5 if few else 0.1), name
            assert abs(parameter.mean()) < (0.01 if few else 0.002), name


def test_tables_can_start_at_zero_and_the_head_small():
    model = MViT(replace(TINY_V2, rel_pos_zero_init=True, head_init_scale=0.001))
    assert all(not parameter.any() for name, parameter in model.named_parameters() if "rel_pos" in name)
    assert model.head.projection.weight.std() < 1e-4
    torch.testing.assert_close(model.head.projection.bias, torch.full((11,), 2e-5))


def test_can_be_made_without_memory():
    with torch.device("meta"):
        model = MViT(ARCHITECTURES["mvitv2_l_40x3"])
    assert all(parameter.is_meta for parameter in model.parameters())


@pytest.mark.slow
def test_the_large_model_is_made_in_seconds(record_property):
    import time

    start = time.process_time()
    MViT(architecture("mvitv2_l_40x3"))
    seconds = time.process_time() - start
    record_property("seconds", seconds)
    assert seconds < 30
