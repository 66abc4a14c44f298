"""How a submission stands: for whoever asks, or waits."""
