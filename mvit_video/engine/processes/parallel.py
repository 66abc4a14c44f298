"""A model that several processes train: copied (DDP) or sharded (FSDP2), and its state as one process has it.

Around a plain model every function here does nothing, or what torch does. Sharded modules and tensors are
told by what they can do: their classes take a second to import.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any, Literal, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from mvit_video.engine.processes.group import Group
from mvit_video.models import MViT

Strategy = Literal["ddp", "fsdp"]


def distribute(model: MViT, group: Group, strategy: Strategy) -> nn.Module:
    """Make a model one that the processes of the group train together; before its optimiser is made.

    Args:
        model: on its device, the same in all processes; under "fsdp" its parameters become shards.
        group: the processes.
        strategy: DISTRIBUTED.STRATEGY.

    Returns:
        What a training step calls: `model` itself, or DDP around it.
    """
    if group.world_size == 1:
        return model
    device = next(model.parameters()).device
    if strategy == "ddp":
        indices = [device.index] if device.type == "cuda" else None
        return DistributedDataParallel(model, device_ids=indices, gradient_as_bucket_view=True)
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    with torch.no_grad():
        for tensor in model.state_dict().values():
            dist.broadcast(tensor, src=0)
    mesh = init_device_mesh(device.type, (group.world_size,))
    for block in model.blocks:
        fully_shard(block, mesh=mesh)
    fully_shard(model, mesh=mesh)
    return model


@contextmanager
def accumulating(network: nn.Module, *, more_follows: bool) -> Iterator[None]:
    """A pass whose gradients are exchanged with the other processes unless more passes follow.

    Args:
        network: from :func:`distribute`.
        more_follows: whether this is not the last pass of its step.
    """
    if _is_sharded(network):
        cast(Any, network).set_requires_gradient_sync(not more_follows)
    waits = isinstance(network, DistributedDataParallel) and more_follows
    with network.no_sync() if waits else nullcontext():  # type: ignore[operator]
        yield


def whole(tensor: Tensor) -> Tensor:
    """A tensor with the parts of all processes; all of them have to call this."""
    gather = getattr(tensor, "full_tensor", None)
    result: Tensor = tensor if gather is None else gather()
    return result


def full_model_state(model: nn.Module) -> dict[str, Tensor]:
    """The model's state dict as one process has it; all processes have to call this.

    Args:
        model: the model, not DDP around it.

    Returns:
        In every process the whole tensors, on the model's device.
    """
    return {name: whole(tensor.detach()) for name, tensor in model.state_dict().items()}


def whole_model(model: nn.Module) -> nn.Module:
    """A plain model with the weights of a sharded one; all processes have to call this.

    Each of them can then run it alone, and as often as it likes.

    Args:
        model: from :func:`distribute`; one that is not sharded is given back as it is.
    """
    if not _is_sharded(model):
        return model
    architecture: Any = model.architecture
    with torch.device("meta"):
        copy = MViT(architecture)
    copy.load_state_dict(full_model_state(model), assign=True)
    return copy.train(model.training)


def load_model_state(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Load what :func:`full_model_state` gave, in all processes.

    Raises:
        RuntimeError: it does not fit the model.
    """
    own = model.state_dict()
    model.load_state_dict({name: _like(tensor, own.get(name)) for name, tensor in state.items()})


def full_optimiser_state(model: nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, Any]:
    """The optimiser's state dict as one process has it; all processes have to call this.

    Args:
        model: whose parameters it holds.
        optimiser: the optimiser.

    Returns:
        In every process the whole tensors, on the model's device.
    """
    contents = optimiser.state_dict()
    contents["state"] = {
        index: {name: whole(value) if isinstance(value, Tensor) else value for name, value in values.items()}
        for index, values in contents["state"].items()
    }
    return contents


def load_optimiser_state(
    model: nn.Module, optimiser: torch.optim.Optimizer, state: Mapping[str, Any]
) -> None:
    """Load what :func:`full_optimiser_state` gave, in all processes, whatever their number was then.

    What the optimiser was built with (weight decay, betas, ...) stays: a run may go on with other values.

    Raises:
        ValueError: it does not fit the optimiser.
    """
    saved = state["param_groups"]
    own_groups = [
        {name: value for name, value in group.items() if name != "params"} for group in optimiser.param_groups
    ]
    if any(("betas" in one) != ("betas" in other) for one, other in zip(saved, own_groups, strict=False)):
        raise ValueError("the state is one of another kind of optimiser")  # torch would find out in a step
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    values = {
        index: {
            name: _like(value, parameters[index]) if isinstance(value, Tensor) else value
            for name, value in own.items()
        }
        for index, own in state["state"].items()
        if index < len(parameters)
    }
    optimiser.load_state_dict({**state, "state": values})
    for group, own_values in zip(optimiser.param_groups, own_groups, strict=True):
        group.update(own_values)


def _like(tensor: Tensor, model: Tensor | None) -> Tensor:
    """A whole tensor cut as another one of its shape is; left alone if that is whole, or of another shape."""
    if model is None or not hasattr(model, "placements") or tensor.shape != model.shape:
        return tensor
    from torch.distributed.tensor import DTensor, distribute_tensor

    assert isinstance(model, DTensor)
    return distribute_tensor(tensor.to(model.device), model.device_mesh, model.placements)


def _is_sharded(model: nn.Module) -> bool:
    return hasattr(model, "set_requires_gradient_sync")
