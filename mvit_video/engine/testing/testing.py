"""A test run: a configuration's weights, on its test list, over its views."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from mvit_video.config import Config
from mvit_video.data import Decoding, TestVideos, VideoList, ViewPlan
from mvit_video.engine.device import cap_workers, choose_device, choose_precision, describe_device
from mvit_video.engine.inputs import find_weights, known_names, load_first, match_classes, read_split
from mvit_video.engine.processes.group import Group
from mvit_video.engine.processes.joining import joined
from mvit_video.engine.processes.starting import processes_to_start, run_together
from mvit_video.engine.records.display import counting, lasting
from mvit_video.engine.records.logs import prepare_output_dir
from mvit_video.engine.resolve import (
    resolve_architecture,
    resolve_decoding,
    resolve_statistics,
    resolve_test_batch,
    resolve_views,
)
from mvit_video.engine.stopping import signals_noted
from mvit_video.engine.testing.evaluation import ViewScorer, evaluate
from mvit_video.engine.testing.results import TestResult, check_results_path, write_results
from mvit_video.models import Architecture, MViT
from mvit_video.weights import ZOO, ZooEntry

_DENSE_ONLY = ("sampling_rate", "use_offset_sampling", "target_fps")  # these change no segment

_logger = logging.getLogger("mvit_video.engine")


@dataclass(frozen=True)
class TestInputs:
    """What a test needs beside weights, checked."""

    __test__ = False  # pytest: not a test class

    architecture: Architecture
    views: ViewPlan
    decoding: Decoding
    videos: VideoList
    results_path: Path


def prepare_test(config: Config, names: Sequence[str] | None = None) -> TestInputs:
    """Check what a test needs beside weights; nothing is decoded and no model is built.

    Args:
        config: the configuration.
        names: the classes by index, where a training run before the test will have fixed them.

    Raises:
        ValueError: the text says which key or file is at fault.
    """
    architecture = resolve_architecture(config)
    views, decoding = resolve_views(config), resolve_decoding(config)
    # SlowFast's TEST.SAVE_RESULTS_PATH lies in OUTPUT_DIR too; an absolute path stays as it is.
    results_path = Path(config.output_dir) / (config.test.save_results_path or "test_results.csv")
    check_results_path(results_path)
    prepare_output_dir(config.output_dir)
    prepare_output_dir(results_path.parent, "the folder of TEST.SAVE_RESULTS_PATH")
    names = known_names(config, architecture.num_classes) or names
    videos = read_split(config, "test", architecture.num_classes, names)
    return TestInputs(architecture, views, decoding, videos, results_path)


def test(config: Config, inputs: TestInputs | None = None) -> TestResult:  # noqa: PT028 - not a test
    """Test as the configuration says, whether or not TEST.ENABLE is set.

    Processes that were started together (by torchrun, say) share the videos, and each gets the result; where
    nobody has, one is started for each of NUM_GPUS GPUs.

    Args:
        config: the configuration.
        inputs: what :func:`prepare_test` gave for it; None prepares now.

    Raises:
        ValueError: something the user can mend; the text says what.
    """
    if (count := processes_to_start(config)) > 1:
        return run_together(test, config, count)
    with joined(config) as group:
        return _test(config, inputs, group)


def _test(config: Config, inputs: TestInputs | None, group: Group) -> TestResult:
    sources = find_weights(config)
    inputs = inputs or prepare_test(config)
    device = choose_device(config.device, config.num_gpus, group)
    precision = choose_precision(config.test.precision, device, training=False)
    with lasting("building the model"):
        model = MViT(inputs.architecture)
        report = load_first(model, sources, averaged=config.test.use_ema)
    _logger.info("%s", report)
    videos, names = match_classes(config, inputs.videos, inputs.architecture.num_classes, report.class_names)
    dataset = TestVideos(
        videos,
        inputs.views,
        shuffle_frames=config.test.shuffle_frames,
        seed=config.rng_seed,
        decoding=inputs.decoding,
    )
    _logger.info(
        "testing %d videos, %d views each (%d in time x %d in space)%s, on %s in %s",
        len(dataset), inputs.views.temporal_views * inputs.views.spatial_crops, inputs.views.temporal_views,
        inputs.views.spatial_crops, ", frames shuffled" if config.test.shuffle_frames else "",
        describe_device(device), precision,
    )  # fmt: skip
    mean, std = resolve_statistics(config)
    scorer = ViewScorer(
        model.to(device),
        mean=mean,
        std=std,
        device=device,
        precision=precision,
        views_per_batch=resolve_test_batch(config),
        method=config.data.ensemble_method,
    )
    until = "this video" if group.is_main else None
    with signals_noted(until), counting("testing", len(dataset), live=group.is_main) as progress:
        result = evaluate(
            scorer,
            dataset,
            num_workers=cap_workers(config.data_loader.num_workers, group.local_world_size),
            timeout_seconds=config.data.timeout_seconds,
            progress=progress,
            group=group,
        )
    if group.is_main:
        write_results(inputs.results_path, result, names)
        _say(config, inputs, result)
    return result


test.__test__ = False  # type: ignore[attr-defined]  # pytest: not a test


def _say(config: Config, inputs: TestInputs, result: TestResult) -> None:
    """Tell the numbers, and what stands between them and a published figure."""
    for line in result.unreadable_lines:
        _logger.warning("%s", line)
    for path, damage in result.damaged:
        _logger.warning("damaged, and counted by its good part: %s: %s", path, damage)
    _logger.info("%s; results in %s", result, inputs.results_path)
    entry = ZOO.get(config.test.checkpoint_file_path or config.model.name)
    if entry is not None and entry.top1 is not None:
        _logger.info("published for %s: top-1 %.2f %%, by %s", entry.name, entry.top1, entry.source)
        for difference in differences_to_published(entry, config, inputs.views, result):
            _logger.warning("that figure was measured %s", difference)


def differences_to_published(
    entry: ZooEntry, config: Config, views: ViewPlan, result: TestResult
) -> list[str]:
    """What makes a test's accuracy another number than the published one; empty where nothing known does."""
    differences = []
    if entry.num_videos is not None and result.num_videos < entry.num_videos:
        differences.append(
            f"on a whole validation set ({entry.num_videos} videos), this test scored {result.num_videos}"
        )
    here = {field.name: getattr(views, field.name) for field in fields(views)}
    if views.sampling == entry.recipe.sampling == "segments":
        here = {name: value for name, value in here.items() if name not in _DENSE_ONLY}
    here["mean"], here["std"] = resolve_statistics(config)
    differences += [
        f"with {name} {getattr(entry.recipe, name)}, here it is {value}"
        for name, value in here.items()
        if getattr(entry.recipe, name) != value
    ]
    return differences
