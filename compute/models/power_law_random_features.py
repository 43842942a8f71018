r"""Power-law random features trained by one-pass SGD: exact given the features, and as width goes to infinity.

Data x_j = j^-alpha z_j (j = 1…v, z standard Gaussian), target <x, b> with b_j = j^-beta, features W^T x with W
(v x d) of entries N(0, 1/d), loss P(theta) = |D^{1/2}(W theta - b)|^2 with D = diag(l), l_j = j^{-2 alpha}. SGD
starts at theta = 0 and sums the gradient of half the squared error over B fresh samples, at step size gamma.

Given W. With lam_j the d nonzero eigenvalues of A = D^{1/2} W W^T D^{1/2} and s_j the energies of the error along
them, Gaussian moments give exactly the recursion of ``compute.models.noisy_quadratic`` with
1 - a_j = gamma B lam_j (2 - gamma (B+1) lam_j), h_j = gamma^2 B lam_j^2; what A cannot reach, F_0, feeds it too.

As d grows the resolvent is deterministic, (A - z)^{-1} ~ diag(kappa / (-z (l_j + kappa))), where kappa(z) solves
kappa (1 - (1/d) sum_j l_j/(l_j + kappa)) = -z and 1/kappa(z) is the Stieltjes transform of the eigenvalues. The
generating functions of the forcing F and kernel K of the Volterra equation P = F + K * P are then explicit in
kappa, and the loss at any step is one contour integral of F/(1 - K): no eigenvalue density is ever needed.

References
----------
Paquette, Paquette, Xiao & Pennington, "4+3 Phases of Compute-Optimal Neural Scaling Laws" (2024), paper 235 of the
catalogue: the model, the Volterra equation and the resolvent. The inversion by contours is ours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import eigh
from scipy.optimize import brentq
from scipy.special import gamma, gammainc

from compute.kernel import kernel
from compute.models.noisy_quadratic import feedback, rank_one_curve

Array = NDArray[np.float64]

EXACT_TERMS = 120  # terms of a sum over j taken one by one; the rest is an integral over log j
CIRCLE_NODES = 48
CIRCLE_STEPS = 10.0  # step counts below it by a circle, above it by parabolas, one a decade


# --- sums over the population --------------------------------------------------------------------------


@dataclass(frozen=True)
class Population:
    """A power-law population as a short quadrature: sum_j f(l_j, j^-2beta) = sum_i count_i f(covariance_i, target_i)."""

    covariance: Array  # (n_terms,) l_j
    target: Array  # (n_terms,) b_j^2
    count: Array  # (n_terms,)

    @property
    def power(self) -> float:
        """Loss at theta = 0, sum_j l_j b_j^2."""
        return float(np.sum(self.count * self.covariance * self.target))


def power_law_population(alpha: float, beta: float, size: int) -> Population:
    """The first terms one by one, the others by Gauss–Legendre panels in log j (relative error below 1e-6).

    Parameters
    ----------
    alpha, beta : float
        Exponents, positive: l_j = j^{-2 alpha}, b_j = j^-beta.
    size : int
        v, the number of terms.
    """
    index = np.arange(1.0, min(size, EXACT_TERMS) + 1)
    count = np.ones(index.size)
    if size > EXACT_TERMS:
        # Midpoint rule read backward: sum_{j=J+1}^v f(j) ~ integral of f from J + 1/2 to v + 1/2, + f'(J + 1/2)/24.
        count[-3:] += np.array([1, -3, 2]) / 24
        low, high = np.log(EXACT_TERMS + 0.5), np.log(size + 0.5)
        n_panels = int(np.ceil((high - low) * max(1.0, alpha) / 1.2))
        node, weight = np.polynomial.legendre.leggauss(8)
        edges = np.linspace(low, high, n_panels + 1)
        half = (edges[1] - edges[0]) / 2
        tail = np.exp((edges[:-1, None] + half * (1 + node)).ravel())
        index = np.concatenate([index, tail])
        count = np.concatenate([count, np.tile(half * weight, n_panels) * tail])
    return Population(index ** (-2 * alpha), index ** (-2 * beta), count)


# --- step size and stability ---------------------------------------------------------------------------


def _kernel_root(level: Array, count: Array, norm: float, batch: int) -> float:
    """x > max(level) with sum count level/(x - level) = norm (B + 1)."""

    def excess(log_gap: float) -> float:
        return float(np.sum(count * level / (np.exp(log_gap) + (level[0] - level)))) - norm * (batch + 1)

    demand = norm * (batch + 1)
    total = float(np.sum(count * level))
    return float(level[0] + np.exp(brentq(excess, np.log(count[0] * level[0] / demand) - 1e-9, np.log(total / demand) + 1e-9)))


def spectral_edge(population: Population, width: int) -> tuple[float, float]:
    """Largest eigenvalue in the limit, and x = -kappa there: the minimum of x (1 + (1/d) sum l/(x - l)) over x > l_1."""
    level, count = population.covariance, population.count

    def slope(log_gap: float) -> float:
        return float(np.sum(count * (level / (np.exp(log_gap) + (level[0] - level))) ** 2)) / width - 1

    x = level[0] + np.exp(brentq(slope, np.log(level[0] / np.sqrt(width)) - 1e-9, np.log(np.sum(count * level)) + 5))
    return float(x * (1 + np.sum(count * level / (x - level)) / width)), float(x)


def stability_limit(population: Population, width: int, batch: int) -> float:
    """Largest step size of bounded loss in the limit: kernel norm 1, or every mode stable where that binds first.

    With 2/(gamma (B+1)) = x (1 + (1/d) sum_j l_j/(x - l_j)) the kernel norm is sum_j l_j/(x - l_j)/(B+1).
    """
    edge, x_edge = spectral_edge(population, width)
    x = _kernel_root(population.covariance, population.count, 1.0, batch)
    point = edge if x <= x_edge else x * (1 + (batch + 1) / width)
    return 2 / ((batch + 1) * point)


def kernel_norm(population: Population, width: int, batch: int, step_size: float) -> float:
    """k = sum_r K(r) in the limit, for a step size below ``stability_limit``."""
    point = 2 / (step_size * (batch + 1))
    kappa = effective_ridge(population, width, np.array([point], dtype=np.complex128))[0].real
    return float(np.sum(population.count * population.covariance / (-kappa - population.covariance))) / (batch + 1)


# --- the limit of large width --------------------------------------------------------------------------


def unreachable_loss(population: Population, width: int) -> float:
    """F_0 = sum_j l_j b_j^2 kappa/(l_j + kappa) with sum_j l_j/(l_j + kappa) = d: what no theta removes."""
    level, target, count = population.covariance, population.target, population.count

    def excess(log_kappa: float) -> float:
        return float(np.sum(count * level / (level + np.exp(log_kappa)))) - width

    kappa = np.exp(brentq(excess, np.log(level[-1]) - 5, np.log(np.sum(count * level) / width) + 1e-9, xtol=1e-14))
    return float(np.sum(count * level * target * (kappa / (level + kappa))))


def effective_ridge(population: Population, width: int, points: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """kappa(z), the root of kappa (1 - (1/d) sum_j l_j/(l_j + kappa)) = -z on the physical branch.

    Parameters
    ----------
    population : Population
    width : int
        d.
    points : (n_points,) complex array
        z off the spectrum; neighbors in the array should be neighbors in the plane, for warm starts.

    Returns
    -------
    (n_points,) complex array
        Im(1/kappa) has the sign of Im z, and there is one such root.
    """
    return _ridge(population.covariance, population.count, float(width), points)


@kernel
def _inverse(z):  # type: ignore[no-untyped-def]
    """1/z, without the care for overflow that makes the general division slow."""
    size = np.true_divide(1.0, z.real * z.real + z.imag * z.imag)
    return complex(z.real * size, -z.imag * size)


@kernel
def _ridge(level, count, width, points):  # type: ignore[no-untyped-def]
    """Newton steps from the neighboring point's root; where they leave the branch, the fixed-point map and again."""
    roots = np.empty(points.size, np.complex128)
    kappa = -points[0]
    for i in range(points.size):
        z = points[i]
        side = -1.0 if z.imag > 0 else 1.0 if z.imag < 0 else 0.0
        if kappa.imag * side <= 0 and side != 0:
            kappa = -z
        elif side == 0:
            kappa = -z if z.real < 0 else -z - np.sum(count * level) / width
        found = False
        for _attempt in range(8):
            for _ in range(40):
                first, second = 0j, 0j
                for j in range(level.size):
                    share = level[j] * _inverse(level[j] + kappa)
                    first += count[j] * share
                    second += count[j] * share * share
                step = -(kappa * (1 - first / width) + z) / (1 - second / width)
                scale = 1.0
                while (kappa.imag + scale * step.imag) * side < 0 and scale > 1e-3:
                    scale *= 0.5
                kappa += scale * step
                if abs(step) < 1e-13 * abs(kappa):
                    found = True
                    break
            if found and kappa.imag * side >= 0:
                break
            # The map kappa -> -z + kappa S/d sends the right half-plane into itself: slow, but sure.
            found = False
            if kappa.imag * side <= 0 or not abs(kappa) > 0:
                kappa = -z
            for _ in range(200):
                first = 0j
                for j in range(level.size):
                    first += count[j] * level[j] / (level[j] + kappa)
                kappa = 0.5 * kappa + 0.5 * (-z + kappa * first / width)
        roots[i] = kappa
    return roots


