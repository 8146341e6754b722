"""What to do about it: views in, loss out."""
