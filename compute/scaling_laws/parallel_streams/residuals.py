"""Why streams help less than an ensemble: the mean of P predictors whose errors are correlated, simulated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.stats import norm

from compute.experiment import Result, experiment
from compute.parameters import LogInteger, Seed
from compute.scaling_laws.parallel_streams.law import STREAMS, Correlation, Streams, variance_factor

Array = NDArray[np.float64]

Draws = Annotated[int, LogInteger("draws", "R", low=1000, high=100_000)]


@dataclass(frozen=True)
class Residuals(Result):
    """Errors of one predictor and of the mean of P, simulated over their normal laws."""

    center: Array  # (n_bins,)
    one: Array  # (n_bins,) density of one predictor's errors
    mean: Array  # (n_bins,) density of the mean's
    one_theory: Array  # (n_bins,)
    mean_theory: Array  # (n_bins,)
    streams: Array  # (n_streams,)
    variance: Array  # (n_streams,) of the mean of the first p
    standard_error: Array  # (n_streams,)
    variance_theory: Array  # (n_streams,)
    many: Array  # (n_curve,) streams of the theory's curve
    many_theory: Array  # (n_curve,)
    at_streams: int
    correlation: float

    def table(self) -> pl.DataFrame:
        density = pl.DataFrame(
            {
                "error": self.center,
                "density_one": self.one,
                "density_mean_of_P": self.mean,
                "normal_one": self.one_theory,
                "normal_mean_of_P": self.mean_theory,
            }
        )
        variance = pl.DataFrame(
            {"P": self.streams, "variance": self.variance, "standard_error": self.standard_error, "theory": self.variance_theory}
        )
        curve = pl.DataFrame({"P": self.many, "theory": self.many_theory})
        return pl.concat([density, variance, curve], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        score = np.abs(self.variance - self.variance_theory) / self.standard_error
        return {
            "variance of the mean, theory": float(variance_factor(self.at_streams, self.correlation)),
            "left however many streams": self.correlation,
            "worth in independent predictors": 1 / float(variance_factor(self.at_streams, self.correlation)),
            "largest gap to simulation, SE": float(score.max()),
        }


@experiment
def residuals(*, streams: Streams = 8, correlation: Correlation = 0.88, draws: Draws = 20_000, seed: Seed = 0) -> Residuals:
    """Draw P unit errors with correlation rho, sqrt(rho) z_0 + sqrt(1 - rho) z_i, and average them.

    The variance of the mean is (1 + (P - 1) rho)/P, which falls to rho and no further.
    """
    rng = np.random.default_rng(seed)
    shared = np.sqrt(correlation) * rng.standard_normal(draws)
    total, first, mean = np.zeros(draws), np.empty(0), np.empty(0)
    found = []
    for p in range(1, STREAMS[-1] + 1):
        total += rng.standard_normal(draws)
        if p in STREAMS or p == streams:
            average = shared + np.sqrt(1 - correlation) * total / p
            if p == 1:
                first = average
            if p == streams:
                mean = average
            if p in STREAMS:
                found.append(float(np.mean(average**2)))
    edges = np.linspace(-3.5, 3.5, 57)
    center, width = 0.5 * (edges[1:] + edges[:-1]), edges[1] - edges[0]
    many = np.geomspace(1, STREAMS[-1], 60)
    shown = np.array(STREAMS, dtype=float)
    theory = variance_factor(shown, correlation)
    return Residuals(
        center,
        np.histogram(first, edges)[0] / (draws * width),
        np.histogram(mean, edges)[0] / (draws * width),
        norm.pdf(center),
        norm.pdf(center, scale=np.sqrt(variance_factor(streams, correlation))),
        shown,
        np.array(found),
        theory * np.sqrt(2 / draws),  # the mean is known to be zero
        theory,
        many,
        variance_factor(many, correlation),
        streams,
        correlation,
    )