@kernel
def _sums(level, target, count, kappa):  # type: ignore[no-untyped-def]
    """sum_j count level target / (level + kappa) for each kappa."""
    found = np.zeros(kappa.size, np.complex128)
    for i in range(kappa.size):
        for j in range(level.size):
            found[i] += count[j] * level[j] * target[j] * _inverse(level[j] + kappa[i])
    return found


def generating_function(
    population: Population, width: int, batch: int, step_size: float, decay: NDArray[np.complex128]
) -> NDArray[np.complex128]:
    r"""sum_r P(r) Λ^{-r-1} = F/(1 - K) at Λ = 1 - decay, in the limit of large width.

    A mode of eigenvalue lam contributes 1/(Λ - a(lam)), whose poles in lam are
    p, q = (1 ± sqrt(1 - decay (B+1)/B)) / (gamma (B+1)); partial fractions leave the resolvent at p and q:
    K = (d/(B+1)) [(p m(p) - q m(q))/(p - q) - 1] and F = [tau(q) - tau(p)]/(gamma^2 B (B+1) (p - q)), with
    m(z) = -z/kappa and tau(z) = (kappa/-z) sum_j l_j b_j^2/(l_j + kappa).
    """
    root = np.sqrt(1 - decay * (batch + 1) / batch)
    p = (1 + root) / (step_size * (batch + 1))
    q = decay / (step_size * batch * (1 + root))
    kappa_p, kappa_q = (effective_ridge(population, width, np.asarray(z, dtype=np.complex128)) for z in (p, q))
    kernel_part = width / (batch + 1) * ((q**2 / kappa_q - p**2 / kappa_p) / (p - q) - 1)
    tau_p, tau_q = (
        kappa / -z * _sums(population.covariance, population.target, population.count, kappa)
        for z, kappa in ((p, kappa_p), (q, kappa_q))
    )
    forcing = (tau_q - tau_p) / (step_size**2 * batch * (batch + 1) * (p - q))
    return forcing / (1 - kernel_part)


