"""The five throws as keyframes, right-handed: tori (who throws) faces +x, uke faces him.

Time runs from 0, where the throw begins, to 1, where uke lies; before and after lie the steps into
the grip (from START) and the first moments on the mat (to END). A movement is varied by `varied`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from workbench.data.demo.motion import Key, Part

START, END = -3 / 14, 1 + 3 / 14  # 15 % of the frames on either side of 70 %

LAPEL = (0.135, 0.075, 0.22)
LEFT_STANCE, RIGHT_STANCE = (-0.30, 0.13), (-0.44, -0.13)  # tori's ankles; uke's are opposite


def ashi() -> tuple[Part, Part]:
    """O-soto-gari: tori steps beside uke and reaps his leg from behind; uke falls backwards."""
    tori = Part(
        azimuth=0,
        trunk=[
            (0.00, -0.38, 0.00, 0.87, 0, 6, 10, 0),
            (0.22, -0.08, 0.20, 0.86, -6, 4, 6, 0),
            (0.42, 0.14, 0.30, 0.89, -10, -4, 4, 0),
            (0.58, 0.20, 0.31, 0.88, -10, 18, 8, 5),
            (0.72, 0.24, 0.31, 0.87, -10, 48, 14, 10),
            (0.85, 0.26, 0.30, 0.86, -8, 60, 18, 10),
            (1.00, 0.24, 0.30, 0.84, -6, 38, 30, 10),
            (END, 0.20, 0.30, 0.88, 0, 14, 22, 10),
        ],
        limbs={
            "left_ankle": [
                *_into(LEFT_STANCE),
                (0.06, "mat", *LEFT_STANCE, 0),
                (0.26, "mat", 0.24, 0.40, 0),
            ],
            "right_ankle": [
                *_into(RIGHT_STANCE, late=True),
                (0.22, "mat", *RIGHT_STANCE, 0),
                (0.45, "mat", 0.66, 0.22, 0.34),
                (0.55, "mat", 0.46, 0.20, 0.16),
                (0.66, "mat", -0.15, 0.20, 0.22),
                (0.78, "mat", -0.52, 0.22, 0.62),
                (0.87, "mat", -0.50, 0.22, 0.62),
                (1.03, "mat", -0.05, 0.16, 0),
            ],
            "left_wrist": _sleeve(),
            "right_wrist": [
                *_lapel(),
                (0.88, "his chest", *LAPEL),
                (1.02, "chest", 0.32, -0.12, 0.05),
                (END, "chest", 0.22, -0.25, -0.05),
            ],
        },
    )
    uke = Part(
        azimuth=0,
        trunk=[
            (0.00, 0.38, 0.00, 0.87, 180, -6, 10, 0),
            (0.22, 0.40, 0.01, 0.88, 180, 3, 2, -5),
            (0.42, 0.45, 0.03, 0.87, 182, 14, -4, -10),
            (0.58, 0.52, 0.02, 0.80, 184, 32, -4, 5),
            (0.72, 0.64, 0.00, 0.56, 186, 62, 4, 20),
            (0.86, 0.76, -0.02, 0.24, 184, 86, 12, 30),
            (0.95, 0.82, -0.02, 0.13, 182, 92, 16, 30),
            (END, 0.84, -0.02, 0.12, 180, 86, 30, 25),
        ],
        limbs={
            "left_ankle": [
                *_into(LEFT_STANCE, -1),
                (0.60, "mat", *_mirror(LEFT_STANCE), 0),
                (0.80, "mat", 0.05, -0.16, 0.35),
                (0.98, "hips", 0.25, 0.14, -0.72),
                (END, "hips", 0.12, 0.16, -0.58),
            ],
            "right_ankle": [
                *_into(RIGHT_STANCE, -1, late=True),
                (0.55, "mat", *_mirror(RIGHT_STANCE), 0),
                (0.68, "mat", 0.02, 0.14, 0.40),
                (0.80, "mat", 0.06, 0.12, 0.80),
                (0.90, "hips", 0.58, -0.12, -0.55),
                (1.06, "hips", 0.22, -0.16, -0.70),
                (END, "hips", 0.14, -0.16, -0.60),
            ],
            "left_wrist": _slap(0.55, 0.90, "left"),
            "right_wrist": [
                *_lapel(),
                (0.85, "his chest", *LAPEL),
                (1.05, "chest", 0.3, -0.1, 0.25),
            ],
        },
    )
    return tori, uke


def te() -> tuple[Part, Part]:
    """Ippon-seoi-nage: tori turns in under uke's arm and pulls him over the shoulder."""
    tori = Part(
        azimuth=180,
        trunk=[
            (0.00, -0.38, 0.00, 0.87, 0, -6, 10, 0),
            (0.18, -0.18, 0.03, 0.86, 50, 0, 6, 0),
            (0.36, 0.02, 0.03, 0.70, 165, 8, 8, 5),
            (0.46, 0.03, 0.02, 0.64, 180, 24, 20, 10),
            (0.60, 0.01, 0.02, 0.78, 182, 52, 36, 20),
            (0.76, 0.02, 0.02, 0.84, 184, 68, 44, 25),
            (0.92, 0.03, 0.02, 0.82, 184, 62, 40, 20),
            (1.06, 0.02, 0.02, 0.84, 182, 38, 30, 15),
            (END, 0.02, 0.02, 0.88, 180, 16, 20, 15),
        ],
        limbs={
            "left_ankle": [
                *_into(LEFT_STANCE),
                (0.18, "mat", *LEFT_STANCE, 0),
                (0.38, "mat", 0.08, -0.18, 0),
            ],
            "right_ankle": [
                *_into(RIGHT_STANCE, late=True),
                (0.04, "mat", *RIGHT_STANCE, 0),
                (0.22, "mat", 0.02, 0.20, 0),
            ],
            "left_wrist": [
                *_sleeve(),
                (0.75, "his right elbow", 0, 0, 0),
                (END, "his right elbow", 0, 0, 0.05),
            ],
            "right_wrist": [
                *_lapel(),
                (0.15, "his chest", *LAPEL),
                (0.36, "chest", 0.26, -0.14, 0.34),
                (0.70, "chest", 0.30, 0.02, 0.24),
                (0.92, "his right elbow", 0, 0, 0.05),
                (END, "his right elbow", 0, 0, 0.05),
            ],
        },
    )
    uke = Part(
        azimuth=180,
        trunk=[
            (0.00, 0.38, 0.00, 0.87, 180, 6, 10, 0),
            (0.20, 0.34, 0.01, 0.90, 180, 10, 4, -5),
            (0.38, 0.31, 0.03, 0.92, 180, 22, 6, 0),
            (0.48, 0.30, 0.08, 0.96, 180, 48, 12, 10),
            (0.58, 0.20, 0.14, 1.08, 180, 92, 26, 20),
            (0.68, -0.06, 0.19, 1.16, 180, 140, 34, 25),
            (0.78, -0.44, 0.20, 0.98, 180, 192, 34, 30),
            (0.89, -0.78, 0.20, 0.54, 180, 240, 22, 35),
            (0.97, -0.92, 0.20, 0.14, 180, 268, 16, 35),
            (END, -0.96, 0.20, 0.12, 180, 264, 30, 25),
        ],
        limbs={
            "left_ankle": [
                *_into(LEFT_STANCE, -1),
                (0.40, "mat", *_mirror(LEFT_STANCE), 0),
                (0.62, "hips", -0.14, 0.14, -0.76),
                (0.70, "hips", 0.16, 0.18, -0.66),
                (0.80, "hips", 0.34, 0.18, -0.58),
                (0.98, "hips", 0.30, 0.18, -0.68),
                (END, "hips", 0.16, 0.18, -0.58),
            ],
            "right_ankle": [
                *_into(RIGHT_STANCE, -1, late=True),
                (0.42, "mat", *_mirror(RIGHT_STANCE), 0),
                (0.62, "hips", -0.20, -0.12, -0.68),
                (0.72, "hips", 0.22, -0.16, -0.58),
                (0.82, "hips", 0.40, -0.16, -0.54),
                (1.00, "hips", 0.24, -0.16, -0.70),
                (END, "hips", 0.14, -0.18, -0.62),
            ],
            "left_wrist": _slap(0.42, 0.92, "left"),
            "right_wrist": [
                *_lapel(),
                (0.22, "his chest", *LAPEL),
                (0.40, "his chest", 0.36, -0.08, 0.20),
                (0.80, "his chest", 0.40, -0.04, 0.10),
                (1.0, "chest", 0.42, -0.12, 0.30),
            ],
        },
    )
    return tori, uke


