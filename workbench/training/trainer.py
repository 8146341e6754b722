"""The loop: refresh, batches, loss, step, report."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from workbench.analysis.embeddings import Embeddings
from workbench.clock import Clock
from workbench.data.augment import AugmentConfig
from workbench.data.batch import Batch
from workbench.data.video import Stream, VideoSource
from workbench.methods import Method
from workbench.sampling import Sampler
from workbench.training.devices import PRECISIONS, choose_device, choose_precision
from workbench.training.embed import embed, embed_middles
from workbench.training.loader import Loaded, Loader
from workbench.training.optim import build_optimizer, learning_rate, spare_vectors

if TYPE_CHECKING:
    from workbench.training.experiment import TrainConfig


class DivergenceError(RuntimeError):
    """A loss, gradient or weight that is no number any more; says where and what to try."""


@dataclass(frozen=True)
class Report:
    """What a step did. `clock` stands after the step; `eta` is in seconds."""

    clock: Clock
    loss: float
    logs: dict[str, float]
    epoch_done: bool
    clips_per_s: float
    eta: float


class Trainer:
    """Iterate to train; each item is the report of one step. To stop, stop pulling.

    Between two reports the trainer stands still, and `state` is enough to go on exactly from there.
    """

    def __init__(
        self,
        method: Method,
        sampler: Sampler,
        source: VideoSource,
        augment: AugmentConfig,
        config: TrainConfig,
        augment_second: AugmentConfig | None = None,
    ) -> None:
        device = choose_device(config.device)
        precision = PRECISIONS[choose_precision(config.precision, device)]
        self.fabric = Fabric(accelerator=device, devices=1, precision=precision)
        self.fabric.launch()
        self.source = source
        self.sampler = sampler
        looks = (augment, augment_second or augment)
        self.augments = [a.build(source.shape.size, self.fabric.device) for a in looks]
        self.config = config
        self.loader = Loader(
            source,
            sampler.usable(source),
            config.batch,
            config.seed,
            config.clips_per_video,
            method.classes,
        )
        self.length = config.steps or config.epochs * len(self.loader)
        self.steps = math.ceil(config.until * self.length)
        self.clock = Clock()
        self.method = method
        groups = method.weight_groups()
        self.groups = spare_vectors(groups) if config.spare_vectors else groups
        self.weights = [p for group in self.groups for p in group.weights]
        optimizer = build_optimizer(self.groups, config)
        self.step_module, self.optimizer = self.fabric.setup(_Step(method), optimizer)
        self._pace = _Pace()

    def __iter__(self) -> Iterator[Report]:
        """Train from where the clock stands to the end."""
        self.method.train()
        self._pace = _Pace(self.clock.step)
        while self.clock.step < self.steps:
            first = self.clock.step - self.clock.epoch * len(self.loader)
            if first == 0:
                self.sampler = self.sampler.refresh(self.source, self.clock, self.embed)
            for loaded in self.loader.batches(self.sampler, self.clock.epoch, first):
                yield self.step(loaded)
                self._pace.resume()
                if self.clock.step >= self.steps:
                    return

    def step(self, loaded: Loaded) -> Report:
        """One step of the optimizer; the clock has advanced when it returns."""
        lr = learning_rate(self.clock.progress, self.config)
        for group, its in zip(self.optimizer.param_groups, self.groups, strict=True):
            group["lr"] = its.rate * (self.config.lr if its.steady else lr)
        batch = self.batch(loaded)
        loss, logs = self.step_module(lambda: (batch, self.clock))
        learning = loss.requires_grad
        if learning:
            self.fabric.backward(loss)
        norm = torch.nn.utils.get_total_norm([p.grad for p in self.weights if p.grad is not None])
        norm = norm.to(loss.device)
        loss_value, norm_value = torch.stack([loss.detach().float(), norm.float()]).tolist()
        if not (math.isfinite(loss_value) and math.isfinite(norm_value)):
            raise DivergenceError(self._diverged(loss_value, norm_value, loaded))
        if learning:
            self.optimizer.step()
        self.optimizer.zero_grad()
        self.method.after_step(self.clock)

        done = self.clock.step + 1
        self.clock = Clock(done // len(self.loader), done, done / self.length)
        speed = self._pace.tick(len(batch.group) * len(batch.views))
        return Report(
            clock=self.clock,
            loss=loss_value,
            logs={**logs, **self.sampler.logs(), "lr": lr, "grad_norm": norm_value},
            epoch_done=done % len(self.loader) == 0,
            clips_per_s=speed,
            eta=self._pace.eta(done, self.steps),
        )

    def batch(self, loaded: Loaded) -> Batch:
        """The augmented views of loaded examples, then their small crops, on the device."""
        looks = [self._view(loaded, v) for v in range(len(loaded.pixels))]
        views, small = [full for full, *_ in looks], [crop for _, *crops in looks for crop in crops]
        group, label = torch.from_numpy(loaded.group), torch.from_numpy(loaded.label)
        triplets = None if loaded.triplets is None else torch.from_numpy(loaded.triplets)
        return Batch((*views, *small), group, label, triplets).to(self.fabric.device)

    def _view(self, loaded: Loaded, v: int) -> list[Tensor]:
        """View v of all examples and its small crops; clips of one stream go through together."""
        alike: dict[tuple[Stream, bool], list[int]] = {}
        for row, example in enumerate(loaded.examples):
            *before, stream = (clip.stream for clip in example.views[: v + 1])
            alike.setdefault((stream, stream in before), []).append(row)
        parts = []
        for (stream, again), rows in alike.items():
            clips, seeds = [loaded.pixels[v][row] for row in rows], loaded.seeds[rows, v]
            augment, kind = self.augments[again], self.source.shape.seen_as(stream)
            parts.append([augment(clips, seeds, kind), *augment.small_crops(clips, seeds, kind)])
        if len(parts) == 1:
            return parts[0]
        back = np.argsort(np.concatenate(list(alike.values())))
        return [torch.cat(part)[back] for part in zip(*parts, strict=True)]

    def embed(self, *, steps: bool = False, middle: bool = False) -> Embeddings:
        """Embeddings of the training videos by the method as it stands; for `Sampler.refresh`."""
        encoder, device = self.method.encoder, self.fabric.device
        per_step = steps or getattr(encoder, "per_frame", False)

        def represent(clips: Tensor) -> Tensor:
            return self.method.for_mining(clips, self.clock)

        with self.judging(represent) as features:
            if middle:
                return embed_middles(features, self.source, device=device)
            time_stride = encoder.time_stride if per_step else None
            return embed(features, self.source, device=device, time_stride=time_stride)

    @contextmanager
    def judging(
        self, features: Callable[[Tensor], Tensor] | None = None
    ) -> Iterator[Callable[[Tensor], Tensor]]:
        """`features`, by default the method's `represent`, in eval mode and its precision."""

        def judged(clips: Tensor) -> Tensor:
            with torch.inference_mode(), self.fabric.autocast():
                return (features or self.method.represent)(clips)

        self.method.eval()
        try:
            yield judged
        finally:
            self.method.train()

    def state(self) -> tuple[dict[str, Tensor], dict[str, Tensor], dict]:
        """Weights, the rest that a resumed run needs, and its plain data; all as they are now."""
        moments = self.optimizer.state_dict()["state"]
        rest = {"rng.cpu": torch.get_rng_state()}
        if self.fabric.device.type == "cuda":
            rest["rng.cuda"] = torch.cuda.get_rng_state(self.fabric.device)
        for i, values in moments.items():
            rest |= {f"optimizer.{i}.{k}": torch.as_tensor(v) for k, v in values.items()}
        rest |= {f"sampler.{k}": torch.from_numpy(v) for k, v in self.sampler.state().items()}
        about = {
            "clock": {
                "epoch": self.clock.epoch,
                "step": self.clock.step,
                "progress": self.clock.progress,
            },
            "sampler": self.sampler.model_dump(mode="json"),
        }
        return self.method.state_dict(), rest, about

    def load(self, model: dict[str, Tensor], rest: dict[str, Tensor], about: dict) -> None:
        """Go back to a state."""
        self.method.load_state_dict(model)
        moments: dict[int, dict[str, Tensor]] = {}
        found: dict[str, np.ndarray] = {}
        for key, value in rest.items():
            kind, _, name = key.partition(".")
            if kind == "optimizer":
                i, _, moment = name.partition(".")
                moments.setdefault(int(i), {})[moment] = value
            elif kind == "sampler":
                found[name] = value.numpy()
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": moments, "param_groups": groups})
        torch.set_rng_state(rest["rng.cpu"])
        if "rng.cuda" in rest and self.fabric.device.type == "cuda":
            torch.cuda.set_rng_state(rest["rng.cuda"], self.fabric.device)
        self.clock = Clock(**about["clock"])
        self.sampler = type(self.sampler).parse(about["sampler"]).restored(found)

    def check_finite(self) -> None:
        """`DivergenceError` where a weight is no number, which must not get into a checkpoint."""
        if not all(bool(p.isfinite().all()) for p in self.weights):
            raise DivergenceError(
                f"after step {self.clock.step} some weights are no numbers. {ADVICE}"
            )

    def _diverged(self, loss: float, norm: float, loaded: Loaded) -> str:
        clips = [clip for example in loaded.examples for clip in example.views[:1]]
        videos = self.source.videos
        batch = "; ".join(
            f"{videos[c.video].recording} {videos[c.video].camera} from frame {c.start}"
            for c in clips
        )
        return (
            f"the run diverged at step {self.clock.step + 1}: loss {loss}, gradient norm {norm}, "
            f"lr {self.optimizer.param_groups[0]['lr']:.3g}. {ADVICE}\n"
            f"The batch (recording, camera, start of the first view): {batch}"
        )


