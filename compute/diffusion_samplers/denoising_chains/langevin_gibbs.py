"""Denoising Langevin-Gibbs (paper 233): a chain that wanders in (x, sigma), and outputs that fall from it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.diffusion_samplers.denoising_chains.setting import (
    Evaluations,
    LangevinStep,
    Separation,
    Skip,
    TargetLaw,
    line_law,
    nearest_mode,
    target_law,
)
from compute.experiment import Result, experiment
from compute.methods.distance_to_target import directions
from compute.methods.langevin_gibbs import denoise_rows, walk
from compute.methods.reverse_samplers import SOLVERS, Run
from compute.models.diffusion_setting import target_of
from compute.models.gaussian_mixture import GaussianMixture
from compute.models.noise_schedule import RHO, SIGMA_MIN
from compute.parameters import Seed

Array = NDArray[np.float64]

SIGMAS = np.geomspace(0.05, 20.0, 24)
LOG_PRIOR = np.zeros(SIGMAS.size)  # p(sigma): every level of the grid alike
TOP = 40.0  # where runs from noise begin


def own_levels(sigma: Array, steps: int) -> Array:
    """(steps + 1, n, 1) falling levels of each point, from its own to ``SIGMA_MIN`` as EDM has them, then 0."""
    share = np.linspace(0, 1, steps)[:, None] if steps > 1 else np.zeros((1, 1))
    inner = (sigma ** (1 / RHO) * (1 - share) + SIGMA_MIN ** (1 / RHO) * share) ** RHO
    return np.concatenate([inner, np.zeros((1, sigma.size))])[:, :, None]


def bring_down(law: GaussianMixture, x: Array, sigma: Array, solver: str, evaluations: int) -> list[Array]:
    """States of (n, d) points on their way from their own noise levels to 0, for so many evaluations each."""
    tool = SOLVERS[solver]
    run = Run(lambda y, s: denoise_rows(law, y, s), np.random.default_rng(0))
    states = [x]
    for high, low in itertools.pairwise(own_levels(sigma, tool.n_steps(evaluations))):
        is_last = not low.any()
        states.append(denoise_rows(law, states[-1], high) if is_last else tool.step(run, states[-1], high, low))
    return states


# --- one chain -----------------------------------------------------------------------------------------------------

N_CHAINS, N_STATES, BURN = 16, 400, 50
DRAWN = np.geomspace(0.01, 20.0, 30)  # levels of the map
N_FALLS, FALL_EVALUATIONS = 36, 15
N_COLUMNS = 121


@dataclass(frozen=True)
class ChainPicture(Result):
    """A chain over the noisy densities, its outputs, and the masses of the modes by many chains."""

    x_axis: Array  # (n_columns,)
    sigma_axis: Array  # (n_levels,)
    density: Array  # (n_levels, n_columns) p_sigma(x) over its maximum
    x: Array  # (n_states,) of the chain shown
    sigma: Array  # (n_states,)
    fall_x: Array  # (n_falls, n_points) outputs on their way down
    fall_sigma: Array  # (n_falls, n_points)
    fall_at: NDArray[np.int64]  # (n_falls,) the state that each fell from
    mode: NDArray[np.int64]  # (n_modes,)
    exact: Array  # (n_modes,) masses
    found: Array  # (n_modes,) by all chains
    found_error: Array  # standard error, from differences between chains
    running: Array  # (n_falls, n_modes) of the chain shown, up to each output
    w1: float
    floor: float
    occupancy_error: float  # largest |share of a noise level - its prior|

    def table(self) -> pl.DataFrame:
        chain = pl.DataFrame({"x": self.x, "noise_level": self.sigma})
        outputs = pl.DataFrame({"output": self.fall_x[:, -1]})
        masses = pl.DataFrame({"mode": self.mode, "exact_mass": self.exact, "mass": self.found, "standard_error": self.found_error})
        return pl.concat([chain, outputs, masses], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        gap = np.abs(self.found - self.exact) / np.maximum(self.found_error, 1e-12)
        return {
            "largest error of a mode's mass": float(np.abs(self.found - self.exact).max()),
            "in standard errors": float(gap.max()),
            "W₁ of the outputs": self.w1,
            "of as many exact samples": self.floor,
            "modes that the chain shown reached": f"{int((self.running[-1] > 0).sum())} of {self.mode.size}",
        }


@experiment
def chain(
    *,
    separation: Separation = 4.0,
    langevin_step: LangevinStep = 0.2,
    skip: Skip = 5,
    seed: Seed = 0,
) -> ChainPicture:
    """Sixteen Langevin-Gibbs chains of 400 moves on four modes; every skip-th state is brought down by 15 Heun evaluations."""
    law = line_law(separation)
    rng = np.random.default_rng([seed, 1])
    states, levels = walk(law, SIGMAS, LOG_PRIOR, langevin_step, BURN, 1, N_CHAINS, N_STATES, rng)
    kept = np.arange(skip - 1, N_STATES, skip)
    some, some_sigma = states[:, kept].reshape(-1, 1), SIGMAS[levels[:, kept]].ravel()
    down = bring_down(law, some, some_sigma, "Heun", FALL_EVALUATIONS)
    outputs = down[-1]
    owner = nearest_mode(law, outputs).reshape(N_CHAINS, -1)
    shares = np.stack([(owner == k).mean(axis=1) for k in range(law.n_components)], axis=1)
    target, floor, _ = target_of(law, len(outputs))

    shown = np.linspace(0, kept.size - 1, min(kept.size, N_FALLS)).astype(int)
    falls = np.stack([state[: kept.size, 0] for state in down])[:, shown].T
    sigma = own_levels(some_sigma[: kept.size][shown], SOLVERS["Heun"].n_steps(FALL_EVALUATIONS))[:, :, 0].T
    running = np.stack([np.cumsum(owner[0] == k) / np.arange(1, kept.size + 1) for k in range(law.n_components)], axis=1)
    reach = float(law.means.max()) + 3.0
    axis = np.linspace(-reach, reach, N_COLUMNS)
    density = np.stack([law.noised(float(s)).pdf(axis) for s in DRAWN])
    return ChainPicture(
        axis,
        DRAWN,
        density / density.max(axis=1, keepdims=True),
        states[0, :, 0],
        SIGMAS[levels[0]],
        falls,
        sigma,
        kept[shown],
        np.arange(1, law.n_components + 1),
        law.weights,
        shares.mean(axis=0),
        shares.std(axis=0, ddof=1) / np.sqrt(N_CHAINS),
        running[shown],
        target.w1(outputs),
        floor,
        float(np.abs(np.bincount(levels.ravel(), minlength=SIGMAS.size) / levels.size - 1 / SIGMAS.size).max()),
    )


# --- evaluations ---------------------------------------------------------------------------------------------------

INTEGRATORS = ("Euler (DDIM)", "Heun")
NFES = np.array([7, 10, 14, 20, 28, 40])
REFERENCE = 97  # evaluations of RK4
N_OUTPUTS, COUNT_BURN = 1000, 20


@dataclass(frozen=True)
class EvaluationCurves(Result):
    """Error of the way down against evaluations for one output, from noise and from the chain, per integrator."""

    nfe: NDArray[np.int64]  # (n_nfe,)
    from_noise: dict[str, Array]  # integrator to (n_nfe,) W1 to where the exact flow takes the same starts
    from_chain: dict[str, Array]  # integrator to (n_nfe,); NaN where moves leave no evaluation
    here: int
    data_noise: float  # W1 to the data, of the exact flow from noise
    data_chain: float  # and from the chain
    floor: float  # of exact samples

    def table(self) -> pl.DataFrame:
        frames = []
        for start, curves in (("noise", self.from_noise), ("chain", self.from_chain)):
            for name, values in curves.items():
                label = {"start": [start] * self.nfe.size, "integrator": [name] * self.nfe.size}
                frames.append(pl.DataFrame({**label, "evaluations": self.nfe, "w1": values}))
        return pl.concat(frames).with_columns(pl.col("w1").fill_nan(None))

    def saved(self, name: str) -> float | str:
        """Evaluations that an integrator from noise needs to do as well as from the chain at the reader's number."""
        goal = float(self.from_chain[name][self.here])
        if np.isnan(goal):
            return "no evaluation is left"
        known, needed = np.log(self.from_noise[name][::-1]), np.log(self.nfe[::-1])
        if np.log(goal) < known[0]:
            return f"more than {self.nfe[-1]}"
        return float(np.exp(np.interp(np.log(goal), known, needed)))

    def headline(self) -> dict[str, float | str]:
        found: dict[str, float | str] = {}
        for name in INTEGRATORS:
            value = float(self.from_chain[name][self.here])
            found[f"error from noise, {name}"] = float(self.from_noise[name][self.here])
            found[f"error from the chain, {name}"] = value if np.isfinite(value) else "no evaluation is left"
            found[f"evaluations from noise to match, {name}"] = self.saved(name)
        return found | {"W₁ to the data, chain brought down exactly": self.data_chain, "of exact samples": self.floor}


