"""Which model is fine-tuned, from which weights, and how clips are cut for it."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

import torch

from mvit_video.api import load_weights
from mvit_video.config import Config, load_config
from mvit_video.engine.inputs import start_weights
from mvit_video.engine.resolve import resolve_architecture
from mvit_video.finetuning.errors import FinetuneError
from mvit_video.models import ARCHITECTURES, Architecture, MViT
from mvit_video.weights import ZOO, TestRecipe, WeightsError, ZooEntry, fetch_weights

NO_WEIGHTS = "none"


@dataclass(frozen=True)
class ModelChoice:
    """A model to start from.

    Attributes:
        name: What it is called in messages.
        files: Configuration files that describe it; empty for a known model.
        weights: A file, an address or a name of published weights; empty for random ones.
        settings: Key -> value: the model's name, and how clips are cut for it.
    """

    name: str
    files: tuple[str, ...] = ()
    weights: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)


def choose_model(name: str | None, files: Sequence[str], weights: str | None) -> ModelChoice:
    """The model that ``--model`` or ``--cfg`` names, with the weights of ``--weights``.

    Args:
        name: An architecture, or published weights.
        files: Configuration files instead.
        weights: "none", a file, an address or a name of published weights; None: those that the name or the
            configuration stands for.

    Raises:
        ValueError: No such model, or nothing says which weights.
    """
    if bool(name) == bool(files):
        raise FinetuneError("give one of --model NAME and --cfg FILE (mvit-video models lists the names)")
    if name is None or files:
        own = load_config(list(files))
        start = own.train.checkpoint_file_path or (own.model.name if own.model.name in ZOO else "")
        settings = {"MODEL.NAME": ZOO[own.model.name].architecture} if own.model.name in ZOO else {}
        return ModelChoice(", ".join(files), tuple(files), _weights(weights, start, files[0]), settings)
    entry = ZOO.get(name)
    if entry is None and name not in ARCHITECTURES:
        close = get_close_matches(name, [*ZOO, *ARCHITECTURES], n=1)
        hint = f"did you mean {close[0]!r}?" if close else "mvit-video models lists what there is"
        raise FinetuneError(f"--model {name}: there is no such model; {hint}")
    architecture = entry.architecture if entry else name
    like = entry or next((known for known in ZOO.values() if known.architecture == name), None)
    settings = {"MODEL.NAME": architecture, **_clips(ARCHITECTURES[architecture], like)}
    return ModelChoice(name, (), _weights(weights, name if entry else "", name), settings)


def fetch(choice: ModelChoice, config: Config) -> None:
    """Have the weights on this machine, and know that they fit, before anything else is done.

    Raises:
        WeightsError: They cannot be found, fetched or read, or are for another model.
    """
    if not choice.weights:
        return
    try:
        fetch_weights(choice.weights)
    except WeightsError as error:
        raise WeightsError(
            f"{error}; without a network, --weights FILE takes a file, and --weights none starts from "
            f"random weights"
        ) from error
    with torch.device("meta"):  # shapes without numbers
        model = MViT(resolve_architecture(config))
    source, inflation = start_weights(config)
    load_weights(model, source, inflation=inflation)


def _weights(asked: str | None, own: str, name: str) -> str:
    if asked == NO_WEIGHTS:
        return ""
    chosen = asked or own
    if not chosen:
        known = [other for other in ZOO if other.startswith(f"{name}.")]
        published = f"; published for it: --model {known[0]}" if known else ""
        raise FinetuneError(
            f"{name} comes without weights: give --weights FILE, or --weights none to start from random "
            f"ones{published}"
        )
    return os.path.abspath(chosen) if os.path.exists(chosen) else chosen


def _clips(architecture: Architecture, entry: ZooEntry | None) -> dict[str, str]:
    """How clips are cut: as the weights were tested, else as long and as large as the model is built for."""
    recipe = (
        entry.recipe if entry else TestRecipe(architecture.num_frames, 4, crop_size=architecture.crop_size)
    )
    short = recipe.short_side if recipe.spatial_crops == 1 else recipe.crop_size * 8 // 7
    settings: dict[str, object] = {
        "DATA.NUM_FRAMES": recipe.num_frames,
        "DATA.SAMPLING_RATE": recipe.sampling_rate,
        "DATA.TARGET_FPS": recipe.target_fps,
        "DATA.SAMPLING": recipe.sampling,
        "DATA.USE_OFFSET_SAMPLING": recipe.use_offset_sampling,
        "DATA.MEAN": list(recipe.mean),
        "DATA.STD": list(recipe.std),
        "DATA.TRAIN_CROP_SIZE": recipe.crop_size,
        "DATA.TEST_CROP_SIZE": recipe.crop_size,
        "DATA.TRAIN_JITTER_SCALES": [short, short * 5 // 4],
        "TEST.NUM_ENSEMBLE_VIEWS": recipe.temporal_views,
        "TEST.NUM_SPATIAL_CROPS": recipe.spatial_crops,
    }
    return {key: str(value) for key, value in settings.items()}
