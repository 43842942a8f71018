"""Noise through auxiliary coordinates (paper 197): distance to the data and bits, and a process learned for its budget."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import ndtri
from scipy.stats import qmc

from compute.diffusion_samplers.linear_forward_processes.process import (
    Auxiliary,
    Beta,
    Damping,
    Horizon,
    Nfe,
    ScoreError,
    chain,
    damped,
    divergence_to_normal,
    reverse_flow,
    third_order,
    variance_preserving,
)
from compute.experiment import Result, experiment
from compute.methods.distance_to_target import Target
from compute.models.diffusion_setting import mixture_of, target_of
from compute.models.gaussian_mixture import GaussianMixture
from compute.models.linear_sde import LiftedMixture, LinearSde
from compute.parameters import Seed

Array = NDArray[np.float64]

DATA, SEPARATION = "three_modes_1d", 2.0
BUDGETS = (7, 11, 17, 27, 43, 69, 111, 179)
N_PARTICLES, N_LEARNING, N_TUNING, N_TRIALS = 512, 128, 40, 160
TUNED = "VP, tuned rate"
LARGEST = 5.0  # of a learned coupling or friction


def normal_points(n: int, k: int, seed: int) -> Array:
    """(n, k) scrambled Sobol points of N(0, I): a start whose own fluctuations are far below those of random points."""
    return np.asarray(ndtri(np.clip(qmc.Sobol(k, seed=seed).random(n), 1e-12, 1 - 1e-12)), dtype=np.float64)


def lifted(sde: LinearSde, data: GaussianMixture) -> LiftedMixture:
    """Data on the line, each auxiliary starting at its stationary N(0, 1)."""
    return LiftedMixture.of_data(sde, data, np.ones(sde.dimension - 1))


def w1_after(law: LiftedMixture, target: Target, start: Array, nfe: int, horizon: float, score_error: float) -> float:
    """W1 to the data of the reverse flow after so many evaluations."""
    *_, (_, end) = reverse_flow(law, start[:, : law.sde.dimension], nfe, horizon, score_error)
    return target.w1(end[:, :1])


def entropy(data: GaussianMixture) -> float:
    """-E log p of a law on the line, in nats, by the trapezoid rule."""
    x = np.linspace(data.means.min() - 9 * data.width, data.means.max() + 9 * data.width, 4001)
    p = data.pdf(x)
    return float(-np.trapezoid(p * np.log(np.maximum(p, 1e-300)), x))


def prior_gap(law: LiftedMixture, horizon: float) -> float:
    """KL(p_T || N(0, I)) in nats."""
    return divergence_to_normal(law.at(horizon), {1: 24, 2: 14, 3: 10, 4: 7}[law.sde.dimension])


@dataclass(frozen=True)
class ProcessCurve:
    """One process: error against evaluations, bits against the horizon."""

    name: str
    gap: float
    w1: Array  # (n_budgets,)
    bits: Array  # (n_horizons,) above the data's entropy


@dataclass(frozen=True)
class Auxiliaries(Result):
    """Processes with auxiliary coordinates, compared."""

    curves: tuple[ProcessCurve, ...]
    evaluations: Array  # (n_budgets,)
    horizons: Array  # (n_horizons,)
    floor: float
    entropy_bits: float
    nfe: int
    here: dict[str, float]  # W1 at nfe, by process
    learned: str  # what was found

    def table(self) -> pl.DataFrame:
        rows: list[dict[str, float | str | None]] = []
        for c in self.curves:
            rows += [
                {"process": c.name, "evaluations": float(n), "w1": float(w), "w1_noise_floor": self.floor}
                for n, w in zip(self.evaluations, c.w1, strict=True)
            ]
            rows += [
                {"process": c.name, "horizon": float(t), "bits_above_entropy": float(b)}
                for t, b in zip(self.horizons, c.bits, strict=True)
            ]
        names = ("evaluations", "w1", "w1_noise_floor", "horizon", "bits_above_entropy")
        return pl.DataFrame(rows, schema={"process": pl.String} | dict.fromkeys(names, pl.Float64))

    def headline(self) -> dict[str, float | str]:
        found: dict[str, float | str] = {f"W₁ at {self.nfe} evaluations: {name}": value for name, value in self.here.items()}
        if "learned" in self.here:
            found["learned gain over tuned VP"] = self.here[TUNED] / max(self.here["learned"], 1e-12)
        found["found"] = self.learned
        found["bits of the data"] = self.entropy_bits
        return found


def _seconds(*, auxiliary: int, nfe: int, **_: object) -> float:
    trials = N_TUNING + (N_TRIALS if auxiliary else 0)
    return 0.3 + trials * (0.0015 + nfe * 5e-5) * (1 + 0.15 * auxiliary)


@experiment(seconds=_seconds)
def auxiliaries(
    *,
    auxiliary: Auxiliary = 1,
    damping: Damping = 1.0,
    beta: Beta = 2.0,
    horizon: Horizon = 2.0,
    nfe: Nfe = 50,
    score_error: ScoreError = 0.0,
    seed: Seed = 0,
) -> Iterator[tuple[float, Auxiliaries]]:
    """VP, CLD, the third-order process, VP with a tuned rate, and one learned for nfe evaluations (197): W1 against evaluations, bits against T.

    W1: the reverse flow by Heun steps from 512 scrambled Sobol points of N(0, I). Bits: with an exact score the bound on -log2 p of
    paper 197 exceeds the data's entropy by KL(p_T || N(0, I))/log 2, auxiliary entropies cancelling. Learning: Nelder-Mead over
    couplings and frictions of a chain with K auxiliaries, each at most 5, minimizing W1 at nfe on other starting points.
    With K = 0 only the rate of VP is tuned.
    """
    data = mixture_of(DATA, SEPARATION)
    target, floor, _ = target_of(data, N_PARTICLES)
    small = target_of(data, N_LEARNING)[0]
    start = normal_points(N_PARTICLES, 4, seed)
    horizons = horizon * np.linspace(0.2, 1.0, 9)
    curves: list[ProcessCurve] = []
    here: dict[str, float] = {}
    bits = float(entropy(data) / np.log(2))

    def result(words: str = "") -> Auxiliaries:
        used = np.array(BUDGETS, float)
        return Auxiliaries(tuple(curves), used, horizons, floor, bits, nfe, dict(here), words)

    def add(name: str, sde: LinearSde) -> None:
        law = lifted(sde, data)
        w1 = np.array([w1_after(law, target, start, n, horizon, score_error) for n in BUDGETS])
        gaps = np.array([prior_gap(law, float(t)) for t in horizons]) / np.log(2)
        here[name] = w1_after(law, target, start, nfe, horizon, score_error)
        curves.append(ProcessCurve(name, sde.gap(), w1, np.maximum(gaps, 1e-12)))

    named = (("VP", variance_preserving(beta)), ("CLD", damped(damping, beta)), ("third order", third_order(damping, beta)))
    for k, (name, sde) in enumerate(named):
        add(name, sde)
        yield 0.05 * (k + 1), result()

    learning = normal_points(N_LEARNING, 4, seed + 1)

    def process(parameters: Array, k: int) -> LinearSde:
        size = np.minimum(np.abs(parameters), LARGEST)
        # A little noise everywhere keeps every law proper.
        return chain(size[:k], np.maximum(size[k:], 1e-3), beta)

    def learn(first: Array, k: int, trials: int) -> tuple[Array, float]:
        def loss(parameters: Array) -> float:
            return w1_after(lifted(process(parameters, k), data), small, learning, nfe, horizon, score_error)

        simplex = np.concatenate([first[None], first + 0.5 * np.eye(first.size)])
        options = {"maxfev": trials, "initial_simplex": simplex, "xatol": 1e-2, "fatol": 1e-4}
        found = minimize(loss, first, method="Nelder-Mead", options=options)
        return np.minimum(np.abs(found.x), LARGEST), float(found.fun)

    tuned, lowest = learn(np.ones(1), 0, N_TUNING)
    add(TUNED, process(tuned, 0))
    words = f"VP with D = {tuned[0]:.2f}"
    if auxiliary == 0:
        yield 1.0, result(words)
        return
    yield 0.3, result(words)
    # From the tuned process without coupling, and from a coupled chain.
    best = np.concatenate([np.zeros(auxiliary), tuned, np.ones(auxiliary)])
    for k, first in enumerate((best, np.ones(2 * auxiliary + 1))):
        found, value = learn(first, auxiliary, N_TRIALS // 2)
        if value < lowest:
            best, lowest = found, value
        yield 0.3 + 0.3 * (k + 1), result(words)
    couplings, frictions = (", ".join(f"{v:.2f}" for v in part) for part in (best[:auxiliary], best[auxiliary:]))
    add("learned", process(best, auxiliary))
    yield 1.0, result(f"D = {frictions}; Q = {couplings}")