def limit_curve(population: Population, width: int, batch: int, step_size: float, steps: Array) -> Array:
    r"""The loss at any step counts in the limit of large width (relative error some 1e-7).

    P(r) = (1/2 pi i) ∮ Λ^r G(Λ) dΛ around all poles: by the trapezoid rule on a circle for few steps, and on
    parabolas log Λ = mu (1 + i t)^2, one for each decade of steps.

    Parameters
    ----------
    population : Population
    width, batch : int
        d and B.
    step_size : float
        gamma, below ``stability_limit``.
    steps : (n_steps,) array
        Whole step counts.

    Returns
    -------
    (n_steps,) array
    """
    steps = np.asarray(steps, dtype=float)
    loss = np.empty(steps.size)
    few = steps <= CIRCLE_STEPS
    if few.any():
        radius = 1e10 ** (1 / (2 * CIRCLE_NODES))
        point = radius * np.exp(1j * np.pi * (np.arange(CIRCLE_NODES) + 0.5) / CIRCLE_NODES)
        value = generating_function(population, width, batch, step_size, 1 - point)
        loss[few] = np.real(point ** (steps[few, None] + 1) @ value) / CIRCLE_NODES
    decade = np.floor(np.log10(np.maximum(steps, CIRCLE_STEPS)) - 1e-12)
    for k in np.unique(decade[~few]):
        inside = ~few & (decade == k)
        loss[inside] = _parabola(population, width, batch, step_size, steps[inside], 10.0**k)
    return loss


