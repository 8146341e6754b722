"""Demo videos, drawn by the package itself, with known truth."""
