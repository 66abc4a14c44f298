"""What runs inside a job, from a start by Slurm to an end of any kind."""