def _parabola(population: Population, width: int, batch: int, step_size: float, steps: Array, first: float) -> Array:
    """``limit_curve`` within [first, 10 first]; rules of thumb for an error of e^-digits of the largest term."""
    digits = 25.0
    gap = 2 * np.pi / digits
    scale = (np.pi / gap) ** 2 / (2 * digits) / (10 * first)
    n_nodes = int(np.ceil(np.sqrt(1 + digits / (scale * first)) / gap))
    t = (np.arange(n_nodes) + 0.5) * gap
    exponent = scale * (1 + 1j * t) ** 2
    value = generating_function(population, width, batch, step_size, -np.expm1(exponent)) * np.exp(exponent)
    return 2 * scale * gap / np.pi * np.real(np.exp(np.multiply.outer(steps, exponent)) @ (value * (1 + 1j * t)))


# --- the terms of the loss -----------------------------------------------------------------------------


def power_integral(power: float, rate: Array, low: float) -> Array:
    """int_low^1 u^{power - 1} e^{-rate u} du for each rate; from 0 where the power is positive and low is 0."""
    rate = np.asarray(rate, dtype=float)
    if low == 0:
        return np.where(rate > 0, gamma(power) * gammainc(power, rate) / np.maximum(rate, 1e-300) ** power, 1 / power)
    # In log u the integrand is smooth over at most some 100 e-folds.
    node, weight = np.polynomial.legendre.leggauss(16)
    edges = np.linspace(np.log(low), 0, int(np.ceil(-np.log(low))) + 1)
    half = (edges[1] - edges[0]) / 2
    u = np.exp((edges[:-1, None] + half * (1 + node)).ravel())
    measure = np.tile(half * weight, edges.size - 1) * u**power
    return np.exp(-np.multiply.outer(rate, u)) @ measure


@dataclass(frozen=True)
class Terms:
    """The terms of the loss at each step count; NaN for a term that is absent."""

    unreachable: Array  # F_0
    target: Array  # F_pp
    distortion: Array  # F_ac
    noise: Array  # K_pp/(gamma B)

    @property
    def total(self) -> Array:
        return np.nansum([self.unreachable, self.target, self.distortion, self.noise], axis=0)


def loss_terms(alpha: float, beta: float, width: int, population: Population, batch: int, step_size: float, steps: Array) -> Terms:
    """(235, its asymptotic forms) F_0, F_pp, F_ac and K_pp/(gamma B) at the given steps.

    F_pp = (1/2a) int u^{(2b-1)/(2a)} e^{-2 gamma B r u} du, F_ac = (sum_j j^-2b/(2 a d)) int u^{-1/(2a)} e^{…} du (b > 1/2)
    and K_pp/(gamma B) = (gamma/2a) int u^{1 - 1/(2a)} e^{…} du, over u < 1; integrals that diverge at 0 start at d^{-2a}.
    """
    rate = 2 * step_size * batch * np.asarray(steps, dtype=float)
    cutoff = float(width) ** (-2 * alpha)

    def integral(power: float) -> Array:
        return power_integral(power, rate, 0.0 if power > 1e-9 else cutoff) / (2 * alpha)

    coefficient = float(np.sum(population.count * population.target)) / width
    distortion = coefficient * power_integral(1 - 1 / (2 * alpha), rate, cutoff) / (2 * alpha)
    return Terms(
        np.full(rate.size, unreachable_loss(population, width)),
        integral(1 + (2 * beta - 1) / (2 * alpha)),
        distortion if beta > 0.5 else np.full(rate.size, np.nan),
        step_size * integral(2 - 1 / (2 * alpha)),
    )


