"""What who runs an exported file must know and cannot see in the network: frames, colours, class names."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields

from mvit_video.data import ViewPlan
from mvit_video.export.errors import ExportError
from mvit_video.version import __version__

INPUT, OUTPUT, BATCH = "clips", "logits", "batch"  # names in the exported files

_PREPROCESSING = (
    "clips: float32 (batch, 3, num_frames, crop_size, crop_size), RGB, (pixel / 255 - mean) / std; "
    "a clip spans num_frames * sampling_rate frames at target_fps; its short side is short_side pixels "
    "before crop_size is cut out"
)
_ANSWER = "logits: float32 (batch, number of classes); softmax gives probabilities"


@dataclass(frozen=True)
class Description:
    """How to show a video to a model and how to read its answer.

    Attributes:
        model: Name of the model.
        weights: Where its weights came from; "none" where they are random.
        views: Which frames and crops of a video the model looks at.
        mean: Of red, green and blue, for pixels in 0 to 1.
        std: Likewise.
        class_names: By index, where they are known.
        ensemble: How the views of a video are joined: "sum" (the mean probability) or "max" (the largest).
    """

    model: str
    weights: str
    views: ViewPlan
    mean: Sequence[float]
    std: Sequence[float]
    class_names: Sequence[str] | None = None
    ensemble: str = "sum"

    def check_classes(self, num_classes: int) -> None:
        """Check that there is a name for each class of a model.

        Raises:
            ExportError: There are more or fewer.
        """
        if self.class_names is not None and len(self.class_names) != num_classes:
            raise ExportError(
                f"{len(self.class_names)} class names for a model with {num_classes} classes; give one name "
                "per class, in the order the model was trained with"
            )

    def values(self) -> dict[str, object]:
        """All of it as plain values by name, the fields of the views among them."""
        return {
            "mvit_video": __version__,
            "model": self.model,
            "weights": self.weights,
            "preprocessing": _PREPROCESSING,
            "answer": _ANSWER,
            **asdict(self.views),
            "mean": list(self.mean),
            "std": list(self.std),
            "ensemble": self.ensemble,
            "class_names": None if self.class_names is None else list(self.class_names),
        }

    def texts(self) -> dict[str, str]:
        """The same, each value as JSON, for a format that keeps texts alone."""
        return {name: json.dumps(value, ensure_ascii=False) for name, value in self.values().items()}


def view_names() -> tuple[str, ...]:
    """The names under which the numbers of the views stand in a file."""
    return tuple(field.name for field in fields(ViewPlan))
