"""Encoders and heads: (B, 3, T, H, W) in, (B, T', D) out."""