def koshi() -> tuple[Part, Part]:
    """O-goshi: tori takes uke round the waist, loads him on the hip and rolls him off it."""
    tori = Part(
        azimuth=195,
        trunk=[
            (0.00, -0.38, 0.00, 0.87, 0, -6, 10, 0),
            (0.18, -0.14, 0.05, 0.86, 40, 0, 6, 0),
            (0.36, 0.08, 0.10, 0.72, 150, 4, 6, -5),
            (0.46, 0.12, 0.10, 0.68, 178, 22, 12, 0),
            (0.60, 0.10, 0.10, 0.82, 186, 54, 16, 10),
            (0.74, 0.07, 0.08, 0.86, 194, 56, 24, 20),
            (0.90, 0.05, 0.06, 0.82, 200, 44, 36, 20),
            (1.06, 0.04, 0.05, 0.84, 202, 26, 30, 20),
            (END, 0.04, 0.05, 0.88, 202, 12, 22, 15),
        ],
        limbs={
            "left_ankle": [
                *_into(LEFT_STANCE),
                (0.18, "mat", *LEFT_STANCE, 0),
                (0.38, "mat", 0.14, -0.12, 0),
                (0.90, "mat", 0.14, -0.12, 0),
                (1.06, "mat", 0.16, -0.06, 0),
            ],
            "right_ankle": [
                *_into(RIGHT_STANCE, late=True),
                (0.04, "mat", *RIGHT_STANCE, 0),
                (0.22, "mat", 0.06, 0.30, 0),
                (0.86, "mat", 0.06, 0.30, 0),
                (1.02, "mat", -0.12, 0.22, 0),
            ],
            "left_wrist": [*_sleeve(), (END, "his right elbow", 0, 0, 0.04)],
            "right_wrist": [
                *_lapel(),
                (0.06, "his chest", *LAPEL),
                (0.30, "his hips", -0.14, -0.02, 0.16),
                (0.74, "his hips", -0.14, 0.0, 0.16),
                (0.92, "his chest", 0.14, 0.0, 0.10),
                (1.10, "chest", 0.30, -0.14, 0.05),
            ],
        },
    )
    uke = Part(
        azimuth=250,
        trunk=[
            (0.00, 0.38, 0.00, 0.87, 180, 0, 12, 0),
            (0.20, 0.36, 0.02, 0.89, 180, 2, 8, -5),
            (0.36, 0.34, 0.05, 0.91, 182, 10, 6, -5),
            (0.48, 0.31, 0.10, 0.99, 192, 44, 8, -5),
            (0.59, 0.16, 0.14, 1.10, 232, 82, 16, 5),
            (0.70, -0.12, 0.12, 1.05, 285, 100, 16, 20),
            (0.80, -0.36, 0.08, 0.76, 345, 106, 14, 30),
            (0.90, -0.54, 0.04, 0.36, 405, 100, 16, 35),
            (0.97, -0.60, 0.02, 0.14, 428, 92, 16, 35),
            (END, -0.62, 0.02, 0.12, 430, 86, 30, 25),
        ],
        limbs={
            "left_ankle": [
                *_into(LEFT_STANCE, -1),
                (0.46, "mat", *_mirror(LEFT_STANCE), 0),
                (0.60, "hips", -0.08, 0.20, -0.78),
                (0.80, "hips", 0.22, 0.26, -0.72),
                (0.98, "hips", 0.34, 0.22, -0.64),
                (END, "hips", 0.20, 0.20, -0.56),
            ],
            "right_ankle": [
                *_into(RIGHT_STANCE, -1, late=True),
                (0.42, "mat", *_mirror(RIGHT_STANCE), 0),
                (0.58, "hips", 0.06, -0.20, -0.76),
                (0.80, "hips", 0.10, -0.20, -0.78),
                (1.00, "hips", 0.22, -0.16, -0.70),
                (END, "hips", 0.14, -0.18, -0.62),
            ],
            "left_wrist": _slap(0.40, 0.92, "left"),
            "right_wrist": [
                *_lapel(),
                (0.20, "his chest", *LAPEL),
                (0.40, "his chest", 0.30, 0.20, 0.22),
                (0.80, "his chest", 0.34, 0.16, 0.16),
                (1.0, "chest", 0.42, -0.12, 0.30),
            ],
        },
    )
    return tori, uke


