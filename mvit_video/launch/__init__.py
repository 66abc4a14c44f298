"""One process here -> many on a Slurm cluster: submitting, coming back after an interruption, looking on.

Reading order: ``submission`` (the folder that all share), ``queueing`` (from a request to a job), ``job``
(what runs inside one), ``array`` (a test or a prediction in parts), ``looking`` (how it stands).
"""
