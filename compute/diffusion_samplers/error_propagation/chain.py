r"""Error along the chain x_T -> ... -> x_0: what each step adds, what the next ones forget, what is left.

q is the exact law of the noised Gaussian data, p the model: its kernels are the exact reverse kernels but for a score that is
wrong by e = psi (gain s - bias), which moves their means by (b/a) e, a = alpha_t/alpha_{t-1}, b the noise added between.
The chain rule of KL on the pair (x_{t-1}, x_t), read in both directions, gives the exact budget

    cumulative_{t-1} = cumulative_t + modular_t - forgotten_t,
    modular_t    = E_p KL(p(x_{t-1} | x_t) || q(x_{t-1} | x_t)),
    forgotten_t  = E_p KL(p(x_t | x_{t-1}) || q(x_t | x_{t-1})) >= 0,      cumulative_t = KL(p(x_t) || q(x_t)).

References
----------
Paper 192 of the catalogue: modular and cumulative error. The term it leaves as an inequality is here the exact deficit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.diffusion_samplers.error_propagation.setting import (
    MEAN,
    PROFILES,
    Bias,
    Condition,
    Dimension,
    Family,
    Gain,
    Horizon,
    Profile,
    Steps,
    process_of,
    shape,
    times,
)
from compute.experiment import Result, experiment
from compute.models.forward_process import ForwardProcess
from compute.models.geometric_spectrum import geometric_spectrum

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Budget:
    """Errors along one chain, from x_T (first) to x_0 (last)."""

    time: Array  # (n_steps + 1,)
    cumulative: Array  # (n_steps + 1,) nats
    w2: Array  # (n_steps + 1,) W2 of p(x_t) to q(x_t), in units of x/alpha
    modular: Array  # (n_steps,) nats added in the step that ends at time[1:]
    forgotten: Array  # (n_steps,) nats

    @property
    def put_in(self) -> Array:
        """(n_steps + 1,) nats at the start and by all steps so far."""
        return self.cumulative[0] + np.concatenate([[0.0], np.cumsum(self.modular)])


def budget(
    process: ForwardProcess,
    horizon: float,
    steps: int,
    dimension: int,
    condition: float,
    bias: float,
    gain: float,
    profile: str,
    is_exact_start: bool = False,
) -> Budget:
    """Exact budget of the ancestral chain started from N(0, sigma_T^2 I), or from p_T itself."""
    eigenvalue, multiplicity = geometric_spectrum(dimension, condition)
    t = times(horizon, steps)
    alpha = process.alpha(t)
    v = alpha[:, None] ** 2 * eigenvalue + process.variance(t)[:, None]  # of q
    a = 1 / process.growth(t[:-1], t[1:])
    b = process.noise_between(t[:-1], t[1:])
    psi = shape(profile, t, horizon)
    mean, variance = np.empty_like(v), np.empty_like(v)  # of p
    mean[0], variance[0] = (alpha[0] * MEAN, v[0]) if is_exact_start else (0.0, process.variance(t)[0])
    modular, forgotten = np.empty(steps), np.empty(steps)
    for k in range(steps):
        tau = v[k + 1] * b[k] / v[k]  # variance of both reverse kernels
        exact = a[k] * v[k + 1] / v[k]
        # The exact mean is alpha' MEAN + exact (x - alpha MEAN); the model's is beside it by tilt (x - alpha MEAN) + push.
        tilt, push = -b[k] / a[k] * gain * psi[k] / v[k], -b[k] / a[k] * bias * psi[k]
        off = mean[k] - alpha[k] * MEAN
        modular[k] = np.sum(multiplicity * (tilt**2 * variance[k] + (tilt * off + push) ** 2) / (2 * tau))
        total = exact + tilt
        mean[k + 1] = alpha[k + 1] * MEAN + total * off + push
        variance[k + 1] = total**2 * variance[k] + tau
        # The model's own forward kernel, by Bayes: slope and variance; q's are a and b.
        slope, spread = total * variance[k] / variance[k + 1], variance[k] * tau / variance[k + 1]
        gap = (slope - a[k]) ** 2 * variance[k + 1] + (mean[k] - a[k] * mean[k + 1]) ** 2
        forgotten[k] = 0.5 * np.sum(multiplicity * (_excess(spread / b[k]) + gap / b[k]))
    off = mean - alpha[:, None] * MEAN
    cumulative = 0.5 * (_excess(variance / v) + off**2 / v) @ multiplicity
    w2 = np.sqrt((off**2 + (np.sqrt(variance) - np.sqrt(v)) ** 2) @ multiplicity) / alpha
    return Budget(t, cumulative, w2, modular, forgotten)


def _excess(ratio: Array) -> Array:
    """r - 1 - log r >= 0, without cancellation near 1."""
    return ratio - 1 - np.log1p(ratio - 1)


@dataclass(frozen=True)
class Propagation(Result):
    """Errors along the chain for the chosen profile, and the cumulative error of each profile."""

    chosen: Budget
    cumulative: dict[str, Array]  # by profile, (n_steps + 1,)
    w2: dict[str, Array]  # by profile, (n_steps + 1,)
    profile: str

    def table(self) -> pl.DataFrame:
        one = self.chosen
        columns: dict[str, Array] = {
            "time": one.time,
            "cumulative_error_nats": one.cumulative,
            "put_in_nats": one.put_in,
            "forgotten_nats": one.put_in - one.cumulative,
            "modular_error_nats": np.append(0.0, one.modular),
        }
        columns |= {f"cumulative_error_nats_{name}": values for name, values in self.cumulative.items()}
        columns |= {f"w2_{name}": values for name, values in self.w2.items()}
        return pl.DataFrame(columns)

    def headline(self) -> dict[str, float | str]:
        one = self.chosen
        put_in = float(one.put_in[-1])
        return {
            "error put in (nats)": put_in,
            "left at the end (nats)": float(one.cumulative[-1]),
            "share forgotten": 1 - float(one.cumulative[-1]) / put_in if put_in > 1e-14 else "nothing to forget",
            "W₂ at the end": float(one.w2[-1]),
            "most W₂ on the way (in units of x/α)": float(one.w2.max()),
        }


@experiment
def propagation(
    *,
    family: Family = "VP constant",
    horizon: Horizon = 4.0,
    steps: Steps = 50,
    dimension: Dimension = 10,
    condition: Condition = 4.0,
    bias: Bias = 0.1,
    gain: Gain = 0.0,
    profile: Profile = "uniform",
) -> Propagation:
    """Modular, forgotten and cumulative error of the ancestral chain on Gaussian data, exact.

    The chain starts from p_T itself, so that the score is the only thing wrong.
    """
    process = process_of(family)
    found = {p: budget(process, horizon, steps, dimension, condition, bias, gain, p, is_exact_start=True) for p in PROFILES}
    return Propagation(found[profile], {p: f.cumulative for p, f in found.items()}, {p: f.w2 for p, f in found.items()}, profile)
