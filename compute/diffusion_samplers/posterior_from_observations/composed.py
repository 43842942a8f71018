"""Composed scores: the bridge they follow, where it is a density at all, and how errors grow with the observations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.experiment import Result, experiment
from compute.models.composed_posterior import TWO_MODES, Array, Composed, group_sizes, rate, tail_precision
from compute.parameters import Choice, LogInteger, LogReal, ParameterError, Real, Seed

LangevinStep = Annotated[
    float, Real("Langevin step", r"\delta\Lambda", low=0.02, high=1.0, help="In units of the bridge's variance at each level.")
]
Model = Annotated[str, Choice("prior", options=("normal", "two modes"))]
Observations = Annotated[int, LogInteger("observations", "n", low=1, high=100)]
GroupSize = Annotated[int, LogInteger("group size", "m", low=1, high=100, help="Observations that one score network takes.")]
PriorScale = Annotated[float, LogReal("prior scale", r"s_{0}", low=0.3, high=3.0)]
NoiseScale = Annotated[float, LogReal("observation noise", r"s_{\ell}", low=0.1, high=3.0)]
ScoreError = Annotated[float, Real("score error", "e", low=0.0, high=0.3, help="A constant added to each group's score.")]
Levels = Annotated[int, LogInteger("noise levels", "T", low=10, high=400)]
Langevin = Annotated[int, LogInteger("Langevin steps a level", "L", low=1, high=50)]
Particles = Annotated[int, LogInteger("particles", low=200, high=5000)]

N_TIMES, N_GRID = 41, 121


def modes_of(model: str, prior_scale: float) -> Array:
    return np.zeros(1) if model == "normal" else TWO_MODES * prior_scale * np.array([-1.0, 1.0])


def observe(
    model: str, observations: int, group_size: int, prior_scale: float, noise_scale: float, rng: np.random.Generator
) -> Composed:
    """Observations of one draw from the prior, in groups."""
    modes = modes_of(model, prior_scale)
    truth = modes[rng.integers(modes.size)] + prior_scale * rng.standard_normal()
    seen = truth + noise_scale * rng.standard_normal(observations)
    sizes = group_sizes(observations, min(group_size, observations))
    ends = np.cumsum(sizes).astype(int)
    means = np.array([part.mean() for part in np.split(seen, ends[:-1])])
    return Composed(modes, prior_scale, noise_scale, means, sizes)


def least_precision(sizes: Array, prior_scale: Array | float, noise_scale: float) -> Array:
    """min over t of Lambda_t; s_0 may be an array."""
    t = np.linspace(0, 1, 201)
    return np.asarray(tail_precision(t[:, None], sizes, np.atleast_1d(prior_scale), noise_scale).min(axis=0))


def require_proper(problem: Composed) -> None:
    """Refuse a bridge that is not a density at some time.

    Raises
    ------
    ParameterError
        On the prior scale.
    """
    if least_precision(problem.sizes, problem.prior_scale, problem.noise_scale)[0] <= 0:
        raise ParameterError(
            "prior_scale",
            f"is too small for {problem.sizes.size} groups: the composed bridge is no density on the way, and Langevin "
            "would run away. Larger groups or a wider prior help.",
        )


# --- bridges ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Bridges(Result):
    """Densities over time of the composed bridge and of the diffused posterior, and particles along the former."""

    time: Array  # (n_times,)
    theta: Array  # (n_grid,)
    composed: Array  # (n_grid, n_times), each column scaled to its maximum
    diffused: Array
    center: Array  # (n_bins,)
    histogram: Array  # (n_bins,) density of the particles at the end
    histogram_error: Array
    posterior: Array  # (n_grid,)
    least_precision: float
    particle_mean: tuple[float, float]  # and its standard error
    particle_sd: float
    true_mean: float
    true_sd: float

    def table(self) -> pl.DataFrame:
        time, theta = np.meshgrid(self.time, self.theta)
        grid = pl.DataFrame(
            {
                "time": time.ravel(),
                "theta": theta.ravel(),
                "composed_over_its_maximum": self.composed.ravel(),
                "diffused_over_its_maximum": self.diffused.ravel(),
            }
        )
        end = pl.DataFrame({"theta": self.theta, "posterior": self.posterior})
        found = pl.DataFrame({"theta": self.center, "particles": self.histogram, "standard_error": self.histogram_error})
        return pl.concat([grid, end, found], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        return {
            "least precision on the bridge": self.least_precision,
            "posterior": f"{self.true_mean:.3f} ± {self.true_sd:.3f}",
            "error of the mean ÷ posterior sd": abs(self.particle_mean[0] - self.true_mean) / self.true_sd,
            "its standard error": self.particle_mean[1] / self.true_sd,
            "variance of the particles ÷ posterior": (self.particle_sd / self.true_sd) ** 2,
        }


def langevin(
    problem: Composed, levels: int, steps: int, step: float, error: float, n: int, rng: np.random.Generator
) -> Iterator[Array]:
    """(n,) particles after each level: annealed unadjusted Langevin from N(0, 1/G) down to t = 0."""
    groups = problem.sizes.size
    theta = rng.standard_normal(n) / np.sqrt(groups)
    for t in np.linspace(1, 0, levels):
        size = step / float(problem.precision(t))
        for _ in range(steps):
            pull = problem.score(theta, float(t)) + groups * error
            theta = theta + size * pull + np.sqrt(2 * size) * rng.standard_normal(n)
        yield theta


def _bridges_seconds(
    *, observations: int, group_size: int, levels: int, langevin_steps: int, particles: int, model: str, **_: object
) -> float:
    groups = -(-observations // group_size)
    modes = 1 if model == "normal" else 2
    return (
        0.01
        + levels * langevin_steps * (6e-5 + 9e-9 * particles * groups * modes * (modes - 1))
        + 4e-8 * N_TIMES * N_GRID * groups * modes
    )


@experiment(seconds=_bridges_seconds)
def bridges(
    *,
    model: Model = "two modes",
    observations: Observations = 5,
    group_size: GroupSize = 1,
    prior_scale: PriorScale = 1.0,
    noise_scale: NoiseScale = 1.0,
    score_error: ScoreError = 0.05,
    levels: Levels = 40,
    langevin_steps: Langevin = 4,
    langevin_step: LangevinStep = 0.1,
    particles: Particles = 400,
    seed: Seed = 0,
) -> Iterator[tuple[float, Bridges]]:
    """Two ways from noise to the same posterior, exact on a grid, and particles on the composed one.

    Raises
    ------
    ParameterError
        Where the composed bridge is not a density.
    """
    problem = observe(model, observations, group_size, prior_scale, noise_scale, np.random.default_rng([seed, 1]))
    require_proper(problem)
    whole = problem.whole()
    reach = max(2.8, prior_scale * (2.8 if model == "normal" else 2.2 + TWO_MODES))
    theta, times = np.linspace(-reach, reach, N_GRID), np.linspace(0, 1, N_TIMES)

    def columns(law: Composed) -> Array:
        prior = law.log_prior(theta)
        log_density = np.array([law.log_bridge(theta, float(t), prior) for t in times]).T
        return np.asarray(np.exp(log_density - log_density.max(axis=0)))

    composed, diffused = columns(problem), columns(whole)
    fine = np.linspace(-reach, reach, 4001)
    log_density = whole.log_bridge(fine, 0.0)
    density = np.exp(log_density - log_density.max())
    density /= density.sum() * (fine[1] - fine[0])
    weight = density * (fine[1] - fine[0])
    mean = float(weight @ fine)
    sd = float(np.sqrt(weight @ (fine - mean) ** 2))
    least = float(least_precision(problem.sizes, prior_scale, noise_scale)[0])
    edges = np.linspace(max(-reach, mean - 5 * sd), min(reach, mean + 5 * sd), 41)
    rng = np.random.default_rng([seed, 2])
    for k, x in enumerate(langevin(problem, levels, langevin_steps, langevin_step, score_error, particles, rng), start=1):
        if k < levels and k % 50:
            continue
        share = np.histogram(x, edges)[0] / particles
        width = edges[1] - edges[0]
        yield (
            k / levels,
            Bridges(
                times,
                theta,
                composed,
                diffused,
                (edges[1:] + edges[:-1]) / 2,
                share / width,
                np.sqrt(share * (1 - share) / particles) / width,
                np.interp(theta, fine, density),
                least,
                (float(x.mean()), float(x.std(ddof=1) / np.sqrt(particles))),
                float(x.std(ddof=1)),
                mean,
                sd,
            ),
        )


# --- where the bridge is a density ------------------------------------------------------------------------------


@dataclass(frozen=True)
class ProperMap(Result):
    """Least precision of the composed bridge over (n, s_0)."""

    observations: Array  # (n_n,)
    prior_scale: Array  # (n_s,)
    least: Array  # (n_s, n_n) signed: sign(Lambda) log10(1 + |Lambda|)
    boundary: Array  # (n_n,) s_0 at which it is 0; 0 where none is in range
    curve_time: Array
    curve: Array  # Lambda_t here
    here: float

    def table(self) -> pl.DataFrame:
        n, s = np.meshgrid(self.observations, self.prior_scale)
        grid = pl.DataFrame({"observations": n.ravel(), "prior_scale": s.ravel(), "signed_log10_precision": self.least.ravel()})
        line = pl.DataFrame({"observations": self.observations, "boundary_prior_scale": self.boundary})
        curve = pl.DataFrame({"time": self.curve_time, "precision": self.curve})
        return pl.concat([grid, line, curve], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        return {"least precision here": self.here, "the bridge is": "a density" if self.here > 0 else "not a density"}


@experiment
def proper_bridges(
    *, observations: Observations = 5, group_size: GroupSize = 1, prior_scale: PriorScale = 1.0, noise_scale: NoiseScale = 1.0
) -> ProperMap:
    """min over t of Lambda_t, exact; below the boundary composed scores are of no density."""
    ns = np.unique(np.rint(np.geomspace(1, 100, 40)).astype(int))
    scales = np.geomspace(0.3, 3.0, 61)
    least = np.stack([least_precision(group_sizes(int(n), min(group_size, int(n))), scales, noise_scale) for n in ns], axis=1)
    boundary = np.zeros(ns.size)
    for k in range(ns.size):
        bad = np.flatnonzero(least[:, k] <= 0)
        if bad.size and bad[-1] + 1 < scales.size:
            low, high = bad[-1], bad[-1] + 1
            share = least[low, k] / (least[low, k] - least[high, k])
            boundary[k] = np.exp(np.log(scales[low]) + share * np.log(scales[high] / scales[low]))
    t = np.linspace(0, 1, 201)
    curve = tail_precision(t, group_sizes(observations, min(group_size, observations)), prior_scale, noise_scale)
    signed = np.sign(least) * np.log10(1 + np.abs(least))
    return ProperMap(ns.astype(float), scales, signed, boundary, t, curve, float(curve.min()))


# --- errors against the number of observations ---------------------------------------------------------------------

N_RUNS = 6


@dataclass(frozen=True)
class ErrorCurve(Result):
    """Error of the mean over the posterior's standard deviation, and variance over the posterior's, against n."""

    observations: NDArray[np.int64]  # (n_n,)
    bias: Array  # (n_n,) exact limit, ceil(n/m) e/Lambda_0
    bias_alone: Array  # (n_n,) one observation a group
    chain_error: Array  # (n_n,) exact, of the chain as run
    chain_variance: Array
    ode_variance: Array  # (n_n,) of the probability-flow ODE driven by composed scores
    tried: NDArray[np.int64]  # (n_tried,)
    simulated: Array
    simulated_error: Array
    simulated_variance: Array
    simulated_variance_error: Array
    stops: int  # observations from which the bridge is no density; 0 if none

    def table(self) -> pl.DataFrame:
        exact = pl.DataFrame(
            {
                "observations": self.observations,
                "mean_error_over_sd_limit": self.bias,
                "mean_error_over_sd_limit_ungrouped": self.bias_alone,
                "mean_error_over_sd_chain": self.chain_error,
                "variance_ratio_chain": self.chain_variance,
                "variance_ratio_ode": self.ode_variance,
            }
        )
        points = pl.DataFrame(
            {
                "observations": self.tried,
                "mean_error_over_sd": self.simulated,
                "standard_error": self.simulated_error,
                "variance_ratio": self.simulated_variance,
                "variance_ratio_standard_error": self.simulated_variance_error,
            }
        )
        return pl.concat([exact, points], how="diagonal_relaxed")

    def headline(self) -> dict[str, float | str]:
        theory = np.interp(self.tried, self.observations, self.chain_error)
        gap = np.abs(self.simulated - theory) / self.simulated_error
        found: dict[str, float | str] = {
            "error of the mean at n = 100, ÷ sd": float(self.bias[-1]),
            "without groups": float(self.bias_alone[-1]),
            "variance of the chain ÷ posterior, last n": float(self.chain_variance[-1]),
            "largest gap, theory to simulation (SE)": float(gap.max()),
        }
        if self.stops:
            found["no density from"] = f"{self.stops} observations"
        return found


def chain_moments(problem: Composed, levels: int, steps: int, step: float, error: float) -> tuple[float, float]:
    """Mean and variance of the Langevin chain at its end, exact for a normal prior: an affine recursion."""
    mean, variance = 0.0, 1.0 / problem.sizes.size
    for t in np.linspace(1, 0, levels):
        precision = float(problem.precision(t))
        rest = problem.mean(float(t)) + problem.sizes.size * error / precision
        keep = (1 - step) ** steps
        noise = 2 * step / precision * (1 - keep**2) / (1 - (1 - step) ** 2) if step < 1 else 2 * step / precision
        mean, variance = rest + keep * (mean - rest), keep**2 * variance + noise
    return mean, variance


def ode_variance(sizes: Array, prior_scale: float, noise_scale: float, n_steps: int = 200) -> float:
    """Variance at t = 0 of d theta = -(beta/2)(theta + score) dt from N(0, 1/G), by the trapezoid of its log-slope."""
    t = np.linspace(1, 0, n_steps + 1)
    slope = rate(t) / 2 * (1 - tail_precision(t, sizes, prior_scale, noise_scale))
    return float(np.exp(-2 * np.trapezoid(slope, t)) / sizes.size)


@experiment(seconds=lambda levels, langevin_steps, **_: 0.02 + levels * 13 * 3e-5 + levels * langevin_steps * 4 * 1e-4)
def error_against_n(
    *,
    group_size: GroupSize = 1,
    prior_scale: PriorScale = 1.0,
    noise_scale: NoiseScale = 1.0,
    score_error: ScoreError = 0.05,
    levels: Levels = 40,
    langevin_steps: Langevin = 4,
    langevin_step: LangevinStep = 0.1,
    seed: Seed = 0,
) -> Iterator[tuple[float, ErrorCurve]]:
    """Normal prior: a constant error of each score shifts the mean by ceil(n/m) e/Lambda_0, that is like sqrt(n) posterior sds."""
    ns = np.unique(np.rint(np.geomspace(1, 100, 13)).astype(int))
    proper = [n for n in ns if least_precision(group_sizes(int(n), min(group_size, int(n))), prior_scale, noise_scale)[0] > 0]
    stops = next((int(n) for n in ns if n not in proper), 0)
    if not proper or stops:
        ns = np.array([n for n in proper if not stops or n < stops])
    if not ns.size:
        raise ParameterError("prior_scale", "leaves no number of observations whose bridge is a density; widen the prior.")
    posterior_sd = 1 / np.sqrt(1 / prior_scale**2 + ns / noise_scale**2)
    groups = np.ceil(ns / np.minimum(group_size, ns))
    rows = []
    for n in ns:
        sizes = group_sizes(int(n), min(group_size, int(n)))
        centered = Composed(np.zeros(1), prior_scale, noise_scale, np.zeros(sizes.size), sizes)
        mean, variance = chain_moments(centered, levels, langevin_steps, langevin_step, score_error)
        rows.append((mean, variance, ode_variance(sizes, prior_scale, noise_scale)))
    mean, variance, ode = np.array(rows).T
    tried = np.array([n for n in (1, 4, 15, 60) if n <= ns[-1]])
    found: list[tuple[float, float, float, float]] = []
    for k, n in enumerate(tried):
        sizes = group_sizes(int(n), min(group_size, int(n)))
        sd = 1 / np.sqrt(1 / prior_scale**2 + n / noise_scale**2)
        centered = Composed(np.zeros(1), prior_scale, noise_scale, np.zeros(sizes.size), sizes)
        rng = np.random.default_rng([seed, 4, int(n)])
        *_, x = langevin(centered, levels, langevin_steps, langevin_step, score_error, 60 * N_RUNS, rng)
        found.append(
            (
                abs(x.mean()) / sd,
                x.std(ddof=1) / sd / np.sqrt(x.size),
                x.var(ddof=1) / sd**2,
                x.var(ddof=1) / sd**2 * np.sqrt(2 / x.size),
            )
        )
        simulated = np.array(found).T
        yield (
            (k + 1) / tried.size,
            ErrorCurve(
                ns,
                groups * score_error * posterior_sd,
                ns * score_error * posterior_sd,
                np.abs(mean) / posterior_sd,
                variance / posterior_sd**2,
                ode / posterior_sd**2,
                tried[: k + 1],
                simulated[0],
                simulated[1],
                simulated[2],
                simulated[3],
                stops,
            ),
        )
