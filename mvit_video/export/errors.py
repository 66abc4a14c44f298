"""What can go wrong on the way out."""


class ExportError(ValueError):
    """A model cannot be exported so, or its file cannot be written; the text is one line."""
