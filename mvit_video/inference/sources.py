"""Where a predictor's model comes from, and what belongs to it: views, normalisation, class names.

Random weights are refused here: their answers look like answers.
"""

import logging
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from os import PathLike
from pathlib import Path

from torch import nn

from mvit_video.config import Config, ConfigError, load_config
from mvit_video.data import Decoding, ViewPlan
from mvit_video.engine.errors import RunError
from mvit_video.engine.inputs import find_weights, load_first, read_class_names
from mvit_video.engine.resolve import (
    resolve_architecture,
    resolve_decoding,
    resolve_statistics,
    resolve_views,
)
from mvit_video.engine.testing.ensemble import EnsembleMethod
from mvit_video.models import ARCHITECTURES, MViT, architecture
from mvit_video.weights import (
    ZOO,
    Checkpoint,
    WeightsError,
    ZooEntry,
    fetch_weights,
    load_weights,
    loaded_from,
    read_checkpoint,
)

_logger = logging.getLogger("mvit_video.inference")

_DEFAULT_MEAN, _DEFAULT_STD = (0.45, 0.45, 0.45), (0.225, 0.225, 0.225)


@dataclass(frozen=True)
class Recogniser:
    """A model with weights, and how to show it a video.

    Attributes:
        model: gives logits (B, num_classes).
        num_classes: their number.
        views: the clips and crops to look at.
        mean: per channel (R, G, B), on a scale of 0 to 1.
        std: likewise.
        class_names: by index, where known.
        ensemble: how views are joined: "sum" (the mean probability) or "max" (the largest).
        decoding: how videos are read.
    """

    model: MViT
    num_classes: int
    views: ViewPlan
    mean: Sequence[float] = _DEFAULT_MEAN
    std: Sequence[float] = _DEFAULT_STD
    class_names: tuple[str, ...] | None = None
    ensemble: EnsembleMethod = "sum"
    decoding: Decoding = field(default_factory=Decoding)


def recogniser_of(
    model_or_name: str | nn.Module | Config,
    checkpoint: str | PathLike[str] | None = None,
    views: ViewPlan | tuple[int, int] | None = None,
) -> Recogniser:
    """Put together what `Predictor` was given; its text says what is accepted.

    Raises:
        ValueError: Random weights, or a name, checkpoint or combination that is not there.
    """
    source = None if checkpoint is None else str(checkpoint)
    if isinstance(model_or_name, str):
        recogniser = _from_name(model_or_name, source)
    elif isinstance(model_or_name, nn.Module):
        recogniser = _from_model(model_or_name, source, views if isinstance(views, ViewPlan) else None)
    else:
        recogniser = _from_config(model_or_name, source)
    refuse_random_weights(recogniser.model)
    _say_of_averages(recogniser.model)
    if views is None:
        return recogniser
    return replace(
        recogniser, views=views if isinstance(views, ViewPlan) else change_views(recogniser.views, *views)
    )


def change_views(views: ViewPlan, temporal_views: int, spatial_crops: int) -> ViewPlan:
    """The same clips, but another number of them and of crops, by SlowFast's rule for the short side.

    Several crops tile the longer side of a frame whose short side is the crop's; one crop is the centre of a
    frame that is 8/7 as large (256 for 224).

    Raises:
        ValueError: Fewer than one clip, or crops other than 1 or 3.
    """
    short_side = views.short_side
    if spatial_crops != views.spatial_crops:
        short_side = views.crop_size if spatial_crops > 1 else views.crop_size * 8 // 7
    return replace(views, temporal_views=temporal_views, spatial_crops=spatial_crops, short_side=short_side)


def refuse_random_weights(model: MViT) -> None:
    """Refuse a model whose classifier nobody trained or loaded.

    The biases of a new classifier are all the same, and one step of training parts them; so a model trained
    in this very process passes, and one whose classifier did not fit its checkpoint does not.

    Raises:
        WeightsError: Random weights.
    """
    report = loaded_from(model)
    if report is not None and not report.missing and not report.reinitialised:
        return
    bias_K = model.head.projection.bias
    if bool((bias_K != bias_K[0]).any()):
        return
    what = "the classifier" if report is not None else "the model"
    raise WeightsError(
        f"{what} has random weights, whose answers mean nothing: take a name with weights such as "
        "'mvitv2_s_16x4.k400', give checkpoint=, or load weights first (mvit_video.load_weights)"
    )


def _say_of_averages(model: MViT) -> None:
    report = loaded_from(model)
    if report is not None and report.averages == "left":
        _logger.info(
            "%s: its last weights are taken; the averaged ones (EMA) beside them are what mvit-video convert "
            "--ema writes, or TEST.USE_EMA True with a --cfg file takes",
            report.source,
        )
    elif report is not None and report.averages == "taken":
        _logger.info("%s: its averaged weights (EMA) are taken", report.source)