def masutemi() -> tuple[Part, Part]:
    """Tomoe-nage: tori rolls on his back, a foot in uke's belly, and sends him over his head."""
    tori = Part(
        azimuth=180,
        trunk=[
            (0.00, -0.38, 0.00, 0.87, 0, -6, 10, 0),
            (0.18, -0.26, -0.02, 0.84, 0, 6, 4, 0),
            (0.34, -0.04, -0.04, 0.50, 0, 32, 12, 10),
            (0.46, 0.08, -0.04, 0.16, 0, 60, 24, 25),
            (0.58, 0.10, 0.00, 0.12, 0, 88, 18, 25),
            (0.74, 0.08, 0.00, 0.14, 0, 98, 12, 10),
            (0.90, 0.06, 0.00, 0.12, 0, 92, 14, 10),
            (END, 0.06, 0.00, 0.12, 0, 84, 30, 25),
        ],
        limbs={
            "left_ankle": [
                *_into(LEFT_STANCE),
                (0.04, "mat", *LEFT_STANCE, 0),
                (0.22, "mat", 0.32, 0.10, 0),
                (0.60, "mat", 0.36, 0.14, 0),
                (0.80, "mat", 0.52, 0.18, 0),
            ],
            "right_ankle": [
                *_into(RIGHT_STANCE, late=True),
                (0.16, "mat", *RIGHT_STANCE, 0),
                (0.34, "his hips", 0.20, 0.0, 0.06),
                (0.72, "his hips", 0.16, 0.0, 0.04),
                (0.86, "hips", 0.74, -0.06, -0.14),
                (1.05, "mat", 0.50, -0.16, 0.05),
                (END, "mat", 0.44, -0.16, 0),
            ],
            "left_wrist": [
                *_sleeve(),
                (0.78, "his right elbow", 0, 0, 0),
                (1.02, "chest", 0.34, 0.22, 0.30),
                (END, "chest", 0.26, 0.25, 0.12),
            ],
            "right_wrist": [
                *_lapel(),
                (0.72, "his chest", *LAPEL),
                (1.02, "chest", 0.34, -0.20, 0.34),
                (END, "chest", 0.26, -0.25, 0.12),
            ],
        },
    )
    uke = Part(
        azimuth=180,
        trunk=[
            (0.00, 0.38, 0.00, 0.87, 180, 6, 10, 0),
            (0.20, 0.39, 0.02, 0.87, 180, 9, 6, -5),
            (0.36, 0.46, 0.06, 0.85, 180, 26, 10, 0),
            (0.48, 0.40, 0.06, 0.84, 180, 60, 20, 5),
            (0.58, 0.14, 0.07, 0.92, 180, 98, 22, 20),
            (0.68, -0.27, 0.12, 1.00, 180, 142, 22, 25),
            (0.78, -0.70, 0.18, 0.88, 180, 190, 24, 35),
            (0.88, -1.06, 0.24, 0.50, 180, 236, 22, 40),
            (0.97, -1.28, 0.26, 0.14, 180, 266, 16, 35),
            (END, -1.32, 0.26, 0.12, 180, 264, 30, 25),
        ],
        limbs={
            "left_ankle": [
                *_into(LEFT_STANCE, -1),
                (0.20, "mat", *_mirror(LEFT_STANCE), 0),
                (0.36, "mat", 0.62, -0.16, 0),
                (0.44, "mat", 0.62, -0.16, 0),
                (0.64, "hips", -0.12, 0.20, -0.76),
                (0.80, "hips", 0.30, 0.24, -0.62),
                (0.98, "hips", 0.32, 0.18, -0.66),
                (END, "hips", 0.18, 0.18, -0.58),
            ],
            "right_ankle": [
                *_into(RIGHT_STANCE, -1, late=True),
                (0.30, "mat", *_mirror(RIGHT_STANCE), 0),
                (0.42, "mat", 0.58, 0.18, 0),
                (0.46, "mat", 0.58, 0.18, 0),
                (0.67, "hips", -0.18, -0.20, -0.68),
                (0.80, "hips", 0.36, -0.22, -0.60),
                (1.00, "hips", 0.26, -0.16, -0.70),
                (END, "hips", 0.14, -0.18, -0.60),
            ],
            "left_wrist": _slap(0.78, 0.95, "left"),
            "right_wrist": [
                *_lapel(),
                (0.74, "his chest", *LAPEL),
                *_slap(0.80, 0.96, "right")[-2:],
            ],
        },
    )
    return tori, uke


