"""The error of this room."""


class RunError(ValueError):
    """A training or test run cannot start or go on; the text says what was found and what to do."""
