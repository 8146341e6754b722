"""Generated data with known truth, made without a network."""
