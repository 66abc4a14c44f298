"""A test or a prediction in parts: a job array, each of its tasks with videos of its own, and one result."""
