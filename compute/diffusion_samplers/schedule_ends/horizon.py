r"""How long to diffuse: what is lost by stopping early against what the score's error costs.

Forward dx = -x/2 dt + dW (beta = 1) for a time T, start law nu in the place of p_T, score off by an error of mean square e(t)^2.
The reverse SDE's law p satisfies

    KL(p_0 || p) <= KL(p_T || nu) + (1/2) int_0^T e(t)^2 dt,

prior gap plus score gap. For data N(m, 1), nu = N(0, 1) and e = eps: m^2 e^{-T}/2 + eps^2 T/2, least at T* = log(m^2/eps^2). A
constant error that points away from the mean then leaves a true error of (m e^{-T} + 2 eps (1 - e^{-T/2}))^2/2: the chain forgets
most of what the bound adds up.

References
----------
Paper 163 of the catalogue: the two gaps, the best time, and the auxiliary start.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from compute.experiment import Result, experiment
from compute.models.gaussian_mixture import GaussianMixture
from compute.parameters import Choice, LogReal, Real

Array = NDArray[np.float64]

SHAPES = ("one Gaussian", "two modes")
ERRORS = ("of the score", "of the noise prediction")
FIRST_TIME = 1e-3  # where the integral of a constant error of the noise prediction starts

DiffusionTime = Annotated[float, LogReal("diffusion time", "T", low=0.05, high=20.0, help="With β = 1.")]
ScoreError = Annotated[float, LogReal("score error", r"\varepsilon", low=0.01, high=0.5, help="Root mean square, at every time.")]
DataScale = Annotated[
    float, Real("data scale", "m", low=0.5, high=6.0, help="Mean of the Gaussian; modes at ±m, the upper with 70 percent.")
]
Shape = Annotated[str, Choice("data", options=SHAPES, help="N(m, 1), or two modes of width 0.5.")]
ErrorKind = Annotated[
    str,
    Choice("constant error", options=ERRORS, help="Of the score itself, or of σ times the score, which is larger near the data."),
]

NODES, NODE_WEIGHTS = np.polynomial.hermite_e.hermegauss(60)
NODE_WEIGHTS = NODE_WEIGHTS / NODE_WEIGHTS.sum()


def horizon_data(shape: str, scale: float) -> GaussianMixture:
    if shape == "one Gaussian":
        return GaussianMixture(np.ones(1), np.array([[scale]]), 1.0)
    return GaussianMixture(np.array([0.3, 0.7]), scale * np.array([[-1.0], [1.0]]), 0.5)


def diffused(data: GaussianMixture, time: float) -> GaussianMixture:
    """The law of x_t."""
    alpha = np.exp(-0.5 * time)
    return GaussianMixture(data.weights, alpha * data.means, float(np.sqrt(alpha**2 * data.width**2 - np.expm1(-time))))


def gap_to_normal(law: GaussianMixture, mean: float, std: float) -> float:
    """KL(law || N(mean, std^2)) in nats, by Gauss-Hermite in each component."""
    x = (law.means + law.width * NODES).reshape(-1, 1)
    other = -0.5 * ((x[:, 0] - mean) / std) ** 2 - np.log(std) - 0.5 * np.log(2 * np.pi)
    return float(max(law.weights @ (law.log_density(x) - other).reshape(law.n_components, -1) @ NODE_WEIGHTS, 0.0))


def score_gap(time: Array, error: float, kind: str) -> Array:
    """(1/2) int_0^T e(t)^2 dt, from ``FIRST_TIME`` on where the error is that of the noise prediction."""
    if kind == "of the score":
        return 0.5 * error**2 * time
    return 0.5 * error**2 * np.log(np.expm1(time) / np.expm1(FIRST_TIME))


@dataclass(frozen=True)
class HorizonCurve(Result):
    """Prior gap, score gap and their sum against the diffusion time, for three starts."""

    time: Array  # (n,)
    prior: dict[str, Array]  # by start, (n,) nats
    score: Array  # (n,) nats
    true_error: Array  # (n,) or empty: for one Gaussian under a constant error of the score
    best: dict[str, tuple[float, float]]  # by start, time and total there
    at_time: float
    at: float

    def table(self) -> pl.DataFrame:
        columns = {"diffusion_time": self.time, "score_gap_nats": self.score}
        for name, values in self.prior.items():
            columns |= {f"prior_gap_nats_{name}": values, f"total_nats_{name}": values + self.score}
        if self.true_error.size:
            columns["true_error_nats"] = self.true_error
        return pl.DataFrame(columns)

    def headline(self) -> dict[str, float | str]:
        return {
            f"total gap at T = {self.at_time:.3g} (nats)": self.at,
            "best time, start N(0, 1)": self.best["N(0, 1)"][0],
            "total there (nats)": self.best["N(0, 1)"][1],
            "best time, fitted Gaussian start": self.best["fitted Gaussian"][0],
            "total there, fitted Gaussian (nats)": self.best["fitted Gaussian"][1],
        }


@experiment
def horizon_curve(
    *,
    diffusion_time: DiffusionTime = 1.0,
    score_error: ScoreError = 0.1,
    data_scale: DataScale = 3.0,
    shape: Shape = "two modes",
    error_kind: ErrorKind = "of the score",
) -> HorizonCurve:
    """Prior gap and score gap against the diffusion time: exact for the start N(0, 1) and for a Gaussian fitted to p_T."""
    data = horizon_data(shape, data_scale)

    def prior_gaps(time: float) -> tuple[float, float]:
        law = diffused(data, time)
        return gap_to_normal(law, 0.0, 1.0), gap_to_normal(law, float(law.mean[0]), law.scale)

    time = np.geomspace(0.05, 20.0, 121)
    plain, fitted = np.array([prior_gaps(t) for t in time]).T
    prior = {"N(0, 1)": plain, "fitted Gaussian": fitted}
    score = score_gap(time, score_error, error_kind)
    best = {
        name: _lowest(
            lambda t, i=i: prior_gaps(t)[i] + float(score_gap(np.array(t), score_error, error_kind)),  # type: ignore[misc]
            time,
            values + score,
        )
        for i, (name, values) in enumerate(prior.items())
    }
    true_error = np.empty(0)
    if shape == "one Gaussian" and error_kind == "of the score":
        true_error = 0.5 * (data_scale * np.exp(-time) + 2 * score_error * -np.expm1(-0.5 * time)) ** 2
    here = prior_gaps(diffusion_time)[0] + float(score_gap(np.array(diffusion_time), score_error, error_kind))
    return HorizonCurve(time, prior, score, true_error, best, diffusion_time, here)


def _lowest(total: Callable[[float], float], time: Array, values: Array) -> tuple[float, float]:
    """The minimum of ``total``, sought beside the lowest of its ``values`` at ``time``."""
    k = int(values.argmin())
    if k in (0, time.size - 1):
        return float(time[k]), float(values[k])
    found = minimize_scalar(total, bounds=(time[k - 1], time[k + 1]), method="bounded", options={"xatol": 1e-6})
    return float(found.x), float(found.fun)
