"""Pure functions on arrays: what the pictures show."""
