"""A training run: what it needs, its epochs and steps."""
