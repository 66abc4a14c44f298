"""The error of this package."""


class LaunchError(ValueError):
    """A job cannot be submitted, looked at or gone on with; the text says what was found and what to do."""
