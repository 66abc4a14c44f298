"""Everything that is decided before training: the videos, the split, the plan; then the lists are written."""

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mvit_video.config import Config, dump_config
from mvit_video.config.overrides import parse_overrides
from mvit_video.data import VideoList, VideoRecord, read_list
from mvit_video.data.lists.writing import write_lines, write_list
from mvit_video.engine.device import cap_workers, choose_device
from mvit_video.engine.inputs import read_class_names
from mvit_video.engine.machine import num_cpus
from mvit_video.engine.resolve import resolve_architecture, resolve_decoding
from mvit_video.finetuning.choosing import ModelChoice, choose_model, fetch
from mvit_video.finetuning.errors import FinetuneError
from mvit_video.finetuning.planning import Mode, Plan, Situation, build_config, make_plan
from mvit_video.finetuning.record import Record, Request, describe_request, write_record
from mvit_video.finetuning.videos.fingerprints import Fingerprint, take_fingerprints
from mvit_video.finetuning.videos.gathering import check_sizes, describe, gather
from mvit_video.finetuning.videos.near_duplicates import Pair, find_pairs, join_copies
from mvit_video.finetuning.videos.sources import Sources, find_sources
from mvit_video.finetuning.videos.splitting import Split, split, split_given

BEST = "checkpoints/checkpoint_best.pyth"
_SPLITS = ("train", "val", "test")

_logger = logging.getLogger("mvit_video.finetuning")


@dataclass(frozen=True)
class Given:
    """The lists as the user gave them; what cannot be read is not among them any more."""

    videos: VideoList
    val: VideoList | None
    test: VideoList | None
    unreadable: tuple[tuple[str, str], ...] = ()

    @property
    def all_videos(self) -> list[VideoRecord]:
        """Those of all three."""
        return [
            record for videos in (self.videos, self.val, self.test) if videos is not None for record in videos
        ]

    @property
    def names(self) -> tuple[str, ...]:
        """The classes."""
        return self.videos.class_names or ()


@dataclass(frozen=True)
class Decision:
    """What will be done.

    Attributes:
        config: With everything that training and testing need.
        mode: Whether all weights are trained.
        split: The three lists.
        pairs: Videos that look alike on both sides.
        facts: For ``finetune.json`` and the report.
    """

    config: Config
    mode: Mode
    split: Split
    pairs: Sequence[Pair]
    facts: dict[str, Any]


def decide(request: Request, *, look: bool) -> Decision:
    """Decide everything; nothing is written but what was learned of the videos' looks.

    Args:
        request: What was asked for.
        look: Whether to look into the videos for copies on both sides of the split.

    Raises:
        ValueError: Something the user can mend; the text says what.
    """
    choice = choose_model(request.model, request.cfg, request.weights)
    rough = _config(
        request, choice, _plan(request, choice, ("a", "b"), 1000, "full"), 2
    )  # what is wrong shows now
    resolve_architecture(rough)
    mode = request.mode or ("full" if _on_gpu(rough) else "frozen")
    given = _gather(request, rough)
    fetch(choice, rough)
    prints = _look(given, request, rough) if look else {}
    given = _readable(given, prints)
    _check_held_out(given)
    check_sizes(given.videos, held_out_given=request.val is not None or request.test is not None)
    parts, sources, num_copies = _split(given, request, rough.rng_seed)
    pairs = _pairs(parts, prints)
    plan = _plan(request, choice, given.names, len(parts.train), mode, _on_gpu(rough))
    words = [
        f"{len(given.videos)} videos of {len(given.names)} classes: {describe(given.names)}",
        *_sources_in_words(sources, num_copies),
        f"{len(parts.train)} to learn from, {_held_out(parts)}: {parts.words}",
        *plan.words,
    ]
    facts = {
        "model": choice.name,
        "weights": choice.weights or "random",
        "videos": request.videos,
        "class_names": list(given.names),
        "num_videos": {name: len(getattr(parts, name)) for name in _SPLITS},
        "is_shared": parts.is_shared,
        "num_sources": sources.count if sources else None,
        "num_alike": len(pairs),
        "num_unreadable": len(given.unreadable),
        "words": words,
        "warnings": [*_doubts(given, sources, pairs), *parts.warnings],
    }
    return Decision(_config(request, choice, plan, len(given.names)), mode, parts, pairs, facts)


