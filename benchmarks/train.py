"""A training step, side by side with torchvision's MViT: time, and memory beyond what the model occupies.

    python benchmarks/train.py
    python benchmarks/train.py --precisions fp32 --batches 2 --checkpointing none all stages:1,2 every:2
    python benchmarks/train.py --device cuda

A step is forward, cross entropy and backward in training mode, without an optimiser; gradients count as
memory. Everything else is as in model.py. FLOPs are three times those of the forward pass, also where
checkpointing does more. On a GPU a run with our own gradients of the pooling, which CPUs take, is added.
"""

import argparse
from dataclasses import replace

from comparing import add_options, complete, jobs, run_all
from sides import THEIRS


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_options(parser)
    parser.add_argument(
        "--checkpointing",
        nargs="+",
        default=["none", "all"],
        metavar="WHICH",
        help="of ours: none, all, or blocks as MViT.set_activation_checkpointing takes them",
    )
    options = parser.parse_args()
    complete(options, ["s"], ["b"])
    words: dict[str, bool | str] = {"none": False, "all": True}
    ways = [words.get(word, word) for word in options.checkpointing]
    comparisons = []
    for job in jobs(options, training=True):
        ours = [replace(job, checkpointing=way) for way in ways]
        if options.device == "cuda" and not job.compiled:
            ours.append(replace(job, own_pooling=True))
        comparisons.append((ours, replace(job, side=THEIRS)))
    return run_all(comparisons, options)


if __name__ == "__main__":
    raise SystemExit(main())
