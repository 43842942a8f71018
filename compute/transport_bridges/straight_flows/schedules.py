r"""Schedules x_t = a x_1 + m x_0 of least kinetic energy, for data of unit second moment and Gaussian noise.

The kinetic energy density E|v|^2/d of the flow is a Riemannian metric on (a, m), diagonal in polar coordinates
a = r sin p, m = r cos p:

    dr^2 + r^2 h(p)^2 dp^2,      h(p)^2 = (lambda(tan p) - sin^2 p)/cos^2 p,      lambda(q) = E|E[x_1 | q x_1 + x_0]|^2/d.

With Theta = int h dp this is a flat cone, so that the best schedule is a straight chord in polar coordinates (r, Theta): its energy
is 2 - 2 cos(Theta_tot); on r = 1 (variance preserving) the best is Theta_tot^2.

References
----------
Shaul et al., "On Kinetic Optimal Probability Paths for Generative Models" (2023), paper 109 of the catalogue.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from compute.methods.log_sum_exp import softmax
from compute.models.gaussian_mixture import GaussianMixture

Array = NDArray[np.float64]

HERMITE, HERMITE_WEIGHTS = np.polynomial.hermite_e.hermegauss(80)
HERMITE_WEIGHTS = HERMITE_WEIGHTS / HERMITE_WEIGHTS.sum()
N_ANGLES = 201
N_DRAWS = 128


def knowledge_of_law(law: GaussianMixture, q: Array) -> Array:
    """lambda(q) of a mixture on the line, by Gauss–Hermite quadrature of each component."""
    out = np.empty(q.size)
    for j, ratio in enumerate(q):
        sigma = 1 / max(ratio, 1e-8)
        y = law.means + float(np.hypot(law.width, sigma)) * HERMITE  # (K, 80)
        known = law.denoise(y.reshape(-1, 1), sigma).reshape(y.shape)
        out[j] = float(law.weights @ (known**2 @ HERMITE_WEIGHTS))
    return out


def knowledge_of_points(rng: np.random.Generator, n: int, d: int, q: Array) -> Array:
    """lambda(q) of n points drawn on the sphere of radius sqrt(d) in R^d, by Monte Carlo over what is seen."""
    points = rng.standard_normal((n, d))
    points *= np.sqrt(d / np.sum(points**2, axis=1, keepdims=True))
    gram = points @ points.T
    chosen = rng.integers(n, size=N_DRAWS)
    noise = rng.standard_normal((N_DRAWS, d)) @ points.T
    out = np.empty(q.size)
    for j, ratio in enumerate(q):
        logits = ratio * (ratio * gram[chosen] + noise) - 0.5 * ratio**2 * np.diag(gram)
        weight = softmax(logits)
        # |sum_j w_j x_j|^2 by whichever of Gram matrix and points is smaller.
        square = np.sum((weight @ points) ** 2, axis=1) if d < n else np.einsum("ij,ij->i", weight @ gram, weight)
        # The exact identity E|E[x|y]|^2 = E<E[x|y], x> lets one draw count twice: their average has less spread.
        inner = np.einsum("ij,ij->i", weight, gram[chosen])
        out[j] = float(np.mean(0.5 * square + 0.5 * inner)) / d
    return out


@dataclass(frozen=True, eq=False)
class Cone:
    """The metric of a data set.

    Parameters
    ----------
    angle : (n,) array
        p, from 0 (noise) to pi/2 (data).
    knowledge : (n,) array
        lambda(tan p).
    speed : (n,) array
        h(p).
    turned : (n,) array
        Theta(p), its integral.
    """

    angle: Array
    knowledge: Array
    speed: Array
    turned: Array

    @property
    def total(self) -> float:
        """Theta_tot."""
        return float(self.turned[-1])

    @property
    def least(self) -> float:
        """Kinetic minimum, 2 - 2 cos(Theta_tot)."""
        return 2 - 2 * float(np.cos(min(self.total, np.pi)))

    def best(self, t: Array) -> tuple[Array, Array]:
        """a and m of the kinetic optimal schedule at times t: the chord, back from the unrolled cone."""
        chord = (1 - t) + t * np.exp(1j * self.total)
        angle = np.interp(np.angle(chord), self.turned, self.angle)
        return np.abs(chord) * np.sin(angle), np.abs(chord) * np.cos(angle)

    def unrolled(self, a: Array, m: Array) -> tuple[Array, Array]:
        """Places on the unrolled cone: r cos(Theta), r sin(Theta)."""
        r, turned = np.hypot(a, m), np.interp(np.arctan2(a, m), self.angle, self.turned)
        return r * np.cos(turned), r * np.sin(turned)

    def energy(self, a: Array, m: Array) -> tuple[float, Array]:
        """Kinetic energy of a schedule sampled at equal times, and its density (n - 1,) between them."""
        x, y = self.unrolled(a, m)
        density = (np.diff(x) ** 2 + np.diff(y) ** 2) * (a.size - 1) ** 2
        return float(density.mean()), density


def angles() -> Array:
    """p from 0 to pi/2, both ends left to limits."""
    return np.linspace(0, np.pi / 2, N_ANGLES)


def cone(knowledge: Array) -> Cone:
    """The cone of lambda(tan p) at ``angles()``; its last value is not used, h there is a limit."""
    p = angles()
    gap = np.maximum(knowledge - np.sin(p) ** 2, 0.0)
    speed = np.sqrt(gap[:-1]) / np.cos(p[:-1])
    speed = np.append(speed, 2 * speed[-1] - speed[-2])
    turned = np.concatenate([[0.0], np.cumsum(0.5 * (speed[1:] + speed[:-1]) * np.diff(p))])
    return Cone(p, knowledge, speed, turned)


SCHEDULES = ("conditional OT", "VP trigonometric", "cosine squared", "VE-like")


def schedule(name: str, t: Array) -> tuple[Array, Array]:
    """a(t) and m(t) of a schedule, from noise at 0 to data at 1."""
    if name == "conditional OT":
        return t, 1 - t
    if name == "VP trigonometric":
        return np.sin(np.pi * t / 2), np.cos(np.pi * t / 2)
    if name == "cosine squared":
        angle = np.pi / 2 * np.sin(np.pi * t / 2) ** 2
        return np.sin(angle), np.cos(angle)
    # Noise falls geometrically, as in variance exploding processes, scaled to keep the noise's start at 1.
    level = np.expm1(5 * (1 - t)) / np.expm1(5.0)
    return 1 - level, level
