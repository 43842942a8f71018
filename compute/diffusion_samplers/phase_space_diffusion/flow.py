"""Phase-space diffusion run backward: particles in the plane (x, m), the cost of each integrator, and its stability."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute.diffusion_samplers.phase_space_diffusion import bridge_law
from compute.diffusion_samplers.phase_space_diffusion import integrators as it
from compute.diffusion_samplers.phase_space_diffusion.process import (
    BETA,
    DATA,
    FIRST_TIME,
    HORIZON,
    MOMENTUM_START,
    Friction,
    Gamma,
    InverseMass,
    lifted,
    phase_space,
    regime,
    variance_preserving,
)
from compute.experiment import Result, experiment
from compute.methods.distance_to_target import Target
from compute.models.diffusion_setting import Separation, mixture_of, target_of
from compute.models.gaussian_mixture import WIDTH
from compute.models.linear_sde import LiftedMixture
from compute.parameters import Choice, LogInteger, Real, Seed

Array = NDArray[np.float64]

Nfe = Annotated[int, LogInteger("evaluations", "n", low=5, high=500, help="Evaluations of the score for one sample.")]
IntegratorName = Annotated[str, Choice("integrator", options=tuple(it.INTEGRATORS), help="Of the reverse flow; see below.")]
ConjugateLambda = Annotated[
    float,
    Real(
        "conjugate shift", r"\lambda", low=-2.0, high=2.0, help="B = λβ/2 times the matrix below; 0 is the exponential integrator."
    ),
]
ConjugateMatrix = Annotated[str, Choice("shift matrix", options=("identity", "ones"), help="B is a multiple of I or of 11ᵀ.")]
BridgeNoise = Annotated[float, Real("bridge noise", "g", low=0.0, high=3.0, help="Noise put on the velocity of the bridge.")]
StartCorrelation = Annotated[
    float, Real("start correlation", "k", low=-0.9, high=0.9, help="Between first position and first velocity of the bridge.")
]

N_PARTICLES = 800
MAX_FRAMES = 26
N_PATHS = 30


def shift_of(conjugate_lambda: float, conjugate_matrix: str) -> Array:
    """B of the conjugate integrator."""
    return 0.5 * BETA * conjugate_lambda * (np.eye(2) if conjugate_matrix == "identity" else np.ones((2, 2)))


def run_of(law: LiftedMixture, inverse_mass: float, shift: Array, seed: int) -> it.Run:
    return it.Run(law, np.random.default_rng([seed, 2]), np.diag([0.0, MOMENTUM_START / inverse_mass]), shift)


def start_of(inverse_mass: float, n: int, seed: int) -> Array:
    """(n, 2) draws of N(0, 1) x N(0, M)."""
    return np.random.default_rng([seed, 1]).standard_normal((n, 2)) * [1.0, inverse_mass**-0.5]


# --- particles in the plane -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class PhaseFlow(Result):
    """Particles of one reverse run in (x, m/sqrt(M)), time by time; the last frame is the denoised sample."""

    time: Array  # (n_frames,)
    x: NDArray[np.float32]  # (n_frames, n)
    momentum: NDArray[np.float32]  # (n_frames, n) over sqrt(M)
    mode: NDArray[np.int64]  # (n,)
    ellipses: Array  # (n_frames, 2, n_outline) two standard deviations of each component of the exact law
    centers: Array  # (n_bins,)
    density: Array  # (n_frames, n_bins)
    density_error: Array  # (n_frames, n_bins)
    curve: Array  # (n_curve,)
    exact: Array  # (n_frames, n_curve)
    limits: tuple[float, float]
    integrator: str
    evaluations: int
    regime: str
    error: float
    floor: float
    mode_error: float

    def table(self) -> pl.DataFrame:
        particles = pl.DataFrame(
            {
                "x": self.x[-1].astype(float),
                "momentum_over_sqrt_mass": self.momentum[-1].astype(float),
                "mode": self.mode,
            }
        )
        bins = pl.DataFrame(
            {"bin_center": self.centers, "density": self.density[-1], "density_standard_error": self.density_error[-1]}
        )
        law = pl.DataFrame({"law_at_x": self.curve, "exact_density": self.exact[-1]})
        return pl.concat([particles, bins, law], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        return {
            "W₁ to the data": self.error,
            "W₁ of exact samples (noise floor)": self.floor,
            "mass in the wrong mode": self.mode_error,
            "damping": self.regime,
            "evaluations used": float(self.evaluations),
        }


@experiment
def phase_flow(
    *,
    separation: Separation = 3.0,
    gamma: Gamma = 0.3,
    friction: Friction = 4.0,
    inverse_mass: InverseMass = 4.0,
    integrator: IntegratorName = "reduced split",
    nfe: Nfe = 60,
    conjugate_lambda: ConjugateLambda = 0.5,
    conjugate_matrix: ConjugateMatrix = "ones",
    seed: Seed = 0,
) -> PhaseFlow:
    """Phase-space diffusion (147) run backward by one integrator (207), with the exact law at each time.

    Data: three unequal modes on the line, momentum N(0, 0.04 M); beta = 8, T = 1. Times are even in sqrt(t) down to 0.001;
    the last evaluation returns E[x_0 | z]. States that run away are held at 10^6.
    """
    mixture, law, chosen = (
        mixture_of(DATA, separation),
        lifted(gamma, friction, inverse_mass, separation),
        it.INTEGRATORS[integrator],
    )
    n_steps = chosen.n_steps(nfe)
    times = it.time_grid(n_steps, HORIZON, FIRST_TIME)
    run = run_of(law, inverse_mass, shift_of(conjugate_lambda, conjugate_matrix), seed)
    states = it.path(chosen.step, run, start_of(inverse_mass, N_PARTICLES, seed), times)
    end = np.clip(law.denoise(states[-1], FIRST_TIME), -it.BOUND, it.BOUND)
    kept = np.unique(np.rint(np.linspace(0, n_steps, min(n_steps + 1, MAX_FRAMES - 1))).astype(int))
    shown = [*(states[k] for k in kept), end]
    time = np.append(times[kept], 0.0)
    final = end[:, :1]
    owner = mixture.responsibilities(final).argmax(axis=1)
    target, floor, _ = target_of(mixture, N_PARTICLES)

    low = min(-3.2, mixture.means.min() - 4 * WIDTH)
    high = max(3.2, mixture.means.max() + 4 * WIDTH)
    edges = np.linspace(low, high, 61)
    width = edges[1] - edges[0]
    share = np.stack([np.histogram(z[:, 0], edges)[0] for z in shown]) / N_PARTICLES
    curve = np.linspace(low, high, 241)
    laws = [law.at(float(t)) for t in time]
    exact = np.stack([lifted_law.along(np.array([1.0, 0.0])).pdf(curve) for lifted_law in laws])
    scale = np.array([1.0, inverse_mass**0.5])
    return PhaseFlow(
        time,
        np.stack([z[:, 0] for z in shown]).astype(np.float32),
        np.stack([z[:, 1] * scale[1] for z in shown]).astype(np.float32),
        owner,
        np.stack([_outlines(lifted_law.means, lifted_law.factor, scale) for lifted_law in laws]),  # type: ignore[attr-defined]
        0.5 * (edges[1:] + edges[:-1]),
        share / width,
        np.sqrt(share * (1 - share) / N_PARTICLES) / width,
        curve,
        exact,
        (float(low), float(high)),
        integrator,
        n_steps * chosen.evaluations + 1,
        regime(gamma, friction, inverse_mass),
        target.w1(final),
        floor,
        float(0.5 * np.abs(np.bincount(owner, minlength=mixture.n_components) / N_PARTICLES - mixture.weights).sum()),
    )


def _outlines(means: Array, factor: Array, scale: Array) -> Array:
    """(2, n) ellipses at two standard deviations, one after another, broken by NaN."""
    angle = np.linspace(0, 2 * np.pi, 41)
    circle = 2 * np.stack([np.cos(angle), np.sin(angle)], axis=1) @ factor.T
    gap = np.full((1, 2), np.nan)
    return (np.concatenate([part for mean in means for part in (mean + circle, gap)]) * scale).T


# --- errors against evaluations ---------------------------------------------------------------------------------

BUDGETS = (10, 16, 25, 40, 64, 100, 160, 250)
N_ENDPOINTS, N_COMPARED, N_REPEATS, REFERENCE_STEPS = 300, 1000, 8, 250
VP_DDIM, VP_HEUN = "VP, DDIM", "VP, Heun"
CLD, PSLD = "CLD (Γ = 0)", "PSLD"
BRIDGE_SDE, BRIDGE_ODE = "bridge, SDE", "bridge, ODE"


@dataclass(frozen=True)
class ErrorCurve:
    """One integrator or process over the budgets."""

    name: str
    evaluations: Array  # (n,)
    endpoint: Array  # (n,) mean |x - x_exact| over the data's scale; empty where there is no exact endpoint
    w1: Array  # (n,) mean over the repeats; empty where not drawn
    w1_error: Array  # (n,) its standard error

    @property
    def order(self) -> float | None:
        """Slope of the last four points; none where there are no endpoints or they run away."""
        if self.endpoint.size < 4 or self.endpoint[-4] > 1:
            return None
        return float(-np.polyfit(np.log(self.evaluations[-4:]), np.log(self.endpoint[-4:]), 1)[0])


@dataclass(frozen=True)
class OrderStudy(Result):
    """Endpoint errors of the integrators, and distances to the data of the processes."""

    integrators: tuple[ErrorCurve, ...]
    processes: tuple[ErrorCurve, ...]
    floor: float
    floor_spread: float
    chosen: str

    def table(self) -> pl.DataFrame:
        rows = []
        for curve in (*self.integrators, *self.processes):
            rows += [
                {
                    "name": curve.name,
                    "evaluations": float(n),
                    "endpoint_error_over_data_std": float(curve.endpoint[i]) if curve.endpoint.size else None,
                    "w1": float(curve.w1[i]) if curve.w1.size else None,
                    "w1_standard_error": float(curve.w1_error[i]) if curve.w1.size else None,
                    "w1_noise_floor": self.floor,
                }
                for i, n in enumerate(curve.evaluations)
            ]
        kinds = {"name": pl.String} | dict.fromkeys(
            ("evaluations", "endpoint_error_over_data_std", "w1", "w1_standard_error", "w1_noise_floor"), pl.Float64
        )
        return pl.DataFrame(rows, schema=kinds)

    def headline(self) -> dict[str, float | str]:
        order = next((c.order for c in self.integrators if c.name == self.chosen), None)
        found: dict[str, float | str] = {
            f"fitted order of {self.chosen}": "no endpoint error to fit" if order is None else order,
        }
        for curve in self.processes:
            enough = curve.evaluations[curve.w1 <= 1.5 * self.floor]
            found[f"evaluations to 1.5 floors: {curve.name}"] = float(enough[0]) if enough.size else "more than 250"
        return found


def distances(target: Target, samples: list[Array]) -> tuple[Array, Array]:
    """Mean over the repeats of W1 to the data, and its standard error, of each sample of N_REPEATS N_COMPARED particles."""
    w1 = np.array([[target.w1(part) for part in np.split(sample, N_REPEATS)] for sample in samples])
    return w1.mean(axis=1), w1.std(axis=1, ddof=1) / np.sqrt(N_REPEATS)


@experiment(seconds=lambda **_: 1.6)
def order_study(
    *,
    separation: Separation = 3.0,
    gamma: Gamma = 0.3,
    friction: Friction = 4.0,
    inverse_mass: InverseMass = 4.0,
    integrator: IntegratorName = "reduced split",
    conjugate_lambda: ConjugateLambda = 0.5,
    conjugate_matrix: ConjugateMatrix = "ones",
    bridge_noise: BridgeNoise = 1.0,
    start_correlation: StartCorrelation = 0.0,
    seed: Seed = 0,
) -> Iterator[tuple[float, OrderStudy]]:
    """Errors against evaluations: integrators by the endpoint they reach, processes by W1 to the data.

    Endpoint error: mean distance to a 250-step RK4 run of the same flow from the same points, over the data's standard
    deviation; it has no sampling noise and, unlike a root mean square, it is proportional to the mass that changes modes.
    W1 is the mean of eight samples of 1000. The chosen integrator runs CLD (Gamma = 0 at the same friction and mass) and PSLD; DDIM and Heun run VP with the same
    beta; the bridge takes its exponential steps.
    """
    mixture = mixture_of(DATA, separation)
    target, floor, spread = target_of(mixture, N_COMPARED)
    spread = spread / np.sqrt(N_REPEATS)
    shift = shift_of(conjugate_lambda, conjugate_matrix)
    integrators: list[ErrorCurve] = []
    processes: list[ErrorCurve] = []
    law = lifted(gamma, friction, inverse_mass, separation)

    def ends(method: it.Integrator, law: LiftedMixture, n_steps: int, start: Array) -> Array:
        shift_here = shift if law.sde.dimension == 2 else np.zeros((1, 1))
        run = run_of(law, inverse_mass, shift_here, seed)
        if law.sde.dimension == 1:
            run.kernel_start = np.zeros((1, 1))
        z = it.path(method.step, run, start, it.time_grid(n_steps, HORIZON, FIRST_TIME))[-1]
        return np.clip(law.denoise(z, FIRST_TIME), -it.BOUND, it.BOUND)[:, :1]

    def sizes(method: it.Integrator) -> list[int]:
        return sorted({method.n_steps(budget) for budget in BUDGETS})

    start = start_of(inverse_mass, N_ENDPOINTS, seed)
    exact = ends(it.RK4, law, REFERENCE_STEPS, start)
    smooth = [method for method in it.INTEGRATORS.values() if not method.is_random]
    n_all = len(smooth) + 6
    for method in smooth:
        gaps = [np.mean(np.abs(ends(method, law, n, start) - exact)) / mixture.scale for n in sizes(method)]
        used = np.array([n * method.evaluations + 1.0 for n in sizes(method)])
        integrators.append(ErrorCurve(method.name, used, np.array(gaps), np.empty(0), np.empty(0)))
        yield len(integrators) / n_all, OrderStudy(tuple(integrators), (), floor, spread, integrator)

    flat = LiftedMixture.of_data(variance_preserving(), mixture)
    many = start_of(inverse_mass, N_REPEATS * N_COMPARED, seed)
    chosen = it.INTEGRATORS[integrator]
    jobs = (
        (VP_DDIM, it.Integrator("DDIM", it.conjugate, 1, 1), flat, many[:, :1]),
        (VP_HEUN, it.HEUN, flat, many[:, :1]),
        (CLD, chosen, lifted(0.0, friction, inverse_mass, separation), many),
        (PSLD, chosen, law, many),
    )
    for name, method, process, points in jobs:
        w1, error = distances(target, [ends(method, process, n, points) for n in sizes(method)])
        used = np.array([n * method.evaluations + 1.0 for n in sizes(method)])
        processes.append(ErrorCurve(name, used, np.empty(0), w1, error))
        done = (len(smooth) + len(processes)) / n_all
        yield done, OrderStudy(tuple(integrators), tuple(processes), floor, spread, integrator)
    setting = bridge_law.Bridge(mixture, bridge_noise, start_correlation)
    for name, is_random in ((BRIDGE_SDE, True), (BRIDGE_ODE, False)):
        found = [bridge_law.sample(setting, n, N_REPEATS * N_COMPARED, is_random, seed)[-1].estimate for n in BUDGETS]
        w1, error = distances(target, found)
        processes.append(ErrorCurve(name, np.array(BUDGETS, float), np.empty(0), w1, error))
        done = (len(smooth) + len(processes)) / n_all
        yield done, OrderStudy(tuple(integrators), tuple(processes), floor, spread, integrator)


# --- stability of the conjugate integrator ------------------------------------------------------------------------

MAP_LAMBDA = np.linspace(-2.0, 2.0, 25)
MAP_NFE = np.array([8, 11, 16, 23, 32, 45, 64, 90, 128, 180])


@dataclass(frozen=True)
class StabilityMap(Result):
    """Exact error of the conjugate integrator on Gaussian data over (lambda, evaluations)."""

    conjugate_lambda: Array  # (n_x,)
    nfe: Array  # (n_y,)
    error: Array  # (n_y, n_x) RMS endpoint error over the data's standard deviation
    radius: Array  # (n_y, n_x) largest spectral radius of a one-step map in units of the exact law
    best_lambda: Array  # (n_y,)
    at: tuple[float, int]
    at_error: float
    at_radius: float
    plain_error: float  # at lambda = 0

    def table(self) -> pl.DataFrame:
        x, y = np.meshgrid(self.conjugate_lambda, self.nfe)
        cells = pl.DataFrame(
            {
                "conjugate_lambda": x.ravel(),
                "nfe": y.ravel().astype(float),
                "endpoint_error_over_data_std": self.error.ravel(),
                "log10_endpoint_error": np.log10(self.error).ravel(),
                "one_step_spectral_radius": self.radius.ravel(),
            }
        )
        best = pl.DataFrame({"nfe": self.nfe.astype(float), "best_lambda": self.best_lambda})
        return pl.concat([cells, best], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        lam, nfe = self.at
        return {
            f"endpoint error ÷ data s.d. at λ = {lam:.3g}, {nfe} evaluations": self.at_error,
            "the same at λ = 0": self.plain_error,
            "largest one-step spectral radius": self.at_radius,
        }


def linear_error(gamma: float, friction: float, inverse_mass: float, shifts: Array, n_steps: int) -> tuple[Array, Array]:
    """RMS endpoint error and largest one-step spectral radius of the conjugate integrator on N(0, 0.3^2) data.

    With score -C_t^{-1} z every step is a matrix. In units u = L_t^{-1} z of the exact law, L_t L_t^T = C_t, the exact flow is a
    rotation: a one-step map of spectral radius above 1 there is growth that the flow does not have.

    Returns
    -------
    error, radius : (n_shifts,) arrays
    """
    sde = phase_space(gamma, friction, inverse_mass)
    times = it.time_grid(n_steps, HORIZON, FIRST_TIME)
    aux = MOMENTUM_START / inverse_mass
    linear, gain = it.conjugate_maps(sde, np.diag([0.0, aux]), shifts, times)
    a, noise = sde.transition(times)
    covariance = a @ np.diag([WIDTH**2, aux]) @ np.swapaxes(a, -1, -2) + noise
    factor = np.linalg.cholesky(covariance)
    steps = linear - gain @ np.linalg.inv(covariance[:-1])
    units = np.linalg.inv(factor[1:]) @ steps @ factor[:-1]
    radius = np.abs(np.linalg.eigvals(units)).max(axis=(1, 2))
    whole = np.broadcast_to(np.eye(2), (len(shifts), 2, 2))
    for i in range(n_steps):
        whole = steps[:, i] @ whole
    exact = exact_flow(gamma, friction, inverse_mass)
    gap = ((whole - exact) @ factor[0])[:, 0]
    return np.sqrt(np.sum(gap**2, axis=1)) / WIDTH, radius


@lru_cache(maxsize=64)
def exact_flow(gamma: float, friction: float, inverse_mass: float) -> Array:
    """(2, 2) map of the reverse flow from the horizon to the first time on N(0, 0.3^2) data, by 250 RK4 steps in sqrt(t)."""
    sde = phase_space(gamma, friction, inverse_mass)
    n, aux = 250, MOMENTUM_START / inverse_mass
    u = np.linspace(np.sqrt(HORIZON), np.sqrt(FIRST_TIME), 2 * n + 1)
    a, noise = sde.transition(u**2)
    covariance = a @ np.diag([WIDTH**2, aux]) @ np.swapaxes(a, -1, -2) + noise
    field = 2 * u[:, None, None] * (sde.drift + 0.5 * sde.diffusion @ np.linalg.inv(covariance))
    h, whole = u[2] - u[0], np.eye(2)
    for i in range(0, 2 * n, 2):
        k1 = field[i] @ whole
        k2 = field[i + 1] @ (whole + 0.5 * h * k1)
        k3 = field[i + 1] @ (whole + 0.5 * h * k2)
        k4 = field[i + 2] @ (whole + h * k3)
        whole = whole + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return whole


@experiment
def stability_map(
    *,
    gamma: Gamma = 0.3,
    friction: Friction = 4.0,
    inverse_mass: InverseMass = 4.0,
    nfe: Nfe = 60,
    conjugate_lambda: ConjugateLambda = 0.5,
    conjugate_matrix: ConjugateMatrix = "ones",
) -> StabilityMap:
    """Error and stability of the conjugate integrator (207, its section 3) on a linear score, exact: no sampling.

    Data N(0, 0.3^2), one coordinate; the grid of the sampler, without its last denoising.
    """
    shifts = np.stack([shift_of(lam, conjugate_matrix) for lam in MAP_LAMBDA])
    found = [linear_error(gamma, friction, inverse_mass, shifts, int(n)) for n in MAP_NFE]
    error, radius = (np.stack(part) for part in zip(*found, strict=True))
    here = np.stack([shift_of(conjugate_lambda, conjugate_matrix), np.zeros((2, 2))])
    at, at_radius = linear_error(gamma, friction, inverse_mass, here, nfe)
    return StabilityMap(
        MAP_LAMBDA,
        MAP_NFE,
        np.minimum(error, it.BOUND),
        np.minimum(radius, it.BOUND),
        MAP_LAMBDA[error.argmin(axis=1)],
        (conjugate_lambda, nfe),
        float(min(at[0], it.BOUND)),
        float(at_radius[0]),
        float(min(at[1], it.BOUND)),
    )
