r"""The variance that the heuristic gives one Gaussian expert, exactly.

For one Gaussian expert N(0, v_0) under the power beta everything is exact. With v = v_0 + sigma^2 and v_T at the top, the
heuristic dx = -beta x/v dv + dW started from N(0, v_T/beta) ends with the variance

    V = v_0/(2 beta - 1) + (v_T/beta - v_T/(2 beta - 1)) (v_0/v_T)^{2 beta}        (beta = 1/2: v_0 (2 + log v_T/v_0))

in place of v_0/beta: too cold above beta = 1, too hot below.

V is derived here; the corrected sampler is that of paper 037.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from compute.diffusion_samplers.feynman_kac_correctors.particles import Array, Beta, Particles, Steps, TopRatio
from compute.experiment import Result, experiment
from compute.methods import feynman_kac as fk
from compute.models.gaussian_mixture import GaussianMixture
from compute.parameters import Seed


def heuristic_variance(beta: Array, ratio: Array) -> Array:
    """V/v_0 of the heuristic for one Gaussian expert, sigma_max = ratio sqrt(v_0)."""
    beta, v_top = np.asarray(beta, dtype=float), 1 + np.square(ratio)
    p = 2 * beta - 1
    # (1 - q^p)/p with q = v_0/v_T is smooth through p = 0, where it is log(v_T/v_0).
    log_q = -np.log(v_top)
    smooth = np.where(np.abs(p) < 1e-9, -log_q, -np.expm1(p * log_q) / np.where(np.abs(p) < 1e-9, 1.0, p))
    return smooth + np.exp(p * log_q) / beta


@dataclass(frozen=True)
class VarianceMap(Result):
    """Variance of the heuristic over the right one, and particles of both at one place."""

    beta: Array  # (n_beta,)
    ratio: Array  # (n_ratio,)
    excess: Array  # (n_ratio, n_beta) log2 of V/(v_0/beta)
    at: tuple[float, float]
    theory: float  # V/(v_0/beta) here
    simulated: float
    simulated_error: float
    corrected: float
    corrected_error: float

    def table(self) -> pl.DataFrame:
        beta, ratio = np.meshgrid(self.beta, self.ratio)
        return pl.DataFrame(
            {
                "beta": beta.ravel(),
                "sigma_max_over_width": ratio.ravel(),
                "variance_ratio": np.exp2(self.excess).ravel(),
                "log2_variance_ratio": self.excess.ravel(),
            }
        )

    def headline(self) -> dict[str, float | str]:
        return {
            "variance of the heuristic ÷ true, exact": self.theory,
            "by particles": self.simulated,
            "their gap (SE)": abs(self.simulated - self.theory) / self.simulated_error,
            "variance corrected ÷ true": self.corrected,
            "its gap to 1 (SE)": abs(self.corrected - 1) / self.corrected_error,
        }


@experiment
def variance_map(
    *, beta: Beta = 3.0, top_ratio: TopRatio = 30.0, particles: Particles = 1500, steps: Steps = 70, seed: Seed = 0
) -> VarianceMap:
    """V over v_0/beta for one Gaussian expert, exact, and particles of both samplers at the chosen place."""
    betas, ratios = np.linspace(0.2, 5.0, 97), np.geomspace(2, 100, 60)
    excess = np.log2(heuristic_variance(betas, ratios[:, None]) * betas)
    target = fk.Powers((GaussianMixture(np.ones(1), np.zeros((1, 1)), 1.0),), np.array([beta]))
    found: list[float] = []
    for weighted in (False, True):
        rng = np.random.default_rng([seed, int(weighted)])
        end = fk.last(fk.run(target, 1.0, top_ratio, steps, particles, rng, weighted=weighted))
        mean, error = end.mean(beta * end.x[:, 0] ** 2)
        found += [float(mean), float(error)]
    theory = float(beta * heuristic_variance(np.array(beta), np.array(top_ratio)))
    return VarianceMap(betas, ratios, excess, (beta, top_ratio), theory, *found)
