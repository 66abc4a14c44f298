"""Fine-tuning in one command: from videos in folders to a model of one's own, and what it is worth.

Reading order: ``flow`` (the run), ``gathering`` (which videos, which classes), ``sources`` (which of them
belong together), ``splitting`` (what is trained on and what is measured), ``near_duplicates``, ``planning``
(how long and how fast), ``features`` and ``head`` (without a GPU: the backbone once, then the head),
``reporting``.
"""
