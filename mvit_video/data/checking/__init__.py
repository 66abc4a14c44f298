"""Checking a list of videos before it is trained on: every frame decoded, every finding in a report."""
