"""Which backend is right where: every file of the test kit through every backend that is installed.

    python benchmarks/decoders.py [--backends pyav decord torchcodec] [--files]

Prints the tables of docs/decoders.md. "right": the frames asked for, in any order, and their number; of a
damaged file those before the damage, of what is no video an error. "short": true frames, but too few, with a
warning. "wrong": other frames or another number, silently. "refused": an error. Beside our readers stand
decord's and torchcodec's own access by index, which we do not use.
"""

import argparse
import platform
import sys
import tempfile
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from datetime import date
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path

import numpy as np

TESTS = Path(__file__).resolve().parents[1] / "tests"
sys.path.insert(0, str(TESTS))

from kit.media import ALL, BY_NAME, Media  # noqa: E402 (it lies beside the tests)
from kit.media_outcomes import BACKENDS, installed_backends, outcome  # noqa: E402

MOST_SECONDS = 60
NOT_READ = "-"


def measure(folder: Path, backend: str) -> dict[str, str]:
    """The outcome of every file; a process of its own survives a decoder that crashes or hangs."""
    outcomes = {}
    pool = None
    for file in ALL:
        pool = pool or ProcessPoolExecutor(1, mp_context=get_context("spawn"))
        try:
            outcomes[file.name] = pool.submit(read, folder, file.name, backend).result(MOST_SECONDS)
        except (BrokenProcessPool, TimeoutError) as error:
            outcomes[file.name] = "crashed" if isinstance(error, BrokenProcessPool) else "hangs"
            for process in (pool._processes or {}).values():
                process.kill()
            pool = None
    return outcomes


def read(folder: Path, name: str, backend: str) -> str:
    file, path = BY_NAME[name], folder / name
    if backend not in OWN_ACCESS:
        return outcome(path, file, backend)
    if file.damage or file.refused:
        return NOT_READ
    try:
        number, frames = OWN_ACCESS[backend](str(path), list(range(0, len(file.numbers), 7)))
    except Exception:
        return "refused"
    right = number == len(file.numbers) and [file.says(frame) for frame in frames] == list(file.numbers[::7])
    return "right" if right else "wrong"


def decord_get_batch(path: str, indices: list[int]) -> tuple[int, np.ndarray]:
    from decord import VideoReader

    video = VideoReader(path, num_threads=1)
    return len(video), video.get_batch(indices).asnumpy()


def torchcodec_get_frames_at(path: str, indices: list[int]) -> tuple[int, np.ndarray]:
    from torchcodec.decoders import VideoDecoder

    video = VideoDecoder(path, dimension_order="NHWC", seek_mode="exact")
    return len(video), video.get_frames_at(indices).data.numpy()


OWN_ACCESS = {
    "decord's get_batch": decord_get_batch,
    "torchcodec's get_frames_at": torchcodec_get_frames_at,
}


def print_groups(outcomes: dict[str, dict[str, str]]) -> None:
    """One row per group of files; a cell says "right" where all of them are."""
    print("| files | number |", " | ".join(outcomes), "|")
    print("|---|---|" + "---|" * len(outcomes))
    for group in dict.fromkeys(file.group for file in ALL):
        names = [file.name for file in ALL if file.group == group]
        cells = [_cell([found[name] for name in names]) for found in outcomes.values()]
        print(f"| {group} | {len(names)} |", " | ".join(cells), "|")
    totals = [f"{sum(word == 'right' for word in found.values())} right" for found in outcomes.values()]
    print(f"| all | {len(ALL)} |", " | ".join(totals), "|")


def _cell(words: list[str]) -> str:
    count = Counter(word for word in words if word != NOT_READ)
    if len(count) < 2:
        return next(iter(count), NOT_READ)
    return ", ".join(f"{number} {word}" for word, number in count.most_common())


def print_files(outcomes: dict[str, dict[str, str]]) -> None:
    """One row per backend and outcome but "right": its files."""
    print("| backend | outcome | files |\n|---|---|---|")
    for backend, found in outcomes.items():
        for word in sorted(set(found.values()) - {"right", NOT_READ}, reverse=True):
            names = ", ".join(f"`{name}`" for name in found if found[name] == word)
            print(f"| {backend} | {word} | {names} |")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backends", nargs="+", choices=list(BACKENDS), default=installed_backends())
    parser.add_argument("--files", action="store_true", help="print what is not right file by file, too")
    arguments = parser.parse_args()
    versions = ", ".join(f"{BACKENDS[name]} {version(BACKENDS[name])}" for name in arguments.backends)
    print(f"Measured with {versions} on {platform.system()} {platform.machine()}, {date.today()}.\n")
    with tempfile.TemporaryDirectory() as folder:
        media = Media(Path(folder))
        for file in ALL:
            media.path(file)
        columns = [
            *arguments.backends,
            *(own for own in OWN_ACCESS if own.split("'")[0] in arguments.backends),
        ]
        outcomes = {column: measure(Path(folder), column) for column in columns}
    print_groups(outcomes)
    if arguments.files:
        print()
        print_files(outcomes)


if __name__ == "__main__":
    main()
