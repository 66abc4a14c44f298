"""The exponential moving average (EMA) of a model's weights over the optimiser steps."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


class WeightAverage:
    """Weights that follow the model's: after each step ``average = decay * average + (1 - decay) * weights``.

    The first steps forget faster, by ``(1 + n) / (10 + n)`` after ``n`` of them as long as that is less than
    ``decay``: an average of a short run would otherwise be the weights that it began with. (The rule is
    TensorFlow's ``ExponentialMovingAverage`` with ``num_updates``.)

    Sharded parameters (FSDP2) are averaged shard by shard, with no communication. The parameters are those at
    the time of construction, as with an optimiser: make it after the model has been sharded.

    Args:
        model: the model, all of whose parameters are averaged; it has no buffers to keep.
        decay: between 0 and 1, TRAIN.EMA_DECAY; the higher, the longer the memory.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        if not 0 < decay < 1:
            raise ValueError(f"TRAIN.EMA_DECAY is {decay}, expected a number between 0 and 1")
        self.decay = decay
        self.num_updates = 0
        self._model = model
        self._parameters = list(model.parameters())
        self._averages = [own.clone() for own in self._own()]

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights of now; after each optimiser step."""
        self.num_updates += 1
        decay = min(self.decay, (1 + self.num_updates) / (10 + self.num_updates))
        torch._foreach_lerp_(self._averages, self._own(), 1 - decay)

    @torch.no_grad()
    def restart(self) -> None:
        """Begin with the weights of now, as if none had been averaged."""
        self.num_updates = 0
        for average, own in zip(self._averages, self._own(), strict=True):
            average.copy_(own)

    @contextmanager
    def in_model(self) -> Iterator[None]:
        """Have the averages in the model for the time of the context; its weights are back after it, bitwise.

        All processes of a sharded model enter it together.
        """
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    @torch.no_grad()
    def _exchange(self) -> None:
        _reshard(self._model)
        for average, own in zip(self._averages, self._own(), strict=True):
            kept = own.clone()
            own.copy_(average)
            average.copy_(kept)

    @torch.no_grad()
    def _own(self) -> list[Tensor]:
        return [_local(parameter) for parameter in self._parameters]

    def state_dict(self, whole_state: Callable[[nn.Module], Mapping[str, Tensor]]) -> dict[str, Any]:
        """What a checkpoint keeps: ``num_updates``, and ``weights`` by the model's names.

        Args:
            whole_state: gives a model's state; where it is sharded, gathered from all processes, which call
                this together.
        """
        with self.in_model():
            # The state of a plain model shares its memory, and would change back with it.
            weights = {name: tensor.detach().clone() for name, tensor in whole_state(self._model).items()}
        return {"num_updates": self.num_updates, "weights": weights}

    def load_state_dict(
        self,
        state: Mapping[str, Any],
        load_whole: Callable[[nn.Module, Mapping[str, Tensor]], object],
    ) -> None:
        """Go on from what :meth:`state_dict` gave.

        Args:
            state: that.
            load_whole: puts a whole model's state into a model, sharded or not.
        """
        with self.in_model():
            load_whole(self._model, state["weights"])
        self.num_updates = state["num_updates"]


# Sharded tensors and modules are told by what they can do: their classes take a second to import.
def _local(parameter: Tensor) -> Tensor:
    """What this process holds of a parameter, sharing its memory; call it without gradients."""
    to_local = getattr(parameter, "to_local", None)
    local: Tensor = parameter.detach() if to_local is None else to_local()
    return local


def _reshard(model: nn.Module) -> None:
    """Let go of parameters that an evaluation has gathered: they would hide what is written to the shards."""
    for module in model.modules():
        reshard = getattr(module, "reshard", None)
        if callable(reshard):
            reshard()
