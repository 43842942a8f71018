r"""A forward process that is fitted and not given: how data dissolve into noise, bent so that the flow back is straight.

In this lab's time, noise at t = 0 and data at t = 1, a point x is seen at time t as

    z_t = t x + t (1 - t) m(x, t) + sigma_t e,    m(x, t) = sum_jq c_qj P_q(2 t - 1) rbf_j(x),    sigma_t = 1 - t + delta t,

with Legendre's polynomials P_q: the linear process where c = 0. With mu_t(x) its mean and mu' the time derivative, x carries the conditional velocity and score

    f(z, t | x) = mu' + (sigma'/sigma)(z - mu),        s(z, t | x) = -(z - mu)/sigma^2,

and the flow of all data has v = E[f | z_t], the posterior of x given z_t taken on a grid. Paths of
dz = (f + g^2 s/2) dt + g dw keep each q(z_t | x); a generator with the drift E[f + g^2 s/2 | z_t], which starts at N(0, 1) and
ends by p(x | z_1) = N(x; z_1, delta^2), has by Girsanov's formula

    -E log p(x) <= log(2 pi e delta^2)/2 + int E Var(f + g^2 s/2 | z_t)/(2 g^2) dt,

and the best g_t makes the integrand (C + sqrt(F S))/2 of the mean posterior variances F of f and S of s and their covariance C.
By the inequality between paths and their ends the bound is never below the entropy of x + delta e, and for the linear process,
whose integrand is mmse/2 times the rate of t^2/sigma^2, it is that entropy by the I-MMSE relation. What is fitted is

    bound + weight int E (dv/dt + v dv/dz)^2 dt,

whose second term, the bending, is 0 for a flow of straight lines at even speed.

References
----------
Bartosh, Vetrov & Naesseth, "Neural flow diffusion models: learnable forward process for improved diffusion modelling" (2024),
paper 228 of the catalogue. There the conditional drift is taken at a predicted x; here it is averaged over x, which is the same
where m = 0 and otherwise the least bound.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
import polars as pl
from numpy.polynomial import Legendre, Polynomial
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import ndtr, ndtri

from compute.experiment import Result, experiment
from compute.models.gaussian_mixture import GaussianMixture
from compute.parameters import Choice, Integer, LogInteger, Real
from compute.transport_bridges.straight_flows.couplings import data_law
from compute.transport_bridges.straight_flows.views import Data, Steps

Array = NDArray[np.float64]

END_NOISE = 0.05
N_DATA = 120
N_PLACES = 81
N_TIMES = 20
N_TIME_FUNCTIONS = 2
TAILS = 4.5  # deviations of a component beyond the outermost means


@dataclass(frozen=True, eq=False)
class ForwardProcess:
    """Data on a grid and what bends their way to noise.

    Parameters
    ----------
    x, weight : (n,) arrays
        Grid of the data and its probabilities.
    center : (J,) array
        Of the radial basis functions; they are as wide as two neighbors are apart.
    mean_coefficients, scale_coefficients : (Q, J) arrays
        Of m and of n.
    """

    x: Array
    weight: Array
    center: Array
    mean_coefficients: Array
    scale_coefficients: Array

    def fitted(self, flat: Array) -> ForwardProcess:
        """The same with coefficients (Q J,) of the mean alone, or (2 Q J,) of the mean and then the scale."""
        shape = self.mean_coefficients.shape
        mean, scale = flat[: shape[0] * shape[1]], flat[shape[0] * shape[1] :]
        return replace(
            self,
            mean_coefficients=mean.reshape(shape),
            scale_coefficients=scale.reshape(shape) if scale.size else np.zeros(shape),
        )

    def at(self, t: Array, x: Array | None = None) -> Conditional:
        """Mean and scale at times (T,), of the grid or of points x (n,)."""
        x = self.x if x is None else x
        basis = rbf(x, self.center).T
        mean, scale = self.mean_coefficients @ basis, self.scale_coefficients @ basis
        value, first, second = time_functions(t, len(mean))
        base = 1 - t + END_NOISE * t
        fall = ((END_NOISE - 1) / base)[:, None]
        return Conditional(
            np.multiply.outer(t, x) + value @ mean,
            x + first @ mean,
            second @ mean,
            base[:, None] * np.exp(np.clip(value @ scale, -6.0, 6.0)),  # far from any fit: keeps a line search finite
            fall + first @ scale,
            second @ scale - fall**2,
        )


@dataclass(frozen=True, eq=False)
class Conditional:
    """q(z_t | x) at times and points: arrays (T, n).

    Parameters
    ----------
    mean, mean_rate, mean_change : arrays
        mu and its first two derivatives in t.
    scale, fall, fall_change : arrays
        sigma, sigma'/sigma, and the derivative of that.
    """

    mean: Array
    mean_rate: Array
    mean_change: Array
    scale: Array
    fall: Array
    fall_change: Array


def time_functions(t: Array, n: int) -> tuple[Array, Array, Array]:
    """(T, n) t (1 - t) P_q(2 t - 1), q = 0 … n - 1, with two derivatives."""
    gate = Polynomial([0.0, 1.0, -1.0])
    found = [gate * Legendre.basis(q, domain=[0, 1]).convert(kind=Polynomial, domain=[-1, 1]) for q in range(n)]
    return tuple(np.stack([f.deriv(k)(t) for f in found], axis=-1) for k in range(3))  # type: ignore[return-value]


def rbf(x: Array, center: Array) -> Array:
    """(n, J) Gaussians of height 1."""
    width = center[1] - center[0] if center.size > 1 else 2.0
    return np.asarray(np.exp(-0.5 * ((x[:, None] - center) / width) ** 2))


def forward_process(law: GaussianMixture, n_basis: int, n_time: int = N_TIME_FUNCTIONS) -> ForwardProcess:
    """The linear process of a law on the line, with room for n_time times n_basis functions between its tails."""
    low, high = law.means.min() - TAILS * law.width, law.means.max() + TAILS * law.width
    x = np.linspace(low, high, N_DATA)
    weight = law.pdf(x)
    edge = 0.75
    center = np.linspace(edge * low, edge * high, n_basis) if n_basis > 1 else np.zeros(1)
    flat = np.zeros((n_time, n_basis))
    return ForwardProcess(x, weight / weight.sum(), center, flat, flat)


@dataclass(frozen=True, eq=False)
class Moments:
    """What z_t tells of its x, at times (T,) and places (T, P).

    Parameters
    ----------
    density, velocity, acceleration : (T, P) arrays
        Of z_t; v; dv/dt + v dv/dz.
    rate : (T,) array
        The bound's integrand, (C + sqrt(F S))/2.
    """

    density: Array
    velocity: Array
    acceleration: Array
    rate: Array


def moments(process: ForwardProcess, t: Array, place: Array) -> Moments:
    """Posterior averages over the grid of x; see ``Moments``.

    With f' = df/dz = sigma'/sigma the posterior r obeys, along the flow, Dr/Dt = r (v' - f' - s (f - v)), so that
    acceleration = E[df/dt + f' (v - f) + f v' - f s (f - v)] and v' = E[f'] + Cov(f, s).
    """
    q = process.at(t)
    fall, scale = q.fall[:, None, :], q.scale[:, None, :]
    rate = q.mean_rate[:, None, :]
    away = place[:, :, None] - q.mean[:, None, :]
    each = np.exp(-0.5 * (away / scale) ** 2) * (process.weight / scale)
    total = each.sum(axis=2)
    each /= np.maximum(total, 1e-300)[:, :, None]

    def average(value: Array) -> Array:
        return np.asarray(np.einsum("tpn,tpn->tp", each, value))

    f = rate + fall * away
    s = -away / scale**2
    v = average(f)
    f_off, s_off = f - v[:, :, None], s - average(s)[:, :, None]
    flow_slope = np.einsum("tpn,tn->tp", each, q.fall) + average(f_off * s_off)
    change = q.mean_change[:, None, :] + q.fall_change[:, None, :] * away - fall * rate
    acceleration = average(change - f_off * (fall + f * s)) + v * flow_slope
    share = total / np.maximum(total.sum(axis=1, keepdims=True), 1e-300)
    f_var, s_var, both = (np.sum(share * average(w), axis=1) for w in (f_off**2, s_off**2, f_off * s_off))
    return Moments(total / np.sqrt(2 * np.pi), v, acceleration, 0.5 * (both + np.sqrt(f_var * s_var)))


def places(process: ForwardProcess, t: Array, n: int = N_PLACES) -> Array:
    """(T, n) evenly spaced over all but the far tails of z_t."""
    q = process.at(t)
    low, high = (q.mean - 3.5 * q.scale).min(axis=1), (q.mean + 3.5 * q.scale).max(axis=1)
    return np.asarray(low[:, None] + (high - low)[:, None] * np.linspace(0, 1, n))


def time_nodes(n: int = N_TIMES) -> tuple[Array, Array]:
    """Gauss–Legendre on [0, 1]."""
    node, weight = np.polynomial.legendre.leggauss(n)
    return (node + 1) / 2, weight / 2


def bound_and_bending(process: ForwardProcess, n_times: int = N_TIMES, n_places: int = N_PLACES) -> tuple[float, float]:
    """The bound on -E log p, in nats, and the bending."""
    t, weight = time_nodes(n_times)
    now = moments(process, t, places(process, t, n_places))
    share = now.density / now.density.sum(axis=1, keepdims=True)
    bend = np.sum(share * now.acceleration**2, axis=1)
    end = 0.5 * (1 + np.log(2 * np.pi * END_NOISE**2))
    return float(end + weight @ now.rate), float(weight @ bend)


def euler_steps(process: ForwardProcess, start: Array, n_steps: int) -> Array:
    """(n_steps + 1, n) positions of Euler's method along v, from starts (n,)."""
    path = [np.asarray(start, dtype=float)]
    for k in range(n_steps):
        path.append(path[-1] + moments(process, np.array([k / n_steps]), path[-1][None]).velocity[0] / n_steps)
    return np.array(path)


