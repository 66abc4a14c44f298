"""What can be wrong with a video."""


class VideoError(ValueError):
    """A video cannot be read as asked; the text names the file and the reason, in one line."""

    def __init__(self, message: str) -> None:
        super().__init__(message.replace("\n", "\\n").replace("\r", "\\r"))  # names of files may hold any
