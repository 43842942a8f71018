r"""Words uncovered letter by letter: the sampler on a grid against first hitting, and the exact error of either."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.diffusion_samplers.absorbing_diffusion.block_laws import BlockLaws
from compute.diffusion_samplers.absorbing_diffusion.setting import (
    SCHEDULES,
    Correlation,
    Length,
    Schedule,
    ShortLength,
    Skew,
    States,
    Steps,
    expected_evaluations,
    first_hitting,
    grid_labels,
    step_masses,
)
from compute.experiment import Result, experiment
from compute.models.token_chain import TokenChain
from compute.parameters import ParameterError, Seed

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

N_LETTERS = 8192  # drawn for the averages of the raster
N_WORDS = 2000  # at each point of the curves
CURVE_STEPS = np.unique(np.rint(np.geomspace(1, 500, 28)).astype(np.int64))
SIMULATED_STEPS = np.array([1, 2, 4, 8, 16, 64, 256])
LARGEST_GRID = 10_000  # beyond it the exact error is its own limit, c/n
MAX_WORK = 2e8  # of the sums over partitions, (3V + 1)^l


@dataclass(frozen=True)
class Raster(Result):
    """One word by each sampler, letter by letter, and averages over many."""

    n_tokens: int
    tokens: Integers  # (2, length) of the word shown: grid, first hitting
    times: Array  # (2, length) reverse time at which a letter appears; on the grid, the beginning of its step
    crowd: Integers  # (2, length) letters that appear in the same evaluation, itself included
    used: Integers  # (2,) evaluations for the word shown
    evaluations: tuple[float, float, float]  # on the grid: simulated, its standard error, exact
    lost: tuple[float, float]  # on the grid: nats per word that products ignore, and standard error
    lost_first: float  # the same by first hitting; zero by the chain rule
    surprise: Array  # (2, 2) -log p0 of a letter in nats, mean and standard error
    entropy: float  # the same of exact words

    def table(self) -> pl.DataFrame:
        length = self.tokens.shape[1]
        return pl.DataFrame(
            {
                "sampler": ["grid"] * length + ["first hitting"] * length,
                "position": np.tile(np.arange(1, length + 1), 2),
                "reverse_time": self.times.ravel(),
                "token": self.tokens.ravel(),
                "letters_at_once": self.crowd.ravel(),
            }
        )

    def headline(self) -> dict[str, float | str]:
        simulated, error, exact = self.evaluations
        return {
            "evaluations on the grid": exact,
            "simulated − exact, SE": (simulated - exact) / error if error > 0 else 0.0,
            "evaluations, first hitting": float(self.tokens.shape[1]),
            "grid: nats lost per word": self.lost[0],
            "first hitting: nats lost": self.lost_first,
        }


@experiment
def raster(
    *,
    length: Length = 64,
    steps: Steps = 8,
    states: States = 4,
    correlation: Correlation = 2.5,
    skew: Skew = 0.4,
    schedule: Schedule = "linear",
    seed: Seed = 0,
) -> Raster:
    r"""Uncover a word on a grid of n steps, and by first hitting.

    Letters uncovered in one evaluation are drawn independently of each other. What that loses, in nats per word, is their
    total correlation E[log q(x | blocks) - log p0(x)], which bounds KL(q | p0) from above. First hitting (155) uncovers
    one letter an evaluation and loses nothing. Evaluations on a grid count the steps that change something (249).
    """
    rng = np.random.default_rng(seed)
    chain = TokenChain(states, length, correlation, skew)
    n_words = max(4, N_LETTERS // length)
    labels = grid_labels(schedule, steps, (n_words, length), rng)
    order, hits = first_hitting(schedule, (n_words, length), rng)
    means, gaps, words = [], [], []
    for each in (labels, order):
        drawn, log_drawn = chain.draw(each, rng)
        log_p = chain.log_probability(drawn)
        words.append(drawn[0])
        gaps.append(_mean(log_drawn - log_p))
        means.append(_mean(-log_p / length))
    mean, error = _evaluations(labels)
    _, block, size = np.unique(labels[0], return_inverse=True, return_counts=True)
    return Raster(
        n_tokens=states,
        tokens=np.array(words),
        times=np.array([labels[0] / steps, hits[0]]),
        crowd=np.array([size[block], np.ones(length, dtype=np.int64)]),
        used=np.array([size.size, length]),
        evaluations=(mean, error, expected_evaluations(schedule, steps, length)),
        lost=gaps[0],
        lost_first=abs(gaps[1][0]),
        surprise=np.array(means),
        entropy=chain.entropy / length,
    )


def _mean(values: Array) -> tuple[float, float]:
    """With its standard error."""
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(values.size))


def _evaluations(labels: Integers) -> tuple[float, float]:
    """Mean number of different steps in a word's row, with its standard error."""
    return _mean(1.0 + np.count_nonzero(np.diff(np.sort(labels, axis=1), axis=1), axis=1))


