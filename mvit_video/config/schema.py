"""The whole configuration of a run: its sections, and the keys that stand outside of any."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, Self

from pydantic import model_validator
from pydantic.fields import FieldInfo

from mvit_video.config.schema_data import Data, DataLoader
from mvit_video.config.schema_distributed import Distributed
from mvit_video.config.schema_model import Model, MViT
from mvit_video.config.schema_train import Aug, Mixup, Solver, Test, Train
from mvit_video.config.section import Count, NonNegativeInt, Section


class Run(Section):
    """The keys outside of any section: where a run computes and what it leaves behind."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to compute; auto: on a GPU if there is one."""

    num_gpus: NonNegativeInt = 1
    """Most GPUs to use on one node; 0: the CPU. Where there are fewer, the batch is kept by accumulation."""

    num_shards: Count = 1
    """Nodes of NUM_GPUS GPUs."""

    shard_id: NonNegativeInt = 0
    """Which of the nodes this is, from 0."""

    output_dir: str = "."
    """Folder for checkpoints, logs and results."""

    rng_seed: NonNegativeInt = 1
    """Seed of everything random."""

    log_period: Count = 10
    """Optimiser steps between lines of the log."""


class Config(Run):
    """What a run is, as the user wrote it; nothing derived is ever written back.

    A field's path is its YAML key in lower case: ``MVIT.POOL_KVQ_KERNEL`` is ``config.mvit.pool_kvq_kernel``.
    """

    train: Train = Train()
    test: Test = Test()
    data: Data = Data()
    data_loader: DataLoader = DataLoader()
    model: Model = Model()
    mvit: MViT = MViT()
    aug: Aug = Aug()
    mixup: Mixup = Mixup()
    solver: Solver = Solver()
    distributed: Distributed = Distributed()

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        for clash in clashes(self):
            raise ValueError(clash.text)
        return self


@dataclass(frozen=True)
class Key:
    """One key of the configuration: ``DATA.NUM_FRAMES`` is field ``num_frames`` of section ``data``."""

    dotted: str
    section: str | None  # None: the key stands outside of any section
    field: str
    info: FieldInfo

    @property
    def model(self) -> type[Section]:
        """The section's class, which checks a value of this key."""
        return SECTIONS[self.section] if self.section else Run


@dataclass(frozen=True)
class Clash:
    """Values that are right one by one but do not go together."""

    keys: tuple[str, ...]
    text: str


def clashes(config: Config) -> Iterator[Clash]:
    """Find values that do not go together, in a configuration whose values are right one by one."""
    data, test = config.data, config.test
    if config.shard_id >= config.num_shards:
        yield Clash(
            ("SHARD_ID", "NUM_SHARDS"),
            f"SHARD_ID is {config.shard_id}, but NUM_SHARDS is {config.num_shards}: expected 0 to "
            f"{config.num_shards - 1}",
        )
    if bool(data.train_jitter_scales_relative) != bool(data.train_jitter_aspect_relative):
        yield Clash(
            ("DATA.TRAIN_JITTER_SCALES_RELATIVE", "DATA.TRAIN_JITTER_ASPECT_RELATIVE"),
            f"DATA.TRAIN_JITTER_SCALES_RELATIVE is {list(data.train_jitter_scales_relative)} and "
            f"DATA.TRAIN_JITTER_ASPECT_RELATIVE is {list(data.train_jitter_aspect_relative)}: give both, or "
            "neither",
        )
    elif config.train.enable and not data.train_jitter_scales_relative:
        yield from _too_small(data, "TRAIN_CROP_SIZE", data.train_crop_size, "training")
    if test.enable and test.num_spatial_crops == 1:
        yield from _too_small(
            data, "TEST_CROP_SIZE", data.test_crop_size, "testing with TEST.NUM_SPATIAL_CROPS 1"
        )
    if data.reverse_input_channel and data.sampling == "dense":
        yield Clash(
            ("DATA.REVERSE_INPUT_CHANNEL", "DATA.SAMPLING"),
            "DATA.REVERSE_INPUT_CHANNEL is True with DATA.SAMPLING dense: SlowFast shows the network blue, "
            "green, red then, and frames are red, green, blue here; set it False, or DATA.SAMPLING segments",
        )
    if config.train.enable and config.mixup.enable and config.model.loss_func != "soft_cross_entropy":
        yield Clash(
            ("MIXUP.ENABLE", "MODEL.LOSS_FUNC"),
            f"MIXUP.ENABLE is True, but MODEL.LOSS_FUNC is {config.model.loss_func!r}: mixed labels need "
            "soft_cross_entropy",
        )


def _too_small(data: Data, key: str, crop: int, when: str) -> Iterator[Clash]:
    short = data.train_jitter_scales[0]
    if short < crop:
        yield Clash(
            (f"DATA.{key}", "DATA.TRAIN_JITTER_SCALES"),
            f"DATA.{key} is {crop}, but {when} resizes the short side to {short}, "
            "DATA.TRAIN_JITTER_SCALES[0]: make the crop smaller or the scale larger",
        )


def _sections() -> dict[str, type[Section]]:
    types = {name: info.annotation for name, info in Config.model_fields.items()}
    return {n: t for n, t in types.items() if isinstance(t, type) and issubclass(t, Section)}


def _keys() -> Iterator[Key]:
    for name, info in Config.model_fields.items():
        if name not in SECTIONS:
            yield Key(name.upper(), None, name, info)
            continue
        for field, field_info in SECTIONS[name].model_fields.items():
            yield Key(f"{name}.{field}".upper(), name, field, field_info)


SECTIONS: Mapping[str, type[Section]] = MappingProxyType(_sections())
KEYS: Mapping[str, Key] = MappingProxyType({key.dotted: key for key in _keys()})


def set_keys(config: Config) -> tuple[str, ...]:
    """The dotted keys that were given, rather than left at their defaults; in the order of the schema."""
    return tuple(key.dotted for key in KEYS.values() if key.field in _home(config, key).model_fields_set)


def value_of(config: Config, key: Key) -> object:
    """The value of a key."""
    return getattr(_home(config, key), key.field)


def _home(config: Config, key: Key) -> Section:
    section = getattr(config, key.section) if key.section else config
    assert isinstance(section, Section)
    return section
