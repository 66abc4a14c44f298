"""The same training steps in one process and in several; run by torchrun it saves what came out.

Every case is four steps of eight clips, mixed in pairs; how they are cut, sharded and computed differs.
"""

import math
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from kit.tiny_runs import tiny_config

from mvit_video.data import Batch, Mix
from mvit_video.engine.device import grad_scaler
from mvit_video.engine.optimising.schedule import Schedule
from mvit_video.engine.processes.group import ALONE
from mvit_video.engine.processes.joining import joined
from mvit_video.engine.processes.parallel import (
    distribute,
    full_model_state,
    full_optimiser_state,
    load_model_state,
    load_optimiser_state,
    whole_model,
)
from mvit_video.engine.resolve import resolve_architecture
from mvit_video.engine.training.state import TrainState
from mvit_video.engine.training.step import TrainPlan, train_step
from mvit_video.models import MViT

CLIPS, STEPS = 8, 4


@dataclass(frozen=True)
class Case:
    """How the steps are taken; ``micro`` clips a pass."""

    strategy: str = "ddp"
    micro: int = 4
    checkpointing: str = ""
    precision: str = "fp32"
    dropout: float = 0.0
    clip_value: float | None = None
    clip_l2_norm: float | None = None
    frozen: bool = False


CASES = {
    f"{strategy}{name}": Case(strategy, **kind)
    for strategy in ("ddp", "fsdp")
    for name, kind in {
        "": {},
        " in passes": {"micro": 2},
        " checkpointed": {"checkpointing": "all"},
        " half checkpointed in passes": {"micro": 2, "checkpointing": "every:2"},
        " clipped by norm": {"clip_l2_norm": 0.5},
        " clipped by value": {"clip_value": 1e-3},
        " with dropout in passes": {"micro": 2, "dropout": 0.4},
        " in fp16": {"precision": "fp16"},
        " in bf16 checkpointed in passes": {"precision": "bf16", "checkpointing": "all", "micro": 2},
        " with a frozen block": {"frozen": True},
    }.items()
}


def batch(step, index, size):
    """Clips ``index * size`` and following of a step."""
    generator = torch.Generator().manual_seed(step)
    clips = torch.randint(0, 256, (CLIPS, 3, 8, 16, 16), dtype=torch.uint8, generator=generator)
    labels = torch.randint(0, 2, (CLIPS,), generator=generator)
    mixes = [Mix(float(lam)) for lam in torch.rand(CLIPS // 2, generator=generator)]
    own = slice(index * size, (index + 1) * size)
    return Batch(clips[own], labels[own], labels[own], (), mixes[own.start // 2 : own.stop // 2], 2)


def take_steps(folder, case, group=ALONE):
    """The losses, gradient norms, weights and optimiser state of a case, and the logits of one clip."""
    words = ("MVIT.DROPPATH_RATE", case.dropout, "MODEL.DROPOUT_RATE", case.dropout, "DATA.NUM_FRAMES", 8)
    torch.manual_seed(0)
    model = MViT(resolve_architecture(tiny_config(folder, *words)))
    model.set_activation_checkpointing(case.checkpointing or False)
    model.blocks[0].requires_grad_(not case.frozen)
    network = distribute(model, group, case.strategy)
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3)
    passes = CLIPS // case.micro // group.world_size
    plan = TrainPlan(
        Schedule(base_lr=1, max_epoch=1), global_batch=CLIPS, num_passes=passes, precision=case.precision,
        mean=(0.45, 0.4, 0.5), std=(0.2, 0.2, 0.25), clip_value=case.clip_value,
        clip_l2_norm=case.clip_l2_norm, num_classes=2, smoothing=0.1, num_videos=CLIPS, bad_videos_limit=0.1,
        seed=0, log_period=1, skipped_limit=1,
    )  # fmt: skip
    state = TrainState(model, optimiser, grad_scaler(torch.device("cpu"), case.precision), wrapped=network)
    found = []
    for step in range(STEPS):
        state.step = step
        parts = (index * group.world_size + group.rank for index in range(passes))
        found.append(train_step(state, (batch(step, part, case.micro) for part in parts), plan, group))
    weights, moments = full_model_state(model), full_optimiser_state(model, optimiser)
    weights = {name: tensor.clone() for name, tensor in weights.items()}
    logits = whole_model(model).eval()(batch(0, 0, 2).clips.float() / 255)
    return {
        "steps": found,
        "weights": weights,
        "moments": {index: dict(values) for index, values in moments["state"].items()},
        "logits": logits.detach(),
        "restores": _restores(model, optimiser, weights, moments),
    }


def _restores(model, optimiser, weights, moments):
    """Whether whole states that are loaded come out again."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    optimiser.state.clear()
    load_model_state(model, weights)
    load_optimiser_state(model, optimiser, moments)
    again, again_moments = full_model_state(model), full_optimiser_state(model, optimiser)["state"]
    return all(torch.equal(tensor, weights[name]) for name, tensor in again.items()) and all(
        torch.equal(tensor, moments["state"][index][name])
        for index, values in again_moments.items()
        for name, tensor in values.items()
    )


def overflow(folder, group):
    """A gradient that float16 cannot hold, in the shard of one process: what all do then, by rank."""
    model = MViT(resolve_architecture(tiny_config(folder)))
    distribute(model, group, "fsdp")
    optimiser = torch.optim.SGD(model.parameters(), lr=1.0)
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    if group.rank == 1:
        model.head.projection.weight.grad.to_local().fill_(math.inf)
    scaler.scale(torch.zeros(()))
    before = full_model_state(model)
    before = {name: tensor.clone() for name, tensor in before.items()}
    scaler.step(optimiser)
    scaler.update()
    after = full_model_state(model)
    same = all(torch.equal(tensor, before[name]) for name, tensor in after.items())
    return group.gather((same, scaler.get_scale()))


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    torch.set_num_threads(1)
    with joined(tiny_config(folder / "config")) as group:
        results = {
            name: take_steps(folder / f"rank{group.rank}", case, group) for name, case in CASES.items()
        }
        results["overflow"] = overflow(folder / f"rank{group.rank}", group)
        if group.is_main:
            torch.save(results, folder / "results.pt")
