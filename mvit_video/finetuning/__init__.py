"""Fine-tuning in one command: from videos in folders to a model of one's own, and what it is worth.

Reading order: ``flow`` (the run), ``beginning`` (all that is decided before training), ``videos`` (which
there are, which belong together, what is trained on and what is measured), ``planning`` (how long and how
fast), ``head`` (without a GPU: the backbone once, then the head), ``reporting``.
"""
