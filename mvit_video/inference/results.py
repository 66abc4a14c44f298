"""What a prediction is made of; no torch here."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ClassScore:
    """One class and how probable the model finds it.

    Attributes:
        name: the class name; ``class 12`` where the names are not known.
        index: the class's number, 0-based, in the model's order.
        score: probability in [0, 1]: the mean over views, or with DATA.ENSEMBLE_METHOD max the largest.
    """

    name: str
    index: int
    score: float


@dataclass(frozen=True)
class ClipPrediction:
    """What the model sees in one clip: the mean over the clip's spatial crops.

    Attributes:
        start_seconds: time of the clip's first frame.
        end_seconds: time at which its last frame ends.
        top: the best classes, best first.
    """

    start_seconds: float
    end_seconds: float
    top: tuple[ClassScore, ...]


@dataclass(frozen=True)
class Prediction:
    """What the model sees in one video: the mean over all its views.

    Attributes:
        path: the file, or what a file object calls itself.
        top: the best classes, best first.
        clips: the temporal views in the order of time.
        num_views: how many views (clips x spatial crops) the scores are a mean of.
        damage: where the file is damaged: only what comes before was looked at; None for a whole one.
    """

    path: str
    top: tuple[ClassScore, ...]
    clips: tuple[ClipPrediction, ...]
    num_views: int
    damage: str | None = None
