"""What a fine-tuning is worth: accuracies, and the files that tell of them."""
