"""What a training run costs beside the arithmetic: the parts of run_cost.py."""
