"""The optimiser and which parameters decay."""

import re
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from mvit_video.engine.errors import RunError

_POSITION_OR_CLASS_TOKEN = re.compile(r"(^|\.)(pos_embed\w*|rel_pos_[thw]|cls_token)$")


def parameter_groups(
    model: nn.Module, *, weight_decay: float, zero_decay_1d: bool, zero_decay_positions: bool
) -> list[dict[str, Any]]:
    """Sort a model's trainable parameters into those that decay and those that do not.

    Args:
        model: the model.
        weight_decay: decay of the first group; the second has 0.
        zero_decay_1d: biases and all 1-D tensors (norms) do not decay: SOLVER.ZERO_WD_1D_PARAM.
        zero_decay_positions: position embeddings, relative position tables and the class token do not decay:
            MVIT.ZERO_DECAY_POS_CLS. In every published MViT recipe they do.

    Returns:
        Groups for a torch optimiser, without the empty ones; each has ``params``, ``weight_decay`` and a
        ``name`` ("decay" or "no_decay"). Their order is the model's, so a saved state fits again.

    Source: SlowFast, slowfast/models/optimizer.py.
    """
    groups: dict[str, list[nn.Parameter]] = {"decay": [], "no_decay": []}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        is_1d = parameter.ndim <= 1 or name.endswith(".bias")
        exempt = (zero_decay_1d and is_1d) or (
            zero_decay_positions and _POSITION_OR_CLASS_TOKEN.search(name) is not None
        )
        groups["no_decay" if exempt else "decay"].append(parameter)
    decays = {"decay": weight_decay, "no_decay": 0.0}
    return [
        {"params": parameters, "weight_decay": decays[name], "name": name}
        for name, parameters in groups.items()
        if parameters
    ]


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
    """Give every parameter group this learning rate."""
    for group in optimiser.param_groups:
        group["lr"] = learning_rate


def clip_gradients(
    parameters: Iterable[Tensor], *, max_value: float | None, max_l2_norm: float | None
) -> float | None:
    """Clip unscaled gradients in place, by value and by their joint L2 norm, as far as given.

    Args:
        parameters: the parameters whose ``grad`` is clipped.
        max_value: largest magnitude of one gradient element: SOLVER.CLIP_GRAD_VAL. None or 0: no such limit.
        max_l2_norm: largest joint norm: SOLVER.CLIP_GRAD_L2NORM. None or 0: no such limit.

    Returns:
        The joint norm before clipping where it was computed, else None.
    """
    if max_value:
        nn.utils.clip_grad_value_(parameters, max_value)
    if max_l2_norm:
        return float(nn.utils.clip_grad_norm_(parameters, max_l2_norm))
    return None
