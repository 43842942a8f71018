r"""Action matching on the line: a potential s(x, t) whose gradient moves a path of laws, from samples of the laws alone.

    minimize  E_0 s - E_1 s + int E_t[s_x^2/2 + s_t] dt            plain:       q_t = -(q s_x)_x
              … + int E_t[(g/2) s_xx] dt                           entropic:    q_t = -(q s_x)_x + (g/2) q_xx
              … + int E_t[s^2/2] dt                                unbalanced:  q_t = -(q s_x)_x + q s

With s = sum c_j psi_j all are quadratic: normal equations. Here psi are products of Gaussian bumps in x and Legendre polynomials
in t. Between snapshots the law is taken to be the mixture of its neighbors, linear in time, and integrals over time are exact:
then a function of time alone costs and gains nothing, as it must.

Exact optima, for a path of mixtures with masses w, means m and deviations v: plain s_x = -(d/dt of the distribution function)/q;
entropic adds (g/2) (log q)_x; unbalanced solves -(q s_x)_x + q s = q_t, a linear equation in x at each time.

References
----------
Neklyudov et al., "Action matching" (2023), paper 189: theorems 2.1 (plain), 3.1 (entropic) and 3.2 (unbalanced).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import polars as pl
from scipy.linalg import solve_banded
from scipy.special import ndtr

from compute.experiment import Result, experiment
from compute.parameters import Choice, LogInteger, LogReal, Real, Seed
from compute.transport_bridges.population_dynamics.setting import Array, Diffusion, NSnapshots

VARIANTS = ("plain", "entropic", "unbalanced")
Path = Annotated[
    str,
    Choice(
        "path of laws", options=("splitting", "moving", "growing"), help="Growing: two groups that stay, one of which gains mass."
    ),
]
Variant = Annotated[str, Choice("action matching", options=VARIANTS)]
NFeatures = Annotated[int, LogInteger("features", "p", low=20, high=400, help="Bumps in space times polynomials in time.")]
Samples = Annotated[int, LogInteger("samples", "n", low=50, high=2000, help="Seen in each snapshot of the path.")]
Ridge = Annotated[float, LogReal("ridge", r"\lambda", low=1e-8, high=0.1, help="Over the mean diagonal of the normal equations.")]
Moment = Annotated[float, Real("time shown", "t", low=0.0, high=1.0)]

HALF_WIDTH = 3.2  # of the part of the line that holds all laws
N_X, N_T = 49, 41
N_REPEATS = 5
COUNTS = (3, 4, 6, 9, 15, 30)
SEEN_DENSITY = 0.02


@dataclass(frozen=True)
class MovingMixture:
    """Laws q_t on the line: Gaussian components whose masses, means and deviations move.

    Parameters
    ----------
    at : callable
        From times (m,) to masses, means and deviations, each (m, K).
    """

    at: Callable[[Array], tuple[Array, Array, Array]]

    def rates(self, t: Array) -> tuple[Array, Array, Array]:
        """Time derivatives of the three; exact for what is at most quadratic in t."""
        h = 0.5
        return tuple(  # type: ignore[return-value]
            (after - before) / (2 * h) for after, before in zip(self.at(t + h), self.at(t - h), strict=True)
        )

    def sample(self, rng: np.random.Generator, t: Array, n: int) -> Array:
        """(m, n) independent particles at each of the times."""
        mass, mean, deviation = self.at(t)
        chosen = (rng.random((t.size, n, 1)) > np.cumsum(mass, axis=1)[:, None]).sum(axis=2)
        chosen = np.minimum(chosen, mass.shape[1] - 1)
        rows = np.arange(t.size)[:, None]
        return np.asarray(mean[rows, chosen] + deviation[rows, chosen] * rng.standard_normal((t.size, n)))

    def density(self, t: Array, x: Array) -> Array:
        """(m, n) at times (m,) and places (n,)."""
        mass, mean, deviation = self.at(t)
        z = (x[None, :, None] - mean[:, None]) / deviation[:, None]
        return np.asarray(np.sum(mass[:, None] / deviation[:, None] * _bell(z), axis=2))

    def score(self, t: Array, x: Array) -> Array:
        """(m, n) derivative of the log density."""
        mass, mean, deviation = (p[:, None] for p in self.at(t))
        z = (x[None, :, None] - mean) / deviation
        part = mass / deviation * _bell(z)
        return np.asarray(-np.sum(part * z / deviation, axis=2) / np.maximum(part.sum(axis=2), 1e-300))

    def flux(self, t: Array, x: Array) -> Array:
        """(m, n) of -d/dt of the distribution function: the flux of mass through x."""
        mass, mean, deviation = (p[:, None] for p in self.at(t))
        mass_rate, mean_rate, deviation_rate = (p[:, None] for p in self.rates(t))
        z = (x[None, :, None] - mean) / deviation
        return np.asarray(np.sum(mass / deviation * _bell(z) * (mean_rate + deviation_rate * z) - mass_rate * ndtr(z), axis=2))

    def velocity(self, t: Array, x: Array) -> Array:
        """(m, n): flux over density, the one velocity that moves all laws."""
        return np.asarray(self.flux(t, x) / np.maximum(self.density(t, x), 1e-300))

    def density_rate(self, t: Array, x: Array) -> Array:
        """(m, n) time derivative of the density."""
        mass, mean, deviation = (p[:, None] for p in self.at(t))
        mass_rate, mean_rate, deviation_rate = (p[:, None] for p in self.rates(t))
        z = (x[None, :, None] - mean) / deviation
        turn = z * mean_rate + (z**2 - 1) * deviation_rate
        return np.asarray(np.sum(_bell(z) / deviation * (mass_rate + mass * turn / deviation), axis=2))


def _bell(z: Array) -> Array:
    return np.asarray(np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi))


def path_of(name: str) -> MovingMixture:
    """The named path of laws over [0, 1]."""

    def at(t: Array) -> tuple[Array, Array, Array]:
        one, two = np.ones((t.size, 1)), np.ones((t.size, 2))
        side = np.array([-1.0, 1.0])
        if name == "moving":
            return one, (2.4 * t - 1.2)[:, None], (0.75 - 0.45 * t)[:, None]
        if name == "splitting":
            return 0.5 * two, 1.3 * t[:, None] * side, 0.42 * two
        return 0.5 * two + 0.4 * t[:, None] * side, 1.1 * two * side, 0.4 * two

    return MovingMixture(at)


def exact_action(path: MovingMixture, variant: str, g: float, t: Array, x: Array) -> tuple[Array, Array]:
    """Gradient s_x (m, n) of the optimum, and, unbalanced, s itself, else zeros; x evenly spaced."""
    if variant != "unbalanced":
        gradient = path.velocity(t, x) + (0.5 * g * path.score(t, x) if variant == "entropic" else 0.0)
        return np.asarray(gradient), np.zeros((t.size, x.size))
    fine = np.linspace(-2.2 * HALF_WIDTH, 2.2 * HALF_WIDTH, 2001)
    h = fine[1] - fine[0]
    q, rate = np.maximum(path.density(t, fine), 1e-12), path.density_rate(t, fine)
    middle = np.maximum(path.density(t, fine[:-1] + h / 2), 1e-12) / h**2
    growth = np.empty((t.size, x.size))
    gradient = np.empty((t.size, x.size))
    for k in range(t.size):
        band = np.zeros((3, fine.size))
        band[0, 1:], band[2, :-1] = -middle[k], -middle[k]
        band[1] = q[k]
        band[1, :-1] += middle[k]
        band[1, 1:] += middle[k]
        s = solve_banded((1, 1), band, rate[k])
        growth[k] = np.interp(x, fine, s)
        gradient[k] = np.interp(x, fine, np.gradient(s, h))
    return gradient, growth


@dataclass(frozen=True)
class Basis:
    """Products of bumps in x and polynomials in t.

    Parameters
    ----------
    centers : (n_x,) array
    width : float
    degree : int
        Of the polynomials, the highest.
    """

    centers: Array
    width: float
    degree: int

    def bumps(self, x: Array) -> tuple[Array, Array, Array]:
        """Values, first and second derivatives, (n_x, …) at x."""
        z = (x - self.centers.reshape(-1, *[1] * x.ndim)) / self.width
        value = np.exp(-0.5 * z**2)
        return value, -z * value / self.width, (z**2 - 1) * value / self.width**2

    def clocks(self, t: Array) -> tuple[Array, Array]:
        """Values and derivatives, (degree + 1, m) at t."""
        polynomials = [np.polynomial.Legendre.basis(k, [0, 1]) for k in range(self.degree + 1)]
        return np.array([p(t) for p in polynomials]), np.array([p.deriv()(t) for p in polynomials])


def basis_of(features: int) -> Basis:
    """About that many products."""
    degree = 3 if features < 60 else 4 if features < 160 else 5
    n = max(4, round(features / (degree + 1)))
    centers = np.linspace(-HALF_WIDTH, HALF_WIDTH, n)
    return Basis(centers, 1.1 * float(centers[1] - centers[0]), degree)


@dataclass(frozen=True)
class Action:
    """A fitted potential.

    Parameters
    ----------
    basis : Basis
    coefficients : (n_x, degree + 1) array
    """

    basis: Basis
    coefficients: Array

    def at(self, t: Array, x: Array) -> tuple[Array, Array]:
        """s and s_x, (m, n) at times (m,) and places (n,)."""
        value, slope, _ = self.basis.bumps(x)
        now = self.coefficients @ self.basis.clocks(t)[0]
        return np.asarray(now.T @ value), np.asarray(now.T @ slope)


def fit_action(
    basis: Basis,
    times: Array,
    moments: Callable[[int], tuple[Array, Array, Array, Array]],
    variant: str,
    g: float,
    ridge: float,
) -> Action:
    """Solve the normal equations.

    Parameters
    ----------
    basis : Basis
    times : (T,) array
    moments : callable
        From a snapshot's number to E psi (n_x,), E psi_xx (n_x,), E psi_x psi_x^T and E psi psi^T (n_x, n_x).
    variant, g
        See the module.
    ridge : float
        Over the mean diagonal.
    """
    n, clocks = basis.centers.size, basis.degree + 1
    ends = basis.clocks(times[[0, -1]])[0]
    pairs, rates, values = _hat_integrals(basis, times)
    gram, moment = np.zeros((n, clocks, n, clocks)), np.zeros((n, clocks))
    for k in range(times.size):
        mean, bend, slopes, squares = moments(k)
        quadratic = slopes + squares if variant == "unbalanced" else slopes
        gram += quadratic[:, None, :, None] * pairs[k][None, :, None, :]
        moment -= np.multiply.outer(mean, rates[k])
        if variant == "entropic":
            moment -= 0.5 * g * np.multiply.outer(bend, values[k])
        if k == 0:
            moment -= np.multiply.outer(mean, ends[:, 0])
        if k == times.size - 1:
            moment += np.multiply.outer(mean, ends[:, 1])
    flat = gram.reshape(n * clocks, n * clocks)
    flat[np.diag_indices_from(flat)] += ridge * np.trace(flat) / flat.shape[0]
    return Action(basis, np.asarray(np.linalg.solve(flat, moment.ravel()), dtype=float).reshape(n, clocks))


def _hat_integrals(basis: Basis, times: Array) -> tuple[Array, Array, Array]:
    """Integrals over time of each snapshot's hat function against tau tau^T, tau' and tau: (T, c, c), (T, c), (T, c)."""
    nodes, weights = np.polynomial.legendre.leggauss(8)
    share = (nodes + 1) / 2
    width = np.diff(times)
    t = times[:-1, None] + width[:, None] * share
    tau, rate = (v.reshape(-1, *t.shape) for v in basis.clocks(t.ravel()))
    clocks = basis.degree + 1
    pairs, rates, values = np.zeros((times.size, clocks, clocks)), np.zeros((times.size, clocks)), np.zeros((times.size, clocks))
    for side, hat in ((slice(0, -1), 1 - share), (slice(1, None), share)):
        w = 0.5 * weights * hat * width[:, None]
        pairs[side] += np.einsum("ikj,lkj,kj->kil", tau, tau, w)
        rates[side] += np.einsum("ikj,kj->ki", rate, w)
        values[side] += np.einsum("ikj,kj->ki", tau, w)
    return pairs, rates, values


def sample_moments(basis: Basis, samples: Array) -> Callable[[int], tuple[Array, Array, Array, Array]]:
    """Moments of snapshots (T, n)."""

    def moments(k: int) -> tuple[Array, Array, Array, Array]:
        value, slope, bend = basis.bumps(samples[k])
        n = samples.shape[1]
        return value.mean(axis=1), bend.mean(axis=1), slope @ slope.T / n, value @ value.T / n

    return moments


def law_moments(basis: Basis, path: MovingMixture, times: Array) -> Callable[[int], tuple[Array, Array, Array, Array]]:
    """The same of the laws themselves, by quadrature: infinitely many particles."""
    x = np.linspace(-1.6 * HALF_WIDTH, 1.6 * HALF_WIDTH, 601)
    value, slope, bend = basis.bumps(x)
    weights = path.density(times, x) * (x[1] - x[0])

    def moments(k: int) -> tuple[Array, Array, Array, Array]:
        w = weights[k]
        return value @ w, bend @ w, (slope * w) @ slope.T, (value * w) @ value.T

    return moments


def relative_error(action: Action, path: MovingMixture, variant: str, g: float, exact: tuple[Array, Array]) -> float:
    """Mean squared error of s_x (unbalanced: of s too), over times and laws, over that of zero; ``exact`` on ``error_grid``."""
    t, x = error_grid()
    weight = path.density(t, x)
    s, gradient = action.at(t, x)
    wrong = (gradient - exact[0]) ** 2
    whole = exact[0] ** 2
    if variant == "unbalanced":
        wrong, whole = wrong + (s - exact[1]) ** 2, whole + exact[1] ** 2
    return float(np.sum(weight * wrong) / np.sum(weight * whole))


def error_grid() -> tuple[Array, Array]:
    """Times (midpoints) and places over which errors are averaged."""
    return (np.arange(20) + 0.5) / 20, np.linspace(-HALF_WIDTH, HALF_WIDTH, 161)


@dataclass(frozen=True)
class ActionField(Result):
    """A learned potential over time and space.

    Parameters
    ----------
    time, place : (m,), (n,) arrays
    potential : (n, m) array
        Less its mean under each law (plain and entropic, where only its gradient means something).
    gradient, exact : (n, m) arrays
        s_x, learned and exact.
    growth, exact_growth : (n, m) arrays
        s, learned and exact, where mass may grow; else empty.
    density : (n, m) array
    seen_time, seen : (q,) arrays
        Some of the particles.
    shown : int
        Index of the time shown.
    variant : str
    relative : float
        Mean squared error over that of doing nothing.
    energy, exact_energy : float
        int E s_x^2/2 dt.
    """

    time: Array
    place: Array
    potential: Array
    gradient: Array
    exact: Array
    growth: Array
    exact_growth: Array
    density: Array
    seen_time: Array
    seen: Array
    shown: int
    variant: str
    relative: float
    energy: float
    exact_energy: float

    def table(self) -> pl.DataFrame:
        t, x = np.meshgrid(self.time, self.place)
        field = pl.DataFrame(
            {
                "time": t.ravel(),
                "x": x.ravel(),
                "density": self.density.ravel(),
                "potential": self.potential.ravel(),
                "gradient (learned)": self.gradient.ravel(),
                "gradient (exact)": self.exact.ravel(),
            }
        )
        if self.growth.size:
            field = field.with_columns(
                pl.Series("growth (learned)", self.growth.ravel()), pl.Series("growth (exact)", self.exact_growth.ravel())
            )
        dots = pl.DataFrame({"time": self.seen_time, "x": self.seen})
        return pl.concat([field, dots], how="diagonal")

    def headline(self) -> dict[str, float | str]:
        return {
            "error over doing nothing, mean square": self.relative,
            "energy of the learned motion": self.energy,
            "energy of the exact one": self.exact_energy,
        }


@experiment
def action_field(
    *,
    path: Path = "splitting",
    variant: Variant = "plain",
    snapshots: NSnapshots = 5,
    samples: Samples = 500,
    features: NFeatures = 60,
    ridge: Ridge = 0.01,
    diffusion: Diffusion = 0.02,
    moment: Moment = 0.5,
    seed: Seed = 0,
) -> ActionField:
    """The action fitted to snapshots of a path of laws, beside the exact one (Neklyudov et al. 2023)."""
    laws, basis = path_of(path), basis_of(features)
    rng = np.random.default_rng(seed)
    times = np.linspace(0, 1, snapshots)
    seen = laws.sample(rng, times, samples)
    action = fit_action(basis, times, sample_moments(basis, seen), variant, diffusion, ridge)
    time, place = np.linspace(0, 1, N_T), np.linspace(-HALF_WIDTH, HALF_WIDTH, N_X)
    density = laws.density(time, place)
    s, gradient = action.at(time, place)
    exact, exact_growth = exact_action(laws, variant, diffusion, time, place)
    grows = variant == "unbalanced"
    mean = np.sum(s * density, axis=1, keepdims=True) / density.sum(axis=1, keepdims=True)
    some = max(1, seen.size // 400)
    share = density / density.sum()
    error_exact = exact_action(laws, variant, diffusion, *error_grid())
    return ActionField(
        time,
        place,
        (s if grows else s - mean).T,
        gradient.T,
        exact.T,
        s.T if grows else np.empty(0),
        exact_growth.T if grows else np.empty(0),
        density.T,
        np.repeat(times, samples)[::some],
        seen.ravel()[::some],
        int(np.rint(moment * (N_T - 1))),
        variant,
        relative_error(action, laws, variant, diffusion, error_exact),
        float(0.5 * np.sum(share * gradient**2)),
        float(0.5 * np.sum(share * exact**2)),
    )


@dataclass(frozen=True)
class ActionErrors(Result):
    """Error of the action against the number of snapshots.

    Parameters
    ----------
    snapshots : (m,) array
    infinite : (m,) array
        With the laws themselves.
    finite : (r, m) array
        With n samples a snapshot, each repeat.
    samples, at : int
        n, and the reader's own number of snapshots.
    """

    snapshots: Array
    infinite: Array
    finite: Array
    samples: int
    at: int

    def table(self) -> pl.DataFrame:
        return pl.DataFrame(
            {
                "snapshots": self.snapshots,
                "error, infinitely many particles": self.infinite,
                "error, n samples, median": self.median,
                **{f"repeat {k + 1}": row for k, row in enumerate(self.finite)},
            }
        )

    @property
    def median(self) -> Array:
        """(m,) over repeats."""
        return np.asarray(np.median(self.finite, axis=0))

    def headline(self) -> dict[str, float | str]:
        limited = self.median > 2 * self.infinite
        return {
            f"error with {self.samples} samples each, {self.snapshots[-1]:.0f} snapshots": float(self.median[-1]),
            "the same with the laws themselves": float(self.infinite[-1]),
            "samples limit from": f"{self.snapshots[np.argmax(limited)]:.0f} snapshots" if limited.any() else "more snapshots",
        }


def _errors_seconds(samples: int, features: int, **_: Any) -> float:
    n = basis_of(features).centers.size
    return N_REPEATS * sum(COUNTS) * (2e-4 + 8e-9 * samples * n + 6e-9 * features**2)


@experiment(seconds=_errors_seconds)
def action_errors(
    *,
    path: Path = "splitting",
    variant: Variant = "plain",
    snapshots: NSnapshots = 5,
    samples: Samples = 500,
    features: NFeatures = 60,
    ridge: Ridge = 0.01,
    diffusion: Diffusion = 0.02,
    seed: Seed = 0,
) -> Iterator[tuple[float, ActionErrors]]:
    """Error of the fitted action against the number of snapshots, with n particles in each and with infinitely many."""
    laws, basis = path_of(path), basis_of(features)
    counts = np.array(COUNTS)
    exact = exact_action(laws, variant, diffusion, *error_grid())
    infinite = np.empty(counts.size)
    for k, count in enumerate(counts):
        times = np.linspace(0, 1, count)
        action = fit_action(basis, times, law_moments(basis, laws, times), variant, diffusion, ridge)
        infinite[k] = relative_error(action, laws, variant, diffusion, exact)
    rng = np.random.default_rng(seed)
    done: list[list[float]] = []
    for repeat in range(N_REPEATS):
        row = []
        for count in counts:
            times = np.linspace(0, 1, count)
            moments = sample_moments(basis, laws.sample(rng, times, samples))
            fitted = fit_action(basis, times, moments, variant, diffusion, ridge)
            row.append(relative_error(fitted, laws, variant, diffusion, exact))
        done.append(row)
        yield (repeat + 1) / N_REPEATS, ActionErrors(counts.astype(float), infinite, np.array(done), samples, snapshots)
