"""Foreign parameter names and ours: the one module that knows them.

Ours are SlowFast's own (``blocks.0.attn.qkv.weight``). A source is told by its name for the patch embedding,
which every MViT has, and its names become ours by rewriting a prefix or an infix. Nothing else about a tensor
changes, save that torchvision keeps positions without their leading axis, and that separate matrices q, k and
v become one.

The names were read from: SlowFast slowfast/models/{video_model_builder,attention,masked}.py; torchvision 0.29
models/video/mvit.py; timm 1.0 models/mvitv2.py (an image model); PyTorchVideo 0.1.5 and its main branch,
models/vision_transformers.py and layers/attention.py; mmaction2 1.x models/backbones/mvit.py and
models/heads/mvit_head.py.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from mvit_video.weights.errors import WeightsError

HEAD_WEIGHT = "head.projection.weight"
HEAD_KEYS = (HEAD_WEIGHT, "head.projection.bias")
PRETRAINED = "SlowFast MaskFeat"

_CONTAINERS = ("model_state", "state_dict", "model_state_dict", "model")
_DEEPEST_WRAPPING = 4  # a pickled dict may even hold itself
# DataParallel; SlowFast's PyTorchVideo models and Lightning; torch.compile
_WRAPPING = r"^(module\.|model\.|_orig_mod\.)+"

# timm counts blocks within stages.
_STAGED = re.compile(r"^stages\.(\d+)\.blocks\.(\d+)\.")


@dataclass(frozen=True)
class Naming:
    """How one source names its parameters.

    Attributes:
        source: Who uses these names.
        signature: A name only this source has, as a regular expression.
        rules: (regular expression, replacement), each applied once to every name, in order.
        ignored: Names that hold nothing to load.
        leading_axes: Our names of tensors that lack leading axes of length 1 -> number of axes ours has.
    """

    source: str
    signature: str
    rules: tuple[tuple[str, str], ...] = ()
    ignored: str = r"(?!)"
    leading_axes: Mapping[str, int] | None = None


_NAMINGS = (
    Naming(
        "timm",
        r"^stages\.0\.blocks\.0\.",
        rules=(
            (r"\.shortcut_proj_(attn|mlp)\.", ".proj."),
            (r"^head\.fc\.", "head.projection."),
        ),
    ),
    # SlowFast's masked pre-training, without last norm and classifier; what predicts pixels is left out.
    Naming(PRETRAINED, r"^pred_head\.", ignored=r"^(pred_head|hogs)\.|^mask_token$"),
    Naming("SlowFast", r"^patch_embed\.proj\.weight$"),
    Naming(
        "torchvision",
        r"^conv_proj\.weight$",
        rules=(
            (r"^conv_proj\.", "patch_embed.proj."),
            (r"^pos_encoding\.class_token$", "cls_token"),
            (r"^pos_encoding\.(spatial|temporal)_pos$", r"pos_embed_\1"),
            (r"^pos_encoding\.class_pos$", "pos_embed_class"),
            (r"\.attn\.project\.0\.", ".attn.proj."),
            (r"\.attn\.pool_([qkv])\.pool\.", r".attn.pool_\1."),
            (r"\.attn\.pool_([qkv])\.norm_act\.0\.", r".attn.norm_\1."),
            (r"\.mlp\.0\.", ".mlp.fc1."),
            (r"\.mlp\.3\.", ".mlp.fc2."),
            (r"^(blocks\.\d+)\.project\.", r"\1.proj."),
            (r"^head\.1\.", "head.projection."),
        ),
        leading_axes={
            "cls_token": 3,
            "pos_embed_spatial": 3,
            "pos_embed_temporal": 3,
            "pos_embed_class": 3,
        },
    ),
    Naming(
        "PyTorchVideo",
        r"^patch_embed\.patch_model\.weight$",
        rules=(
            (r"^patch_embed\.patch_model\.", "patch_embed.proj."),
            (r"^cls_positional_encoding\.", ""),
            (r"^norm_embed\.", "norm."),
            (r"^head\.proj\.", "head.projection."),
            # Its main branch registers pooling and norm a second time, under the module that applies them.
            (r"\.attn\._attention_pool_([qkv])\.(pool|norm)\.", r".attn.\2_\1."),
        ),
    ),
    Naming(
        "mmaction2",
        r"^(backbone\.)?patch_embed\.projection\.weight$",
        rules=(
            (r"^backbone\.", ""),
            (r"^patch_embed\.projection\.", "patch_embed.proj."),
            (r"^norm3\.", "norm."),  # one norm a stage is possible; the classifier sits on the fourth
            (r"^cls_head\.fc_cls\.", "head.projection."),
        ),
        ignored=r"^data_preprocessor\.",
    ),
)


def find_state_dict(content: object, source: str) -> dict[str, Tensor]:
    """The named tensors in what a file held, out of whatever wraps them.

    Args:
        content: What was read: the tensors by name, or a dict that holds them under a usual key.
        source: The file, for the message.

    Raises:
        WeightsError: When there are none.
    """
    for _ in range(_DEEPEST_WRAPPING):
        if not isinstance(content, Mapping):
            break
        wrapped = content
        content = next(
            (wrapped[key] for key in _CONTAINERS if isinstance(wrapped.get(key), Mapping)), wrapped
        )
    tensors = (
        {str(k): v for k, v in content.items() if isinstance(v, Tensor)}
        if isinstance(content, Mapping)
        else {}
    )
    if not tensors:
        found = f"keys {_few(content)}" if isinstance(content, Mapping) else f"a {type(content).__name__}"
        raise WeightsError(
            f"{source}: no named tensors found ({found}); expected a state dict, plain or under one of "
            f"{', '.join(_CONTAINERS)}"
        )
    return _strip_prefixes(tensors)


def to_native(state_dict: Mapping[str, Tensor], source: str) -> tuple[dict[str, Tensor], str | None]:
    """Rename parameters to ours.

    Args:
        state_dict: Tensors by the names any known source gives them; wrapping prefixes are taken off.
        source: Where they come from, for the message.

    Returns:
        The tensors by our names, and who uses the names they had (None: nobody known; names are unchanged).

    Raises:
        WeightsError: When two tensors claim one name, or q, k and v are not all there.
    """
    tensors = _strip_prefixes(state_dict)
    naming = next((n for n in _NAMINGS if any(re.search(n.signature, key) for key in tensors)), None)
    if naming is None:
        return tensors, None
    renamed: dict[str, Tensor] = {}
    first_blocks = _first_blocks(tensors)
    for key, tensor in tensors.items():
        if re.search(naming.ignored, key):
            continue
        name = _STAGED.sub(lambda m: f"blocks.{first_blocks[int(m[1])] + int(m[2])}.", key)
        for pattern, replacement in naming.rules:
            name = re.sub(pattern, replacement, name)
        axes = (naming.leading_axes or {}).get(name, tensor.ndim)
        if tensor.ndim < axes:
            tensor = tensor.reshape((1,) * (axes - tensor.ndim) + tuple(tensor.shape))
        if name in renamed and not torch.equal(renamed[name], tensor):
            raise WeightsError(f"{source}: holds two different tensors for {name}, the second as {key}")
        renamed[name] = tensor
    return _fuse_qkv(renamed, source), naming.source


def _first_blocks(names: Mapping[str, Tensor]) -> dict[int, int]:
    """Stage -> number of its first block, where blocks are counted within stages; empty elsewhere."""
    found = {(int(match[1]), int(match[2])) for name in names if (match := _STAGED.match(name))}
    return {stage: sum(other < stage for other, _ in found) for stage, _ in found}


def _strip_prefixes(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Take wrapping prefixes off each name by itself: what lies beside a wrapped model has none."""
    bare = {name: re.sub(_WRAPPING, "", name) for name in state_dict}
    plain = {name for name, stripped in bare.items() if name == stripped}
    return {name if bare[name] in plain else bare[name]: tensor for name, tensor in state_dict.items()}


def _fuse_qkv(tensors: dict[str, Tensor], source: str) -> dict[str, Tensor]:
    """Stack separate q, k and v projections into one, in that order."""
    fused: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        split = re.fullmatch(r"(.*\.attn)\.([qkv])\.(weight|bias)", name)
        if split is None:
            fused[name] = tensor
            continue
        stem, letter, kind = split.groups()
        parts = [tensors.get(f"{stem}.{part}.{kind}") for part in "qkv"]
        present = [part for part in parts if part is not None]
        if len(present) < 3:
            raise WeightsError(f"{source}: has {name}, but not all of q, k and v of {stem}")
        if letter == "q":
            fused[f"{stem}.qkv.{kind}"] = torch.cat(present)
    return fused


def _few(names: Mapping[object, object]) -> str:
    listed = [str(name) for name in names][:5]
    return ", ".join(listed) + (", ..." if len(names) > 5 else "") if listed else "none"
