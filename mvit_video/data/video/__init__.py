"""One video file: its frames by number, exactly."""
