"""Weights into a model: all is looked at first and only then copied, so that an error changes nothing."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from mvit_video.weights.downloading import download
from mvit_video.weights.errors import MismatchError, WeightsError
from mvit_video.weights.files import Checkpoint, read_checkpoint, unwrap
from mvit_video.weights.inflation import NEW_IN_VIDEO, Inflation, inflate, is_flat
from mvit_video.weights.naming import HEAD_KEYS, HEAD_WEIGHT, PRETRAINED
from mvit_video.weights.resizing import Grid, resize_joint_positions, resize_table
from mvit_video.weights.zoo import ZOO

# A class token is in some released files although their model has none (facebookresearch/mvit, issue 7).
_HARMLESS_EXTRAS = frozenset({"cls_token"})
_REPORT_ATTRIBUTE = "_mvit_video_load_report"


@dataclass(frozen=True)
class LoadReport:
    """What happened to every parameter; ``str(report)`` reads as a few lines.

    Attributes:
        source: Where the weights came from.
        loaded: Parameters that took their values from the weights, resized ones included.
        resized: Tables of positions among them that were resized for another clip size.
        reinitialised: Parameters of the classifier, which has another number of classes than the weights.
        missing: Parameters of the model that the weights do not have; they keep their values.
        unexpected: Tensors of the weights that the model has no place for.
        class_names: Names of the classes by index, where they are known and the classifier was loaded.
        naming: Who uses the names the weights had.
        inflated: Kernels of image weights that were repeated over time.
        averages: Whether averaged weights (EMA) were "taken", or were there and "left"; None: there are none.
    """

    source: str
    loaded: tuple[str, ...]
    resized: tuple[str, ...] = ()
    reinitialised: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    class_names: tuple[str, ...] | None = None
    naming: str | None = None
    inflated: tuple[str, ...] = ()
    averages: Literal["taken", "left"] | None = None

    def __str__(self) -> str:
        what = "averaged (EMA) parameters" if self.averages == "taken" else "parameters"
        lines = [f"{self.source}: {len(self.loaded)} {what} loaded ({self.naming or 'unknown'} names)"]
        if self.averages == "left":
            lines.append("  averaged weights (EMA) are in it too; these are the last ones")
        without_head = self.inflated or self.naming == PRETRAINED
        for title, names in (
            ("inflated, kernels of images repeated over time", self.inflated),
            ("resized for another clip size", self.resized),
            (
                "re-initialised, a new classifier"
                if without_head
                else "re-initialised, as the number of classes differs",
                self.reinitialised,
            ),
            (
                "new, as such weights have none" if without_head else "missing, left as they were",
                self.missing,
            ),
            ("unexpected, not used", self.unexpected),
        ):
            if names:
                lines.append(f"  {len(names)} {title}: {_listed(names)}")
        return "\n".join(lines)


@dataclass
class _Plan:
    """What to copy where; `misfits` are (name, shape in the weights, shape in the model)."""

    copies: dict[str, Tensor] = field(default_factory=dict)
    resized: list[str] = field(default_factory=list)
    head: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    misfits: list[tuple[str, tuple[int, ...], tuple[int, ...]]] = field(default_factory=list)


def load_weights(
    model: nn.Module,
    source: str | Path | Mapping[str, Tensor],
    *,
    strict: bool = True,
    averaged: bool = False,
    inflation: Inflation | None = None,
) -> LoadReport:
    """Load weights into a model, in place.

    Tables of positions are resized when the model was built for another clip size. A classifier with another
    number of classes is drawn afresh. All else has to fit.

    Args:
        model: The model, with our parameter names.
        source: A file, an http(s) address, a name of the zoo (``mvitv2_s_16x4.k400``), or tensors by name,
            wrapped or not; in the naming of SlowFast, torchvision, PyTorchVideo, mmaction2 or our own.
        strict: With False, what fits is loaded and the rest reported.
        averaged: Take the averaged weights (EMA) of a checkpoint of ours, rather than the last ones.
        inflation: The weights are an image model's: repeat its kernels over time, divided by their new length
            ("mean") or not ("repeat"), and draw a new classifier. What images do not have stays as it was.

    Returns:
        What was loaded, resized, re-initialised, missing and unexpected.

    Raises:
        MismatchError: When the weights do not fit the model. The model is then unchanged.
        WeightsError: When the weights cannot be found, fetched or read.
    """
    checkpoint = _open(source)
    has_averages = checkpoint.averages is not None
    if averaged:
        checkpoint = _take_averages(checkpoint)
    own = model.state_dict()
    _require_numbers(checkpoint, own)
    grid = getattr(getattr(model, "architecture", None), "built_grid", None)
    kernels: tuple[str, ...] = ()
    if inflation is not None:
        inflated = inflate(checkpoint.state_dict, own, inflation, grid=grid, source=checkpoint.source)
        checkpoint, kernels = replace(checkpoint, state_dict=inflated.state_dict), inflated.kernels
    plan = _plan(own, checkpoint.state_dict, grid)
    new = _set_new_apart(plan, kernels, checkpoint.naming)
    _check(plan, checkpoint, strict)
    with torch.no_grad():
        for name, tensor in plan.copies.items():
            own[name].copy_(tensor)
    if plan.head:
        _reset_head(model)
    report = LoadReport(
        source=checkpoint.source,
        loaded=tuple(plan.copies),
        resized=tuple(plan.resized),
        reinitialised=tuple(plan.head),
        missing=(*new, *plan.missing, *(name for name, _, _ in plan.misfits)),
        unexpected=tuple(plan.unexpected),
        class_names=checkpoint.class_names if HEAD_WEIGHT in plan.copies else None,
        naming=checkpoint.naming,
        inflated=kernels,
        averages=("taken" if averaged else "left") if has_averages else None,
    )
    setattr(model, _REPORT_ATTRIBUTE, report)
    return report


def loaded_from(model: nn.Module) -> LoadReport | None:
    """The report of the last `load_weights` into this model (or into what it is a copy of), or None."""
    report = getattr(model, _REPORT_ATTRIBUTE, None)
    return report if isinstance(report, LoadReport) else None


def weights_fit(own: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]], *, resizing: bool) -> bool:
    """Whether weights of these shapes would load into a model, whatever their number of classes.

    Args:
        own: The model's state dict; tensors on the meta device will do.
        shapes: Parameter name (ours) -> shape, of the weights.
        resizing: Whether tables of positions may be resized for it.
    """
    plan = _plan(own, {name: torch.empty(shape, device="meta") for name, shape in shapes.items()})
    return not (plan.missing or plan.unexpected or plan.misfits) and (resizing or not plan.resized)


def fetch_weights(source: str | Path) -> Path:
    """The file that holds weights, fetched if it is not on this machine yet.

    Args:
        source: A file, an http(s) address or a name of the zoo.

    Raises:
        WeightsError: When there is no such file or name, or it cannot be fetched.
    """
    if not isinstance(source, str | Path):
        raise WeightsError(f"expected a file, an address or a name, found {type(source).__name__}")
    text = str(source)
    if text in ZOO:
        return download(ZOO[text].url, num_bytes=ZOO[text].num_bytes, sha256=ZOO[text].sha256)
    if "://" in text:
        return download(text)
    if not os.path.exists(text):
        close = get_close_matches(text, ZOO, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"published weights: {', '.join(ZOO)}"
        raise WeightsError(f"{text}: neither a file nor the name of published weights; {hint}")
    return Path(text)


def _open(source: str | Path | Mapping[str, Tensor]) -> Checkpoint:
    if isinstance(source, Mapping):
        return unwrap(source)
    path = fetch_weights(source)
    checkpoint = read_checkpoint(path)
    if str(source) not in ZOO:
        return replace(checkpoint, source=str(source))
    names = checkpoint.class_names or ZOO[str(source)].class_names
    return replace(checkpoint, source=f"{source} ({path})", class_names=names)


def _take_averages(checkpoint: Checkpoint) -> Checkpoint:
    if checkpoint.averages is None:
        raise MismatchError(
            f"{checkpoint.source}: holds no averaged weights (EMA), which a run with TRAIN.EMA_DECAY saves; "
            "take its last ones (TEST.USE_EMA False)",
            {},
        )
    return replace(checkpoint, state_dict=checkpoint.averages)


def _set_new_apart(plan: _Plan, kernels: tuple[str, ...], naming: str | None) -> list[str]:
    """Take what such weights cannot have out of what is missing; a classifier among it is drawn afresh."""
    if kernels:
        new = [name for name in plan.missing if NEW_IN_VIDEO.fullmatch(name)]
    elif naming == PRETRAINED:
        new = [name for name in plan.missing if name.startswith(("norm.", "head."))]
    else:
        return []
    plan.missing = [name for name in plan.missing if name not in new]
    plan.head += [name for name in new if name in HEAD_KEYS]
    return [name for name in new if name not in HEAD_KEYS]


def _require_numbers(checkpoint: Checkpoint, own: Mapping[str, Tensor]) -> None:
    """Refuse tensors that would load as nonsense: quantised, complex, sparse or without values."""
    for name, tensor in checkpoint.state_dict.items():
        if name in own and (
            not tensor.is_floating_point() or tensor.layout != torch.strided or tensor.is_meta
        ):
            found = "without values" if tensor.is_meta else f"{tensor.dtype}, {tensor.layout}"
            raise WeightsError(
                f"{checkpoint.source}: {name} is {found}; expected dense floating-point numbers"
            )


def _plan(
    own: Mapping[str, Tensor], state_dict: Mapping[str, Tensor], built_grid: Grid | None = None
) -> _Plan:
    plan = _Plan(unexpected=[name for name in state_dict if name not in own])
    for name, target in own.items():
        tensor = state_dict.get(name)
        if tensor is None:
            plan.missing.append(name)
        elif tensor.shape == target.shape:
            plan.copies[name] = tensor
        elif name in HEAD_KEYS and tensor.shape[1:] == target.shape[1:]:
            plan.head.append(name)
        elif (table := _resize(name, tensor, target, built_grid)) is not None:
            plan.copies[name] = table
            plan.resized.append(name)
        else:
            plan.misfits.append((name, tuple(tensor.shape), tuple(target.shape)))
    return plan


def _resize(name: str, tensor: Tensor, target: Tensor, built_grid: Grid | None) -> Tensor | None:
    if name == "pos_embed" and built_grid is not None:
        return resize_joint_positions(tensor, tuple(target.shape), built_grid)
    return resize_table(name, tensor, tuple(target.shape))


def _check(plan: _Plan, checkpoint: Checkpoint, strict: bool) -> None:
    shapes = {name: tuple(tensor.shape) for name, tensor in checkpoint.state_dict.items()}
    if not plan.copies:
        raise MismatchError(
            f"{checkpoint.source}: nothing in it fits the model (it holds {_listed(shapes)})", shapes
        )
    if not strict:
        return
    blocks, wanted = _depth(shapes), _depth((*plan.copies, *plan.missing, *(m[0] for m in plan.misfits)))
    problems: list[str] = []
    if blocks != wanted:
        problems.append(f"it has {blocks} blocks, the model {wanted}")
    if plan.misfits:
        shown = [f"{name} {list(theirs)} instead of {list(ours)}" for name, theirs, ours in plan.misfits]
        problems.append(f"other shapes: {_listed(shown)}")
    if plan.missing:
        problems.append(f"missing: {_listed(plan.missing)}")
    if unexplained := [name for name in plan.unexpected if name not in _HARMLESS_EXTRAS]:
        problems.append(f"unexpected: {_listed(unexplained)}")
    if any(name == "patch_embed.proj.weight" and is_flat(theirs) for name, theirs, _ in plan.misfits):
        problems.append("these are weights for images: TRAIN.CHECKPOINT_INFLATE True trains from them")
    if problems:
        what = "; ".join(problems)
        raise MismatchError(
            f"{checkpoint.source}: does not fit the model; {what}; strict=False loads what fits", shapes
        )


def _reset_head(model: nn.Module) -> None:
    """Draw the classifier afresh: what it learned belongs to the features that were just replaced."""
    reset = getattr(model, "reset_head", None)
    head = model.state_dict().get(HEAD_WEIGHT)
    if callable(reset) and head is not None:
        reset(len(head))


def _depth(names: Mapping[str, object] | tuple[str, ...]) -> int:
    """Number of blocks, told by the parameter names."""
    return len({name.split(".")[1] for name in names if name.startswith("blocks.")})


def _listed(names: Mapping[str, object] | list[str] | tuple[str, ...]) -> str:
    shown = list(names)[:4]
    return ", ".join(shown) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
