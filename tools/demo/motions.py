"""Draws short videos of moving things whose class is their motion, so that one frame tells nothing.

Every class is drawn like its opposite with time running backwards: the pictures that "left" can show are
exactly those that "right" can show, and only their order tells the two apart.
The test split uses shapes, backgrounds and paths that the training split never shows.

Legend: H, W image size in pixels; frames_THWC uint8 RGB, [0, 255]; s time in [0, 1] from first to last frame.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

# Each class and its opposite share a path; the opposite runs it backwards.
CLASSES = ("clockwise", "counter-clockwise", "down", "growing", "left", "right", "shrinking", "up")
OPPOSITES = (("left", "right"), ("up", "down"), ("growing", "shrinking"), ("clockwise", "counter-clockwise"))
BACKWARDS = {"left": "right", "up": "down", "shrinking": "growing", "counter-clockwise": "clockwise"}

SIZE_PIXELS = 96
NUM_FRAMES = 56
FPS = 30


@dataclass(frozen=True)
class Look:
    """What a split may draw from: outlines (corners and star depth), backgrounds, ways to move."""

    outlines: tuple[tuple[int, float], ...]
    backgrounds: tuple[str, ...]
    paths: tuple[str, ...]


# (corners, depth): depth 1 is a regular polygon, below 1 every second corner is drawn in, as in a star.
TRAIN = Look(
    outlines=((3, 1.0), (4, 1.0), (40, 1.0), (8, 0.55)),
    backgrounds=("gradient", "stripes", "clouds"),
    paths=("steady", "curved"),
)
TEST = Look(
    outlines=((5, 1.0), (10, 0.5), (6, 1.0)),
    backgrounds=("checks", "rings"),
    paths=("accelerating", "winding"),
)
LOOKS = {"train": TRAIN, "val": TRAIN, "test": TEST}


def render(split: str, label: str, index: int) -> np.ndarray:
    """One video, the same for the same arguments.

    Args:
        split: "train", "val" or "test".
        label: one of ``CLASSES``.
        index: which video of that class.

    Returns:
        frames_THWC uint8, (56, 96, 96, 3).
    """
    rng = np.random.default_rng([sorted(LOOKS).index(split), CLASSES.index(label), index])
    look = LOOKS[split]
    background_HWC = _background(rng, str(rng.choice(look.backgrounds)))
    corners, depth = look.outlines[rng.integers(len(look.outlines))]
    colour = tuple(int(c) for c in rng.permutation([255, rng.integers(90, 256), rng.integers(90, 256)]))
    spin = rng.uniform(0, 2 * np.pi)
    x, y, radius = _path(rng, BACKWARDS.get(label, label), str(rng.choice(look.paths)))
    if label in BACKWARDS:
        x, y, radius = x[::-1], y[::-1], radius[::-1]
    frames = [
        _draw(background_HWC, _outline(corners, depth, spin, x[t], y[t], radius[t]), colour)
        for t in range(NUM_FRAMES)
    ]
    return np.stack(frames)


def _path(rng: np.random.Generator, motion: str, manner: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Centre x, y and radius, each (T,), in image sides, of "right", "down", "growing" or "clockwise"."""
    s = np.linspace(0, 1, NUM_FRAMES)
    if manner == "accelerating":
        s = s ** rng.uniform(1.2, 1.6)
    wave = {"curved": np.sin(np.pi * s), "winding": np.sin(2 * np.pi * s)}.get(manner, np.zeros_like(s))
    sideways = wave * rng.uniform(-0.05, 0.05)
    radius = np.full_like(s, rng.uniform(0.13, 0.18))
    centre = rng.uniform(0.4, 0.6, size=2)
    if motion == "right":
        x = rng.uniform(0.2, 0.3) + s * rng.uniform(0.45, 0.55)
        return x, centre[1] + sideways, radius
    if motion == "down":
        y = rng.uniform(0.2, 0.3) + s * rng.uniform(0.45, 0.55)
        return centre[0] + sideways, y, radius
    if motion == "growing":
        smallest = rng.uniform(0.07, 0.1)
        return centre[0] + sideways, np.full_like(s, centre[1]), smallest + s * rng.uniform(0.2, 0.26)
    # Clockwise as seen: y points down, so the angle grows.
    angle = rng.uniform(0, 2 * np.pi) + s * rng.uniform(1.7, 2.1) * np.pi
    distance = rng.uniform(0.27, 0.32) + sideways / 2
    return 0.5 + distance * np.cos(angle), 0.5 + distance * np.sin(angle), radius


def _outline(
    corners: int, depth: float, spin: float, x: float, y: float, radius: float
) -> list[tuple[float, float]]:
    """Corner points in fractions of the image side."""
    angles = spin + 2 * np.pi * np.arange(corners) / corners
    radii = radius * np.where(np.arange(corners) % 2, depth, 1.0)
    return list(zip(x + radii * np.cos(angles), y + radii * np.sin(angles), strict=True))


def _draw(
    background_HWC: np.ndarray, outline: list[tuple[float, float]], colour: tuple[int, ...]
) -> np.ndarray:
    """The outline filled over the background, smoothed by drawing at twice the size."""
    fine = 2 * SIZE_PIXELS
    mask = Image.new("L", (fine, fine), 0)
    ImageDraw.Draw(mask).polygon([(px * fine, py * fine) for px, py in outline], fill=255)
    frame = Image.fromarray(background_HWC)
    frame.paste(colour, mask=mask.resize((SIZE_PIXELS, SIZE_PIXELS), Image.Resampling.BOX))
    return np.asarray(frame)


def _background(rng: np.random.Generator, kind: str) -> np.ndarray:
    """A dim still picture, uint8 (H, W, 3)."""
    y, x = np.mgrid[0:SIZE_PIXELS, 0:SIZE_PIXELS] / SIZE_PIXELS
    turn, phase, count = rng.uniform(0, 2 * np.pi), rng.uniform(0, 2 * np.pi), rng.uniform(2, 5)
    along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    wave, other = np.sin(2 * np.pi * count * along + phase), np.sin(2 * np.pi * count * across + phase)
    rings = np.sin(2 * np.pi * count * np.hypot(x - rng.uniform(), y - rng.uniform()) + phase)
    pattern_HW = {
        "gradient": along,
        "stripes": np.sign(wave),
        "clouds": wave * other,
        "checks": np.sign(wave) * np.sign(other),
        "rings": rings,
    }[kind]
    low, high = rng.uniform(0, 40, size=3), rng.uniform(30, 90, size=3)
    share_HW1 = ((pattern_HW - pattern_HW.min()) / np.ptp(pattern_HW))[..., None]
    return (low + share_HW1 * (high - low)).astype(np.uint8)
