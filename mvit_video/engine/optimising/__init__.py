"""How weights change: the optimiser, its parameter groups, the learning rate."""
