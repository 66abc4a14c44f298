"""Pixels of a clip: cutting, scaling and augmenting."""
