"""A test run: videos over several views, and what was found."""