def yoko_sutemi() -> tuple[Part, Part]:
    """Yoko-otoshi: tori drops on his side, leg across, and uke rolls sideways over it."""
    tori = Part(
        azimuth=112,
        trunk=[
            (0.00, -0.38, 0.00, 0.87, 0, 2, 10, 0),
            (0.20, -0.34, 0.10, 0.84, 4, 8, 8, 0),
            (0.36, -0.24, 0.22, 0.60, 4, 28, 6, 5),
            (0.50, -0.16, 0.30, 0.22, -4, 62, 4, 10),
            (0.60, -0.14, 0.34, 0.13, -14, 86, 2, 10),
            (0.78, -0.14, 0.36, 0.14, -30, 92, 2, 5),
            (1.00, -0.14, 0.36, 0.13, -20, 90, 8, 5),
            (END, -0.14, 0.36, 0.13, -4, 82, 20, 15),
        ],
        limbs={
            "left_ankle": [
                *_into(LEFT_STANCE),
                (0.10, "mat", *LEFT_STANCE, 0),
                (0.34, "mat", 0.30, 0.36, 0),
                (0.50, "mat", 0.58, 0.22, 0),
                (0.95, "mat", 0.58, 0.20, 0),
                (END, "mat", 0.40, 0.10, 0),
            ],
            "right_ankle": [
                *_into(RIGHT_STANCE, late=True),
                (0.34, "mat", *RIGHT_STANCE, 0),
                (0.54, "mat", -0.34, -0.26, 0),
                (0.70, "mat", -0.12, -0.34, 0.10),
                (1.00, "mat", 0.12, -0.32, 0),
            ],
            "left_wrist": [
                *_sleeve(),
                (0.90, "his right elbow", 0, 0, 0),
                (1.05, "chest", 0.36, 0.16, 0.30),
            ],
            "right_wrist": [
                *_lapel(),
                (0.84, "his chest", *LAPEL),
                (1.04, "chest", 0.36, -0.10, 0.26),
                (END, "chest", 0.28, -0.20, 0.10),
            ],
        },
    )
    uke = Part(
        azimuth=95,
        trunk=[
            (0.00, 0.38, 0.00, 0.87, 180, 0, 14, 0),
            (0.22, 0.37, 0.04, 0.88, 178, 10, 16, 0),
            (0.40, 0.35, 0.14, 0.84, 172, 36, 20, 5),
            (0.52, 0.34, 0.28, 0.76, 164, 74, 22, 15),
            (0.64, 0.34, 0.52, 0.72, 150, 128, 24, 30),
            (0.76, 0.34, 0.84, 0.62, 130, 182, 24, 38),
            (0.87, 0.34, 1.12, 0.36, 110, 232, 20, 38),
            (0.96, 0.34, 1.26, 0.13, 98, 266, 16, 35),
            (END, 0.34, 1.30, 0.12, 95, 264, 30, 25),
        ],
        limbs={
            "left_ankle": [
                *_into(LEFT_STANCE, -1),
                (0.40, "mat", *_mirror(LEFT_STANCE), 0),
                (0.56, "hips", 0.16, 0.36, -0.66),
                (0.76, "hips", 0.36, 0.26, -0.50),
                (0.96, "hips", 0.30, 0.22, -0.66),
                (END, "hips", 0.18, 0.18, -0.58),
            ],
            "right_ankle": [
                *_into(RIGHT_STANCE, -1, late=True),
                (0.48, "mat", *_mirror(RIGHT_STANCE), 0),
                (0.64, "hips", 0.20, -0.06, -0.70),
                (0.80, "hips", 0.34, -0.12, -0.56),
                (0.98, "hips", 0.26, -0.16, -0.68),
                (END, "hips", 0.14, -0.18, -0.60),
            ],
            "left_wrist": _slap(0.56, 0.92, "left"),
            "right_wrist": [
                *_lapel(),
                (0.60, "his chest", *LAPEL),
                (0.90, "chest", 0.40, -0.12, 0.26),
            ],
        },
    )
    return tori, uke


