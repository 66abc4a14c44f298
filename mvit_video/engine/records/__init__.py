"""What a run says: its log files, and what a person sees on the way."""