ADVICE = (
    "The last good checkpoint is kept. Try a lower train.lr, a longer train.warmup, "
    "train.precision fp32, or a larger train.batch."
)


class _Step(nn.Module):
    """What Fabric wraps. The batch comes out of a function, for Fabric opens dataclasses."""

    def __init__(self, method: Method) -> None:
        super().__init__()
        self.method = method

    def forward(self, make: Callable[[], tuple[Batch, Clock]]) -> tuple[Tensor, dict[str, float]]:
        return self.method(*make())


class _Pace:
    """How fast steps come, counted from a step."""

    def __init__(self, first: int = 0) -> None:
        self.first = first
        self.start = self.last = time.perf_counter()
        self.speed = 0.0

    def resume(self) -> None:
        """Do not count what the consumer did since the last step."""
        self.last = time.perf_counter()

    def tick(self, clips: int) -> float:
        """Clips per second, smoothed over about ten steps."""
        now = time.perf_counter()
        fresh = clips / max(now - self.last, 1e-9)
        self.last = now
        self.speed = fresh if not self.speed else 0.9 * self.speed + 0.1 * fresh
        return self.speed

    def eta(self, done: int, total: int) -> float:
        """Seconds left at the pace so far, everything between the steps included."""
        return (total - done) * (time.perf_counter() - self.start) / max(1, done - self.first)
