"""What is wrong with what somebody wants to fine-tune on."""


class FinetuneError(ValueError):
    """Something the user can mend; the text is one line and says what."""