def flow_paths(process: ForwardProcess, level: Array, t: Array) -> Array:
    """(T, n_levels) exact paths: on the line the flow keeps every particle's level."""
    place = places(process, t, 321)
    q = process.at(t)
    z = (place[:, :, None] - q.mean[:, None, :]) / q.scale[:, None, :]
    share = ndtr(z) @ process.weight
    return np.stack([np.interp(level, row, at) for row, at in zip(share, place, strict=True)])


def fit(
    process: ForwardProcess, weight: float, iterations: int, with_scale: bool, chunk: int = 10
) -> Iterator[tuple[int, ForwardProcess]]:
    """Fit coefficients to bound + weight bending by BFGS from the process given; yields (iterations done, process so far)."""
    start = [process.mean_coefficients.ravel(), process.scale_coefficients.ravel()]
    flat = np.concatenate(start if with_scale else start[:1])

    def objective(flat: Array) -> float:
        bound, bending = bound_and_bending(process.fitted(flat))
        return bound + weight * bending

    done, curvature = 0, None
    while done < iterations:
        now = min(chunk, iterations - done)
        found = minimize(objective, flat, method="BFGS", options={"maxiter": now, "hess_inv0": curvature})
        flat = found.x
        # Rounding makes it a little unsymmetric, which the next start would refuse.
        curvature = 0.5 * (found.hess_inv + found.hess_inv.T)
        settled = found.nit < now
        done = iterations if settled else done + now
        yield done, process.fitted(flat)


