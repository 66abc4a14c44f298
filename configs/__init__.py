"""Published configurations, one file a claim; found by name from anywhere."""
