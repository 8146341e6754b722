"""Supervised learning on labels: a linear probe, fine-tuning, online detection's classifier.

A probe is `freeze=True` and the experiment's `init` a contrastive run; the fully supervised
baseline is `freeze=False`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar, Literal, Self

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from workbench.clock import Clock
from workbench.data.batch import Batch
from workbench.methods.base import Method, MethodSettings, WeightGroup

UNKNOWN = -1


class ClassifyConfig(MethodSettings):
    """Classify: what is shown is told from the features by a linear layer, taught by labels."""

    views: ClassVar[int] = 1

    name: Literal["classify"] = "classify"
    freeze: bool = True
    """Leave the encoder as it starts (a probe); off: train it too (fine-tuning, supervised)."""
    per_frame: bool = False
    """Tell the label at each step of the features' time; off: one label for the whole clip."""
    normalise: bool = False
    """Bring features to unit length, then batch norm, before the linear layer."""
    balanced: bool = False
    """Let all classes of a batch count alike, however rare they are in it."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Share of the features that each step hides from the linear layer."""
    encoder_rate: float = Field(1.0, gt=0, le=1)
    """Learning rate of the encoder, as a share of the linear layer's, where it is not frozen."""
    classes: tuple[str, ...] = ()
    """Labels to tell apart, in the order of the predictions; none given: all of the data. Where
    segments are labelled, frames outside them are `background`."""

    def knowing(self, classes: Sequence[str], recordings: int = 0) -> Self:
        """The settings with the labels of the data as classes, where none were given."""
        chosen = self.classes or tuple(classes)
        if missing := [c for c in self.classes if c not in classes]:
            raise ValueError(
                f"method.classes names {', '.join(missing)}, which the training videos do not "
                f"show. Their labels: {', '.join(classes) or 'none'}."
            )
        if len(chosen) < 2:
            raise ValueError(
                f"method classify learns from labels and needs two classes to tell apart; the "
                f"training videos have {', '.join(chosen) or 'no labels'}. Label the videos or "
                "their segments, or choose a method that needs no labels."
            )
        return self.model_copy(update={"classes": chosen})

    def build(self, encoder: nn.Module) -> Classify:
        """The method around an encoder."""
        if not self.classes:
            raise ValueError("method.classes is empty: give the labels that are to be told apart.")
        return Classify(
            encoder,
            classes=self.classes,
            freeze=self.freeze,
            per_frame=self.per_frame,
            normalise=self.normalise,
            balanced=self.balanced,
            dropout=self.dropout,
            encoder_rate=self.encoder_rate,
        )


