"""The demo: renders videos, trains a small MViT on them from nothing, tests it, and asks it about one file.

Run from the top of the checkout by ``make demo``. What is there already is not made again.
"""

import csv
import os
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
RUN = Path("runs/demo")
CONFIG = "configs/demo/MViT_motions.yaml"
PREDICT_CLASS = "counter-clockwise"
RESULTS, SHUFFLED = "test_results.csv", "results_shuffled.csv"


def step(title: str, *command: str) -> None:
    """Runs a command, showing it and its output; ends the demo where it fails."""
    print(f"\n== {title}\n$ {' '.join(('python', *command))}", flush=True)
    # One thread for the network and one core for the decoder: on this small model two threads gain nothing,
    # and lose much on a machine that has other things to do.
    done = subprocess.run([sys.executable, *command], env={"OMP_NUM_THREADS": "1", **os.environ})
    if done.returncode:
        sys.exit(f"the demo stopped: the command above ended with status {done.returncode}")


def main() -> None:
    """Every step in turn, then a summary."""
    started = time.monotonic()
    videos = RUN / "videos"
    step("render short videos whose class is a motion", str(HERE / "render.py"), str(videos))
    step("train, then test over several views of every video", "tools/run_net.py", "--cfg", CONFIG)
    step(
        "test again with the frames of every clip in random order",
        *("tools/run_net.py", "--cfg", CONFIG, "TRAIN.ENABLE", "False"),
        *("TEST.SHUFFLE_FRAMES", "True", "TEST.SAVE_RESULTS_PATH", SHUFFLED),
    )
    held_out = sorted((videos / "test" / PREDICT_CLASS).glob("*.mp4"))[0]
    step("what happens in one video it has not seen?", "tools/predict.py", str(held_out), "--cfg", CONFIG)
    summarise(RUN / RESULTS, RUN / SHUFFLED, held_out, time.monotonic() - started)


def summarise(results: Path, shuffled: Path, held_out: Path, seconds: float) -> None:
    """Prints the figures and where everything lies."""
    print(f"""
== the demo in short ({seconds:.0f} s)
accuracy on {len(rows(results))} videos         {accuracy(results):6.1f} %
the same with shuffled frames        {accuracy(shuffled):6.1f} %   (only order tells opposites apart)
held-out file                        {held_out}
videos {RUN}/videos · checkpoints {RUN}/checkpoints · per-video answers {results}
losses: tensorboard --logdir {RUN}/tensorboard""")


def rows(results: Path) -> list[dict[str, str]]:
    """The per-video rows of a results file."""
    with results.open(newline="") as file:
        return list(csv.DictReader(file))


def accuracy(results: Path) -> float:
    """Percent of videos whose best answer is the label."""
    answers = rows(results)
    return 100 * sum(row["label_name"] == row["top1_name"] for row in answers) / len(answers)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("\nstopped; make demo goes on from what is there")
