"""A backbone that stays as it is: its features, computed once, and the best head for them."""