class Classify(Method):
    """Encoder, mean over time unless `per_frame`, linear layer.

    What `freeze` holds still and `encoder_rate` slows down is `encoder.pretrained` where an encoder
    has one (a recurrent part on top of a pretrained net still has to learn), else the encoder.
    """

    def __init__(
        self,
        encoder: nn.Module,
        *,
        classes: Sequence[str],
        freeze: bool,
        per_frame: bool,
        normalise: bool,
        balanced: bool,
        dropout: float,
        encoder_rate: float,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.classes = tuple(classes)
        self.freeze = freeze
        self.per_frame = per_frame
        self.balanced = balanced
        self.encoder_rate = encoder_rate
        self.classifier = _classifier(encoder.dim, len(classes), normalise, dropout)
        if freeze:
            self.pretrained.requires_grad_(False)

    @property
    def pretrained(self) -> nn.Module:
        """The part of the encoder that does not start from nothing."""
        return getattr(self.encoder, "pretrained", self.encoder)

    def forward(self, batch: Batch, clock: Clock) -> tuple[Tensor, dict[str, float]]:
        """Cross entropy with the labels; examples without one take no part."""
        (clips,) = batch.views
        scores = self.classify(self.encoder(clips)).flatten(0, -2)  # (B [T'], C)
        length = self.encoder.time_stride if self.per_frame else batch.label.shape[1]
        target = majority(batch.label, length).flatten()
        loss = cross_entropy(scores, target, self.balanced)
        return loss, _logs(scores.detach(), target)

    def classify(self, features: Tensor) -> Tensor:
        """(B, T', D) -> float32 scores before the softmax: (B, C), `per_frame` (B, T', C)."""
        x = features if self.per_frame else features.mean(dim=1)  # (B, [T',] D)
        return self.classifier(x.flatten(0, -2)).unflatten(0, x.shape[:-1]).float()

    def predict(self, clips: Tensor) -> Tensor:
        """(B, 3, T, H, W) -> log-probabilities of `classes`: (B, C), `per_frame` (B, T', C)."""
        return self.classify(self.encoder(clips)).log_softmax(dim=-1)

    def project(self, clips: Tensor) -> Tensor:
        """(B, 3, T, H, W) -> (B, D) features, averaged over time, of unit length."""
        return self.project_features(self.encoder(clips).mean(dim=1))

    def project_features(self, features: Tensor) -> Tensor:
        """(B, D) features averaged over time -> the same of unit length."""
        return F.normalize(features.float(), dim=1)

    def tell_features(self, features: Tensor) -> list[str]:
        """(N, D) features averaged over time -> the likeliest of `classes` for each."""
        if not len(features):
            return []
        return [self.classes[k] for k in self.classifier(features).argmax(dim=1).tolist()]

    def weight_groups(self) -> list[WeightGroup]:
        """The classifier, and what of the encoder learns, each at its rate."""
        slow = [p for p in self.pretrained.parameters() if p.requires_grad]
        known = {id(p) for p in slow}
        fast = [p for p in self.parameters() if p.requires_grad and id(p) not in known]
        groups = [WeightGroup(fast), WeightGroup(slow, self.encoder_rate)]
        return [g for g in groups if g.weights]

    def frozen(self) -> Iterable[nn.Module]:
        """The pretrained part of a probe, its batch norms included."""
        return (self.pretrained,) if self.freeze else ()


def majority(label: Tensor, length: int) -> Tensor:
    """(B, T) labels of frames -> (B, ceil(T / length)): the commonest of every `length` frames.

    On a tie the one that occurs first [our reading: no paper says]; -1 has no vote, and is the
    label where nothing else is.
    """
    frames = F.pad(label, (0, -label.shape[1] % length), value=UNKNOWN).unflatten(1, (-1, length))
    agree = (frames[..., :, None] == frames[..., None, :]).sum(dim=-1)
    winner = (agree * (frames != UNKNOWN)).argmax(dim=-1, keepdim=True)  # the first of the best
    return frames.gather(-1, winner).squeeze(-1)


def cross_entropy(scores: Tensor, target: Tensor, balanced: bool = False) -> Tensor:
    """Cross entropy of (N, C) scores and (N,) labels, mean over those that are not -1.

    balanced: mean per class, then over the classes that occur. 0 where there is no label at all.
    """
    each = F.cross_entropy(scores, target, reduction="none", ignore_index=UNKNOWN)  # (N,)
    weight = (target != UNKNOWN).to(each.dtype)
    if balanced:
        weight = weight / (target[:, None] == target).sum(dim=1)
    return (each * weight).sum() / weight.sum().clamp(min=1)


def _classifier(features: int, classes: int, normalise: bool, dropout: float) -> nn.Module:
    """(N, features) -> (N, classes).

    With `normalise` as the linear probes of CoCLR and ViCC: unit length, batch norm without
    weights, linear layer from N(0, 0.01^2) with zero bias.
    """
    linear = nn.Linear(features, classes)
    nn.init.normal_(linear.weight, std=0.01)
    nn.init.zeros_(linear.bias)
    before = [_UnitLength(), nn.BatchNorm1d(features, affine=False)] if normalise else []
    return nn.Sequential(*before, nn.Dropout(dropout), linear)


class _UnitLength(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.normalize(x.float(), dim=1)


def _logs(scores: Tensor, target: Tensor) -> dict[str, float]:
    known = target != UNKNOWN
    right = (scores.argmax(dim=1) == target) & known
    counts = torch.stack([right.sum(), known.sum()]).tolist()
    return {
        "accuracy": counts[0] / max(1, counts[1]),
        "share_labelled": counts[1] / len(target),
    }
