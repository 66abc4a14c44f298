"""What goes wrong with weights in a way the user can mend."""

from collections.abc import Mapping


class WeightsError(ValueError):
    """Weights that cannot be found, fetched, read or fitted; the message is one line and says what to do."""

    def __init__(self, message: str) -> None:
        super().__init__(message.replace("\n", "\\n").replace("\r", "\\r"))  # names of files may hold any


class MismatchError(WeightsError):
    """Weights that were read, but belong to another model.

    Attributes:
        shapes: Parameter name (ours) -> shape, as the weights have it, so that a caller who knows the models
            can say which one fits.
    """

    def __init__(self, message: str, shapes: Mapping[str, tuple[int, ...]]) -> None:
        super().__init__(message)
        self.shapes = dict(shapes)