# --- the view ---------------------------------------------------------------------------------------------

LINEAR, LEARNED = "linear", "learned"
BOTH, MEAN_ONLY = "mean and scale", "mean"
NUMBERS = np.array([1, 2, 4, 8, 16, 32])
TIME = np.linspace(0, 1, 33)
FLOW_LEVELS = (np.arange(21) + 0.5) / 21
JUDGED = (np.arange(100) + 0.5) / 100
SEEN_LEVELS, SEEN_NOISE = np.array([0.08, 0.3, 0.5, 0.7, 0.92]), np.array([-1.0, 0.0, 1.0])
LEAST_W1 = 1e-4

Weight = Annotated[
    float,
    Real("bending weight", r"\lambda", low=0.0, high=10.0, help="What a unit of bending costs, in nats; 0: likelihood alone."),
]
Learned = Annotated[str, Choice("what is learned", options=(BOTH, MEAN_ONLY), help="Of the conditional law of z_t given x.")]
Basis = Annotated[int, Integer("radial basis functions", "J", low=1, high=10, help="Each with two functions of time.")]
Iterations = Annotated[int, LogInteger("iterations of BFGS", low=1, high=100)]


@dataclass(frozen=True)
class LearnedForward(Result):
    """A fitted forward process beside the linear one; arrays by ``LINEAR`` and ``LEARNED``."""

    time: Array  # (T,)
    forward: dict[str, Array]  # (T, n) conditional paths z_t of some x and e
    flow: dict[str, Array]  # (T, n_levels) generative paths
    euler_time: Array  # (K + 1,)
    euler: dict[str, Array]  # (K + 1, n_levels)
    steps: Array  # (n_numbers,)
    w1: dict[str, Array]  # (n_numbers,)
    coefficients: dict[str, Array]  # of the fit: "mean" and "scale", (Q, J) each
    reach: float
    summary: dict[str, float | str]

    def table(self) -> pl.DataFrame:
        parts = []
        for kind, time, curves in (
            ("conditional path", self.time, self.forward),
            ("flow", self.time, self.flow),
            ("Euler", self.euler_time, self.euler),
        ):
            for name, values in curves.items():
                index = np.indices(values.shape).reshape(2, -1)
                columns = {"kind": kind, "process": name, "path": index[1], "time": time[index[0]], "z": values.ravel()}
                parts.append(pl.DataFrame(columns))
        for name, error in self.w1.items():
            parts.append(pl.DataFrame({"kind": "error", "process": name, "steps": self.steps, "w1": error}))
        for name, values in self.coefficients.items():
            parts.append(pl.DataFrame({"kind": f"coefficient of the {name}", "process": LEARNED, "value": values.ravel()}))
        return pl.concat(parts, how="diagonal")

    def headline(self) -> dict[str, float | str]:
        return self.summary


