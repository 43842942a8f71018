r"""Feynman-Kac correctors on exact diffusion models: powers, guidance, products and unions of Gaussian mixtures.

The engine is ``feynman_kac``: particles with weights whose law is the composed target at every noise level. Here it is
compared with the heuristic that leaves the weights out, and with the exact target on a grid.

References
----------
Papers 037 and 159 of the catalogue.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.experiment import Result, experiment
from compute.methods import feynman_kac as fk
from compute.methods.contours import level_lines
from compute.methods.plane_density import PlaneDensity
from compute.methods.resampling import effective_fraction, normalized, systematic
from compute.models.composed_models import Problem, pooled, problem, shards
from compute.models.gaussian_mixture import WIDTH
from compute.parameters import Choice, Integer, LogInteger, LogReal, ParameterError, Real, Seed

Array = NDArray[np.float64]

Operation = Annotated[str, Choice("operation", options=("anneal", "guidance", "product", "union"))]
Beta = Annotated[
    float,
    Real(
        "power or guidance weight", r"\beta", low=0.2, high=5.0, help="Power of the one model, or weight w of the conditional one."
    ),
]
Experts = Annotated[
    int,
    Integer("experts or groups", "K", low=2, high=8, help="Models multiplied or united; groups annealed; classes guided among."),
]
Separation = Annotated[float, Real("separation", r"\Delta", low=0.5, high=6.0, help="Size of the figure; modes are 0.3 wide.")]
Overlap = Annotated[float, Real("overlap", low=0.0, high=1.0, help="How near classes (guidance) or shards (union) stand.")]
Particles = Annotated[int, LogInteger("particles", "M", low=10, high=20_000)]
Resampling = Annotated[str, Choice("resampling", options=fk.RESAMPLING, help="When particles are drawn anew by their weights.")]
Steps = Annotated[int, LogInteger("steps", low=20, high=500)]
TopRatio = Annotated[
    float, LogReal("top noise over width", r"\sigma_{\max}/s", low=2.0, high=100.0, help="The noise level where sampling starts.")
]
NoiseScale = Annotated[
    float,
    Real("noise scale", "c", low=0.0, high=10.0, help="1 is the reverse SDE; more lets particles forget, and weights average out."),
]
DroppedShard = Annotated[int, Integer("dropped shard", low=0, high=8, help="Of a union: 0 drops none.")]

MAX_SHOWN = 250
MAX_FRAMES = 17


class How(NamedTuple):
    """How particles are run."""

    top_ratio: float
    steps: int
    resampling: str
    noise_scale: float


def _run(setting: Problem, how: How, n: int, seed: list[int], corrected: bool) -> Iterator[fk.State]:
    """Particles of the corrected sampler or of the heuristic, level by level."""
    return fk.run(
        setting.target if corrected else setting.heuristic,
        setting.spread,
        how.top_ratio * WIDTH,
        how.steps,
        n,
        np.random.default_rng(seed),
        weighted=corrected,
        resampling=how.resampling,
        noise_scale=how.noise_scale,
    )


def mass_error(exact: PlaneDensity, x: Array, weights: Array) -> float:
    """Total variation between the masses of the modes."""
    return float(0.5 * np.sum(np.abs(exact.masses(x, weights) - exact.exact_masses)))


# --- particles ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Correction(Result):
    """Heuristic and corrected particles, level by level, in x/sqrt(1 + sigma^2/spread^2), and the exact target."""

    noise_level: Array  # (n_frames,)
    heuristic: NDArray[np.float32]  # (n_frames, n_shown, 2)
    corrected: NDArray[np.float32]  # (n_frames, n_shown, 2) drawn by weight
    contour: tuple[Array, Array]  # exact target, segments broken by NaN
    marks: Array  # (n_marks, 2) modes of the experts
    reach: float
    modes: Array  # (n_modes, 2)
    exact_mass: Array  # (n_modes,)
    heuristic_path: Array  # (n_frames, n_modes) mass nearest to each mode, level by level
    corrected_path: Array  # (n_frames, n_modes)
    corrected_path_error: Array  # (n_frames, n_modes) standard error by families
    families: int  # particles of the start that have descendants at the end
    heuristic_w1: float
    corrected_w1: float
    effective: float  # fraction at the end
    heuristic_variance_ratio: float  # variance of the heuristic over the target's, summed over coordinates
    operation: str

    @property
    def heuristic_mass(self) -> Array:
        """(n_modes,) at the end."""
        return self.heuristic_path[-1]

    @property
    def corrected_mass(self) -> Array:
        """(n_modes,) at the end."""
        return self.corrected_path[-1]

    @property
    def corrected_mass_error(self) -> Array:
        """(n_modes,) at the end."""
        return self.corrected_path_error[-1]

    def table(self) -> pl.DataFrame:
        ends = [
            pl.DataFrame({"sampler": [name] * len(x), "x_1": x[:, 0].astype(float), "x_2": x[:, 1].astype(float)})
            for name, x in (("heuristic", self.heuristic[-1]), ("corrected", self.corrected[-1]))
        ]
        masses = pl.DataFrame(
            {
                "mode": np.arange(1, len(self.modes) + 1),
                "x_1": self.modes[:, 0],
                "x_2": self.modes[:, 1],
                "exact_mass": self.exact_mass,
                "heuristic_mass": self.heuristic_mass,
                "corrected_mass": self.corrected_mass,
                "corrected_mass_standard_error": self.corrected_mass_error,
            }
        )
        return pl.concat([*ends, masses], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        return {
            "W₁ to the target, corrected": self.corrected_w1,
            "W₁ to the target, heuristic": self.heuristic_w1,
            "mode-mass error, corrected": float(0.5 * np.abs(self.corrected_mass - self.exact_mass).sum()),
            "mode-mass error, heuristic": float(0.5 * np.abs(self.heuristic_mass - self.exact_mass).sum()),
            "final effective fraction": self.effective,
            "families left": float(self.families),
            "variance of the heuristic ÷ target": self.heuristic_variance_ratio,
        }


def _seconds(operation: str, experts: int, steps: int, particles: int) -> float:
    """Of one run of both samplers: models evaluated in a step, and their components."""
    models, components = {
        "anneal": (2, 2 * experts**2),
        "guidance": (4, experts**2 + 4 * experts),
        "product": (2 * experts, 8 * experts),
        "union": (3 * experts, 9 * experts),
    }[operation]
    return steps * (4e-5 + 2.5e-5 * models + particles * (1e-7 + 4e-9 * components + 2e-8 * models))


def _seconds_of_run(*, operation: str, experts: int, steps: int, particles: int, **_: object) -> float:
    return 0.03 + _seconds(operation, experts, steps, particles)


@experiment(seconds=_seconds_of_run)
def correction(
    *,
    operation: Operation = "anneal",
    beta: Beta = 3.0,
    experts: Experts = 3,
    separation: Separation = 3.0,
    overlap: Overlap = 0.5,
    particles: Particles = 1500,
    resampling: Resampling = "ess below half",
    steps: Steps = 70,
    top_ratio: TopRatio = 30.0,
    noise_scale: NoiseScale = 2.0,
    dropped_shard: DroppedShard = 0,
    seed: Seed = 0,
) -> Iterator[tuple[float, Correction]]:
    """Particles with and without the weights of Feynman-Kac, from noise to the composed target.

    For a union the corrected sampler weighs shards by their posterior and carries no weights; the heuristic weighs them by
    constants. Particles drawn in the picture are drawn by weight, at most 250.

    Raises
    ------
    ParameterError
        Where the dropped shard is not one of the shards.
    """
    setting = problem(operation, beta, experts, separation, overlap, dropped_shard if operation == "union" else 0)
    exact = setting.exact
    how = How(top_ratio, steps, resampling, noise_scale)
    shown_at = set(np.unique(np.rint(np.linspace(0, steps, min(steps + 1, MAX_FRAMES))).astype(int)).tolist())
    pick = np.random.default_rng([seed, 9])
    n_shown = min(particles, MAX_SHOWN)
    uniform = np.full(particles, 1 / particles)
    frames: list[tuple[Array, ...]] = []

    def seen(state: fk.State, n_drawn: int | None) -> tuple[Array, Array, Array]:
        """What a frame shows of one sampler: particles, masses and their standard errors."""
        x = state.x / np.sqrt(1 + (state.sigma / setting.spread) ** 2)
        mass, error = state.mean(np.eye(len(exact.centers))[exact.site_of(x)])
        return x[systematic(pick, normalized(state.log_weights), n_drawn) if n_drawn else slice(n_shown)], mass, error

    both = (_run(setting, how, particles, [seed, 0], corrected) for corrected in (False, True))
    for k, (poor, good) in enumerate(zip(*both, strict=True)):
        if k not in shown_at:
            continue
        frames.append((np.array(good.sigma), *seen(poor, None)[:2], *seen(good, n_shown)))
        if k < steps and len(frames) % 8:
            continue
        levels, heuristic, heuristic_path, corrected, corrected_path, path_error = (np.array(c) for c in zip(*frames, strict=True))
        yield (
            k / steps if k else 0.0,
            Correction(
                levels,
                heuristic.astype(np.float32),
                corrected.astype(np.float32),
                exact.lines,
                setting.marks,
                exact.reach,
                exact.centers,
                exact.exact_masses,
                heuristic_path,
                corrected_path,
                path_error,
                np.unique(good.ancestor).size,
                exact.w1(poor.x, uniform),
                exact.w1(good.x, normalized(good.log_weights)),
                effective_fraction(good.log_weights),
                float(poor.x.var(axis=0).sum() / np.trace(exact.covariance)),
                operation,
            ),
        )


# --- more particles ------------------------------------------------------------------------------------------

SIZES = (10, 30, 100, 300, 1000, 3000)
N_RUNS = 12


@dataclass(frozen=True)
class Scaling(Result):
    """Errors against the number of particles, over independent runs."""

    particles: Array  # (n_done,)
    corrected_w1: Array  # (n_done,) mean over runs
    corrected_w1_error: Array  # (n_done,) its standard error
    heuristic_w1: Array  # (n_done,)
    exact_w1: Array  # (n_done,) of exact samples
    corrected_mass: Array  # (n_done,) total variation between the masses of the modes
    corrected_mass_error: Array  # (n_done,)
    heuristic_mass: Array  # (n_done,)
    exact_mass: Array  # (n_done,)

    def table(self) -> pl.DataFrame:
        return pl.DataFrame(
            {
                "particles": self.particles,
                "w1_corrected": self.corrected_w1,
                "w1_corrected_standard_error": self.corrected_w1_error,
                "w1_heuristic": self.heuristic_w1,
                "w1_exact_samples": self.exact_w1,
                "mode_mass_error_corrected": self.corrected_mass,
                "mode_mass_error_corrected_standard_error": self.corrected_mass_error,
                "mode_mass_error_heuristic": self.heuristic_mass,
                "mode_mass_error_exact_samples": self.exact_mass,
            }
        )

    def headline(self) -> dict[str, float | str]:
        slope: float | str = "not yet"
        if self.particles.size > 2:
            slope = float(np.polyfit(np.log(self.particles), np.log(self.corrected_w1), 1)[0])
        better = self.particles[self.corrected_w1 < self.heuristic_w1]
        return {
            "slope of W₁, corrected": slope,
            "corrected beats heuristic from": f"{int(better[0])} particles" if better.size else "no number tried",
            "W₁ at most particles, corrected": float(self.corrected_w1[-1]),
            "W₁ at most particles, heuristic": float(self.heuristic_w1[-1]),
        }


def _seconds_of_scaling(*, operation: str, experts: int, steps: int, **_: object) -> float:
    return N_RUNS * sum(_seconds(operation, experts, steps, n) for n in SIZES)


@experiment(seconds=_seconds_of_scaling)
def scaling(
    *,
    operation: Operation = "anneal",
    beta: Beta = 3.0,
    experts: Experts = 3,
    separation: Separation = 3.0,
    overlap: Overlap = 0.5,
    resampling: Resampling = "ess below half",
    steps: Steps = 70,
    top_ratio: TopRatio = 30.0,
    noise_scale: NoiseScale = 2.0,
    seed: Seed = 0,
) -> Iterator[tuple[float, Scaling]]:
    """Error of the corrected law against the number of particles, twelve runs each: inference-time scaling of 037.

    The heuristic does not improve with particles beyond its bias; exact samples of the same number show the least error.
    """
    setting = problem(operation, beta, experts, separation, overlap)
    exact = setting.exact
    how = How(top_ratio, steps, resampling, noise_scale)
    rows: list[Array] = []
    for done, n in enumerate(SIZES, start=1):
        values = np.empty((N_RUNS, 6))
        for run in range(N_RUNS):
            uniform = np.full(n, 1 / n)
            good = fk.last(_run(setting, how, n, [seed, n, run, 0], True))
            poor = fk.last(_run(setting, how, n, [seed, n, run, 1], False))
            ideal = exact.sample(np.random.default_rng([seed, n, run, 2]), n)
            laws = ((good.x, normalized(good.log_weights)), (poor.x, uniform), (ideal, uniform))
            values[run] = [exact.w1(*law) for law in laws] + [mass_error(exact, *law) for law in laws]
        rows.append(np.concatenate([values.mean(axis=0), values.std(axis=0, ddof=1) / np.sqrt(N_RUNS)]))
        mean = np.array(rows).T
        yield (
            sum(SIZES[:done]) / sum(SIZES) if done < len(SIZES) else 1.0,
            Scaling(np.array(SIZES[:done], float), mean[0], mean[6], mean[1], mean[2], mean[3], mean[9], mean[4], mean[5]),
        )


# --- weights ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Weights(Result):
    """Effective fraction and variance of the log weights on the way down."""

    noise_level: Array  # (n_steps,) without the last, where the noise is 0
    effective: Array  # (n_steps,) with the chosen resampling
    effective_alone: Array  # (n_steps,) without resampling
    log_variance: Array  # (n_steps,) of the log weights since the last resampling
    log_variance_alone: Array  # (n_steps,)
    resampled: NDArray[np.bool_]  # (n_steps,)
    resampling: str

    def table(self) -> pl.DataFrame:
        return pl.DataFrame(
            {
                "noise_level": self.noise_level,
                "effective_fraction": self.effective,
                "effective_fraction_without_resampling": self.effective_alone,
                "variance_of_log_weights": self.log_variance,
                "variance_of_log_weights_without_resampling": self.log_variance_alone,
                "resampled": self.resampled,
            }
        )

    def headline(self) -> dict[str, float | str]:
        steepest = int(np.argmax(np.diff(self.log_variance_alone)))
        return {
            "final effective fraction": float(self.effective[-1]),
            "without resampling": float(self.effective_alone[-1]),
            "times resampled": float(self.resampled.sum()),
            "weights part fastest at σ": float(self.noise_level[steepest + 1]),
        }


@experiment(seconds=_seconds_of_run)
def weights(
    *,
    operation: Operation = "anneal",
    beta: Beta = 3.0,
    experts: Experts = 3,
    separation: Separation = 3.0,
    overlap: Overlap = 0.5,
    particles: Particles = 1500,
    resampling: Resampling = "ess below half",
    steps: Steps = 70,
    top_ratio: TopRatio = 30.0,
    noise_scale: NoiseScale = 2.0,
    seed: Seed = 0,
) -> Iterator[tuple[float, Weights]]:
    """How the weights spread over the noise levels, with the chosen resampling and with none.

    Raises
    ------
    ParameterError
        For a union, whose particles carry no weights.
    """
    if operation == "union":
        raise ParameterError("operation", "has no weights for a union; choose anneal, guidance or product.")
    setting = problem(operation, beta, experts, separation, overlap)
    both = (_run(setting, How(top_ratio, steps, name, noise_scale), particles, [seed, 0], True) for name in (resampling, "none"))
    rows = []
    for k, (chosen, alone) in enumerate(zip(*both, strict=True)):
        # The last level, without noise, has no place on a log axis.
        if k < steps:
            pair = [(effective_fraction(s.log_weights), float(np.var(s.log_weights))) for s in (chosen, alone)]
            rows.append((chosen.sigma, *pair[0], *pair[1], float(chosen.resampled)))
        if k == steps or (k and k % 50 == 0):
            sigma, effective, variance, effective_alone, variance_alone, resampled = np.array(rows).T
            yield (
                k / steps,
                Weights(sigma, effective, effective_alone, variance, variance_alone, resampled.astype(bool), resampling),
            )


# --- unions -------------------------------------------------------------------------------------------------

N_MAP = 36
N_UNION_FRAMES = 25
N_UNION = 500


@dataclass(frozen=True)
class UnionMap(Result):
    """Who owns which place at which noise level, and the samples before and after a shard is dropped."""

    noise_level: Array  # (n_frames,) falling
    axis: Array  # (n_map,)
    owner: NDArray[np.int8]  # (n_frames, n_map, n_map) dominant shard of [y, x]
    border: tuple[tuple[Array, Array], ...]  # (n_frames) lines between territories, broken by NaN
    cloud: NDArray[np.float32]  # (n_frames, n, 2) posterior weights, the shard dropped
    cloud_owner: NDArray[np.int64]  # (n,) likeliest source of each sample
    constant: NDArray[np.float32]  # (n_frames, n, 2) constant weights
    forgotten_samples: NDArray[np.float32]  # (n, 2) what the dropped shard gave before
    path_level: Array  # (n_path,)
    attribution: Array  # (n_path, n_shards) of one sample along its path
    reach: float
    dropped_shard: int
    forgotten: float  # share of samples after dropping whose likeliest source is the dropped shard
    expected_forgotten: float  # the same for the mixture without it
    w1_after: float
    w1_constant: float

    def table(self) -> pl.DataFrame:
        samples = pl.DataFrame(
            {
                "x_1": self.cloud[-1, :, 0].astype(float),
                "x_2": self.cloud[-1, :, 1].astype(float),
                "shard": self.cloud_owner + 1,
                "x_1_constant_weights": self.constant[-1, :, 0].astype(float),
                "x_2_constant_weights": self.constant[-1, :, 1].astype(float),
            }
        )
        path = pl.DataFrame(
            {"noise_level": self.path_level} | {f"weight_of_shard_{k + 1}": w for k, w in enumerate(self.attribution.T)}
        )
        return pl.concat([samples, path], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        return {
            "W₁ to the target, posterior weights": self.w1_after,
            "W₁ to the target, constant weights": self.w1_constant,
            "samples that look like the dropped shard": self.forgotten if self.dropped_shard else "none dropped",
            "same, in the data without it": self.expected_forgotten if self.dropped_shard else "none dropped",
            "share of one sample by its first shard": float(self.attribution[-1].max()),
        }


@experiment
def union_map(
    *,
    experts: Experts = 3,
    separation: Separation = 3.0,
    overlap: Overlap = 0.5,
    dropped_shard: DroppedShard = 0,
    steps: Steps = 70,
    top_ratio: TopRatio = 30.0,
    seed: Seed = 0,
) -> UnionMap:
    """A union of shards by posterior weights: territories over noise, samples, attribution, forgetting (159).

    Raises
    ------
    ParameterError
        Where the dropped shard is not one of the shards.
    """
    whole = problem("union", 1.0, experts, separation, overlap, 0)
    less = problem("union", 1.0, experts, separation, overlap, dropped_shard)
    exact = less.exact
    runs = []
    for target, spread in ((whole.target, whole.spread), (less.target, whole.spread), (less.heuristic, whole.spread)):
        # The same random numbers: what changes is what the change of target changes.
        rng = np.random.default_rng([seed, 1])
        runs.append(list(fk.run(target, spread, top_ratio * WIDTH, steps, N_UNION, rng, weighted=False)))
    before, after, constant = runs
    shown = np.unique(np.rint(np.linspace(0, steps, min(steps + 1, N_UNION_FRAMES))).astype(int))
    levels = np.array([before[k].sigma for k in shown])
    shrink = 1 / np.sqrt(1 + (levels / whole.spread) ** 2)
    pool, kept = whole.target, less.target
    assert isinstance(pool, fk.Union) and isinstance(kept, fk.Union)
    axis = np.linspace(-exact.reach, exact.reach, N_MAP)
    points = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    owner = np.empty((levels.size, N_MAP, N_MAP), dtype=np.int8)
    border = []
    for k, sigma in enumerate(levels):
        # Territories are shown in the coordinates of the particles, which shrink with the noise.
        w = kept.attribution(points / shrink[k], sigma).reshape(N_MAP, N_MAP, -1)
        owner[k] = w.argmax(axis=2)
        top = np.sort(w, axis=2)
        lines = []
        for j in range(experts):
            rest = np.where(w[:, :, j] == top[:, :, -1], top[:, :, -2], top[:, :, -1])
            lines.append(level_lines(axis, axis, w[:, :, j] - rest, 0.0))
        border.append((np.concatenate([x for x, _ in lines]), np.concatenate([y for _, y in lines])))
    path = [(s.sigma, kept.attribution(s.x[:1], s.sigma)[0]) for s in after]
    source = pool.attribution(before[-1].x).argmax(axis=1)
    mixture = pooled(shards(experts, separation, overlap), kept.shares + (kept.shares == 0) * 1e-300)
    fresh = mixture.sample(np.random.default_rng([seed, 2]), 20_000)
    uniform = np.full(N_UNION, 1 / N_UNION)
    return UnionMap(
        levels,
        axis,
        owner,
        tuple(border),
        np.array([c * after[k].x for k, c in zip(shown, shrink, strict=True)], dtype=np.float32),
        kept.attribution(after[-1].x).argmax(axis=1),
        np.array([c * constant[k].x for k, c in zip(shown, shrink, strict=True)], dtype=np.float32),
        before[-1].x[source == dropped_shard - 1].astype(np.float32),
        np.array([s for s, _ in path]),
        np.array([w for _, w in path]),
        exact.reach,
        dropped_shard,
        float(np.mean(pool.attribution(after[-1].x).argmax(axis=1) == dropped_shard - 1)),
        float(np.mean(pool.attribution(fresh).argmax(axis=1) == dropped_shard - 1)),
        exact.w1(after[-1].x, uniform),
        exact.w1(constant[-1].x, uniform),
    )
