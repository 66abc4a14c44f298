"""Which settings run a model fastest on this machine."""
