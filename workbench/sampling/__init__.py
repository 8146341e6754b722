"""Which clips belong together."""
