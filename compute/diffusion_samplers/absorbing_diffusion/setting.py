r"""Parameters of the lab, and when each letter of a word is uncovered.

A letter is still visible at time t with probability a_t. Run backwards, over tau = 1 - t, a letter is uncovered before tau
with probability a_{1 - tau}, independently of all others and of the letters themselves: the times are known beforehand.
The sampler on a grid of n steps learns of them only at its steps; the first-hitting sampler (155) goes from one to the next.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from compute.parameters import Choice, Integer, LogInteger, Real

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

SCHEDULES = ("linear", "cosine")

Length = Annotated[int, LogInteger("word length", r"l", low=2, high=256, help="Letters of the word that is uncovered.")]
ShortLength = Annotated[int, Integer("length of short words", r"l", low=2, high=8, help="Words short enough to list them all.")]
States = Annotated[int, Integer("letters of the alphabet", r"V", low=2, high=7)]
Correlation = Annotated[float, Real("correlation", r"c", low=0.0, high=3.0, help="How much a letter tells of the next one.")]
Skew = Annotated[float, Real("skew of letters", r"z_l", low=0.0, high=2.0, help="Zipf exponent of the weights of the letters.")]
Zipf = Annotated[float, Real("Zipf exponent", r"z", low=0.5, high=2.0, help="How fast token weights fall with their rank.")]
Steps = Annotated[int, LogInteger("sampler steps", r"n", low=1, high=1_000_000, help="Equal steps in time, from all hidden.")]
Schedule = Annotated[
    str, Choice("schedule", options=SCHEDULES, help="Share of letters visible at time t: 1 - t, or 1 - sin(pi t/2).")
]


def visible(schedule: str, tau: Array) -> Array:
    """Share of letters visible at reverse time tau = 1 - t."""
    return tau if schedule == "linear" else 1 - np.cos(np.pi * tau / 2)


def uncovered_at(schedule: str, share: Array) -> Array:
    """Reverse time at which the share is visible; the inverse of ``visible``."""
    return share if schedule == "linear" else 2 / np.pi * np.arccos(1 - share)


def step_masses(schedule: str, n: int) -> Array:
    """(n,) probability that a letter is uncovered in each step of the grid."""
    masses = np.diff(visible(schedule, np.linspace(0.0, 1.0, n + 1)))
    return masses / masses.sum()


def grid_labels(schedule: str, n: int, shape: tuple[int, int], rng: np.random.Generator) -> Integers:
    """The step in which each letter of each word is uncovered, 0 to n - 1."""
    tau = uncovered_at(schedule, rng.random(shape))
    return np.minimum((tau * n).astype(np.int64), n - 1)


def first_hitting(schedule: str, shape: tuple[int, int], rng: np.random.Generator) -> tuple[Integers, Array]:
    """Orders and times of the first-hitting sampler.

    With m letters hidden the hidden share falls from h to h U^(1/m) until the next one appears, at a uniform position.

    Returns
    -------
    labels : (n_words, length) array of int
        The place of each letter in the order.
    times : (n_words, length) array
        Reverse time at which each letter appears.
    """
    left = np.arange(shape[1], 0, -1)
    hidden = np.asarray(np.cumprod(rng.random(shape) ** (1 / left), axis=1), dtype=np.float64)
    labels = np.argsort(rng.random(shape), axis=1)
    return labels, np.take_along_axis(uncovered_at(schedule, 1 - hidden), labels, axis=1)


def expected_evaluations(schedule: str, n: int, length: int) -> float:
    """Steps in which something is uncovered: sum_k 1 - (1 - q_k)^l; of the linear schedule n (1 - (1 - 1/n)^l) (249)."""
    return float(np.sum(-np.expm1(length * np.log1p(-step_masses(schedule, n))))) if n > 1 else 1.0