@dataclass(frozen=True)
class StepsCurve(Result):
    """Error and cost of words against the steps of the grid."""

    length: int
    n: Integers  # (n_points,)
    tv: dict[str, Array]  # by schedule, (n_points,) total variation from the data
    kl: dict[str, Array]  # by schedule, (n_points,) KL(data | output), nats
    evaluations: dict[str, Array]  # by schedule, (n_points,)
    surprise: Array  # (n_points,) mean -log p0 of an output word under the chosen schedule, nats
    entropy: float  # the same of exact words
    schedule: str
    simulated_n: Integers  # (n_simulated,)
    simulated: Array  # (n_simulated,) of surprise
    simulated_error: Array  # (n_simulated,)
    used: Array  # (n_simulated,) evaluations
    used_error: Array  # (n_simulated,)
    limit: float  # c of TV = c/n
    steps: int
    tv_here: float

    def table(self) -> pl.DataFrame:
        curves = [
            pl.DataFrame({"schedule": name, "steps": self.n})
            .with_columns(
                total_variation=pl.Series(self.tv[name]),
                kl_nats=pl.Series(self.kl[name]),
                evaluations=pl.Series(self.evaluations[name]),
                minus_log_p_nats=pl.Series(self.surprise if name == self.schedule else [None] * self.n.size, dtype=pl.Float64),
            )
            .with_columns(limit_law=self.limit / pl.col("steps"))
            for name in self.tv
        ]
        simulated = pl.DataFrame(
            {
                "schedule": self.schedule,
                "steps": self.simulated_n,
                "simulated_minus_log_p_nats": self.simulated,
                "simulated_minus_log_p_standard_error": self.simulated_error,
                "simulated_evaluations": self.used,
                "simulated_evaluations_standard_error": self.used_error,
            }
        )
        return pl.concat([*curves, simulated], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        at = np.searchsorted(self.n, self.simulated_n)
        # Points stand at steps of their own; the theory is read off the curve where both are on it.
        both = np.isin(self.simulated_n, self.n)
        gap = (self.simulated - self.surprise[np.minimum(at, self.n.size - 1)])[both] / self.simulated_error[both]
        return {
            f"TV at {self.steps} steps": self.tv_here,
            "TV × steps, many steps": self.limit,
            "slope of log TV, last decade": _slope(self.n, self.tv[self.schedule]),
            "first hitting": f"exact after {self.length} evaluations",
            "simulation − theory, worst, SE": float(np.max(np.abs(gap))),
        }


def _slope(n: Integers, tv: Array) -> float:
    """Of log TV in log n over the last decade; 0 where nothing is left to lose."""
    last = n >= 0.1 * n[-1]
    if tv[last].min() < 1e-12:
        return 0.0
    return float(np.polyfit(np.log(n[last]), np.log(tv[last]), 1)[0])


@experiment
def steps_curve(
    *,
    short_length: ShortLength = 6,
    states: States = 4,
    correlation: Correlation = 2.5,
    skew: Skew = 0.4,
    steps: Steps = 8,
    schedule: Schedule = "linear",
    seed: Seed = 0,
) -> StepsCurve:
    r"""Exact law of short words uncovered on a grid, for every number of steps.

    Lines are exact (``block_laws``): total variation and KL from the data, and -log p0 of a sampled word. Points simulate
    the sampler. As n grows two letters meet in a step with probability of order 1/n, and TV = c/n.

    Raises
    ------
    ParameterError
        Where the words are too many to list.
    """
    if (3 * states + 1) ** short_length > MAX_WORK:
        most = int(np.log(MAX_WORK) / np.log(3 * states + 1))
        raise ParameterError("short_length", f"lists all words; with {states} letters they may have at most {most}.")
    rng = np.random.default_rng(seed)
    chain = TokenChain(states, short_length, correlation, skew)
    blocks = BlockLaws(chain)
    p = chain.table().ravel()
    log_p = np.log(p)
    tv, kl, evaluations = {}, {}, {}
    surprise = np.empty(0)
    for name in SCHEDULES:
        laws = np.array([blocks.law(step_masses(name, int(n))) for n in CURVE_STEPS])
        tv[name] = 0.5 * np.abs(laws - p).sum(axis=1)
        kl[name] = np.maximum((p * (log_p - np.log(laws))).sum(axis=1), 0.0)
        evaluations[name] = np.array([expected_evaluations(name, int(n), short_length) for n in CURVE_STEPS])
        if name == schedule:
            surprise = -laws @ log_p
    simulated, used = [], []
    for n in SIMULATED_STEPS:
        labels = grid_labels(schedule, int(n), (N_WORDS, short_length), rng)
        words, _ = chain.draw(labels, rng)
        simulated.append(_mean(-chain.log_probability(words)))
        used.append(_evaluations(labels))
    largest = 0.5 * float(np.abs(blocks.law(step_masses(schedule, LARGEST_GRID)) - p).sum())
    limit = largest * LARGEST_GRID
    exact = min(steps, LARGEST_GRID)
    here = 0.5 * float(np.abs(blocks.law(step_masses(schedule, exact)) - p).sum()) * exact / steps
    return StepsCurve(
        length=short_length,
        n=CURVE_STEPS,
        tv=tv,
        kl=kl,
        evaluations=evaluations,
        surprise=surprise,
        entropy=chain.entropy,
        schedule=schedule,
        simulated_n=SIMULATED_STEPS,
        simulated=np.array([m for m, _ in simulated]),
        simulated_error=np.array([s for _, s in simulated]),
        used=np.array([m for m, _ in used]),
        used_error=np.array([s for _, s in used]),
        limit=limit,
        steps=steps,
        tv_here=here,
    )
