"""One process here -> many on a Slurm cluster: submitting, coming back after an interruption, looking on."""