def write_decision(decision: Decision, request: Request) -> Record:
    """Write the lists, the configuration and ``finetune.json``; returns what the latter holds."""
    folder = Path(request.output)
    lists = folder / "lists"
    lists.mkdir(exist_ok=True)
    write_lines(lists / "class_names.txt", decision.facts["class_names"])
    for name in _SPLITS:
        write_list(lists / f"{name}.csv", getattr(decision.split, name))
    rows = [f"{pair.likeness}\t{pair.kind}\t{pair.path}\t{pair.other}" for pair in decision.pairs]
    write_lines(lists / "alike.tsv", ["likeness\tkind\theld_out\tlearned_from", *rows])
    write_lines(folder / "config.yaml", dump_config(decision.config).splitlines())
    asked = describe_request(request) | {"mode": request.mode or decision.mode}
    record = Record(asked, decision.mode, decision.facts)
    write_record(folder, record)
    return record


def _plan(
    request: Request,
    choice: ModelChoice,
    names: tuple[str, ...],
    num_videos: int,
    mode: Mode,
    on_gpu: bool = False,
) -> Plan:
    typed = {setting.key: str(setting.value) for setting in parse_overrides(request.overrides)}

    def number(key: str) -> int | None:
        return int(typed[key]) if typed.get(key, "").isdecimal() and int(typed[key]) else None

    epochs, batch = number("SOLVER.MAX_EPOCH"), number("TRAIN.BATCH_SIZE")
    return make_plan(Situation(num_videos, names, mode, on_gpu, bool(choice.weights), epochs, batch))


def _config(request: Request, choice: ModelChoice, plan: Plan, num_classes: int) -> Config:
    folder = os.path.abspath(request.output)
    fixed = {
        "TRAIN.ENABLE": "True",
        "TEST.ENABLE": "True",
        "OUTPUT_DIR": folder,
        "MODEL.NUM_CLASSES": str(num_classes),
        "TRAIN.CHECKPOINT_FILE_PATH": choice.weights,
        "TEST.CHECKPOINT_FILE_PATH": f"{folder}/{BEST}",
        "DATA.CLASS_NAMES": f"{folder}/lists/class_names.txt",
        "DATA.PATH_TO_DATA_DIR": "",
        "DATA.PATH_PREFIX": "",
        "DATA.LABELS_PATH": "",
        "DATA.LIST_FORMAT": "path_label",
        "DATA.PATH_LABEL_SEPARATOR": " ",
        **{f"DATA.{name.upper()}_LIST": f"{folder}/lists/{name}.csv" for name in _SPLITS},
    }
    return build_config(choice, plan, request.overrides, fixed)


def _on_gpu(config: Config) -> bool:
    return choose_device(config.device, config.num_gpus).type == "cuda"


def _gather(request: Request, config: Config) -> Given:
    """The three lists; a video that is in two of them is not learned from."""
    settings = {setting.key: str(setting.value) for setting in parse_overrides(request.overrides)}
    known = read_class_names(settings["DATA.CLASS_NAMES"]) if "DATA.CLASS_NAMES" in settings else None

    def read(path: str, names: Sequence[str] | None) -> VideoList:
        return read_list(
            path,
            separator=settings.get("DATA.PATH_LABEL_SEPARATOR"),
            path_prefix=settings.get("DATA.PATH_PREFIX", ""),
            list_format=settings.get("DATA.LIST_FORMAT", "auto"),
            labels_path=settings.get("DATA.LABELS_PATH", ""),
            class_names=known if names is None else names,
        )

    videos = gather(request.videos, read)
    val, test = (
        gather(path, read, videos.class_names) if path else None for path in (request.val, request.test)
    )
    held_out = {record.path for other in (val, test) if other is not None for record in other}
    kept = [record for record in videos if record.path not in held_out]
    if len(kept) < len(videos):
        _logger.warning(
            "%d videos are in --val or --test too: they are not learned from", len(videos) - len(kept)
        )
        videos = VideoList(kept, videos.class_names, videos.source)
        _check_classes(videos)
    return Given(videos, val, test)


def _look(given: Given, request: Request, config: Config) -> dict[str, Fingerprint]:
    workers = config.data_loader.num_workers
    found = take_fingerprints(
        given.all_videos,
        Path(request.output) / "fingerprints.jsonl",
        decoding=resolve_decoding(config),
        num_workers=cap_workers(max(workers, num_cpus())) if workers else 0,
        timeout_seconds=config.data.timeout_seconds,
    )
    return {print_.path: print_ for print_ in found}


