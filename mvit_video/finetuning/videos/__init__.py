"""Which videos there are, which belong together, and which are learned from."""
