"""Inference, side by side with torchvision's MViT: time, and memory beyond what the model occupies.

    python benchmarks/model.py
    python benchmarks/model.py --models s --batches 5
    python benchmarks/model.py --models b --precisions bf16
    python benchmarks/model.py --models l --precisions bf16-weights
    python benchmarks/model.py --device cuda

Random weights and clips; the largest difference of the logits, the weights being equal, is printed too.
MViTv2-L is compared with our S instead, in time per FLOP: "times as fast" is then S's time for as many FLOPs
over L's. On a CPU, memory is the high-water mark of a fresh process above its resident size once model and
clips are there. On a GPU it is what tensors occupy; there, eager and compiled runs, the share of the measured
matrix rate, the largest batch and profiles (runs/profiles) come without being asked for.
"""

import argparse
from dataclasses import replace

from comparing import add_options, complete, jobs, run_all
from sides import THEIRS, Job


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_options(parser)
    options = parser.parse_args()
    complete(options, ["s", "v1"], ["b"])
    return run_all([([job], _other(job)) for job in jobs(options, training=False)], options)


def _other(job: Job) -> Job:
    return replace(job, model="s", frames=None, crop=None) if job.model == "l" else replace(job, side=THEIRS)


if __name__ == "__main__":
    raise SystemExit(main())
