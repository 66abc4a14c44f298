"""The optimiser and which parameters decay."""

import re
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from mvit_video.engine.errors import RunError

_POSITION_OR_CLASS_TOKEN = re.compile(r"(^|\.)(pos_embed\w*|rel_pos_[thw]|cls_token)$")


def parameter_groups(
    model: nn.Module,
    *,
    weight_decay: float,
    zero_decay_1d: bool,
    zero_decay_positions: bool,
    layer_decay: float = 1.0,
) -> list[dict[str, Any]]:
    """Sort a model's trainable parameters by whether they decay and by how fast they learn.

    Args:
        model: the model, with its own parameter names.
        weight_decay: decay of the parameters that have one; the others have 0.
        zero_decay_1d: biases and all 1-D tensors (norms) do not decay: SOLVER.ZERO_WD_1D_PARAM.
        zero_decay_positions: position embeddings, relative position tables and the class token do not decay:
            MVIT.ZERO_DECAY_POS_CLS. In every published MViT recipe they do. Below a layer decay of 1 the
            relative position tables decay all the same, as in SlowFast, which then looks for their names
            without the block's.
        layer_decay: factor on the learning rate from each layer to the one before it: SOLVER.LAYER_DECAY. The
            embedding is the first layer, then each block is one, then come the last norm and the head, which
            learn at the full rate.

    Returns:
        Groups for a torch optimiser, without the empty ones; each has ``params``, ``weight_decay``,
        ``lr_scale`` (its factor on the learning rate) and a ``name``: "decay" or "no_decay", behind
        "layer_3_" and so on where layers differ. Their order is the model's, so a saved state fits again.

    Source: SlowFast, slowfast/models/optimizer.py.
    """
    depth = _depth(model)
    by_layer = layer_decay < 1
    groups: dict[tuple[int, bool], list[nn.Parameter]] = {}
    if not by_layer:
        groups = {(depth + 1, True): [], (depth + 1, False): []}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        is_1d = parameter.ndim <= 1 or name.endswith(".bias")
        is_position = _POSITION_OR_CLASS_TOKEN.search(name) is not None and not (by_layer and "." in name)
        exempt = (zero_decay_1d and is_1d) or (zero_decay_positions and is_position)
        layer = _layer(name, depth) if by_layer else depth + 1
        groups.setdefault((layer, not exempt), []).append(parameter)
    return [
        {
            "params": parameters,
            "weight_decay": weight_decay if decays else 0.0,
            "lr_scale": layer_decay ** (depth + 1 - layer),
            "name": (f"layer_{layer}_" if by_layer else "") + ("decay" if decays else "no_decay"),
        }
        for (layer, decays), parameters in groups.items()
        if parameters
    ]


def _depth(model: nn.Module) -> int:
    """Number of blocks, told by the parameter names."""
    return len({name.split(".")[1] for name, _ in model.named_parameters() if name.startswith("blocks.")})


def _layer(name: str, depth: int) -> int:
    """Layer of a parameter: 0 for the embedding, then the blocks, and depth + 1 for what follows them."""
    if name == "cls_token" or name.startswith(("pos_embed", "patch_embed")):
        return 0
    return int(name.split(".")[1]) + 1 if name.startswith("blocks.") else depth + 1


def build_optimiser(
    groups: list[dict[str, Any]],
    *,
    method: str,
    learning_rate: float,
    momentum: float = 0.9,
    dampening: float = 0.0,
    nesterov: bool = False,
    betas: tuple[float, float] = (0.9, 0.999),
) -> torch.optim.Optimizer:
    """Build the optimiser that SOLVER.OPTIMIZING_METHOD names: "sgd", "adam" or "adamw".

    Args:
        groups: from :func:`parameter_groups`.
        method: its name.
        learning_rate: the first one; :func:`set_learning_rate` changes it at each step.
        momentum: SGD's.
        dampening: SGD's.
        nesterov: SGD's; needs momentum above 0 and no dampening.
        betas: of Adam and AdamW.

    Raises:
        RunError: an unknown method, or numbers that the method cannot take.
    """
    if method == "sgd":
        if nesterov and (momentum <= 0 or dampening != 0):
            raise RunError(
                f"SOLVER.NESTEROV is True with SOLVER.MOMENTUM {momentum} and SOLVER.DAMPENING {dampening}: "
                "it needs a momentum above 0 and dampening 0; change them or set SOLVER.NESTEROV False"
            )
        return torch.optim.SGD(
            groups, lr=learning_rate, momentum=momentum, dampening=dampening, nesterov=nesterov
        )
    if method == "adam":
        return torch.optim.Adam(groups, lr=learning_rate, betas=betas, eps=1e-8)
    if method == "adamw":
        return torch.optim.AdamW(groups, lr=learning_rate, betas=betas, eps=1e-8)
    raise RunError(f"SOLVER.OPTIMIZING_METHOD is {method!r}, expected sgd, adam or adamw")


def set_learning_rate(optimiser: torch.optim.Optimizer, learning_rate: float) -> None:
    """Give every parameter group this learning rate, times the group's ``lr_scale`` if it has one."""
    for group in optimiser.param_groups:
        group["lr"] = learning_rate * group.get("lr_scale", 1.0)


def clip_gradients(
    parameters: Iterable[Tensor], *, max_value: float | None, max_l2_norm: float | None
) -> float:
    """Clip unscaled gradients in place, by value and by their joint L2 norm, as far as given.

    Args:
        parameters: the parameters whose ``grad`` is clipped.
        max_value: largest magnitude of one gradient element: SOLVER.CLIP_GRAD_VAL. None or 0: no such limit.
        max_l2_norm: largest joint norm: SOLVER.CLIP_GRAD_L2NORM. None or 0: no such limit.

    Returns:
        The joint norm before any clipping; no number where one of the gradients is none.
    """
    parameters = list(parameters)
    norm = _joint_norm(parameters)
    if max_value:
        nn.utils.clip_grad_value_(parameters, max_value)
    if max_l2_norm:
        nn.utils.clip_grads_with_norm_(
            parameters, max_l2_norm, _joint_norm(parameters) if max_value else norm
        )
    whole = getattr(norm, "full_tensor", None)  # of sharded gradients: each process has a part
    return float(norm if whole is None else whole())


def _joint_norm(parameters: list[Tensor]) -> Tensor:
    return nn.utils.get_total_norm([each.grad for each in parameters if each.grad is not None])
