"""Encoders and heads: (B, 3, T, H, W) in, (B, T', D) out."""

from workbench.models.encoder import ENCODERS as ENCODERS
from workbench.models.encoder import Encoder as Encoder
from workbench.models.encoder import EncoderConfig as EncoderConfig