# --- given the features --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Modes:
    """The eigenmodes of one draw of the features, and where training starts."""

    eigenvalue: Array  # (width,) of A, descending
    start: Array  # (width,) energy of the error along each at theta = 0
    unreachable: float  # F_0


def draw_modes(rng: np.random.Generator, alpha: float, beta: float, width: int, size: int) -> Modes:
    """Draw W (size x width) and diagonalize W^T D W."""
    index = np.arange(1.0, size + 1)
    feature = rng.standard_normal((size, width)) * (index[:, None] ** -alpha / np.sqrt(width))
    error = index ** (-alpha - beta)
    eigenvalue, vector = eigh(feature.T @ feature, overwrite_a=True, driver="evd")
    # Rounding may bring the smallest below zero on steep spectra; they carry nothing there.
    eigenvalue = np.maximum(eigenvalue[::-1], 1e-17 * eigenvalue[-1])
    start = (vector[:, ::-1].T @ (feature.T @ error)) ** 2 / eigenvalue
    return Modes(eigenvalue, start, float(max(np.sum(error**2) - start.sum(), 1e-17)))


def modes_stability_limit(modes: Modes, batch: int) -> float:
    """The step size of kernel norm sum_j gamma lam_j/(2 - gamma (B+1) lam_j) = 1."""
    point = _kernel_root(modes.eigenvalue, np.ones(modes.eigenvalue.size), 1.0, batch)
    return 2 / ((batch + 1) * point)


def modes_kernel_norm(modes: Modes, batch: int, step_size: float) -> float:
    """k = sum_j gamma lam_j/(2 - gamma (B+1) lam_j)."""
    return feedback(*moments(modes.eigenvalue, batch, step_size))


def moments(eigenvalue: Array, batch: int, step_size: float) -> tuple[Array, Array]:
    """1 - a_j and h_j of the modes: see the head of this module."""
    scaled = step_size * eigenvalue
    return batch * scaled * (2 - (batch + 1) * scaled), batch * scaled**2


def exact_curve(modes: Modes, batch: int, step_size: float, steps: ArrayLike) -> Array:
    """Expected loss at any step counts for these features; the expectation is over the data alone."""
    decay, injection = moments(modes.eigenvalue, batch, step_size)
    return rank_one_curve(decay, injection, modes.start, modes.unreachable, np.asarray(steps, dtype=float))


@kernel
def stream_sgd(rng, eigenvalue, start, unreachable, batch, step_size, steps):  # type: ignore[no-untyped-def]
    """One run of streaming SGD: the population loss at the given (ascending) step counts.

    In the eigenbasis of A the data stay Gaussian, so that a sample costs O(width) whatever the number of
    population dimensions; what lies outside the features' reach enters as one more Gaussian.

    Parameters
    ----------
    rng : numpy.random.Generator
    eigenvalue, start : (width,) arrays
        Of ``Modes``.
    unreachable : float
    batch : int
    step_size : float
    steps : (n_steps,) int64 array
    """
    width = eigenvalue.size
    error = np.sqrt(start)
    noise = np.sqrt(unreachable)
    sample = np.empty(width)
    change = np.empty(width)
    loss = np.empty(steps.size)
    done = 0
    for i in range(steps.size):
        while done < steps[i]:
            change[:] = 0.0
            for _ in range(batch):
                residual = noise * rng.standard_normal()
                for j in range(width):
                    sample[j] = rng.standard_normal()
                    residual += sample[j] * error[j]
                for j in range(width):
                    change[j] += sample[j] * residual
            for j in range(width):
                error[j] -= step_size * eigenvalue[j] * change[j]
            done += 1
        total = unreachable
        for j in range(width):
            total += error[j] * error[j]
        loss[i] = total
    return loss