def paired_w1(x: Array, reference: Array) -> float:
    """W1 between two samples of one size, the mean over fixed directions."""
    axes = directions(x.shape[1])
    return float(np.abs(np.sort(axes @ x.T, axis=1) - np.sort(axes @ reference.T, axis=1)).mean())


def _evaluation_seconds(target: str, skip: int, **_: object) -> float:
    components = 4 if target == "four modes" else 25
    return 0.04 + N_OUTPUTS * (COUNT_BURN + skip) * components * 2.5e-7 + components * 6e-3


@experiment(seconds=_evaluation_seconds)
def evaluations(
    *,
    target: TargetLaw = "four modes",
    separation: Separation = 4.0,
    langevin_step: LangevinStep = 0.2,
    skip: Skip = 5,
    evaluations: Evaluations = 20,
    seed: Seed = 0,
) -> Iterator[tuple[float, EvaluationCurves]]:
    """A thousand outputs by each integrator, from noise at level 40 or from states of as many chains, whose moves are paid for too.

    Chains begin in their own joint law, as if they had run long, make 20 moves and then ``skip`` more, which an output pays for.
    Each set of outputs is compared with where the flow takes the same starts, by RK4.
    """
    law = target_law(target, separation)
    n = N_OUTPUTS
    rng = np.random.default_rng([seed, 2])
    level = rng.integers(SIGMAS.size, size=n)
    begin = law.sample(rng, n) + SIGMAS[level, None] * rng.standard_normal((n, law.dimension))
    states, levels = walk(law, SIGMAS, LOG_PRIOR, langevin_step, COUNT_BURN, skip, n, 1, rng, (begin, level))
    starts = {
        "noise": (float(np.hypot(TOP, law.scale)) * rng.standard_normal((n, law.dimension)), np.full(n, TOP), 0),
        "chain": (states.reshape(n, -1), SIGMAS[levels].ravel(), skip),
    }
    nfe = np.unique(np.append(NFES, evaluations))
    target_w1, floor, _ = target_of(law, n)
    curves: dict[str, dict[str, Array]] = {}
    ends = {}
    for name, (x, sigma, paid) in starts.items():
        ends[name] = bring_down(law, x, sigma, "RK4", REFERENCE)[-1]
        curves[name] = {}
        for solver in INTEGRATORS:
            values = [
                paired_w1(bring_down(law, x, sigma, solver, int(count) - paid)[-1], ends[name]) if count > paid else np.nan
                for count in nfe
            ]
            curves[name][solver] = np.array(values)
    here = int(np.searchsorted(nfe, evaluations))
    distances = (target_w1.w1(ends["noise"]), target_w1.w1(ends["chain"]))
    yield 1.0, EvaluationCurves(nfe, curves["noise"], curves["chain"], here, *distances, floor)