def entropy(law: GaussianMixture) -> float:
    """-E log p of a law on the line, in nats, by the trapezoid rule."""
    z = np.linspace(law.means.min() - 9 * law.width, law.means.max() + 9 * law.width, 4001)
    p = law.pdf(z)
    return float(-np.trapezoid(p * np.log(np.maximum(p, 1e-300)), z))


def euler_errors(process: ForwardProcess, end: GaussianMixture) -> Array:
    """W1 to the law of z_1 after ``NUMBERS`` Euler steps from evenly placed starts."""
    exact = end.quantile(JUDGED)
    errors = [np.mean(np.abs(np.sort(euler_steps(process, ndtri(JUDGED), int(k))[-1]) - exact)) for k in NUMBERS]
    return np.maximum(errors, LEAST_W1)


def _seconds(*, n_basis: int, iterations: int, learned: str, **_: object) -> float:
    coefficients = N_TIME_FUNCTIONS * n_basis * (2 if learned == BOTH else 1)
    return 0.3 + 5.5e-3 * 1.1 * (coefficients + 1) * iterations


@experiment(seconds=_seconds)
def learned_forward_process(
    *,
    data: Data = "two modes",
    learned: Learned = BOTH,
    bending_weight: Weight = 1.0,
    n_basis: Basis = 5,
    iterations: Iterations = 30,
    nfe: Steps = 4,
) -> Iterator[tuple[float, LearnedForward]]:
    """Fit a forward process to its likelihood bound and the bending of its flow; the linear process beside it."""
    law = data_law(data, 1.0)
    end, linear = law.noised(END_NOISE), forward_process(law, n_basis)
    x, e = (a.ravel() for a in np.meshgrid(law.quantile(SEEN_LEVELS), SEEN_NOISE, indexing="ij"))
    exact = entropy(law)
    reach = float(max(2.6, 1.15 * np.abs(law.quantile(np.array([0.004, 0.996]))).max()))

    def seen(process: ForwardProcess) -> tuple[Array, Array, Array, Array, float, float]:
        q = process.at(TIME, x)
        stepped = euler_steps(process, ndtri(FLOW_LEVELS), nfe)
        return (
            q.mean + q.scale * e,
            flow_paths(process, FLOW_LEVELS, TIME),
            stepped,
            euler_errors(process, end),
            *(bound_and_bending(process)),
        )

    plain = seen(linear)
    for done, process in fit(linear, bending_weight, iterations, learned == BOTH):
        own = seen(process)
        both = {LINEAR: plain, LEARNED: own}
        summary: dict[str, float | str] = {"exact −E log p, nats": exact}
        summary |= {f"bound, {name}": r[4] for name, r in both.items()}
        summary |= {f"bending, {name}": r[5] for name, r in both.items()}
        for name, r in both.items():
            summary[f"W₁ after {nfe} Euler steps, {name}"] = float(np.mean(np.abs(np.sort(r[2][-1]) - end.quantile(FLOW_LEVELS))))
        yield (
            done / iterations,
            LearnedForward(
                TIME,
                {name: r[0] for name, r in both.items()},
                {name: r[1] for name, r in both.items()},
                np.linspace(0, 1, nfe + 1),
                {name: r[2] for name, r in both.items()},
                NUMBERS.astype(float),
                {name: r[3] for name, r in both.items()},
                {"mean": process.mean_coefficients, "scale": process.scale_coefficients},
                reach,
                summary,
            ),
        )