def _from_name(name: str, checkpoint: str | None) -> Recogniser:
    entry = ZOO.get(name)
    if entry is None and name not in ARCHITECTURES:
        close = get_close_matches(name, [*ZOO, *ARCHITECTURES], n=1)
        hint = f"did you mean {close[0]!r}?" if close else "mvit_video.list_models() says what there is"
        raise WeightsError(f"unknown model {name!r}; {hint}")
    if checkpoint is None:
        if entry is None:
            raise WeightsError(
                f"{name} is an architecture without weights: give a checkpoint{_with_weights(name)}"
            )
        return _from_zoo(entry, entry.name)
    if checkpoint in ZOO:
        return _from_zoo(ZOO[checkpoint], checkpoint, entry.architecture if entry else name)
    found = _read(checkpoint)
    trained_with = _configuration_in(found)
    if trained_with is not None:
        trained_as = trained_with.model.name.partition(".")[0]
        if trained_as not in ("", name.partition(".")[0]):
            raise WeightsError(f"{checkpoint}: was trained as {trained_as}, not as {name}; take that name")
        if not trained_as:
            _refuse_another_shape(trained_with, name, checkpoint)
        _logger.info("views, sizes and normalisation: as %s was trained", checkpoint)
        return _from_config(trained_with, checkpoint)
    recipe_of = entry or next((known for known in ZOO.values() if known.architecture == name), None)
    if recipe_of is None:
        raise WeightsError(
            f"{name} has no published recipe to take the views from: describe it in a --cfg file"
        )
    recogniser = _from_zoo(recipe_of, checkpoint, num_classes=_num_classes(found))
    # The classes of a file under a plain name may be anybody's, even if there are as many as in Kinetics.
    return recogniser if entry else replace(recogniser, class_names=found.class_names)


def _refuse_another_shape(trained_with: Config, name: str, checkpoint: str) -> None:
    """Refuse a checkpoint of a model that plainly is not the one that was named."""
    found, wanted = resolve_architecture(trained_with), architecture(name.partition(".")[0])
    if (found.depth, found.embed_dim) != (wanted.depth, wanted.embed_dim):
        raise WeightsError(
            f"{checkpoint}: was trained as a model of {found.depth} blocks, {found.embed_dim} wide at first, "
            f"and {name} has {wanted.depth}, {wanted.embed_dim} wide; take the configuration it was trained "
            "with (--cfg OUTPUT_DIR/config.yaml)"
        )


def _from_zoo(
    entry: ZooEntry, weights: str, architecture_name: str | None = None, num_classes: int | None = None
) -> Recogniser:
    """The recipe of ``entry``, with any weights for its architecture."""
    recipe = entry.recipe
    views = _views_of(entry)
    classes = num_classes or entry.num_classes
    model = MViT(architecture(architecture_name or entry.architecture, num_classes=classes))
    names = load_weights(model, weights).class_names
    if names is None and classes == entry.num_classes:
        names = entry.class_names
    return Recogniser(model, classes, views, recipe.mean, recipe.std, names)


def _views_of(entry: ZooEntry) -> ViewPlan:
    recipe = entry.recipe
    return ViewPlan(
        **{item.name: getattr(recipe, item.name) for item in fields(ViewPlan) if hasattr(recipe, item.name)}
    )


def _from_model(model: nn.Module, checkpoint: str | None, views: ViewPlan | None) -> Recogniser:
    if not isinstance(model, MViT):
        raise WeightsError(f"the model is a {type(model).__name__}; a Predictor takes models of create_model")
    report = loaded_from(model) if checkpoint is None else load_weights(model, checkpoint)
    names = None if report is None else report.class_names
    num_classes = model.architecture.num_classes
    entry = None if report is None else ZOO.get(report.source.partition(" ")[0])
    if entry is None:
        same = replace(model.architecture, num_classes=ARCHITECTURES["mvitv2_s_16x4"].num_classes)
        entry = next((known for known in ZOO.values() if ARCHITECTURES[known.architecture] == same), None)
    if entry is not None:
        plan = views or _views_of(entry)
        return Recogniser(model, num_classes, plan, entry.recipe.mean, entry.recipe.std, names)
    if views is None:
        raise WeightsError(
            "the model is none of the published ones, so its frames are not known: give views=ViewPlan(...)"
        )
    return Recogniser(model, num_classes, views, class_names=names)


def _from_config(config: Config, checkpoint: str | None) -> Recogniser:
    wanted, decoding = resolve_architecture(config), resolve_decoding(config)
    model = MViT(wanted)
    try:
        sources = find_weights(config) if checkpoint is None else [checkpoint]
    except RunError as error:
        raise WeightsError(f"{error}; or give a checkpoint") from None
    report = load_first(model, sources, averaged=config.test.use_ema)
    _logger.info("weights: %s", report.source)
    names = read_class_names(config.data.class_names) if config.data.class_names else report.class_names
    mean, std = resolve_statistics(config)
    return Recogniser(
        model,
        wanted.num_classes,
        resolve_views(config),
        mean,
        std,
        names,
        config.data.ensemble_method,
        decoding,
    )


def count_classes(source: str) -> int | None:
    """How many classes the classifier of a file, URL or zoo name tells apart; None where it has none."""
    return ZOO[source].num_classes if source in ZOO else _num_classes(_read(source))


def _read(source: str) -> Checkpoint:
    """The checkpoint in a file or at a URL."""
    return read_checkpoint(fetch_weights(source))


def _num_classes(checkpoint: Checkpoint) -> int | None:
    head = checkpoint.state_dict.get("head.projection.weight")
    return None if head is None else len(head)


def _configuration_in(checkpoint: Checkpoint) -> Config | None:
    """The configuration that our own training checkpoints carry; None in any other file."""
    metadata = checkpoint.metadata
    text = metadata.get("cfg")
    if not isinstance(text, str) or not isinstance(metadata.get("format"), int):
        return None
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "config.yaml"
        file.write_text(text, encoding="utf-8")
        try:
            return load_config([file])
        except ConfigError as error:
            raise WeightsError(
                f"{checkpoint.source}: the configuration in it cannot be used ({error}); give one with --cfg"
            ) from None


def _with_weights(name: str) -> str:
    names = [known for known in ZOO if known.startswith(f"{name}.")]
    return f", or take a name with weights ({', '.join(names)})" if names else ""