THROWS = {
    "ashi": ashi,
    "te": te,
    "koshi": koshi,
    "masutemi": masutemi,
    "yoko-sutemi": yoko_sutemi,
}
"""Class name -> the parts of tori and uke."""


def varied(parts: tuple[Part, Part], rng: np.random.Generator) -> tuple[Part, Part]:
    """The same throw as another pair would do it: they come from elsewhere, keys differ."""
    walk = rng.uniform(0.05, 0.24) * np.array([np.cos(a := rng.uniform(0, 2 * np.pi)), np.sin(a)])
    out = []
    for part in parts:
        first = np.array(part.trunk[0])
        apart = np.array([np.sign(first[1]) * rng.uniform(0.0, 0.10), 0])
        start = first.copy()
        start[0] = START
        start[1:3] += walk + apart
        middle = (first + start) / 2
        middle[0], middle[3] = START / 2, first[3] - 0.02
        rows = np.array([start, middle, *part.trunk])
        rows[3:-2, 1:] += rng.normal(0, 1, rows[3:-2, 1:].shape) * [0.015, 0.015, 0.012, 4, 3, 4, 5]
        limbs = {
            limb: [
                (k[0], k[1], k[2] + walk[0] + apart[0], k[3] + walk[1], k[4])
                if i == 0 and k[1] == "mat"
                else (k[0], k[1], *(np.array(k[2:]) + _scatter(k, rng)))
                for i, k in enumerate(keys)
            ]
            for limb, keys in part.limbs.items()
        }
        out.append(replace(part, trunk=[tuple(r) for r in rows], limbs=limbs))
    return out[0], out[1]


