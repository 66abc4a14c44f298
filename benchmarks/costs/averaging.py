"""What averaged weights cost in a step: ours beside torch's own, and beside AdamW's step."""

import torch
from comparing import show
from measuring import Timing, as_text, table_head, table_row, take_turns
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from costs.saving import fill_moments
from costs.setups import Setup, spread
from mvit_video.engine.optimising.weight_average import WeightAverage
from mvit_video.engine.training.preparation import prepare_training
from mvit_video.engine.training.starting import fresh_state

OURS, THEIRS, ADAMW = "ours", "torch's", "AdamW"


def run(setup: Setup) -> None:
    """Prints a table: a line for each model."""
    torch.set_num_threads(1)
    clock = "wall" if setup.device == "cuda" else "processor"
    show(f"\n### Averaged weights\n\nOne thread, {clock} time.\n")
    show(table_head(["model", "ms a step", "AveragedModel of torch, ms", "ours of it", "of AdamW's step"]))
    for model in ["tiny"] if setup.quick else ["mvitv2_s_16x4", "mvitv2_b_32x3", "mvitv2_l_40x3"]:
        times = _measure(setup, model, clock)
        milliseconds = [spread([1e3 * second for second in times[way].seconds]) for way in (OURS, THEIRS)]
        ratios = [as_text(times[OURS].ratio_to(times[way])) for way in (THEIRS, ADAMW)]
        show(table_row([model, *milliseconds, *ratios]))


def _measure(setup: Setup, model: str, clock: str) -> dict[str, Timing]:
    words = ["TRAIN.BATCH_SIZE", 2, "OUTPUT_DIR", setup.folder / "out"]
    state = fresh_state(prepare_training(setup.config(model, 2, *words)), fresh=True)
    fill_moments(state)
    ours = WeightAverage(state.model, 0.9999)
    theirs = AveragedModel(state.model, multi_avg_fn=get_ema_multi_avg_fn(0.9999))
    for parameter in state.model.parameters():
        parameter.grad = torch.zeros_like(parameter)

    def wait() -> None:
        if setup.device == "cuda":
            torch.cuda.synchronize()

    ways = {
        OURS: lambda: (ours.update(), wait()),
        THEIRS: lambda: (theirs.update_parameters(state.model), wait()),
        ADAMW: lambda: (state.optimiser.step(), wait()),
    }
    return take_turns(ways, 3 * setup.rounds, clock=clock)
