"""Datasets and loaders: keys in, batches out, read ahead by worker processes."""