def _scatter(key: Key, rng: np.random.Generator) -> np.ndarray:
    """Centimetres by which a key differs from pair to pair; planted feet stay planted."""
    planted = key[1] == "mat" and (key[4] == 0 or key[0] < 0.3)
    return np.zeros(3) if planted else rng.normal(0, 0.012, 3)


def _mirror(stance: tuple[float, float]) -> tuple[float, float]:
    return -stance[0], -stance[1]


def _into(stance: tuple[float, float], sign: int = 1, late: bool = False) -> list[Key]:
    """A step into the stance; `sign` -1 for uke, who stands opposite. START places are moved."""
    x, y = stance[0] * sign, stance[1] * sign
    begin, end = (-0.11, -0.01) if late else (START, -0.11)
    return [(begin, "mat", x, y, 0), (end, "mat", x, y, 0)]


def _sleeve() -> list[Key]:
    """Left hand: from before the own chest to the partner's right sleeve, and hold it."""
    return [(START, "chest", 0.30, 0.20, 0.10), (-0.10, "his right elbow", 0, 0, 0)]


def _lapel() -> list[Key]:
    """Right hand: from before the own chest to the partner's lapel."""
    return [(START, "chest", 0.34, -0.14, 0.16), (-0.06, "his chest", *LAPEL)]


def _slap(release: float, land: float, side: str) -> list[Key]:
    """A hand that lets go, and strikes the mat to break the fall."""
    sign = 1 if side == "left" else -1
    begin = _sleeve() if side == "left" else _lapel()
    hold = (release, *begin[-1][1:])
    return [*begin, hold, (release + 0.6 * (land - release), "chest", 0.25, 0.40 * sign, 0.35),
            (land, "chest", 0.02, 0.55 * sign, 0.12)]  # fmt: skip