def _readable(given: Given, prints: dict[str, Fingerprint]) -> Given:
    """Without what could not be read, which is warned of."""
    unreadable = tuple((path, print_.error) for path, print_ in prints.items() if print_.error)
    if not unreadable:
        return given
    for path, error in unreadable[:5]:
        _logger.warning("left out: %s", error if path in error else f"{path}: {error}")
    if len(unreadable) > 5:
        _logger.warning(
            "... and %d more videos cannot be read (mvit-video data check names them)", len(unreadable) - 5
        )
    bad = {path for path, _ in unreadable}
    lists = [
        None
        if videos is None
        else VideoList(
            [record for record in videos if record.path not in bad], videos.class_names, videos.source
        )
        for videos in (given.videos, given.val, given.test)
    ]
    assert lists[0] is not None
    counts = {record.label for record in lists[0]}
    lost = [name for label, name in enumerate(given.names) if label not in counts]
    if lost:
        raise FinetuneError(
            f"{given.videos.source}: no video of {describe(lost)} can be read ({unreadable[0][1]}): mend "
            f"or remove them"
        )
    return Given(lists[0], lists[1], lists[2], unreadable)


def _check_classes(videos: VideoList) -> None:
    """Each class has videos to learn from beside those that were given to measure with."""
    labels = {record.label for record in videos}
    lost = [name for label, name in enumerate(videos.class_names or ()) if label not in labels]
    if lost:
        raise FinetuneError(
            f"{videos.source}: nothing is left to learn from of {describe(lost)}, as all its videos are in "
            "--val or --test too: give others there"
        )


def _check_held_out(given: Given) -> None:
    """Some of the videos that were given to measure with can be read."""
    for option, videos in (("--val", given.val), ("--test", given.test)):
        if videos is not None and not len(videos):
            raise FinetuneError(
                f"{option} {videos.source}: none of its videos can be read: mend it or leave it out"
            )


def _split(given: Given, request: Request, seed: int) -> tuple[Split, Sources | None, int]:
    """The lists, the sources of the list that was parted, and how many of its files are copies of others."""
    if given.val is not None and given.test is not None:
        return split_given(given.videos, given.val, given.test, None, seed), None, 0
    parted = given.videos if given.val is None else given.val
    sources, num_copies = join_copies(parted, find_sources(parted, request.group_by))
    if given.val is None and given.test is None:
        return split(parted, sources, seed), sources, num_copies
    return split_given(given.videos, given.val, given.test, sources, seed), sources, num_copies


def _pairs(parts: Split, prints: dict[str, Fingerprint]) -> list[Pair]:
    """Held-out videos that look like one that is learned from."""
    held_out = {record.path for videos in (parts.val, parts.test) for record in videos}
    return find_pairs(
        [prints[path] for path in sorted(held_out) if path in prints],
        [prints[record.path] for record in parts.train if record.path in prints],
    )


def _held_out(parts: Split) -> str:
    if parts.is_shared:
        return f"{len(parts.test)} to choose the best weights and to measure them"
    return f"{len(parts.val)} to choose the best weights, {len(parts.test)} to measure them"


def _sources_in_words(sources: Sources | None, num_copies: int) -> list[str]:
    if sources is None:
        return []
    words = [f"{sources.count} sources, told by {sources.pattern}"]
    if num_copies:
        words.append(f"{num_copies} files are copies of others, and stay on their side of the split")
    return words


def _doubts(given: Given, sources: Sources | None, pairs: Sequence[Pair]) -> list[str]:
    lines = []
    if given.unreadable:
        path, error = given.unreadable[0]
        lines.append(
            f"{len(given.unreadable)} videos cannot be read and were left out, the first of them "
            f"{error if path in error else f'{path}: {error}'} (mvit-video data check names all)"
        )
    if sources is not None and sources.advice:
        lines.append(sources.advice)
    if pairs:
        lines.append(
            f"{len(pairs)} held-out videos look like ones that are learned from, so that the figure "
            f"flatters: "
            f"{pairs[0].path} is like {pairs[0].other} ({pairs[0].kind}); all are in lists/alike.tsv; "
            f"clips of one "
            "source stay together with --group-by REGEX"
        )
    return lines
