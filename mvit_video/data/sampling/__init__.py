"""Which frames of a video: pure arithmetic."""
