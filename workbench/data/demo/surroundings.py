"""What changes around a machine and is no fault of it: light, shake, passers-by, noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from workbench.data.demo.machine import FPS
from workbench.data.demo.paint import Canvas, Sprite

SHAKE = 6
"""No camera is off by more pixels."""


@dataclass(frozen=True)
class Passing:
    """Somebody who walks by, or a gleam that wanders over the guard."""

    start: int
    """First frame."""
    speed: float
    """Pixels per frame; negative: to the left."""
    look: int


@dataclass(frozen=True)
class Surroundings:
    """What is around the machine in each of T frames."""

    light: np.ndarray
    """(T,) brightness, near 1."""
    tint: np.ndarray
    """(T, 3) its colour, near 1."""
    slope: np.ndarray
    """(T,) how much brighter the left is than the right."""
    sun: np.ndarray
    """(T, 2) strength of the patch of sun, and where it is, pixels."""
    shake: np.ndarray
    """(T, 2) pixels by which the camera is off."""
    walkers: tuple[Passing, ...]
    gleams: tuple[Passing, ...]

    @classmethod
    def draw(cls, rng: np.random.Generator, frames: int) -> Surroundings:
        """Random surroundings; the same kinds in every split."""
        t = np.arange(frames) / FPS
        base, colour = rng.uniform(0.9, 1.06), 1 + rng.uniform(-0.02, 0.02, 3)
        drift = 0.07 * _wander(rng, t, 25, 90) + 0.02 * _wander(rng, t, 8, 20)
        hum = 0.008 * np.sin(2 * np.pi * rng.uniform(3, 9) * t + rng.uniform(0, 7))
        flicker = np.ones(frames)
        for at in _moments(rng, frames, 25):
            many = int(rng.integers(12, 45))
            dips = 1 - rng.uniform(0.03, 0.09) * (rng.random(many) < 0.5)
            flicker[at : at + many] *= dips[: max(0, frames - at)]
        warm = 0.025 * _wander(rng, t, 40, 120)[:, None] * np.array((1, 0, -1))
        light = base * (1 + drift + hum) * flicker

        sun = np.stack([0.16 * (1 + _wander(rng, t, 12, 60)).clip(0, 2),
                        rng.uniform(-40, 40) + 1.2 * t * rng.choice([-1, 1])], -1)  # fmt: skip
        still = rng.uniform(-1.5, 1.5, 2)  # how the camera was put up
        shake = still + 0.35 * np.stack([_wander(rng, t, 0.3, 1.4) for _ in range(2)], -1)
        for at in _moments(rng, frames, 20):  # somebody knocks against the stand
            ring = t[: frames - at, None]
            swing = np.sin(2 * np.pi * rng.uniform(3, 6) * ring + rng.uniform(0, 7, 2))
            shake[at:] += rng.uniform(0.8, 2.2) * np.array((1, 0.6)) * swing * np.exp(-ring / 0.35)
        walkers = tuple(
            Passing(at, float(rng.choice([-1, 1]) * rng.uniform(1.6, 3.6)), int(rng.integers(6)))
            for at in _moments(rng, frames, 24)
        )
        gleams = tuple(
            Passing(at, float(rng.choice([-1, 1]) * rng.uniform(1, 6)), int(rng.integers(3)))
            for at in _moments(rng, frames, 14)
        )
        return cls(light, colour * (1 + warm), 0.06 * _wander(rng, t, 30, 100), sun,
                   np.clip(shake, -SHAKE, SHAKE), walkers, gleams)  # fmt: skip


def _wander(rng: np.random.Generator, t: np.ndarray, low: float, high: float) -> np.ndarray:
    """(T,) of about -1..1: three waves with periods between two times, seconds."""
    period, phase = rng.uniform(low, high, (3, 1)), rng.uniform(0, 2 * np.pi, (3, 1))
    return np.sin(2 * np.pi * t / period + phase).sum(0) / 2


def _moments(rng: np.random.Generator, frames: int, every: float) -> list[int]:
    """Frames at which something begins, one in `every` seconds on average."""
    out, at = [], rng.uniform(0.1, 0.9) * every
    while at * FPS < frames:
        out.append(int(at * FPS))
        at += every * rng.uniform(0.5, 1.5)
    return out


CLOTHES = ((44, 62, 104), (196, 124, 40), (70, 72, 76), (128, 42, 44), (60, 96, 74), (206, 206, 60))
SKINS = ((224, 180, 150), (150, 104, 76), (200, 150, 118))
STRIDE = 16
"""Pictures of one step, left and right."""


def walker(look: int, step: int, right: bool) -> tuple[Sprite, Sprite]:
    """Somebody behind the machine at one moment of walking, a little out of focus; x = 0 is the
    middle, 226 the floor."""
    c = Canvas(-40, 40, 40, 230, 2)
    tall = 0.94 + 0.03 * (look % 4)
    swing = np.sin(2 * np.pi * step / STRIDE)
    lift = -2.0 * abs(swing)
    ahead = 1 if right else -1
    cloth, skin = np.array(CLOTHES[look]), np.array(SKINS[look % 3])

    def at(x: float, y: float) -> tuple[float, float]:
        return (ahead * x, 226 - (226 - y) * tall + lift)

    for side, shade in ((-1, 0.6), (1, 0.8)):
        s = side * swing
        c.bar(at(0, 146), at(10 * s, 186), 17, 13, np.array((48, 52, 66)) * shade)
        c.bar(at(10 * s, 186), at(17 * s - 4, 224), 13, 9, np.array((48, 52, 66)) * shade)
        if side < 0:
            c.bar(at(1, 92), at(-11 * s, 120), 11, 9, cloth * shade)
    c.bar(at(0, 96), at(0, 142), 32, 25, c.across((-18, cloth * 1.1), (18, cloth * 0.7)))
    c.box(-15, at(0, 112)[1], 15, at(0, 116)[1], (222, 222, 206), 0.6)
    c.bar(at(1, 92), at(-13 * swing, 122), 11, 9, cloth * 0.9)
    c.bar(at(-13 * swing, 122), at(-13 * swing + 9, 142), 9, 7, skin * 0.9)
    c.bar(at(0, 82), at(1, 76), 9, 9, skin * 0.8)
    c.disc(*at(2, 66), 10, 12.5, c.across((-10, skin), (12, skin * 0.75)))
    c.disc(*at(1, 59), 11.5, 8, (232, 222, 70) if look % 2 else (62, 44, 34))
    return c.sprite(), c.shadow(16, 3, 6, 0.3)
